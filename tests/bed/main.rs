//! `mesh-bed`: hosts to try mesh on by hand, as the tests have them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]

use std::{
    process::{ExitCode, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use mesh_tests::bed::{Bed, BedSpec, systemd_root};

/// Raises hosts on this machine and takes them away again.
#[derive(Debug, Parser)]
#[command(name = "mesh-bed", bin_name = "cargo xtask bed")]
struct Args {
    /// Which bed, where there are several.
    #[arg(long, global = true, default_value = "bed")]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Raises hosts, and says how to reach them.
    Up {
        /// How many.
        #[arg(default_value_t = 5)]
        hosts: usize,
        /// The size of each host's disk in MiB; what is used of it is memory.
        #[arg(long, default_value_t = 4096)]
        disk_mib: u32,
        /// Machines with systemd, for which a root file system is made first (3 minutes, once).
        #[arg(long)]
        systemd: bool,
        /// Runs a simulated engine on every host with the role gpu.
        #[arg(long)]
        engines: bool,
        /// Stays, and the hosts go when this ends, however it ends.
        #[arg(long)]
        hold: bool,
    },
    /// Says how the hosts are reached.
    Status,
    /// Runs a script on a host as root, not over SSH; without one, a shell.
    Exec {
        /// Which host.
        host: String,
        /// The script.
        script: Option<String>,
    },
    /// Loses what two hosts send each other; without a second one, all that the first sends and is sent.
    Cut {
        /// The host that sends.
        host: String,
        /// The host that is sent to.
        other: Option<String>,
        /// Loses nothing in the other direction.
        #[arg(long, requires = "other")]
        one_way: bool,
    },
    /// Repairs every link.
    Heal,
    /// Cuts a host's power and boots it again.
    Reboot {
        /// Which host.
        host: String,
    },
    /// Gives a host a new disk: another host key under the same name.
    Wipe {
        /// Which host.
        host: String,
    },
    /// Takes the hosts away, with everything on them.
    Down,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    let plain = args.name.chars().all(|it| it.is_ascii_alphanumeric() || it == '-');
    ensure!(plain && !args.name.is_empty(), "a bed's name has letters, digits and dashes: `{}`", args.name);
    ensure!(!args.name.starts_with("test-"), "the names that begin with test- are for tests: `{}`", args.name);
    if let Command::Up { hosts, disk_mib, systemd, engines, hold } = args.command {
        let systemd = systemd.then(systemd_root).transpose()?;
        let lasting = (!hold).then_some(args.name);
        let spec = BedSpec { hosts, disk_mib, systemd, lasting, ..BedSpec::default() };
        return up(spec, engines);
    }
    let bed = Bed::open(&args.name)?;
    let find = |name: &str| {
        bed.hosts()
            .iter()
            .find(|it| it.name() == name)
            .with_context(|| format!("no host {name}: h1 to h{}", bed.hosts().len()))
    };
    match &args.command {
        Command::Up { .. } => {}
        Command::Status => status(&bed),
        Command::Exec { host, script } => {
            let script = script.as_deref().unwrap_or("exec bash -i");
            let status = find(host)?.command(script).stdin(Stdio::inherit()).status().context("enter the host")?;
            ensure!(status.success(), "the script: {status}");
        }
        Command::Cut { host, other: Some(other), one_way: true } => {
            bed.cut_one_way(find(host)?.name(), find(other)?.name())?;
        }
        Command::Cut { host, other: Some(other), .. } => bed.cut(find(host)?.name(), find(other)?.name())?,
        Command::Cut { host, .. } => bed.cut_off(find(host)?.name())?,
        Command::Heal => bed.heal()?,
        Command::Reboot { host } => find(host)?.reboot()?,
        Command::Wipe { host } => {
            find(host)?.wipe()?;
            bed.trust()?;
        }
        Command::Down => {
            let count = bed.hosts().len();
            bed.down()?;
            println!("{count} hosts are gone.");
        }
    }
    Ok(())
}

/// Raises a bed and says what to do with it.
fn up(spec: BedSpec, engines: bool) -> Result<()> {
    let start = Instant::now();
    let (hosts, hold) = (spec.hosts, spec.lasting.is_none());
    let bed = Bed::with(spec)?;
    if engines {
        bed.start_engines()?;
    }
    let yaml = bed.hosts_yaml(|_| {})?;
    println!("{hosts} hosts are up after {} ms.\n", start.elapsed().as_millis());
    status(&bed);
    println!("\nNext, try:\n  mesh bootstrap {}", yaml.display());
    if hold {
        println!("\nThe hosts go when this ends.");
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).context("wait for the end of stdin")?;
    } else {
        println!("  cargo xtask bed down");
    }
    Ok(())
}

/// Who is there and how to get in.
fn status(bed: &Bed) {
    println!("{:<6} {:<14} {:<6} PROGRAMS", "HOST", "ADDRESS", "STATE");
    for host in bed.hosts() {
        let mut programs: Vec<String> = host.processes().into_iter().map(|it| it.program).collect();
        programs.sort();
        programs.dedup();
        let state = if host.init().is_some() { "up" } else { "off" };
        println!("{:<6} {:<14} {state:<6} {}", host.name(), host.address().to_string(), programs.join(" "));
    }
    let (key, known) = (bed.key(), bed.known_hosts());
    println!("\nusers       root, op (sudo asks for op-secret), opfree (sudo asks nothing), nosudo");
    println!("key         {}", key.display());
    println!("host keys   {}", known.display());
    println!("hosts.yaml  {}", bed.dir().join("hosts.yaml").display());
    if let Some(host) = bed.hosts().first() {
        println!(
            "log in      ssh -F none -i {} -o UserKnownHostsFile={} root@{}",
            key.display(),
            known.display(),
            host.address()
        );
    }
}
