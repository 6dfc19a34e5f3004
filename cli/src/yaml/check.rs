//! A tree against its schema: every problem with its place, and what is wrong taken out so that the rest can be read.

use serde_json::Value as Json;

use super::{
    problem::{Path, Problems, Step, quoted},
    schema::{fields, follow},
    tree::{At, Entry, Tree, Value},
};

/// Checks a text by the `format` of its schema; `None` for a format it does not know.
pub(crate) type Formats = dyn Fn(&str, &str) -> Option<Result<(), Wrong>>;

/// Why a text is refused, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What is wrong.
    pub(crate) text: String,
    /// What would be right.
    pub(crate) hint: Option<String>,
}

impl Wrong {
    /// Something wrong with a hint.
    pub(crate) fn new(text: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { text: text.into(), hint: Some(hint.into()) }
    }
}

/// Checks a tree against a schema. What is wrong is left out of what comes back.
pub(crate) fn check(schema: &Json, mut tree: Tree, formats: &Formats, problems: &mut Problems) -> Tree {
    let mut check = Check { root: schema, formats, problems };
    if !check.value(schema, &mut tree, &Path::default()) {
        tree.value = Value::Map(Vec::new());
    }
    tree
}

/// The nearest of some words, when one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let edits = |it: &str| strsim::damerau_levenshtein(&lower, &it.to_lowercase());
    let (edits, found) = words.into_iter().map(|it| (edits(it), it)).min()?;
    (edits <= 1 + word.chars().count() / 3).then_some(found)
}

struct Check<'a> {
    root: &'a Json,
    formats: &'a Formats,
    problems: &'a mut Problems,
}

impl<'a> Check<'a> {
    /// Checks one value; false when it must be taken out.
    fn value(&mut self, schema: &'a Json, tree: &mut Tree, path: &Path) -> bool {
        let schema = follow(self.root, schema);
        if tree.value == Value::Null {
            let what = named(path);
            if path.steps().is_empty() {
                self.add(tree.at, path, "the file is empty".to_owned(), "mesh init prints one to begin with");
            } else {
                self.add(tree.at, path, format!("{what} has no value"), "give it one, or leave the key out");
            }
            return false;
        }
        if let Some(words) = words(schema) {
            return self.word(&words, tree, path);
        }
        if let Some(alternatives) = schema.get("anyOf").and_then(Json::as_array) {
            let fitting = alternatives.iter().find(|it| fits(follow(self.root, it), &tree.value));
            return match fitting {
                Some(it) => self.value(it, tree, path),
                None => self.wrong_type(schema, tree, path),
            };
        }
        if !fits(schema, &tree.value) {
            return self.wrong_type(schema, tree, path);
        }
        match &mut tree.value {
            Value::Number(number) => {
                let number = number.clone();
                self.number(schema, &number, tree.at, path)
            }
            Value::Text(text) => {
                let text = text.clone();
                self.text(schema, &text, tree.at, path)
            }
            Value::List(items) => self.list(schema, items, path),
            Value::Map(entries) => {
                self.map(schema, entries, tree.at, path);
                true
            }
            Value::Null | Value::Bool(_) => true,
        }
    }

    fn map(&mut self, schema: &'a Json, entries: &mut Vec<Entry>, at: At, path: &Path) {
        let known = fields(self.root, schema);
        let others = schema.get("additionalProperties").filter(|it| !matches!(it, Json::Bool(false)));
        let mut seen: Vec<(String, At)> = Vec::new();
        entries.retain_mut(|entry| {
            let path = path.key(&entry.key);
            if let Some((_, first)) = seen.iter().find(|(key, _)| *key == entry.key) {
                let text = format!("the key {} is there twice", quoted(&entry.key));
                self.add(entry.at, &path, text, format!("keep one; the first is at {}:{}", first.line, first.column));
                return false;
            }
            seen.push((entry.key.clone(), entry.at));
            match (known.and_then(|it| it.get(&entry.key)), others) {
                (Some(schema), _) => self.value(schema, &mut entry.value, &path),
                (None, Some(others)) => self.key(schema, entry, &path) && self.value(others, &mut entry.value, &path),
                (None, None) => {
                    let names = || known.into_iter().flat_map(|it| it.keys().map(String::as_str));
                    let hint = match nearest(&entry.key, names()) {
                        Some(name) => format!("did you mean `{name}`?"),
                        None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
                    };
                    self.add(entry.at, &path, format!("unknown key {}", quoted(&entry.key)), hint);
                    false
                }
            }
        });
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        for name in required.filter(|name| !seen.iter().any(|(key, _)| key == name)) {
            let example = known.and_then(|it| it.get(name)).and_then(|it| example(follow(self.root, it)));
            let hint = example.map(|it| format!("{name}: {it}"));
            self.problems.add(at, &path.key(name), format!("`{name}` is missing"), hint);
        }
    }

    fn key(&mut self, schema: &Json, entry: &Entry, path: &Path) -> bool {
        let format = schema.pointer("/propertyNames/format").and_then(Json::as_str);
        self.format(format, &entry.key, entry.at, path)
    }

    /// Checks every item. A wrong item that is a map becomes an empty one; any other makes the list wrong as a whole.
    fn list(&mut self, schema: &'a Json, items: &mut [Tree], path: &Path) -> bool {
        let Some(schema) = schema.get("items") else { return true };
        let of_maps = fields(self.root, schema).is_some();
        let mut legal = true;
        for (i, item) in items.iter_mut().enumerate() {
            if !self.value(schema, item, &path.index(i)) {
                legal &= of_maps;
                item.value = Value::Map(Vec::new());
            }
        }
        legal
    }

