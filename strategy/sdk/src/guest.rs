//! What a strategy implements, and the memory which the host writes its inputs into.

use core::cell::UnsafeCell;

use crate::{
    COLUMNS, Column, FEEDBACK_MAX, Feedback, RECORDS_MAX, Record, Request, View,
    layout::{Head, Layout},
};

/// What a decision came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The records in [`Out`], best first.
    Ranked,
    /// The baseline decides; not a fault.
    Abstain,
}

/// The records of one answer.
#[derive(Debug)]
pub struct Out<'a> {
    records: &'a mut [Record],
    len: usize,
}

impl<'a> Out<'a> {
    /// Makes an empty answer over the space for its records.
    #[must_use]
    pub const fn new(records: &'a mut [Record]) -> Self {
        Self { records, len: 0 }
    }

    /// Adds a target after those already there; one beyond the space is dropped.
    pub fn target(&mut self, view: &View<'_>, slot: usize, score: f32) {
        let generation = view.generation(slot);
        if let Ok(slot) = u32::try_from(slot) {
            self.push(Record::target(slot, generation, score));
        }
    }

    /// Adds a record; one beyond the space is dropped.
    pub fn push(&mut self, record: Record) {
        if let Some(free) = self.records.get_mut(self.len) {
            *free = record;
            self.len += 1;
        }
    }

    /// Returns the records so far.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.records.get(..self.len).unwrap_or(&[])
    }
}

/// A strategy. Its state changes only in these calls, so the same calls give the same answers.
pub trait Guest {
    /// The state before `init`. All zero keeps the module small.
    const ZERO: Self;

    /// Prepares the instance; the seed differs from instance to instance.
    fn init(&mut self, _seed: u64) {}

    /// Ranks the rows of `view` for one request.
    fn decide(&mut self, view: &View<'_>, request: &Request, out: &mut Out<'_>) -> Verdict;

    /// Learns what became of own decisions.
    fn observe(&mut self, _batch: &[Feedback]) {}
}

/// Everything an instance has: the host's inputs, the answer, and the strategy's own state.
#[derive(Debug)]
#[repr(C)]
pub struct Memory<G, const CAP: usize, const COLS: usize> {
    layout: Layout,
    request: Request,
    /// Where a later contract's longer request ends.
    request_tail: [u64; 7],
    out: [Record; RECORDS_MAX],
    feedback: [Feedback; FEEDBACK_MAX],
    columns: [[u32; CAP]; COLS],
    guest: G,
}

impl<G: Guest, const CAP: usize, const COLS: usize> Memory<G, CAP, COLS> {
    /// The memory of an instance that was not initialised.
    pub const ZERO: Self = Self {
        layout: Layout::EMPTY,
        request: Request::EMPTY,
        request_tail: [0; 7],
        out: [Record::EMPTY; RECORDS_MAX],
        feedback: [Feedback::EMPTY; FEEDBACK_MAX],
        columns: [[0; CAP]; COLS],
        guest: G::ZERO,
    };

    /// Carries out `mesh_init`.
    pub fn init(&mut self, seed_low: i64, seed_high: i64) -> i32 {
        let seed = (seed_high.cast_unsigned() << 32) | (seed_low.cast_unsigned() & 0xffff_ffff);
        self.guest.init(seed);
        0
    }

    /// Carries out `mesh_layout`; `ids` are the columns asked for.
    pub fn layout(&mut self, ids: &[Column; COLS]) -> usize {
        let head = Head {
            cap_targets: CAP,
            request: (address(&self.request), size_of::<Request>() + size_of_val(&self.request_tail)),
            out: (address(&self.out), RECORDS_MAX),
            feedback: (address(&self.feedback), FEEDBACK_MAX),
        };
        let bases = ids.iter().zip(&self.columns).map(|(column, cells)| (*column, address(cells)));
        self.layout.fill(head, bases);
        address(&self.layout)
    }

    /// Carries out `mesh_decide` for `rows` rows.
    pub fn decide(&mut self, ids: &[Column; COLS], rows: i32) -> i32 {
        let rows = usize::try_from(rows).unwrap_or(0).min(CAP);
        let mut columns: [(Column, &[u32]); COLS] = [(Column::Valid, &[]); COLS];
        for ((entry, column), cells) in columns.iter_mut().zip(ids).zip(&self.columns) {
            *entry = (*column, cells.get(..rows).unwrap_or(&[]));
        }
        let view = View::new(rows, columns);
        let mut out = Out::new(&mut self.out);
        match self.guest.decide(&view, &self.request, &mut out) {
            Verdict::Ranked => i32::try_from(out.records().len()).unwrap_or(-1),
            Verdict::Abstain => -1,
        }
    }

    /// Carries out `mesh_observe` for `count` records.
    pub fn observe(&mut self, count: i32) -> i32 {
        let count = usize::try_from(count).unwrap_or(0);
        self.guest.observe(self.feedback.get(..count).unwrap_or(&self.feedback));
        0
    }
}

const _: () = assert!(COLUMNS == 15, "contract 0.1 has 15 columns");

fn address<T>(of: &T) -> usize {
    core::ptr::from_ref(of).addr()
}

/// The one static which holds a module's memory.
#[derive(Debug)]
pub struct Shared<T>(UnsafeCell<T>);

#[expect(unsafe_code, reason = "a WASM instance has one thread and is never entered while it runs")]
// SAFETY: the macro makes such a static on wasm32 only. A module of this contract has no threads, and no import
// through which the host could call back in, so no two calls of `with` ever overlap.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Wraps the initial value.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Gives the value to `f`.
    ///
    /// # Safety
    /// The caller makes sure that no other call of `with` on the same value is running.
    #[expect(unsafe_code, reason = "the host writes inputs into this memory between two calls")]
    pub unsafe fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the caller promises that this is the only reference for its duration.
        f(unsafe { &mut *self.0.get() })
    }
}
