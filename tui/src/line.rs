//! One line of text that is being typed.

use crossterm::event::{KeyCode, KeyModifiers};

use crate::text::clean;

/// A line with a cursor, of a bounded length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    text: String,
    /// The cursor's place in bytes, at a boundary of characters.
    at: usize,
}

/// The longest line, in characters.
const CHARS_MAX: usize = 400;

impl Line {
    pub(crate) fn new(text: &str) -> Self {
        Self { at: text.len(), text: text.to_owned() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the cursor.
    pub(crate) fn before(&self) -> &str {
        &self.text[..self.at]
    }

    /// Takes a key; says whether it was one for a line.
    pub(crate) fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> bool {
        let control = modifiers.contains(KeyModifiers::CONTROL);
        match (code, control) {
            (KeyCode::Char('u'), true) => *self = Self::default(),
            (KeyCode::Char('a'), true) | (KeyCode::Home, _) => self.at = 0,
            (KeyCode::Char('e'), true) | (KeyCode::End, _) => self.at = self.text.len(),
            (KeyCode::Char('w'), true) => self.cut_word(),
            (KeyCode::Char(c), false) => self.paste(c.encode_utf8(&mut [0; 4])),
            (KeyCode::Backspace, _) => {
                if let Some(c) = self.before().chars().next_back() {
                    self.at -= c.len_utf8();
                    self.text.remove(self.at);
                }
            }
            (KeyCode::Delete, _) if self.at < self.text.len() => {
                self.text.remove(self.at);
            }
            (KeyCode::Left, _) => self.at -= self.before().chars().next_back().map_or(0, char::len_utf8),
            (KeyCode::Right, _) => self.at += self.text[self.at..].chars().next().map_or(0, char::len_utf8),
            _ => return false,
        }
        true
    }

    /// Takes a text at the cursor; what is too long or acts on a terminal is left out.
    pub(crate) fn paste(&mut self, text: &str) {
        let room = CHARS_MAX.saturating_sub(self.text.chars().count());
        let text = clean(text, room);
        self.text.insert_str(self.at, &text);
        self.at += text.len();
    }

    fn cut_word(&mut self) {
        let kept = self.before().trim_end();
        let kept =
            kept.rfind(char::is_whitespace).map_or(0, |at| at + kept[at..].chars().next().map_or(0, char::len_utf8));
        self.text.replace_range(kept..self.at, "");
        self.at = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_edited() {
        let check = |keys: &[(KeyCode, bool)], text: &str, before: &str| {
            let mut line = Line::new("ab é");
            for (code, control) in keys {
                line.key(*code, if *control { KeyModifiers::CONTROL } else { KeyModifiers::NONE });
            }
            assert_eq!((line.text(), line.before()), (text, before), "{keys:?}");
        };
        check(&[(KeyCode::Char('x'), false)], "ab éx", "ab éx");
        check(&[(KeyCode::Backspace, false), (KeyCode::Left, false)], "ab ", "ab");
        check(&[(KeyCode::Home, false), (KeyCode::Delete, false), (KeyCode::Right, false)], "b é", "b");
        check(&[(KeyCode::Char('w'), true)], "ab ", "ab ");
        check(&[(KeyCode::Char('w'), true), (KeyCode::Char('w'), true)], "", "");
        check(&[(KeyCode::Char('u'), true), (KeyCode::Backspace, false), (KeyCode::Left, false)], "", "");
        let mut line = Line::default();
        line.paste(&"x\u{1b}".repeat(1000));
        assert_eq!(line.text().len(), CHARS_MAX);
    }
}
