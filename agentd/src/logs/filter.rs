//! Which lines a reader wants.

use mesh_core::time::Timestamp;

use super::line::{Level, Line};

/// Conditions that all must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only lines from this time on; lines whose time is not known are older than any.
    pub since: Option<Timestamp>,
    /// Only lines of this level and worse ones.
    pub level: Option<Level>,
    /// Only lines that hold this text.
    pub grep: Option<String>,
}

impl Filter {
    /// Whether a line is wanted.
    #[must_use]
    pub fn takes(&self, line: &Line) -> bool {
        !self.is_too_old(line.at)
            && self.level.is_none_or(|level| line.level >= level)
            && self.grep.as_ref().is_none_or(|text| line.text.contains(text.as_str()))
    }

    /// Whether something of this time is older than all that is wanted.
    pub(super) fn is_too_old(&self, at: Option<Timestamp>) -> bool {
        self.since.is_some_and(|since| at.is_none_or(|at| at < since))
    }
}
