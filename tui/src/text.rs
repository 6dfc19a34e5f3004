//! Text for cells: cleaned of control characters, cut by width, and numbers written without allocating.

use std::fmt::{self, Write};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands where nothing is known.
pub(crate) const UNKNOWN: &str = "–";

/// Whether a character may reach a terminal: controls could move the cursor, and bidi overrides could lie.
fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text from elsewhere, without anything that acts on a terminal, of at most `chars_max` characters.
pub(crate) fn clean(text: &str, chars_max: usize) -> String {
    text.chars()
        .map(|c| if matches!(c, '\n' | '\t' | '\r') { ' ' } else { c })
        .filter(|c| is_harmless(*c))
        .take(chars_max)
        .collect()
}

/// How many cells a text takes.
pub(crate) fn width(text: &str) -> u16 {
    u16_of(text.width())
}

/// The longest beginning of a text that fits into so many cells.
pub(crate) fn fit(text: &str, cells: u16) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > usize::from(cells) {
            return &text[..at];
        }
    }
    text
}

/// A number of cells out of a length; what is larger than a terminal is as good as the largest.
pub(crate) fn u16_of(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// A count for a packed column.
pub(crate) fn u32_of(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A measured number as a whole one between 0 and `most`; a reading that is no number is unknown.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the range right before")]
pub(crate) fn whole(value: f32, most: u32) -> Option<u32> {
    // u32 to f32 may round up, and a cast back saturates: never out of range.
    (!value.is_nan()).then(|| (value.round().clamp(0.0, 1e9) as u32).min(most))
}

/// `part` of `all` in percent; nothing of nothing is unknown.
pub(crate) fn percent_of(part: u64, all: u64) -> Option<u8> {
    let percent = part.saturating_mul(100).checked_div(all)?;
    u8::try_from(percent.min(100)).ok()
}

/// A short text on the stack; what does not fit is left out.
#[derive(Clone, Copy)]
pub(crate) struct Scratch {
    bytes: [u8; 96],
    len: usize,
}

impl Scratch {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    /// Formats behind what is there already; writing never fails, it cuts.
    pub(crate) fn add(&mut self, arguments: fmt::Arguments<'_>) {
        self.write_fmt(arguments).unwrap_or_default();
    }
}

impl Write for Scratch {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let end = self.len + c.len_utf8();
            if end > self.bytes.len() {
                break;
            }
            c.encode_utf8(&mut self.bytes[self.len..end]);
            self.len = end;
        }
        Ok(())
    }
}

/// Formats on the stack.
pub(crate) fn scratch(arguments: fmt::Arguments<'_>) -> Scratch {
    let mut out = Scratch { bytes: [0; 96], len: 0 };
    out.add(arguments);
    out
}

/// Formats on the stack, as `format!` does on the heap.
macro_rules! text {
    ($($arg:tt)*) => { $crate::text::scratch(format_args!($($arg)*)) };
}
pub(crate) use text;

/// An age in at most five cells: `0.4s`, `12s`, `04:31`, `3h07`, `12d04`.
pub(crate) fn age(ms: u64) -> Scratch {
    let seconds = ms / 1000;
    match seconds {
        0..10 => text!("{}.{}s", seconds, ms % 1000 / 100),
        10..60 => text!("{seconds}s"),
        60..3600 => text!("{:02}:{:02}", seconds / 60, seconds % 60),
        3600..86_400 => text!("{}h{:02}", seconds / 3600, seconds % 3600 / 60),
        _ => text!("{}d{:02}", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A count in at most five cells: `999`, `12.3k`, `1.20M`.
pub(crate) fn count(n: u64) -> Scratch {
    match n {
        0..10_000 => text!("{n}"),
        10_000..1_000_000 => text!("{}.{}k", n / 1000, n % 1000 / 100),
        1_000_000..1_000_000_000 => text!("{}.{:02}M", n / 1_000_000, n % 1_000_000 / 10_000),
        _ => text!("{}.{:02}G", n / 1_000_000_000, n % 1_000_000_000 / 10_000_000),
    }
}

/// Watts in at most seven cells: `640W`, `5.4kW`, `5.81MW`.
pub(crate) fn watts(w: u64) -> Scratch {
    match w {
        0..1000 => text!("{w}W"),
        1000..1_000_000 => text!("{}.{}kW", w / 1000, w % 1000 / 100),
        _ => text!("{}.{:02}MW", w / 1_000_000, w % 1_000_000 / 10_000),
    }
}

/// MiB as GiB with one digit, or TiB when large.
pub(crate) fn memory(mib: u64) -> Scratch {
    if mib < 10 * 1024 * 1024 {
        text!("{}.{}G", mib / 1024, mib % 1024 * 10 / 1024)
    } else {
        text!("{}T", mib / 1024 / 1024)
    }
}

/// The time of day of an instant, UTC.
pub(crate) fn clock(ms: u64) -> Scratch {
    let s = ms / 1000 % 86_400;
    text!("{:02}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_acts_on_a_terminal_gets_through() {
        let check = |text: &str, expected: &str| assert_eq!(clean(text, 20), expected);
        check("plain", "plain");
        check("\u{1b}[31mred\u{7}", "[31mred");
        check("a\nb\tc", "a b c");
        check("c1\u{9b}31m", "c131m");
        check("rtl\u{202e}gnp", "rtlgnp");
        check(&"x".repeat(50), &"x".repeat(20));
    }

    #[test]
    fn texts_are_cut_by_cells() {
        let check = |text: &str, cells: u16, expected: &str| assert_eq!(fit(text, cells), expected);
        check("node-7", 4, "node");
        check("日本語", 5, "日本");
        check("日本語", 1, "");
        check("", 3, "");
    }

    #[test]
    fn numbers_are_short() {
        let check = |found: Scratch, expected: &str| assert_eq!(found.as_str(), expected);
        check(age(400), "0.4s");
        check(age(12_000), "12s");
        check(age(271_000), "04:31");
        check(age(11_220_000), "3h07");
        check(age(1_051_200_000), "12d04");
        check(count(9_999), "9999");
        check(count(12_345), "12.3k");
        check(count(2_940_000), "2.94M");
        check(watts(5_812_345), "5.81MW");
        check(memory(81_920), "80.0G");
        check(clock(1_700_000_000_000), "22:13:20");
        assert_eq!(percent_of(1, 0), None);
        assert_eq!(percent_of(1, 3), Some(33));
        assert_eq!(whole(f32::NAN, 100), None);
        assert_eq!(whole(-3.0, 100), Some(0));
        assert_eq!(whole(1e30, 100), Some(100));
    }
}
