//! What a node measures of itself: host facts, GPUs, engines. One owner folds the readings of its helpers into one
//! sample; nothing is invented, and what is not reported stays unknown.

mod engine;
mod gpu_metrics;
mod host;
mod metrics;
mod nvml;
mod prom;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, mpsc as std_mpsc},
    time::Duration,
};

use mesh_core::{
    id::{NodeName, ObjectName},
    kind::EngineSpec,
    status::{GpuSample, HostSample, Probe},
    store::Store,
};
use mesh_daemon::Tasks;
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};
use tokio_util::sync::DropGuard;

pub use self::{
    engine::{EngineReading, EngineTiming},
    metrics::TelemetryMetrics,
    nvml::NvmlTiming,
};
use crate::observe::roster::Roster;

/// Readings on their way to the owner: a few rounds of all helpers of a large node, so that none waits for another.
const READINGS_MAX: usize = 256;

/// How often what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelemetryTiming {
    /// Engines.
    pub engine: EngineTiming,
    /// GPUs.
    pub nvml: NvmlTiming,
    /// The host.
    pub host: Duration,
}

impl Default for TelemetryTiming {
    fn default() -> Self {
        Self { engine: EngineTiming::default(), nvml: NvmlTiming::default(), host: Duration::from_secs(2) }
    }
}

/// What telemetry needs to know.
#[derive(Debug, Clone)]
pub struct TelemetryConfig {
    /// This node.
    pub node: NodeName,
    /// NVIDIA's management library, when it is not where the loader looks.
    pub nvml_library: Option<PathBuf>,
    /// How often what is read.
    pub timing: TelemetryTiming,
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The HTTP client of the engines cannot be made.
    #[error("cannot make the client that reads engines")]
    Client(#[source] reqwest::Error),
    /// The thread that reads GPUs cannot be started.
    #[error("cannot start the thread that reads GPUs")]
    Thread(#[source] std::io::Error),
}

/// All a node measured of itself lately.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalSample {
    /// The host.
    pub host: HostSample,
    /// The GPUs, or why they cannot be read.
    pub gpus: Probe<Vec<GpuSample>>,
    /// The declared engines that were looked at since they were declared, in the order of the declaration.
    pub engines: Vec<EngineReading>,
}

impl LocalSample {
    /// Whether both say the same, whenever it was read.
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.host, &self.gpus) == (&other.host, &other.gpus)
            && self.engines.iter().map(|it| &it.sample).eq(other.engines.iter().map(|it| &it.sample))
    }
}

impl Default for LocalSample {
    fn default() -> Self {
        Self { host: HostSample::default(), gpus: Probe::Unavailable("not read yet".to_owned()), engines: Vec::new() }
    }
}

/// Starts measuring; the engines are those that desired state declares for this node, at every moment.
///
/// # Errors
/// [`TelemetryError`] when a thread or the HTTP client cannot be had.
pub fn start(
    config: TelemetryConfig,
    store: watch::Receiver<Arc<Store>>,
    metrics: TelemetryMetrics,
    tasks: &Tasks,
) -> Result<watch::Receiver<Arc<LocalSample>>, TelemetryError> {
    let (tx, rx) = mpsc::channel(READINGS_MAX);
    let (sample, readers) = watch::channel(Arc::default());
    let client = engine::client(config.timing.engine).map_err(TelemetryError::Client)?;
    let stop_nvml = start_nvml(&config, tx.clone()).map_err(TelemetryError::Thread)?;
    tasks.spawn_until("telemetry-host", read_host(config.timing.host, tx.clone()));
    let owner = Owner {
        config,
        client,
        tasks: tasks.clone(),
        metrics,
        tx,
        epoch: 0,
        engines: Vec::new(),
        host: HostSample::default(),
        gpus: LocalSample::default().gpus,
        sample,
        _stop_nvml: stop_nvml,
    };
    tasks.spawn_until("telemetry", owner.run(store, rx));
    Ok(readers)
}

/// A reading on its way to the owner.
enum Reading {
    Host(HostSample),
    Gpus(Probe<Vec<GpuSample>>),
    /// Of the engine that was started as the so-many-eth.
    Engine(u64, EngineReading),
}

/// Starts the thread that reads GPUs; it ends when the sender that comes back is dropped.
fn start_nvml(config: &TelemetryConfig, tx: mpsc::Sender<Reading>) -> std::io::Result<std_mpsc::Sender<()>> {
    let (stop_tx, stop) = std_mpsc::channel();
    let (library, timing) = (config.nvml_library.clone(), config.timing.nvml);
    std::thread::Builder::new().name("nvml".to_owned()).spawn(move || {
        nvml::run(library, timing, &stop, |gpus| tx.blocking_send(Reading::Gpus(gpus)).is_ok());
    })?;
    Ok(stop_tx)
}

async fn read_host(interval: Duration, tx: mpsc::Sender<Reading>) {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // The files of /proc are made by the kernel as they are read: there is no disk to wait for.
        if tx.send(Reading::Host(host::read(Path::new("/proc")))).await.is_err() {
            // The owner ended, and so does the daemon.
            std::future::pending::<()>().await;
        }
    }
}

