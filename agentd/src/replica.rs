//! Desired state on a node that does not vote: followed from a coordinator, cached on disk, served from the first moment on.
//!
//! The cache is a base (a snapshot file) and a tail (the changes since). It is a cache: what is damaged is dropped and fetched anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use mesh_core::{
    id::{Lineage, Revision},
    store::{Change, SnapshotError, Store, decode_snapshot, encode_snapshot},
};
use tokio::{sync::watch, time::Instant};

use crate::raft::{FollowEvent, Resume, make_private, write_durably};

/// The tail is synced this often: a cache may lose its last second.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// A tail of this size is folded into a new base.
const TAIL_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The largest frame of the tail: one change, which is one command.
const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Why a stream of events cannot go on; the caller closes it and connects elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The sender is behind what this node has seen already.
    #[error("the coordinator is at revision {offered}, this node has seen {own}: another one is asked")]
    WentBack {
        /// The sender's revision.
        offered: Revision,
        /// This node's.
        own: Revision,
    },
    /// The sender belongs to another mesh or to an older history.
    #[error("the coordinator offers mesh {cluster} lineage {}, which is not this node's", lineage.0)]
    Foreign {
        /// The sender's mesh.
        cluster: String,
        /// The sender's lineage.
        lineage: Lineage,
    },
    /// The changes do not continue what this node has.
    #[error("changes do not follow revision {own}: {reason}")]
    Gap {
        /// This node's revision.
        own: Revision,
        /// What is wrong.
        reason: String,
    },
    /// This node's state differs from the sender's at the same revision; it asks for everything anew.
    #[error("this node differs from the coordinator at revision {revision}: everything is fetched anew")]
    Digest {
        /// Where they differ.
        revision: Revision,
    },
    /// The base is damaged.
    #[error("the coordinator's base cannot be used")]
    Damaged(#[from] SnapshotError),
    /// The cache cannot be written.
    #[error("cannot write the cache of desired state")]
    Io(#[from] io::Error),
}

/// The followed store of one node.
pub struct Replica {
    cluster: String,
    dir: PathBuf,
    store: Store,
    publish: watch::Sender<Arc<Store>>,
    /// Set when the state is known to be wrong: the next stream must begin with a base.
    start_anew: bool,
    confirmed: bool,
    tail: Tail,
}

/// The open tail file.
struct Tail {
    file: File,
    bytes: u64,
    /// When the oldest unsynced frame was written.
    unsynced_since: Option<Instant>,
}

impl Replica {
    /// Opens the cache in a directory, made when absent; a damaged or foreign part of it is dropped.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(dir: &Path, cluster: &str) -> io::Result<Self> {
        make_private(dir)?;
        let (store, start_anew, tail_bytes) = load(dir, cluster)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("tail"))?;
        file.set_len(tail_bytes)?;
        let mut tail = Tail { file, bytes: tail_bytes, unsynced_since: None };
        io::Seek::seek(&mut tail.file, io::SeekFrom::Start(tail_bytes))?;
        let publish = watch::Sender::new(Arc::new(store.clone()));
        Ok(Self {
            cluster: cluster.to_owned(),
            dir: dir.to_owned(),
            store,
            publish,
            start_anew,
            confirmed: false,
            tail,
        })
    }

    /// The store as last followed; from the cache until the first event.
    #[must_use]
    pub fn store(&self) -> watch::Receiver<Arc<Store>> {
        self.publish.subscribe()
    }

    /// What to tell a coordinator so that it continues where this node is.
    #[must_use]
    pub fn resume(&self) -> Resume {
        let digest = (!self.start_anew).then(|| self.store.digest());
        let revision = if self.start_anew { Revision(0) } else { self.store.revision() };
        Resume { lineage: self.store.lineage(), revision, digest }
    }

    /// Whether a coordinator has confirmed since the start that this node is not behind what it had seen before.
    ///
    /// Until then what runs is kept running, and nothing is started, stopped or deleted.
    #[must_use]
    pub fn confirmed(&self) -> bool {
        self.confirmed
    }

    /// Takes the next event of a stream.
    ///
    /// # Errors
    /// [`ReplicaError`]; the stream must be closed, the store is at the last good revision.
    pub async fn on_event(&mut self, event: FollowEvent) -> Result<(), ReplicaError> {
        match event {
            FollowEvent::Base(bytes) => self.on_base(&bytes).await?,
            FollowEvent::Changes { from, changes, digest, .. } => {
                self.on_changes(from, &changes)?;
                self.compare(digest)?;
            }
            FollowEvent::Progress { revision, .. } => {
                if revision < self.store.revision() || self.start_anew {
                    return Err(ReplicaError::WentBack { offered: revision, own: self.store.revision() });
                }
                self.confirmed = true;
            }
        }
        if self.tail.unsynced_since.is_some_and(|since| since.elapsed() >= SYNC_EVERY) {
            self.flush().await?;
        }
        Ok(())
    }

    async fn on_base(&mut self, bytes: &bytes::Bytes) -> Result<(), ReplicaError> {
        let copy = bytes.clone();
        let decoded = tokio::task::spawn_blocking(move || decode_snapshot(&copy)).await.map_err(io::Error::other)?;
        let (header, store) = decoded?;
        let (own, own_lineage) = (self.store.revision(), self.store.lineage());
        if header.cluster != self.cluster || header.lineage < own_lineage {
            return Err(ReplicaError::Foreign { cluster: header.cluster, lineage: header.lineage });
        }
        if header.lineage == own_lineage && header.revision < own && !self.start_anew {
            return Err(ReplicaError::WentBack { offered: header.revision, own });
        }
        self.write_base(bytes.clone()).await?;
        self.store = store;
        self.start_anew = false;
        self.publish.send_replace(Arc::new(self.store.clone()));
        Ok(())
    }

    fn on_changes(&mut self, from: Revision, changes: &[Arc<Change>]) -> Result<(), ReplicaError> {
        let own = self.store.revision();
        if from != own || self.start_anew {
            return Err(ReplicaError::Gap { own, reason: format!("they follow {from}") });
        }
        let mut frames = Vec::new();
        for change in changes {
            let advanced = self.store.advance(change);
            advanced.map_err(|error| ReplicaError::Gap { own: self.store.revision(), reason: error.to_string() })?;
            frame(&mut frames, &change.encode());
        }
        self.tail.file.write_all(&frames)?;
        self.tail.bytes += frames.len() as u64;
        self.tail.unsynced_since.get_or_insert_with(Instant::now);
        self.publish.send_replace(Arc::new(self.store.clone()));
        Ok(())
    }

    fn compare(&mut self, digest: Option<mesh_core::id::Digest>) -> Result<(), ReplicaError> {
        if digest.is_some_and(|digest| digest != self.store.digest()) {
            self.start_anew = true;
            return Err(ReplicaError::Digest { revision: self.store.revision() });
        }
        Ok(())
    }

    /// Makes the cache durable; done once a second while changes come in, and by the caller when it stops.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.tail.bytes > TAIL_BYTES_MAX {
            let (store, cluster) = (self.store.clone(), self.cluster.clone());
            let bytes = tokio::task::spawn_blocking(move || encode_snapshot(&store, &cluster, &[]))
                .await
                .map_err(io::Error::other)?;
            return self.write_base(bytes.into()).await;
        }
        if self.tail.unsynced_since.take().is_some() {
            let file = self.tail.file.try_clone()?;
            tokio::task::spawn_blocking(move || file.sync_data()).await.map_err(io::Error::other)??;
        }
        Ok(())
    }

    /// Puts a new base in place and empties the tail, which a crash in between leaves as changes the base has already.
    async fn write_base(&mut self, bytes: bytes::Bytes) -> io::Result<()> {
        let path = self.dir.join("base");
        tokio::task::spawn_blocking(move || write_durably(&path, &bytes)).await.map_err(io::Error::other)??;
        self.tail.file.set_len(0)?;
        io::Seek::seek(&mut self.tail.file, io::SeekFrom::Start(0))?;
        self.tail.bytes = 0;
        self.tail.unsynced_since = None;
        Ok(())
    }
}

