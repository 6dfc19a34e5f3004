//! A question before something is changed: what it hits, what must be typed, and a way out.

use ratatui::layout::Rect;

use crate::{
    Action, BlastRadius,
    canvas::Canvas,
    line::Line,
    model::Model,
    overlay::{Focus, Question},
    text::{UNKNOWN, text, width},
    theme::Role,
};

/// Draws a question in the middle; gives the place of the cursor while something is typed.
pub(super) fn draw(question: &Question, model: &Model, canvas: &mut Canvas<'_>, screen: Rect) -> Option<(u16, u16)> {
    let blast = question.blast.as_ref().and_then(|it| it.as_ref().ok());
    let known = |it: &BlastRadius| {
        let nodes = if it.nodes.is_empty() { 0 } else { 2 };
        let single = usize::from(it.quorum.is_some()) + usize::from(it.refused.is_some());
        nodes + it.targets.len().min(4) + it.warnings.len().min(3) + single
    };
    // The frame, what it means, an empty row, and three rows to answer in.
    let lines = 7 + blast.map_or(1, known);
    let size = (screen.width.min(76), screen.height.min(crate::text::u16_of(lines)));
    let area =
        Rect::new(screen.x + (screen.width - size.0) / 2, screen.y + (screen.height - size.1) / 2, size.0, size.1);
    canvas.clear(area);
    let title = text!("{} on {}", question.title, model.options.context);
    let inner = canvas.panel(area, title.as_str(), "Esc cancels");
    if inner.height == 0 {
        return None;
    }
    // What is typed and the buttons are drawn from below: they stay where little fits.
    let below = 3.min(inner.height);
    let facts = Rect { height: inner.height.saturating_sub(below), ..inner };
    explain(question, canvas, facts);
    let foot = Rect { y: inner.bottom() - below, height: below, ..inner };
    answer(question, canvas, foot)
}

fn explain(question: &Question, canvas: &mut Canvas<'_>, area: Rect) {
    let (x, right, mut y) = (area.x + 1, area.right(), area.y);
    let mut line = |canvas: &mut Canvas<'_>, text: &str, role: Role| {
        if y < area.bottom() {
            canvas.put((x, y), right, text, role);
            y += 1;
        }
    };
    line(canvas, meaning(&question.action), Role::Text);
    match &question.blast {
        None => line(canvas, "asking the mesh what it would hit ...", Role::Dim),
        Some(Err(why)) => line(canvas, why, Role::Crit),
        Some(Ok(blast)) => {
            if let Some(why) = &blast.refused {
                line(canvas, text!("refused: {why}").as_str(), Role::Crit);
            }
            facts(blast, canvas, &mut line);
        }
    }
}

fn meaning(action: &Action) -> &'static str {
    match action {
        Action::Cordon(_) => "Nothing new is sent there; requests in flight finish. `u` undoes it.",
        Action::Uncordon(_) => "New requests are sent there again.",
        Action::Drain(_) => "Nothing new is sent there, and it leaves when its requests are done.",
        Action::StrategyRollback => "The previous strategy decides again on every router.",
    }
}

fn facts(blast: &BlastRadius, canvas: &mut Canvas<'_>, line: &mut impl FnMut(&mut Canvas<'_>, &str, Role)) {
    if !blast.nodes.is_empty() {
        let first: Vec<String> = blast.nodes.iter().take(4).map(|it| crate::text::clean(it, 30)).collect();
        let more = blast.nodes.len().saturating_sub(4);
        let more = if more > 0 { text!(" +{more}") } else { text!("") };
        let flight = blast.in_flight.map_or_else(|| text!("{UNKNOWN}"), |it| text!("{it}"));
        line(canvas, text!("nodes     {}{}", first.join(" "), more.as_str()).as_str(), Role::Text);
        line(canvas, text!("engines   {}   in flight {}", blast.engines, flight.as_str()).as_str(), Role::Text);
    }
    for it in blast.targets.iter().take(4) {
        let role = if it.after == 0 && it.before > 0 { Role::Crit } else { Role::Text };
        let none = if role == Role::Crit { "  NOBODY IS LEFT" } else { "" };
        let model = crate::text::clean(&it.model, 40);
        line(canvas, text!("targets   {model} {} -> {}{none}", it.before, it.after).as_str(), role);
    }
    if let Some(quorum) = &blast.quorum {
        line(canvas, text!("quorum    {}", crate::text::clean(quorum, 80)).as_str(), Role::Warn);
    }
    for warning in blast.warnings.iter().take(3) {
        line(canvas, text!("! {}", crate::text::clean(warning, 90)).as_str(), Role::Warn);
    }
}

fn answer(question: &Question, canvas: &mut Canvas<'_>, area: Rect) -> Option<(u16, u16)> {
    let mut cursor = None;
    let mut y = area.y;
    let (x, right) = (area.x + 1, area.right());
    if let Some(expected) = &question.expected {
        let label = text!("type {expected}: ");
        cursor = field(canvas, (x, y), right, (label.as_str(), &question.typed), question.focus == Focus::Typed);
        y += 1;
    }
    if y < area.bottom().saturating_sub(1) {
        let on = question.focus == Focus::Reason;
        let reason = field(canvas, (x, y), right, ("reason: ", &question.reason), on);
        cursor = if on { reason } else { cursor };
    }
    let last = area.bottom() - 1;
    if let Some(complaint) = question.complaint.filter(|_| area.height > 1 || question.expected.is_none()) {
        canvas.put((x, last), right, complaint, Role::Crit);
        return cursor;
    }
    let mut at = x;
    let yes = match question.action {
        Action::Cordon(_) => " Cordon ",
        Action::Uncordon(_) => " Uncordon ",
        Action::Drain(_) => " Drain ",
        Action::StrategyRollback => " Roll back ",
    };
    for (label, focus) in [(" Cancel ", Focus::Cancel), (yes, Focus::Confirm)] {
        let on = question.focus == focus;
        let role = if on { Role::Chosen } else { Role::Text };
        at = canvas.put((at, last), right, "[", Role::Dim);
        at = canvas.put((at, last), right, label, role);
        at = canvas.put((at, last), right, "]", Role::Dim) + 2;
    }
    let how = if question.expected.is_some() {
        "Enter drains once the name is right   Tab next"
    } else {
        "y yes   r reason   Tab next   Enter cancels"
    };
    let how = if question.focus == Focus::Confirm { "Enter does it" } else { how };
    canvas.put((at, last), right, how, Role::Dim);
    cursor.filter(|_| matches!(question.focus, Focus::Typed | Focus::Reason))
}

fn field(
    canvas: &mut Canvas<'_>,
    (x, y): (u16, u16),
    right: u16,
    (label, line): (&str, &Line),
    on: bool,
) -> Option<(u16, u16)> {
    let start = canvas.put((x, y), right, label, if on { Role::Title } else { Role::Dim });
    // The end of a long line is what one types.
    let room = right.saturating_sub(start + 1);
    let mut text = line.text();
    while width(text) > room {
        let first = text.chars().next().map_or(0, char::len_utf8);
        text = &text[first..];
    }
    canvas.put((start, y), right, text, Role::Text);
    let back = width(line.text()).saturating_sub(width(line.before()));
    on.then(|| (start.saturating_add(width(text).saturating_sub(back)).min(right.saturating_sub(1)), y))
}
