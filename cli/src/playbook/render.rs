//! Fills `{{ variables }}` in: strict about names, and safe in shell scripts by construction.

use std::collections::BTreeSet;

use minijinja::{
    Environment, ErrorKind, UndefinedBehavior,
    syntax::SyntaxConfig,
    value::{Serde, Value as Jinja},
};
use serde::Serialize;
use serde_json::Value;

/// What the steps of one host may say by name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vars(Value);

impl Vars {
    /// Takes a map of names to values.
    pub(crate) fn new<T: Serialize>(values: &T) -> Self {
        match serde_json::to_value(values) {
            Ok(it @ Value::Object(_)) => Self(it),
            _ => Self(Value::Object(serde_json::Map::new())),
        }
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Gives a name a value, in the place of the one it has.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        if let Value::Object(map) = &mut self.0 {
            map.insert(name.to_owned(), value);
        }
    }

    fn jinja(&self) -> Jinja {
        Jinja::from(Serde(&self.0))
    }

    /// A text variable, or nothing.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// How the strings of a key are filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// As text, whatever the value is.
    Text,
    /// A string that is one `{{ expression }}` keeps its type: a number, a list.
    Value,
    /// A shell script: every expression becomes one quoted word.
    Shell,
}

/// The engine; the same for every host.
pub(super) struct Renderer {
    text: Environment<'static>,
    shell: Environment<'static>,
}

impl Renderer {
    pub(super) fn new() -> Self {
        let text = environment();
        let mut shell = environment();
        // Whatever a variable holds, the shell sees it as one word: no template can forget to quote.
        shell.set_formatter(|out, state, value| {
            if value.is_undefined() {
                return minijinja::escape_formatter(out, state, value);
            }
            let quoted = quote(&value.to_string()).map_err(|why| fault(&why))?;
            out.write_str(&quoted).map_err(|_| fault("the script is too long"))
        });
        Self { text, shell }
    }

    /// Fills one string in.
    pub(super) fn fill(&self, source: &str, kind: Kind, vars: &Vars) -> Result<Value, String> {
        if !source.contains("{{") && !source.contains("{%") && !source.contains("{#") {
            return Ok(Value::String(source.to_owned()));
        }
        if let (Kind::Value, Some(expression)) = (kind, whole(source)) {
            return self.eval(expression, vars);
        }
        let environment = if kind == Kind::Shell { &self.shell } else { &self.text };
        environment.render_str(source, vars.jinja()).map(Value::String).map_err(|error| words(&error))
    }

    /// The value of an expression.
    pub(super) fn eval(&self, expression: &str, vars: &Vars) -> Result<Value, String> {
        let compiled = self.text.compile_expression(expression).map_err(|error| words(&error))?;
        let value = compiled.eval(vars.jinja()).map_err(|error| words(&error))?;
        if value.is_undefined() {
            return Err(format!("`{expression}` is not defined"));
        }
        serde_json::to_value(value).map_err(|error| error.to_string())
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, expression: &str, vars: &Vars) -> Result<bool, String> {
        let compiled = self.text.compile_expression(expression).map_err(|error| words(&error))?;
        compiled.eval(vars.jinja()).map(|it| it.is_true()).map_err(|error| words(&error))
    }

    /// The names that a string needs, or why it is no template.
    pub(super) fn names(&self, source: &str) -> Result<BTreeSet<String>, String> {
        let template = self.text.template_from_str(source).map_err(|error| words(&error))?;
        Ok(template.undeclared_variables(false).into_iter().collect())
    }

    /// The names that a condition needs, or why it is none.
    pub(super) fn names_of_expression(&self, source: &str) -> Result<BTreeSet<String>, String> {
        let expression = self.text.compile_expression(source).map_err(|error| words(&error))?;
        Ok(expression.undeclared_variables(false).into_iter().collect())
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true).build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.set_recursion_limit(50);
    environment.add_filter("toml", toml_value);
    environment.add_filter("unit", unit_word);
    environment
}

/// A value in TOML's own form: strings quoted, lists and maps inline.
fn toml_value(value: Jinja) -> Result<String, minijinja::Error> {
    let value = toml::Value::try_from(&value).map_err(|error| fault(&error.to_string()))?;
    Ok(value.to_string())
}

/// A word of a systemd unit: no specifier, no variable, no quote has a meaning in it.
fn unit_word(value: Jinja) -> Result<String, minijinja::Error> {
    let text = value.to_string();
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | ';')) {
        return Err(fault(&format!("`{}` cannot be a word of a unit", text.escape_debug())));
    }
    Ok(text.replace('%', "%%").replace('$', "$$"))
}

fn fault(why: &str) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, why.to_owned())
}

/// The inside of a string that is one expression.
fn whole(source: &str) -> Option<&str> {
    let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("}}") && !inner.contains("{{")).then(|| inner.trim())
}

fn words(error: &minijinja::Error) -> String {
    let text = error.detail().map_or_else(|| error.kind().to_string(), |it| format!("{}: {it}", error.kind()));
    let mut cause = std::error::Error::source(error);
    let mut text = text;
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// A text as one word of a POSIX shell.
pub(super) fn quote(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("a zero byte cannot be in a script".to_owned());
    }
    // Single quotes keep everything but themselves, newlines included, in every shell.
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_filled_in_by_their_kind() {
        let vars = Vars::new(&serde_json::json!({
            "a": "x y", "n": 7, "l": ["p", "q"], "none": null, "t": {"api": "10.0.0.1:1", "voter": 1},
        }));
        let check = |source: &str, kind: Kind, expected: Result<Value, &str>| {
            let found = Renderer::new().fill(source, kind, &vars);
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{source}"),
                (Err(found), Err(expected)) => assert!(found.contains(expected), "{source}: {found}"),
                (found, expected) => panic!("{source}: {found:?} instead of {expected:?}"),
            }
        };
        check("plain {x}", Kind::Value, Ok("plain {x}".into()));
        check("{{ n }}", Kind::Value, Ok(7.into()));
        check("{{ n }}", Kind::Text, Ok("7".into()));
        check("{{ l }}", Kind::Value, Ok(vec!["p", "q"].into()));
        check("{{ a }}/{{ n }}", Kind::Value, Ok("x y/7".into()));
        check("echo {{ a }}", Kind::Shell, Ok("echo 'x y'".into()));
        check(
            "{{ a | toml }} {{ l | toml }} {{ [t] | toml }}",
            Kind::Text,
            Ok(r#""x y" ["p", "q"] [{ api = "10.0.0.1:1", voter = 1 }]"#.into()),
        );
        check("{{ a | unit }}", Kind::Text, Err("cannot be a word of a unit"));
        check("{{ gone }}", Kind::Value, Err("gone"));
        check("a {{ gone }}", Kind::Text, Err("undefined"));
        check("a {{ gone }}", Kind::Shell, Err("undefined"));
        check("{{ a", Kind::Text, Err("syntax error"));
    }
}
