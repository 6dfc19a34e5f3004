//! The one owner of a model's target table: slots, generations, and the coalesced updates for the workers.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    column::{Column, ColumnKind},
    table::{ALL_COLUMNS, Content, HOST_COLUMNS, RowChange, RowDelta, Table, Update, UpdateBody},
    target::{Room, Target, TargetId, TargetSpec},
};

/// Below this many changed rows an update lists rows, however small the table.
const ROWS_BEFORE_COPY: usize = 64;
/// Above one changed row in this many an update is a copy.
const SHARE_BEFORE_COPY: usize = 8;

/// The slot map of one (process, model), written by one owner.
#[derive(Debug, Default)]
pub struct TableWriter {
    table: Table,
    slots: BTreeMap<String, usize>,
    /// Of every slot there ever was; never reset.
    generations: Vec<u32>,
    /// What the owner declared, without the breaker: serves the model, Ready, not cordoned.
    serving: Vec<bool>,
    /// The changed columns of each slot since the last publication.
    changed: Vec<u32>,
    /// The slots with a bit in `changed`.
    pending: Vec<usize>,
    resized: bool,
    made_room: bool,
    seq: u64,
    next_id: u64,
    room: Arc<Room>,
}

impl TableWriter {
    /// Makes the table of a model without targets. `first_id` is the first [`TargetId`] it gives out; ids are unique
    /// in the process when the owner leaves room between its tables.
    #[must_use]
    pub fn new(first_id: u64) -> Self {
        Self { next_id: first_id, ..Self::default() }
    }

