//! Draws the state: a bar, tabs, one screen, and what lies over it. Pure, at every size.

mod detail;
mod dialog;
mod events;
mod frame;
mod gpus;
mod help;
mod nodes;
mod overview;
mod routing;

use mesh_core::time::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    canvas::Canvas,
    model::{Model, view::ScreenId},
    overlay::Overlay,
    theme::{Role, Theme},
};

pub(crate) use routing::win_rate;

/// Below this size there is one line and no screen.
const WIDTH_MIN: u16 = 20;
const HEIGHT_MIN: u16 = 3;

/// Draws everything into an empty buffer; gives the place of the text cursor when something is typed.
pub(crate) fn draw(model: &mut Model, theme: &Theme, buf: &mut Buffer, now: Timestamp) -> Option<(u16, u16)> {
    let area = buf.area;
    let mut canvas = Canvas { buf, theme };
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        notice(model, &mut canvas, area);
        return None;
    }
    let parts = frame::parts(area);
    frame::bar(model, &mut canvas, parts.bar, now);
    if let Some(tabs) = parts.tabs {
        frame::tabs(model, &mut canvas, tabs);
    }
    match model.view.screen {
        ScreenId::Overview => overview::draw(model, &mut canvas, parts.body, now),
        ScreenId::Nodes => nodes::draw(model, &mut canvas, parts.body, now),
        ScreenId::Gpus => gpus::draw(model, &mut canvas, parts.body, now),
        ScreenId::Routing => routing::draw(model, &mut canvas, parts.body, now),
        ScreenId::Events => events::draw(model, &mut canvas, parts.body, now),
    }
    let mut cursor = frame::foot(model, &mut canvas, &parts);
    for overlay in &model.overlays.stack {
        match overlay {
            Overlay::Help(scroll) => help::draw(model, &mut canvas, area, *scroll),
            Overlay::Question(question) => cursor = dialog::draw(question, model, &mut canvas, area),
            Overlay::Filter(_) => {}
        }
    }
    cursor
}

fn notice(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let counts = &model.totals.counts;
    let bad = crate::text::text!("{} nodes {} lost", counts.all, counts.lost);
    canvas.put((area.x, area.y), area.right(), bad.as_str(), Role::Text);
    if area.height > 1 {
        let text = crate::text::text!("need {WIDTH_MIN}x{HEIGHT_MIN}");
        canvas.put((area.x, area.y + 1), area.right(), text.as_str(), Role::Dim);
    }
}

/// Splits an area into a left part of so many percent and the rest.
fn columns(area: Rect, percent: u16) -> (Rect, Rect) {
    let width = u16::try_from(u32::from(area.width) * u32::from(percent) / 100).unwrap_or(area.width);
    (Rect { width, ..area }, Rect { x: area.x + width, width: area.width - width, ..area })
}

/// Splits an area into an upper part of so many rows and the rest.
fn rows(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    (Rect { height, ..area }, Rect { y: area.y + height, height: area.height - height, ..area })
}

/// Which rows of how many are shown.
fn note(table: &crate::model::view::Table, marked: usize) -> crate::text::Scratch {
    let first = (table.top + 1).min(table.rows.len());
    let last = (table.top + table.page).min(table.rows.len());
    let mut note = crate::text::text!("{first}-{last} of {}", table.rows.len());
    if table.rows.len() < table.all {
        note.add(format_args!(" ({} without filter)", table.all));
    }
    if marked > 0 {
        note.add(format_args!("  {marked} marked"));
    }
    note
}
