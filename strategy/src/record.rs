//! A recording of one worker: rows as applied, decisions, and the events of every request; and its replay.
//!
//! A recording is JSON, one [`Entry`] a line, in the order in which the worker met them. Feeding the events to fresh
//! machines, or the rows and requests to a fresh instance of the strategy, must give the recorded actions and
//! answers byte for byte; [`replay`] and [`replay_decisions`] compare them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    DecisionOutcome, Strategy,
    answer::{Answer, Record},
    brain::consult,
    request::{Feedback, Request, RequestId},
    route::{Action, Event, Facts, Machine, Step},
    table::{ALL_COLUMNS, Cells, Change, RowChange, Table},
};

/// One row as applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowEntry {
    slot: u32,
    mask: u32,
    cells: Cells,
}

/// One line of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Rows of a model's table changed.
    Rows {
        /// The model.
        model: String,
        /// Rows of the table afterwards.
        len: u32,
        /// True when the rows are the whole table.
        copy: bool,
        /// The changed rows.
        rows: Vec<RowEntry>,
    },
    /// A fresh instance took the seat, with the table as it is.
    Instance {
        /// The model.
        model: String,
        /// The strategy's name.
        strategy: String,
        /// The strategy's version.
        version: String,
        /// What the instance was made with.
        seed: u64,
    },
    /// The strategy was asked.
    Decision {
        /// The model.
        model: String,
        /// The request.
        request: Request,
        /// What became of it.
        outcome: DecisionOutcome,
        /// The records; empty unless the outcome is `ok`.
        answer: Vec<Record>,
        /// Fuel used.
        fuel: Option<u64>,
    },
    /// The strategy was told outcomes.
    Observed {
        /// The model.
        model: String,
        /// The outcomes.
        batch: Vec<Feedback>,
        /// What became of it.
        outcome: DecisionOutcome,
        /// Fuel used.
        fuel: Option<u64>,
    },
    /// A machine was made.
    Request {
        /// The request.
        id: RequestId,
        /// Its deadline.
        deadline_us: Option<u64>,
    },
    /// A machine took an event.
    Event {
        /// The request.
        id: RequestId,
        /// The time.
        now_us: u64,
        /// The event.
        event: Event,
        /// The surroundings.
        facts: Facts,
        /// What it did.
        actions: Vec<Action>,
        /// What it cost.
        step: Step,
    },
}

#[derive(Debug)]
struct Tape {
    lines: Vec<u8>,
    bytes_max: usize,
    dropped: u64,
}

/// Collects a recording in memory, up to a bound; clones write to the same tape.
///
/// A router switches it on for a worker and its brains, and writes what [`Recorder::drain`] returns to a file.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Mutex<Tape>>);

impl Recorder {
    /// Makes an empty recorder that holds at most `bytes_max` bytes between two drains.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Tape { lines: Vec::new(), bytes_max, dropped: 0 })))
    }

    /// Takes the lines recorded so far, and how many entries were dropped over the bound since the last call.
    #[must_use]
    pub fn drain(&self) -> (Vec<u8>, u64) {
        let mut tape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut tape.lines), std::mem::take(&mut tape.dropped))
    }

    /// Records a new machine; call it before its first event.
    pub fn request(&self, machine: &Machine) {
        self.push(&Entry::Request { id: machine.id(), deadline_us: machine.deadline_us() });
    }

    /// Records one event of a machine with the actions it added.
    pub fn event(&self, id: RequestId, now_us: u64, (event, facts): (&Event, &Facts), did: (&[Action], Step)) {
        let (actions, step) = (did.0.to_vec(), did.1);
        self.push(&Entry::Event { id, now_us, event: *event, facts: *facts, actions, step });
    }

    pub(crate) fn rows(&self, model: &str, table: &Table, change: Change<'_>) {
        let entry = |change: RowChange| RowEntry {
            slot: change.slot,
            mask: change.mask,
            cells: table.row(change.slot as usize),
        };
        let len = crate::narrow(table.len());
        let (copy, rows) = match change {
            Change::All => (true, (0..len).map(|slot| entry(RowChange { slot, mask: ALL_COLUMNS })).collect()),
            Change::Rows(rows) => (false, rows.iter().copied().map(entry).collect()),
        };
        self.push(&Entry::Rows { model: model.to_owned(), len, copy, rows });
    }

    pub(crate) fn instance(&self, model: &str, instance: &dyn Strategy) {
        let (strategy, version) = (instance.name().to_owned(), instance.version().to_owned());
        self.push(&Entry::Instance { model: model.to_owned(), strategy, version, seed: instance.seed() });
    }

    pub(crate) fn decision(
        &self,
        model: &str,
        request: &Request,
        outcome: DecisionOutcome,
        (answer, fuel): (&Answer, Option<u64>),
    ) {
        let answer = answer.records().to_vec();
        self.push(&Entry::Decision { model: model.to_owned(), request: *request, outcome, answer, fuel });
    }

    pub(crate) fn observed(&self, model: &str, batch: &[Feedback], (outcome, fuel): (DecisionOutcome, Option<u64>)) {
        self.push(&Entry::Observed { model: model.to_owned(), batch: batch.to_vec(), outcome, fuel });
    }

    fn push(&self, entry: &Entry) {
        let line = serde_json::to_vec(entry).unwrap_or_default();
        let mut tape = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tape.lines.len() + line.len() >= tape.bytes_max {
            tape.dropped += 1;
        } else {
            tape.lines.extend_from_slice(&line);
            tape.lines.push(b'\n');
        }
    }
}

