//! Snapshot files: written whole or not at all, the two newest kept.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// So many of the newest files stay.
const FILES_KEPT: usize = 2;

/// Where snapshot files live.
pub(crate) trait Files: Send + Sync + 'static {
    /// Writes a file; when this returns it survives a power cut under its name, and the oldest beyond two are gone.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// All names, in order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Reads a file.
    fn get(&self, name: &str) -> io::Result<Vec<u8>>;
}

/// Files in a directory.
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// Makes the directory when it is absent.
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Files for Directory {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        write_durably(&self.0.join(name), bytes)?;
        let names = self.list()?;
        for old in names.iter().rev().skip(FILES_KEPT) {
            fs::remove_file(self.0.join(old))?;
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !name.ends_with(".tmp") {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }
}

/// Writes a file so that a power cut leaves either the old one or the new one, complete.
///
/// # Errors
/// Whatever the disk says; the old file is untouched then.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_directory(path)
}

/// Makes the name of a new file durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
