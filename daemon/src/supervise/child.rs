//! One supervised process: started, watched, restarted with back-off, stopped.

use std::{io, path::PathBuf, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    config::{Process, SuperviseConfig},
    log,
};

const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// A process that ran this long has recovered: the next restart is quick again.
const STEADY: Duration = Duration::from_secs(10);

/// Owns one process.
pub(super) struct Keeper {
    process: Process,
    pid_file: PathBuf,
    stop_deadline: Duration,
}

impl Keeper {
    pub(super) fn new(process: Process, config: &SuperviseConfig) -> Self {
        let pid_file = config.run_dir.join(format!("{}.pid", process.name));
        Self { process, pid_file, stop_deadline: Duration::from_secs(config.stop_deadline_s) }
    }

    /// Keeps the process running until `stop`, then stops it; tells `started` after the first try.
    pub(super) async fn run(self, stop: CancellationToken, started: watch::Sender<bool>) {
        let mut backoff = BACKOFF_FIRST;
        while !stop.is_cancelled() {
            let begun = Instant::now();
            match self.start() {
                Ok(mut child) => {
                    started.send_replace(true);
                    let Some(ended) = stop.run_until_cancelled(child.wait()).await else {
                        self.stop(child).await;
                        break;
                    };
                    let _ = std::fs::remove_file(&self.pid_file);
                    if begun.elapsed() >= STEADY {
                        backoff = BACKOFF_FIRST;
                    }
                    let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                    tracing::warn!(process = %self.process.name, %how, restart_in_ms = backoff.as_millis(), "process ended");
                }
                Err(error) => {
                    tracing::error!(process = %self.process.name, %error, retry_in_ms = backoff.as_millis(), "cannot start");
                    started.send_replace(true);
                }
            }
            if stop.run_until_cancelled(sleep(backoff)).await.is_none() {
                break;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    fn start(&self) -> io::Result<Child> {
        let log = log::open(&self.process.log)?;
        let (program, args) = self.process.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(args).envs(&self.process.env).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        // Its own group: a terminal's Ctrl-C does not reach it, and its own children are stopped with it.
        command.process_group(0);
        die_with_parent(&mut command);
        let child = command.spawn()?;
        if let Some(pid) = child.id() {
            std::fs::write(&self.pid_file, format!("{pid}\n"))?;
            tracing::info!(process = %self.process.name, pid, "started");
        }
        Ok(child)
    }

    async fn stop(&self, mut child: Child) {
        let group = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let send = |signal| group.map(|group| kill_process_group(group, signal));
        send(Signal::TERM);
        // A stopped process (SIGSTOP) would never see the request.
        send(Signal::CONT);
        let ended = timeout(self.stop_deadline, child.wait()).await;
        if ended.is_err() {
            tracing::warn!(process = %self.process.name, "did not stop in time: killed");
        }
        // Also after an orderly end: what it started itself goes with it.
        send(Signal::KILL);
        if ended.is_err() {
            let _ = child.wait().await;
        }
        let _ = std::fs::remove_file(&self.pid_file);
        tracing::info!(process = %self.process.name, "stopped");
    }
}

/// Has the kernel kill the process when the thread that starts it ends, so that a killed supervisor leaves no orphans.
#[expect(unsafe_code, reason = "there is no safe way to act between fork and exec")]
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: the closure runs between fork and exec and makes only system calls that are async-signal-safe: it
    // neither allocates nor takes a lock.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the request was made.
            if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        });
    }
}
