//! What goes to stdout and stderr: results there, everything else here.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// The same with more columns.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// One YAML document.
    Yaml,
    /// Only names, as KIND/NAME.
    Name,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Writes a line to stderr; a closed stderr is nobody's concern.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// How this command writes.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) headers: bool,
    pub(crate) quiet: bool,
    pub(crate) color: bool,
}

impl Output {
    /// Decides on colours by the flag, `NO_COLOR` and the terminal.
    pub(crate) fn new(format: Format, headers: bool, quiet: bool, color: Color) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => !plain && io::stdout().is_terminal(),
        };
        Self { format, headers, quiet, color }
    }

    /// Whether people read the result.
    pub(crate) fn is_for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Writes one line of the result.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Writes text of the result as it is.
    pub(crate) fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Tells what goes on, on stderr, unless `-q`.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            note(text);
        }
    }

    /// Writes a machine-readable result in the wanted format.
    pub(crate) fn value<T: Serialize>(&self, value: &T) -> io::Result<()> {
        match self.format {
            Format::Yaml => self.raw(yaml(value)?.as_bytes()),
            Format::Jsonl => self.line(&serde_json::to_string(value)?),
            Format::Json | Format::Table | Format::Wide | Format::Name => {
                self.line(&serde_json::to_string_pretty(value)?)
            }
        }
    }

    /// Writes a table.
    pub(crate) fn table(&self, table: &Table) -> io::Result<()> {
        self.raw(table.render(self.format == Format::Wide, self.headers, self.color).as_bytes())
    }
}

/// A value as YAML.
pub(crate) fn yaml<T: Serialize>(value: &T) -> io::Result<String> {
    // By way of JSON values, so that both forms say the same.
    let value = serde_json::to_value(value)?;
    serde_yaml::to_string(&value).map_err(io::Error::other)
}

/// A column and whether only `-o wide` shows it.
#[derive(Debug, Clone)]
struct Column {
    title: &'static str,
    wide: bool,
}

/// Aligned columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        Self { columns: titles.iter().map(|title| Column { title, wide: false }).collect(), rows: Vec::new() }
    }

    /// Adds columns that only `-o wide` shows.
    pub(crate) fn wide(mut self, titles: &[&'static str]) -> Self {
        self.columns.extend(titles.iter().map(|title| Column { title, wide: true }));
        self
    }

    /// Adds a row; it has one cell a column, the wide ones last.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "one cell a column");
        self.rows.push(cells);
    }

    /// Sorts the rows by the column of this title, numbers by value.
    pub(crate) fn sort_by(&mut self, title: &str) -> Result<(), String> {
        let Some(at) = self.columns.iter().position(|it| it.title.eq_ignore_ascii_case(title)) else {
            let titles: Vec<String> = self.columns.iter().map(|it| it.title.to_ascii_lowercase()).collect();
            return Err(format!("no column `{title}`; there are: {}", titles.join(", ")));
        };
        let number = |row: &Vec<String>| row[at].parse::<u64>().ok();
        self.rows.sort_by(|a, b| (number(a), &a[at]).cmp(&(number(b), &b[at])));
        Ok(())
    }

    /// The rows, one string a row, without the titles.
    pub(crate) fn render(&self, wide: bool, headers: bool, color: bool) -> String {
        let shown: Vec<usize> = (0..self.columns.len()).filter(|i| wide || !self.columns[*i].wide).collect();
        let width = |i: usize| {
            let cells = self.rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
            cells.max(if headers { self.columns[i].title.len() } else { 0 })
        };
        let widths: Vec<usize> = shown.iter().map(|i| width(*i)).collect();
        let mut text = String::new();
        let mut line = |cells: Vec<&str>, bold: bool| {
            let mut row = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                row.push_str(&format!("{cell:<width$}   "));
            }
            let row = row.trim_end();
            text.push_str(&if bold { format!("\u{1b}[1m{row}\u{1b}[0m\n") } else { format!("{row}\n") });
        };
        if headers {
            line(shown.iter().map(|i| self.columns[*i].title).collect(), color);
        }
        for row in &self.rows {
            line(shown.iter().map(|i| row[*i].as_str()).collect(), false);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&["NAME", "COUNT"]).wide(&["WHY"]);
        table.row(vec!["node-10".into(), "9".into(), "x".into()]);
        table.row(vec!["node-2".into(), "10".into(), "y".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_wide_ones_wait_for_wide() {
        let check =
            |wide: bool, headers: bool, expected: &str| assert_eq!(sample().render(wide, headers, false), expected);
        check(false, true, "NAME      COUNT\nnode-10   9\nnode-2    10\n");
        check(true, true, "NAME      COUNT   WHY\nnode-10   9       x\nnode-2    10      y\n");
        check(false, false, "node-10   9\nnode-2    10\n");
    }

    #[test]
    fn numbers_sort_by_value() {
        let mut table = sample();
        table.sort_by("count").unwrap();
        assert!(table.render(false, false, false).starts_with("node-10"));
        assert!(table.sort_by("size").unwrap_err().contains("name, count, why"));
    }
}
