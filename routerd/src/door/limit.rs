//! How many tokens a request allows its answer, found without a parse of the body: an estimate for strategies, never a
//! fact that anything must hold to.

use memchr::memmem;

/// How both keys end: the one of completions, and the one that OpenAI put in its place for chats.
const ENDING: &[u8] = b"_tokens\"";
const OLD: &[u8] = b"\"max";
const NEW: &[u8] = b"\"max_completion";

/// How often a key stands in a body, and the number behind it.
#[derive(Default, Clone, Copy)]
struct Key {
    count: u32,
    number: Option<u32>,
}

impl Key {
    fn found(&mut self, number: Option<u32>) {
        self.count += 1;
        self.number = number;
    }

    /// The number, when the key stands once.
    fn certain(self) -> Option<u32> {
        self.number.filter(|_| self.count == 1)
    }
}

/// The client's limit, in tokens; 0 when it gives none, or none that every reader of the body would see alike.
///
/// A key counts wherever it stands in the body: `max_completion_tokens` before `max_tokens`, each only as a plain
/// integer and only when it stands there once.
pub(crate) fn max_tokens(body: &[u8]) -> u32 {
    let (mut old, mut new) = (Key::default(), Key::default());
    for at in memmem::find_iter(body, ENDING) {
        let (before, after) = (&body[..at], &body[at + ENDING.len()..]);
        // A quote inside a string is escaped, and only a key is followed by a colon.
        let Some(value) = after.trim_ascii_start().strip_prefix(b":") else { continue };
        if is_key(before, OLD) {
            old.found(integer(value));
        } else if is_key(before, NEW) {
            new.found(integer(value));
        }
    }
    match (new.count, old.count) {
        (0, 0) => 0,
        _ if could_spell_another(body) => 0,
        (0, _) => old.certain().unwrap_or(0),
        _ => new.certain().unwrap_or(0),
    }
}

fn is_key(before: &[u8], key: &[u8]) -> bool {
    before.strip_suffix(key).is_some_and(|it| it.last() != Some(&b'\\'))
}

/// Whether an escape could be a letter of either key under another spelling.
fn could_spell_another(body: &[u8]) -> bool {
    memmem::find_iter(body, b"\\u00").any(|at| body.get(at + 4).is_some_and(|it| (b'5'..=b'7').contains(it)))
}

/// A plain integer that ends with its member.
fn integer(value: &[u8]) -> Option<u32> {
    let value = value.trim_ascii_start();
    let digits = value.iter().take_while(|it| it.is_ascii_digit()).count();
    let (number, rest) = value.split_at(digits);
    let ends = matches!(rest.trim_ascii_start().first(), Some(b',' | b'}'));
    let plain = ends && (number.len() == 1 || number.first() != Some(&b'0'));
    std::str::from_utf8(number).ok().filter(|_| plain)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn check(body: &str, expected: u32) {
        assert_eq!(max_tokens(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn the_limit_is_a_plain_integer_at_one_key() {
        check(r#"{"model":"m","max_tokens":16}"#, 16);
        check("{\"max_tokens\" :\n 16 , \"model\":\"m\"}", 16);
        check(r#"{"max_completion_tokens":7}"#, 7);
        check(r#"{"max_tokens":16,"max_completion_tokens":7}"#, 7);
        check(r#"{"max_tokens":0}"#, 0);
        check(r#"{"max_tokens":4294967295}"#, u32::MAX);
        check(r#"{"prompt_tokens":3,"max_tokens":16,"x":"\u00e9\n"}"#, 16);
        check(r#"{"messages":[{"content":"\"max_tokens\":5, \"max_tokens"}],"max_tokens":16}"#, 16);
        check(r#"{"stop":["max_tokens"],"max_tokens":16}"#, 16);
    }

    #[test]
    fn what_is_not_certain_is_unknown() {
        check("", 0);
        check(r#"{"model":"m"}"#, 0);
        check(r#"{"max_tokens":null}"#, 0);
        check(r#"{"max_tokens":"16"}"#, 0);
        check(r#"{"max_tokens":-1}"#, 0);
        check(r#"{"max_tokens":1.5}"#, 0);
        check(r#"{"max_tokens":1e3}"#, 0);
        check(r#"{"max_tokens":016}"#, 0);
        check(r#"{"max_tokens":4294967296}"#, 0);
        check(r#"{"max_tokens":16"#, 0);
        check(r#"{"max_tokens":16,"max_tokens":17}"#, 0);
        check(r#"{"tools":[{"max_tokens":{"type":"integer"}}],"max_tokens":16}"#, 0);
        check(r#"{"max_completion_tokens":null,"max_tokens":16}"#, 0);
        check(r#"{"max_tokens":16,"max\u005ftokens":17}"#, 0);
        check(r#"{"max_tokens":16,"\u006dax_tokens":17}"#, 0);
        check(r#"{"x":"max_tokens\":16,"}"#, 0);
    }

    fn value() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            Just("max_tokens".to_owned()),
            Just("max_completion_tokens".to_owned()),
            Just("\"max_tokens\":5,".to_owned()),
            "[a-z\"\\\\{}:,_é]{0,8}",
        ];
        let leaf = prop_oneof![
            any::<u64>().prop_map(Value::from),
            (0..9_u8).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            word.clone().prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(word.clone(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// All values at this key, anywhere.
    fn all<'a>(value: &'a Value, key: &str, into: &mut Vec<&'a Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|it| all(it, key, into)),
            Value::Object(map) => {
                into.extend(map.get(key));
                map.values().for_each(|it| all(it, key, into));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The same by a parser's tree.
    fn by_parser(value: &Value) -> u32 {
        for key in ["max_completion_tokens", "max_tokens"] {
            let mut found = Vec::new();
            all(value, key, &mut found);
            match found.as_slice() {
                [] => {}
                [one] => return one.as_u64().and_then(|it| u32::try_from(it).ok()).unwrap_or(0),
                _ => return 0,
            }
        }
        0
    }

    proptest! {
        #[test]
        fn a_parser_finds_the_same(value in value(), spaced in any::<bool>()) {
            let body = if spaced { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
            prop_assert_eq!(max_tokens(body.unwrap().as_bytes()), by_parser(&value));
        }

        #[test]
        fn no_bytes_make_it_panic(before in any::<Vec<u8>>(), after in any::<Vec<u8>>()) {
            max_tokens(&[before.as_slice(), b"\"max_tokens\":", after.as_slice()].concat());
        }
    }
}