fn frame(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(crc32fast::hash(payload).to_le_bytes());
    out.extend(payload);
}

/// Takes one whole frame off the front.
fn unframe(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok().filter(|len| *len <= FRAME_BYTES_MAX)?;
    let (payload, rest) = rest.split_at_checked(len)?;
    (crc32fast::hash(payload) == u32::from_le_bytes(*crc)).then_some((payload, rest))
}

/// Reads the cache: the store, whether it must be fetched anew, and how much of the tail is good.
fn load(dir: &Path, cluster: &str) -> io::Result<(Store, bool, u64)> {
    let empty = || (Store::new(Lineage(0)), true, 0);
    let base = match fs::read(dir.join("base")) {
        Ok(base) => base,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty()),
        Err(error) => return Err(error),
    };
    let mut store = match decode_snapshot(&base) {
        Ok((header, store)) if header.cluster == cluster => store,
        Ok((header, _)) => {
            tracing::warn!(found = header.cluster, "the cache of desired state belongs to another mesh and is dropped");
            return Ok(empty());
        }
        Err(error) => {
            tracing::warn!(%error, "the cache of desired state cannot be used and is dropped");
            return Ok(empty());
        }
    };
    let tail = match fs::read(dir.join("tail")) {
        Ok(tail) => tail,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut rest = tail.as_slice();
    while let Some((payload, after)) = unframe(rest) {
        let Ok(change) = Change::decode(payload) else {
            break;
        };
        // A crash between a new base and the emptying of the tail leaves changes that the base has.
        if change.revision > store.revision() && store.advance(&Arc::new(change)).is_err() {
            break;
        }
        rest = after;
    }
    if !rest.is_empty() {
        tracing::warn!(bytes = rest.len(), "the end of the cached changes is damaged and is dropped");
    }
    Ok((store, false, (tail.len() - rest.len()) as u64))
}
