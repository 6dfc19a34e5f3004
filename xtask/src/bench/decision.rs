//! Time of one routing decision, native and WASM: the strategy crate's own measurement as a table.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{cell, keep, profile};
use crate::shell;

/// Runs the measurement and prints a row for each strategy, a column for each size of the table.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(binaries: &Path) -> Result<()> {
    let text = shell::output(&mut Command::new(shell::example(binaries, "decide_bench")))?;
    let seen: Value = serde_json::from_str(&text).context("read what decide_bench measured")?;
    let rows = seen["rows"].as_array().context("decide_bench measured nothing")?;
    let mut table: BTreeMap<(String, String), BTreeMap<u64, String>> = BTreeMap::new();
    for row in rows {
        let strategy = (cell(&row["kind"]), cell(&row["strategy"]));
        let times = [&row["p50"], &row["p99"]].map(cell).join(" / ");
        table.entry(strategy).or_default().insert(row["targets"].as_u64().unwrap_or(0), times);
    }
    let sizes: Vec<u64> = table.values().next().map(|it| it.keys().copied().collect()).unwrap_or_default();
    let heads: Vec<String> = sizes.iter().map(|it| format!("{it} targets")).collect();
    println!(
        "\n## Decision: nanoseconds, p50 / p99, {} changed rows before each, {} build\n",
        seen["deltas_per_decision"],
        profile(binaries)
    );
    println!("| strategy | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len()));
    for ((kind, strategy), times) in &table {
        let times: Vec<&str> = sizes.iter().map(|it| times.get(it).map_or("–", String::as_str)).collect();
        println!("| `{strategy}`, {kind} | {} |", times.join(" | "));
    }
    println!(
        "\nThe floor is `baseline_rr`: it takes the next row that serves, so what it costs is the table's updates, the place taken and the clock."
    );
    println!("Raw lines: {}", keep("decision", rows)?.display());
    Ok(())
}
