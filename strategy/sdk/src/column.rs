//! The target table as a strategy sees it.

/// How many columns contract 0.1 knows.
pub const COLUMNS: usize = 15;

/// One column of the target table; the discriminant is its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Column {
    /// Number: bit i is set when column i is known.
    Valid = 0,
    /// Number: counts the targets which this slot has held.
    Generation = 1,
    /// Number: 1 when the row may be chosen.
    Eligible = 2,
    /// Number: requests of the whole router which this target has now.
    OwnInflight = 3,
    /// Number: requests in the engine's batch.
    Running = 4,
    /// Number: requests queued in the engine.
    Waiting = 5,
    /// Float: requests which the engine runs at once; unknown counts as 1,024.
    Capacity = 6,
    /// Float: share of the KV cache in use, 0 to 1.
    KvUsed = 7,
    /// Float: the router's average of the time to the first token, in milliseconds.
    TtftMs = 8,
    /// Float: the router's average of the time per output token, in milliseconds.
    TpotMs = 9,
    /// Float: round trip to the engine's host, in microseconds.
    RttUs = 10,
    /// Float: health of GPU and host, 0 to 1.
    Health = 11,
    /// Float: relative price per second.
    Price = 12,
    /// Number: the router's clock when columns 4, 5 and 7 were true, in milliseconds, wrapping.
    ObservedMs = 13,
    /// Number: index of the hardware class.
    Class = 14,
}

impl Column {
    /// Returns the column with this id.
    #[must_use]
    pub const fn from_id(id: usize) -> Option<Self> {
        Some(match id {
            0 => Self::Valid,
            1 => Self::Generation,
            2 => Self::Eligible,
            3 => Self::OwnInflight,
            4 => Self::Running,
            5 => Self::Waiting,
            6 => Self::Capacity,
            7 => Self::KvUsed,
            8 => Self::TtftMs,
            9 => Self::TpotMs,
            10 => Self::RttUs,
            11 => Self::Health,
            12 => Self::Price,
            13 => Self::ObservedMs,
            14 => Self::Class,
            _ => return None,
        })
    }

    /// Returns 1 for a column of 32-bit floats and 0 for one of numbers, as the layout says it.
    #[must_use]
    pub const fn kind(self) -> u8 {
        match self {
            Self::Capacity | Self::KvUsed | Self::TtftMs | Self::TpotMs | Self::RttUs | Self::Health | Self::Price => 1,
            Self::Valid
            | Self::Generation
            | Self::Eligible
            | Self::OwnInflight
            | Self::Running
            | Self::Waiting
            | Self::ObservedMs
            | Self::Class => 0,
        }
    }
}

/// The rows `0..len` in columns; a column which the strategy did not ask for is unknown everywhere.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    len: usize,
    columns: [&'a [u32]; COLUMNS],
}

impl<'a> View<'a> {
    /// Makes a view of `len` rows out of columns; cells of float columns hold the bits of a 32-bit float.
    #[must_use]
    pub fn new(len: usize, columns: impl IntoIterator<Item = (Column, &'a [u32])>) -> Self {
        let mut view = Self { len, columns: [&[]; COLUMNS] };
        for (column, cells) in columns {
            view.columns[column as usize] = cells.get(..len).unwrap_or(&[]);
        }
        view
    }

    /// Returns the number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Says whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns a column's cells, or nothing when the strategy did not ask for the column.
    #[must_use]
    pub const fn cells(&self, column: Column) -> &'a [u32] {
        self.columns[column as usize]
    }

    /// Returns a number of a row; `None` when it is unknown.
    #[must_use]
    pub fn u32(&self, column: Column, slot: usize) -> Option<u32> {
        let valid = self.cells(Column::Valid).get(slot)?;
        if valid & (1 << (column as u32)) == 0 {
            return None;
        }
        self.cells(column).get(slot).copied()
    }

    /// Returns a 32-bit float of a row; `None` when it is unknown.
    #[must_use]
    pub fn f32(&self, column: Column, slot: usize) -> Option<f32> {
        self.u32(column, slot).map(f32::from_bits)
    }

    /// Says whether the row may be chosen.
    #[must_use]
    pub fn eligible(&self, slot: usize) -> bool {
        self.cells(Column::Eligible).get(slot).is_some_and(|cell| *cell != 0)
    }

    /// Returns the row's generation.
    #[must_use]
    pub fn generation(&self, slot: usize) -> u32 {
        self.cells(Column::Generation).get(slot).copied().unwrap_or(0)
    }

    /// Returns the age of the row's report in milliseconds; `None` without a report.
    #[must_use]
    pub fn age_ms(&self, slot: usize, now_ms: u32) -> Option<u32> {
        let observed_ms = self.u32(Column::ObservedMs, slot)?;
        Some(u32::try_from(now_ms.wrapping_sub(observed_ms).cast_signed()).unwrap_or(0))
    }
}
