//! Membership by gossip: one ring of one cell over a sealed transport. What comes out of it is a hint, checked against
//! the node list; what moves traffic is confirmed over mutual TLS.

mod boot;
mod keys;
mod member;
mod metrics;
mod ring;
mod sealed;
mod transport;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use mesh_core::{
    id::{MeshName, NodeName},
    store::Store,
};
use mesh_daemon::Tasks;
use tokio::sync::watch;

pub use self::{
    boot::BootError,
    keys::{GossipKey, KeyError, KeyRing},
    member::{GossipState, Member, Pulse, Refuse, admit},
    metrics::GossipMetrics,
};

/// The one cell of today.
const CELL: &str = "main";

/// How fast the ring talks and how soon it gives a member up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GossipTiming {
    /// Time between two rounds.
    pub interval: Duration,
    /// How many mean intervals of silence make a member dead.
    pub phi: f64,
    /// The interval assumed of a member before it was measured.
    pub initial_interval: Duration,
    /// Intervals remembered of each member.
    pub sampling_window: usize,
    /// How long a dead member is remembered.
    pub grace: Duration,
}

impl Default for GossipTiming {
    /// Measured: no false death at 20 % loss, and a crash seen by all of 64 nodes in 9.5 to 12.5 s.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            phi: 8.0,
            initial_interval: Duration::from_secs(5),
            sampling_window: 100,
            grace: Duration::from_secs(15 * 60),
        }
    }
}

/// What the ring of a node needs to know.
#[derive(Debug, Clone)]
pub struct GossipConfig {
    /// The mesh.
    pub mesh: MeshName,
    /// This node.
    pub node: NodeName,
    /// The address of its gossip socket.
    pub listen: SocketAddr,
    /// Whom to speak to first; later the node list says.
    pub seeds: Vec<SocketAddr>,
    /// Where the boot counter lives.
    pub state_dir: PathBuf,
    /// How fast it talks.
    pub timing: GossipTiming,
}

/// Why gossip cannot start.
#[derive(Debug, thiserror::Error)]
pub enum GossipError {
    /// The socket is taken or not ours.
    #[error("cannot open the gossip socket {addr}/udp")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The boot counter cannot be kept.
    #[error(transparent)]
    Boot(#[from] BootError),
}

/// One admitted member as the ring has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipMember {
    /// `incarnation << 32 | boot counter`.
    pub generation: u64,
    /// Whether it lives, as far as the ring tells.
    pub pulse: Pulse,
    /// Since when, as this node saw it.
    pub since: Instant,
    /// What it says of itself; absent = not heard yet, or not understood.
    pub state: Option<GossipState>,
}

/// All admitted members, this node included.
pub type GossipView = BTreeMap<NodeName, GossipMember>;

/// How the ring itself fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingHealth {
    /// It runs under this generation.
    Running {
        /// `incarnation << 32 | boot counter`.
        generation: u64,
    },
    /// It ended and is started again.
    Restarting {
        /// Why it ended.
        reason: String,
    },
}

/// The way to the ring; clones share it.
#[derive(Debug, Clone)]
pub struct GossipHandle {
    state: Arc<watch::Sender<GossipState>>,
    view: watch::Receiver<Arc<GossipView>>,
    health: watch::Receiver<RingHealth>,
    generation: watch::Receiver<u64>,
    #[cfg(test)]
    addr: SocketAddr,
}

impl GossipHandle {
    /// Says what this node is from now on; the ring sends what changed with its next round.
    pub fn publish(&self, state: GossipState) {
        self.state.send_if_modified(|old| {
            let changed = *old != state;
            *old = state;
            changed
        });
    }

    /// The members, on a channel that changes when one of them does.
    #[must_use]
    pub fn view(&self) -> watch::Receiver<Arc<GossipView>> {
        self.view.clone()
    }

    /// `incarnation << 32 | boot counter` of this node's present or next ring.
    #[must_use]
    pub fn generation(&self) -> watch::Receiver<u64> {
        self.generation.clone()
    }

    /// How the ring fares, for `/readyz`.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<RingHealth> {
        self.health.clone()
    }

    /// The address of the gossip socket.
    #[cfg(test)]
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Makes a handle without a ring, over members that a test states.
    #[cfg(test)]
    pub(crate) fn stated(view: watch::Receiver<Arc<GossipView>>, first: GossipState) -> Self {
        let addr = first.api;
        let health = watch::channel(RingHealth::Running { generation: 1 }).1;
        Self { state: Arc::new(watch::channel(first).0), view, health, generation: watch::channel(1).1, addr }
    }

    /// What this node says of itself now.
    #[cfg(test)]
    pub(crate) fn said(&self) -> GossipState {
        self.state.borrow().clone()
    }
}

/// Opens the gossip socket and keeps a ring running in it until `tasks` stops.
///
/// `first` is what this node says of itself until it publishes something else.
///
/// # Errors
/// [`GossipError`] when the socket or the boot counter cannot be had.
pub async fn start(
    config: GossipConfig,
    keys: Arc<KeyRing>,
    desired: Desired,
    metrics: GossipMetrics,
    tasks: &Tasks,
) -> Result<GossipHandle, GossipError> {
    let cluster: Arc<str> = format!("{}/{CELL}", config.mesh).into();
    let bind = |source| GossipError::Bind { addr: config.listen, source };
    let sealed = transport::Sealed::bind(config.listen, keys, Arc::clone(&cluster), metrics.clone()).await;
    let sealed = sealed.map_err(bind)?;
    let addr = sealed.local_addr().map_err(bind)?;
    let ring = ring::Ring::new(config, Box::new(sealed), desired, metrics, addr)?;
    let handle = ring.handle();
    tasks.spawn_until("gossip", ring.run());
    Ok(handle)
}

/// What the ring is given: desired state to check members against, and what this node says of itself at first.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Desired state.
    pub store: watch::Receiver<Arc<Store>>,
    /// The first statement of this node.
    pub first: GossipState,
}
