//! What is around every screen: the bar with the state of the picture itself, tabs, messages, hints.

use mesh_core::time::Timestamp;
use ratatui::layout::Rect;

use super::rows;
use crate::{
    canvas::Canvas,
    keys,
    model::{Level, Model, link::Session, view::ScreenId},
    overlay::Overlay,
    text::{age, clock, count, text, watts, width},
    theme::Role,
    widgets::heat::mark,
};

/// Where things are; what has no room is absent.
pub(super) struct Parts {
    pub(super) bar: Rect,
    pub(super) tabs: Option<Rect>,
    pub(super) body: Rect,
    /// Messages have a row of their own where there is room, else they stand on the hints.
    pub(super) message: Rect,
    pub(super) hints: Option<Rect>,
}

pub(super) fn parts(area: Rect) -> Parts {
    let (bar, rest) = rows(area, 1);
    let (tabs, rest) = if area.height >= 8 { rows(rest, 1) } else { rows(rest, 0) };
    let feet = match area.height {
        0..6 => 0,
        6..20 => 1,
        _ => 2,
    };
    let (body, foot) = rows(rest, rest.height.saturating_sub(feet));
    let last = Rect { y: area.bottom() - 1, height: 1, ..area };
    Parts {
        bar,
        tabs: (tabs.height > 0).then_some(tabs),
        body,
        message: if feet == 2 { Rect { height: 1, ..foot } } else { last },
        hints: (feet > 0).then_some(last),
    }
}

/// How old the picture is, loudly when it is old.
fn freshness(model: &Model, now: Timestamp) -> (crate::text::Scratch, bool) {
    let link = &model.link;
    let old = link.age_ms(now).map(age);
    if let Some(since) = model.paused {
        return (text!("PAUSED {}", age(since.age_ms(now)).as_str()), true);
    }
    match (&link.session, old) {
        (Session::Down { attempt, retry_at, .. }, _) => {
            let wait = retry_at.0.saturating_sub(now.0).div_ceil(1000);
            (text!("RECONNECT {attempt} ({wait}s)"), true)
        }
        (_, None) => (text!("connecting"), true),
        (_, Some(old)) if !link.is_fresh(now) => (text!("STALE {}", old.as_str()), true),
        (_, Some(old)) => (text!("live {}", old.as_str()), false),
    }
}

pub(super) fn bar(model: &Model, canvas: &mut Canvas<'_>, area: Rect, now: Timestamp) {
    let (fresh, alarm) = freshness(model, now);
    let role = if alarm { Role::Alarm } else { Role::Bar };
    let right = area.right();
    let wide = area.width >= 100;
    let end = if wide { text!("{} {}Z ", fresh.as_str(), clock(now.0).as_str()) } else { text!("{} ", fresh.as_str()) };
    let stop = right.saturating_sub(width(end.as_str()) + 1);
    let mut x = canvas.put((area.x, area.y), stop, if wide { " mesh top " } else { " " }, Role::Text);
    x = canvas.put((x, area.y), stop, &model.options.context, Role::Title);
    if let Some(nodes) = model.options.demo {
        x = canvas.print((x, area.y), stop, format_args!(" DEMO: {nodes} simulated nodes"), Role::Title);
    }
    if wide && model.options.demo.is_none() {
        x = leader(model, canvas, (x, area.y), stop);
    }
    x = canvas.put((x, area.y), stop, "  ", Role::Text);
    x = states(model, canvas, (x, area.y), stop);
    figures(model, canvas, (x, area.y), stop);
    canvas.put((stop + 1, area.y), right, end.as_str(), Role::Title);
    // The bar is one block; glyphs in it keep their form and lose their colour.
    canvas.tint(area, role);
}

fn leader(model: &Model, canvas: &mut Canvas<'_>, (x, y): (u16, u16), stop: u16) -> u16 {
    match &model.link.cluster {
        None => x,
        Some(it) if !it.quorum => canvas.put((x, y), stop, "  NO QUORUM", Role::Title),
        Some(it) => {
            let leader = it.leader.as_deref().unwrap_or("none");
            canvas.print((x, y), stop, format_args!("  leader {leader} t{}", it.term), Role::Text)
        }
    }
}

fn states(model: &Model, canvas: &mut Canvas<'_>, (mut x, y): (u16, u16), stop: u16) -> u16 {
    let counts = &model.totals.counts;
    if counts.all == 0 {
        return canvas.put((x, y), stop, "no nodes yet", Role::Text);
    }
    x = canvas.print((x, y), stop, format_args!("{} nodes", count(u64::from(counts.all)).as_str()), Role::Text);
    let states = [
        (Level::Ok, counts.ready),
        (Level::Unknown, counts.starting),
        (Level::Draining, counts.draining),
        (Level::Out, counts.out),
        (Level::Crit, counts.lost),
    ];
    for (level, n) in states.into_iter().filter(|(level, n)| *n > 0 || *level == Level::Ok) {
        x = canvas.print((x + 1, y), stop, format_args!("{n}"), Role::Text);
        x = canvas.put((x, y), stop, mark(canvas, level).0, Role::Text);
    }
    x
}

