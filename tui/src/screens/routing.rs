//! Routing: models with their targets and queues, routers, and which strategy decides how well.

use mesh_core::time::Timestamp;
use ratatui::layout::Rect;

use super::{columns, rows as split_rows};
use crate::{
    canvas::Canvas,
    columns::ModelColumn,
    model::{
        Level, Model,
        fleet::Node,
        rows,
        totals::{DecisionRow, ModelRow},
        traffic::rate_text,
    },
    text::{UNKNOWN, age, count, percent_of, text, u16_of},
    theme::Role,
    widgets::{
        heat::mark,
        spark,
        vtable::{self, Row},
    },
};

pub(super) fn draw(model: &mut Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let wanted = u16_of(model.totals.models.len()).saturating_add(4);
    let (top, rest) = split_rows(area, wanted.min(area.height / 2).max(area.height.min(4)));
    let framed = top.height >= 4 && top.width >= 40;
    model.view.models.fits(usize::from(top.height.saturating_sub(if framed { 3 } else { 1 })));
    let table = &model.view.models;
    let inner = if framed { canvas.panel(top, "Models", super::note(table, 0).as_str()) } else { top };
    vtable::draw(canvas, inner, ModelColumn::COLUMNS, table, |row, key| {
        let name = rows::node_of(key);
        if let Some(it) = model.totals.models.iter().find(|it| it.name == name) {
            cells(model, it, row, now);
        }
        false
    });
    if table.rows.is_empty() && inner.height > 1 {
        let why = if model.totals.engines == 0 { "no node declares an engine" } else { "no engine lists a model" };
        canvas.put((inner.x + 2, inner.y + 1), inner.right(), why, Role::Dim);
    }
    let wide = rest.width >= 90;
    let (left, right) = if wide { columns(rest, 50) } else { split_rows(rest, rest.height / 2) };
    routers(model, canvas, left, now);
    strategies(model, canvas, right, now);
}

fn cells(model: &Model, it: &ModelRow, row: &mut Row<'_, '_>, now: Timestamp) {
    row.dim = !model.link.is_fresh(now);
    for (at, column) in ModelColumn::ALL.iter().enumerate() {
        let known = match column {
            ModelColumn::Model => Some((text!("{}", model.names.get(it.name)), Role::Text)),
            ModelColumn::Targets => {
                let role = if it.targets == 0 && it.engines > 0 {
                    Role::Crit
                } else if it.targets < it.engines {
                    Role::Warn
                } else {
                    Role::Text
                };
                Some((text!("{}/{}", it.targets, it.engines), role))
            }
            ModelColumn::Running => it.running.map(|it| (count(u64::from(it)), Role::Text)),
            ModelColumn::Waiting => it.waiting.map(|n| {
                let full = it.capacity.is_some_and(|most| n > most);
                (count(u64::from(n)), if full { Role::Warn } else { Role::Text })
            }),
            ModelColumn::Trail => {
                if let (Some((left, right)), Some(series)) = (row.span(at), model.history.waiting_of(it.name)) {
                    spark::series(row.canvas, (left, row.y), right, series, 10);
                }
                continue;
            }
            ModelColumn::Flight => it.in_flight.map(|it| (count(u64::from(it)), Role::Text)),
            ModelColumn::Oldest => it.oldest_ms.map(|it| (age(it), Role::Text)),
            ModelColumn::Rate => it.rate.map(|it| (rate_text(it.requests_milli_per_s), Role::Text)),
            ModelColumn::Errors => it.rate.map(|it| {
                let milli = it.errors_milli_per_s;
                (rate_text(milli), if milli > 0 { Role::Warn } else { Role::Dim })
            }),
            ModelColumn::Ttft => {
                it.rate.and_then(|it| it.ttft_ms).map(|(p50, p99)| (text!("{p50}/{p99} ms"), Role::Text))
            }
            ModelColumn::Kv => it.kv_most.map(|it| (text!("{it}%"), if it >= 95 { Role::Warn } else { Role::Text })),
        };
        match known {
            Some((text, role)) => row.put(at, text.as_str(), role),
            None => row.dash(at),
        }
    }
}

fn routers(model: &Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let totals = &model.totals;
    let note = text!("{} of {} report", totals.routers_heard, totals.routers);
    let inner = canvas.panel(area, "Routers", note.as_str());
    if inner.height == 0 {
        return;
    }
    if totals.routers == 0 {
        canvas.put((inner.x + 1, inner.y), inner.right(), "no node has the role router", Role::Dim);
        return;
    }
    let head =
        text!("  {:<12} {:>6} {:>6} {:>6}  {:<14} {:>6}", "ROUTER", "FLIGHT", "QUEUE", "BEHIND", "STRATEGY", "AGE");
    canvas.put((inner.x, inner.y), inner.right(), head.as_str(), Role::Dim);
    let nodes = model.fleet.order.iter().filter_map(|id| model.fleet.nodes.get(*id as usize));
    let routers = nodes.filter(|it| it.has(mesh_core::kind::Role::Router));
    for (node, y) in routers.zip(inner.y + 1..inner.bottom()) {
        router(model, node, canvas, Rect { y, height: 1, ..inner }, now);
    }
}

