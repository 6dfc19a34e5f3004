//! The conformance probes: decisions which every strategy must survive before it is let near a request.

use super::{LoadError, Plugin, guest::Guest};
use crate::{
    DecisionOutcome, Strategy,
    answer::{Answer, Record},
    column::{COLUMNS, Column},
    request::{Ask, FEEDBACK_BATCH_MAX, Feedback, Outcome, Request, RequestId, hash},
    table::{ALL_COLUMNS, Cells, Change, HOST_COLUMNS, RowChange, Table},
};

/// The seed of every probe; any number would do, it must only stay the same.
const SEED: u64 = 0x6d65_7368;
/// Decisions of one probe, each with a seed of its own.
const DECISIONS: u64 = 8;
/// The time of the probes on the contract's clock.
const NOW_MS: u64 = 10_000;
/// The sizes at which the fuel of a decision is reported.
const FUEL_AT: [usize; 3] = [16, 128, 512];

/// Runs the probes and returns the fuel of a decision at some sizes.
pub(super) fn run(plugin: &Plugin) -> Result<Vec<(usize, u64)>, LoadError> {
    let cap = plugin.checked().manifest.cap_targets as usize;
    let plain = |slot: usize| row(slot, load_of(slot), true, true);
    let golden = probe(plugin, "golden", &table(cap.min(8), plain))?;
    let again = probe(plugin, "golden", &table(cap.min(8), plain))?;
    if golden != again {
        let problem = "two fresh instances gave different answers to the same requests; decide by the request's \
                       seed and the table alone";
        return Err(LoadError::Probe { probe: "deterministic", problem: problem.to_owned() });
    }
    probe(plugin, "no targets", &table(0, plain))?;
    probe(plugin, "one target", &table(1, plain))?;
    probe(plugin, "most targets", &table(cap, plain))?;
    let largest = crate::narrow(cap);
    probe(
        plugin,
        "each better than the last",
        &table(cap, |slot| row(slot, largest - crate::narrow(slot), true, true)),
    )?;
    probe(plugin, "all equal", &table(cap, |slot| row(slot, 1, true, true)))?;
    probe(plugin, "none eligible", &table(cap.min(64), |slot| row(slot, load_of(slot), false, true)))?;
    probe(plugin, "nothing known", &table(cap.min(64), |slot| row(slot, load_of(slot), true, false)))?;

    let mut fuel = Vec::new();
    for rows in FUEL_AT.into_iter().filter(|rows| *rows <= cap) {
        let most = probe(plugin, "fuel", &table(rows, plain))?.into_iter().map(|(_, fuel)| fuel).max();
        fuel.push((rows, most.unwrap_or(0)));
    }
    Ok(fuel)
}

/// Asks a fresh instance a few times about one table, tells it outcomes, and returns answers and fuel.
fn probe(plugin: &Plugin, name: &'static str, table: &Table) -> Result<Vec<(Vec<Record>, u64)>, LoadError> {
    let mut guest = plugin.guest(SEED)?;
    guest.sync(table, Change::All);
    let mut answer = Answer::new();
    let mut answers = Vec::new();
    let mut batch = Vec::with_capacity(FEEDBACK_BATCH_MAX);
    for number in 0..DECISIONS {
        let ask = Ask { prompt_tokens: 500, max_tokens: 200, session: number % 3, ..Ask::default() };
        let request = Request::new(RequestId::new(number), 0, SEED, NOW_MS, ask);
        let outcome = guest.decide(table, &request, &mut answer);
        expect(name, &guest, outcome, table.len())?;
        answer.validate(table).map_err(|fault| failed(name, table.len(), &fault.to_string()))?;
        answers.push((answer.records().to_vec(), guest.fuel_used().unwrap_or(0)));
        if let Some((slot, generation)) = answer.records().iter().find_map(Record::as_target) {
            let outcome = if number % 2 == 0 { Outcome::Ok } else { Outcome::EngineError };
            let decision = request.decision;
            let (ttft_us, e2e_us, tokens_out) = (50_000, 900_000, 40);
            batch.push(Feedback { decision, slot, generation, attempt: 0, outcome, ttft_us, e2e_us, tokens_out });
        }
    }
    while !batch.is_empty() && batch.len() < FEEDBACK_BATCH_MAX {
        batch.extend_from_within(..batch.len().min(FEEDBACK_BATCH_MAX - batch.len()));
    }
    if !batch.is_empty() {
        let outcome = guest.observe(&batch);
        expect("observe", &guest, outcome, table.len())?;
    }
    Ok(answers)
}

fn expect(name: &'static str, guest: &Guest, outcome: DecisionOutcome, rows: usize) -> Result<(), LoadError> {
    match outcome {
        DecisionOutcome::Ok | DecisionOutcome::Abstain => Ok(()),
        DecisionOutcome::NotReady
        | DecisionOutcome::Trap
        | DecisionOutcome::Fuel
        | DecisionOutcome::Epoch
        | DecisionOutcome::Invalid => Err(failed(name, rows, guest.fault().unwrap_or(outcome.as_str()))),
    }
}

fn failed(probe: &'static str, rows: usize, what: &str) -> LoadError {
    LoadError::Probe { probe, problem: format!("with {rows} targets, {what}") }
}

/// Makes a table without targets behind its rows.
fn table(rows: usize, cells: impl Fn(usize) -> Cells) -> Table {
    let mut table = Table::default();
    table.resize(rows);
    for slot in 0..rows {
        table.write(RowChange { slot: crate::narrow(slot), mask: ALL_COLUMNS }, &cells(slot), None);
    }
    table
}

/// Returns a load without any pattern, 0 to 15.
fn load_of(slot: usize) -> u32 {
    u32::try_from(hash(SEED, crate::narrow(slot)) % 16).unwrap_or(0)
}

fn row(slot: usize, load: u32, eligible: bool, known: bool) -> Cells {
    let mut cells = [0; COLUMNS];
    cells[Column::Generation.id()] = 1 + crate::narrow(slot) % 3;
    cells[Column::Eligible.id()] = u32::from(eligible);
    cells[Column::OwnInflight.id()] = load;
    cells[Column::Valid.id()] = if known { ALL_COLUMNS } else { HOST_COLUMNS };
    if known {
        cells[Column::Running.id()] = load.min(8);
        cells[Column::Waiting.id()] = load.saturating_sub(8);
        cells[Column::ObservedMs.id()] = 9_900;
        let floats = [
            (Column::Capacity, 8.0),
            (Column::KvUsed, 0.5),
            (Column::TtftMs, 60.0),
            (Column::TpotMs, 12.5),
            (Column::RttUs, 180.0),
            (Column::Health, if eligible { 1.0 } else { 0.0 }),
            (Column::Price, 1.0),
        ];
        for (column, value) in floats {
            cells[column.id()] = f32::to_bits(value);
        }
    }
    cells
}
