//! The snapshot file: a whole store in one checked piece. The same bytes are restart point, transfer, backup and the start of a follower.
//!
//! Layout: magic, format, header with its CRC; chunks of at most 64 KiB, each with length and CRC; an empty chunk; blake3 of all before.
//! The chunks together hold the objects in key order, then the remembered requests, oldest first.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    LEVEL_SUPPORTED, OBJECT_BYTES_MAX, Outcome, Record, STORE_BYTES_MAX, Store,
    codec::{DecodeError, Reader, Writer},
    requests::{REQUESTS_LEN_MAX, Remembered, Requests},
};
use crate::{
    id::{Digest, Lineage, RequestId, Revision},
    object::Object,
    time::Timestamp,
};

/// The file format this build writes and reads.
pub const SNAPSHOT_FORMAT: u16 = 1;
const MAGIC: &[u8; 8] = b"MESHSNAP";
const CHUNK_BYTES: usize = 64 * 1024;
const TRAILER_BYTES: usize = 32;
const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// What a snapshot says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The id of the mesh it belongs to.
    pub cluster: String,
    /// What its writer keeps beside the store: the log position and the voters. Empty in a follower's cache.
    pub log: Bytes,
    /// The history it belongs to.
    pub lineage: Lineage,
    /// The store's revision.
    pub revision: Revision,
    /// The last compacted revision.
    pub compacted: Revision,
    /// The feature level.
    pub level: u16,
    /// The store's clock.
    pub now: Timestamp,
    /// The store's digest.
    pub digest: Digest,
    /// How many objects follow.
    pub objects: u64,
    /// How many remembered requests follow.
    pub requests: u64,
    /// The record of the last revision, when the writer kept one.
    record: Option<Record>,
    next_request: u64,
}

/// Why bytes are not a snapshot that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They do not begin as a snapshot does.
    #[error("not a snapshot: it does not begin with {}", String::from_utf8_lossy(MAGIC))]
    Magic,
    /// A newer build wrote them.
    #[error("snapshot format {0} is not known to this build: upgrade this node")]
    Format(u16),
    /// The store needs a newer build.
    #[error("snapshot needs feature level {0}: upgrade this node, going back to an older build is not possible")]
    Level(u16),
    /// A checksum is wrong.
    #[error("snapshot is damaged at byte {offset}: checksum differs")]
    Checksum {
        /// Where the damaged part begins.
        offset: usize,
    },
    /// The whole does not have the digest at its end, or the content not the one in its header.
    #[error("snapshot is damaged: digest differs")]
    Digest,
    /// A part cannot be read.
    #[error("snapshot cannot be read")]
    Content(#[from] DecodeError),
}

/// Writes a store as a snapshot; `log` is kept in the header for its reader.
#[must_use]
pub fn encode_snapshot(store: &Store, cluster: &str, log: &[u8]) -> Vec<u8> {
    let mut header = Writer::default();
    header.bytes(cluster.as_bytes());
    header.bytes(log);
    header.u32(store.lineage.0);
    header.u64(store.revision.0);
    header.u64(store.compacted.0);
    header.u16(store.level);
    header.u64(store.now.0);
    header.0.extend(store.digest().0);
    header.u64(store.len() as u64);
    header.u64(store.requests.len() as u64);
    let record = store.record(store.revision);
    header.u8(u8::from(record.is_some()));
    if let Some(record) = &record {
        header.record(record);
    }
    header.u64(store.requests.next());

    let mut out = Writer(MAGIC.to_vec());
    out.u16(SNAPSHOT_FORMAT);
    out.bytes(&header.0);
    let crc = crc32fast::hash(&out.0);
    out.u32(crc);
    for chunk in body(store).chunks(CHUNK_BYTES) {
        out.bytes(chunk);
        out.u32(crc32fast::hash(chunk));
    }
    out.bytes(&[]);
    let digest = blake3::hash(&out.0);
    out.0.extend(digest.as_bytes());
    out.0
}

fn body(store: &Store) -> Vec<u8> {
    let mut out = Writer::default();
    for object in store.objects() {
        out.key(&object.key);
        out.u64(object.revision.0);
        out.bytes(&object.spec);
    }
    for (id, it) in store.requests.iter() {
        out.u128(id.0);
        out.u64(it.order);
        out.u64(it.at.0);
        out.bytes(&serde_json::to_vec(&it.outcome).expect("outcomes hold only numbers and texts"));
    }
    out.0
}

/// Reads the header alone; only its own checksum is checked.
///
/// # Errors
/// [`SnapshotError`] when the bytes do not begin with a header this build reads.
pub fn snapshot_header(bytes: &[u8]) -> Result<SnapshotHeader, SnapshotError> {
    split_header(bytes).map(|(header, _)| header)
}

