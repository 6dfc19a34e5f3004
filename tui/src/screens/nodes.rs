//! Nodes: a table of all of them, and beside or over it the detail of one.

use mesh_core::{status::Phase, time::Timestamp};
use ratatui::layout::Rect;

use super::{columns, detail, rows as split_rows};
use crate::{
    canvas::Canvas,
    columns::NodeColumn,
    model::{
        Level, Model, STALE_MS,
        fleet::{Gpus, Node},
        rows, totals,
        view::Table,
    },
    text::{age, count, text, u16_of, watts},
    theme::Role,
    widgets::{
        heat::mark,
        spark,
        vtable::{self, Row},
    },
};

pub(super) fn draw(model: &mut Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let (table, side) = layout(model, area);
    let framed = table.height >= 8 && table.width >= 60;
    model.view.nodes.fits(usize::from(table.height.saturating_sub(if framed { 3 } else { 1 })));
    if table.height > 0 {
        let inner = if framed { panel(model, canvas, table) } else { table };
        let shown = &model.view.nodes;
        vtable::draw(canvas, inner, NodeColumn::COLUMNS, shown, |row, key| {
            let name = rows::node_of(key);
            if let Some(node) = model.fleet.get(name) {
                cells(model, node, row, now);
            }
            model.view.marked.contains(&name)
        });
        empty(model, shown, canvas, inner);
    }
    if side.height > 0 && side.width > 0 {
        detail::draw(model, canvas, side, now);
    }
}

/// The detail takes all on Enter; on a large terminal it is always there.
fn layout(model: &Model, area: Rect) -> (Rect, Rect) {
    let none = Rect { width: 0, height: 0, ..area };
    match (model.view.detail, area.width >= 160, area.height >= 30) {
        (true, false, false) => (none, area),
        (_, true, _) => columns(area, 62),
        (true, false, true) => split_rows(area, area.height / 3),
        (false, false, true) => split_rows(area, area.height.saturating_sub(12)),
        (false, false, false) => (area, none),
    }
}

fn panel(model: &Model, canvas: &mut Canvas<'_>, area: Rect) -> Rect {
    let table = &model.view.nodes;
    let note = super::note(table, model.view.marked.len());
    let title = match table.filter_text.as_str() {
        "" => text!("Nodes"),
        filter => text!("Nodes  / {filter}"),
    };
    canvas.panel(area, title.as_str(), note.as_str())
}

/// Why there is no row.
fn empty(model: &Model, table: &Table, canvas: &mut Canvas<'_>, area: Rect) {
    if table.rows.is_empty() && area.height > 1 {
        let why = match (model.link.picture_at, table.all) {
            (None, _) => "nothing heard yet",
            (_, 0) => "no nodes in this mesh",
            _ => "no node passes the filter; Esc clears it",
        };
        canvas.put((area.x + 2, area.y + 1), area.right(), why, Role::Dim);
    }
}

fn cells(model: &Model, node: &Node, row: &mut Row<'_, '_>, now: Timestamp) {
    let names = &model.names;
    let (level, word) = totals::state(node, now);
    let old = node.age_ms(now).is_none_or(|ms| ms > STALE_MS) || !model.link.is_fresh(now);
    row.dim = old;
    let degree = row.canvas.glyphs().degree;
    for (at, column) in NodeColumn::ALL.iter().enumerate() {
        let known = match column {
            NodeColumn::Name => Some((text!("{}", names.get(node.name)), Role::Text)),
            NodeColumn::Zone => node.zone.map(|it| (text!("{}", names.get(it)), Role::Text)),
            NodeColumn::Rack => node.rack.map(|it| (text!("{}", names.get(it)), Role::Text)),
            NodeColumn::State => {
                let (glyph, role) = mark(row.canvas, level);
                Some((text!("{glyph} {word}"), role))
            }
            NodeColumn::Gpus => match &node.gpus {
                Gpus::Read(list) => Some((text!("{}", list.len()), Role::Text)),
                Gpus::Unknown | Gpus::Unavailable(_) => None,
            },
            NodeColumn::Util => node.util.map(|it| (text!("{it}%"), Role::Text)),
            NodeColumn::Trail => {
                if let Some((left, right)) = row.span(at) {
                    let role = if old { Role::Dim } else { Role::Ok };
                    spark::trail(row.canvas, (left, row.y), right, &node.trail, role);
                }
                continue;
            }
            NodeColumn::Vram => node.vram.map(|it| (text!("{it}%"), Role::Text)),
            NodeColumn::Temp => node.temp_c.map(|it| (text!("{it}{degree}"), heat_role(it))),
            NodeColumn::Power => node.power_w.map(|it| (watts(u64::from(it)), Role::Text)),
            NodeColumn::Engines => engines(node),
            NodeColumn::Running => node.running.map(|it| (count(u64::from(it)), Role::Text)),
            NodeColumn::Waiting => node.waiting.map(|it| (count(u64::from(it)), waiting_role(node))),
            NodeColumn::Flight => node.in_flight.map(|it| (count(u64::from(it)), Role::Text)),
            NodeColumn::Load => node.load_percent.map(|it| (text!("{}.{:02}", it / 100, it % 100), Role::Text)),
            NodeColumn::Behind => behind(model, node),
            NodeColumn::Version => node.version.map(|it| (text!("{}", names.get(it)), Role::Text)),
            NodeColumn::Age => node.age_ms(now).map(|it| (age(it), if it > STALE_MS { Role::Warn } else { Role::Dim })),
        };
        match known {
            Some((text, role)) => row.put(at, text.as_str(), role),
            None => row.dash(at),
        }
    }
}

fn heat_role(c: u8) -> Role {
    match c {
        0..85 => Role::Text,
        85..92 => Role::Warn,
        92.. => Role::Crit,
    }
}

fn waiting_role(node: &Node) -> Role {
    let full = node.engines.iter().any(|it| it.waiting.zip(it.capacity).is_some_and(|(waiting, most)| waiting > most));
    if full { Role::Warn } else { Role::Text }
}

fn engines(node: &Node) -> Option<(crate::text::Scratch, Role)> {
    if node.engines_declared == 0 && node.engines.is_empty() {
        return None;
    }
    let all = node.engines_declared.max(u16_of(node.engines.len()));
    let role = if node.engines_up < all { Role::Crit } else { Role::Text };
    // A lost node's engines are not down, they are unknown.
    let role = if node.phase == Phase::Lost { Role::Dim } else { role };
    Some((text!("{}/{all}", node.engines_up), role))
}

fn behind(model: &Model, node: &Node) -> Option<(crate::text::Scratch, Role)> {
    let by = model.link.revision.0.saturating_sub(node.applied?.0);
    Some((count(by), if by == 0 { Role::Dim } else { Role::Warn }))
}

/// The level of a node with a name; for the heat map's cursor.
pub(super) fn level(node: &Node, now: Timestamp) -> Level {
    totals::state(node, now).0
}
