//! Heat maps: one cell a thing, in an order that never depends on the readings.

use mesh_core::gpu::Verdict;
use ratatui::layout::Rect;

use crate::{
    canvas::Canvas,
    model::{Level, Model, fleet::Gpu, view::Metric},
    theme::Role,
};

/// What one cell shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    /// 0 to 100 on the scale of the metric.
    Value(u8),
    /// The node is out of service, lost, or its figure is not known.
    Mark(Level),
}

/// The place of a GPU on the scale of a metric.
pub(crate) fn of_gpu(gpu: &Gpu, metric: Metric) -> Option<u8> {
    match metric {
        Metric::Util => gpu.util,
        // 30 to 95 degrees are the span that a GPU lives in.
        Metric::Temp => gpu.temp_c.map(|it| it.saturating_sub(30).saturating_mul(2).min(130)).map(|it| it.min(100)),
        Metric::Vram => gpu.vram_percent(),
        // Up to a kilowatt.
        Metric::Power => gpu.power_w.and_then(|it| u8::try_from((it / 10).min(100)).ok()),
    }
}

/// The cell of one GPU: what is wrong beats the ramp, so that faults are visible without colour.
pub(crate) fn gpu_cell(gpu: &Gpu, metric: Metric, level: Level) -> Cell {
    match level {
        Level::Crit | Level::Out | Level::Unknown => Cell::Mark(level),
        Level::Ok | Level::Draining | Level::Warn => match of_gpu(gpu, metric) {
            _ if gpu.verdict == Some(Verdict::Critical) || gpu.temp_c.is_some_and(|it| it >= 92) => {
                Cell::Mark(Level::Crit)
            }
            _ if gpu.verdict == Some(Verdict::Warn) => Cell::Mark(Level::Warn),
            Some(value) => Cell::Value(value),
            None => Cell::Mark(Level::Unknown),
        },
    }
}

/// Draws one cell.
pub(crate) fn put(canvas: &mut Canvas<'_>, at: (u16, u16), cell: Cell) {
    let right = at.0 + 1;
    match cell {
        Cell::Value(value) => {
            let (glyph, style) = canvas.theme.heat(usize::from(value) * 8 / 101);
            canvas.put_styled(at, right, glyph, style);
        }
        Cell::Mark(level) => {
            let (glyph, role) = mark(canvas, level);
            canvas.put(at, right, glyph, role);
        }
    }
}

/// The glyph and the role of a state.
pub(crate) fn mark(canvas: &Canvas<'_>, level: Level) -> (&'static str, Role) {
    let glyphs = canvas.glyphs();
    match level {
        Level::Ok => (glyphs.ok, Role::Ok),
        Level::Draining => (glyphs.draining, Role::Ok),
        Level::Out => (glyphs.out, Role::Out),
        Level::Unknown => (glyphs.unknown, Role::Dim),
        Level::Warn => (glyphs.warn, Role::Warn),
        Level::Crit => (glyphs.crit, Role::Crit),
    }
}

/// What the ramp means, as far as it fits.
pub(crate) fn legend(canvas: &mut Canvas<'_>, area: Rect, metric: Metric) {
    let (low, high) = match metric {
        Metric::Util | Metric::Vram => ("0%", "100%"),
        Metric::Temp => ("30°", "80°+"),
        Metric::Power => ("0W", "1kW"),
    };
    let right = area.right();
    let mut x = canvas.put((area.x, area.y), right, low, Role::Dim) + 1;
    for step in 0..8 {
        let (glyph, style) = canvas.theme.heat(step);
        x = canvas.put_styled((x, area.y), right, glyph, style);
    }
    x = canvas.put((x + 1, area.y), right, high, Role::Dim);
    for (level, word) in
        [(Level::Crit, "lost or failing"), (Level::Warn, "slowed"), (Level::Out, "out"), (Level::Unknown, "not known")]
    {
        let (glyph, role) = mark(canvas, level);
        x = canvas.put((x + 2, area.y), right, glyph, role);
        x = canvas.put((x + 1, area.y), right, word, Role::Dim);
    }
}

/// Nodes as cells, several to a cell when there are more than cells; a cell shows the mean, and what is wrong beats it.
pub(crate) fn nodes(canvas: &mut Canvas<'_>, area: Rect, model: &Model, now: mesh_core::time::Timestamp) {
    let cells = usize::from(area.width) * usize::from(area.height);
    let all = model.fleet.order.len();
    if cells == 0 || all == 0 {
        return;
    }
    let each = all.div_ceil(cells);
    for (at, ids) in model.fleet.order.chunks(each).enumerate() {
        let (mut worst, mut sum, mut known) = (Level::Ok, 0_u32, 0_u32);
        for pulse in ids.iter().filter_map(|id| model.fleet.pulses.get(*id as usize)) {
            worst = worst.max(pulse.level(now));
            sum += pulse.util.map_or(0, u32::from);
            known += u32::from(pulse.util.is_some());
        }
        let mean = sum.checked_div(known).and_then(|it| u8::try_from(it).ok());
        let cell = match (worst, mean) {
            (Level::Ok | Level::Draining, Some(value)) => Cell::Value(value),
            // One silent node among many does not make their figures unknown.
            (Level::Out | Level::Unknown, Some(value)) if each > 1 => Cell::Value(value),
            _ => Cell::Mark(worst),
        };
        let (x, y) = (at % usize::from(area.width), at / usize::from(area.width));
        put(canvas, (area.x + crate::text::u16_of(x), area.y + crate::text::u16_of(y)), cell);
    }
}
