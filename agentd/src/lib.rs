//! The node: it measures, gossips, agrees, plans (as leader) and answers its API.
//!
//! [`run`] is the wiring diagram: it builds each part from its own part of the configuration, joins them by handles,
//! starts named tasks, opens its doors last, and stops in order.

pub mod api;
pub mod blobs;
mod channels;
pub mod clock;
pub mod config;
pub mod control;
pub mod desired;
pub mod dial;
pub mod events;
pub mod follow;
pub mod gossip;
pub mod identity;
pub mod logs;
pub mod metrics;
pub mod observe;
pub mod raft;
pub mod ready;
pub mod replica;
pub mod telemetry;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use mesh_core::id::{Lineage, Principal, Revision};
use mesh_daemon::{Shutdown, Tasks};
use mesh_proto::{client, server, tls::Identity};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    api::{Services, auth::Gate},
    blobs::{Blobs, fetch::Fetcher},
    channels::PeerChannels,
    config::Config,
    control::Control,
    desired::{Desired, Source},
    events::{Events, feeds},
    follow::Following,
    gossip::{GossipConfig, GossipHandle, GossipMetrics, GossipState, KeyRing},
    identity::{Coordinators, Issuing, JoinService, OwnIssuer, RENEW_AFTER, Rotation},
    logs::Home,
    metrics::AgentMetrics,
    observe::{ObserveConfig, ObserveHandle, ObserveMetrics},
    raft::{Failure, Profile, RaftConfig, RaftHandle},
    ready::Readiness,
    replica::Replica,
    telemetry::{TelemetryConfig, TelemetryMetrics},
};

/// The release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The gossip keys, in the state directory.
const GOSSIP_KEYS: &str = "gossip.keys";
/// Tasks may take this long to end.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// A restarted coordinator waits this long for a leader before it answers reads from what it has.
const RECOVERY_MAX: Duration = Duration::from_secs(5);

/// Raft's log or state has failed: the process must end, and what is on disk must be looked at.
#[derive(Debug, thiserror::Error)]
#[error("the log of desired state has failed: {0}")]
pub struct LogFailed(Failure);

/// Runs the agent until shutdown.
///
/// # Errors
/// What it could not start with or go on without; [`LogFailed`] for an error of the log.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let (tasks, registry, events) = (Tasks::new(&shutdown), Registry::new(), Events::default());
    // First streams end with a hint where to go on, then leadership goes, then connections are closed.
    let (closing, closed) = (CancellationToken::new(), CancellationToken::new());
    let identity = Identity::load(&config.identity_dir).context("load the node's identity")?;
    let listener = TcpListener::bind(config.listen).await.with_context(|| format!("listen on {}", config.listen))?;

    let desired = open_desired(&config, &identity, &tasks, &closed).await?;
    let blobs = Blobs::open(&config.state_dir.join("blobs")).context("open the blobs")?;
    let fetcher = Fetcher::new(blobs.clone(), identity.clone(), desired.clone());
    tasks.spawn_until("blobs", blobs::keep::run(fetcher.clone(), desired.clone()));

    let gate = Gate::new(desired.watch(), &registry).context("register the gate's metrics")?;
    let gossip = open_gossip(&config, &desired, &registry, &tasks).await?;
    let observe = open_observe(&config, &identity, (&desired, &gossip), &registry, &tasks)?;
    feed_events(&events, &desired, (&gossip, &observe), &tasks);
    if let Some(raft) = desired.raft() {
        let control = Control::new(desired.clone(), raft.clone(), observe.observed(), events.clone());
        tasks.spawn_until("control", control.run());
    }

    let agent = AgentMetrics::new(desired.clone(), identity.clone(), blobs, observe.observed())?;
    registry.register(Box::new(agent)).context("register the agent's metrics")?;
    let ready = Readiness::new(desired.clone(), identity.clone(), gossip.health());
    let admin = TcpListener::bind(config.admin).await.with_context(|| format!("listen on {}", config.admin))?;
    tasks.spawn("admin", mesh_daemon::admin::serve(admin, registry, move || ready.check(), closed.clone()));

    let join = open_identity(&config, &identity, &desired, &tasks)?;
    let logs = Home::new(config.log_dir.clone());
    let services =
        Services { desired: &desired, identity: &identity, fetcher, observe: &observe, events, join, logs, gate };
    let routes = services.routes(&closing);
    tasks.spawn("api", server::serve(listener, identity, routes, closed.clone()));
    mesh_daemon::notify::ready(&tasks);
    tracing::info!(node = %config.node, api = %config.listen, version = VERSION, "agent is up");

    let failure = wait(&desired, &shutdown).await;
    closing.cancel();
    if let Some(raft) = desired.raft() {
        raft.shutdown().await;
    }
    closed.cancel();
    let late = tasks.join(STOP_DEADLINE).await;
    tracing::info!(late = late.err().map(|it| it.join(", ")), "agent has stopped");
    match (failure, tasks.failure()) {
        (Some(failure), _) => Err(LogFailed(failure).into()),
        (None, Some(failure)) => Err(anyhow::anyhow!(failure)),
        (None, None) => Ok(()),
    }
}

/// Waits for the wish to stop, or for the failure of the log.
async fn wait(desired: &Desired, shutdown: &Shutdown) -> Option<Failure> {
    let Some(raft) = desired.raft() else {
        shutdown.begun().await;
        return None;
    };
    tokio::select! {
        // A failed log ends consensus, and with it tasks whose end begins the shutdown too: the cause goes first.
        biased;
        failure = raft.failed() => {
            tracing::error!(%failure, "the log of desired state has failed");
            shutdown.begin();
            Some(failure)
        }
        () = shutdown.begun() => None,
    }
}

