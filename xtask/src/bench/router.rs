//! mesh-routerd beside HAProxy, nginx and no router at all: same load, same upstreams, taking turns.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    as_f64,
    peers::{self, Peer, Peers, Running},
    process,
};
use crate::shell;

/// One kind of load: its name, the arguments of the load program, and how the upstreams stream.
const TESTS: [(&str, &[&str], &str); 5] = [
    ("closed", &["--connections", "16"], "events=32&gap_ms=0"),
    ("rate", &["--connections", "32", "--rate", "1000"], "events=32&gap_ms=0"),
    ("big", &["--connections", "8", "--prompt-bytes", "16000"], "events=32&gap_ms=0"),
    ("sse", &["--connections", "8", "--mode", "sse"], "events=32&gap_ms=0"),
    ("paced", &["--connections", "4", "--mode", "sse"], "events=32&gap_ms=10"),
];

/// One column of the table: title, test, field of its measurement.
const COLUMNS: [(&str, &str, &str); 9] = [
    ("CPU µs a request, 16 connections", "closed", "cpu_us_request"),
    ("CPU µs a request at 1,000/s", "rate", "cpu_us_request"),
    ("p50 µs at 1,000/s", "rate", "latency_p50_us"),
    ("p99 µs at 1,000/s", "rate", "latency_p99_us"),
    ("CPU µs a 16 kB request", "big", "cpu_us_request"),
    ("CPU µs a stream of 34 events", "sse", "cpu_us_request"),
    ("events/s, 8 streams", "sse", "events_per_s"),
    ("first event p50 µs, paced", "paced", "first_p50_us"),
    ("first event p99 µs, paced", "paced", "first_p99_us"),
];

/// What one peer measured in each round, by test and field.
type Rows = BTreeMap<Peer, Vec<Value>>;

/// Serves fixed answers until dropped.
struct Upstream {
    child: Child,
    ports: Vec<u16>,
}

/// Measures in rounds and prints the table.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(crate) fn run(binaries: &Path, rounds: u32, seconds: u32) -> Result<()> {
    let versions = ["haproxy", "nginx"].map(|program| peers::version(program).unwrap_or_else(|e| format!("{e:#}")));
    let binaries = binaries.to_owned();
    let folder = shell::target_dir("bench");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let upstream = Upstream::start(&binaries)?;
    let bench = Peers { binaries, folder: folder.clone(), upstreams: upstream.ports.clone() };
    let record = folder.join("router.jsonl");
    let mut file = fs::File::create(&record).with_context(|| format!("create {}", record.display()))?;
    let mut rows = Rows::new();
    for round in 0..rounds {
        // Each round starts with another peer, so that none always runs on the coldest or the busiest machine.
        let mut order = Peer::ALL;
        order.rotate_left(round as usize % Peer::ALL.len());
        for peer in order {
            eprintln!("bench: round {} of {rounds}, {}", round + 1, peer.name());
            let row = measure(&bench, peer, seconds)?;
            let line = json!({"round": round, "peer": peer.name(), "load": process::load_average(), "tests": row});
            writeln!(file, "{line}").context("write the record")?;
            rows.entry(peer).or_default().push(row);
        }
    }
    println!("\n## Router: {rounds} rounds of {seconds} s, medians (lowest to highest)\n\n{}", table(&rows));
    let load = process::load_average().map_or_else(|| "unknown".to_owned(), |l| l.to_string());
    println!("{} · {} · {} cores · load of the last minute {load}", versions[0], versions[1], cores());
    println!(
        "Load, upstreams and router share the cores of one machine and talk over loopback: compare peers within this \
         table, not with other machines. Errors: {}. Raw lines: {}",
        errors(&rows),
        record.display()
    );
    Ok(())
}

