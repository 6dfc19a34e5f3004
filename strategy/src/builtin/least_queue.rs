//! Least queue: the smallest share of an engine's capacity in use, as far as this router can know it.
//!
//! The load of a row is the larger of what this router has sent and not released, and what the engine reported at
//! most a second ago; so a stale report fades to the router's own count and never to zero. Ties go by the hash of the
//! slot under the request's seed, so that routers which see the same numbers do not all pick the same row.
//!
//! Loads are worked out a block of rows at a time and without a branch, so that the compiler makes vector code of it;
//! only rows that are among the best so far are hashed and looked up in what was tried.

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
/// Rows whose loads are worked out at one go.
const BLOCK: usize = 64;
/// Stands for a row that may not be chosen. Loads are kept as their bits, which are in the order of the loads, since
/// none is negative or not a number; this is above all of them.
const NEVER: u32 = u32::MAX;

/// The strategy that is active from the start.
#[derive(Clone, Copy, Debug)]
pub struct LeastQueue;

#[derive(Clone, Copy)]
struct Candidate {
    load: u32,
    tie: u64,
    slot: usize,
}

impl Candidate {
    fn before(&self, other: &Self) -> bool {
        (self.load, self.tie) < (other.load, other.tie)
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
        // Best first; what is not found yet stands behind every row.
        let mut best = [Candidate { load: NEVER, tie: 0, slot: 0 }; NAMED];
        let mut loads = [NEVER; BLOCK];
        for first in (0..table.len()).step_by(BLOCK) {
            let loads = &mut loads[..BLOCK.min(table.len() - first)];
            read(table, first, request.now_ms, loads);
            for (slot, load) in (first..).zip(loads.iter().copied()) {
                let worst = best[NAMED - 1];
                let at = crate::narrow(slot);
                if load > worst.load || load == NEVER || request.tried.contains(at, table.generation(slot)) {
                    continue;
                }
                let candidate = Candidate { load, tie: hash(request.seed, at), slot };
                if candidate.before(&worst) {
                    let place = best.iter().position(|other| candidate.before(other)).unwrap_or(NAMED - 1);
                    best.copy_within(place..NAMED - 1, place + 1);
                    best[place] = candidate;
                }
            }
        }
        for found in best.iter().filter(|it| it.load != NEVER) {
            let load = f32::from_bits(found.load);
            answer.push(Record::target(crate::narrow(found.slot), table.generation(found.slot), load));
        }
        if answer.records().is_empty() { DecisionOutcome::Abstain } else { DecisionOutcome::Ok }
    }
}

/// Works out the loads of the rows from `first` on: the share of the capacity in use, or [`NEVER`].
///
/// Unknown numbers count as 0, an unknown capacity as 1,024. Every column is cut to the same length and read whole
/// before anything is chosen: that is what lets the compiler do without checks and branches.
fn read(table: &Table, first: usize, now_ms: u32, loads: &mut [u32]) {
    let rows = loads.len();
    let cells = |column| &table.cells(column)[first..][..rows];
    let (eligible, valid, own) = (cells(Column::Eligible), cells(Column::Valid), cells(Column::OwnInflight));
    let (running, waiting) = (cells(Column::Running), cells(Column::Waiting));
    let (observed, capacity) = (cells(Column::ObservedMs), cells(Column::Capacity));
    for row in 0..rows {
        let (known, reported) = (valid[row], running[row].saturating_add(waiting[row]));
        let capacity = f32::from_bits(capacity[row]);
        let fresh = (known & Column::ObservedMs.bit() != 0) & (age_ms(now_ms, observed[row]) <= REPORT_AGE_MAX_MS);
        let reported = if fresh { reported } else { 0 };
        let capacity = if known & Column::Capacity.bit() != 0 { capacity } else { CAPACITY_UNKNOWN };
        #[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^24")]
        let used = own[row].max(reported) as f32;
        let load = (used / capacity.max(f32::MIN_POSITIVE)).to_bits();
        loads[row] = if eligible[row] != 0 { load } else { NEVER };
    }
}
