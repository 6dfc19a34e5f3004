//! A strategy's answer: records of 16 bytes, and the rules a router holds them to.

use serde::{Deserialize, Serialize};

use crate::table::Table;

/// Bytes of one record.
pub const RECORD_BYTES: usize = 16;
/// Most records which any strategy may declare.
pub const ANSWER_RECORDS_MAX: usize = 64;

/// What a record says; unknown tags are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// A target; `b` slot, `c` generation, `v` score (for people).
    Target = 1,
    /// A number for telemetry; `a` code, `v` value.
    Note = 2,
}

/// One record of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// See [`Tag`].
    pub tag: u8,
    /// Reserved, 0.
    pub flags: u8,
    /// First operand.
    pub a: u16,
    /// Second operand.
    pub b: u32,
    /// Third operand.
    pub c: u32,
    /// The bits of the 32-bit float operand; bits, so that a recorded answer compares byte for byte.
    pub v_bits: u32,
}

impl Record {
    /// Makes a `TARGET`.
    #[must_use]
    pub const fn target(slot: u32, generation: u32, score: f32) -> Self {
        Self { tag: Tag::Target as u8, flags: 0, a: 0, b: slot, c: generation, v_bits: score.to_bits() }
    }

    /// Returns slot and generation when the record is a `TARGET`.
    #[must_use]
    pub fn as_target(&self) -> Option<(u32, u32)> {
        (self.tag == Tag::Target as u8).then_some((self.b, self.c))
    }

    /// Reads a record as a guest wrote it, little-endian.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; RECORD_BYTES]) -> Self {
        let [tag, flags, a0, a1, b0, b1, b2, b3, c0, c1, c2, c3, v0, v1, v2, v3] = bytes;
        Self {
            tag,
            flags,
            a: u16::from_le_bytes([a0, a1]),
            b: u32::from_le_bytes([b0, b1, b2, b3]),
            c: u32::from_le_bytes([c0, c1, c2, c3]),
            v_bits: u32::from_le_bytes([v0, v1, v2, v3]),
        }
    }
}

/// Why an answer is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A record names a row that does not exist.
    #[error("the answer names slot {slot}, but the table has {rows} rows (0..{rows})")]
    SlotOutOfRange {
        /// The slot named.
        slot: u32,
        /// The rows there are.
        rows: u32,
    },
    /// A row is named twice.
    #[error("the answer names slot {slot} twice")]
    SlotTwice {
        /// The slot named.
        slot: u32,
    },
    /// More records than declared.
    #[error("the answer has {records} records, but the strategy declared at most {cap}")]
    TooMany {
        /// Records returned.
        records: u32,
        /// Records declared.
        cap: u32,
    },
    /// A return code which the contract does not know.
    #[error("decide returned {code}; the contract knows a count of records (0 or more) and -1 for abstain")]
    Code {
        /// The value returned.
        code: i32,
    },
}

/// The records of one decision, best first; its space is kept from call to call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    records: Vec<Record>,
}

impl Answer {
    /// Makes an empty answer with room for the most records there can be.
    #[must_use]
    pub fn new() -> Self {
        Self { records: Vec::with_capacity(ANSWER_RECORDS_MAX) }
    }

    /// Removes the records.
    pub fn clear(&mut self) {
        self.records.clear();
    }

    /// Adds a record at the end.
    pub fn push(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Returns the records in order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Says whether no target is named, which leaves the decision to the baseline.
    #[must_use]
    pub fn abstains(&self) -> bool {
        !self.records.iter().any(|record| record.as_target().is_some())
    }

    /// Checks the records against the table.
    ///
    /// # Errors
    /// Returns what breaks the contract first; stale generations do not, they are skipped by `choose`.
    pub fn validate(&self, table: &Table) -> Result<(), Fault> {
        let rows = crate::narrow(table.len());
        for (at, record) in self.records.iter().enumerate() {
            let Some((slot, _)) = record.as_target() else { continue };
            if slot >= rows {
                return Err(Fault::SlotOutOfRange { slot, rows });
            }
            let named = |earlier: &Record| earlier.as_target().is_some_and(|(other, _)| other == slot);
            if self.records[..at].iter().any(named) {
                return Err(Fault::SlotTwice { slot });
            }
        }
        Ok(())
    }
}
