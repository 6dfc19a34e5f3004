//! The data directory of a coordinator: who it belongs to, and the lock that keeps a second process out.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use mesh_core::id::Lineage;
use serde::{Deserialize, Serialize};

use super::{RaftConfig, StartError, files};

const FORMAT: u32 = 1;

/// What `meta.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Meta {
    format: u32,
    cluster: String,
    node_id: u64,
    lineage: Lineage,
}

/// An opened and locked data directory.
pub(crate) struct DataDir {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl DataDir {
    /// Makes the directory on the first start; later it must be this node's, with its log in it.
    pub(crate) fn open(config: &RaftConfig) -> Result<Self, StartError> {
        let path = config.dir.clone();
        let failed = |what: &'static str| move |source| StartError::Directory { what, source };
        make_private(&path).map_err(failed("make the directory"))?;
        let lock = File::create(path.join("lock")).map_err(failed("make the lock file"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StartError::Locked { path: path.clone() })?;
        let dir = Self { path, _lock: lock };
        dir.check(config)?;
        Ok(dir)
    }

    fn check(&self, config: &RaftConfig) -> Result<(), StartError> {
        let expected =
            Meta { format: FORMAT, cluster: config.cluster.clone(), node_id: config.node_id, lineage: config.lineage };
        let path = self.path.join("meta.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            // The first start, or one that ended before it was finished.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(StartError::Directory { what: "read meta.json", source }),
        };
        let found: Meta = serde_json::from_slice(&text)
            .map_err(|error| StartError::Meta { path: path.clone(), reason: error.to_string() })?;
        if found.format > FORMAT {
            return Err(StartError::Meta {
                path,
                reason: format!("format {} is not known to this build: upgrade this node", found.format),
            });
        }
        if found != expected {
            let reason = format!(
                "it belongs to node {} of mesh {} lineage {}, this is node {} of mesh {} lineage {}",
                found.node_id, found.cluster, found.lineage.0, expected.node_id, expected.cluster, expected.lineage.0
            );
            return Err(StartError::Meta { path, reason });
        }
        if !self.log().exists() {
            // A coordinator that forgot its votes could vote twice.
            let reason = "the raft log that belongs to it is gone: remove this coordinator, empty its data directory, add it anew".to_owned();
            return Err(StartError::Meta { path, reason });
        }
        Ok(())
    }

    /// Notes whose directory this is, once its log is there.
    pub(crate) fn claim(&self, config: &RaftConfig) -> Result<(), StartError> {
        let path = self.path.join("meta.json");
        if path.exists() {
            return Ok(());
        }
        write(
            &path,
            &Meta { format: FORMAT, cluster: config.cluster.clone(), node_id: config.node_id, lineage: config.lineage },
        )
    }

    /// Where the log lives.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log.redb")
    }

    /// Where the snapshots live.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }
}

/// Makes a directory that only its owner can enter; parents as usual.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

fn write(path: &Path, meta: &Meta) -> Result<(), StartError> {
    let text = serde_json::to_vec_pretty(meta).map_err(io::Error::other);
    let written = text.and_then(|text| files::write_durably(path, &text));
    written.map_err(|source| StartError::Directory { what: "write meta.json", source })
}
