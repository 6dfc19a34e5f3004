//! GPUs: one cell each in physical order, and the same as a table.

use mesh_core::{gpu::Verdict, time::Timestamp};
use ratatui::layout::Rect;

use super::{nodes::level, rows as split_rows};
use crate::{
    canvas::Canvas,
    columns::GpuColumn,
    model::{
        Level, Model, STALE_MS,
        fleet::{Gpu, Node},
        rows, totals,
    },
    text::{count, text, u16_of, watts},
    theme::Role,
    widgets::{
        heat::{self, mark},
        spark,
        vtable::{self, Row},
    },
};

pub(super) fn draw(model: &mut Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    if model.totals.gpus.count == 0 {
        return nothing(model, canvas, area);
    }
    let wanted =
        u16_of(usize::try_from(model.totals.gpus.count).unwrap_or(0).div_ceil(usize::from(area.width.max(9) - 8)));
    let most = if area.height >= 16 { area.height / 2 } else { area.height / 3 };
    let (map, table) = split_rows(area, if area.height >= 8 { (wanted + 3).clamp(4, most.max(4)) } else { 0 });
    let framed = table.height >= 8 && table.width >= 60;
    model.view.gpus.fits(usize::from(table.height.saturating_sub(if framed { 3 } else { 1 })));
    if map.height > 0 {
        heat_map(model, canvas, map, now);
    }
    let shown = &model.view.gpus;
    let inner = if framed {
        let title = match shown.filter_text.as_str() {
            "" => text!("GPUs"),
            filter => text!("GPUs  / {filter}"),
        };
        canvas.panel(table, title.as_str(), super::note(shown, 0).as_str())
    } else {
        table
    };
    vtable::draw(canvas, inner, GpuColumn::COLUMNS, shown, |row, key| {
        let (name, index) = rows::gpu_of(key);
        if let Some(node) = model.fleet.get(name)
            && let Some(gpu) = node.gpus.rows().iter().find(|it| it.index == index)
        {
            cells(model, (node, gpu), row, now);
        }
        false
    });
}

/// Why there is no GPU to show.
fn nothing(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let gpus = &model.totals.gpus;
    let inner = canvas.panel(area, "GPUs", "");
    let right = inner.right();
    let lines = match (gpus.hosts, gpus.blind, &gpus.why) {
        _ if model.totals.counts.all == 0 => [text!("nothing heard yet"), text!("")],
        (hosts, blind, Some(why)) if blind > 0 => [text!("no driver on {blind} of {hosts} nodes"), text!("{why}")],
        (0, ..) => [text!("no node has the role gpu or trainer"), text!("")],
        _ => [text!("no node reports a GPU"), text!("")],
    };
    for (line, y) in lines.iter().zip(inner.y..inner.bottom()) {
        canvas.put((inner.x + 1, y), right, line.as_str(), Role::Dim);
    }
}

/// One cell a GPU; the page that holds the chosen one.
fn heat_map(model: &Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let metric = model.view.metric;
    let title = text!("Heat: {}   zone/rack order, 1 cell = 1 GPU", metric.name());
    let label = 8;
    let per_row = usize::from(area.width.saturating_sub(2 + label)).max(1);
    let page = per_row * usize::from(area.height.saturating_sub(3)).max(1);
    let (chosen, all) = (place(model), usize::try_from(model.totals.gpus.count).unwrap_or(0));
    let first = chosen.unwrap_or(0) / page * page;
    let note = text!("{}-{} of {all}", first + 1, (first + page).min(all));
    let inner = canvas.panel(area, title.as_str(), note.as_str());
    if inner.height < 2 || inner.width <= label {
        return;
    }
    let (cells, foot) = split_rows(inner, inner.height - 1);
    let mut at = 0_usize;
    'fleet: for id in &model.fleet.order {
        let Some(node) = model.fleet.nodes.get(*id as usize) else { continue };
        let gpus = node.gpus.rows();
        if at + gpus.len() <= first {
            at += gpus.len();
            continue;
        }
        let level = level(node, now);
        for gpu in gpus {
            if at >= first {
                let (row, column) = ((at - first) / per_row, (at - first) % per_row);
                if row >= usize::from(cells.height) {
                    break 'fleet;
                }
                let y = cells.y + u16_of(row);
                if column == 0 {
                    canvas.put((cells.x, y), cells.x + label - 1, model.names.get(node.name), Role::Dim);
                }
                let place = (cells.x + label + u16_of(column), y);
                heat::put(canvas, place, heat::gpu_cell(gpu, metric, level));
                if chosen == Some(at) {
                    canvas.tint(Rect::new(place.0, place.1, 1, 1), Role::Chosen);
                }
            }
            at += 1;
        }
    }
    heat::legend(canvas, foot, metric);
}

