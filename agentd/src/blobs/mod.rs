//! Large content by its digest: kept on disk, fetched from coordinators, forgotten when nothing refers to it.
//!
//! Tasks: `blobs` ([`keep::run`]) makes the disk hold what desired state refers to; woken by the store's watch and a timer.

mod disk;
pub mod fetch;
pub mod keep;

pub use self::disk::{BLOB_BYTES_MAX, BlobError, Blobs, Incoming, digest_of};