    fn number(&mut self, schema: &Json, number: &serde_json::Number, at: At, path: &Path) -> bool {
        let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
        let (low, high) = (bound("minimum"), bound("maximum"));
        let legal =
            number.as_f64().is_some_and(|it| low.is_none_or(|low| it >= low) && high.is_none_or(|high| it <= high));
        if !legal {
            let range = match (low, high) {
                (Some(low), Some(high)) if low >= high => format!("{low}"),
                (Some(low), Some(high)) => format!("{low} to {high}"),
                (Some(low), None) => format!("{low} or more"),
                (None, Some(high)) => format!("{high} or less"),
                (None, None) => "another number".to_owned(),
            };
            let text = format!("{} must be {range}, not {number}", named(path));
            self.problems.add(at, path, text, example(schema).map(|it| format!("like {it}")));
        }
        legal
    }

    fn text(&mut self, schema: &Json, text: &str, at: At, path: &Path) -> bool {
        // A variable that is not there has been named already.
        if self.problems.is_at(at) {
            return false;
        }
        self.format(schema.get("format").and_then(Json::as_str), text, at, path)
    }

    fn format(&mut self, format: Option<&str>, text: &str, at: At, path: &Path) -> bool {
        match format.and_then(|format| (self.formats)(format, text)) {
            Some(Err(wrong)) => {
                self.problems.add(at, path, wrong.text, wrong.hint);
                false
            }
            Some(Ok(())) | None => true,
        }
    }

    fn word(&mut self, words: &[&str], tree: &Tree, path: &Path) -> bool {
        let Value::Text(text) = &tree.value else {
            let text = format!("{} must be a word, not {}", named(path), tree.value.noun());
            self.add(tree.at, path, text, format!("one of: {}", words.join(", ")));
            return false;
        };
        if words.contains(&text.as_str()) {
            return true;
        }
        let hint = match nearest(text, words.iter().copied()) {
            Some(word) => format!("did you mean `{word}`? There are: {}", words.join(", ")),
            None => format!("one of: {}", words.join(", ")),
        };
        // Not repeated: a word at the wrong key may be a secret.
        self.add(tree.at, path, format!("{} has a word that is not known", named(path)), hint);
        false
    }

    fn wrong_type(&mut self, schema: &Json, tree: &Tree, path: &Path) -> bool {
        let text = format!("{} must be {}, not {}", named(path), noun(self.root, schema), tree.value.noun());
        let wants_text = noun(self.root, schema) == "text";
        let hint = match (&tree.value, example(schema)) {
            (Value::Number(_) | Value::Bool(_), None) if wants_text => Some("put it in quotes".to_owned()),
            (_, Some(example)) => Some(format!("like {example}")),
            (_, None) => None,
        };
        self.problems.add(tree.at, path, text, hint);
        false
    }

    fn add(&mut self, at: At, path: &Path, text: String, hint: impl Into<String>) {
        self.problems.add(at, path, text, hint.into());
    }
}

/// How a sentence names what is at a path.
fn named(path: &Path) -> String {
    let of = |key: &str| match path.steps().last() {
        Some(Step::Index(_)) => format!("an item of `{key}`"),
        _ => format!("`{key}`"),
    };
    path.last_key().map_or_else(|| "the file".to_owned(), of)
}

fn example(schema: &Json) -> Option<String> {
    if let Some(items) = schema.get("items") {
        return example(items).map(|it| format!("[{it}]"));
    }
    let example = schema.get("examples")?.as_array()?.first()?;
    Some(example.as_str().map_or_else(|| example.to_string(), str::to_owned))
}

/// The words of an enum, however the schema writes it.
pub(crate) fn words(schema: &Json) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        return words.iter().map(Json::as_str).collect();
    }
    let variants = schema.get("oneOf").and_then(Json::as_array)?;
    let of = |it: &'static str| move |variant: &Json| variant.get(it).is_some();
    if !variants.iter().all(|it| of("const")(it) || of("enum")(it)) {
        return None;
    }
    let words = variants.iter().flat_map(|it| match it.get("const").and_then(Json::as_str) {
        Some(word) => vec![Some(word)],
        None => {
            it.get("enum").and_then(Json::as_array).map(|it| it.iter().map(Json::as_str).collect()).unwrap_or_default()
        }
    });
    words.collect()
}

/// Whether a value has the type of a schema.
fn fits(schema: &Json, value: &Value) -> bool {
    let Some(expected) = schema.get("type").and_then(Json::as_str) else { return true };
    match value {
        Value::Null => false,
        Value::Bool(_) => expected == "boolean",
        Value::Number(it) => expected == "number" || (expected == "integer" && !it.is_f64()),
        Value::Text(_) => expected == "string",
        Value::List(_) => expected == "array",
        Value::Map(_) => expected == "object",
    }
}

/// What a schema wants, in words.
pub(crate) fn noun(root: &Json, schema: &Json) -> String {
    let schema = follow(root, schema);
    if words(schema).is_some() {
        return "a word".to_owned();
    }
    if let Some(alternatives) = schema.get("anyOf").and_then(Json::as_array) {
        return alternatives.iter().map(|it| noun(root, it)).collect::<Vec<_>>().join(" or ");
    }
    match schema.get("type").and_then(Json::as_str) {
        Some("boolean") => "true or false",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("string") => "text",
        Some("array") => "a list",
        Some("object") => "a map",
        _ => "any value",
    }
    .to_owned()
}
