//! Committed writes and fail-over of three coordinators, beside the disk they stand on in the same run.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{cell, keep, profile};
use crate::shell;

/// How often the leader is killed.
const KILLS: &str = "10";

/// Runs agentd's own measurement on a directory of the target's disk.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(binaries: &Path, seconds: u32) -> Result<()> {
    let dir = tempfile::tempdir_in(binaries).context("make a directory to measure in")?;
    let mut command = Command::new(shell::example(binaries, "raft_bench"));
    command.arg("--dir").arg(dir.path()).args(["--secs", &seconds.to_string(), "--kills", KILLS]);
    let seen: Value = serde_json::from_str(&shell::output(&mut command)?).context("read what raft_bench measured")?;
    let (voters, bytes) = (&seen["voters"], &seen["spec_bytes"]);
    println!(
        "\n## Raft: {voters} voters, one process each, {bytes}-byte specs, one disk, {} build\n",
        profile(binaries)
    );
    println!("| what | a second | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|");
    for row in seen["writes"].as_array().into_iter().flatten() {
        let [clients, rate, p50, p99] = ["clients", "writes_per_s", "p50_ms", "p99_ms"].map(|it| cell(&row[it]));
        println!("| committed writes, clients: {clients} | {rate} | {p50} | {p99} | – |");
    }
    for (kind, rate) in seen["disk"]["fdatasyncs_per_s"].as_object().into_iter().flatten() {
        println!("| the floor: fdatasync of 4 KiB on the same disk, {kind} a file | {} | – | – | – |", cell(rate));
    }
    let fail_over = &seen["fail_over"];
    let [kills, p50, max] = ["kills", "p50_ms", "max_ms"].map(|it| cell(&fail_over[it]));
    println!("| no writes after kill -9 of the leader, {kills} kills | – | {p50} | – | {max} |");
    println!(
        "\nThe floor of a fail-over is the leader's lease of 600 ms and an election timeout of 300 to 600 ms behind it."
    );
    println!("Raw lines: {}", keep("raft", &[seen])?.display());
    Ok(())
}
