//! The guest's memory as the contract lays it out: one fixed head, then one entry a column.
//!
//! ```text
//! 0 magic "MSH1"   4 cap_targets   8 n_cols   12 req      16 req_cap
//! 20 out           24 out_cap      28 feedback            32 feedback_cap
//! 36 + 8 i         column i: id u16, kind u8 (0 u32, 1 f32), flags u8 (0), base u32
//! ```
//! Every word is a little-endian u32; addresses are offsets into the memory.

use super::{LoadError, Manifest};
use crate::{
    ANSWER_RECORDS_MAX, COLUMNS, Column, ColumnKind, FEEDBACK_BATCH_MAX, FEEDBACK_BYTES, RECORD_BYTES, REQUEST_BYTES,
};

const MAGIC: u32 = u32::from_le_bytes(*b"MSH1");
const HEAD_BYTES: usize = 36;
const COLUMN_BYTES: usize = 8;
const CELL_BYTES: usize = 4;

/// Where things are in one instance's memory; every region is known to lie inside it.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) cap_targets: usize,
    pub(super) columns: Vec<(Column, usize)>,
    pub(super) request: usize,
    pub(super) out: usize,
    pub(super) out_cap: usize,
    pub(super) feedback: usize,
    pub(super) feedback_cap: usize,
}

impl Layout {
    /// Reads the layout at `at` and checks it against the memory and the manifest.
    pub(super) fn read(memory: &[u8], at: usize, manifest: &Manifest) -> Result<Self, LoadError> {
        let wrong = |reason: String| LoadError::Layout { reason };
        let head = region(memory, at, HEAD_BYTES).ok_or_else(|| {
            wrong(format!("it returns address {at}, which is outside the memory of {} bytes", memory.len()))
        })?;
        let word = |index: usize| word(head, index * 4);
        if word(0) != MAGIC {
            return Err(wrong("it does not start with the bytes \"MSH1\"".to_owned()));
        }
        let [cap_targets, n_cols, request, request_cap, out, out_cap, feedback, feedback_cap] =
            [1, 2, 3, 4, 5, 6, 7, 8].map(|index| word(index) as usize);
        if cap_targets != manifest.cap_targets as usize {
            let declared = manifest.cap_targets;
            return Err(wrong(format!("cap_targets is {cap_targets}, the section `mesh:strategy` says {declared}")));
        }
        if !(1..=ANSWER_RECORDS_MAX).contains(&out_cap) {
            return Err(wrong(format!("out_cap is {out_cap}, it must be 1 to {ANSWER_RECORDS_MAX}")));
        }
        if request_cap < REQUEST_BYTES {
            return Err(wrong(format!("req_cap is {request_cap}, a request has {REQUEST_BYTES} bytes")));
        }
        if n_cols > COLUMNS {
            return Err(wrong(format!("n_cols is {n_cols}, contract 0.1 has {COLUMNS} columns")));
        }
        let regions = [
            ("req", request, request_cap),
            ("out", out, out_cap * RECORD_BYTES),
            ("feedback", feedback, feedback_cap.saturating_mul(FEEDBACK_BYTES)),
        ];
        for (name, base, len) in regions {
            inside(memory, name, base, len)?;
        }
        let mut layout = Self {
            cap_targets,
            columns: Vec::with_capacity(n_cols),
            request,
            out,
            out_cap,
            feedback,
            feedback_cap: feedback_cap.min(FEEDBACK_BATCH_MAX),
        };
        let entries = region(memory, at + HEAD_BYTES, n_cols * COLUMN_BYTES)
            .ok_or_else(|| wrong("its columns reach beyond the memory".to_owned()))?;
        for entry in entries.chunks_exact(COLUMN_BYTES) {
            layout.columns.push(column(memory, entry, (cap_targets, manifest))?);
        }
        Ok(layout)
    }
}

/// Reads one column entry.
fn column(memory: &[u8], entry: &[u8], (cap, manifest): (usize, &Manifest)) -> Result<(Column, usize), LoadError> {
    let id = u32::from(entry[0]) | u32::from(entry[1]) << 8;
    let column = Column::from_id(id).filter(|_| manifest.columns.contains(&id)).ok_or_else(|| LoadError::Layout {
        reason: format!("column {id} is not in `columns` of the section `mesh:strategy`"),
    })?;
    let kind = match column.kind() {
        ColumnKind::U32 => 0,
        ColumnKind::F32 => 1,
    };
    if entry[2] != kind {
        let reason = format!("column {id} has kind {}, contract 0.1 says {kind}", entry[2]);
        return Err(LoadError::Layout { reason });
    }
    let base = word(entry, 4) as usize;
    inside(memory, "column", base, cap.saturating_mul(CELL_BYTES))?;
    Ok((column, base))
}

fn inside(memory: &[u8], name: &str, base: usize, len: usize) -> Result<(), LoadError> {
    if region(memory, base, len).is_some() {
        return Ok(());
    }
    let memory = memory.len();
    let reason = format!("`{name}` covers {len} bytes at {base}, outside the memory of {memory} bytes");
    Err(LoadError::Layout { reason })
}

fn region(memory: &[u8], base: usize, len: usize) -> Option<&[u8]> {
    memory.get(base..base.checked_add(len)?)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
