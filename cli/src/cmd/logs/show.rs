//! Lines as people and programs read them; text of a log does nothing to a terminal.

use std::io;

use mesh_core::time::Timestamp;
use mesh_proto::v1::{LogLevel, LogLine, LogUnit};
use serde_json::{Value, json};

use crate::{
    cmd::Cx,
    output::{Format, Output},
};

/// Colours of the nodes in turn: cyan, green, magenta, blue, and their bright ones.
const COLORS: [u8; 8] = [36, 32, 35, 34, 96, 92, 95, 94];
/// The width of the longest name of a unit.
const UNIT_WIDTH: usize = 10;

/// Shows lines one by one, or keeps them for one document.
pub(super) struct Show {
    out: Output,
    nodes: Vec<String>,
    width: usize,
    one_unit: bool,
    kept: Option<Vec<Value>>,
}

impl Show {
    /// For these nodes; with `one_unit` its name is known anyhow.
    pub(super) fn new(cx: &Cx, nodes: Vec<String>, one_unit: bool, follow: bool) -> Self {
        let width = nodes.iter().map(String::len).max().unwrap_or(0);
        let is_document = !follow && matches!(cx.out.format, Format::Json | Format::Yaml);
        Self { out: cx.out.clone(), nodes, width, one_unit, kept: is_document.then(Vec::new) }
    }

    /// Shows a line of the node with this index.
    pub(super) fn line(&mut self, index: usize, line: &LogLine) -> io::Result<()> {
        if let Some(kept) = &mut self.kept {
            kept.push(value(&self.nodes[index], line));
            return Ok(());
        }
        match self.out.is_for_people() {
            true => self.out.line(&self.text(index, line)),
            false => self.out.line(&value(&self.nodes[index], line).to_string()),
        }
    }

    /// The lines that were kept.
    pub(super) fn taken(&mut self) -> Vec<Value> {
        self.kept.take().unwrap_or_default()
    }

    fn text(&self, index: usize, line: &LogLine) -> String {
        let mut prefix = String::new();
        if self.nodes.len() > 1 {
            prefix = format!("{:<width$}  ", self.nodes[index], width = self.width);
        }
        if !self.one_unit {
            prefix.push_str(&format!("{:<UNIT_WIDTH$}  ", unit(line)));
        }
        let at = line.at_ms.map_or_else(|| "-".to_owned(), |ms| Timestamp(ms).to_string());
        let level = format!("{:>5}", level(line).to_ascii_uppercase());
        let text = harmless(&line.text);
        let cut = if line.cut_bytes > 0 { format!(" ({} bytes more)", line.cut_bytes) } else { String::new() };
        let paint = |color: Option<u8>, text: String| match color.filter(|_| self.out.color) {
            Some(color) => format!("\u{1b}[{color}m{text}\u{1b}[0m"),
            None => text,
        };
        let prefix = paint(Some(COLORS[index % COLORS.len()]).filter(|_| !prefix.is_empty()), prefix);
        let level = match line.level() {
            LogLevel::Error => paint(Some(31), level),
            LogLevel::Warn => paint(Some(33), level),
            LogLevel::Unspecified | LogLevel::Trace | LogLevel::Debug | LogLevel::Info => level,
        };
        format!("{prefix}{at}  {level}  {text}{cut}")
    }
}

fn unit(line: &LogLine) -> &'static str {
    match line.unit() {
        LogUnit::Agentd => "agentd",
        LogUnit::Routerd => "routerd",
        LogUnit::Engine => "engine",
        LogUnit::Supervisor => "supervisor",
        LogUnit::Unspecified => "-",
    }
}

fn level(line: &LogLine) -> &'static str {
    match line.level() {
        LogLevel::Trace => "trace",
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
        LogLevel::Unspecified => "-",
    }
}

fn value(node: &str, line: &LogLine) -> Value {
    let mut value = json!({
        "node": node,
        "unit": unit(line),
        "at": line.at_ms.map(Timestamp),
        "level": level(line),
        "text": line.text,
    });
    if line.cut_bytes > 0 {
        value["cut_bytes"] = line.cut_bytes.into();
    }
    value
}

/// Control characters, and those that turn the direction of text, as escapes.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("    "),
            c if c.is_control() => out.extend(c.escape_default()),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.extend(c.escape_unicode());
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Color;

    #[test]
    fn lines_have_what_is_needed_to_tell_them_apart() {
        let line = LogLine {
            unit: LogUnit::Routerd.into(),
            at_ms: Some(1_763_718_723_042),
            level: LogLevel::Warn.into(),
            text: "mesh_routerd: slow".into(),
            cut_bytes: 7,
        };
        let check = |nodes: &[&str], one_unit: bool, color: Color, expected: &str| {
            let nodes: Vec<String> = nodes.iter().map(|it| (*it).to_owned()).collect();
            let out = Output::new(Format::Table, true, false, color);
            let width = nodes.iter().map(String::len).max().unwrap_or(0);
            let show = Show { out, nodes, width, one_unit, kept: None };
            assert_eq!(show.text(0, &line), expected);
        };
        let plain = "2025-11-21T09:52:03.042Z   WARN  mesh_routerd: slow (7 bytes more)";
        check(&["n"], true, Color::Never, plain);
        check(&["n"], false, Color::Never, &format!("routerd     {plain}"));
        check(&["n", "node"], true, Color::Never, &format!("n     {plain}"));
        let colored = "\u{1b}[36mn     \u{1b}[0m2025-11-21T09:52:03.042Z  \u{1b}[33m WARN\u{1b}[0m  mesh_routerd: slow (7 bytes more)";
        check(&["n", "node"], true, Color::Always, colored);
        assert_eq!(
            value("n", &line).to_string(),
            r#"{"at":"2025-11-21T09:52:03.042Z","cut_bytes":7,"level":"warn","node":"n","text":"mesh_routerd: slow","unit":"routerd"}"#
        );
    }

    #[test]
    fn text_of_a_log_does_nothing_to_a_terminal() {
        let check = |text: &str, expected: &str| assert_eq!(harmless(text), expected);
        check("plain Grüße 日本", "plain Grüße 日本");
        check("\u{1b}[2J\u{7}", "\\u{1b}[2J\\u{7}");
        check("a\tb\rc\nd", "a    b\\rc\\nd");
        check("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}");
        check("\u{202e}evil", "\\u{202e}evil");
    }
}
