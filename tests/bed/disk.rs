//! What is on a host's disk, to be compared with what was there before.

use std::{collections::BTreeMap, fs, os::unix::fs::MetadataExt, path::PathBuf};

use super::{Bed, BedHost};

/// Kind, mode, owner and content of every path.
pub type Disk = BTreeMap<PathBuf, String>;

impl Bed {
    /// The disks of all hosts.
    #[must_use]
    pub fn disks(&self) -> Vec<Disk> {
        self.hosts().iter().map(BedHost::everything).collect()
    }
}

impl BedHost {
    /// Everything on its disk; also while it is off.
    #[must_use]
    pub fn everything(&self) -> Disk {
        let mut all = BTreeMap::new();
        let mut open = vec![self.upper()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(&next).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::symlink_metadata(&path).unwrap();
                let content = if meta.is_file() { format!("{:?}", fs::read(&path).unwrap()) } else { String::new() };
                let what = format!("{:o} {} {} {content}", meta.mode(), meta.uid(), meta.gid());
                if meta.is_dir() {
                    open.push(path.clone());
                }
                all.insert(path, what);
            }
        }
        all
    }

    /// The files on its disk that hold these bytes somewhere.
    #[must_use]
    pub fn files_with(&self, bytes: &[u8]) -> Vec<PathBuf> {
        files_with(self.upper(), bytes)
    }
}

/// The files below a directory that hold these bytes somewhere.
#[must_use]
pub fn files_with(dir: PathBuf, bytes: &[u8]) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![dir]);
    while let Some(next) = open.pop() {
        for path in fs::read_dir(&next).unwrap().map(|it| it.unwrap().path()) {
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                open.push(path);
            } else if meta.is_file() && fs::read(&path).unwrap().windows(bytes.len()).any(|it| it == bytes) {
                found.push(path);
            }
        }
    }
    found
}
