//! The blobs of this node on its disk: one file each, named by SHA-256, complete or absent.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use mesh_core::id::Digest;
use ring::digest::{Context, SHA256};
use tokio::task;

/// The largest blob, in bytes: the largest strategy.
pub const BLOB_BYTES_MAX: usize = 1024 * 1024;
/// All blobs together never take more, in bytes.
const TOTAL_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Why a blob is not stored or not read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is larger than [`BLOB_BYTES_MAX`].
    #[error("the blob has more than {BLOB_BYTES_MAX} bytes")]
    TooLarge,
    /// The bytes have another digest.
    #[error("the bytes have digest {found}, not {stated}")]
    Digest {
        /// What the sender said.
        stated: Digest,
        /// What the bytes have.
        found: Digest,
    },
    /// The store of blobs is full.
    #[error(
        "the blobs of this node have {total} bytes, at most {TOTAL_BYTES_MAX} are kept: remove strategies that are no longer needed"
    )]
    Full {
        /// What is there, in bytes.
        total: u64,
    },
    /// The disk refused.
    #[error("{operation}")]
    Disk {
        /// What was tried.
        operation: &'static str,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// SHA-256 of some bytes.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> Digest {
    let mut incoming = Incoming::default();
    incoming.hash.update(bytes);
    incoming.digest()
}

/// A blob that is being received, bounded and hashed as it comes.
pub struct Incoming {
    bytes: Vec<u8>,
    hash: Context,
}

impl Default for Incoming {
    fn default() -> Self {
        Self { bytes: Vec::new(), hash: Context::new(&SHA256) }
    }
}

impl Incoming {
    /// Takes the next piece.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] as soon as the limit is passed.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), BlobError> {
        if self.bytes.len() + piece.len() > BLOB_BYTES_MAX {
            return Err(BlobError::TooLarge);
        }
        self.hash.update(piece);
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// Ends it: the bytes, if they have the stated digest.
    ///
    /// # Errors
    /// [`BlobError::Digest`] when they do not.
    pub fn finish(self, stated: Digest) -> Result<Bytes, BlobError> {
        let bytes = Bytes::from(self.bytes.clone());
        let found = self.digest();
        if found == stated { Ok(bytes) } else { Err(BlobError::Digest { stated, found }) }
    }

    fn digest(self) -> Digest {
        let mut digest = Digest::default();
        digest.0.copy_from_slice(self.hash.finish().as_ref());
        digest
    }
}

/// The directory of blobs; clones share it.
#[derive(Debug, Clone)]
pub struct Blobs {
    dir: Arc<PathBuf>,
}