async fn open_desired(
    config: &Config,
    identity: &Identity,
    tasks: &Tasks,
    closed: &CancellationToken,
) -> anyhow::Result<Desired> {
    if let Some(voter) = config.voter {
        let raft = RaftConfig {
            dir: config.state_dir.join("raft"),
            cluster: config.mesh.to_string(),
            node_id: voter,
            lineage: Lineage(1),
            profile: Profile::Site,
        };
        let channels = PeerChannels::new(identity.clone(), config.mesh.clone());
        let raft = RaftHandle::start(raft, Arc::new(channels)).await.context("start raft")?;
        let desired = Desired::new(config, Source::Raft(raft.clone()));
        let opening = desired.clone();
        tasks.spawn_free("recovery", async move {
            let recovered = raft.recovered(RECOVERY_MAX).await;
            tracing::info!(recovered, revision = opening.store().revision().0, "desired state is served");
            opening.open();
        });
        return Ok(desired);
    }
    let replica = Replica::open(&config.state_dir.join("replica"), config.mesh.as_str()).context("open the replica")?;
    let following = Following::new(identity.clone(), config.mesh.clone(), &replica);
    let follow =
        follow::run(following.clone(), replica, config.node.clone(), config.coordinators.clone(), closed.clone());
    tasks.spawn("follow", follow);
    let desired = Desired::new(config, Source::Followed(following));
    desired.open();
    Ok(desired)
}

async fn open_gossip(
    config: &Config,
    desired: &Desired,
    registry: &Registry,
    tasks: &Tasks,
) -> anyhow::Result<GossipHandle> {
    let keys = KeyRing::load(&config.state_dir.join(GOSSIP_KEYS)).context("load the gossip keys")?;
    let first = GossipState { version: VERSION.to_owned(), api: config.listen, verified: false, applied: Revision(0) };
    let gossip = GossipConfig {
        mesh: config.mesh.clone(),
        node: config.node.clone(),
        listen: config.gossip,
        seeds: config.gossip_seeds.clone(),
        state_dir: config.state_dir.clone(),
        timing: gossip::GossipTiming::default(),
    };
    let metrics = GossipMetrics::register(registry).context("register gossip's metrics")?;
    let known = gossip::Desired { store: desired.watch(), first };
    gossip::start(gossip, Arc::new(keys), known, metrics, tasks).await.context("start gossip")
}

fn open_observe(
    config: &Config,
    identity: &Identity,
    (desired, gossip): (&Desired, &GossipHandle),
    registry: &Registry,
    tasks: &Tasks,
) -> anyhow::Result<ObserveHandle> {
    let telemetry = TelemetryConfig {
        node: config.node.clone(),
        nvml_library: config.nvml_library.clone(),
        timing: telemetry::TelemetryTiming::default(),
    };
    let metrics = TelemetryMetrics::register(registry).context("register telemetry's metrics")?;
    let local = telemetry::start(telemetry, desired.watch(), metrics, tasks).context("start measuring")?;
    let observe = ObserveConfig {
        mesh: config.mesh.clone(),
        node: config.node.clone(),
        api: config.listen,
        version: VERSION.to_owned(),
        digest: observe::own_digest().context("read the running executable")?,
        timing: observe::ObserveTiming::default(),
    };
    let (identity, mesh) = (identity.clone(), config.mesh.clone());
    let dial: observe::Dial = Arc::new(move |node, api| client::channel(&identity, api, Principal::node(&mesh, node)));
    let inputs =
        observe::Inputs { store: desired.watch(), local, gossip: gossip.clone(), dial: desired.raft().map(|_| dial) };
    let metrics = ObserveMetrics::register(registry).context("register the observer's metrics")?;
    Ok(observe::start(observe, inputs, metrics, tasks))
}

/// Starts what keeps identities alive: renewal of this node's and its router's, revocation of others'.
fn open_identity(
    config: &Config,
    identity: &Identity,
    desired: &Desired,
    tasks: &Tasks,
) -> anyhow::Result<JoinService> {
    let life = Duration::from_secs(config.leaf_ttl_s);
    let load = |dir| Issuing::load(dir, &config.mesh, life).map(Arc::new).context("load the issuer");
    let issuing = config.issuer_dir.as_deref().map(load).transpose()?;
    tasks.spawn_until("revocations", identity::follow_revocations(identity.clone(), desired.watch()));

    let mut identities = vec![("rotate-node", identity.clone(), config.identity_dir.clone())];
    let router = config.identity_dir.with_file_name("router");
    if router.is_dir() {
        let loaded = Identity::load(&router).context("load the router's identity")?;
        identities.push(("rotate-router", loaded, router));
    }
    for (task, identity, dir) in identities {
        let own = issuing.clone().map(|issuing| OwnIssuer { issuing, store: desired.watch() });
        let asked = desired.clone();
        let coordinators: Coordinators = Arc::new(move || asked.coordinators());
        let rotation = Rotation { identity, dir, own, coordinators, after: RENEW_AFTER };
        tasks.spawn_until(task, rotation.run());
    }
    Ok(JoinService::new(desired.clone(), issuing, config.state_dir.join(GOSSIP_KEYS)))
}

fn feed_events(events: &Events, desired: &Desired, (gossip, observe): (&GossipHandle, &ObserveHandle), tasks: &Tasks) {
    tasks.spawn_until("events-changes", feeds::changes(events.clone(), desired.watch()));
    tasks.spawn_until("events-phases", feeds::phases(events.clone(), observe.observed()));
    tasks.spawn_until("events-ring", feeds::ring(events.clone(), gossip.health()));
    if let Some(raft) = desired.raft() {
        tasks.spawn_until("events-leaders", feeds::leaders(events.clone(), raft.status()));
    }
}
