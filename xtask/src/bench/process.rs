//! What processes cost, read from /proc, and how to end them.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::as_f64;

/// Runs a program that leads a process group of its own; dropping it ends the group.
pub(crate) struct Group {
    child: Child,
}

impl Group {
    /// Starts a program with its output in `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let output = fs::File::create(log).with_context(|| format!("create {}", log.display()))?;
        let errors = output.try_clone().context("share the log file")?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.process_group(0).stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        Ok(Self { child: child.with_context(|| format!("start {program}"))? })
    }

    /// Returns the id of the leader.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns whether the leader still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns the CPU time of all threads of the group so far, in microseconds.
    pub(crate) fn cpu_us(&self) -> u64 {
        members(self.child.id()).into_iter().map(cpu_us).sum()
    }

    fn signal(&self, name: &str) {
        // Fails only when the group has ended, which is what is wanted.
        let _ = Command::new("sh").args(["-c", &format!("kill -{name} -{}", self.child.id())]).output();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal("TERM");
        let asked = Instant::now();
        while self.runs() && asked.elapsed() < Duration::from_secs(3) {
            thread::sleep(Duration::from_millis(20));
        }
        self.signal("KILL");
        // Nothing is left to do with the status of a process that was killed.
        let _ = self.child.wait();
    }
}

/// Returns the ids of all processes.
pub(crate) fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let mut ids: Vec<u32> = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    ids
}

/// Returns the processes of a group: the third field after the name in `stat`.
fn members(group: u32) -> Vec<u32> {
    let group = group.to_string();
    let belongs = |id: &u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        fields.split_whitespace().nth(2) == Some(&group)
    };
    all().into_iter().filter(belongs).collect()
}

/// Returns the CPU time of a process in microseconds, from the scheduler's nanosecond counters of its threads.
pub(crate) fn cpu_us(id: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{id}/task")) else { return 0 };
    let nanoseconds = |thread: fs::DirEntry| -> Option<u64> {
        fs::read_to_string(thread.path().join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
    };
    threads.flatten().filter_map(nanoseconds).sum::<u64>() / 1000
}

/// A process's memory in MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Resident, the pages of its executable that were used included.
    pub(crate) rss: f64,
    /// The same with what several processes share counted once.
    pub(crate) pss: f64,
    /// Its own: neither of a file nor shared.
    pub(crate) anonymous: f64,
}

/// Returns a process's memory, `None` when it has ended or may not be read.
pub(crate) fn memory(id: u32) -> Option<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let mib = |name| {
        let kib = rollup.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next()?.parse().ok())?;
        Some(as_f64(kib) / 1024.0)
    };
    Some(Memory { rss: mib("Rss:")?, pss: mib("Pss:")?, anonymous: mib("Anonymous:")? })
}

/// Returns the load of the machine over the last minute.
pub(crate) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
