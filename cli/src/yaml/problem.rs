//! What is wrong in a file that people write: where exactly, why, and what would be right.

use std::fmt;

use super::tree::At;
use crate::{Code, Exit, Failure};

/// How many problems are told of one file.
pub(crate) const PROBLEMS_MAX: usize = 50;
/// How many problems are kept until they are sorted.
const FOUND_MAX: usize = 1_000;
/// How much of a text that is wrong is repeated.
const QUOTED_MAX: usize = 80;

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

/// The way to a value: keys and indices from the top.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Path(Vec<Step>);

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Into the value of a key.
    Key(String),
    /// Into an item of a list.
    Index(usize),
}

/// The problems of one file, as they are found.
#[derive(Debug)]
pub(crate) struct Problems {
    file: String,
    found: Vec<Problem>,
}

impl Path {
    /// One step further, into the value of a key.
    pub(crate) fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Key(key.to_owned()));
        path
    }

    /// One step further, into an item.
    pub(crate) fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.0.push(Step::Index(index));
        path
    }

    /// The steps from the top.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The last key on the way.
    pub(crate) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Problems {
    /// No problem yet.
    pub(crate) fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), found: Vec::new() }
    }

    /// Whether something at this place is wrong already.
    pub(crate) fn is_at(&self, at: At) -> bool {
        self.found.iter().any(|it| (it.line, it.column) == (at.line, at.column))
    }

    /// One more; a file that is wrong everywhere is not told about to its end.
    pub(crate) fn add(&mut self, at: At, path: &Path, text: impl Into<String>, hint: impl Into<Option<String>>) {
        if self.found.len() >= FOUND_MAX {
            return;
        }
        let (line, column) = (at.line, at.column);
        let (text, hint) = (text.into(), hint.into());
        self.found.push(Problem { file: self.file.clone(), line, column, path: path.to_string(), text, hint });
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them in the order of the file, each once, at most [`PROBLEMS_MAX`].
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|it| (it.line, it.column));
        let mut seen = std::collections::BTreeSet::new();
        self.found.retain(|it| seen.insert((it.line, it.column, it.text.clone())));
        self.found.truncate(PROBLEMS_MAX);
        self.found
    }
}

/// A text of a file as an error repeats it: bounded, on one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(QUOTED_MAX).is_some() {
        short.push('…');
    }
    format!("`{short}`")
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
    Failure::new(Exit::Invalid, format!("{file} is refused: {count}\n{}", lines.join("\n"))).coded(Code::HostsFile)
}
