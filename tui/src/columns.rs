//! The columns of each table: their titles, widths, and which go first when the terminal is narrow.

/// One column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) width: u16,
    pub(crate) right: bool,
    /// 0 stays longest.
    pub(crate) priority: u8,
}

const fn left(title: &'static str, width: u16, priority: u8) -> Column {
    Column { title, width, right: false, priority }
}

const fn right(title: &'static str, width: u16, priority: u8) -> Column {
    Column { title, width, right: true, priority }
}

macro_rules! columns {
    ($(#[$doc:meta])* $type:ident, $($name:ident => $column:expr,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $type { $($name,)* }

        impl $type {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];
            pub(crate) const COLUMNS: &[Column] = &[$($column,)*];
        }
    };
}

columns! {
    /// The columns of the table of nodes.
    NodeColumn,
    Name => left("NODE", 12, 0),
    Zone => left("ZONE", 8, 10),
    Rack => left("RACK", 5, 11),
    State => left("STATE", 9, 1),
    Gpus => right("GPU", 3, 8),
    Util => right("UTIL", 4, 2),
    Trail => left("RECENT", 8, 12),
    Vram => right("VRAM", 4, 7),
    Temp => right("TEMP", 4, 3),
    Power => right("POWER", 7, 9),
    Engines => right("ENG", 5, 6),
    Running => right("RUN", 5, 13),
    Waiting => right("WAIT", 5, 4),
    Flight => right("FLIGHT", 6, 14),
    Load => right("LOAD", 6, 17),
    Behind => right("BEHIND", 6, 16),
    Version => left("VERSION", 8, 15),
    Age => right("AGE", 5, 5),
}

columns! {
    /// The columns of the table of GPUs.
    GpuColumn,
    Gpu => left("GPU", 14, 0),
    Health => left("HEALTH", 11, 3),
    Util => right("UTIL", 4, 1),
    Bar => left("", 10, 10),
    Vram => right("VRAM GiB", 9, 4),
    Temp => right("TEMP", 4, 2),
    Power => right("POWER", 6, 5),
    Clock => right("MHz", 5, 8),
    Throttle => left("THROTTLE", 8, 6),
    Ecc => right("ECC c/u", 8, 7),
    State => left("NODE IS", 9, 9),
    Model => left("MODEL", 14, 11),
}

columns! {
    /// The columns of the table of models.
    ModelColumn,
    Model => left("MODEL", 18, 0),
    Targets => right("TARGETS", 9, 1),
    Running => right("RUN", 6, 4),
    Waiting => right("WAIT", 6, 2),
    Trail => left("2 min", 12, 10),
    Flight => right("FLIGHT", 7, 3),
    Oldest => right("OLDEST", 6, 9),
    Kv => right("KV", 4, 7),
    Rate => right("REQ/S", 6, 5),
    Errors => right("ERR/S", 6, 6),
    Ttft => right("TTFT p50/p99", 13, 8),
}
