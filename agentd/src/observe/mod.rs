//! What is observed: this node's own status, put together and served; and, from the others' statements and gossip,
//! what is known of every listed node and how fresh it is.

mod merge;
mod metrics;
mod observer;
mod own;
mod peer;
pub mod roster;
mod serve;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mesh_core::{
    id::{Digest, MeshName, NodeName},
    status::{NodeStatus, Phase, Seen},
    store::Store,
    time::Timestamp,
};
use mesh_daemon::Tasks;
use tokio::sync::{Semaphore, mpsc, watch};
use tonic::transport::Channel;

pub use self::{
    metrics::ObserveMetrics,
    own::own_digest,
    serve::{RouterLinkService, SignalsService},
};
use crate::{gossip::GossipHandle, telemetry::LocalSample};

/// Statements on their way to the observer: some rounds of a thousand nodes; a stream whose statement waits just
/// reads its next one later.
const HEARD_MAX: usize = 4096;

/// Opens the way to a node's agent; the call comes back at once and the connection is made when it is used.
pub type Dial = Arc<dyn Fn(&NodeName, SocketAddr) -> Channel + Send + Sync>;

/// How often nodes speak and how soon silence means that they are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObserveTiming {
    /// What a coordinator asks nodes for: at most one statement in this time.
    pub min_interval: Duration,
    /// A node speaks at least once in this time.
    pub keyframe: Duration,
    /// How long a node may be silent.
    pub patience: Duration,
    /// How long it may be silent once another coordinator has lost it; above `keyframe`.
    pub doubt: Duration,
    /// The longest wait between two attempts to open a stream.
    pub reconnect_max: Duration,
}

impl Default for ObserveTiming {
    fn default() -> Self {
        Self {
            min_interval: Duration::from_millis(250),
            keyframe: Duration::from_secs(1),
            patience: Duration::from_millis(3500),
            doubt: Duration::from_millis(1500),
            reconnect_max: Duration::from_secs(2),
        }
    }
}

/// Who observes.
#[derive(Debug, Clone)]
pub struct ObserveConfig {
    /// The mesh.
    pub mesh: MeshName,
    /// This node.
    pub node: NodeName,
    /// Where its agent answers.
    pub api: SocketAddr,
    /// The release it runs.
    pub version: String,
    /// The digest of its executable, from [`own_digest`].
    pub digest: Digest,
    /// How often what is said.
    pub timing: ObserveTiming,
}

/// What observation is made from.
#[derive(Clone)]
pub struct Inputs {
    /// Desired state.
    pub store: watch::Receiver<Arc<Store>>,
    /// What this node measures of itself.
    pub local: watch::Receiver<Arc<LocalSample>>,
    /// The ring.
    pub gossip: GossipHandle,
    /// The way to other nodes, on coordinators only.
    pub dial: Option<Dial>,
}

/// What is known of one listed node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeObserved {
    /// Its phase, with its drain as of the observer's last look at desired state.
    pub phase: Phase,
    /// Since when it has been in this phase, as far as this node saw it.
    pub since: Option<Timestamp>,
    /// What its phase follows from.
    pub seen: Seen,
    /// Its newest statement; absent = this node never heard one.
    pub status: Option<Arc<NodeStatus>>,
    /// When that came.
    pub received: Option<Instant>,
}

impl NodeObserved {
    /// The age of its statement in milliseconds; absent = this node never heard one.
    #[must_use]
    pub fn age_ms(&self, now: Instant) -> Option<u64> {
        let age = now.saturating_duration_since(self.received?);
        Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }
}

/// What is known of all listed nodes, this one included.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observed {
    /// By name.
    pub nodes: BTreeMap<NodeName, NodeObserved>,
}

/// The way to what is observed; clones share it.
#[derive(Debug, Clone)]
pub struct ObserveHandle {
    observed: watch::Receiver<Arc<Observed>>,
    signals: SignalsService,
    router_link: RouterLinkService,
}

impl ObserveHandle {
    /// What is known of every listed node.
    #[must_use]
    pub fn observed(&self) -> watch::Receiver<Arc<Observed>> {
        self.observed.clone()
    }

    /// What this node says of itself at this instant.
    #[cfg(test)]
    pub(crate) fn own(&self) -> NodeStatus {
        self.signals.own.status()
    }

    /// The service that streams this node's statements.
    #[must_use]
    pub fn signals(&self) -> SignalsService {
        self.signals.clone()
    }

    /// The service that takes the reports of this node's router.
    #[must_use]
    pub fn router_link(&self) -> RouterLinkService {
        self.router_link.clone()
    }
}

/// Starts observing.
#[must_use]
pub fn start(config: ObserveConfig, inputs: Inputs, metrics: ObserveMetrics, tasks: &Tasks) -> ObserveHandle {
    let config = Arc::new(config);
    let (report, router) = watch::channel(None);
    let (unreachable, unreachable_rx) = watch::channel(Arc::default());
    let own = own::Own {
        config: Arc::clone(&config),
        store: inputs.store,
        local: inputs.local,
        generation: inputs.gossip.generation(),
        router,
        unreachable: unreachable_rx,
    };
    let (observed, readers) = watch::channel(Arc::default());
    let (tx, rx) = mpsc::channel(HEARD_MAX);
    let observer = observer::Observer {
        own: own.clone(),
        gossip: inputs.gossip,
        dial: inputs.dial,
        tasks: tasks.clone(),
        metrics: metrics.clone(),
        observed,
        unreachable,
        tx,
        state: observer::Table::default(),
    };
    tasks.spawn_until("observe", observer.run(rx));
    let signals = SignalsService {
        own,
        keyframe: config.timing.keyframe,
        slots: Arc::new(Semaphore::new(serve::STREAMS_MAX)),
        stop: tasks.token(),
        metrics,
    };
    let router_link = RouterLinkService {
        mesh: config.mesh.clone(),
        node: config.node.clone(),
        report: Arc::new(report),
        newest: Arc::new(watch::channel(0).0),
        stop: tasks.token(),
    };
    ObserveHandle { observed: readers, signals, router_link }
}

#[cfg(test)]
mod tests;
