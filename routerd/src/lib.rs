//! The router: OpenAI-compatible requests in, the best engine of the mesh for each, and back.
//!
//! ```text
//!  clients ──▶ door (N threads, one port) ──▶ proxy (one machine a request) ──▶ engines
//!                 │ decide: worker::model ── brains (strategy instances)
//!                 │ read:   fleet (targets, one copy a worker)
//!  control runtime: feed (mesh) or alone (fixed list) ──▶ fleet::owner, brains::Loader ──▶ report
//! ```
//! Nothing on the way of a request waits for a lock, for another thread, or for the control side.

mod alone;
mod brains;
mod clock;
mod config;
mod door;
mod feed;
mod fleet;
mod metrics;
mod proxy;
mod record;
mod report;
mod shared;
mod traffic;
mod upstreams;
mod worker;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use mesh_daemon::{Shutdown, Tasks, admin};
use tokio::net::TcpListener;

use crate::{
    brains::Loader,
    clock::Clock,
    config::Source,
    door::Door,
    metrics::Metrics,
    shared::{Parts, Shared},
};

pub use crate::config::{Args, Config, ConfigError};

/// How long control tasks may take to end.
const TASKS_DEADLINE: Duration = Duration::from_secs(5);

/// A router that runs.
pub struct Router {
    /// Where clients connect.
    pub addr: SocketAddr,
    door: Door,
    tasks: Tasks,
    shutdown: Shutdown,
    shared: Arc<Shared>,
    drain_deadline: Duration,
}

impl Router {
    /// Starts a router; it serves when this returns, with whatever view it has by then.
    ///
    /// # Errors
    /// When a port is taken, a strategy is refused, or an identity cannot be read.
    pub async fn start(config: Config, shutdown: Shutdown) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let metrics = Metrics::new().context("metrics")?;
        let mesh_seed = config.mesh_seed();
        let recorders = record::recorders(config.record.as_deref(), config.workers);
        let shared = Arc::new(Shared::new(Parts { clock, workers: config.workers, metrics, mesh_seed, recorders }));
        report::register(&shared).context("metrics")?;
        let tasks = Tasks::new(&shutdown);
        let admin = match config.admin {
            Some(at) => Some(TcpListener::bind(at).await.with_context(|| format!("cannot open the admin port {at}"))?),
            None => None,
        };
        let door = Door::open(config.listen, &shared, &shutdown)
            .with_context(|| format!("cannot open the door at {}", config.listen))?;
        let addr = door.addr;
        if let Some(listener) = admin {
            tasks.spawn("admin", serve_admin(listener, shared.clone(), tasks.clone()));
        }
        if let Some(path) = &config.record {
            tasks.spawn("record", record::run(path.clone(), shared.clone(), tasks.token()));
        }
        match config.source {
            Source::Alone { upstreams, strategy } => {
                let mut loader = Loader::new(shared.clone(), door.workers.clone());
                let wanted = alone::strategy(strategy.as_deref())?;
                loader.activate(wanted).await.map_err(anyhow::Error::msg).context("the strategy")?;
                let shared = shared.clone();
                tasks.spawn_until("upstreams", async move {
                    // The loader lives as long as its strategy may decide.
                    let _loader = loader;
                    alone::run(shared, upstreams).await;
                });
            }
            Source::Mesh(mesh) => {
                let metrics = config.admin.unwrap_or(addr);
                let start = feed::Start { shared: shared.clone(), workers: door.workers.clone(), door: addr, metrics };
                feed::start(mesh, start, &tasks).await?;
            }
        }
        mesh_daemon::notify::ready(&tasks);
        tracing::info!(address = %addr, workers = config.workers, "door open: plain HTTP, no key");
        Ok(Self { addr, door, tasks, shutdown, shared, drain_deadline: config.drain_deadline })
    }

    /// Serves until the shutdown begins, then lets answers finish and ends.
    ///
    /// # Errors
    /// When a part ended unasked.
    pub async fn finished(self) -> anyhow::Result<()> {
        self.shutdown.begun().await;
        self.shared.closing.store(true, std::sync::atomic::Ordering::Relaxed);
        self.door.close(self.drain_deadline).await;
        // Who is late is logged by name.
        let _ = self.tasks.stop(TASKS_DEADLINE).await;
        match self.tasks.failure() {
            Some(failure) => anyhow::bail!(failure),
            None => Ok(()),
        }
    }
}

async fn serve_admin(listener: TcpListener, shared: Arc<Shared>, tasks: Tasks) -> std::io::Result<()> {
    let registry = shared.metrics.registry().clone();
    admin::serve(listener, registry, move || shared.ready(), tasks.token()).await
}

/// Runs a router until it is told to stop.
///
/// # Errors
/// As [`Router::start`] and [`Router::finished`].
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    Router::start(config, shutdown).await?.finished().await
}
