//! Loops over the table which stay cheap when metered.
//!
//! A metered loop pays for its limit check at every back-edge, and for every instruction. These loops look at several
//! rows a turn, without a branch a row, so that they pay less of the first and become SIMD.

use crate::{Column, View, splitmix64};

/// Rows a turn of [`first_set`].
const BLOCK: usize = 16;
/// Rows a turn of [`argmin`]: the 32-bit lanes of simd128.
const LANES: usize = 4;
/// Tries of [`pick_eligible`] before it looks at every row.
const PICKS_MAX: u64 = 8;

/// Returns the eligible row with the smallest score, the first of equals.
///
/// `score` gets the cells of `columns` in one row, 32-bit floats as their bits, and 0 for a column which the strategy
/// did not ask for. Rows whose score is not below infinity are skipped. Keep `score` free of branches: arithmetic and
/// comparisons become SIMD.
pub fn argmin<const K: usize>(
    view: &View<'_>,
    columns: [Column; K],
    score: impl Fn([u32; K]) -> f32,
) -> Option<(usize, f32)> {
    let (groups, rest) = view.cells(Column::Eligible).as_chunks::<LANES>();
    let parts = columns.map(|column| view.cells(column).as_chunks::<LANES>());
    let mut best = [f32::INFINITY; LANES];
    let mut at = [0_u32; LANES];
    let mut row = [0_u32, 1, 2, 3];
    let mut look = |eligible: [u32; LANES], cells: [[u32; LANES]; K]| {
        for lane in 0..LANES {
            let of_row = score(cells.map(|cells| cells[lane]));
            let better = (eligible[lane] != 0) & (of_row < best[lane]);
            best[lane] = if better { of_row } else { best[lane] };
            at[lane] = if better { row[lane] } else { at[lane] };
            row[lane] += 4;
        }
    };
    for (number, eligible) in groups.iter().enumerate() {
        look(*eligible, parts.map(|(whole, _)| whole.get(number).copied().unwrap_or_default()));
    }
    look(padded(rest), parts.map(|(_, rest)| padded(rest)));
    let mut found = (0, f32::INFINITY);
    for lane in 0..LANES {
        let slot = at[lane] as usize;
        if best[lane] < found.1 || (best[lane] <= found.1 && slot < found.0) {
            found = (slot, best[lane]);
        }
    }
    (found.1 < f32::INFINITY).then_some(found)
}

/// Returns the last cells, with zeros beyond the end.
fn padded(rest: &[u32]) -> [u32; LANES] {
    core::array::from_fn(|lane| rest.get(lane).copied().unwrap_or(0))
}

/// Returns a random eligible row by `seed`: a few tries, then the first eligible row after the last try.
#[must_use]
pub fn pick_eligible(view: &View<'_>, seed: u64) -> Option<usize> {
    if view.is_empty() {
        return None;
    }
    let mut at = 0;
    for number in 0..PICKS_MAX {
        at = below(splitmix64(seed.wrapping_add(number)), view.len());
        if view.eligible(at) {
            return Some(at);
        }
    }
    let cells = view.cells(Column::Eligible);
    let (before, after) = cells.split_at(at.min(cells.len()));
    first_set(after).map(|offset| at + offset).or_else(|| first_set(before))
}

/// Returns the first cell that is not zero.
fn first_set(cells: &[u32]) -> Option<usize> {
    for (number, block) in cells.chunks(BLOCK).enumerate() {
        if block.iter().fold(0, |any, cell| any | *cell) != 0 {
            return block.iter().position(|cell| *cell != 0).map(|at| number * BLOCK + at);
        }
    }
    None
}

/// Maps a random number to `0..len`.
fn below(random: u64, len: usize) -> usize {
    let scaled = ((random >> 32) * len as u64) >> 32;
    usize::try_from(scaled).unwrap_or(0)
}
