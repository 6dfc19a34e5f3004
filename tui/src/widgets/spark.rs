//! Sparklines and bars.

use crate::{
    canvas::Canvas,
    model::series::{Series, Trail},
    theme::Role,
};

/// The glyph for a value on a scale; a value above nothing is never drawn as nothing.
fn level(canvas: &Canvas<'_>, value: u32, most: u32) -> &'static str {
    let step = u64::from(value) * 7 / u64::from(most.max(1));
    canvas.glyphs().spark[usize::try_from(step.min(7)).unwrap_or(7)]
}

/// The newest samples, the newest on the right; several to a cell when there are more than cells, of which the
/// largest is drawn, so that a spike survives. A gap stays empty.
pub(crate) fn series(canvas: &mut Canvas<'_>, (left, y): (u16, u16), right: u16, series: &Series, floor: u32) {
    let right = right.min(canvas.area().right());
    let cells = usize::from(right.saturating_sub(left)).min(Series::LEN);
    if cells == 0 {
        return;
    }
    let each = Series::LEN / cells;
    let most = series.most().unwrap_or(0).max(floor);
    for cell in 0..cells {
        let samples = (cell * each..(cell + 1) * each).filter_map(|back| series.ago(back));
        let Some(value) = samples.max() else { continue };
        let x = right - 1 - crate::text::u16_of(cell);
        let glyph = level(canvas, value, most);
        canvas.put((x, y), right, glyph, Role::Ok);
    }
}

/// The last utilisations of a node on the fixed scale of percent, so that rows compare.
pub(crate) fn trail(canvas: &mut Canvas<'_>, (left, y): (u16, u16), right: u16, trail: &Trail, role: Role) {
    for back in 0..usize::from(right.saturating_sub(left)).min(Trail::LEN) {
        let Some(value) = trail.ago(back) else { continue };
        let x = right - 1 - crate::text::u16_of(back);
        let glyph = level(canvas, u32::from(value), 100);
        canvas.put((x, y), right, glyph, role);
    }
}

/// A bar of a share in percent.
pub(crate) fn bar(canvas: &mut Canvas<'_>, (left, y): (u16, u16), right: u16, percent: u8, role: Role) {
    let width = right.saturating_sub(left);
    let full = left + width * u16::from(percent.min(100)) / 100;
    let (on, off) = (canvas.glyphs().spark[7], canvas.glyphs().heat[0]);
    for x in left..right {
        let (glyph, role) = if x < full { (on, role) } else { (off, Role::Dim) };
        canvas.put((x, y), right, glyph, role);
    }
}