fn router(model: &Model, node: &Node, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let (at, right) = ((area.x, area.y), area.right());
    let name = model.names.get(node.name);
    let Some(it) = node.router.as_deref() else {
        let (glyph, role) =
            mark(canvas, if node.phase == mesh_core::status::Phase::Lost { Level::Crit } else { Level::Warn });
        canvas.put(at, right, glyph, role);
        canvas.print((at.0 + 2, at.1), right, format_args!("{name:<12} does not report"), Role::Dim);
        return;
    };
    let flight: u32 = it.inflight.iter().map(|it| it.count).sum();
    let behind = model.link.revision.0.saturating_sub(it.acked.0);
    let age_ms = node.age_ms(now).unwrap_or(0).saturating_add(u64::from(it.age_ms));
    let (strategy, fell_back) =
        it.strategy.as_ref().map_or((UNKNOWN, false), |it| (it.name.as_str(), it.error.is_some()));
    let line = text!(
        "{name:<12} {:>6} {:>6} {behind:>6}  {:<14} {:>6}",
        count(u64::from(flight)).as_str(),
        count(u64::from(it.queued)).as_str(),
        crate::text::fit(strategy, 14),
        age(age_ms).as_str()
    );
    let old = age_ms > crate::model::STALE_MS;
    let level = if fell_back {
        Level::Warn
    } else if old {
        Level::Unknown
    } else {
        Level::Ok
    };
    let (glyph, role) = mark(canvas, level);
    canvas.put(at, right, glyph, role);
    canvas.put((at.0 + 2, at.1), right, line.as_str(), if old { Role::Dim } else { Role::Text });
}

fn strategies(model: &Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let inner = canvas.panel(area, "Strategies", "");
    let (right, mut y) = (inner.right(), inner.y);
    let mut line = |canvas: &mut Canvas<'_>, label: &str, text: &str, role: Role| {
        if y < inner.bottom() {
            canvas.put((inner.x + 1, y), right, label, Role::Dim);
            canvas.put((inner.x + 11, y), right, text, role);
            y += 1;
        }
    };
    match &model.link.strategy {
        None => line(canvas, "active", "not told yet", Role::Dim),
        Some(None) => line(canvas, "active", "the built-in one: none was ever deployed", Role::Dim),
        Some(Some(it)) => {
            let by = crate::text::clean(it.by.name.as_str(), 30);
            let active = crate::text::clean(&it.active.to_string(), 60);
            line(canvas, "active", &active, Role::Title);
            line(
                canvas,
                "",
                text!("activation {}, by {by} {} ago", it.seq, age(it.at.age_ms(now)).as_str()).as_str(),
                Role::Dim,
            );
            line(canvas, "previous", &crate::text::clean(&it.previous.to_string(), 60), Role::Text);
        }
    }
    line(canvas, "win-rate", win_rate(model), Role::Dim);
    line(canvas, "", "", Role::Text);
    if model.totals.decisions.is_empty() {
        line(canvas, "decisions", "no router reports any", Role::Dim);
    }
    for it in &model.totals.decisions {
        line(canvas, "decided", decided(it).as_str(), decided_role(it));
    }
}

/// Why no strategy wins over another: it takes two on the same requests, and only one decides.
pub(crate) fn win_rate(model: &Model) -> &'static str {
    if model.totals.routers_heard == 0 { "no router reports" } else { "one strategy, nothing to compare" }
}

fn decided(it: &DecisionRow) -> crate::text::Scratch {
    let ok = it.outcomes.get("ok").copied().unwrap_or(0);
    let share = percent_of(ok, it.all).unwrap_or(0);
    let mut text = text!("{} {}  {}, {share}% ok", it.strategy, it.version, count(it.all).as_str());
    for (outcome, n) in it.outcomes.iter().filter(|(name, _)| *name != "ok") {
        text.add(format_args!("  {outcome} {}", count(*n).as_str()));
    }
    text
}

fn decided_role(it: &DecisionRow) -> Role {
    let fault = ["trap", "fuel", "epoch", "invalid"].iter().any(|name| it.outcomes.contains_key(*name));
    if fault { Role::Warn } else { Role::Text }
}
