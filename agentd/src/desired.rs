//! Desired state as the rest of the daemon sees it, the same on coordinators (raft) and on every other node (a followed replica).

use std::{sync::Arc, time::Duration};

use mesh_core::{
    id::{MeshName, NodeName, RequestId},
    kind::{Kind, NodeSpec, parse},
    store::{Command, Outcome, Store},
};
use tokio::{sync::watch, time::Instant};

use crate::{
    config::{Config, Coordinator},
    follow::Following,
    raft::{Health, Peer, ProposeError, RaftHandle, ReadError},
};

/// A write ends within this time, with an outcome or with [`WriteError::OutcomeUnknown`].
pub const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// A read of what is latest waits so long for a leader: an election takes about a second.
const READ_DEADLINE: Duration = Duration::from_secs(3);
/// And only so long when the quorum is known to be lost.
const READ_LOST: Duration = Duration::from_millis(500);

/// Where desired state comes from on this node.
#[derive(Clone)]
pub enum Source {
    /// It is kept here.
    Raft(RaftHandle),
    /// It is followed from a coordinator.
    Followed(Following),
}

/// Why desired state cannot be read as of now.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LatestError {
    /// No quorum answers.
    #[error("no quorum of coordinators; missing: {}", listed(missing))]
    NoQuorum {
        /// Coordinators nobody hears.
        missing: Vec<String>,
    },
    /// This node cannot tell what is latest.
    #[error("{0}")]
    NotReady(String),
}

/// Why a write was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// It was refused and never appended.
    #[error("refused, nothing was written: no quorum of coordinators; missing: {}", listed(missing))]
    NoQuorum {
        /// Coordinators nobody hears.
        missing: Vec<String>,
    },
    /// It may or may not have been done.
    #[error("outcome unknown of request {id}: ask again with the same request id; missing: {}", listed(missing))]
    OutcomeUnknown {
        /// The request.
        id: RequestId,
        /// Coordinators nobody hears.
        missing: Vec<String>,
    },
    /// This node takes no writes.
    #[error("{0}")]
    NotReady(String),
}

fn listed(nodes: &[String]) -> String {
    if nodes.is_empty() { "none known".to_owned() } else { nodes.join(", ") }
}

fn names(peers: Vec<Peer>) -> Vec<String> {
    peers.into_iter().map(|it| it.name).collect()
}

impl From<ReadError> for LatestError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoQuorum { missing } => Self::NoQuorum { missing: names(missing) },
            ReadError::Unfit(why) => Self::NotReady(format!("this coordinator does not serve: {why}")),
        }
    }
}

impl From<ProposeError> for WriteError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::NoQuorum { missing } => Self::NoQuorum { missing: names(missing) },
            ProposeError::OutcomeUnknown { id, missing } => Self::OutcomeUnknown { id, missing: names(missing) },
            ProposeError::Unfit(why) | ProposeError::Stopped(why) => Self::NotReady(why),
        }
    }
}

/// The handle on desired state; clones share it.
#[derive(Clone)]
pub struct Desired {
    mesh: MeshName,
    node: NodeName,
    first: Arc<[Coordinator]>,
    store: watch::Receiver<Arc<Store>>,
    source: Source,
    /// Whether what is here may be read: a restarted coordinator first looks for a leader.
    opened: watch::Sender<bool>,
}

impl Desired {
    /// Joins the source with the coordinators of the configuration, which count until desired state names some.
    #[must_use]
    pub fn new(config: &Config, source: Source) -> Self {
        let store = match &source {
            Source::Raft(raft) => raft.store(),
            Source::Followed(following) => following.store(),
        };
        let first = config.coordinators.as_slice().into();
        Self {
            mesh: config.mesh.clone(),
            node: config.node.clone(),
            first,
            store,
            source,
            opened: watch::Sender::new(false),
        }
    }

