//! hosts.yaml: read, checked as a whole, expanded to one entry a host.

mod expand;
mod file;
mod format;
mod inventory;
mod place;
mod range;
mod read;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    io::Read,
    path::{Path, PathBuf},
};

pub(crate) use self::{
    inventory::{
        Auth, Become, BecomeMethod, EngineTemplate, HostEntry, HostKeyPolicy, Inventory, Ports, Rolling, RouterDoor,
        SecretRef, Service, Share, Ssh,
    },
    range::expand,
    read::{Surroundings, read, schema},
};
pub(crate) use crate::yaml::{Problem, refused};

/// The largest hosts.yaml, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Reads a hosts.yaml from a file, or from stdin for `-`.
pub(crate) fn load(path: &Path) -> Result<Inventory, Vec<Problem>> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let unreadable = |text: String| {
        let hint = Some("write one with: mesh init HOST... > hosts.yaml".to_owned());
        vec![Problem { file: name.clone(), line: 1, column: 1, path: String::new(), text, hint }]
    };
    let text = text_of(path).map_err(|why| unreadable(format!("cannot be read: {why}")))?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let around = Surroundings { variable: &|name| std::env::var(name).ok(), home: home.as_deref(), folder: &folder };
    read(&name, &text, &around)
}

fn text_of(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()))
}
