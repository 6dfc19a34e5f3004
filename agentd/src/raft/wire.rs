//! Raft's messages as bytes: a format number, then openraft's own types in that format.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use super::types::{LogId, SnapshotMeta, Types, Vote};

/// The format this build speaks.
const FORMAT: u16 = 1;

/// Why a message is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("message is cut short")]
    Short,
    #[error("message format {0} is not known to this build: upgrade this node")]
    Format(u16),
    #[error("message cannot be read: {0}")]
    Content(String),
}

/// A candidate asks for a vote, or only whether it would get it.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum VoteMessage {
    Vote(openraft::raft::VoteRequest<Types>),
    PreVote(openraft::raft::VoteRequest<Types>),
}

/// What comes before the bytes of a snapshot.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct SnapshotMessage {
    pub(crate) vote: Vote,
    pub(crate) meta: SnapshotMeta,
}

/// The leader's answer to a request for a read barrier.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum BarrierMessage {
    /// Apply up to here, then read.
    Read(LogId),
    /// Not the leader, or no quorum answered it.
    Refused,
}

pub(crate) fn encode(message: &impl Serialize) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u16(FORMAT);
    let body = postcard::to_stdvec(message).expect("messages hold only numbers, texts and byte strings");
    out.extend_from_slice(&body);
    out.freeze()
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WireError> {
    postcard::from_bytes(body(bytes)?).map_err(|error| WireError::Content(error.to_string()))
}

fn body(bytes: &[u8]) -> Result<&[u8], WireError> {
    let (format, body) = bytes.split_first_chunk::<2>().ok_or(WireError::Short)?;
    match u16::from_be_bytes(*format) {
        FORMAT => Ok(body),
        other => Err(WireError::Format(other)),
    }
}

/// A message, then raw bytes that are not copied through the encoder.
pub(crate) fn encode_with(message: &impl Serialize, tail: &Bytes) -> Bytes {
    let head = encode(message);
    let mut out = BytesMut::with_capacity(4 + head.len() + tail.len());
    out.put_u32(u32::try_from(head.len()).expect("a message head is small"));
    out.extend_from_slice(&head);
    out.extend_from_slice(tail);
    out.freeze()
}

pub(crate) fn decode_with<T: DeserializeOwned>(bytes: &Bytes) -> Result<(T, Bytes), WireError> {
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or(WireError::Short)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| WireError::Short)?;
    let head = rest.get(..len).ok_or(WireError::Short)?;
    Ok((decode(head)?, bytes.slice(4 + len..)))
}
