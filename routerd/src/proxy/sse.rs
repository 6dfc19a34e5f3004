//! Counts the events of a stream as its bytes pass, however they are cut.

use memchr::memchr2;

const DATA: &[u8] = b"data:";
const DONE: &[u8] = b"[DONE]";

/// How far the present line has been recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// So many bytes of `data:` have passed.
    Key(u8),
    /// `data:` has passed and nothing else.
    Value,
    /// So many bytes of `[DONE]` have passed.
    Done(u8),
    /// A `data:` line whose rest does not matter.
    Data,
    /// Another line.
    Other,
}

/// Counts `data:` lines of an event stream; the closing `data: [DONE]` is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Events {
    line: Line,
    count: u32,
}

impl Events {
    /// A counter before the first byte.
    pub(crate) fn new() -> Self {
        Self { line: Line::Key(0), count: 0 }
    }

    /// `data:` lines that have ended, `[DONE]` not counted.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Takes in the next bytes of the stream.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(byte) = bytes.first().copied() {
            if matches!(self.line, Line::Data | Line::Other) {
                let Some(end) = memchr2(b'\n', b'\r', bytes) else { return };
                self.end_line();
                bytes = &bytes[end + 1..];
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                self.end_line();
            } else {
                self.line = step(self.line, byte);
            }
            bytes = &bytes[1..];
        }
    }

    fn end_line(&mut self) {
        match self.line {
            Line::Value | Line::Data => self.count = self.count.saturating_add(1),
            Line::Done(n) if usize::from(n) == DONE.len() => {}
            Line::Done(_) => self.count = self.count.saturating_add(1),
            Line::Key(_) | Line::Other => {}
        }
        self.line = Line::Key(0);
    }
}

fn step(line: Line, byte: u8) -> Line {
    match line {
        Line::Key(n) if DATA[usize::from(n)] == byte => {
            if usize::from(n) + 1 == DATA.len() {
                Line::Value
            } else {
                Line::Key(n + 1)
            }
        }
        Line::Key(_) | Line::Other => Line::Other,
        Line::Value if byte == b' ' => Line::Done(0),
        Line::Value if byte == DONE[0] => Line::Done(1),
        Line::Done(n) if DONE.get(usize::from(n)) == Some(&byte) => Line::Done(n + 1),
        Line::Value | Line::Done(_) | Line::Data => Line::Data,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn check(stream: &str, count: u32) {
        let mut events = Events::new();
        events.feed(stream.as_bytes());
        assert_eq!(events.count(), count, "{stream:?}");
    }

    #[test]
    fn every_framing_of_the_standard_is_counted() {
        check("", 0);
        check("data: {}\n\ndata: [DONE]\n\n", 1);
        check("data:{}\r\n\r\ndata:[DONE]\r\n\r\n", 1);
        check("data: {}\r\rdata: x\r\r", 2);
        check(": comment data: no\n\nevent: x\ndata: {}\n\n", 1);
        check("data: [DONE] not yet\n\n", 1);
        check("data:\n\ndata: \n\n", 2);
        check("database: {}\n\ndat", 0);
        check("data: unfinished", 0);
    }

    proptest! {
        #[test]
        fn any_cut_counts_the_same(
            lines in proptest::collection::vec("(data: ?|data|: |event: x)?[a-z\\[\\]DONE{}: ]{0,12}(\n|\r\n|\r|\n\n)", 0..24),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..16),
        ) {
            let stream = lines.concat().into_bytes();
            let mut whole = Events::new();
            whole.feed(&stream);
            let mut cuts: Vec<usize> = cuts.iter().map(|it| it.index(stream.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Events::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([stream.len()]) {
                pieces.feed(&stream[from..cut]);
                from = cut;
            }
            prop_assert_eq!(whole, pieces);
        }
    }
}
