//! A worker's copy of one model's target table, in columns, and the updates that keep it current.

use std::sync::Arc;

use crate::{
    column::{COLUMNS, Column},
    target::Target,
};

/// Columns 0 to 3, which the host always knows.
pub(crate) const HOST_COLUMNS: u32 =
    Column::Valid.bit() | Column::Generation.bit() | Column::Eligible.bit() | Column::OwnInflight.bit();
/// The mask of a row that is new as a whole.
pub(crate) const ALL_COLUMNS: u32 = (1 << COLUMNS) - 1;

/// The cells of one row, by column id; 32-bit floats as their bits.
pub(crate) type Cells = [u32; COLUMNS];

/// A row that changed, and which of its columns did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// The row.
    pub slot: u32,
    /// The bits of the changed columns.
    pub mask: u32,
}

/// What changed in a table.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Everything: a new copy.
    All,
    /// These rows.
    Rows(&'a [RowChange]),
}

/// One row of an update: absolute values, so that applying it twice does no harm.
#[derive(Clone, Debug)]
pub(crate) struct RowDelta {
    pub(crate) change: RowChange,
    pub(crate) cells: Cells,
    pub(crate) target: Arc<Target>,
}

/// The targets of one model in columns; slots are dense, `0..len`.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: [Vec<u32>; COLUMNS],
    targets: Vec<Option<Arc<Target>>>,
}

impl Table {
    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Says whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Returns one column as its cells, 32-bit floats as their bits; one entry a row.
    #[must_use]
    pub fn cells(&self, column: Column) -> &[u32] {
        &self.columns[column.id()]
    }

    /// Returns a number of a row; `None` when it is unknown.
    #[must_use]
    pub fn u32(&self, column: Column, slot: usize) -> Option<u32> {
        (self.cells(Column::Valid)[slot] & column.bit() != 0).then(|| self.cells(column)[slot])
    }

    /// Returns a 32-bit float of a row; `None` when it is unknown.
    #[must_use]
    pub fn f32(&self, column: Column, slot: usize) -> Option<f32> {
        self.u32(column, slot).map(f32::from_bits)
    }

    /// Says whether the row may be chosen.
    #[must_use]
    pub fn eligible(&self, slot: usize) -> bool {
        self.cells(Column::Eligible)[slot] != 0
    }

    /// Returns the row's generation.
    #[must_use]
    pub fn generation(&self, slot: usize) -> u32 {
        self.cells(Column::Generation)[slot]
    }

    /// Returns the age of the row's report in milliseconds; `None` without a report.
    #[must_use]
    pub fn age_ms(&self, slot: usize, now_ms: u32) -> Option<u32> {
        self.u32(Column::ObservedMs, slot).map(|observed_ms| age_ms(now_ms, observed_ms))
    }

    /// Returns the row's target; `None` in a replay, where there is nothing to send to.
    #[must_use]
    pub fn target(&self, slot: usize) -> Option<&Arc<Target>> {
        self.targets.get(slot)?.as_ref()
    }

    /// Returns the cells of a row.
    pub(crate) fn row(&self, slot: usize) -> Cells {
        std::array::from_fn(|column| self.columns[column][slot])
    }

    /// Grows or shrinks to `len` rows; new rows are all zero and have no target.
    pub(crate) fn resize(&mut self, len: usize) {
        for column in &mut self.columns {
            column.resize(len, 0);
        }
        self.targets.resize(len, None);
    }

    /// Writes the cells of `mask` and, when the row's target changed, its target.
    pub(crate) fn write(&mut self, change: RowChange, cells: &Cells, target: Option<&Arc<Target>>) {
        let slot = change.slot as usize;
        for (column, cell) in self
            .columns
            .iter_mut()
            .zip(cells)
            .enumerate()
            .filter_map(|(id, pair)| (change.mask & (1 << id) != 0).then_some(pair))
        {
            column[slot] = *cell;
        }
        if change.mask & Column::Generation.bit() != 0 {
            self.targets[slot] = target.cloned();
        }
    }

    /// Writes one cell.
    pub(crate) fn set(&mut self, column: Column, slot: usize, cell: u32) {
        self.columns[column.id()][slot] = cell;
    }
}

/// Returns `max(0, now - observed)` on the contract's wrapping clock.
pub(crate) fn age_ms(now_ms: u32, observed_ms: u32) -> u32 {
    u32::try_from(now_ms.wrapping_sub(observed_ms).cast_signed()).unwrap_or(0)
}

/// One step of a table, from its owner to every worker; cheap to clone.
#[derive(Clone, Debug)]
pub struct Update(pub(crate) Arc<UpdateBody>);

#[derive(Debug)]
pub(crate) struct UpdateBody {
    /// Counts the owner's publications; a copy takes the number it includes.
    pub(crate) seq: u64,
    /// Rows of the table after this step.
    pub(crate) len: usize,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Rows(Vec<RowDelta>),
    Copy(Box<Table>),
}

impl Update {
    /// Says whether this is a copy of the whole table, which fits any state of a worker.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        matches!(self.0.content, Content::Copy(_))
    }
}

/// A worker missed an update and needs a copy of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("update {got} does not follow {have}: a copy of the table is needed")]
pub struct Gap {
    /// The last update applied.
    pub have: u64,
    /// The update that came.
    pub got: u64,
}
