//! Writes into cells, inside an area and without allocating.

use std::fmt;

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use unicode_width::UnicodeWidthChar;

use crate::{
    text::{scratch, width},
    theme::{Glyphs, Role, Theme},
};

/// A buffer with the theme that draws on it.
pub(crate) struct Canvas<'a> {
    pub(crate) buf: &'a mut Buffer,
    pub(crate) theme: &'a Theme,
}

impl Canvas<'_> {
    pub(crate) fn glyphs(&self) -> &'static Glyphs {
        self.theme.glyphs
    }

    pub(crate) fn area(&self) -> Rect {
        self.buf.area
    }

    /// Writes text from `(x, y)` and not beyond `right`; gives the next free column.
    pub(crate) fn put(&mut self, at: (u16, u16), right: u16, text: &str, role: Role) -> u16 {
        let style = self.theme.style(role);
        self.put_styled(at, right, text, style)
    }

    /// The same with a style of its own.
    pub(crate) fn put_styled(&mut self, (x, y): (u16, u16), right: u16, text: &str, style: Style) -> u16 {
        let area = self.buf.area;
        let right = right.min(area.right());
        if y < area.top() || y >= area.bottom() {
            return x;
        }
        let mut at = x.max(area.left());
        for c in text.chars() {
            // What has no width is left out: it could change its neighbour.
            let cells = match c.width() {
                None | Some(0) => continue,
                Some(cells) => u16::try_from(cells).unwrap_or(2),
            };
            if at.saturating_add(cells) > right {
                break;
            }
            let c = if self.theme.is_ascii() && !c.is_ascii() { ascii(c) } else { c };
            let Some(cell) = self.buf.cell_mut((at, y)) else { break };
            cell.set_char(c).set_style(style);
            for more in 1..cells {
                if let Some(cell) = self.buf.cell_mut((at + more, y)) {
                    cell.reset();
                    cell.set_style(style);
                }
            }
            at += cells;
        }
        at
    }

    /// Formats and writes.
    pub(crate) fn print(&mut self, at: (u16, u16), right: u16, text: fmt::Arguments<'_>, role: Role) -> u16 {
        self.put(at, right, scratch(text).as_str(), role)
    }

    /// Writes so that the text ends before `right`; a text that does not fit is cut at its end.
    pub(crate) fn put_right(&mut self, (left, y): (u16, u16), right: u16, text: &str, role: Role) {
        let x = right.saturating_sub(width(text)).max(left);
        self.put((x, y), right, text, role);
    }

    /// Lays a role over cells that are written already; their own colours stay where the role has none.
    pub(crate) fn tint(&mut self, area: Rect, role: Role) {
        let style = self.theme.style(role);
        self.buf.set_style(area.intersection(self.buf.area), style);
    }

    /// Clears an area, so that what was below does not shine through.
    pub(crate) fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buf.area);
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                if let Some(cell) = self.buf.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
    }

    /// Draws a frame with a title on its left and a note on its right; gives what is inside.
    pub(crate) fn panel(&mut self, area: Rect, title: &str, note: &str) -> Rect {
        let area = area.intersection(self.buf.area);
        if area.width < 2 || area.height < 2 {
            return Rect::new(area.x, area.y, 0, 0);
        }
        let [h, v, tl, tr, bl, br] = self.glyphs().lines;
        let (right, bottom) = (area.right() - 1, area.bottom() - 1);
        for x in area.left() + 1..right {
            self.put((x, area.y), right, h, Role::Frame);
            self.put((x, bottom), right, h, Role::Frame);
        }
        for y in area.top() + 1..bottom {
            self.put((area.x, y), area.right(), v, Role::Frame);
            self.put((right, y), area.right(), v, Role::Frame);
        }
        for (at, glyph) in
            [((area.x, area.y), tl), ((right, area.y), tr), ((area.x, bottom), bl), ((right, bottom), br)]
        {
            self.put(at, area.right(), glyph, Role::Frame);
        }
        let after = self.put((area.x + 1, area.y), right, " ", Role::Title);
        let after = self.put((after, area.y), right, title, Role::Title);
        let after = self.put((after, area.y), right, " ", Role::Title);
        let note_width = width(note).saturating_add(2);
        if !note.is_empty() && after.saturating_add(note_width) < right {
            let x = self.put((right - note_width, area.y), right, " ", Role::Dim);
            let x = self.put((x, area.y), right, note, Role::Dim);
            self.put((x, area.y), right, " ", Role::Dim);
        }
        Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2)
    }
}

/// The nearest ASCII character; a reader sees that something stood there.
fn ascii(c: char) -> char {
    match c {
        '–' | '—' | '─' | '┄' => '-',
        '│' | '┃' => '|',
        '…' => '~',
        '→' | '▸' | '▶' | '›' => '>',
        '·' | '•' => '.',
        '°' => 'C',
        '≥' => '>',
        '≤' => '<',
        '×' => 'x',
        'Δ' => 'd',
        '↵' => '<',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::{Caps, Colors};

    #[test]
    fn nothing_is_written_outside() {
        let theme = Theme::new(Caps { colors: Colors::Mono, utf8: true, dumb: false });
        let check = |at: (u16, u16), right: u16, text: &str, expected: &str| {
            let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
            Canvas { buf: &mut buf, theme: &theme }.put(at, right, text, Role::Text);
            let line: String = buf.content().iter().map(ratatui::buffer::Cell::symbol).collect();
            assert_eq!(line, expected);
        };
        check((1, 0), 4, "abcdef", " abc  ");
        check((4, 0), 99, "abcdef", "    ab");
        check((0, 3), 99, "abcdef", "      ");
        check((9, 0), 99, "abcdef", "      ");
        check((0, 0), 3, "日本", "日     ");
        check((0, 0), 6, "e\u{301}x", "ex    ");
    }
}
