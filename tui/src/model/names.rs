//! Names as small numbers: a node, a zone or a model is written once and compared as an integer.

use std::collections::{BTreeSet, HashMap};

use crate::text::clean;

/// The longest name that is kept, in characters.
const CHARS_MAX: usize = 63;
/// The most names that are kept: a mesh that invents names cannot fill the memory.
const NAMES_MAX: usize = 400_000;

/// A name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Sym(u32);

impl Sym {
    /// Its number, for keys of rows.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The symbol with a number.
    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// All names that were seen.
#[derive(Debug)]
pub(crate) struct Names {
    by_text: HashMap<Box<str>, Sym>,
    texts: Vec<Box<str>>,
    /// Those whose text is not what was said; hardly ever one.
    cleaned: BTreeSet<Sym>,
}

impl Default for Names {
    fn default() -> Self {
        // The first stands for "one name too many", and is what a default symbol reads as.
        Self { by_text: HashMap::new(), texts: vec!["?".into()], cleaned: BTreeSet::from([Sym::default()]) }
    }
}

impl Names {
    /// The symbol of a name; the text is cleaned when it is seen for the first time.
    pub(crate) fn intern(&mut self, text: &str) -> Sym {
        if let Some(found) = self.by_text.get(text) {
            return *found;
        }
        if self.texts.len() >= NAMES_MAX {
            return Sym::default();
        }
        let sym = Sym(crate::text::u32_of(self.texts.len()));
        let kept = clean(text, CHARS_MAX);
        if kept != text {
            self.cleaned.insert(sym);
        }
        self.texts.push(kept.into());
        self.by_text.insert(text.into(), sym);
        sym
    }

    /// The same where it is most likely `guess`, as what is said of a thing is what was said before: one comparison.
    pub(crate) fn intern_again(&mut self, text: &str, guess: Option<Sym>) -> Sym {
        match guess {
            Some(sym) if self.is(sym, text) => sym,
            _ => self.intern(text),
        }
    }

    /// Whether a symbol was given out for exactly this text.
    fn is(&self, sym: Sym, text: &str) -> bool {
        self.texts.get(sym.0 as usize).is_some_and(|it| **it == *text) && !self.cleaned.contains(&sym)
    }

    /// The symbol of a name that was seen.
    pub(crate) fn find(&self, text: &str) -> Option<Sym> {
        self.by_text.get(text).copied()
    }

    /// The name.
    pub(crate) fn get(&self, sym: Sym) -> &str {
        self.texts.get(sym.0 as usize).map_or("?", AsRef::as_ref)
    }

    /// The name, or a dash.
    pub(crate) fn or_dash(&self, sym: Option<Sym>) -> &str {
        sym.map_or(crate::text::UNKNOWN, |it| self.get(it))
    }
}

/// Compares so that `node-2` comes before `node-10`.
pub(crate) fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(x), Some(y)) = (a.first(), b.first()) else { return a.len().cmp(&b.len()) };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (left, rest_a) = digits(a);
            let (right, rest_b) = digits(b);
            let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
            if order.is_ne() {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        } else if x == y {
            (a, b) = (&a[1..], &b[1..]);
        } else {
            return x.cmp(y);
        }
    }
}

/// The digits at the beginning without leading zeros, and what follows.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let zeros = text[..end].iter().take_while(|c| **c == b'0').count();
    (&text[zeros..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let check = |a: &str, b: &str, expected: Ordering| assert_eq!(natural(a, b), expected, "{a} {b}");
        check("node-2", "node-10", Ordering::Less);
        check("node-10", "node-10", Ordering::Equal);
        check("node-10", "node-9", Ordering::Greater);
        check("a", "b", Ordering::Less);
        check("a1b2", "a1b10", Ordering::Less);
        check("", "a", Ordering::Less);
        check("r14", "r9", Ordering::Greater);
    }

    #[test]
    fn names_are_interned_once_and_cleaned() {
        let mut names = Names::default();
        let a = names.intern("a\u{1b}[1m");
        assert_eq!(names.intern("a\u{1b}[1m"), a);
        assert_eq!(names.get(a), "a[1m");
        assert_ne!(names.intern("b"), a);
    }

    #[test]
    fn a_guess_changes_nothing_but_the_cost() {
        let mut names = Names::default();
        let (plain, dirty) = (names.intern("a"), names.intern("b\u{7}"));
        let check = |names: &mut Names, text: &str, guess: Option<Sym>| {
            let found = names.intern_again(text, guess);
            assert_eq!(found, names.intern(text), "{text:?} {guess:?}");
        };
        for guess in [None, Some(plain), Some(dirty), Some(Sym::default()), Some(Sym::from_number(99))] {
            ["a", "b", "b\u{7}", "?", "new"].iter().for_each(|text| check(&mut names, text, guess));
        }
        assert_ne!(names.intern_again("b", Some(dirty)), dirty, "what is cleaned into the same text is another name");
    }
}
