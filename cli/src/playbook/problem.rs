//! What is wrong with a playbook, as commands tell it.

use crate::{
    Exit, Failure,
    yaml::{At, Problem, nearest},
};

/// One thing that is wrong at a place of a file.
pub(super) fn problem(file: &str, at: At, text: impl Into<String>, hint: Option<String>) -> Problem {
    let (line, column) = (at.line, at.column);
    Problem { file: file.to_owned(), line, column, path: String::new(), text: text.into(), hint }
}

fn place(it: &Problem) -> String {
    format!("{}:{}:{}", it.file, it.line, it.column)
}

/// A problem on one line, after its place.
fn text(it: &Problem) -> String {
    match &it.hint {
        Some(hint) => format!("{}; {hint}", it.text),
        None => it.text.clone(),
    }
}

/// A problem on one line.
pub(super) fn line(it: &Problem) -> String {
    format!("{}: {}", place(it), text(it))
}

/// The failure of a command that met these problems; the first is told in full, all are told in order.
pub(super) fn failure(what: impl Into<String>, problems: &[Problem]) -> Failure {
    let failure = Failure::new(Exit::Invalid, what).coded(crate::Code::Playbook);
    let Some(first) = problems.first() else { return failure };
    let mut why = text(first);
    for more in &problems[1..] {
        why.push_str(&format!("\n{}", line(more)));
    }
    failure.at(place(first)).why(why)
}

/// The nearest of some names, as a hint; all of them when none is near and they are few.
pub(super) fn did_you_mean<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.into_iter().collect();
    match nearest(wrong, names.iter().copied()) {
        Some(name) => Some(format!("did you mean `{name}`?")),
        None if (1..=20).contains(&names.len()) => Some(format!("there are: {}", names.join(", "))),
        None => None,
    }
}