/// What a replay covered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Machines or instances made.
    pub started: u64,
    /// Events or decisions compared.
    pub compared: u64,
}

/// Why a recording could not be replayed, or was not what happened.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A line is not an entry.
    #[error("line {line} of the recording is not an entry: {source}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// An entry refers to something that was not recorded before it.
    #[error("entry {entry} of the recording refers to {what}, which does not come before it")]
    Unknown {
        /// The entry, from 1.
        entry: usize,
        /// What is missing.
        what: String,
    },
    /// The replay did something else.
    #[error("entry {entry} differs: recorded {recorded}, replayed {replayed}")]
    Differs {
        /// The entry, from 1.
        entry: usize,
        /// As recorded, in JSON.
        recorded: String,
        /// As replayed, in JSON.
        replayed: String,
    },
}

/// Reads a recording.
///
/// # Errors
/// Names the first line that is not an entry.
pub fn parse_recording(lines: &[u8]) -> Result<Vec<Entry>, ReplayError> {
    let lines = lines.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(at, line)| serde_json::from_slice(line).map_err(|source| ReplayError::Line { line: at + 1, source }))
        .collect()
}

/// Feeds the recorded events to fresh machines and compares the actions.
///
/// # Errors
/// Returns the first entry that differs, or an event of a request that was not recorded.
pub fn replay(entries: &[Entry]) -> Result<Replayed, ReplayError> {
    let mut machines = BTreeMap::new();
    let mut replayed = Replayed::default();
    for (at, entry) in entries.iter().enumerate() {
        match entry {
            Entry::Request { id, deadline_us } => {
                machines.insert(*id, Machine::new(*id, *deadline_us));
                replayed.started += 1;
            }
            Entry::Event { id, now_us, event, facts, .. } => {
                let unknown = || ReplayError::Unknown { entry: at + 1, what: format!("request {}", id.get()) };
                let machine = machines.get_mut(id).ok_or_else(unknown)?;
                let mut actions = Vec::new();
                let step = machine.step(*now_us, event, facts, &mut actions);
                let (event, facts) = (*event, *facts);
                let again = Entry::Event { id: *id, now_us: *now_us, event, facts, actions, step };
                same(at, entry, &again)?;
                replayed.compared += 1;
            }
            Entry::Rows { .. } | Entry::Instance { .. } | Entry::Decision { .. } | Entry::Observed { .. } => {}
        }
    }
    Ok(replayed)
}

/// Feeds the recorded rows, requests and outcomes of one model to fresh instances and compares answers and fuel.
///
/// `make` makes an instance of the strategy with this name, version and seed; `None` skips the decisions it made.
///
/// # Errors
/// Returns the first entry that differs.
pub fn replay_decisions(
    entries: &[Entry],
    of_model: &str,
    mut make: impl FnMut(&str, &str, u64) -> Option<Box<dyn Strategy>>,
) -> Result<Replayed, ReplayError> {
    let mut table = Table::default();
    let mut instance: Option<Box<dyn Strategy>> = None;
    let mut answer = Answer::new();
    let mut replayed = Replayed::default();
    for (at, entry) in entries.iter().enumerate() {
        match entry {
            Entry::Rows { model, len, copy, rows } if model == of_model => {
                apply(&mut table, *len, rows);
                let changes: Vec<_> = rows.iter().map(|row| RowChange { slot: row.slot, mask: row.mask }).collect();
                if let Some(instance) = &mut instance {
                    instance.sync(&table, if *copy { Change::All } else { Change::Rows(&changes) });
                }
            }
            Entry::Instance { model, strategy, version, seed } if model == of_model => {
                instance = make(strategy, version, *seed);
                if let Some(instance) = &mut instance {
                    instance.sync(&table, Change::All);
                    replayed.started += 1;
                }
            }
            Entry::Decision { model, request, outcome, .. }
                if model == of_model && *outcome != DecisionOutcome::NotReady =>
            {
                let Some(instance) = &mut instance else { continue };
                let outcome = consult(instance.as_mut(), &table, request, &mut answer);
                let (model, answer) = (model.clone(), answer.records().to_vec());
                let fuel = instance.fuel_used();
                same(at, entry, &Entry::Decision { model, request: *request, outcome, answer, fuel })?;
                replayed.compared += 1;
            }
            Entry::Observed { model, batch, .. } if model == of_model => {
                let Some(instance) = &mut instance else { continue };
                let outcome = instance.observe(batch);
                let (model, batch, fuel) = (model.clone(), batch.clone(), instance.fuel_used());
                same(at, entry, &Entry::Observed { model, batch, outcome, fuel })?;
            }
            Entry::Rows { .. }
            | Entry::Instance { .. }
            | Entry::Decision { .. }
            | Entry::Observed { .. }
            | Entry::Request { .. }
            | Entry::Event { .. } => {}
        }
    }
    Ok(replayed)
}

fn apply(table: &mut Table, len: u32, rows: &[RowEntry]) {
    table.resize(len as usize);
    for row in rows.iter().filter(|row| row.slot < len) {
        table.write(RowChange { slot: row.slot, mask: row.mask }, &row.cells, None);
    }
}

/// Compares two entries as the bytes of their lines.
fn same(at: usize, recorded: &Entry, replayed: &Entry) -> Result<(), ReplayError> {
    if recorded == replayed {
        return Ok(());
    }
    let text = |entry| serde_json::to_string(entry).unwrap_or_default();
    Err(ReplayError::Differs { entry: at + 1, recorded: text(recorded), replayed: text(replayed) })
}
