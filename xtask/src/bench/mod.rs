//! `cargo xtask bench`: first numbers, each beside a named peer or a physical floor in the same run.
//!
//! Numbers are for reading by people: on a shared machine compare only ratios within one run. Every part prints a table
//! and what limits it, and keeps its raw lines under the target directory in `bench/`.

mod agent;
mod bootstrap;
mod daemons;
mod decision;
mod peers;
mod process;
mod raft;
mod router;
mod top;

use anyhow::Result;

/// What to measure, and how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Parts to measure; when none is named: router, decision, raft and top
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Rounds of the router's comparison; peers take turns in each
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Profile whose build `top` measures; numbers to publish are of release
    #[arg(long, default_value = "release")]
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
    for part in parts {
        match part {
            Part::Router => router::run(args.rounds, args.seconds)?,
            Part::Decision => decision::run()?,
            Part::Raft => raft::run(args.seconds)?,
            Part::Top => top::run(&args.profile, args.seconds)?,
            Part::Bootstrap => bootstrap::run(args.rounds, args.hosts)?,
            Part::Daemons => daemons::run(args.seconds)?,
            Part::Agent => agent::run(args.seconds)?,
        }
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "microseconds and KiB of one process fit a double exactly")]
fn as_f64(value: u64) -> f64 {
    value as f64
}