    /// Returns the model's room counter, shared with its targets and lines.
    #[must_use]
    pub fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// Returns the owner's own state of the table.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the keys of the targets, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.slots.keys().map(String::as_str)
    }

    /// Returns the target with this key.
    #[must_use]
    pub fn target(&self, key: &str) -> Option<&Arc<Target>> {
        self.table.target(*self.slots.get(key)?)
    }

    /// Adds a target in the next slot, not serving yet; a known key returns the target that is there.
    pub fn insert(&mut self, spec: TargetSpec) -> Arc<Target> {
        if let Some(target) = self.target(&spec.key) {
            return Arc::clone(target);
        }
        let slot = self.table.len();
        self.slots.insert(spec.key.clone(), slot);
        let target = Arc::new(Target::new(TargetId(self.next_id), spec, Arc::clone(&self.room)));
        self.next_id += 1;
        self.table.resize(slot + 1);
        self.serving.resize(slot + 1, false);
        self.generations.resize(self.generations.len().max(slot + 1), 0);
        self.changed.resize(self.generations.len(), 0);
        self.resized = true;
        let mut cells = [0; crate::COLUMNS];
        cells[Column::Valid.id()] = HOST_COLUMNS;
        self.put(slot, &cells, &target);
        target
    }

    /// Removes a target and closes it; the last row moves into the hole.
    pub fn remove(&mut self, key: &str) -> Option<Arc<Target>> {
        let hole = self.slots.remove(key)?;
        let removed = self.table.target(hole).map(Arc::clone);
        if let Some(target) = &removed {
            target.set_open(false);
        }
        let last = self.table.len() - 1;
        if hole != last {
            let cells = self.table.row(last);
            if let Some(moved) = self.table.target(last).map(Arc::clone) {
                self.slots.insert(moved.spec.key.clone(), hole);
                self.serving[hole] = self.serving[last];
                self.put(hole, &cells, &moved);
            }
        }
        self.table.resize(last);
        self.serving.truncate(last);
        self.resized = true;
        removed
    }

    /// Sets a number which an agent or the desired state gives; `None` makes it unknown.
    ///
    /// Host columns, 32-bit float columns and unknown keys are left alone.
    pub fn set_u32(&mut self, key: &str, column: Column, value: Option<u32>) {
        if column.kind() == ColumnKind::U32 {
            self.set(key, column, value);
        }
    }

    /// Sets a 32-bit float which an agent or the desired state gives; `None` and numbers that are not finite make it
    /// unknown.
    ///
    /// Number columns and unknown keys are left alone.
    pub fn set_f32(&mut self, key: &str, column: Column, value: Option<f32>) {
        if column.kind() == ColumnKind::F32 {
            self.set(key, column, value.filter(|value| value.is_finite()).map(f32::to_bits));
        }
    }

    /// Says whether the target serves the model on a Ready node that is not cordoned; `eligible` also needs its
    /// breaker closed. Closing takes hold in every worker at once.
    pub fn set_serving(&mut self, key: &str, serving: bool, now_ms: u64) {
        let Some(&slot) = self.slots.get(key) else { return };
        self.serving[slot] = serving;
        if let Some(target) = self.table.target(slot)
            && target.is_open() != serving
        {
            target.set_open(serving);
        }
        self.refresh_eligible(slot, now_ms);
    }

    /// Takes the shared in-flight counts over into column 3; once a millisecond while there is traffic.
    pub fn refresh_inflight(&mut self) {
        for slot in 0..self.table.len() {
            if let Some(inflight) = self.table.target(slot).map(|target| target.own_inflight()) {
                self.set_cell(slot, Column::OwnInflight, inflight);
            }
        }
    }

    /// Takes the averages over into columns 8 and 9; every 100 ms.
    pub fn refresh_latency(&mut self) {
        for slot in 0..self.table.len() {
            let Some(target) = self.table.target(slot) else { continue };
            let (ttft_ms, tpot_ms) = (target.ttft_ms(), target.tpot_ms());
            self.set_known(slot, Column::TtftMs, ttft_ms.map(f32::to_bits));
            self.set_known(slot, Column::TpotMs, tpot_ms.map(f32::to_bits));
        }
    }

    /// Takes the breakers over into `eligible`; on the 10 ms grid.
    pub fn refresh_breakers(&mut self, now_ms: u64) {
        for slot in 0..self.table.len() {
            self.refresh_eligible(slot, now_ms);
        }
    }

    /// Returns what changed since the last call, as rows or, above `max(64, n / 8)` rows, as a copy.
    pub fn publish(&mut self) -> Option<Update> {
        if self.pending.is_empty() && !self.resized {
            return None;
        }
        self.seq += 1;
        let len = self.table.len();
        let rows = self.pending.iter().filter(|slot| **slot < len).count();
        let content = if rows > ROWS_BEFORE_COPY.max(len / SHARE_BEFORE_COPY) {
            Content::Copy(Box::new(self.table.clone()))
        } else {
            Content::Rows(self.pending.iter().filter_map(|slot| self.delta(*slot)).collect())
        };
        for slot in self.pending.drain(..) {
            self.changed[slot] = 0;
        }
        self.resized = false;
        if std::mem::take(&mut self.made_room) {
            self.room.bump();
        }
        Some(Update(Arc::new(UpdateBody { seq: self.seq, len, content })))
    }

    /// Returns a copy of the table, for a worker that is new or missed an update.
    #[must_use]
    pub fn snapshot(&self) -> Update {
        let content = Content::Copy(Box::new(self.table.clone()));
        Update(Arc::new(UpdateBody { seq: self.seq, len: self.table.len(), content }))
    }

    fn delta(&self, slot: usize) -> Option<RowDelta> {
        let target = Arc::clone(self.table.target(slot)?);
        let change = RowChange { slot: crate::narrow(slot), mask: self.changed[slot] };
        Some(RowDelta { change, cells: self.table.row(slot), target })
    }

    /// Puts a target into a slot, under the slot's next generation.
    fn put(&mut self, slot: usize, cells: &crate::table::Cells, target: &Arc<Target>) {
        self.generations[slot] = self.generations[slot].wrapping_add(1);
        let mut cells = *cells;
        cells[Column::Generation.id()] = self.generations[slot];
        self.table.write(RowChange { slot: crate::narrow(slot), mask: ALL_COLUMNS }, &cells, Some(target));
        self.made_room |= cells[Column::Eligible.id()] != 0;
        self.mark(slot, ALL_COLUMNS);
    }

    fn refresh_eligible(&mut self, slot: usize, now_ms: u64) {
        let admits = self.table.target(slot).is_some_and(|target| target.breaker.admits(now_ms));
        self.set_cell(slot, Column::Eligible, u32::from(self.serving[slot] && admits));
    }

    fn set(&mut self, key: &str, column: Column, cell: Option<u32>) {
        if HOST_COLUMNS & column.bit() != 0 {
            return;
        }
        if let Some(&slot) = self.slots.get(key) {
            self.set_known(slot, column, cell);
        }
    }

    /// Writes a cell together with its bit in `valid`.
    fn set_known(&mut self, slot: usize, column: Column, cell: Option<u32>) {
        let valid = self.table.cells(Column::Valid)[slot];
        let valid = if cell.is_some() { valid | column.bit() } else { valid & !column.bit() };
        self.made_room |= column == Column::Capacity && self.table.u32(column, slot) != cell;
        self.set_cell(slot, Column::Valid, valid);
        self.set_cell(slot, column, cell.unwrap_or(0));
    }

    fn set_cell(&mut self, slot: usize, column: Column, cell: u32) {
        if self.table.cells(column)[slot] != cell {
            self.made_room |= column == Column::Eligible && cell != 0;
            self.table.set(column, slot, cell);
            self.mark(slot, column.bit());
        }
    }

    fn mark(&mut self, slot: usize, mask: u32) {
        if self.changed[slot] == 0 {
            self.pending.push(slot);
        }
        self.changed[slot] |= mask;
    }
}
