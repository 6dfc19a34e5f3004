//! Overview: what needs a person first, then the figures of the whole mesh, each from its source or with the reason.

use mesh_core::time::Timestamp;
use ratatui::layout::Rect;

use super::{columns, events, routing, rows};
use crate::{
    canvas::Canvas,
    model::{Model, attention::Attention, series::Series, totals::GpuTotals},
    text::{Scratch, UNKNOWN, age, count, memory, text, u16_of, watts},
    theme::Role,
    widgets::{heat, spark},
};

pub(super) fn draw(model: &mut Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let lines = u16_of(model.attention.len()).max(1);
    if area.height < 12 || area.width < 60 {
        return attention(model, canvas, area, now);
    }
    let (top, rest) = rows(area, (lines + 2).clamp(4, (area.height / 3).max(4)));
    attention(model, canvas, top, now);
    let figures = 9.min(rest.height);
    let (middle, bottom) = rows(rest, figures);
    let (left, right) = columns(middle, 50);
    fleet(model, canvas, left);
    traffic(model, canvas, right);
    if bottom.height < 3 {
        return;
    }
    // Where only one of the two has room, a few nodes are no map, and what happened says more.
    if bottom.height < 8 && model.fleet.order.len() < usize::from(bottom.width) {
        return newest(model, canvas, bottom);
    }
    let (map, last) = rows(bottom, if bottom.height >= 8 { map_height(model, bottom) } else { bottom.height });
    heat_map(model, canvas, map, now);
    if last.height >= 3 {
        newest(model, canvas, last);
    }
}

/// As many rows as the nodes need, and at most half of what there is.
fn map_height(model: &Model, area: Rect) -> u16 {
    let width = usize::from(area.width.max(3) - 2);
    let most = usize::from((area.height / 2).max(4)) - 3;
    let all = model.fleet.order.len();
    let each = all.div_ceil(width * most).max(1);
    u16_of(all.div_ceil(each).div_ceil(width).clamp(1, most)) + 3
}

fn attention(model: &mut Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let framed = area.height >= 4;
    model.view.attention.fits(usize::from(area.height.saturating_sub(if framed { 2 } else { 0 })));
    let table = &model.view.attention;
    let note =
        if model.attention.is_empty() { text!("") } else { text!("{} open   Enter goes there", model.attention.len()) };
    let inner = if framed { canvas.panel(area, "Needs attention", note.as_str()) } else { area };
    if model.attention.is_empty() && inner.height > 0 {
        let (text, role) = match (model.link.picture_at, model.link.is_fresh(now)) {
            (None, _) => ("nothing heard yet", Role::Dim),
            (_, false) => ("nothing was wrong in the last picture, and that is old", Role::Warn),
            (_, true) => ("nothing: every node answers, every engine serves", Role::Ok),
        };
        canvas.put((inner.x + 1, inner.y), inner.right(), text, role);
    }
    for (it, y) in model.attention.iter().skip(table.top).zip(inner.y..inner.bottom()) {
        attention_line(it, canvas, Rect { y, height: 1, ..inner }, now);
        if table.chosen.is_some() && usize::from(y - inner.y) + table.top == table.at {
            canvas.tint(Rect { y, height: 1, ..inner }, Role::Chosen);
        }
    }
}

fn attention_line(it: &Attention, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let (y, right) = (area.y, area.right());
    let (glyph, role) = heat::mark(canvas, it.level);
    canvas.put((area.x + 1, y), right, glyph, role);
    // Where it is narrow the words matter more than their age.
    let for_age = if area.width >= 50 { 7 } else { 1 };
    if for_age > 1 {
        let since = age(it.since.age_ms(now));
        canvas.put_right((area.x, y), right.saturating_sub(1), since.as_str(), Role::Dim);
    }
    let place = if area.width >= 50 { area.width / 4 } else { crate::text::width(&it.place).min(area.width / 3) };
    let place_x = right.saturating_sub(place + for_age);
    canvas.put((area.x + 3, y), place_x.saturating_sub(1), &it.what, role);
    canvas.put((place_x, y), right.saturating_sub(for_age), &it.place, Role::Text);
}

/// A label, a figure, and what it was over two minutes.
struct Figure<'a> {
    label: &'static str,
    value: Scratch,
    series: Option<&'a Series>,
    role: Role,
}

fn figures<'a>(canvas: &mut Canvas<'_>, area: Rect, all: impl Iterator<Item = Figure<'a>>) {
    for (it, y) in all.zip(area.y..area.bottom()) {
        let right = area.right();
        canvas.put((area.x + 1, y), right, it.label, Role::Dim);
        let end = canvas.put((area.x + 12, y), right, it.value.as_str(), it.role);
        if let Some(series) = it.series {
            let left = end.max(area.x + 22) + 1;
            spark::series(canvas, (left, y), right.saturating_sub(1), series, 1);
        }
    }
}

