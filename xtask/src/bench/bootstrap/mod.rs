//! `mesh bootstrap` beside plain ssh, ssh with scp, and Ansible: hosts of the test bed, taking turns, same binaries.
//!
//! The peers do less: directories, the same binaries with their digests checked on the host, a configuration file and a
//! unit, one process started and looked for. Bootstrap does that and makes keys, signs certificates, forms a mesh and
//! verifies that it serves; what the way to the hosts itself costs shows a playbook that does no more than the peers.

mod jobs;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use self::jobs::{Bench, Job};
use super::process;
use crate::shell;

/// What one run of a job took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall_s: f64,
    /// User and system time of the controller: the job's process and all it waited for.
    cpu_s: f64,
}

/// What is looked at of a run.
type Field = fn(&Cost) -> f64;

/// Hosts that go when this is dropped.
struct Hosts {
    child: std::process::Child,
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // The bed goes when its stdin closes.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Measures every job on a new bed in each round and prints medians and ratios.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what the command is for")]
pub(crate) fn run(rounds: u32, hosts: u32) -> Result<()> {
    let (binaries, bundle) = binaries()?;
    let folder = shell::target_dir("bench").join("bootstrap");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let ansible = jobs::ansible(&folder)?;
    let record = folder.join("bootstrap.jsonl");
    let mut file = fs::File::create(&record).with_context(|| format!("create {}", record.display()))?;
    let mut costs: BTreeMap<Job, Vec<Cost>> = BTreeMap::new();
    for round in 0..rounds {
        let mut turns = Job::TURNS;
        turns.rotate_left(round as usize % Job::TURNS.len());
        for jobs in turns {
            // Every turn has hosts that nobody was on: what one has left running would slow the next.
            let (_hosts, contact) = raise(hosts)?;
            let bench = Bench::new(&folder, &binaries, bundle.as_deref(), &ansible, contact)?;
            for job in jobs {
                settle();
                eprintln!("bench: round {} of {rounds}, {}", round + 1, job.name());
                let cost = measure(&mut bench.command(*job), &folder.join(format!("{}.log", job.name())))
                    .with_context(|| format!("{}, round {}", job.name(), round + 1))?;
                let load = process::load_average();
                writeln!(
                    file,
                    "{}",
                    json!({"round": round, "job": job.name(), "wall_s": cost.wall_s, "cpu_s": cost.cpu_s, "load": load})
                )
                .context("write the record")?;
                costs.entry(*job).or_default().push(cost);
            }
        }
    }
    println!("\n## Bootstrap of {hosts} hosts: {rounds} rounds, medians (lowest to highest)\n\n{}", table(&costs));
    println!(
        "Binaries: {}. Controller and hosts share the {} cores of one machine: compare within this table. Raw: {}",
        if bundle.is_some() { "the signed bundle" } else { "the mesh profile, stripped" },
        std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        record.display()
    );
    Ok(())
}

/// The binaries to install: the bundle that `cargo xtask dist` made, else a stripped copy of the mesh profile's.
fn binaries() -> Result<(PathBuf, Option<PathBuf>)> {
    let bin = shell::build(shell::PROFILE)?;
    let bundle = crate::root().join("dist");
    if bundle.join("manifest.json").exists() {
        return Ok((bundle.join("bin"), Some(bundle)));
    }
    let to = shell::target_dir("bench").join("bin");
    fs::create_dir_all(&to).context("make a folder for stripped binaries")?;
    for name in ["mesh", "mesh-agentd", "mesh-routerd", "mesh-standin"] {
        shell::run(Command::new("strip").arg("-o").arg(to.join(name)).arg(bin.join(name)))?;
    }
    Ok((to, None))
}

/// Waits until the machine has nothing else to do, for at most so long: hosts that come up, and those of the turn before
/// that still go, are nobody's work.
fn settle() {
    let (rest, end) = (Duration::from_millis(500), Instant::now() + Duration::from_secs(20));
    let mut before = idle_share();
    while Instant::now() < end {
        std::thread::sleep(rest);
        let now = idle_share();
        let (idle, all) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        if idle * 100 >= all * 95 {
            return;
        }
        before = now;
    }
}

/// Ticks in which the machine was idle, and all ticks, from the first line of /proc/stat.
fn idle_share() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|it| it.parse().ok()).collect();
    (ticks.get(3).copied().unwrap_or(0), ticks.iter().sum())
}

