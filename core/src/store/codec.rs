//! The binary form of commands and changes in the log, in files and on the wire. Whatever bytes come in, decoding ends with a value or an error.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    change::{Change, Edit, Record},
    command::{COMMAND_OPS_MAX, Command, Expect, LEVEL_SUPPORTED, Op},
};
use crate::{
    id::{Digest, ObjectName, Principal, RequestId, Revision},
    kind::Kind,
    object::{Key, Object},
    time::Timestamp,
};

/// The format this build writes; it reads this one only.
const FORMAT: u16 = 1;

/// Why bytes are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end too early.
    #[error("data ends within {0}")]
    Truncated(&'static str),
    /// They go on after the end.
    #[error("{0} bytes follow the end")]
    Trailing(usize),
    /// They have a format this build does not read.
    #[error("format {0} is not known to this build: upgrade this node")]
    Format(u16),
    /// They need a feature level this build does not have.
    #[error("feature level {0} is needed: upgrade this node")]
    Level(u16),
    /// A field holds something impossible.
    #[error("{0} is not valid")]
    Invalid(&'static str),
}

/// Appends little-endian fields to a buffer.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.u32(u32::try_from(value.len()).expect("specs, names and reasons are bounded far below 4 GiB"));
        self.0.extend(value);
    }

    pub(crate) fn key(&mut self, key: &Key) {
        self.bytes(key.kind.as_str().as_bytes());
        self.bytes(key.name.as_str().as_bytes());
    }

    pub(crate) fn record(&mut self, record: &Record) {
        self.0.extend(record.digest.0);
        self.0.extend(record.requests.0);
    }

    fn reason(&mut self, reason: Option<&String>) {
        self.u8(u8::from(reason.is_some()));
        if let Some(reason) = reason {
            self.bytes(reason.as_bytes());
        }
    }
}

/// Takes little-endian fields off the front of a slice.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated(what))?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Truncated(what))?;
        self.0 = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn u128(&mut self, what: &'static str) -> Result<u128, DecodeError> {
        Ok(u128::from_le_bytes(self.array(what)?))
    }

    pub(crate) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.u32(what)?;
        self.take(usize::try_from(len).map_err(|_| DecodeError::Truncated(what))?, what)
    }

    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(what)?).map_err(|_| DecodeError::Invalid(what))
    }

    pub(crate) fn key(&mut self) -> Result<Key, DecodeError> {
        let kind = self.text("kind")?;
        let kind = Kind::ALL.iter().find(|it| it.as_str() == kind).ok_or(DecodeError::Invalid("kind"))?;
        let name = ObjectName::new(self.text("object name")?).map_err(|_| DecodeError::Invalid("object name"))?;
        Ok(Key { kind: *kind, name })
    }

    pub(crate) fn record(&mut self) -> Result<Record, DecodeError> {
        Ok(Record { digest: self.digest()?, requests: self.digest()? })
    }

    pub(crate) fn digest(&mut self) -> Result<Digest, DecodeError> {
        self.array("digest").map(Digest)
    }

    fn reason(&mut self) -> Result<Option<String>, DecodeError> {
        match self.u8("reason")? {
            0 => Ok(None),
            1 => Ok(Some(self.text("reason")?.to_owned())),
            _ => Err(DecodeError::Invalid("reason")),
        }
    }

    fn actor(&mut self) -> Result<Principal, DecodeError> {
        self.text("actor")?.parse().map_err(|_| DecodeError::Invalid("actor"))
    }

    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }

    fn format(&mut self) -> Result<(), DecodeError> {
        match self.u16("format")? {
            FORMAT => Ok(()),
            other => Err(DecodeError::Format(other)),
        }
    }
}

impl Command {
    /// The command in binary form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        out.u16(FORMAT);
        out.u16(self.level_needed());
        out.u128(self.id.0);
        out.bytes(self.actor.to_string().as_bytes());
        out.u64(self.at.0);
        out.u16(self.level);
        out.reason(self.reason.as_ref());
        out.u32(u32::try_from(self.ops.len()).unwrap_or(u32::MAX));
        for op in &self.ops {
            encode_op(&mut out, op);
        }
        out.0.into()
    }

    /// Reads a command.
    ///
    /// # Errors
    /// [`DecodeError::Level`] or [`DecodeError::Format`] when a newer build wrote it, else what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader(bytes);
        input.format()?;
        let needed = input.u16("level")?;
        if needed > LEVEL_SUPPORTED {
            return Err(DecodeError::Level(needed));
        }
        let id = RequestId(input.u128("request id")?);
        let actor = input.actor()?;
        let at = Timestamp(input.u64("time")?);
        let level = input.u16("level")?;
        let reason = input.reason()?;
        let count = usize::try_from(input.u32("operations")?).unwrap_or(usize::MAX);
        let mut ops = Vec::with_capacity(count.min(COMMAND_OPS_MAX));
        for _ in 0..count {
            ops.push(decode_op(&mut input)?);
        }
        input.end()?;
        Ok(Self { id, actor, at, level, reason, ops })
    }
}

