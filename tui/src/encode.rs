//! Frames as bytes: what differs from the frame before, inside one synchronized update.

use std::io::{self, Write};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    queue,
    style::{Attribute, Color as TermColor, Colors as TermColors, Print, SetAttribute, SetColors},
    terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate},
};
use ratatui::{
    backend::{Backend, CrosstermBackend},
    buffer::Buffer,
    style::{Color, Modifier},
};

/// Where the text cursor is wanted; absent = hidden.
pub(crate) type Cursor = Option<(u16, u16)>;

/// Writes what turns `before` into `after`; `fresh` clears the terminal first, since it may show anything.
pub(crate) fn frame(before: &Buffer, after: &Buffer, cursor: Cursor, fresh: bool, out: &mut Vec<u8>) -> io::Result<()> {
    queue!(out, BeginSynchronizedUpdate, Hide)?;
    if fresh {
        queue!(out, SetAttribute(Attribute::Reset), Clear(ClearType::All))?;
    }
    CrosstermBackend::new(&mut *out).draw(before.diff_iter(after))?;
    if let Some((x, y)) = cursor {
        queue!(out, MoveTo(x, y), Show)?;
    }
    queue!(out, EndSynchronizedUpdate)
}

/// A whole frame as lines of text; without colours there is not one escape sequence in it.
pub(crate) fn lines(buf: &Buffer, plain: bool) -> String {
    let mut out = Vec::new();
    let width = usize::from(buf.area.width.max(1));
    for row in buf.content().chunks(width) {
        let end = row.iter().rposition(|cell| cell.symbol() != " " || (!plain && styled(cell))).map_or(0, |at| at + 1);
        let mut style = (Color::Reset, Modifier::empty());
        let mut skip = 0;
        for cell in &row[..end] {
            // The second half of a wide character is nothing of its own.
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if !plain && style != (cell.fg, cell.modifier) {
                style = (cell.fg, cell.modifier);
                // A vector takes every byte.
                drop(set(&mut out, style));
            }
            skip = crate::text::width(cell.symbol()).saturating_sub(1);
            out.extend_from_slice(cell.symbol().as_bytes());
        }
        if style != (Color::Reset, Modifier::empty()) {
            drop(queue!(out, SetAttribute(Attribute::Reset)));
        }
        out.push(b'\n');
    }
    String::from_utf8(out).unwrap_or_default()
}

fn styled(cell: &ratatui::buffer::Cell) -> bool {
    cell.modifier.contains(Modifier::REVERSED)
}

fn set(out: &mut impl Write, (color, modifier): (Color, Modifier)) -> io::Result<()> {
    queue!(out, SetAttribute(Attribute::Reset))?;
    let attributes =
        [(Modifier::BOLD, Attribute::Bold), (Modifier::DIM, Attribute::Dim), (Modifier::REVERSED, Attribute::Reverse)];
    for (_, attribute) in attributes.iter().filter(|(it, _)| modifier.contains(*it)) {
        queue!(out, SetAttribute(*attribute))?;
    }
    if color != Color::Reset {
        use ratatui::backend::IntoCrossterm;
        queue!(out, SetColors(TermColors { foreground: Some(color.into_crossterm()), background: None::<TermColor> }))?;
    }
    queue!(out, Print(""))
}

#[cfg(test)]
mod tests {
    use ratatui::{layout::Rect, style::Style};

    use super::*;

    /// A terminal that gets frame after frame shows what the last buffer holds.
    #[test]
    fn frames_arrive_on_a_terminal() {
        let area = Rect::new(0, 0, 20, 4);
        let mut terminal = vt100::Parser::new(4.try_into().unwrap(), 20.try_into().unwrap(), 0);
        let (mut before, mut out) = (Buffer::empty(area), Vec::new());
        let texts = ["first", "日本 wide", "x", "", "back again at the end"];
        for (at, text) in texts.iter().enumerate() {
            let mut after = Buffer::empty(area);
            after.set_string(1, 1, text, Style::new().fg(Color::Indexed(74)).add_modifier(Modifier::BOLD));
            out.clear();
            frame(&before, &after, Some((2, 2)), at == 0, &mut out).unwrap();
            terminal.process(&out);
            let shown = terminal.screen().rows(0, 20).nth(1).unwrap();
            let wanted: String = format!(" {text}").chars().take(20).collect();
            assert_eq!(shown.trim_end(), wanted.trim_end());
            before = after;
        }
        assert_eq!(terminal.screen().cursor_position(), (2, 2));
        out.clear();
        frame(&before, &before, None, false, &mut out).unwrap();
        assert!(out.len() < 64, "{} bytes for nothing", out.len());
    }

    #[test]
    fn a_plain_frame_has_no_escape_in_it() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 8, 2));
        buf.set_string(0, 0, "ok", Style::new().add_modifier(Modifier::REVERSED));
        assert_eq!(lines(&buf, true), "ok\n\n");
        assert!(lines(&buf, false).contains("\u{1b}["));
    }
}
