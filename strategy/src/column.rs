//! The columns of the target table: ids, kinds and names, fixed for ever.

/// How many columns contract 0.1 knows.
pub const COLUMNS: usize = 15;

/// What the four bytes of a cell mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// An unsigned number.
    U32,
    /// A finite IEEE 754 number.
    F32,
}

/// One column of the target table; the discriminant is its id on the wire and is never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Column {
    /// Bit i is set when column i is known.
    Valid = 0,
    /// Counts the targets which this slot has held.
    Generation = 1,
    /// 1 when the row may be chosen: serves the model, Ready, not cordoned, breaker closed.
    Eligible = 2,
    /// Requests sent and not released, of the whole router.
    OwnInflight = 3,
    /// Requests in the engine's batch.
    Running = 4,
    /// Requests queued in the engine.
    Waiting = 5,
    /// Requests which the engine runs at once.
    Capacity = 6,
    /// Share of the KV cache in use, 0 to 1.
    KvUsed = 7,
    /// This router's moving average of the time to the first token, in milliseconds.
    TtftMs = 8,
    /// This router's moving average of the time per output token, in milliseconds.
    TpotMs = 9,
    /// Round trip from the router to the engine's host, in microseconds.
    RttUs = 10,
    /// Health of GPU and host, 0 to 1.
    Health = 11,
    /// Relative price per second.
    Price = 12,
    /// The router's clock when the report was true, in milliseconds, wrapping.
    ObservedMs = 13,
    /// Index of the hardware class.
    Class = 14,
}

impl Column {
    /// Every column, in the order of its id.
    pub const ALL: [Self; COLUMNS] = [
        Self::Valid,
        Self::Generation,
        Self::Eligible,
        Self::OwnInflight,
        Self::Running,
        Self::Waiting,
        Self::Capacity,
        Self::KvUsed,
        Self::TtftMs,
        Self::TpotMs,
        Self::RttUs,
        Self::Health,
        Self::Price,
        Self::ObservedMs,
        Self::Class,
    ];

    /// Returns the id, which is also the index of the column.
    #[must_use]
    pub const fn id(self) -> usize {
        self as usize
    }

    /// Returns the column with this id, if contract 0.1 knows one.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// Returns the bit of this column in `valid` and in the mask of a change.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1 << (self as u32)
    }

    /// Returns what the cells of this column hold.
    #[must_use]
    pub const fn kind(self) -> ColumnKind {
        match self {
            Self::Valid
            | Self::Generation
            | Self::Eligible
            | Self::OwnInflight
            | Self::Running
            | Self::Waiting
            | Self::ObservedMs
            | Self::Class => ColumnKind::U32,
            Self::Capacity | Self::KvUsed | Self::TtftMs | Self::TpotMs | Self::RttUs | Self::Health | Self::Price => {
                ColumnKind::F32
            }
        }
    }
}