fn plain(label: &'static str, value: Scratch) -> Figure<'static> {
    Figure { label, value, series: None, role: Role::Text }
}

fn why(label: &'static str, value: Scratch) -> Figure<'static> {
    Figure { label, value, series: None, role: Role::Dim }
}

fn known(n: Option<u32>) -> Scratch {
    n.map_or_else(|| text!("{UNKNOWN}"), |it| count(u64::from(it)))
}

/// GPUs, or why there are none to be seen.
fn fleet(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let it = &model.totals.gpus;
    let note = text!("{} GPUs", it.count);
    let inner = canvas.panel(area, "GPU health", if it.count > 0 { note.as_str() } else { "" });
    if it.count == 0 {
        let reason = match (it.blind, it.hosts) {
            (0, 0) => text!("{UNKNOWN} no node has the role gpu or trainer"),
            (0, hosts) => text!("{UNKNOWN} none reported by {hosts} nodes"),
            (blind, hosts) => text!("{UNKNOWN} no driver on {blind} of {hosts}"),
        };
        let detail = it.why.as_deref().map_or_else(|| text!(""), |why| text!("{why}"));
        return figures(canvas, inner, [why("GPUs", reason), why("", detail)].into_iter());
    }
    let degree = canvas.glyphs().degree;
    let dash = || text!("{UNKNOWN}");
    let byte = |n: Option<u8>, unit: &str| n.map_or_else(dash, |it| text!("{it}{unit}"));
    let hot = it.temp_most.is_some_and(|it| it >= 85);
    let vram = crate::text::percent_of(it.used_mib, it.total_mib).map_or_else(dash, |percent| {
        text!("{percent}%  {} of {}", memory(it.used_mib).as_str(), memory(it.total_mib).as_str())
    });
    let blind = if it.blind > 0 {
        text!("no driver on {} of {}", it.blind, it.hosts)
    } else {
        text!("read on all {}", it.hosts)
    };
    let all = [
        Figure { label: "util", value: byte(it.util, "% mean"), series: Some(&model.history.util), role: Role::Text },
        Figure {
            label: "power",
            value: it.power_w.map_or_else(dash, watts),
            series: Some(&model.history.power_w),
            role: Role::Text,
        },
        Figure {
            label: "temp",
            value: text!(
                "p50 {}  p99 {}  max {}",
                byte(it.temp_p50, degree).as_str(),
                byte(it.temp_p99, degree).as_str(),
                byte(it.temp_most, degree).as_str()
            ),
            series: None,
            role: if hot { Role::Warn } else { Role::Text },
        },
        health(it),
        plain("VRAM", vram),
        plain("idle", text!("{} of {} below 5%", it.idle, it.known_util)),
        if it.blind > 0 { why("driver", blind) } else { plain("driver", blind) },
    ];
    figures(canvas, inner, all.into_iter());
}

/// How many GPUs are failing or slowed, and memory that was lost to errors.
fn health(it: &GpuTotals) -> Figure<'static> {
    let ecc = it.ecc_uncorrected.map_or_else(|| text!("{UNKNOWN}"), |it| text!("{it}"));
    let value = text!("{} failing  {} slowed  ECC {}", it.failing, it.slowed, ecc.as_str());
    let role = match (it.failing, it.slowed) {
        (0, 0) => Role::Text,
        (0, _) => Role::Warn,
        _ => Role::Crit,
    };
    Figure { label: "health", value, series: None, role }
}

/// Queues, targets, strategies, jobs.
fn traffic(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let (it, history) = (&model.totals, &model.history);
    let inner = canvas.panel(area, "Traffic", "2 min");
    let growing = history.waiting.slope_per_s().filter(|it| *it > 0);
    let waiting = match growing {
        Some(slope) => text!("{} +{slope}/s", known(it.waiting).as_str()),
        None => known(it.waiting),
    };
    let serving = text!("{}/{} engines, {} models", it.engines_up, it.engines, it.models.len());
    let down = it.engines_up < it.engines;
    let all = [
        Figure { label: "serving", value: serving, series: None, role: if down { Role::Warn } else { Role::Text } },
        Figure {
            label: "queue",
            value: waiting,
            series: Some(&history.waiting),
            role: if growing.is_some() { Role::Warn } else { Role::Text },
        },
        Figure { label: "running", value: known(it.running), series: Some(&history.running), role: Role::Text },
        Figure { label: "in flight", value: known(it.in_flight), series: Some(&history.in_flight), role: Role::Text },
        plain("strategy", strategy(model)),
        why(
            "win-rate",
            text!("{UNKNOWN} {}", if area.width >= 50 { routing::win_rate(model) } else { "only one strategy" }),
        ),
        why("collective", text!("{UNKNOWN} no job: nothing to time")),
    ];
    figures(canvas, inner, all.into_iter());
}

fn strategy(model: &Model) -> Scratch {
    match &model.link.strategy {
        Some(Some(it)) => text!("{}", crate::text::fit(it.active.name(), 24)),
        Some(None) => text!("built in: none was deployed"),
        None => text!("{UNKNOWN} not told yet"),
    }
}

fn heat_map(model: &Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let inner_cells = usize::from(area.width.saturating_sub(2)) * usize::from(area.height.saturating_sub(3));
    let each = model.fleet.order.len().div_ceil(inner_cells.max(1)).max(1);
    let title = if each == 1 {
        text!("Nodes: util, 1 cell = 1 node")
    } else {
        text!("Nodes: util, 1 cell = {each} nodes, their mean, or what is wrong")
    };
    let inner = canvas.panel(area, title.as_str(), "zone/rack order");
    if inner.height < 2 {
        return;
    }
    let (cells, foot) = rows(inner, inner.height - 1);
    heat::nodes(canvas, cells, model, now);
    heat::legend(canvas, foot, crate::model::view::Metric::Util);
}

fn newest(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let note = text!("{} kept  dropped {}", model.events.len(), model.link.dropped);
    let inner = canvas.panel(area, "Events", note.as_str());
    for ((_, event), y) in model.events.newest().zip(inner.y..inner.bottom()) {
        events::line(event, canvas, Rect { y, height: 1, ..inner });
    }
}