async fn read_engine(mut eye: engine::Eye, interval: Duration, epoch: u64, tx: mpsc::Sender<Reading>) {
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if tx.send(Reading::Engine(epoch, eye.look().await)).await.is_err() {
            return;
        }
    }
}

/// One declared engine and the task that looks at it.
struct Watched {
    spec: EngineSpec,
    epoch: u64,
    reading: Option<EngineReading>,
    _end: DropGuard,
}

/// Owns the sample and the set of engines.
struct Owner {
    config: TelemetryConfig,
    client: reqwest::Client,
    tasks: Tasks,
    metrics: TelemetryMetrics,
    tx: mpsc::Sender<Reading>,
    epoch: u64,
    engines: Vec<Watched>,
    host: HostSample,
    gpus: Probe<Vec<GpuSample>>,
    sample: watch::Sender<Arc<LocalSample>>,
    _stop_nvml: std_mpsc::Sender<()>,
}

impl Owner {
    async fn run(mut self, mut store: watch::Receiver<Arc<Store>>, mut rx: mpsc::Receiver<Reading>) {
        let first = Arc::clone(&store.borrow_and_update());
        self.reconcile(&first);
        loop {
            tokio::select! {
                changed = store.changed() => {
                    if changed.is_err() {
                        // Nobody declares engines any more: the daemon stops.
                        return std::future::pending().await;
                    }
                    let desired = Arc::clone(&store.borrow_and_update());
                    self.reconcile(&desired);
                }
                reading = rx.recv() => {
                    // The owner holds a sender itself, so there is always another reading.
                    if let Some(reading) = reading {
                        self.fold(reading);
                    }
                }
            }
            self.publish();
        }
    }

    /// Makes the tasks those of the declared engines: level-triggered, so that it does not matter what was missed.
    fn reconcile(&mut self, store: &Store) {
        let roster = Roster::read(store);
        let wanted = roster.get(&self.config.node).map(|listed| listed.spec.engines.clone()).unwrap_or_default();
        let mut before: BTreeMap<ObjectName, Watched> =
            self.engines.drain(..).map(|it| (it.spec.name.clone(), it)).collect();
        for spec in wanted {
            let kept = before.remove(&spec.name).filter(|it| it.spec == spec);
            let watched = kept.unwrap_or_else(|| self.watch(spec));
            self.engines.push(watched);
        }
        // What is left, and what was replaced above, ends with its group.
        self.metrics.forget(before.keys());
    }

    fn watch(&mut self, spec: EngineSpec) -> Watched {
        self.epoch += 1;
        tracing::info!(engine = %spec.name, kind = %spec.kind, url = %spec.url, "engine is looked at");
        let timing = self.config.timing.engine;
        let eye = engine::Eye::new(self.client.clone(), spec.clone(), timing);
        let tasks = self.tasks.child();
        let name = format!("engine-{}", spec.name);
        tasks.spawn_free(name, read_engine(eye, timing.interval, self.epoch, self.tx.clone()));
        Watched { spec, epoch: self.epoch, reading: None, _end: tasks.token().drop_guard() }
    }

    fn fold(&mut self, reading: Reading) {
        match reading {
            Reading::Host(host) => self.host = host,
            Reading::Gpus(gpus) => {
                self.tell_gpus(&gpus);
                self.gpus = gpus;
            }
            Reading::Engine(epoch, reading) => {
                // One of an engine that is no longer declared so may still have been on its way.
                if let Some(watched) = self.engines.iter_mut().find(|it| it.epoch == epoch) {
                    self.metrics.engine(&reading.sample);
                    let (before, now) = (watched.reading.as_ref().map(|it| it.sample.up), reading.sample.up);
                    if before != Some(now) {
                        let error = reading.sample.error.as_deref().unwrap_or("none");
                        tracing::info!(engine = %watched.spec.name, up = now, error, "engine changed");
                    }
                    watched.reading = Some(reading);
                }
            }
        }
    }

    fn tell_gpus(&self, gpus: &Probe<Vec<GpuSample>>) {
        self.metrics.gpus(gpus);
        match gpus {
            Probe::Unavailable(reason) if self.gpus != *gpus => tracing::info!(%reason, "gpus cannot be read"),
            Probe::Read(list) if !matches!(self.gpus, Probe::Read(_)) => {
                tracing::info!(gpus = list.len(), "gpus are read");
            }
            Probe::Unavailable(_) | Probe::Read(_) => {}
        }
    }

    fn publish(&self) {
        let engines = self.engines.iter().filter_map(|it| it.reading.clone()).collect();
        let now = Arc::new(LocalSample { host: self.host.clone(), gpus: self.gpus.clone(), engines });
        // A reading that says the same again is only younger: whoever looks sees that, and nobody is woken for it.
        self.sample.send_if_modified(|old| {
            let news = !now.says_the_same(old);
            *old = now;
            news
        });
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
