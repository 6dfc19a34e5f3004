//! `hybrid`: the example strategy. Two random targets and the session's last good one; the smallest wait wins.
//!
//! # What it does
//! 1. It draws two eligible rows by the request's seed. Two random choices are enough to keep queues short, cost the
//!    same with 16 targets and with 4,096, and do not stampede: routers which see the same table draw differently.
//! 2. It adds the row where the session's last request went well, if that row still holds the same target. A session
//!    that stays finds its prompt in the engine's prefix cache.
//! 3. It ranks the three by the estimated wait, smallest first:
//!
//!    ```text
//!    load     = max(own_inflight, running + waiting if the report is at most 1 s old)
//!    ahead    = max(0, load + 1 - capacity)            requests that must end before ours starts
//!    length   = max_tokens, at most 512; 128 when the client set none
//!    serve_ms = tpot_ms * length                       how long one request holds its place
//!    wait_ms  = ttft_ms * (1 + load / capacity)        prefill, slower the fuller the batch
//!             + serve_ms * ahead / capacity            the queue in front of us
//!             + serve_ms * 10 * max(0, kv_used - 0.9)  a nearly full KV cache preempts
//!    ```
//!    Of columns which are not known yet it takes ttft 50 ms, tpot 20 ms, kv 0 and capacity 1,024. The session's row
//!    gets a quarter off, for the prefill which its cache saves.
//!
//! # What it learns
//! Decisions and sessions meet in two direct-mapped tables of 1,024 entries in its own memory; a collision forgets
//! the older entry, which costs one cache miss and nothing else.
#![cfg_attr(target_arch = "wasm32", no_std)]

use mesh_sdk::{Column, Feedback, Guest, Out, Outcome, Request, Verdict, View, pick_eligible, splitmix64};

const ENTRIES: usize = 1_024;
const REPORT_AGE_MAX_MS: u32 = 1_000;
const CAPACITY_UNKNOWN: f32 = 1_024.0;
const TTFT_UNKNOWN_MS: f32 = 50.0;
const TPOT_UNKNOWN_MS: f32 = 20.0;
const LENGTH_UNKNOWN: u32 = 128;
const LENGTH_MAX: u32 = 512;
const KV_TIGHT: f32 = 0.9;
const KV_WEIGHT: f32 = 10.0;
/// What is left of the estimate for the row that has the session's prompt in its cache.
const SESSION_SHARE: f32 = 0.75;
const CANDIDATES: usize = 3;

/// A decision whose end is not known yet; session 0 marks an empty entry.
#[derive(Clone, Copy, Debug)]
struct Open {
    decision: u64,
    session: u64,
}

/// Where a session's last good request went; session 0 marks an empty entry.
#[derive(Clone, Copy, Debug)]
struct Good {
    session: u64,
    slot: u32,
    generation: u32,
}

/// The strategy's state.
#[derive(Debug)]
pub struct Hybrid {
    open: [Open; ENTRIES],
    good: [Good; ENTRIES],
}

impl Hybrid {
    /// Returns the row of the session's last good request, if it still holds that target and may be chosen.
    fn last_good(&self, view: &View<'_>, session: u64) -> Option<usize> {
        let good = self.good.get(entry(session)).filter(|good| session != 0 && good.session == session)?;
        let slot = good.slot as usize;
        (slot < view.len() && view.eligible(slot) && view.generation(slot) == good.generation).then_some(slot)
    }
}

impl Guest for Hybrid {
    const ZERO: Self = Self {
        open: [Open { decision: 0, session: 0 }; ENTRIES],
        good: [Good { session: 0, slot: 0, generation: 0 }; ENTRIES],
    };

