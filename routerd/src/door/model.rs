//! Which model a JSON body names, found without building a tree, and never another one than the engine will read.

use std::borrow::Cow;

use memchr::{memchr2, memmem};

/// The longest model name that is looked up, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 4096;

/// Why no model could be read from a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ModelError {
    /// The body is not JSON; the text says where.
    #[error("the body is not valid JSON: {0}")]
    Malformed(String),
    /// A byte order mark, UTF-16 or UTF-32: readers that guess would see another text.
    #[error("the body must be UTF-8 JSON without a byte order mark")]
    Encoding,
    /// The top level is no object.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// No `model` at the top level.
    #[error("you must provide a `model` parameter")]
    Missing,
    /// It is there and is no string.
    #[error("`model` must be a string of 1 to {NAME_BYTES_MAX} bytes")]
    NotAString,
    /// It is there more than once: readers differ on which one counts.
    #[error("`model` is given more than once")]
    Twice,
    /// A key of the top level is written with an escape and could be `model` under another spelling.
    #[error("keys of the top level must be written without escapes")]
    EscapedKey,
}

impl ModelError {
    /// The machine-readable code of the answer.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Encoding | Self::NotAnObject => "invalid_json",
            Self::Missing => "missing_model",
            Self::NotAString => "invalid_model",
            Self::Twice | Self::EscapedKey => "ambiguous_model",
        }
    }
}

/// The model named by a request body.
pub(crate) fn find(body: &[u8]) -> Result<Cow<'_, str>, ModelError> {
    if body.get(1) == Some(&0) || matches!(body.first(), Some(0 | 0xEF | 0xFE | 0xFF)) {
        return Err(ModelError::Encoding);
    }
    let raw = match quick(body) {
        Some(raw) => raw,
        None => top_level(body).map_err(|reason| explain(body, reason))?,
    };
    decode(raw)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_space(body: &[u8], mut at: usize) -> usize {
    while body.get(at).is_some_and(|it| is_space(*it)) {
        at += 1;
    }
    at
}

/// An unescaped `"model"` before a colon is always a key, as a quote inside a string must be escaped. If there is one such
/// key and no escape that could spell another (the letters of "model" are `\u006x`), it is the only one.
fn quick(body: &[u8]) -> Option<&[u8]> {
    let last = body.iter().rev().find(|it| !is_space(**it));
    if body.first() != Some(&b'{') || last != Some(&b'}') {
        return None;
    }
    let mut hits = memmem::find_iter(body, b"\"model\"");
    let at = hits.next()?;
    if hits.next().is_some() || body[at - 1] == b'\\' || memmem::find(body, b"\\u006").is_some() {
        return None;
    }
    let colon = skip_space(body, at + 7);
    let quote = skip_space(body, colon + 1);
    if body.get(colon) != Some(&b':') || body.get(quote) != Some(&b'"') {
        return None;
    }
    let end = quote + 1 + memchr2(b'"', b'\\', &body[quote + 1..])?;
    (body[end] == b'"').then(|| &body[quote + 1..end])
}

/// The index of the quote that closes the string whose first byte is at `from`.
fn string_end(body: &[u8], mut from: usize) -> Option<usize> {
    loop {
        let at = from + memchr2(b'"', b'\\', body.get(from..)?)?;
        if body[at] == b'"' {
            return Some(at);
        }
        from = at + 2;
    }
}

/// Where the walk over the top level stands.
struct Walk<'a> {
    depth: u32,
    /// The key whose value comes next.
    key: Option<&'a [u8]>,
    found: Option<&'a [u8]>,
    seen: bool,
}

impl<'a> Walk<'a> {
    fn string(&mut self, text: &'a [u8]) -> Result<(), ModelError> {
        if self.depth != 1 {
            return Ok(());
        }
        match self.key.take() {
            Some(b"model") => self.found = Some(text),
            Some(_) => {}
            None if text.contains(&b'\\') => return Err(ModelError::EscapedKey),
            None => {
                if text == b"model" && std::mem::replace(&mut self.seen, true) {
                    return Err(ModelError::Twice);
                }
                self.key = Some(text);
            }
        }
        Ok(())
    }

    fn end(self) -> Result<&'a [u8], ModelError> {
        match (self.found, self.seen) {
            (Some(raw), _) => Ok(raw),
            (None, true) => Err(ModelError::NotAString),
            (None, false) => Err(ModelError::Missing),
        }
    }
}

/// Walks the top level to its end: strings are skipped with memchr, nested values by counting brackets.
fn top_level(body: &[u8]) -> Result<&[u8], ModelError> {
    let cut = || ModelError::Malformed("it ends too early".to_owned());
    let mut at = skip_space(body, 0);
    match body.get(at) {
        Some(b'{') => {}
        Some(_) => return Err(ModelError::NotAnObject),
        None => return Err(ModelError::Malformed("it is empty".to_owned())),
    }
    let mut walk = Walk { depth: 0, key: None, found: None, seen: false };
    while let Some(byte) = body.get(at) {
        match byte {
            b'"' => {
                let end = string_end(body, at + 1).ok_or_else(cut)?;
                walk.string(&body[at + 1..end])?;
                at = end;
            }
            b'{' | b'[' => {
                walk.depth += 1;
                if walk.depth > 1 {
                    walk.key = None;
                }
            }
            b'}' | b']' => {
                walk.depth -= 1;
                if walk.depth == 0 {
                    let rest = skip_space(body, at + 1);
                    return if rest == body.len() {
                        walk.end()
                    } else {
                        Err(ModelError::Malformed("text follows the object".to_owned()))
                    };
                }
            }
            b',' if walk.depth == 1 => walk.key = None,
            _ => {}
        }
        at += 1;
    }
    Err(cut())
}

