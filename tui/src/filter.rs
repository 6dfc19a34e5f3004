//! The filter: `temp>85 & util<10`, `name~node-7 | zone=a`, `!phase=ready`, and bare words.

use crate::text::width;

/// The longest filter in bytes.
pub(crate) const BYTES_MAX: usize = 512;
/// The deepest nesting.
const DEPTH_MAX: usize = 32;

/// What a row can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Name,
    Zone,
    Rack,
    Phase,
    Role,
    Version,
    Model,
    Engine,
    Severity,
    Subject,
    Actor,
    Text,
    Gpu,
    Util,
    Temp,
    Vram,
    Power,
    Age,
    Waiting,
    Running,
    Flight,
    Load,
    Kv,
    Down,
    Behind,
    Gpus,
    Health,
    Throttle,
    Ecc,
    Clock,
}

/// Every field with its name; the last member says whether it is a number.
const FIELDS: &[(&str, Field, bool)] = &[
    ("name", Field::Name, false),
    ("node", Field::Name, false),
    ("zone", Field::Zone, false),
    ("rack", Field::Rack, false),
    ("phase", Field::Phase, false),
    ("role", Field::Role, false),
    ("version", Field::Version, false),
    ("model", Field::Model, false),
    ("engine", Field::Engine, false),
    ("severity", Field::Severity, false),
    ("subject", Field::Subject, false),
    ("actor", Field::Actor, false),
    ("text", Field::Text, false),
    ("health", Field::Health, false),
    ("throttle", Field::Throttle, false),
    ("ecc", Field::Ecc, true),
    ("clock", Field::Clock, true),
    ("gpu", Field::Gpu, true),
    ("gpus", Field::Gpus, true),
    ("util", Field::Util, true),
    ("temp", Field::Temp, true),
    ("vram", Field::Vram, true),
    ("power", Field::Power, true),
    ("age", Field::Age, true),
    ("waiting", Field::Waiting, true),
    ("running", Field::Running, true),
    ("flight", Field::Flight, true),
    ("load", Field::Load, true),
    ("kv", Field::Kv, true),
    ("down", Field::Down, true),
    ("behind", Field::Behind, true),
];

/// One reading of a row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Number(f64),
    Text(&'a str),
}

/// A row that can be asked. A field may have several values (roles, models), and one that is not known has none.
pub(crate) trait Asked {
    /// Whether any value of the field passes.
    fn any(&self, field: Field, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool;
    /// The fields that a bare word is looked for in.
    fn words(&self) -> &'static [Field];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Equal,
    Unequal,
    Less,
    LessEqual,
    More,
    MoreEqual,
    Like,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Word(String),
    Number(Field, Is, f64),
    Text(Field, Is, String),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// A filter that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter(Node);

/// Why a filter was not understood, and at which column (from 0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterError {
    pub(crate) column: u16,
    pub(crate) text: String,
}

impl Filter {
    /// Reads a filter; an empty one is none.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, FilterError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        if text.len() > BYTES_MAX {
            return Err(FilterError { column: 0, text: format!("at most {BYTES_MAX} bytes") });
        }
        let mut parser = Parser { text, at: 0 };
        let node = parser.any(0)?;
        parser.space();
        if parser.at < text.len() {
            return Err(parser.error("this does not belong to a filter"));
        }
        Ok(Some(Self(node)))
    }

    pub(crate) fn passes(&self, row: &impl Asked) -> bool {
        passes(&self.0, row)
    }
}

fn passes(node: &Node, row: &impl Asked) -> bool {
    match node {
        Node::Word(word) => row
            .words()
            .iter()
            .any(|field| row.any(*field, &mut |value| matches!(value, Value::Text(text) if contains(text, word)))),
        Node::Number(field, is, wanted) => row.any(*field, &mut |value| match value {
            Value::Number(found) => compare(found, *is, *wanted),
            Value::Text(_) => false,
        }),
        // "Is not" holds when no value is it; the others when any value is.
        Node::Text(field, Is::Unequal, wanted) => {
            !row.any(*field, &mut |value| matches!(value, Value::Text(it) if it.eq_ignore_ascii_case(wanted)))
        }
        Node::Text(field, Is::Equal, wanted) => {
            row.any(*field, &mut |value| matches!(value, Value::Text(it) if it.eq_ignore_ascii_case(wanted)))
        }
        Node::Text(field, _, wanted) => {
            row.any(*field, &mut |value| matches!(value, Value::Text(it) if contains(it, wanted)))
        }
        Node::Not(inner) => !passes(inner, row),
        Node::All(parts) => parts.iter().all(|it| passes(it, row)),
        Node::Any(parts) => parts.iter().any(|it| passes(it, row)),
    }
}

/// Whether a text contains another, whatever the case of ASCII letters; nothing is allocated.
fn contains(text: &str, wanted: &str) -> bool {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    wanted.is_empty() || text.windows(wanted.len()).any(|it| it.eq_ignore_ascii_case(wanted))
}