fn encode_op(out: &mut Writer, op: &Op) {
    match op {
        Op::Put { key, spec, expect } => {
            out.u8(0);
            out.key(key);
            encode_expect(out, *expect);
            out.bytes(spec);
        }
        Op::Delete { key, expect } => {
            out.u8(1);
            out.key(key);
            encode_expect(out, *expect);
        }
        Op::Compact { upto } => {
            out.u8(2);
            out.u64(upto.0);
        }
        Op::SetLevel(level) => {
            out.u8(3);
            out.u16(*level);
        }
        Op::Checkpoint { revision, record } => {
            out.u8(4);
            out.u64(revision.0);
            out.record(record);
        }
    }
}

fn decode_op(input: &mut Reader<'_>) -> Result<Op, DecodeError> {
    Ok(match input.u8("operation")? {
        0 => {
            let (key, expect) = (input.key()?, decode_expect(input)?);
            Op::Put { key, spec: Bytes::copy_from_slice(input.bytes("spec")?), expect }
        }
        1 => Op::Delete { key: input.key()?, expect: decode_expect(input)? },
        2 => Op::Compact { upto: Revision(input.u64("revision")?) },
        3 => Op::SetLevel(input.u16("level")?),
        4 => Op::Checkpoint { revision: Revision(input.u64("revision")?), record: input.record()? },
        _ => return Err(DecodeError::Invalid("operation")),
    })
}

fn encode_expect(out: &mut Writer, expect: Expect) {
    match expect {
        Expect::Any => out.u8(0),
        Expect::Absent => out.u8(1),
        Expect::At(revision) => {
            out.u8(2);
            out.u64(revision.0);
        }
    }
}

fn decode_expect(input: &mut Reader<'_>) -> Result<Expect, DecodeError> {
    Ok(match input.u8("condition")? {
        0 => Expect::Any,
        1 => Expect::Absent,
        2 => Expect::At(Revision(input.u64("condition")?)),
        _ => return Err(DecodeError::Invalid("condition")),
    })
}

impl Change {
    /// The change in binary form.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        out.u16(FORMAT);
        out.u64(self.revision.0);
        out.u128(self.id.0);
        out.bytes(self.actor.to_string().as_bytes());
        out.u64(self.at.0);
        out.reason(self.reason.as_ref());
        out.u32(u32::try_from(self.edits.len()).unwrap_or(u32::MAX));
        for edit in &self.edits {
            match edit {
                Edit::Put(object) => {
                    out.u8(0);
                    out.key(&object.key);
                    out.bytes(&object.spec);
                }
                Edit::Delete(key) => {
                    out.u8(1);
                    out.key(key);
                }
                Edit::Level(level) => {
                    out.u8(2);
                    out.u16(*level);
                }
            }
        }
        out.0.into()
    }

    /// Reads a change.
    ///
    /// # Errors
    /// [`DecodeError`] saying what is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader(bytes);
        input.format()?;
        let revision = Revision(input.u64("revision")?);
        let id = RequestId(input.u128("request id")?);
        let actor = input.actor()?;
        let at = Timestamp(input.u64("time")?);
        let reason = input.reason()?;
        let count = usize::try_from(input.u32("edits")?).unwrap_or(usize::MAX);
        let mut edits = Vec::with_capacity(count.min(COMMAND_OPS_MAX));
        for _ in 0..count {
            edits.push(match input.u8("edit")? {
                0 => {
                    let key = input.key()?;
                    Edit::Put(Arc::new(Object { key, revision, spec: Bytes::copy_from_slice(input.bytes("spec")?) }))
                }
                1 => Edit::Delete(input.key()?),
                2 => Edit::Level(input.u16("level")?),
                _ => return Err(DecodeError::Invalid("edit")),
            });
        }
        input.end()?;
        Ok(Self { revision, id, actor, at, reason, edits })
    }
}
