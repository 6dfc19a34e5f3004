//! One line of a log: its time and level taken apart from its text.

use mesh_core::time::Timestamp;

use super::{LINE_BYTES_MAX, Unit};

/// How much a line matters, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// Part of normal life.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something does not work.
    Error,
}

impl Level {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "TRACE" => Self::Trace,
            "DEBUG" => Self::Debug,
            "INFO" => Self::Info,
            "WARN" => Self::Warn,
            "ERROR" => Self::Error,
            _ => return None,
        })
    }

    /// The level of a priority of syslog, 0 to 7.
    pub(super) fn of_priority(priority: u8) -> Self {
        match priority {
            0..=3 => Self::Error,
            4 => Self::Warn,
            5 | 6 => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whose.
    pub unit: Unit,
    /// When; that of the line before it when it has none of its own.
    pub at: Option<Timestamp>,
    /// How much it matters, likewise.
    pub level: Level,
    /// The rest.
    pub text: String,
    /// Bytes at its end that were left out.
    pub cut_bytes: u32,
}

/// Time and level of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) at: Option<Timestamp>,
    pub(super) level: Option<Level>,
}

/// How a daemon begins what it says without a log.
const DYING: [&str; 4] = ["error: ", "mesh-agentd: ", "mesh-routerd: ", "thread '"];

/// Takes the head off a line as our logs write it; a line without one gives `None` and stays whole.
pub(super) fn split(raw: &str) -> (Option<Head>, &str) {
    if let Some((time, rest)) = raw.split_once(' ')
        && time.len() >= 20
        && let Ok(at) = time.parse::<Timestamp>()
    {
        let rest = rest.trim_start();
        let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
        return match Level::parse(word) {
            Some(level) => (Some(Head { at: Some(at), level: Some(level) }), text),
            None => (Some(Head { at: Some(at), level: None }), rest),
        };
    }
    // In the journal, which has the time itself.
    if let Some((word, text)) = raw.trim_start().split_once(' ')
        && let Some(level) = Level::parse(word)
    {
        return (Some(Head { at: None, level: Some(level) }), text);
    }
    // What a daemon says before its log is up or while it dies goes to the same place, without a head.
    let dying = DYING.iter().any(|it| raw.starts_with(it));
    (dying.then_some(Head { at: None, level: Some(Level::Error) }), raw)
}

/// Builds lines of one log, which come in their order.
#[derive(Debug, Clone)]
pub(super) struct Builder {
    unit: Unit,
    last: Head,
}

impl Builder {
    pub(super) fn new(unit: Unit) -> Self {
        Self { unit, last: Head::default() }
    }

    /// The line that these bytes are, without their newline; `cut_bytes` more of it are not there.
    pub(super) fn line(&mut self, raw: &[u8], cut_bytes: u64) -> Line {
        let kept = raw.len().min(LINE_BYTES_MAX);
        let cut = cut_bytes + (raw.len() - kept) as u64;
        let raw = String::from_utf8_lossy(&raw[..kept]);
        let (head, text) = split(raw.trim_end_matches('\r'));
        if let Some(head) = head {
            self.last = Head { at: head.at.or(self.last.at), level: head.level };
        }
        Line {
            unit: self.unit,
            at: self.last.at,
            level: self.last.level.unwrap_or(Level::Info),
            text: text.to_owned(),
            cut_bytes: u32::try_from(cut).unwrap_or(u32::MAX),
        }
    }
}
