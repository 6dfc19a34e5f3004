//! Agents beside node_exporter: memory and CPU of both while both are scraped once a second, in the same run.

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use serde_json::json;

use super::{as_f64, keep, peers, process};
use crate::shell;

/// The names under which the exporter is installed: Debian's, and its authors'.
const EXPORTERS: [&str; 2] = ["prometheus-node-exporter", "node_exporter"];
const SCRAPE_EVERY: Duration = Duration::from_secs(1);
/// What an agent promises: memory in MiB, and CPU in percent of one core.
const BARS: (f64, f64) = (40.0, 1.0);

/// One scraped process.
struct Subject {
    name: String,
    id: u32,
    port: u16,
    cpu_us: u64,
    page_bytes: usize,
}

/// Scrapes every agent that runs here and the exporter once a second for so long, and prints what each cost.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(seconds: u32) -> Result<()> {
    let mut subjects: Vec<Subject> = process::all().into_iter().filter_map(agent).collect();
    ensure!(!subjects.is_empty(), "no agent runs on this machine: type `mesh up` first");
    let folder = tempfile::tempdir().context("make a scratch directory")?;
    let exporter = EXPORTERS.into_iter().find(|it| shell::answers(it, "--version"));
    // Ended when this function is left.
    let mut started = None;
    if let Some(program) = exporter {
        let port = peers::free_port()?;
        let mut command = Command::new(program);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let group = process::Group::start(&mut command, &folder.path().join("exporter.log"))?;
        subjects.push(Subject { name: program.to_owned(), id: group.id(), port, cpu_us: 0, page_bytes: 0 });
        started = Some(group);
    }
    for subject in &mut subjects {
        subject.page_bytes = until_scraped(subject)?;
    }
    for subject in &mut subjects {
        subject.cpu_us = process::cpu_us(subject.id);
    }
    let begun = Instant::now();
    for round in 1..=seconds {
        thread::sleep((SCRAPE_EVERY * round).saturating_sub(begun.elapsed()));
        for subject in &subjects {
            peers::get(subject.port, "/metrics").with_context(|| format!("scrape {}", subject.name))?;
        }
    }
    let elapsed_us = as_f64(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
    let cost = |it: &Subject| -> Option<(process::Memory, f64)> {
        let cpu_us = process::cpu_us(it.id).saturating_sub(it.cpu_us);
        Some((process::memory(it.id)?, as_f64(cpu_us) / elapsed_us * 100.0))
    };
    let peer = started.as_ref().and_then(|_| cost(subjects.last()?));
    println!("\n## Agents beside node_exporter: {seconds} s, each scraped once a second\n");
    println!(
        "| process | RSS MiB (bar {}) | of it anonymous MiB | CPU % of one core (bar {}) | page bytes | RSS to the exporter's | CPU to the exporter's |",
        BARS.0, BARS.1
    );
    println!("|---|---|---|---|---|---|---|");
    let mut lines = Vec::new();
    for subject in &subjects {
        let Some((process::Memory { rss, anonymous, .. }, percent)) = cost(subject) else { continue };
        let ratio = |own: f64, of: Option<f64>| {
            of.filter(|it| *it > 0.0).map_or_else(|| "–".to_owned(), |it| format!("{:.2} x", own / it))
        };
        let (rss_ratio, cpu_ratio) = (ratio(rss, peer.map(|it| it.0.rss)), ratio(percent, peer.map(|it| it.1)));
        let Subject { name, page_bytes, .. } = subject;
        println!("| {name} | {rss:.1} | {anonymous:.1} | {percent:.2} | {page_bytes} | {rss_ratio} | {cpu_ratio} |");
        lines.push(json!({
            "process": name, "rss_mib": rss, "anonymous_mib": anonymous, "cpu_percent": percent, "page_bytes": page_bytes,
        }));
    }
    if started.is_none() {
        println!("\nNo ratio: node_exporter is not installed; `apt-get install prometheus-node-exporter`, then again.");
    }
    println!("\nAn agent also gossips, streams and holds desired state; coordinators agree by raft besides.");
    println!("Raw lines: {}", keep("agent", &lines)?.display());
    Ok(())
}

/// The first page, as soon as there is one; its size.
fn until_scraped(subject: &Subject) -> Result<usize> {
    let begun = Instant::now();
    loop {
        match peers::get(subject.port, "/metrics") {
            Ok(page) => return Ok(page.len()),
            Err(error) if begun.elapsed() > Duration::from_secs(5) => {
                return Err(error).with_context(|| format!("{} is not scraped", subject.name));
            }
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The process as an agent with admin pages, if it is one: its configuration is its last argument.
fn agent(id: u32) -> Option<Subject> {
    let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .map(|it| String::from_utf8_lossy(it).into_owned())
        .filter(|it| !it.is_empty())
        .collect();
    if !words.first()?.ends_with("mesh-agentd") {
        return None;
    }
    let config = fs::read_to_string(words.last()?).ok()?;
    let value = |name: &str| {
        let line = config.lines().find_map(|it| it.strip_prefix(name)?.trim_start().strip_prefix('='))?;
        Some(line.trim().trim_matches('"').to_owned())
    };
    let port = value("admin")?.rsplit(':').next()?.parse().ok()?;
    Some(Subject { name: format!("agent {}", value("node")?), id, port, cpu_us: 0, page_bytes: 0 })
}
