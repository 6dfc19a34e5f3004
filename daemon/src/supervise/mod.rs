//! Keeps the processes of one node running where there is no systemd: the agent, the router and the engine are siblings.

mod child;
mod config;
mod log;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::config::{Process, SuperviseConfig};
use crate::{
    Exit, Shutdown,
    config::load,
    pid::{PidError, PidFile},
};

/// Logs are looked at this often: whether one has grown beyond its bound.
const LOGS_EVERY: Duration = Duration::from_secs(5);

/// Runs the processes of a configuration file until SIGTERM or SIGINT, then stops them in reverse order.
///
/// It blocks and makes its own runtime on the calling thread, which must be the main thread: children are told to die
/// with the thread that started them. Call it before any other runtime exists.
#[must_use]
pub fn run(path: &Path) -> Exit {
    let config = match load::<SuperviseConfig>(path).and_then(|it| it.checked(path)) {
        Ok(config) => config,
        Err(error) => return refuse(&error, Exit::Config),
    };
    if let Err(error) = crate::log::init("info", crate::log::Format::Text) {
        return refuse(&error, Exit::Config);
    }
    if config.detach {
        // Refused only to one who leads a group already: then there is nothing to leave.
        let _ = rustix::process::setsid();
    }
    let _pid = match PidFile::take(&config.pid_file) {
        Ok(pid) => pid,
        Err(error @ PidError::Held { .. }) => return refuse(&error, Exit::Failed),
        Err(error @ PidError::Write { .. }) => return refuse(&error, Exit::LogIo),
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(supervise(config)),
        Err(error) => refuse(&error, Exit::Failed),
    }
}

#[expect(clippy::print_stderr, reason = "logs may not be up yet")]
fn refuse(error: &dyn std::fmt::Display, exit: Exit) -> Exit {
    eprintln!("error: {error}");
    exit
}

async fn supervise(config: SuperviseConfig) -> Exit {
    let shutdown = match Shutdown::on_signals() {
        Ok(shutdown) => shutdown,
        Err(error) => return refuse(&error, Exit::Failed),
    };
    tracing::info!(node = %config.name, processes = config.process.len(), "supervising");
    let mut keepers = Vec::new();
    for process in &config.process {
        // Each keeper stops by its own token, so that the order of stopping is ours.
        let stop = CancellationToken::new();
        let (started, mut up) = watch::channel(false);
        let keeper = child::Keeper::new(process.clone(), &config);
        let task = tokio::spawn(keeper.run(stop.clone(), started));
        // The next one starts when this one was started once, or gave its first error.
        let _ = up.wait_for(|it| *it).await;
        keepers.push((process.name.clone(), stop, task));
    }
    let bounds = tokio::spawn(bound(config.process.iter().map(|it| it.log.clone()).chain(log::own()).collect()));
    shutdown.begun().await;
    bounds.abort();
    for (name, stop, task) in keepers.into_iter().rev() {
        stop.cancel();
        if task.await.is_err() {
            tracing::error!(process = %name, "its keeper panicked");
        }
    }
    tracing::info!("all processes ended");
    Exit::Done
}

/// Keeps logs within their bound, off the thread that starts processes.
async fn bound(logs: Vec<PathBuf>) {
    loop {
        tokio::time::sleep(LOGS_EVERY).await;
        let logs = logs.clone();
        // A look that failed has said why; one that panicked is tried again.
        let _ = tokio::task::spawn_blocking(move || logs.iter().for_each(|it| log::bound(it))).await;
    }
}
