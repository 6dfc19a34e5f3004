//! Turns an answer into a place: the records in order, then the other rows in the baseline's order.

use crate::{
    answer::Answer,
    column::Column,
    request::{Request, splitmix64},
    table::Table,
    target::Place,
};

/// Where a request goes.
#[derive(Debug)]
pub enum Choice {
    /// To this place, which is taken.
    Target(Place),
    /// Nowhere now: there is a row that could serve it, and every one is full.
    NoRoom,
    /// Nowhere: no row could serve it.
    NoTarget,
}

/// The baseline's place in its round, one for each worker and model.
#[derive(Clone, Copy, Debug)]
pub struct Baseline {
    worker: u32,
    /// The slot after the last one given; `None` before the first.
    next: Option<usize>,
}

impl Baseline {
    /// Makes the round of a worker; workers start at different rows.
    #[must_use]
    pub const fn new(worker: u32) -> Self {
        Self { worker, next: None }
    }

    /// Returns the worker.
    pub(crate) const fn worker(&self) -> u32 {
        self.worker
    }

    /// Returns the row at which the round goes on, in a table of `rows` rows.
    pub(crate) fn start(&self, rows: usize) -> usize {
        if rows == 0 {
            return 0;
        }
        match self.next {
            Some(next) => next % rows,
            None => {
                let start = splitmix64(u64::from(self.worker)) % rows as u64;
                usize::try_from(start).unwrap_or(0)
            }
        }
    }

    /// Notes that the round gave this row.
    pub(crate) fn gave(&mut self, slot: usize) {
        self.next = Some(slot + 1);
    }
}

/// Takes a place for `request`: the answer's targets in order, then the unnamed rows in the baseline's order.
///
/// Skips rows that are ineligible, tried, stale, closed or full. `now_ms` is the process's clock. A row which this
/// request has tried does not count as one that could serve it, so a request whose every engine failed ends instead
/// of waiting.
pub fn choose(table: &Table, answer: &Answer, request: &Request, baseline: &mut Baseline, now_ms: u64) -> Choice {
    let mut some_full = false;
    for record in answer.records() {
        let Some((slot, generation)) = record.as_target() else { continue };
        if (slot as usize) < table.len() && table.generation(slot as usize) == generation {
            match take(table, slot as usize, request, now_ms) {
                Take::Place(place) => return Choice::Target(place),
                Take::Full => some_full = true,
                Take::Never => {}
            }
        }
    }
    let start = baseline.start(table.len());
    for slot in (start..table.len()).chain(0..start) {
        match take(table, slot, request, now_ms) {
            Take::Place(place) => {
                baseline.gave(slot);
                return Choice::Target(place);
            }
            Take::Full => some_full = true,
            Take::Never => {}
        }
    }
    if some_full { Choice::NoRoom } else { Choice::NoTarget }
}

enum Take {
    Place(Place),
    Full,
    Never,
}

/// Tries to take a place of one row.
fn take(table: &Table, slot: usize, request: &Request, now_ms: u64) -> Take {
    let generation = table.generation(slot);
    let at = crate::narrow(slot);
    if !table.eligible(slot) || request.tried.contains(at, generation) {
        return Take::Never;
    }
    let Some(target) = table.target(slot).filter(|target| target.is_open() && target.breaker.admits(now_ms)) else {
        return Take::Never;
    };
    match target.take((at, generation), table.f32(Column::Capacity, slot), now_ms) {
        Some(place) => Take::Place(place),
        None => Take::Full,
    }
}