fn compare(found: f64, is: Is, wanted: f64) -> bool {
    const EPSILON: f64 = 1e-9;
    let equal = (found - wanted).abs() < EPSILON;
    match is {
        Is::Equal | Is::Like => equal,
        Is::Unequal => !equal,
        Is::Less => found < wanted && !equal,
        Is::LessEqual => found < wanted || equal,
        Is::More => found > wanted && !equal,
        Is::MoreEqual => found > wanted || equal,
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, text: impl Into<String>) -> FilterError {
        FilterError { column: width(&self.text[..self.at]), text: text.into() }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn any(&mut self, depth: usize) -> Result<Node, FilterError> {
        let mut parts = vec![self.all(depth)?];
        loop {
            self.space();
            if !self.eat("|") {
                break;
            }
            self.eat("|");
            parts.push(self.all(depth)?);
        }
        Ok(if parts.len() > 1 { Node::Any(parts) } else { parts.remove(0) })
    }

    fn all(&mut self, depth: usize) -> Result<Node, FilterError> {
        let mut parts = vec![self.not(depth)?];
        loop {
            self.space();
            if self.rest().is_empty() || self.rest().starts_with(['|', ')']) {
                break;
            }
            if self.eat("&") {
                self.eat("&");
            }
            parts.push(self.not(depth)?);
        }
        Ok(if parts.len() > 1 { Node::All(parts) } else { parts.remove(0) })
    }

    fn not(&mut self, depth: usize) -> Result<Node, FilterError> {
        if depth > DEPTH_MAX {
            return Err(self.error(format!("nested deeper than {DEPTH_MAX}")));
        }
        self.space();
        if self.eat("!") {
            return Ok(Node::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.eat("(") {
            let inner = self.any(depth + 1)?;
            self.space();
            return if self.eat(")") { Ok(inner) } else { Err(self.error("a `)` is missing")) };
        }
        self.term()
    }

    fn term(&mut self) -> Result<Node, FilterError> {
        let start = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err(self.error("a word or FIELD>VALUE is missing"));
        }
        self.space();
        let Some(is) = self.operator() else { return Ok(Node::Word(word.to_owned())) };
        let lower = word.to_ascii_lowercase();
        let Some((_, field, is_number)) = FIELDS.iter().find(|(name, ..)| *name == lower) else {
            self.at = start;
            return Err(self.error(format!("no field `{}`; there are {}", crate::text::fit(word, 20), field_names())));
        };
        self.space();
        let value_at = self.at;
        let value = self.word();
        if value.is_empty() {
            return Err(self.error("a value is missing"));
        }
        if !is_number {
            let legal = matches!(is, Is::Equal | Is::Unequal | Is::Like);
            self.at = if legal { self.at } else { start };
            return if legal {
                Ok(Node::Text(*field, is, value.to_owned()))
            } else {
                Err(self.error(format!("`{lower}` is a text: use =, != or ~")))
            };
        }
        match value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Node::Number(*field, is, number)),
            _ => {
                self.at = value_at;
                Err(self.error(format!("`{lower}` is a number")))
            }
        }
    }

    fn word(&mut self) -> &'a str {
        if self.eat("\"") {
            let rest = self.rest();
            let end = rest.find('"').unwrap_or(rest.len());
            self.at += (end + 1).min(rest.len());
            return &rest[..end];
        }
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "&|()!=<>~\"".contains(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn operator(&mut self) -> Option<Is> {
        const OPERATORS: &[(&str, Is)] = &[
            ("==", Is::Equal),
            ("!=", Is::Unequal),
            ("<=", Is::LessEqual),
            (">=", Is::MoreEqual),
            ("=~", Is::Like),
            ("~=", Is::Like),
            ("=", Is::Equal),
            ("<", Is::Less),
            (">", Is::More),
            ("~", Is::Like),
        ];
        OPERATORS.iter().find(|(token, _)| self.eat(token)).map(|(_, is)| *is)
    }
}

fn field_names() -> String {
    let mut names: Vec<&str> = FIELDS.iter().map(|(name, ..)| *name).collect();
    names.dedup();
    names.join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Row;

    impl Asked for Row {
        fn any(&self, field: Field, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
            let texts: &[&str] = if field == Field::Role { &["gpu", "router"] } else { &["node-71"] };
            let numbers = [(Field::Temp, 88.0), (Field::Util, 5.0)];
            let text = matches!(field, Field::Name | Field::Role) && texts.iter().any(|it| passes(Value::Text(it)));
            text || numbers.iter().any(|(it, value)| *it == field && passes(Value::Number(*value)))
        }

        fn words(&self) -> &'static [Field] {
            &[Field::Name, Field::Zone]
        }
    }

    #[test]
    fn rows_pass_or_not() {
        let check = |text: &str, expected: bool| {
            let filter = Filter::parse(text).unwrap().unwrap();
            assert_eq!(filter.passes(&Row), expected, "{text}");
        };
        check("temp>85 & util<10", true);
        check("temp>85 util>=10", false);
        check("temp>90 | util<=5", true);
        check("name~NODE-7", true);
        check("node=node-71", true);
        check("node!=node-71", false);
        check("node-7", true);
        check("\"node-7\"", true);
        check("!node-8", true);
        check("!(temp>85 | temp<10) | role=router", true);
        check("role=trainer", false);
        // What is not known passes no comparison, in either direction.
        check("power>0", false);
        check("power<=0", false);
        check("temp==88 && util!=4", true);
    }

    #[test]
    fn errors_name_the_column() {
        let check = |text: &str, column: u16, part: &str| {
            let error = Filter::parse(text).unwrap_err();
            assert!(error.column == column && error.text.contains(part), "{text}: {error:?}");
        };
        check("tmep>85", 0, "no field `tmep`");
        check("util<5 & temp>hot", 14, "`temp` is a number");
        check("name>3", 0, "is a text");
        check("(temp>3", 7, "`)` is missing");
        check("temp>", 5, "value is missing");
        check("temp>3)", 6, "does not belong");
        check("a & ", 4, "word");
        check(&"(".repeat(100), 33, "nested deeper");
        check(&"x".repeat(600), 0, "512 bytes");
        assert_eq!(Filter::parse("  ").unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9&|()!=<>~\" é日.-]{0,40}") {
            if let Ok(Some(filter)) = Filter::parse(&text) {
                filter.passes(&Row);
            }
        }

        #[test]
        fn any_unicode_is_read_or_refused(text in "\\PC{0,60}") {
            drop(Filter::parse(&text));
        }
    }
}
