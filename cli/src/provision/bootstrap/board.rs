//! What a person or a program sees of a run: a line a host on a terminal, plain lines or JSON elsewhere.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::{human, output::note};

/// How progress is told, on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Style {
    /// Moving lines on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// A line for each thing that happens.
    Plain,
    /// A JSON object for each thing that happens.
    Json,
    /// Nothing.
    None,
}

/// Lines that other things need of a terminal.
const LINES_KEPT: usize = 4;

/// How often a line shows that something goes on.
const TICK: Duration = Duration::from_millis(120);

/// Tells what goes on.
pub(crate) struct Board {
    kind: Kind,
    /// What is being done: the same words are said once.
    last: Mutex<String>,
}

enum Kind {
    Silent,
    Plain,
    Json,
    Moving(Mutex<Moving>),
}

/// The moving lines.
struct Moving {
    all: MultiProgress,
    total: ProgressBar,
    hosts: BTreeMap<String, ProgressBar>,
    /// How many hosts have a line of their own.
    room: usize,
    done: u64,
}

impl Board {
    /// Opens the board that fits.
    pub(crate) fn new(style: Style, quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|it| it != "dumb");
        let kind = match style {
            _ if quiet && style != Style::Json => Kind::Silent,
            Style::None => Kind::Silent,
            Style::Json => Kind::Json,
            Style::Auto if is_terminal => Kind::Moving(Mutex::new(Moving::new())),
            Style::Auto | Style::Plain => Kind::Plain,
        };
        Self { kind, last: Mutex::default() }
    }

    fn moving(&self) -> Option<MutexGuard<'_, Moving>> {
        match &self.kind {
            Kind::Moving(moving) => Some(moving.lock().unwrap_or_else(PoisonError::into_inner)),
            Kind::Silent | Kind::Plain | Kind::Json => None,
        }
    }

    fn json(&self, event: &str, host: Option<&str>, more: Value) {
        let mut line = Map::new();
        line.insert("event".to_owned(), json!(event));
        line.insert("at".to_owned(), json!(human::now().to_string()));
        if let Some(host) = host {
            line.insert("host".to_owned(), json!(host));
        }
        if let Value::Object(more) = more {
            line.extend(more);
        }
        note(&Value::Object(line).to_string());
    }

    /// Says what is being done to all hosts now.
    pub(crate) fn phase(&self, text: &str) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == text {
            return;
        }
        text.clone_into(&mut last);
        match &self.kind {
            Kind::Silent => {}
            Kind::Plain => note(text),
            Kind::Json => self.json("phase", None, json!({ "text": text })),
            Kind::Moving(_) => {
                if let Some(it) = self.moving() {
                    it.total.set_message(text.to_owned());
                    it.total.enable_steady_tick(TICK);
                }
            }
        }
    }

    /// Says something that stays.
    pub(crate) fn say(&self, text: &str) {
        match &self.kind {
            Kind::Silent => {}
            Kind::Plain => note(text),
            Kind::Json => self.json("note", None, json!({ "text": text })),
            Kind::Moving(_) => {
                if let Some(it) = self.moving() {
                    it.all.suspend(|| note(text));
                }
            }
        }
    }

    /// Gives each host of a wave its line.
    pub(crate) fn begin(&self, hosts: &[String]) {
        if let Some(mut it) = self.moving() {
            it.begin(hosts);
        }
    }

    /// Says what a host does.
    pub(crate) fn step(&self, host: &str, step: &str) {
        match &self.kind {
            Kind::Silent | Kind::Plain => {}
            Kind::Json => self.json("step", Some(host), json!({ "step": step })),
            Kind::Moving(_) => {
                if let Some(bar) = self.moving().as_ref().and_then(|it| it.hosts.get(host)) {
                    bar.set_message(step.to_owned());
                }
            }
        }
    }

    /// Says how much of a step's data has been sent.
    pub(crate) fn sent(&self, host: &str, step: &str, bytes: u64, total: u64) {
        match &self.kind {
            Kind::Silent | Kind::Plain => {}
            // One line a step is enough for a program.
            Kind::Json if bytes < total => {}
            Kind::Json => self.json("sent", Some(host), json!({ "step": step, "bytes": bytes })),
            Kind::Moving(_) => {
                if let Some(bar) = self.moving().as_ref().and_then(|it| it.hosts.get(host)) {
                    bar.set_message(format!("{step}: {} of {}", human::bytes(bytes), human::bytes(total)));
                }
            }
        }
    }

    /// Says that a host has come to its end.
    pub(crate) fn end(&self, host: &str, is_done: bool, text: &str) {
        match &self.kind {
            Kind::Silent => {}
            Kind::Plain => note(&format!("{host}: {text}")),
            Kind::Json => self.json("host", Some(host), json!({ "ok": is_done, "text": text })),
            Kind::Moving(_) => {
                if let Some(mut it) = self.moving() {
                    it.end(host, is_done, text);
                }
            }
        }
    }

    /// Runs what asks a person: nothing is drawn over the question meanwhile, whatever goes on, and their time is not
    /// counted as the run's.
    pub(crate) fn aside(&self, ask: &mut dyn FnMut()) {
        let draw = |target| {
            if let Some(it) = self.moving() {
                let _ = it.all.clear();
                it.all.set_draw_target(target);
            }
        };
        draw(ProgressDrawTarget::hidden());
        let before = self.moving().map(|it| it.total.elapsed());
        ask();
        if let Some((it, before)) = self.moving().zip(before) {
            let _ = it.total.clone().with_elapsed(before);
        }
        draw(ProgressDrawTarget::stderr());
    }

    /// Takes the moving lines away, before something else is printed.
    pub(crate) fn clear(&self) {
        if let Some(mut it) = self.moving() {
            it.hosts.clear();
            // A line that ticks on would be drawn over the question that follows.
            it.total.disable_steady_tick();
            it.total.set_message("");
            let _ = it.all.clear();
        }
    }
}

