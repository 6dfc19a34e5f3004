//! Pid files that cannot lie: the process that wrote one holds a lock on it as long as it lives.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// Why a pid file could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum PidError {
    /// Another live process holds it.
    #[error("{} is held by a running process: it was started already", path.display())]
    Held {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// A pid file held by this process; dropping it removes the file and the lock.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    // Held for its lock.
    _file: File,
}

impl PidFile {
    /// Takes the file, locks it and writes this process's id into it.
    ///
    /// # Errors
    /// [`PidError::Held`] when another process holds it, [`PidError::Write`] when it cannot be written.
    pub fn take(path: &Path) -> Result<Self, PidError> {
        let write = |source| PidError::Write { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o644)
            .open(path)
            .map_err(write)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(PidError::Held { path: path.to_owned() }),
            Err(error) => return Err(write(error.into())),
        }
        file.set_len(0).map_err(write)?;
        file.seek(SeekFrom::Start(0)).map_err(write)?;
        writeln!(file, "{}", std::process::id()).map_err(write)?;
        Ok(Self { path: path.to_owned(), _file: file })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A file that is left behind without its lock is seen as stale.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_held_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pid");
        let held = PidFile::take(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert!(matches!(PidFile::take(&path), Err(PidError::Held { .. })));
        drop(held);
        assert!(!path.exists());
        std::fs::write(&path, "99999999999 stale\n").unwrap();
        let held = PidFile::take(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(held);
    }
}
