//! Events: the newest first, by severity and filter.

use mesh_core::time::Timestamp;
use ratatui::layout::Rect;

use super::rows;
use crate::{
    EventRow, Severity,
    canvas::Canvas,
    model::{Level, Model},
    text::{clock, text},
    theme::Role,
    widgets::heat::mark,
};

pub(super) fn draw(model: &mut Model, canvas: &mut Canvas<'_>, area: Rect, _now: Timestamp) {
    let (list, detail) = if area.height >= 14 { rows(area, area.height - 5) } else { rows(area, area.height) };
    let framed = list.height >= 4;
    model.view.events.fits(usize::from(list.height.saturating_sub(if framed { 2 } else { 0 })));
    let table = &model.view.events;
    let inner = if framed {
        let filter = if table.filter_text.is_empty() { "" } else { "  / " };
        let title = text!("Events{filter}{}", table.filter_text);
        let note = text!(
            "{} of {}  severity {}  follow {}  dropped {}",
            table.rows.len(),
            table.all,
            severity(model.view.severity),
            if model.view.follow { "on" } else { "off" },
            model.link.dropped
        );
        canvas.panel(list, title.as_str(), note.as_str())
    } else {
        list
    };
    for (key, y) in table.rows.iter().skip(table.top).zip(inner.y..inner.bottom()) {
        if let Some(event) = model.events.get(*key) {
            line(event, canvas, Rect { y, height: 1, ..inner });
        }
        if table.chosen == Some(*key) {
            canvas.tint(Rect { y, height: 1, ..inner }, Role::Chosen);
        }
    }
    if table.rows.is_empty() && inner.height > 0 {
        let why = if table.all == 0 { "nothing happened since this agent started" } else { "no event passes" };
        canvas.put((inner.x + 1, inner.y), inner.right(), why, Role::Dim);
    }
    if let Some(event) = table.chosen.and_then(|key| model.events.get(key)).filter(|_| detail.height > 2) {
        more(event, canvas, detail);
    }
}

fn severity(it: Severity) -> &'static str {
    match it {
        Severity::Info => "all",
        Severity::Warning => "warning+",
        Severity::Critical => "critical",
    }
}

fn level(it: Severity) -> Level {
    match it {
        Severity::Info => Level::Ok,
        Severity::Warning => Level::Warn,
        Severity::Critical => Level::Crit,
    }
}

/// One event in one row; the overview shows the same.
pub(super) fn line(event: &EventRow, canvas: &mut Canvas<'_>, area: Rect) {
    let (y, right) = (area.y, area.right());
    let mut x = canvas.put((area.x + 1, y), right, clock(event.at.0).as_str(), Role::Dim) + 1;
    let (glyph, role) = mark(canvas, level(event.severity));
    // What is part of normal life gets no colour.
    let plain = event.severity == Severity::Info;
    x = canvas.put((x, y), right, if plain { " " } else { glyph }, role) + 1;
    let subject = if area.width >= 70 { 22 } else { 16 };
    canvas.put((x, y), (x + subject).min(right), &event.subject, Role::Text);
    x = canvas.put((x + subject + 1, y), right, &event.text, if plain { Role::Text } else { role });
    if !event.actor.is_empty() {
        canvas.print((x + 1, y), right, format_args!("by {}", event.actor), Role::Dim);
    }
}

fn more(event: &EventRow, canvas: &mut Canvas<'_>, area: Rect) {
    let inner = canvas.panel(area, &event.subject, event.severity.as_str());
    let width = usize::from(inner.width.max(1));
    let mut rest = event.text.as_str();
    let mut y = inner.y;
    while y < inner.bottom() && !rest.is_empty() {
        let part = crate::text::fit(rest, crate::text::u16_of(width));
        // A wide character in a one-cell window would never fit.
        if part.is_empty() {
            break;
        }
        canvas.put((inner.x, y), inner.right(), part, Role::Text);
        rest = &rest[part.len()..];
        y += 1;
    }
    if y < inner.bottom() {
        let who = if event.actor.is_empty() { "nobody: the mesh itself" } else { &event.actor };
        canvas.print((inner.x, y), inner.right(), format_args!("{}  by {who}", event.at), Role::Dim);
    }
}
