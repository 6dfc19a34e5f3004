//! The boot counter: the low half of a node's generation, on disk before the ring starts.
//!
//! A wall clock would do until a host comes up with its clock in the past and is older than its own ghost.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The boot counter cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the boot counter {path}")]
pub struct BootError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Counts one start up and returns its number, which is on disk then.
///
/// # Errors
/// [`BootError`] when the file cannot be read or written, or holds something else.
pub(super) fn next(state_dir: &Path) -> Result<u32, BootError> {
    let path = state_dir.join("boot");
    advance(&path).map_err(|source| BootError { path, source })
}

fn advance(path: &Path) -> io::Result<u32> {
    let last = match fs::read_to_string(path) {
        Ok(text) => {
            let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it holds no number");
            text.trim().parse::<u32>().map_err(|_| wrong())?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let next = last.checked_add(1).ok_or_else(|| io::Error::other("it has reached its end"))?;
    mesh_proto::files::write_private(path, format!("{next}\n").as_bytes())?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_has_a_higher_number() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!((1..=3).map(|_| next(dir.path()).unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
        fs::write(dir.path().join("boot"), "x").unwrap();
        assert!(next(dir.path()).is_err(), "a counter that cannot be read must not begin again");
    }
}