    /// The mesh.
    #[must_use]
    pub fn mesh(&self) -> &MeshName {
        &self.mesh
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// What this node has now.
    #[must_use]
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store.borrow())
    }

    /// Tells whenever that changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Store>> {
        self.store.clone()
    }

    /// Raft, on a coordinator.
    #[must_use]
    pub fn raft(&self) -> Option<&RaftHandle> {
        match &self.source {
            Source::Raft(raft) => Some(raft),
            Source::Followed(_) => None,
        }
    }

    /// Whether what is here may be read at all.
    ///
    /// # Errors
    /// [`LatestError::NotReady`] on a coordinator whose replica differs from its leader's.
    pub fn check_fit(&self) -> Result<(), LatestError> {
        let health = self.raft().map(|raft| raft.status().borrow().health.clone());
        match health {
            Some(Health::Diverged(divergence)) => Err(LatestError::NotReady(divergence.to_string())),
            Some(Health::Serving | Health::Parked { .. }) | None => Ok(()),
        }
    }

    /// Lets readers in.
    pub fn open(&self) {
        self.opened.send_replace(true);
    }

    /// Waits until readers are let in.
    pub async fn opened(&self) {
        // The sender lives as long as this handle.
        drop(self.opened.subscribe().wait_for(|opened| *opened).await);
    }

    /// Milliseconds since this node last knew of a leader; `None` = never since its start.
    #[must_use]
    pub fn leader_age_ms(&self) -> Option<u64> {
        match &self.source {
            Source::Raft(raft) => raft.status().borrow().leader_age_ms,
            Source::Followed(following) => following.leader_age_ms(),
        }
    }

    /// Whom to ask: the declared coordinators, or those of the configuration as long as none is declared.
    #[must_use]
    pub fn coordinators(&self) -> Vec<Coordinator> {
        self.coordinators_in(&self.store())
    }

    /// The same by a state of the store.
    #[must_use]
    pub fn coordinators_in(&self, store: &Store) -> Vec<Coordinator> {
        coordinators(store, &self.first)
    }

    /// Desired state as of now: whatever was acknowledged to anybody before this call is in it.
    ///
    /// # Errors
    /// [`LatestError`] when no quorum, or on another node no coordinator, says what is latest.
    pub async fn latest(&self) -> Result<Arc<Store>, LatestError> {
        match &self.source {
            Source::Raft(raft) => Ok(raft.read_until(Instant::now() + patience(raft)).await?),
            Source::Followed(following) => following.latest(&self.coordinators()).await.map_err(LatestError::NotReady),
        }
    }

    /// Carries out a command, on whichever coordinator leads, within [`WRITE_DEADLINE`].
    ///
    /// # Errors
    /// [`WriteError`]; only `OutcomeUnknown` leaves open whether it was done.
    pub async fn propose(&self, command: Command, until: Instant) -> Result<Outcome, WriteError> {
        let Source::Raft(raft) = &self.source else {
            let coordinators: Vec<String> =
                self.coordinators().iter().map(|it| format!("{} ({})", it.node, it.api)).collect();
            return Err(WriteError::NotReady(format!(
                "{} is no coordinator: ask {}",
                self.node,
                coordinators.join(" or ")
            )));
        };
        Ok(raft.propose_until(command, until).await?)
    }
}

/// A change of leader is waited for; a quorum that is known to be lost is not.
fn patience(raft: &RaftHandle) -> Duration {
    if raft.status().borrow().quorum_lost_since.is_some() { READ_LOST } else { READ_DEADLINE }
}

/// The coordinators that desired state declares, or `first` while it declares none.
pub fn coordinators(store: &Store, first: &[Coordinator]) -> Vec<Coordinator> {
    let declared: Vec<Coordinator> = store
        .list(Kind::Node)
        .filter_map(|object| {
            let spec = parse::<NodeSpec>(&object.spec).ok()?;
            Coordinator::of(NodeName::new(object.key.name.as_str()).ok()?, &spec)
        })
        .collect();
    if declared.is_empty() { first.to_vec() } else { declared }
}

/// A duration in milliseconds.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