impl Moving {
    fn new() -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            total.set_style(style);
        }
        total.enable_steady_tick(TICK);
        let height = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(24, |it| usize::from(it.ws_row));
        Self { all, total, hosts: BTreeMap::new(), room: height.saturating_sub(LINES_KEPT).max(1), done: 0 }
    }

    fn begin(&mut self, hosts: &[String]) {
        let width = hosts.iter().map(|it| it.chars().count()).max().unwrap_or(0);
        if self.done == 0 {
            self.total.reset_elapsed();
        }
        self.total.set_length(self.done + hosts.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{pos}/{len} hosts, {elapsed}]") {
            self.total.set_style(style);
        }
        self.total.set_position(self.done);
        // More hosts than lines: the rest is in the total only.
        for host in hosts.iter().take(self.room.saturating_sub(self.hosts.len())) {
            let bar = self.all.insert_before(&self.total, ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{prefix}  {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(format!("{host:<width$}"));
            self.hosts.insert(host.clone(), bar);
        }
    }

    fn end(&mut self, host: &str, is_done: bool, text: &str) {
        self.done += 1;
        self.total.set_position(self.done);
        if let Some(bar) = self.hosts.remove(host) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        // What failed stays in sight; what is done is counted.
        if !is_done {
            self.all.suspend(|| note(&format!("{host}: {text}")));
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        if let Some(it) = self.moving() {
            it.total.finish_and_clear();
            let _ = it.all.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_of_who_is_asked_is_not_the_runs() {
        let long = Duration::from_secs(1000);
        let board = Board { kind: Kind::Moving(Mutex::new(Moving::new())), last: Mutex::default() };
        let total = board.moving().unwrap().total.clone();
        // Before the first host begins, the plan was read and agreed to.
        let _ = total.clone().with_elapsed(long);
        board.begin(&["h1".to_owned()]);
        assert!(total.elapsed() < long);
        // Then a passphrase is thought of.
        board.aside(&mut || drop(total.clone().with_elapsed(long)));
        assert!(total.elapsed() < long);
        // The next wave goes on counting.
        board.end("h1", true, "");
        let _ = total.clone().with_elapsed(long);
        board.begin(&["h2".to_owned()]);
        assert!(total.elapsed() >= long);
    }
}