    fn decide(&mut self, view: &View<'_>, request: &Request, out: &mut Out<'_>) -> Verdict {
        let kept = self.last_good(view, request.session);
        let drawn = [pick_eligible(view, request.seed), pick_eligible(view, splitmix64(request.seed)), kept];
        let mut ranked = [(usize::MAX, f32::INFINITY); CANDIDATES];
        let mut count = 0;
        for slot in drawn.into_iter().flatten() {
            let known = ranked.iter().take(count).any(|(other, _)| *other == slot);
            let tried = request.tried().iter().any(|tried| *tried as usize == slot);
            if known || tried {
                continue;
            }
            let share = if kept == Some(slot) { SESSION_SHARE } else { 1.0 };
            insert(&mut ranked, count, (slot, share * wait_ms(view, request, slot)));
            count += 1;
        }
        if count == 0 {
            return Verdict::Abstain;
        }
        for (slot, wait_ms) in ranked.into_iter().take(count) {
            out.target(view, slot, wait_ms);
        }
        if request.session != 0
            && let Some(open) = self.open.get_mut(entry(request.decision))
        {
            *open = Open { decision: request.decision, session: request.session };
        }
        Verdict::Ranked
    }

    fn observe(&mut self, batch: &[Feedback]) {
        for feedback in batch.iter().filter(|feedback| feedback.outcome() == Some(Outcome::Ok)) {
            let Some(open) = self.open.get(entry(feedback.decision)) else { continue };
            if open.decision != feedback.decision || open.session == 0 {
                continue;
            }
            let session = open.session;
            if let Some(good) = self.good.get_mut(entry(session)) {
                *good = Good { session, slot: feedback.slot, generation: feedback.generation };
            }
        }
    }
}

/// Estimates how long the request would wait for its first token at this row, in milliseconds.
#[must_use]
pub fn wait_ms(view: &View<'_>, request: &Request, slot: usize) -> f32 {
    let own = view.u32(Column::OwnInflight, slot).unwrap_or(0);
    let fresh = view.age_ms(slot, request.now_ms).is_some_and(|age_ms| age_ms <= REPORT_AGE_MAX_MS);
    let reported = |column| view.u32(column, slot).filter(|_| fresh).unwrap_or(0);
    let load = number(own.max(reported(Column::Running).saturating_add(reported(Column::Waiting))));
    let capacity = view.f32(Column::Capacity, slot).unwrap_or(CAPACITY_UNKNOWN).max(1.0);
    let ttft_ms = view.f32(Column::TtftMs, slot).unwrap_or(TTFT_UNKNOWN_MS);
    let tpot_ms = view.f32(Column::TpotMs, slot).unwrap_or(TPOT_UNKNOWN_MS);
    let kv_used = view.f32(Column::KvUsed, slot).filter(|_| fresh).unwrap_or(0.0);

    let length = if request.max_tokens == 0 { LENGTH_UNKNOWN } else { request.max_tokens.min(LENGTH_MAX) };
    let serve_ms = tpot_ms * number(length);
    let ahead = (load + 1.0 - capacity).max(0.0);
    ttft_ms * (1.0 + load / capacity) + serve_ms * (ahead / capacity + KV_WEIGHT * (kv_used - KV_TIGHT).max(0.0))
}

/// Puts a candidate among the first `count`, which are in order.
fn insert(ranked: &mut [(usize, f32); CANDIDATES], count: usize, candidate: (usize, f32)) {
    let mut candidate = candidate;
    for place in ranked.iter_mut().take(count) {
        if candidate.1 < place.1 {
            core::mem::swap(place, &mut candidate);
        }
    }
    if let Some(place) = ranked.get_mut(count) {
        *place = candidate;
    }
}

/// Returns the entry of a key in a direct-mapped table.
fn entry(key: u64) -> usize {
    usize::try_from(splitmix64(key) % ENTRIES as u64).unwrap_or(0)
}

/// Widens a count of requests or tokens.
fn number(count: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests and tokens stay far below 2^24")]
    let float = count as f32;
    float
}

mesh_sdk::trap_on_panic!();

mesh_sdk::strategy! {
    guest: Hybrid,
    name: "hybrid",
    version: "0.1.0",
    cap_targets: 4096,
    columns: [
        Valid, Generation, Eligible, OwnInflight, Running, Waiting, Capacity, KvUsed, TtftMs, TpotMs, ObservedMs,
    ],
}

#[cfg(test)]
mod tests;
