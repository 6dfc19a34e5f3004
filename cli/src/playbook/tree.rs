//! YAML as a tree in which every value knows its line and column.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_yaml::{Location, Spanned};

use super::problem::Problem;

/// Where something is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct At {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key with its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) at: At,
    pub(super) name: String,
}

impl From<Location> for At {
    fn from(it: Location) -> Self {
        Self { line: it.line(), column: it.column() }
    }
}

impl Node {
    /// The entries of a map; none of anything else.
    pub(super) fn entries(&self) -> &[(Key, Self)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// What kind of value it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let it = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: it.referenced.into(), value: it.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(Value::Bool(it))
    }
    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(Value::Int(it))
    }
    fn visit_u64<E: serde::de::Error>(self, it: u64) -> Result<Value, E> {
        i64::try_from(it).map(Value::Int).map_err(|_| E::custom("the number is too large"))
    }
    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(Value::Float(it))
    }
    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(Value::Text(it.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut it: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = it.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut it: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = it.next_key::<Spanned<String>>()? {
            entries.push((Key { at: key.referenced.into(), name: key.value }, it.next_value()?));
        }
        Ok(Value::Map(entries))
    }
}

/// Reads a document.
pub(super) fn read(file: &str, text: &str) -> Result<Node, Problem> {
    serde_yaml::from_str(text).map_err(|error| {
        let at = error.location().map(At::from).unwrap_or_default();
        let said = error.without_snippet().to_string();
        let text = said.split(" at line ").next().unwrap_or(&said).to_owned();
        Problem { file: file.to_owned(), line: at.line, column: at.column, text, hint: None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let tree = read("f", "a: 1\nb:\n  - x: yes\n    y: ~\n  - \"0755\"\n").unwrap();
        let (key, list) = &tree.entries()[1];
        assert_eq!((key.name.as_str(), key.at), ("b", At { line: 2, column: 1 }));
        let Value::List(list) = &list.value else { panic!("a list") };
        assert_eq!(list[1], Node { at: At { line: 5, column: 5 }, value: Value::Text("0755".into()) });
        assert_eq!(list[0].entries()[0].0.at, At { line: 3, column: 5 });
        assert_eq!(list[0].entries()[1].1.value, Value::Null);
        let check = |text: &str, place: &str| assert_eq!(read("f", text).unwrap_err().place(), place, "{text}");
        check("a: 1\na: 2\n", "f:2:1");
        check("a: [\n", "f:1:4");
    }
}
