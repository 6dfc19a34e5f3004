//! Least queue: the smallest share of an engine's capacity in use, as far as this router can know it.
//!
//! The load of a row is the larger of what this router has sent and not released, and what the engine reported at
//! most a second ago; so a stale report fades to the router's own count and never to zero. Ties go by the hash of the
//! slot under the request's seed, so that routers which see the same numbers do not all pick the same row.

use crate::{
    DecisionOutcome, Strategy,
    answer::{Answer, Record},
    column::Column,
    request::{Request, hash},
    table::{Change, Table, age_ms},
    target::CAPACITY_UNKNOWN,
};

/// The name of this strategy.
pub(super) const NAME: &str = "least_queue";
/// Reports older than this are not used.
const REPORT_AGE_MAX_MS: u32 = 1_000;
/// How many rows the answer names, in case the first ones are full.
const NAMED: usize = 4;

/// The strategy that is active from the start.
#[derive(Clone, Copy, Debug)]
pub struct LeastQueue;

#[derive(Clone, Copy)]
struct Candidate {
    load: f32,
    tie: u64,
    slot: usize,
}

impl Candidate {
    fn before(&self, other: &Self) -> bool {
        self.load.total_cmp(&other.load).then(self.tie.cmp(&other.tie)).is_lt()
    }
}

impl Strategy for LeastQueue {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> &str {
        super::VERSION
    }

    fn sync(&mut self, _table: &Table, _change: Change<'_>) {}

    fn decide(&mut self, table: &Table, request: &Request, answer: &mut Answer) -> DecisionOutcome {
        answer.clear();
        let mut best = [Candidate { load: f32::INFINITY, tie: 0, slot: 0 }; NAMED];
        let mut found = 0;
        for slot in 0..table.len() {
            if !table.eligible(slot) || request.tried.contains(crate::narrow(slot), table.generation(slot)) {
                continue;
            }
            let load = load(table, slot, request.now_ms);
            if found == NAMED && load > best[NAMED - 1].load {
                continue;
            }
            let candidate = Candidate { load, tie: hash(request.seed, crate::narrow(slot)), slot };
            let at = best[..found].iter().position(|other| candidate.before(other)).unwrap_or(found);
            if at < NAMED {
                found = (found + 1).min(NAMED);
                best.copy_within(at..found - 1, at + 1);
                best[at] = candidate;
            }
        }
        for candidate in &best[..found] {
            let slot = crate::narrow(candidate.slot);
            answer.push(Record::target(slot, table.generation(candidate.slot), candidate.load));
        }
        if found == 0 { DecisionOutcome::Abstain } else { DecisionOutcome::Ok }
    }
}

/// Returns the share of the row's capacity in use; unknown numbers count as 0, an unknown capacity as 1,024.
fn load(table: &Table, slot: usize, now_ms: u32) -> f32 {
    let own = table.cells(Column::OwnInflight)[slot];
    let valid = table.cells(Column::Valid)[slot];
    let fresh = valid & Column::ObservedMs.bit() != 0
        && age_ms(now_ms, table.cells(Column::ObservedMs)[slot]) <= REPORT_AGE_MAX_MS;
    let reported =
        if fresh { table.cells(Column::Running)[slot].saturating_add(table.cells(Column::Waiting)[slot]) } else { 0 };
    #[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^24")]
    let used = own.max(reported) as f32;
    let capacity = table.f32(Column::Capacity, slot).unwrap_or(CAPACITY_UNKNOWN);
    used / capacity.max(f32::MIN_POSITIVE)
}
