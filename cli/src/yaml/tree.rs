//! YAML as a tree in which everything knows its line and column, duplicate keys included.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_yaml::{Location, Spanned, options::DuplicateKeyPolicy};

/// A place in a text, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    /// The line.
    pub(crate) line: u32,
    /// The column in characters.
    pub(crate) column: u32,
}

impl At {
    /// The beginning of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tree {
    /// Where it begins.
    pub(crate) at: At,
    /// What it is.
    pub(crate) value: Value,
}

/// What YAML can say.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Tree>),
    /// Keys and values in the order of the file; a key may be there twice.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key begins.
    pub(crate) at: At,
    /// Its value.
    pub(crate) value: Tree,
}

impl Value {
    /// What it is, as an error names it; never what it holds.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(it) if it.is_f64() => "a number with a fraction",
            Self::Number(_) => "a whole number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Tree {
    /// The entries of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The entry of a key, when this is a map that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|it| it.key == key)
    }

    /// The same without places; of a key that is there twice the last value counts.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(it) => (*it).into(),
            Value::Number(it) => it.clone().into(),
            Value::Text(it) => it.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                serde_json::Value::Object(entries.iter().map(|it| (it.key.clone(), it.value.to_json())).collect())
            }
        }
    }
}

/// Reads one YAML or JSON document; an error has a place and a sentence.
pub(crate) fn parse(text: &str) -> Result<Tree, (At, String)> {
    // Last-wins hands on every entry of a map, so that a duplicate key is one problem among others.
    let options = serde_yaml::options! {
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
        budget: serde_yaml::budget! { max_nodes: 1_000_000, max_documents: 1 },
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 200_000 },
    };
    serde_yaml::from_str_with_options::<Spanned<Raw>>(text, options).map(Tree::from).map_err(|error| {
        let at = error.location().map_or(At::START, At::from);
        let sentence = error.without_snippet().to_string();
        // The place is said once, in front.
        let sentence = sentence.lines().next().unwrap_or_default().split(" at line ").next().unwrap_or_default();
        let sentence = match sentence {
            limit if limit.starts_with("budget breached") => "it is too large or too deep, or more than one document",
            other => other.trim_end_matches([':', ' ']),
        };
        (at, sentence.to_owned())
    })
}

impl From<Location> for At {
    fn from(location: Location) -> Self {
        let small = |it: u64| u32::try_from(it).unwrap_or(u32::MAX).max(1);
        Self { line: small(location.line()), column: small(location.column()) }
    }
}

impl From<Spanned<Raw>> for Tree {
    fn from(raw: Spanned<Raw>) -> Self {
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Bool(it) => Value::Bool(it),
            Raw::Number(it) => Value::Number(it),
            Raw::Text(it) => Value::Text(it),
            Raw::List(items) => Value::List(items.into_iter().map(Self::from).collect()),
            Raw::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry { key: key.value, at: key.referenced.into(), value: value.into() })
                    .collect(),
            ),
        };
        Self { at: raw.referenced.into(), value }
    }
}

/// What serde gives, before it is a tree.
enum Raw {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: Error>(self, it: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(it))
    }

    fn visit_i64<E: Error>(self, it: i64) -> Result<Raw, E> {
        Ok(Raw::Number(it.into()))
    }

    fn visit_u64<E: Error>(self, it: u64) -> Result<Raw, E> {
        Ok(Raw::Number(it.into()))
    }

    fn visit_f64<E: Error>(self, it: f64) -> Result<Raw, E> {
        serde_json::Number::from_f64(it).map(Raw::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, it: &str) -> Result<Raw, E> {
        Ok(Raw::Text(it.to_owned()))
    }

    fn visit_string<E: Error>(self, it: String) -> Result<Raw, E> {
        Ok(Raw::Text(it))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every key and leaf with its place, one a line.
    fn places(tree: &Tree, path: &str, lines: &mut Vec<String>) {
        let At { line, column } = tree.at;
        match &tree.value {
            Value::Map(entries) => entries.iter().for_each(|it| {
                lines.push(format!("{}:{} {path}.{}", it.at.line, it.at.column, it.key));
                places(&it.value, &format!("{path}.{}", it.key), lines);
            }),
            Value::List(items) => {
                items.iter().enumerate().for_each(|(i, it)| places(it, &format!("{path}[{i}]"), lines));
            }
            leaf @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_)) => {
                lines.push(format!("{line}:{column} {path} = {leaf:?}"));
            }
        }
    }

    #[test]
    fn everything_knows_its_place() {
        let text = "a: 1\nb:\n  - x: yes\n    x: \"é\"\n  - {c: [~, 1.5, -3]}\nd: &d {e: 08}\nf: *d\n";
        let mut lines = Vec::new();
        places(&parse(text).unwrap(), "", &mut lines);
        insta::assert_snapshot!("places", lines.join("\n"));
    }

    #[test]
    fn json_is_yaml() {
        let tree = parse("{\"a\": [1, {\"b\": null}],\n\t\"c\": true}").unwrap();
        assert_eq!(tree.to_json(), serde_json::json!({"a": [1, {"b": null}], "c": true}));
    }

    #[test]
    fn broken_text_has_a_place() {
        let texts =
            ["{", "a: [1, 2\nb: 3\n", "a: 1\n b: 2\n", "a: *x\n", "a: 1\n---\nb: 2\n", "? [a]\n: 1\n", "a: .nan\n"];
        let lines = texts.map(|text| match parse(text) {
            Ok(tree) => format!("{text:?}: {}", tree.to_json()),
            Err((at, sentence)) => format!("{text:?}: {}:{}: {sentence}", at.line, at.column),
        });
        insta::assert_snapshot!("broken", lines.join("\n"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ \\-a-c:\\[\\]{}&*?!|>'\"#,~0-9\n\t%@é.<]{0,120}") {
            if let Err((at, sentence)) = parse(&text) {
                prop_assert!(at >= At::START && !sentence.is_empty());
            }
        }
    }
}
