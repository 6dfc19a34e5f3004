//! What is wrong with a playbook, and where.

use std::fmt;

use crate::{Exit, Failure};

/// One thing that is wrong, at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) file: String,
    /// 1 for the first; 0 when the whole file is meant.
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) text: String,
    /// What would be right.
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// FILE:LINE:COLUMN, or FILE.
    pub(crate) fn place(&self) -> String {
        if self.line == 0 { self.file.clone() } else { format!("{}:{}:{}", self.file, self.line, self.column) }
    }

    /// The failure of a command that met these problems; the first is told in full, all are told in order.
    pub(crate) fn failure(what: impl Into<String>, problems: &[Self]) -> Failure {
        let failure = Failure::new(Exit::Invalid, what).coded(crate::Code::Playbook);
        let Some(first) = problems.first() else { return failure };
        let text = |it: &Self| match &it.hint {
            Some(hint) => format!("{}; {hint}", it.text),
            None => it.text.clone(),
        };
        let mut why = text(first);
        for more in &problems[1..] {
            why.push_str(&format!("\n{}: {}", more.place(), text(more)));
        }
        failure.at(first.place()).why(why)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.text)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// The nearest of some names, as a hint.
pub(super) fn did_you_mean<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    let near = names.iter().map(|name| (strsim::damerau_levenshtein(wrong, name), *name)).min();
    match near {
        Some((edits, name)) if edits <= 1 + wrong.len() / 3 => Some(format!("did you mean `{name}`?")),
        Some(_) if names.len() <= 20 => Some(format!("there are: {}", names.join(", "))),
        _ => None,
    }
}