/// The place of the chosen GPU in physical order.
fn place(model: &Model) -> Option<usize> {
    let (name, index) = model.view.gpus.chosen.map(rows::gpu_of)?;
    let id = model.fleet.id(name)?;
    let mut before = 0;
    for it in &model.fleet.order {
        let gpus = model.fleet.nodes.get(*it as usize)?.gpus.rows();
        if *it == id {
            return gpus.iter().position(|gpu| gpu.index == index).map(|at| before + at);
        }
        before += gpus.len();
    }
    None
}

/// How well a GPU is.
fn verdict(gpu: &Gpu) -> Level {
    match gpu.verdict {
        Some(Verdict::Ok) => Level::Ok,
        Some(Verdict::Warn) => Level::Warn,
        Some(Verdict::Critical) => Level::Crit,
        None => Level::Unknown,
    }
}

/// A power cap under load is daily life.
fn throttle_role(word: &str) -> Role {
    match word {
        "none" | "sync" => Role::Dim,
        "power" => Role::Text,
        _ => Role::Warn,
    }
}

fn cells(model: &Model, (node, gpu): (&Node, &Gpu), row: &mut Row<'_, '_>, now: Timestamp) {
    let names = &model.names;
    row.dim = node.age_ms(now).is_none_or(|ms| ms > STALE_MS) || !model.link.is_fresh(now);
    let degree = row.canvas.glyphs().degree;
    for (at, column) in GpuColumn::ALL.iter().enumerate() {
        let known = match column {
            GpuColumn::Gpu => Some((text!("{}/{}", names.get(node.name), gpu.index), Role::Text)),
            GpuColumn::Model => gpu.name.map(|it| (text!("{}", names.get(it)), Role::Dim)),
            GpuColumn::Health => {
                let (glyph, role) = mark(row.canvas, verdict(gpu));
                let word = gpu.reason.map_or("ok", |it| names.get(it));
                gpu.verdict.map(|_| (text!("{glyph} {word}"), role))
            }
            GpuColumn::Clock => gpu.clock_mhz.map(|it| (text!("{it}"), Role::Text)),
            GpuColumn::Throttle => gpu.throttle_word().map(|it| (text!("{it}"), throttle_role(it))),
            GpuColumn::Ecc => gpu.ecc_corrected.zip(gpu.ecc_uncorrected).map(|(corrected, lost)| {
                let text = text!("{}/{}", count(u64::from(corrected)).as_str(), count(u64::from(lost)).as_str());
                (text, if lost > 0 { Role::Crit } else { Role::Text })
            }),
            GpuColumn::Util => gpu.util.map(|it| (text!("{it}%"), Role::Text)),
            GpuColumn::Bar => {
                if let (Some((left, right)), Some(util)) = (row.span(at), gpu.util) {
                    let role = if row.dim { Role::Dim } else { Role::Ok };
                    spark::bar(row.canvas, (left, row.y), right, util, role);
                }
                continue;
            }
            GpuColumn::Vram => gpu.used_mib.zip(gpu.total_mib).map(|(used, total)| {
                (text!("{}.{}/{}", used / 1024, used % 1024 * 10 / 1024, total.div_ceil(1024)), Role::Text)
            }),
            GpuColumn::Temp => gpu.temp_c.map(|it| {
                let role = if it >= 92 {
                    Role::Crit
                } else if it >= 85 {
                    Role::Warn
                } else {
                    Role::Text
                };
                (text!("{it}{degree}"), role)
            }),
            GpuColumn::Power => gpu.power_w.map(|it| (watts(u64::from(it)), Role::Text)),
            GpuColumn::State => {
                let (level, word) = totals::state(node, now);
                let (glyph, role) = mark(row.canvas, level);
                Some((text!("{glyph} {word}"), role))
            }
        };
        match known {
            Some((text, role)) => row.put(at, text.as_str(), role),
            None => row.dash(at),
        }
    }
}
