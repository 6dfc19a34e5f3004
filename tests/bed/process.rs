//! Processes as the machine that runs the bed sees them: those of a host are found by their process namespace.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process, told from a later one that has the same id by when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id outside the bed.
    pub pid: i32,
    /// When it started, in clock ticks since boot.
    start: u64,
}

impl Process {
    /// The process that has this id now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in brackets, which may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let alive = !matches!(*fields.first()?, "Z" | "X");
        let start = fields.get(19)?.parse().ok()?;
        alive.then_some(Self { pid, start })
    }

    /// This process.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::of(rustix::process::getpid().as_raw_nonzero().get())
    }

    /// Whether it still runs.
    #[must_use]
    pub fn alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// A path as the process sees it.
    #[must_use]
    pub fn root(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid)).join(path.trim_start_matches('/'))
    }

    /// Sends it a signal; a process that is gone has no use for one.
    pub fn signal(&self, signal: Signal) {
        if let (true, Some(pid)) = (self.alive(), Pid::from_raw(self.pid)) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Kills it and waits until it is gone.
    ///
    /// # Errors
    /// When it is still there after ten seconds.
    pub fn end(&self) -> Result<()> {
        self.signal(Signal::KILL);
        let gone = soon(Duration::from_secs(10), || (!self.alive()).then_some(()));
        ensure!(gone.is_some(), "process {} does not end", self.pid);
        Ok(())
    }

    /// The first process of the process namespace that this one, or a child of it, or theirs, has made.
    #[must_use]
    pub(super) fn machine(&self) -> Option<Self> {
        let own = fs::read_link(format!("/proc/{}/ns/pid", self.pid)).ok()?;
        let mut parents: Vec<(i32, i32)> = ids().filter_map(|pid| Some((parent(pid)?, pid))).collect();
        parents.sort_unstable();
        let mut pid = self.pid;
        // A handful of generations at most: sh, systemd-nspawn, systemd.
        for _ in 0..4 {
            pid = parents.iter().find(|(of, _)| *of == pid)?.1;
            if fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|it| it != own) {
                return Self::of(pid);
            }
        }
        None
    }

    /// Everything that runs in the process namespace of this process, itself left out.
    #[must_use]
    pub fn company(&self) -> Vec<Running> {
        let Ok(namespace) = fs::read_link(format!("/proc/{}/ns/pid", self.pid)) else { return Vec::new() };
        let others = ids().filter(|it| *it != self.pid);
        others
            .filter(|pid| fs::read_link(format!("/proc/{pid}/ns/pid")).is_ok_and(|it| it == namespace))
            .filter_map(|pid| {
                let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
                let program = program.file_name()?.to_string_lossy().trim_end_matches(" (deleted)").to_owned();
                let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
                let words = words.split(|it| *it == 0).skip(1).map(String::from_utf8_lossy);
                let command = std::iter::once(program.as_str().into()).chain(words).collect::<Vec<_>>().join(" ");
                Some(Running { process: Self::of(pid)?, program, command: command.trim_end().to_owned() })
            })
            .collect()
    }
}

/// A process of a host.
#[derive(Debug, Clone)]
pub struct Running {
    /// Which.
    pub process: Process,
    /// The name of the file that it executes.
    pub program: String,
    /// That name and the arguments.
    pub command: String,
}

impl Running {
    /// Whether its command begins with these words: `sshd`, `mesh-agentd run`.
    #[must_use]
    pub fn is(&self, words: &str) -> bool {
        self.command.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }
}

fn ids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|it| it.file_name().to_str()?.parse().ok())
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Asks every ten milliseconds until there is an answer, for at most `limit`.
pub(super) fn soon<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = std::time::Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if start.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
