//! Supervisors of local nodes: whether they run, and how they are stopped.

use std::{
    fs::File,
    io,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use tokio::time::sleep;

use super::{files::STOP_DEADLINE_S, plan::Paths};
use crate::{Exit, Failure, Result};

/// Three processes, each with its own deadline, and a moment for the supervisor itself.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(3 * STOP_DEADLINE_S + 3);

/// The process that holds a pid file; none when nobody does, whatever number is in it.
///
/// A supervisor holds a lock on its pid file as long as it lives: a number that was reused by another process can
/// never be taken for it.
pub(crate) fn running(pid_file: &Path) -> io::Result<Option<Pid>> {
    let end = Instant::now() + Duration::from_secs(1);
    loop {
        let file = match File::open(pid_file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => {}
            Err(error) => return Err(error.into()),
        }
        let pid = std::fs::read_to_string(pid_file).unwrap_or_default().trim().parse().ok().and_then(Pid::from_raw);
        // Between taking the lock and writing the number there is a moment.
        if pid.is_some() || Instant::now() >= end {
            return Ok(pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the supervisor of a node runs.
pub(crate) fn is_running(paths: &Paths) -> bool {
    running(&paths.pid_file()).is_ok_and(|it| it.is_some())
}

/// Asks supervisors to stop with all of their processes, and waits until they are gone.
///
/// One that does not stop in time is killed: its processes die with it.
pub(crate) async fn stop(nodes: &[Paths]) -> Result<()> {
    let mut open = Vec::new();
    for paths in nodes {
        let pid_file = paths.pid_file();
        let unreadable = |error: io::Error| {
            Failure::new(Exit::Failed, "cannot read a pid file").at(pid_file.display().to_string()).why(error)
        };
        if let Some(pid) = running(&pid_file).map_err(unreadable)? {
            send(pid, Signal::TERM);
            // A stopped supervisor (SIGSTOP) would never see the request.
            send(pid, Signal::CONT);
            open.push((paths, pid));
        }
    }
    let mut end = Instant::now() + STOP_LIMIT;
    let mut killed = false;
    loop {
        open.retain(|(paths, pid)| running(&paths.pid_file()).is_ok_and(|it| it == Some(*pid)));
        let Some((paths, _)) = open.first() else { return Ok(()) };
        if Instant::now() >= end {
            if killed {
                return Err(Failure::new(Exit::Failed, "a supervisor cannot be stopped")
                    .at(paths.pid_file().display().to_string()));
            }
            open.iter().for_each(|(_, pid)| send(*pid, Signal::KILL));
            (killed, end) = (true, Instant::now() + Duration::from_secs(5));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Sends a signal; a process that ended meanwhile has what was wanted.
fn send(pid: Pid, signal: Signal) {
    let _ = kill_process(pid, signal);
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_the_holder_of_the_lock_runs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("supervise.pid");
        assert_eq!(running(&path).unwrap(), None);
        // A number that belongs to a live process proves nothing.
        std::fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        assert_eq!(running(&path).unwrap(), None);
        let held = File::open(&path).unwrap();
        flock(&held, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert_eq!(running(&path).unwrap(), Some(rustix::process::getpid()));
        drop(held);
        assert_eq!(running(&path).unwrap(), None);
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_end_and_leaves_strangers_alone() {
        let dir = tempfile::tempdir().unwrap();
        let name = mesh_core::id::NodeName::new("n").unwrap();
        let paths = Paths::of(dir.path(), &name);
        std::fs::create_dir_all(paths.run()).unwrap();
        let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
        std::fs::write(paths.pid_file(), format!("{}\n", stranger.id())).unwrap();
        stop(std::slice::from_ref(&paths)).await.unwrap();
        assert!(stranger.try_wait().unwrap().is_none(), "a stale number is nobody's pid");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