/// Runs all tests against one peer.
fn measure(bench: &Peers, peer: Peer, seconds: u32) -> Result<Value> {
    let running = bench.start(peer)?;
    let port = *bench.upstreams.first().context("no upstream")?;
    load(bench, &running, &["--connections", "8"], 1)?;
    let mut row = serde_json::Map::new();
    for (name, arguments, streaming) in TESTS {
        peers::get(port, &format!("/set?{streaming}"))?;
        row.insert(name.to_owned(), load(bench, &running, arguments, seconds)?);
    }
    Ok(row.into())
}

/// Runs the load program once and adds what the router spent.
fn load(bench: &Peers, running: &Running, arguments: &[&str], seconds: u32) -> Result<Value> {
    let before = running.group.as_ref().map(process::Group::cpu_us);
    let mut command = Command::new(shell::example(&bench.binaries, "bench_load"));
    command.arg(running.address.to_string()).args(arguments).args(["--seconds", &seconds.to_string()]);
    let mut seen: Value = serde_json::from_str(&shell::output(&mut command)?).context("read what the load measured")?;
    let requests = seen["requests"].as_f64().unwrap_or(0.0);
    ensure!(requests > 0.0, "no request came through: {seen}");
    if let (Some(before), Some(group)) = (before, &running.group) {
        let spent_us = group.cpu_us().saturating_sub(before);
        seen["cpu_us_request"] = json!(as_f64(spent_us) / requests);
    }
    Ok(seen)
}

impl Upstream {
    fn start(binaries: &Path) -> Result<Self> {
        let mut command = Command::new(shell::example(binaries, "bench_upstream"));
        let child = command.args(["--ports", "4"]).stdout(Stdio::piped()).spawn().context("start the upstream")?;
        let mut upstream = Self { child, ports: Vec::new() };
        let stdout = upstream.child.stdout.take().context("the upstream's output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("read the upstream's ports")?;
        let line: Value = serde_json::from_str(&line).context("read the upstream's ports")?;
        upstream.ports = serde_json::from_value(line["ports"].clone()).context("read the upstream's ports")?;
        Ok(upstream)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the table in Markdown, one row a peer.
fn table(rows: &Rows) -> String {
    let titles: Vec<&str> = COLUMNS.iter().map(|(title, ..)| *title).collect();
    let mut text = format!("| peer | {} |\n|---{}|\n", titles.join(" | "), "|---".repeat(COLUMNS.len()));
    for (peer, rounds) in rows {
        let cells: Vec<String> = COLUMNS.iter().map(|(_, test, field)| cell(rounds, test, field)).collect();
        text.push_str(&format!("| {} | {} |\n", peer.name(), cells.join(" | ")));
    }
    text
}

/// Returns "median (lowest to highest)" of one field over the rounds, a dash where nothing was measured.
fn cell(rounds: &[Value], test: &str, field: &str) -> String {
    let mut values: Vec<f64> = rounds.iter().filter_map(|row| row[test][field].as_f64()).collect();
    values.sort_by(f64::total_cmp);
    let (Some(lowest), Some(highest)) = (values.first(), values.last()) else { return "–".into() };
    let median = values[values.len() / 2];
    let digits = if *highest < 1000.0 { 1 } else { 0 };
    format!("{median:.digits$} ({lowest:.digits$} to {highest:.digits$})")
}

fn errors(rows: &Rows) -> u64 {
    let tests = rows.values().flatten().filter_map(Value::as_object).flat_map(serde_json::Map::values);
    tests.filter_map(|test| test["errors"].as_u64()).sum()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[Value], expected: &str) {
        let rounds: Vec<Value> = values.iter().map(|v| json!({"rate": {"p50": v}})).collect();
        assert_eq!(cell(&rounds, "rate", "p50"), expected);
    }

    #[test]
    fn cells_show_median_and_range_or_a_dash() {
        check(&[json!(3.04), json!(1), json!(2)], "2.0 (1.0 to 3.0)");
        check(&[json!(1200), json!(900), json!(1500)], "1200 (900 to 1500)");
        check(&[json!(null)], "–");
        check(&[], "–");
    }
}