/// The walk does not judge the grammar; when it found nothing, a parser says whether and where the text is broken.
fn explain(body: &[u8], reason: ModelError) -> ModelError {
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Err(error) if matches!(reason, ModelError::Missing | ModelError::Malformed(_) | ModelError::NotAnObject) => {
            ModelError::Malformed(error.to_string())
        }
        _ => reason,
    }
}

fn decode(raw: &[u8]) -> Result<Cow<'_, str>, ModelError> {
    if raw.is_empty() || raw.len() > NAME_BYTES_MAX {
        return Err(ModelError::NotAString);
    }
    if !raw.contains(&b'\\') {
        return std::str::from_utf8(raw).map(Cow::Borrowed).map_err(|_| ModelError::Encoding);
    }
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).map(Cow::Owned).map_err(|error| ModelError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, expected: Result<&str, &str>) {
        let found = find(body.as_bytes());
        match expected {
            Ok(name) => assert_eq!(found.as_deref(), Ok(name), "{body}"),
            Err(code) => assert_eq!(found.map_err(|error| error.code().to_owned()), Err(code.to_owned()), "{body}"),
        }
    }

    #[test]
    fn the_model_is_the_one_that_a_parser_reads() {
        check(r#"{"model":"a/b"}"#, Ok("a/b"));
        check(
            "\n {\"messages\":[{\"content\":\"say \\\"model\\\": \\\"x\\\"\"}], \"model\" : \"a/b\", \"stream\":true}\n",
            Ok("a/b"),
        );
        check(r#"{"tools":[{"properties":{"model":{"type":"string"}}}],"model":"a/b"}"#, Ok("a/b"));
        check(r#"{"x":"model","model":"a"}"#, Ok("a"));
        check(r#"{"model":"\u00e9:a b\/c"}"#, Ok("é:a b/c"));
        check(r#"{"messages":"\u006dodel","model":"a"}"#, Ok("a"));
        check(r#"{"x":[{"model":"no"},{"model":"nor"}],"model":"yes"}"#, Ok("yes"));
        check(r#"{"model":"a","n":NaN}"#, Ok("a"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        check(r#"{"model":"a","model":"b"}"#, Err("ambiguous_model"));
        check(r#"{"model":null,"model":"b"}"#, Err("ambiguous_model"));
        check(r#"{"model":"a","\u006dodel":"b"}"#, Err("ambiguous_model"));
        check(r#"{"\u006dodel":"b","metadata":{"model":"a"}}"#, Err("ambiguous_model"));
        check("\u{feff}{\"model\":\"a\"}", Err("invalid_json"));
        assert_eq!(find(b"{\0\"\0m\0\"model\":\"a\"}"), Err(ModelError::Encoding));
        assert_eq!(find(b"{\"model\":\"\xff\"}"), Err(ModelError::Encoding));
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_reason() {
        check("", Err("invalid_json"));
        check("{", Err("invalid_json"));
        check("{bad json}", Err("invalid_json"));
        check(r#"["model"]"#, Err("invalid_json"));
        check(r#"{"model":"a"} x"#, Err("invalid_json"));
        check(r#"{"model":"a""#, Err("invalid_json"));
        check(r#"{"model":1}"#, Err("invalid_model"));
        check(r#"{"model":""}"#, Err("invalid_model"));
        check(r#"{"model":["a"]}"#, Err("invalid_model"));
        check(r#"{"messages":[]}"#, Err("missing_model"));
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i32>().prop_map(serde_json::Value::from),
            "[a-z\"\\\\{}\\[\\]:,é ]{0,12}".prop_map(serde_json::Value::from),
            Just(serde_json::Value::from("model")),
            Just(serde_json::Value::from("\"model\":\"decoy\"")),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                proptest::collection::btree_map(prop_oneof![Just("model".to_owned()), "[a-z\"]{1,5}"], inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn quick_search_and_walk_agree_with_a_parser(
            before in proptest::collection::vec(value(), 0..3),
            name in "[a-z/\"\\\\é]{1,8}",
            after in proptest::collection::vec(value(), 0..3),
        ) {
            let field = |key: String, value: &serde_json::Value| format!("\"{key}\":{value}");
            let fields: Vec<String> = before.iter().enumerate().map(|(i, it)| field(format!("b{i}"), it))
                .chain([field("model".to_owned(), &serde_json::Value::from(name.as_str()))])
                .chain(after.iter().enumerate().map(|(i, it)| field(format!("a{i}"), it)))
                .collect();
            let body = format!("{{{}}}", fields.join(","));
            prop_assert_eq!(find(body.as_bytes()).unwrap(), name.as_str());
            prop_assert_eq!(decode(top_level(body.as_bytes()).unwrap()).unwrap(), name.as_str());
        }

        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = find(&body);
            let _ = find(&[b"{\"model\":\"", body.as_slice()].concat());
        }
    }
}
