//! What is wrong in a file that people write: where exactly, why, and what would be right.

use std::fmt;

use crate::{Exit, Failure};

/// How many problems are told of one file.
pub(crate) const PROBLEMS_MAX: usize = 50;

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// The file, as it was named.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: u32,
    /// The column in characters, from 1.
    pub(crate) column: u32,
    /// The path of the key: `hosts[3].ssh.jump`.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) text: String,
    /// What would be right.
    pub(crate) hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// All problems of a file as one failure of a command; each stands at the beginning of a line, as compilers write them.
pub(crate) fn refused(file: &str, problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        PROBLEMS_MAX.. => format!("{PROBLEMS_MAX} problems or more"),
        many => format!("{many} problems"),
    };
    Failure::new(Exit::Invalid, format!("{file} is refused: {count}\n{}", lines.join("\n")))
}
