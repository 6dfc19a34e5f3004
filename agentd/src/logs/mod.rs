//! The logs of this node's daemons: their ends, and what is written next, out of files or out of the host's journal.
//!
//! A reader asks for units, never for paths, and pulls: nothing is read before it has taken what was read last, so a
//! slow one costs this agent an open file and no memory.

mod file;
mod filter;
mod journal;
mod line;
mod reader;
#[cfg(test)]
mod tests;

use std::{io, path::PathBuf};

use mesh_core::time::Timestamp;

pub use self::{
    filter::Filter,
    line::{Level, Line},
    reader::{Chunk, Reader},
};

/// The most lines of the past that one reader gets.
pub const LINES_MAX: usize = 10_000;
/// The longest text that is searched for, in bytes.
pub const GREP_BYTES_MAX: usize = 256;
/// The longest part of a line that travels, in bytes.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// The most of the past that one reader gets, in bytes: what does not fit is the oldest.
const PAST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Whose log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// This agent.
    Agentd,
    /// The router on this host.
    Routerd,
    /// The engine that a local mesh runs.
    Engine,
    /// What keeps the others running where there is no systemd.
    Supervisor,
}

impl Unit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Agentd, Self::Routerd, Self::Engine, Self::Supervisor];

    /// Its name in texts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agentd => "agentd",
            Self::Routerd => "routerd",
            Self::Engine => "engine",
            Self::Supervisor => "supervisor",
        }
    }

    /// Its file in the directory of logs.
    fn file(self) -> &'static str {
        match self {
            Self::Agentd => "agentd.log",
            Self::Routerd => "routerd.log",
            Self::Engine => "engine.log",
            Self::Supervisor => "supervise.log",
        }
    }

    /// Its unit of systemd, if it can have one.
    fn service(self) -> Option<&'static str> {
        match self {
            Self::Agentd => Some("mesh-agentd.service"),
            Self::Routerd => Some("mesh-routerd.service"),
            Self::Engine | Self::Supervisor => None,
        }
    }
}

/// Where the logs of this node are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// Files in a directory, as the supervisor writes them.
    Dir(PathBuf),
    /// The journal of the host, by this program.
    Journal(PathBuf),
}

impl Home {
    /// The directory of the configuration, or else the journal.
    #[must_use]
    pub fn new(log_dir: Option<PathBuf>) -> Self {
        log_dir.map_or_else(|| Self::Journal("journalctl".into()), Self::Dir)
    }
}

/// What a reader wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose logs; empty = all there are.
    pub units: Vec<Unit>,
    /// Whether it goes on with what is written next.
    pub follow: bool,
    /// At most so many lines of the past.
    pub lines: usize,
    /// Which lines.
    pub filter: Filter,
}

/// Why there is nothing to read.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// The node has no such log.
    #[error("this node has no log of {wanted}; it has: {there}")]
    Absent {
        /// What was asked for.
        wanted: String,
        /// What there is.
        there: String,
    },
    /// The file or the journal cannot be read.
    #[error("{what}: {source}")]
    Read {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LogsError {
    fn read(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        |source| Self::Read { what, source }
    }

    fn absent(wanted: &[Unit], there: &[Unit]) -> Self {
        let names = |units: &[Unit]| match units {
            [] => "none".to_owned(),
            units => units.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", "),
        };
        Self::Absent { wanted: names(wanted), there: names(there) }
    }
}

/// Merges what several logs gave by time, keeps the newest `lines` of at most [`PAST_BYTES_MAX`] bytes.
fn newest(mut lines: Vec<Line>, most: usize) -> Vec<Line> {
    // Stable: lines of one log stay in their order.
    lines.sort_by_key(|it| it.at.unwrap_or(Timestamp(0)));
    let mut bytes = 0;
    let kept = lines.iter().rev().take(most).take_while(|it| {
        bytes += it.text.len() + 64;
        bytes <= PAST_BYTES_MAX
    });
    let kept = kept.count();
    lines.split_off(lines.len() - kept)
}