impl Blobs {
    /// Opens the directory, makes it when it is absent, and removes what an interrupted write left.
    ///
    /// # Errors
    /// The system's error when the directory cannot be made or read.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if digest_in(&path).is_none() {
                fs::remove_file(&path)?;
            }
        }
        Ok(Self { dir: Arc::new(dir.to_owned()) })
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.dir.join(digest.to_string())
    }

    /// The size in bytes of a blob that is here; `None` when it is not.
    #[must_use]
    pub fn size(&self, digest: Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|it| it.len())
    }

    /// Stores bytes that have this digest, durably; storing them again does nothing.
    ///
    /// # Errors
    /// [`BlobError`] when the bytes are too large, others than stated, or the disk refuses.
    pub async fn put(&self, stated: Digest, bytes: Bytes) -> Result<(), BlobError> {
        let this = self.clone();
        let written = task::spawn_blocking(move || this.put_now(stated, &bytes)).await;
        written.unwrap_or_else(|stopped| Err(disk("store a blob")(io::Error::other(stopped))))
    }

    fn put_now(&self, stated: Digest, bytes: &[u8]) -> Result<(), BlobError> {
        if bytes.len() > BLOB_BYTES_MAX {
            return Err(BlobError::TooLarge);
        }
        let found = digest_of(bytes);
        if found != stated {
            return Err(BlobError::Digest { stated, found });
        }
        if self.size(stated).is_some_and(|size| size == bytes.len() as u64) {
            return Ok(());
        }
        let total: u64 = self.list().map_err(disk("list blobs"))?.iter().map(|it| it.size_bytes).sum();
        if total + bytes.len() as u64 > TOTAL_BYTES_MAX {
            return Err(BlobError::Full { total });
        }
        let mut file = tempfile::NamedTempFile::new_in(&*self.dir).map_err(disk("make a blob's file"))?;
        io::Write::write_all(&mut file, bytes).map_err(disk("write a blob"))?;
        file.as_file().sync_all().map_err(disk("sync a blob"))?;
        file.persist(self.path(stated)).map_err(|error| disk("name a blob")(error.error))?;
        fs::File::open(&*self.dir).and_then(|dir| dir.sync_all()).map_err(disk("sync the blobs' directory"))
    }

    /// Reads a blob and verifies it; `None` when it is not here. A damaged one is removed and counts as absent.
    ///
    /// # Errors
    /// [`BlobError::Disk`] when the disk refuses.
    pub async fn get(&self, digest: Digest) -> Result<Option<Bytes>, BlobError> {
        let this = self.clone();
        let read = task::spawn_blocking(move || this.get_now(digest)).await;
        read.unwrap_or_else(|stopped| Err(disk("read a blob")(io::Error::other(stopped))))
    }

    fn get_now(&self, digest: Digest) -> Result<Option<Bytes>, BlobError> {
        let bytes = match fs::read(self.path(digest)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(disk("read a blob")(source)),
        };
        if digest_of(&bytes) != digest {
            tracing::error!(%digest, "blob is damaged on disk, removed");
            self.remove(digest)?;
            return Ok(None);
        }
        Ok(Some(bytes.into()))
    }

    /// Removes a blob; an absent one is no error.
    ///
    /// # Errors
    /// [`BlobError::Disk`] when the disk refuses.
    pub fn remove(&self, digest: Digest) -> Result<(), BlobError> {
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk("remove a blob")(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Every blob that is here.
    ///
    /// # Errors
    /// The system's error when the directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<Stored>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&*self.dir)? {
            let entry = entry?;
            if let Some(digest) = digest_in(&entry.path()) {
                let meta = entry.metadata()?;
                let age =
                    meta.modified().ok().and_then(|it| SystemTime::now().duration_since(it).ok()).unwrap_or_default();
                found.push(Stored { digest, size_bytes: meta.len(), age });
            }
        }
        Ok(found)
    }
}

/// One blob on disk.
#[derive(Debug, Clone, Copy)]
pub struct Stored {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// How long ago it was written.
    pub age: Duration,
}

fn digest_in(path: &Path) -> Option<Digest> {
    path.file_name()?.to_str()?.parse().ok()
}

fn disk(operation: &'static str) -> impl Fn(io::Error) -> BlobError {
    move |source| BlobError::Disk { operation, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blobs_are_complete_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".tmpx1"), "left over").unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let (bytes, digest) = (Bytes::from_static(b"(module)"), digest_of(b"(module)"));
        assert_eq!(digest.short(), "1885772b");
        assert!(matches!(blobs.put(Digest([1; 32]), bytes.clone()).await, Err(BlobError::Digest { .. })));
        assert!(blobs.list().unwrap().is_empty(), "nothing of the refused bytes or the leftover stays");
        blobs.put(digest, bytes.clone()).await.unwrap();
        blobs.put(digest, bytes.clone()).await.unwrap();
        assert_eq!(blobs.get(digest).await.unwrap(), Some(bytes));
        assert_eq!(blobs.size(digest), Some(8));

        fs::write(dir.path().join(digest.to_string()), "(modulE)").unwrap();
        assert_eq!(blobs.get(digest).await.unwrap(), None, "damaged on disk");
        assert_eq!(blobs.size(digest), None);
        let large = Bytes::from(vec![0_u8; BLOB_BYTES_MAX + 1]);
        assert!(matches!(blobs.put(digest_of(&large), large).await, Err(BlobError::TooLarge)));
    }

    #[test]
    fn incoming_bytes_are_bounded_and_checked() {
        let mut incoming = Incoming::default();
        incoming.push(b"(mod").unwrap();
        incoming.push(b"ule)").unwrap();
        assert_eq!(&incoming.finish(digest_of(b"(module)")).unwrap()[..], b"(module)");
        let mut incoming = Incoming::default();
        incoming.push(&vec![0; BLOB_BYTES_MAX]).unwrap();
        assert!(matches!(incoming.push(b"x"), Err(BlobError::TooLarge)));
    }
}