/// Raises a bed that goes with its guard, and says how its hosts are reached.
fn raise(hosts: u32) -> Result<(Hosts, jobs::Contact)> {
    let program = shell::target_dir(shell::PROFILE).join("mesh-bed");
    let mut child = Command::new(&program)
        .args(["--name", "bench", "up", &hosts.to_string(), "--hold"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", program.display()))?;
    let out = child.stdout.take().context("the bed has no stdout")?;
    let guard = Hosts { child };
    let contact = jobs::Contact::read(out)?;
    ensure!(contact.addresses.len() == hosts as usize, "the bed has {} hosts", contact.addresses.len());
    Ok((guard, contact))
}

/// Runs a job under the shell's own clock, which counts the processes it waited for.
fn measure(job: &mut Command, log: &Path) -> Result<Cost> {
    let mut timed = Command::new("bash");
    timed.args(["-c", "TIMEFORMAT='mesh-bench %R %U %S'; time \"$@\" >\"$MESH_BENCH_LOG\" 2>&1", "bash"]);
    timed.arg(job.get_program()).args(job.get_args()).env("MESH_BENCH_LOG", log).stdin(Stdio::null());
    for (name, value) in job.get_envs() {
        if let Some(value) = value {
            timed.env(name, value);
        }
    }
    let output = timed.output().context("start bash")?;
    if !output.status.success() {
        let said = fs::read_to_string(log).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(15).collect();
        bail!("{}: {}", output.status, tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().rfind(|it| it.starts_with("mesh-bench ")).context("bash told no times")?;
    let numbers: Vec<f64> = line.split(' ').skip(1).map(|it| it.replace(',', ".").parse()).collect::<Result<_, _>>()?;
    let [wall_s, user_s, system_s] = numbers[..] else { bail!("bash told `{line}`") };
    Ok(Cost { wall_s, cpu_s: user_s + system_s })
}

fn table(costs: &BTreeMap<Job, Vec<Cost>>) -> String {
    let base = |field: Field| costs.get(&Job::Mesh).map(|it| median(it, field));
    let mut text = String::from(
        "| job | wall s | controller CPU s | wall: bootstrap / this | CPU: bootstrap / this |\n|---|---|---|---|---|\n",
    );
    for (job, runs) in costs {
        let ratio = |field: Field| base(field).map_or("-".into(), |it| format!("{:.2}", it / median(runs, field)));
        let (wall, cpu): (Field, Field) = (|it| it.wall_s, |it| it.cpu_s);
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            job.name(),
            cell(runs, wall),
            cell(runs, cpu),
            ratio(wall),
            ratio(cpu)
        ));
    }
    text
}

fn cell(runs: &[Cost], field: Field) -> String {
    let all = sorted(runs, field);
    format!("{:.2} ({:.2} to {:.2})", median(runs, field), all.first().unwrap_or(&0.0), all.last().unwrap_or(&0.0))
}

fn median(runs: &[Cost], field: Field) -> f64 {
    sorted(runs, field).get(runs.len() / 2).copied().unwrap_or(0.0)
}

fn sorted(runs: &[Cost], field: Field) -> Vec<f64> {
    let mut all: Vec<f64> = runs.iter().map(field).collect();
    all.sort_by(f64::total_cmp);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_timed_with_the_processes_it_waits_for() {
        let log = std::env::temp_dir().join(format!("mesh-bench-{}", std::process::id()));
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
        let cost = measure(Command::new("sh").args(["-c", &format!("sh -c '{script}'; echo said")]), &log).unwrap();
        assert!(cost.cpu_s > 0.0 && cost.wall_s >= cost.cpu_s * 0.5, "{cost:?}");
        assert_eq!(fs::read_to_string(&log).unwrap(), "said\n");
        let error = measure(Command::new("sh").args(["-c", "echo broken; exit 3"]), &log).unwrap_err();
        assert!(format!("{error}").contains("broken"), "{error}");
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn the_table_shows_medians_and_ratios() {
        let cost = |wall_s| Cost { wall_s, cpu_s: 1.0 };
        let costs =
            BTreeMap::from([(Job::Mesh, vec![cost(3.0), cost(1.0), cost(2.0)]), (Job::SshScp, vec![cost(4.0)])]);
        let text = table(&costs);
        assert!(
            text.contains("| mesh bootstrap | 2.00 (1.00 to 3.00) | 1.00 (1.00 to 1.00) | 1.00 | 1.00 |"),
            "{text}"
        );
        assert!(text.contains("| ssh and scp | 4.00 (4.00 to 4.00) | 1.00 (1.00 to 1.00) | 0.50 | 1.00 |"), "{text}");
    }
}
