//! Breakers: of a target that fails, and of a strategy that faults. Both are lock-free and told the time.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::{request::Outcome, route::FailureKind};

/// Failures in a row that open a target's breaker.
const FAILURES_IN_A_ROW: u32 = 3;
/// First and longest time a target stays out, in milliseconds.
const TARGET_OPEN_MS: (u64, u64) = (1_000, 30_000);
/// Faults within [`FAULT_WINDOW_MS`] that open a strategy's breaker.
const FAULTS: usize = 5;
/// The window of [`FAULTS`], in milliseconds.
const FAULT_WINDOW_MS: u64 = 10_000;
/// First and longest time a strategy stays out, in milliseconds.
const STRATEGY_OPEN_MS: (u64, u64) = (1_000, 300_000);

const CLOSED: u64 = 0;
const PROBING: u64 = u64::MAX;

/// What one attempt says about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The engine answered.
    Good,
    /// `engine_error` or `failed_no_bytes`.
    Bad,
    /// No connection could be made.
    ConnectFailed,
    /// Nothing learned, e.g. the client left.
    Nothing,
}

impl Verdict {
    /// Judges a response head: 404 for a listed model and 5xx other than 503 are errors of the engine.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match Outcome::of_status(status) {
            Outcome::EngineError => Self::Bad,
            Outcome::Ok
            | Outcome::Refused
            | Outcome::FailedNoBytes
            | Outcome::FailedMidStream
            | Outcome::ClientGone => Self::Good,
        }
    }

    /// Judges a failure below HTTP.
    #[must_use]
    pub const fn of_failure(kind: FailureKind, bytes_seen: bool) -> Self {
        match (kind, bytes_seen) {
            (FailureKind::Connect, _) => Self::ConnectFailed,
            (FailureKind::Reset | FailureKind::Timeout, false) => Self::Bad,
            (FailureKind::Reset | FailureKind::Timeout, true) => Self::Nothing,
        }
    }
}

/// Takes a target out after failures: 1 s, doubling to 30 s, then one probe.
#[derive(Debug, Default)]
pub struct TargetBreaker {
    /// [`CLOSED`], [`PROBING`], or the time in milliseconds until which the breaker is open.
    state: AtomicU64,
    failures: AtomicU32,
    opened: AtomicU32,
}

impl TargetBreaker {
    /// Says whether a request may be sent: the breaker is closed, or a probe is due and not taken.
    #[must_use]
    pub fn admits(&self, now_ms: u64) -> bool {
        match self.state.load(Ordering::Acquire) {
            CLOSED => true,
            PROBING => false,
            until_ms => now_ms >= until_ms,
        }
    }

    /// Notes what an attempt showed; call it before the attempt's place is given back.
    pub fn record(&self, now_ms: u64, verdict: Verdict) {
        match verdict {
            Verdict::Nothing => {}
            Verdict::Good => {
                self.failures.store(0, Ordering::Relaxed);
                if self.state.compare_exchange(PROBING, CLOSED, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    self.opened.store(0, Ordering::Relaxed);
                }
            }
            Verdict::Bad => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                if failures >= FAILURES_IN_A_ROW || self.state.load(Ordering::Acquire) == PROBING {
                    self.open(now_ms);
                }
            }
            Verdict::ConnectFailed => self.open(now_ms),
        }
    }

    /// Opens the breaker unless it is open already.
    fn open(&self, now_ms: u64) {
        let state = self.state.load(Ordering::Acquire);
        if state != CLOSED && state != PROBING {
            return;
        }
        let until_ms = now_ms.max(1) + back_off(TARGET_OPEN_MS, self.opened.load(Ordering::Relaxed));
        if self.state.compare_exchange(state, until_ms, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.opened.fetch_add(1, Ordering::Relaxed);
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Claims the right to send: `Some(true)` when this request is the probe, `None` when it may not be sent.
    pub(crate) fn claim(&self, now_ms: u64) -> Option<bool> {
        match self.state.load(Ordering::Acquire) {
            CLOSED => Some(false),
            until_ms if until_ms != PROBING && now_ms >= until_ms => {
                self.state.compare_exchange(until_ms, PROBING, Ordering::AcqRel, Ordering::Acquire).ok().map(|_| true)
            }
            _ => None,
        }
    }

    /// Makes the next request the probe when this one ended without a verdict.
    pub(crate) fn give_up_probe(&self) {
        // When a verdict came first, the state is no longer PROBING and stays as the verdict left it.
        let _ = self.state.compare_exchange(PROBING, 1, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Takes a strategy out in every worker after 5 faults in 10 s: 1 s, doubling to 5 min.
#[derive(Debug, Default)]
pub struct StrategyBreaker {
    faults: [AtomicU64; FAULTS],
    next: AtomicU32,
    open_until_ms: AtomicU64,
    opened: AtomicU32,
}

impl StrategyBreaker {
    /// Says whether the baseline decides instead of the strategy.
    #[must_use]
    pub fn is_open(&self, now_ms: u64) -> bool {
        now_ms < self.open_until_ms.load(Ordering::Acquire)
    }

    /// Notes a trap, a fuel stop or an invalid answer; returns true when it opened the breaker.
    pub fn fault(&self, now_ms: u64) -> bool {
        let now_ms = now_ms.max(1);
        let at = self.next.fetch_add(1, Ordering::AcqRel) as usize;
        self.faults[at % FAULTS].store(now_ms, Ordering::Release);
        let oldest = self.faults[(at + 1) % FAULTS].load(Ordering::Acquire);
        if oldest == 0 || now_ms.saturating_sub(oldest) > FAULT_WINDOW_MS || self.is_open(now_ms) {
            return false;
        }
        let quiet_ms = now_ms.saturating_sub(self.open_until_ms.load(Ordering::Acquire));
        if quiet_ms > STRATEGY_OPEN_MS.1 {
            self.opened.store(0, Ordering::Relaxed);
        }
        let opened = self.opened.fetch_add(1, Ordering::AcqRel);
        for fault in &self.faults {
            fault.store(0, Ordering::Release);
        }
        self.open_until_ms.store(now_ms + back_off(STRATEGY_OPEN_MS, opened), Ordering::Release);
        true
    }
}

/// Returns the time out after `opened` earlier times: the first, doubling to the longest.
fn back_off((first_ms, longest_ms): (u64, u64), opened: u32) -> u64 {
    first_ms.saturating_mul(1 << opened.min(16)).min(longest_ms)
}
