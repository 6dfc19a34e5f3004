//! What all workers of a router share about waiting and retrying; atomics only.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::{
    event::{Facts, Step},
    line::Line,
};

/// Most requests in all lines of a router together.
const LINES_MAX: i64 = 1_024;
/// The retry budget, in tenths of a retry: at the start, at most, for each request, of each retry.
const BUDGET_START: i64 = 200;
const BUDGET_MAX: i64 = 1_000;
const BUDGET_PER_REQUEST: i64 = 1;
const BUDGET_PER_RETRY: i64 = 10;
/// The window over which completions per second are counted, in seconds.
const PACE_SECONDS: usize = 10;
const PACE_WINDOW_S: u64 = PACE_SECONDS as u64;
const RETRY_AFTER_S: (u64, u64) = (1, 60);

/// The shared numbers of one router.
#[derive(Debug)]
pub struct Desk {
    budget: AtomicI64,
    waiting: AtomicI64,
    /// Completions of the last seconds, `second << 32 | count`, by second modulo the window.
    pace: [AtomicU64; PACE_SECONDS],
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            budget: AtomicI64::new(BUDGET_START),
            waiting: AtomicI64::new(0),
            pace: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Desk {
    /// Samples the facts for one event of a request whose line is `line`.
    #[must_use]
    pub fn facts(&self, line: &Line, now_us: u64) -> Facts {
        Facts {
            line_empty: line.is_empty(),
            line_open: self.waiting.load(Ordering::Relaxed) < LINES_MAX,
            retry_after: self.retry_after(self.waiting(), now_us),
            retry_left: self.budget.load(Ordering::Relaxed) >= BUDGET_PER_RETRY,
        }
    }

    /// Adds the share of a new request to the retry budget.
    pub fn arrived(&self) {
        // The closure always returns a value, so the update cannot fail.
        let _ = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |budget| {
            Some((budget + BUDGET_PER_REQUEST).min(BUDGET_MAX))
        });
    }

    /// Pays for a step; two workers that spend the last retry at once may overdraw it by one.
    pub fn settle(&self, step: Step) {
        if step.spent_retry {
            self.budget.fetch_sub(BUDGET_PER_RETRY, Ordering::Relaxed);
        }
    }

    /// Counts a request that joined a line.
    pub(super) fn joined_line(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that left a line.
    pub(super) fn left_line(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns how many requests wait in all lines.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        u64::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Counts a completed request.
    pub fn completed(&self, now_us: u64) {
        let second = now_us / 1_000_000;
        let cell = &self.pace[usize::try_from(second % PACE_WINDOW_S).unwrap_or(0)];
        let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| {
            let count = if old >> 32 == second & 0xffff_ffff { old & 0xffff_ffff } else { 0 };
            Some(((second & 0xffff_ffff) << 32) | (count + 1).min(0xffff_ffff))
        });
    }

    /// Returns `clamp(length / completions per second, 1, 60)`; 1 when none completed.
    fn retry_after(&self, length: u64, now_us: u64) -> u16 {
        let second = (now_us / 1_000_000) & 0xffff_ffff;
        let recent = |cell: &AtomicU64| {
            let value = cell.load(Ordering::Relaxed);
            let age = second.saturating_sub(value >> 32);
            if age < PACE_WINDOW_S && value >> 32 <= second { value & 0xffff_ffff } else { 0 }
        };
        let completed: u64 = self.pace.iter().map(recent).sum();
        let window_s = PACE_WINDOW_S.min(second + 1);
        let wait_s = (length * window_s).checked_div(completed).unwrap_or(RETRY_AFTER_S.0);
        u16::try_from(wait_s.clamp(RETRY_AFTER_S.0, RETRY_AFTER_S.1)).unwrap_or(1)
    }
}