/// Reads and checks a whole snapshot.
///
/// # Errors
/// [`SnapshotError`] saying what is wrong; nothing of a damaged snapshot is given out.
pub fn decode_snapshot(bytes: &[u8]) -> Result<(SnapshotHeader, Store), SnapshotError> {
    let (header, mut offset) = split_header(bytes)?;
    let end = bytes
        .len()
        .checked_sub(TRAILER_BYTES)
        .filter(|end| *end >= offset)
        .ok_or(DecodeError::Truncated("snapshot"))?;
    if blake3::hash(&bytes[..end]).as_bytes() != &bytes[end..] {
        return Err(SnapshotError::Digest);
    }
    let mut body = Vec::with_capacity(end - offset);
    loop {
        let mut input = Reader(&bytes[offset..end]);
        let chunk = input.bytes("chunk")?;
        if chunk.is_empty() {
            input.end()?;
            break;
        }
        if chunk.len() > CHUNK_BYTES {
            return Err(DecodeError::Invalid("chunk length").into());
        }
        if input.u32("chunk")? != crc32fast::hash(chunk) {
            return Err(SnapshotError::Checksum { offset });
        }
        body.extend(chunk);
        offset = end - input.0.len();
    }
    let store = read_body(&header, &body)?;
    if store.digest() != header.digest {
        return Err(SnapshotError::Digest);
    }
    Ok((header, store))
}

fn split_header(bytes: &[u8]) -> Result<(SnapshotHeader, usize), SnapshotError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(SnapshotError::Magic)?;
    let mut input = Reader(rest);
    match input.u16("format")? {
        SNAPSHOT_FORMAT => {}
        other => return Err(SnapshotError::Format(other)),
    }
    let header = input.bytes("header")?;
    if header.len() > HEADER_BYTES_MAX {
        return Err(DecodeError::Invalid("header length").into());
    }
    let checked = bytes.len() - input.0.len();
    if input.u32("header")? != crc32fast::hash(&bytes[..checked]) {
        return Err(SnapshotError::Checksum { offset: 0 });
    }
    let header = read_header(header)?;
    if header.level > LEVEL_SUPPORTED {
        return Err(SnapshotError::Level(header.level));
    }
    Ok((header, bytes.len() - input.0.len()))
}

fn read_header(bytes: &[u8]) -> Result<SnapshotHeader, DecodeError> {
    let mut input = Reader(bytes);
    let header = SnapshotHeader {
        cluster: input.text("cluster")?.to_owned(),
        log: Bytes::copy_from_slice(input.bytes("log position")?),
        lineage: Lineage(input.u32("lineage")?),
        revision: Revision(input.u64("revision")?),
        compacted: Revision(input.u64("compacted")?),
        level: input.u16("level")?,
        now: Timestamp(input.u64("time")?),
        digest: input.digest()?,
        objects: input.u64("objects")?,
        requests: input.u64("requests")?,
        record: match input.u8("record")? {
            0 => None,
            1 => Some(input.record()?),
            _ => return Err(DecodeError::Invalid("record")),
        },
        next_request: input.u64("requests")?,
    };
    input.end()?;
    Ok(header)
}

fn read_body(header: &SnapshotHeader, body: &[u8]) -> Result<Store, DecodeError> {
    let mut store = Store::new(header.lineage);
    let mut input = Reader(body);
    for _ in 0..header.objects {
        let key = input.key()?;
        let revision = Revision(input.u64("revision")?);
        let spec = input.bytes("spec")?;
        if revision > header.revision || spec.len() > OBJECT_BYTES_MAX {
            return Err(DecodeError::Invalid("object"));
        }
        let object = Arc::new(Object { key: key.clone(), revision, spec: Bytes::copy_from_slice(spec) });
        store.sum.add(&super::member(&object));
        store.bytes += super::weight(&object);
        if store.objects.insert(key, object).is_some() || store.bytes > STORE_BYTES_MAX {
            return Err(DecodeError::Invalid("objects"));
        }
    }
    if header.requests > REQUESTS_LEN_MAX as u64 {
        return Err(DecodeError::Invalid("requests"));
    }
    store.requests = read_requests(header, &mut input)?;
    input.end()?;
    store.revision = header.revision;
    store.level = header.level;
    store.compacted = header.compacted;
    store.now = header.now;
    store.floor = header.revision;
    if let Some(record) = header.record {
        store.records.insert(header.revision, record);
    }
    Ok(store)
}

fn read_requests(header: &SnapshotHeader, input: &mut Reader<'_>) -> Result<Requests, DecodeError> {
    let mut requests = Requests::starting_at(header.next_request);
    let mut least = 0;
    for _ in 0..header.requests {
        let id = RequestId(input.u128("request id")?);
        let order = input.u64("request order")?;
        let at = Timestamp(input.u64("time")?);
        let outcome: Outcome =
            serde_json::from_slice(input.bytes("outcome")?).map_err(|_| DecodeError::Invalid("outcome"))?;
        if order < least || order >= header.next_request || requests.get(id).is_some() {
            return Err(DecodeError::Invalid("request order"));
        }
        least = order + 1;
        requests.restore(id, Remembered { order, at, outcome });
    }
    Ok(requests)
}
