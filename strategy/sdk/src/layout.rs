//! The head which tells the host where things are in the guest's memory.

use crate::{COLUMNS, Column};

/// The version of the contract, as `mesh_abi` returns it: major in the upper half.
pub const ABI: i32 = 1;
/// The first word of the layout.
pub const MAGIC: u32 = u32::from_le_bytes(*b"MSH1");
const HEAD_WORDS: usize = 9;

/// The layout as the host reads it: nine words, then two words a column.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Layout {
    words: [u32; HEAD_WORDS],
    columns: [[u32; 2]; COLUMNS],
}

/// The addresses and sizes which go into the head, in the order of its words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) cap_targets: usize,
    pub(crate) request: (usize, usize),
    pub(crate) out: (usize, usize),
    pub(crate) feedback: (usize, usize),
}

impl Layout {
    pub(crate) const EMPTY: Self = Self { words: [0; HEAD_WORDS], columns: [[0; 2]; COLUMNS] };

    /// Fills the layout in; `bases` gives each column and the address of its first cell.
    pub(crate) fn fill(&mut self, head: Head, bases: impl Iterator<Item = (Column, usize)>) {
        let mut columns = 0;
        for ((column, base), entry) in bases.zip(&mut self.columns) {
            *entry = [column as u32 | u32::from(column.kind()) << 16, word(base)];
            columns += 1;
        }
        self.words = [
            MAGIC,
            word(head.cap_targets),
            columns,
            word(head.request.0),
            word(head.request.1),
            word(head.out.0),
            word(head.out.1),
            word(head.feedback.0),
            word(head.feedback.1),
        ];
    }
}

/// Narrows an address or a size; a guest's memory has 32-bit addresses.
fn word(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(0)
}
