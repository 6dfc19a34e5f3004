//! What a router in a mesh knows and says: desired state, the nodes' statements, the wanted strategy, its reports.
//!
//! ```text
//!  own agent ─ Objects.Watch ─▶ desired ─▶ apply ─▶ tables, acknowledgement ─▶ link ─ RouterLink.Report ─▶ own agent
//!  every agent with engines ─ Signals.Watch ─▶ signals ─┘    └─ views ─▶ strategy (own agent: Blobs.Get) ─▶ swap
//! ```

pub(crate) mod apply;
pub(crate) mod cache;
pub(crate) mod desired;
pub(crate) mod link;
pub(crate) mod rows;
pub(crate) mod signals;
pub(crate) mod strategy;
pub(crate) mod view;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use mesh_core::{
    id::{Principal, Revision},
    kind::{Brain, Builtin},
};
use mesh_daemon::Tasks;
use mesh_proto::{client, tls::Identity};
use tokio::sync::{mpsc, watch};

use crate::{
    brains::{Loader, Wanted},
    config::MeshConfig,
    feed::{apply::Applier, cache::Cache, link::Reporter, signals::Listener, strategy::Bringer, view::View},
    shared::Shared,
    worker::control::Workers,
};

/// Statements on their way to the tables: a few of each node of a cell.
const SAID_MAX: usize = 1024;
/// How often the identity's files are looked at: the agent renews them in place.
const IDENTITY_EVERY: Duration = Duration::from_secs(5);

/// What the feed is started with.
pub(crate) struct Start {
    /// What all threads share.
    pub(crate) shared: Arc<Shared>,
    /// The workers.
    pub(crate) workers: Workers,
    /// Where clients connect.
    pub(crate) door: SocketAddr,
    /// Where the metrics are.
    pub(crate) metrics: SocketAddr,
}

/// Starts all tasks of the feed; with a cached view the router serves by it at once.
pub(crate) async fn start(config: MeshConfig, start: Start, tasks: &Tasks) -> anyhow::Result<()> {
    let identity = Identity::load(&config.identity_dir)
        .with_context(|| format!("cannot read the identity in {}", config.identity_dir.display()))?;
    let expected = Principal::router(&config.mesh, &config.node);
    anyhow::ensure!(
        identity.me() == expected,
        "the identity in {} is {}, wanted is {expected}",
        config.identity_dir.display(),
        identity.me()
    );
    let cache = Cache::open(&config.state_dir, &config.mesh)
        .with_context(|| format!("cannot use {} as state directory", config.state_dir.display()))?;
    let mut loader = Loader::new(start.shared.clone(), start.workers.clone());
    let first = Wanted { brain: Brain::Builtin(Builtin::LeastQueue), seq: 0, module: None };
    loader.activate(first).await.map_err(anyhow::Error::msg)?;

    let kept = cache.load();
    if kept.objects.revision > Revision(0) {
        tracing::info!(revision = kept.objects.revision.0, "serving by the cached view until the agent answers");
    }
    let agent = client::channel(&identity, config.agent, Principal::node(&config.mesh, &config.node));
    let (objects, desired) = watch::channel(kept.objects);
    let (views, watched) = watch::channel(Arc::new(View::default()));
    let (acked, acked_seen) = watch::channel(Revision(0));
    let (error, strategy_error) = watch::channel(None);
    let (out, said) = mpsc::channel(SAID_MAX);

    tasks.spawn_until("identity", identity.clone().watch_files(config.identity_dir, IDENTITY_EVERY));
    tasks.spawn_until("desired", desired::follow(agent.clone(), objects));
    let listener = Listener { identity: identity.clone(), clock: start.shared.clock, out };
    tasks.spawn_until("signals", signals::listen(listener, watched.clone(), tasks.clone()));
    let bringer = Bringer { loader, cache: cache.clone(), agent: agent.clone(), error };
    tasks.spawn_until("strategy", bringer.run(watched));
    let reporter = Reporter {
        shared: start.shared.clone(),
        workers: start.workers.clone(),
        agent,
        addresses: (format!("http://{}", start.door), format!("http://{}/metrics", start.metrics)),
        acked: acked_seen,
        strategy_error,
    };
    tasks.spawn_until("report", reporter.run());
    let applier =
        Applier { shared: start.shared, workers: start.workers, identity, cache, models: kept.models, views, acked };
    tasks.spawn_until("apply", applier.run(desired, said));
    Ok(())
}
