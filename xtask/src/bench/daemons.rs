//! Memory and CPU of the mesh daemons that run on this machine, as they are now.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Result, ensure};

use serde_json::json;

use super::{as_f64, keep, process};

const DAEMONS: [&str; 3] = ["mesh-agentd", "mesh-routerd", "mesh-standin"];

/// One daemon at the start of the measurement.
struct Daemon {
    id: u32,
    program: &'static str,
    /// Its last argument, which tells one node's daemon from another's.
    argument: String,
    cpu_us: u64,
}

/// Prints each daemon's memory, and the CPU it takes over `seconds`.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(seconds: u32) -> Result<()> {
    let daemons: Vec<Daemon> = process::all().into_iter().filter_map(daemon).collect();
    ensure!(!daemons.is_empty(), "no mesh daemon runs on this machine: type `mesh up` first");
    thread::sleep(Duration::from_secs(seconds.into()));
    println!("\n## Daemons, over {seconds} s; idle only if nobody sent requests meanwhile\n");
    println!(
        "| daemon | pid | RSS MiB | PSS MiB | anonymous MiB | CPU % of one core | last argument |\n|---|---|---|---|---|---|---|"
    );
    let mut lines = Vec::new();
    for daemon in daemons {
        let Some(process::Memory { rss, pss, anonymous }) = process::memory(daemon.id) else { continue };
        let cpu_us = process::cpu_us(daemon.id).saturating_sub(daemon.cpu_us);
        let percent = as_f64(cpu_us) / f64::from(seconds) / 10_000.0;
        let Daemon { id, program, argument, .. } = daemon;
        println!("| {program} | {id} | {rss:.1} | {pss:.1} | {anonymous:.1} | {percent:.2} | {argument} |");
        lines.push(json!({
            "daemon": program, "rss_mib": rss, "pss_mib": pss, "anonymous_mib": anonymous, "cpu_percent": percent, "argument": argument,
        }));
    }
    println!(
        "\nThe floor is the supervisor, the same executable doing nothing. PSS counts memory that several processes share \
         once, RSS also pages of the executable; binaries of the mesh profile are larger than shipped ones."
    );
    println!("Raw lines: {}", keep("daemons", &lines)?.display());
    Ok(())
}

/// Returns the process as a daemon, if it is one.
fn daemon(id: u32) -> Option<Daemon> {
    let executable = fs::read_link(format!("/proc/{id}/exe")).ok()?;
    // A replaced binary shows as "NAME (deleted)".
    let name = executable.file_name()?.to_str()?.split(' ').next()?.to_owned();
    let program = DAEMONS.into_iter().find(|daemon| *daemon == name)?;
    let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let last = line.split(|byte| *byte == 0).rfind(|argument| !argument.is_empty())?;
    let argument = String::from_utf8_lossy(last).into_owned();
    let argument = Path::new(&argument).strip_prefix("/").map_or(argument.clone(), |p| format!("/{}", p.display()));
    Some(Daemon { id, program, argument, cpu_us: process::cpu_us(id) })
}
