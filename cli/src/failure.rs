//! What a failed command says: what failed, where, why, and the next command to type.

use std::fmt;

use crate::{codes::Code, exit::Exit};

/// A command that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What `mesh explain` knows it by.
    pub code: Option<Code>,
    /// What failed.
    pub what: String,
    /// Where: a file with its line, a node, an endpoint.
    pub place: Option<String>,
    /// Why, in the words of who refused.
    pub why: Option<String>,
    /// The next command to type.
    pub next: Option<String>,
}

/// What a command gives back.
pub type Result<T = Exit> = std::result::Result<T, Failure>;

impl Failure {
    /// Makes a failure that says only what failed.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, code: None, what: what.into(), place: None, why: None, next: None }
    }

    /// Adds what `mesh explain` knows it by.
    #[must_use]
    pub fn coded(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Adds where.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place = Some(place.into());
        self
    }

    /// Adds why.
    #[must_use]
    pub fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Adds the next command.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Adds the next command unless there is one.
    #[must_use]
    pub fn or_next(mut self, next: impl Into<String>) -> Self {
        self.next.get_or_insert_with(|| next.into());
        self
    }

    /// The output has no reader any more: not an error anybody wants to read.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.what.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "error[{code}]: {}", self.what)?,
            None => write!(f, "error: {}", self.what)?,
        }
        for (label, text) in [("where", &self.place), ("why", &self.why), ("next", &self.next)] {
            if let Some(text) = text {
                // Continuation lines stand under the text, not under the label.
                write!(f, "\n  {label}: {}", text.trim_end().replace('\n', "\n    "))?;
            }
        }
        Ok(())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Done, "");
        }
        Self::new(Exit::Failed, "cannot write the output").why(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stands_in_front() {
        let failure = Failure::new(Exit::Invalid, "no").coded(Code::HostsFile);
        assert_eq!(failure.to_string(), "error[E0101]: no");
    }

    #[test]
    fn a_failure_is_read_from_top_to_bottom() {
        let failure = Failure::new(Exit::Invalid, "cannot apply node/node-7")
            .at("pool.yaml:3:5")
            .why("unknown field `wheels`")
            .next("mesh get node node-7 -o yaml");
        assert_eq!(
            failure.to_string(),
            "error: cannot apply node/node-7\n  where: pool.yaml:3:5\n  why: unknown field `wheels`\n  next: mesh get node node-7 -o yaml"
        );
    }
}
