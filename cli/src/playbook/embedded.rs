//! The playbooks that are part of this program, and those in files.

use std::path::Path;

use super::{Playbook, problem};
use crate::{Exit, Failure, Result};

/// The largest playbook, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Every playbook of the product, by its name.
pub(crate) const EMBEDDED: &[(&str, &str)] = &[
    ("bootstrap", include_str!("../../../playbooks/bootstrap.yaml")),
    ("reset", include_str!("../../../playbooks/reset.yaml")),
];

/// A playbook by its name, or from a file: whatever holds a `/` or ends in `.yaml` is a file.
pub(crate) fn find(name: &str) -> Result<(Playbook, String)> {
    let is_file = name.contains('/') || Path::new(name).extension().is_some();
    let (file, text) = if is_file {
        (name.to_owned(), read(Path::new(name))?)
    } else {
        let (_, text) = EMBEDDED.iter().find(|(it, _)| *it == name).ok_or_else(|| unknown(name))?;
        (format!("{name}.yaml"), (*text).to_owned())
    };
    let beside = Path::new(name).parent().filter(|_| is_file).map(Path::to_owned);
    let load = |it: &str| {
        let path = beside.as_ref()?.join(it);
        read(&path).ok()
    };
    let playbook = Playbook::parse_with(&file, &text, &load)
        .map_err(|problems| problem::failure(format!("{file} is not a playbook that can be run"), &problems))?;
    Ok((playbook, text))
}

fn unknown(name: &str) -> Failure {
    let names: Vec<&str> = EMBEDDED.iter().map(|(it, _)| *it).collect();
    let failure = Failure::new(Exit::Invalid, format!("there is no playbook `{name}`")).coded(crate::Code::Playbook);
    failure
        .why(format!("there are: {}; a file is named with its path, like ./{name}.yaml", names.join(", ")))
        .next("mesh playbook ls")
}

fn read(path: &Path) -> Result<String> {
    use std::io::Read;
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Invalid, "cannot read a playbook")
            .coded(crate::Code::Playbook)
            .at(path.display().to_string())
            .why(why)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(&format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}