fn figures(model: &Model, canvas: &mut Canvas<'_>, (mut x, y): (u16, u16), stop: u16) {
    let gpus = &model.totals.gpus;
    let bar = canvas.glyphs().bar;
    if gpus.count > 0 {
        x = canvas.print(
            (x, y),
            stop,
            format_args!(" {bar} {} GPUs", count(u64::from(gpus.count)).as_str()),
            Role::Text,
        );
    }
    if let Some(w) = gpus.power_w {
        canvas.print((x, y), stop, format_args!(" {bar} {}", watts(w).as_str()), Role::Text);
    }
}

pub(super) fn tabs(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    let wide = area.width >= 90;
    let who = match (model.options.read_only, area.width >= 60) {
        (true, true) => text!("<read-only> {}@{}", model.options.operator, model.options.context),
        (false, true) => text!("<rw> {}@{}", model.options.operator, model.options.context),
        (true, false) => text!("<ro>"),
        (false, false) => text!("<rw>"),
    };
    let stop = area.right().saturating_sub(width(who.as_str()) + 1);
    let mut x = area.x + 1;
    for (number, screen) in (1..).zip(ScreenId::ALL) {
        let (long, short) = screen.names();
        let name = if wide { long } else { short };
        let here = screen == model.view.screen;
        let (open, close) = if here { ("[", "]") } else { (" ", " ") };
        let role = if here { Role::Title } else { Role::Dim };
        x = canvas.print((x, area.y), stop, format_args!("{open}{number} {name}{close}"), role) + u16::from(wide);
    }
    canvas.put((stop, area.y), area.right(), who.as_str(), Role::Dim);
}

/// Messages and hints; gives the place of the cursor while a filter is typed.
pub(super) fn foot(model: &Model, canvas: &mut Canvas<'_>, parts: &Parts) -> Option<(u16, u16)> {
    if let Some(hints) = parts.hints {
        hint_row(model, canvas, hints);
    }
    message(model, canvas, parts.message)
}

fn hint_row(model: &Model, canvas: &mut Canvas<'_>, area: Rect) {
    // Help and quit come first where not everything fits, since they are what one is lost without.
    let tail = " ? help  q quit ";
    let stop = area.right().saturating_sub(width(tail));
    let mut x = area.x + 1;
    let screen = model.view.screen;
    let open = keys::on(screen, model.options.read_only)
        .filter(|it| !it.hint.is_empty() && !matches!(it.command, keys::Command::Help | keys::Command::Quit));
    for binding in open {
        let wanted = width(binding.first()) + 1 + width(binding.hint) + 2;
        if x.saturating_add(wanted) > stop {
            break;
        }
        x = canvas.put((x, area.y), stop, binding.first(), Role::Key) + 1;
        x = canvas.put((x, area.y), stop, binding.hint, Role::Dim) + 2;
    }
    let x = stop.max(area.x);
    let x = canvas.put((x + 1, area.y), area.right(), "?", Role::Key);
    let x = canvas.put((x + 1, area.y), area.right(), "help", Role::Dim);
    let x = canvas.put((x + 2, area.y), area.right(), "q", Role::Key);
    canvas.put((x + 1, area.y), area.right(), "quit", Role::Dim);
}

fn message(model: &Model, canvas: &mut Canvas<'_>, area: Rect) -> Option<(u16, u16)> {
    let right = area.right();
    if let Some(Overlay::Filter(it)) = model.overlays.stack.last() {
        canvas.clear(area);
        let x = canvas.put((area.x, area.y), right, " /", Role::Key);
        let end = canvas.put((x, area.y), right, it.line.text(), Role::Text);
        let cursor = x.saturating_add(width(it.line.before())).min(right.saturating_sub(1));
        match &it.error {
            Some(error) => {
                let x =
                    canvas.print((end + 2, area.y), right, format_args!("column {}: ", error.column + 1), Role::Warn);
                canvas.put((x, area.y), right, &error.text, Role::Warn);
            }
            None => {
                let table = model.view.shown();
                let text = text!("{} of {} match   Enter keep  Esc clear", table.rows.len(), table.all);
                canvas.put((end + 2, area.y), right, text.as_str(), Role::Dim);
            }
        }
        return Some((cursor, area.y));
    }
    if let Some(toast) = &model.overlays.toast {
        canvas.clear(area);
        let (glyph, role) = mark(canvas, toast.level);
        let x = canvas.put((area.x + 1, area.y), right, glyph, role);
        canvas.put(
            (x + 1, area.y),
            right,
            &toast.text,
            if toast.level == Level::Crit { Role::Crit } else { Role::Text },
        );
    } else if let Session::Down { why, .. } = &model.link.session {
        canvas.clear(area);
        let x = canvas.put((area.x + 1, area.y), right, "not connected: ", Role::Warn);
        canvas.put((x, area.y), right, why, Role::Text);
    }
    None
}
