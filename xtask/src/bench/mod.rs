//! `cargo xtask bench`: first numbers, each beside a named peer or a physical floor in the same run.
//!
//! Numbers are for reading by people: on a shared machine compare only ratios within one run. Every part measures what is
//! shipped, prints a table that can be pasted and what limits it, and keeps its raw lines under the target directory in
//! `bench/`.

mod agent;
mod bootstrap;
mod daemons;
mod decision;
mod peers;
mod process;
mod raft;
mod router;
mod top;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell;

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Parts to measure; when none is named: router, decision, raft and top
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rounds of the router's comparison; peers take turns in each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each measurement [default: 2 of the router, 4 of raft, 20 of top and daemons, 60 of agents]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// Profile that is built and measured; numbers to publish are of what is shipped
    #[arg(long, default_value = shell::SHIPPED)]
    profile: String,
    /// Hosts of the bootstrap's comparison
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100))]
    hosts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// CPU per request, streams and time to first event of mesh-routerd beside HAProxy and nginx
    Router,
    /// Time of one routing decision, native and WASM, at 16, 128 and 512 targets
    Decision,
    /// Committed writes a second and fail-over of three coordinators, beside the disk's own syncs
    Raft,
    /// Frames of `mesh top` over ten thousand nodes beside the library's table, and its memory and CPU when idle
    Top,
    /// Wall and controller CPU of `mesh bootstrap` beside plain ssh, ssh with scp, and Ansible, on the test bed (root)
    Bootstrap,
    /// Memory and CPU of every mesh daemon that runs on this machine now
    Daemons,
    /// Memory and CPU of agents beside node_exporter, both scraped once a second
    Agent,
}

/// Measures the parts asked for, one after the other.
pub(crate) fn run(args: &Args) -> Result<()> {
    let parts =
        if args.parts.is_empty() { &[Part::Router, Part::Decision, Part::Raft, Part::Top][..] } else { &args.parts };
    let seconds = |usual| args.seconds.unwrap_or(usual);
    for part in parts {
        match part {
            Part::Router => router::run(&built(args)?, args.rounds, seconds(2))?,
            Part::Decision => decision::run(&built(args)?)?,
            Part::Raft => raft::run(&built(args)?, seconds(4))?,
            Part::Top => top::run(&built(args)?, seconds(20))?,
            Part::Bootstrap => bootstrap::run(args.rounds, args.hosts)?,
            Part::Daemons => daemons::run(seconds(20))?,
            Part::Agent => agent::run(seconds(60))?,
        }
    }
    Ok(())
}

/// Builds what is measured, and gives the directory of its binaries.
fn built(args: &Args) -> Result<PathBuf> {
    shell::build_all(&args.profile)
}

/// The profile that a directory of binaries is named after.
fn profile(binaries: &Path) -> String {
    binaries.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Keeps raw lines of a part, and gives the file's path.
fn keep(part: &str, lines: &[Value]) -> Result<PathBuf> {
    let folder = shell::target_dir("bench");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let path = folder.join(format!("{part}.jsonl"));
    let mut file = fs::File::create(&path).with_context(|| format!("create {}", path.display()))?;
    for line in lines {
        writeln!(file, "{line}").context("write the raw lines")?;
    }
    Ok(path)
}

/// A cell of a table; what is not known is a dash.
fn cell(it: &Value) -> String {
    match it.as_f64().filter(|_| it.is_f64()) {
        Some(number) if number.fract() == 0.0 => format!("{number:.0}"),
        Some(number) => format!("{number:.3}"),
        None if it.is_null() => "–".to_owned(),
        None => it.to_string().trim_matches('"').to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds and KiB of one process fit a double exactly")]
fn as_f64(value: u64) -> f64 {
    value as f64
}
