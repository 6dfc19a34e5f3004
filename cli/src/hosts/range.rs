//! `gpu-[01-32,40]`: one text that stands for many.

use crate::yaml::{Wrong, quoted};

/// How many hosts one file, and so one range, may stand for.
pub(crate) const HOSTS_MAX: usize = 10_000;
/// How many digits a number of a range has at most.
const DIGITS_MAX: usize = 9;

/// A part of a pattern.
enum Piece<'a> {
    Text(&'a str),
    Ranges(Vec<Range>),
}

/// `low-high`, written with at least `width` digits.
struct Range {
    low: u64,
    high: u64,
    width: usize,
}

impl Range {
    fn count(&self) -> usize {
        usize::try_from(self.high - self.low).unwrap_or(usize::MAX).saturating_add(1)
    }
}

/// Checks a pattern without writing out what it stands for.
pub(crate) fn check(pattern: &str) -> Result<(), Wrong> {
    pieces(pattern).map(drop)
}

/// Writes out everything a pattern stands for, the last range running fastest.
pub(crate) fn expand(pattern: &str) -> Result<Vec<String>, Wrong> {
    let mut all = vec![String::new()];
    for piece in pieces(pattern)? {
        all = match piece {
            Piece::Text(text) => all.into_iter().map(|it| it + text).collect(),
            Piece::Ranges(ranges) => all
                .iter()
                .flat_map(|head| {
                    ranges.iter().flat_map(move |range| {
                        let width = range.width;
                        (range.low..=range.high).map(move |it| format!("{head}{it:0width$}"))
                    })
                })
                .collect(),
        };
    }
    Ok(all)
}

fn pieces(pattern: &str) -> Result<Vec<Piece<'_>>, Wrong> {
    let wrong = |text: String| Wrong::new(text, "a range is like [1-32], [01-32] or [1-3,7]");
    if pattern.is_empty() || pattern.len() > 1024 {
        return Err(wrong("a name or an address has 1 to 1024 characters".to_owned()));
    }
    let mut pieces = Vec::new();
    let mut count = 1_usize;
    let mut rest = pattern;
    while let Some((text, tail)) = rest.split_once('[') {
        pieces.push(Piece::Text(text));
        let Some((inner, tail)) = tail.split_once(']') else {
            return Err(wrong(format!("the range of {} is not closed", quoted(pattern))));
        };
        let ranges = inner.split(',').map(|it| range(it.trim())).collect::<Result<Vec<_>, _>>()?;
        let here = ranges.iter().fold(0_usize, |sum, it| sum.saturating_add(it.count()));
        count = count.saturating_mul(here);
        if count > HOSTS_MAX {
            return Err(wrong(format!("{} stands for more than {HOSTS_MAX} hosts", quoted(pattern))));
        }
        pieces.push(Piece::Ranges(ranges));
        rest = tail;
    }
    if rest.contains(']') {
        return Err(wrong(format!("{} closes a range that was not opened", quoted(pattern))));
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

fn range(text: &str) -> Result<Range, Wrong> {
    let wrong = |why: &str, hint: &str| Err(Wrong::new(format!("the range {} {why}", quoted(text)), hint));
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let digits = |it: &str| !it.is_empty() && it.len() <= DIGITS_MAX && it.bytes().all(|c| c.is_ascii_digit());
    let (Ok(from), Ok(to)) = (low.parse::<u64>(), high.parse::<u64>()) else {
        return wrong("is not made of numbers", "a range is like [1-32], [01-32] or [1-3,7]");
    };
    if !digits(low) || !digits(high) {
        return wrong("is not made of numbers", "a range is like [1-32], [01-32] or [1-3,7]");
    }
    if from > to {
        return wrong("goes down", &format!("did you mean [{high}-{low}]?"));
    }
    let padded = low.len() > 1 && low.starts_with('0');
    if (padded && high.len() < low.len()) || (!padded && high.len() > 1 && high.starts_with('0')) {
        return wrong("pads its two ends differently", "write both with as many digits, like [01-32]");
    }
    Ok(Range { low: from, high: to, width: if padded { low.len() } else { 0 } })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, expected: Result<&str, &str>) {
        match (expand(pattern), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.join(" "), expected, "{pattern}"),
            (Err(wrong), Err(part)) => assert!(wrong.text.contains(part), "{} lacks {part}", wrong.text),
            (found, expected) => panic!("{pattern}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn ranges_are_written_out() {
        check("node-7", Ok("node-7"));
        check("n[1-3]", Ok("n1 n2 n3"));
        check("n[08-11]", Ok("n08 n09 n10 n11"));
        check("n[1-3,7,9-10]x", Ok("n1x n2x n3x n7x n9x n10x"));
        check("r[1-2]-n[01-02]", Ok("r1-n01 r1-n02 r2-n01 r2-n02"));
        check("10.20.0.[9-11]", Ok("10.20.0.9 10.20.0.10 10.20.0.11"));
        check("n[0]", Ok("n0"));
        check("n[098-101]", Ok("n098 n099 n100 n101"));
    }

    #[test]
    fn impossible_ranges_are_refused() {
        check("n[3-1]", Err("goes down"));
        check("n[a-c]", Err("not made of numbers"));
        check("n[]", Err("not made of numbers"));
        check("n[1-]", Err("not made of numbers"));
        check("n[+1-2]", Err("not made of numbers"));
        check("[::1]", Err("not made of numbers"));
        check("n[1-3", Err("not closed"));
        check("n1-3]", Err("not opened"));
        check("n[01-5]", Err("pads its two ends differently"));
        check("n[1-05]", Err("pads its two ends differently"));
        check("n[1-10001]", Err("more than 10000 hosts"));
        check("n[1-101][1-100]", Err("more than 10000 hosts"));
        check("n[0-999999999]", Err("more than 10000 hosts"));
        check("", Err("1 to 1024 characters"));
    }

    proptest! {
        #[test]
        fn no_pattern_panics_or_grows(pattern in "[a-c0-9,\\-\\[\\]é]{0,40}") {
            if let Ok(all) = expand(&pattern) {
                prop_assert!(!all.is_empty() && all.len() <= HOSTS_MAX);
            }
        }
    }
}
