//! Who votes: the first coordinators, growth and shrinkage one at a time, and who leads.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use openraft::{
    ChangeMembers,
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, InitializeError, RaftError},
};
use tokio::time::timeout;

use super::{
    RaftHandle,
    types::{Peer, Types},
};

/// Ids given out later lie above those of the first coordinators.
const ID_BASE: u64 = 1_000;
/// A new voter has this long to catch up.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// Why the first voters are not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InitError {
    /// This coordinator has a log already.
    #[error("this coordinator is already part of a mesh")]
    Already,
    /// Something else is wrong.
    #[error("cannot set the first coordinators: {0}")]
    Refused(String),
}

/// Why the voters do not change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoterError {
    /// Another coordinator leads.
    #[error("this coordinator does not lead{}", leader.as_ref().map(|(_, peer)| format!(", {} does", peer.name)).unwrap_or_default())]
    NotLeader {
        /// The leader, when it is known.
        leader: Option<(u64, Peer)>,
    },
    /// It took too long; it may still happen.
    #[error("the change did not finish within {} s; repeat it, it goes on where it was", CHANGE_LIMIT.as_secs())]
    Timeout,
    /// The change is not possible.
    #[error("the voters cannot be changed so: {0}")]
    Refused(String),
}

type WriteError = RaftError<Types, ClientWriteError<Types>>;

impl RaftHandle {
    /// Names the first voters, on exactly one coordinator that has never taken part.
    ///
    /// # Errors
    /// [`InitError::Already`] may be ignored when the voters hold this node.
    pub async fn initialize(&self, voters: BTreeMap<u64, Peer>) -> Result<(), InitError> {
        match self.node.raft.initialize(voters).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Err(InitError::Already),
            Err(error) => Err(InitError::Refused(error.to_string())),
        }
    }

    /// Whether this coordinator has ever taken part.
    ///
    /// # Errors
    /// The text says why raft does not answer.
    pub async fn is_initialized(&self) -> Result<bool, String> {
        self.node.raft.is_initialized().await.map_err(|error| error.to_string())
    }

    /// Allocates the id of a new coordinator; no id is ever given out twice. Only the leader can.
    ///
    /// # Errors
    /// [`VoterError`].
    pub async fn allocate_id(&self) -> Result<u64, VoterError> {
        let written = timeout(CHANGE_LIMIT, self.node.raft.write_blank()).await.map_err(|_| VoterError::Timeout)?;
        // Positions in the log are unique and only grow.
        written.map(|written| ID_BASE + written.log_id.index).map_err(Self::voter_error)
    }

    /// Adds a voter that was started with an id from [`Self::allocate_id`]: it catches up first, then votes. Only the leader can.
    ///
    /// # Errors
    /// [`VoterError`].
    pub async fn add_voter(&self, id: u64, peer: Peer) -> Result<(), VoterError> {
        let change = async {
            self.node.raft.add_learner(id, peer, true).await?;
            self.node.raft.change_membership(ChangeMembers::AddVoterIds(BTreeSet::from([id])), false).await
        };
        let done = timeout(CHANGE_LIMIT, change).await;
        Self::changed(done)
    }

    /// Removes a voter; its id is not used again. Only the leader can.
    ///
    /// # Errors
    /// [`VoterError`].
    pub async fn remove_voter(&self, id: u64) -> Result<(), VoterError> {
        let change = self.node.raft.change_membership(ChangeMembers::RemoveVoters(BTreeSet::from([id])), false);
        let done = timeout(CHANGE_LIMIT, change).await;
        Self::changed(done)
    }

    /// Asks another voter to take over. Only the leader can; watch the status for the change.
    ///
    /// # Errors
    /// [`VoterError`].
    pub async fn transfer_leader(&self, to: u64) -> Result<(), VoterError> {
        if !self.node.status.borrow().is_leader() {
            return Err(VoterError::NotLeader { leader: self.node.status.borrow().leader.clone() });
        }
        self.node.raft.trigger().transfer_leader(to).await.map_err(|error| VoterError::Refused(error.to_string()))
    }

    /// The voter that has most of the leader's log.
    pub(crate) fn successor(&self) -> Option<u64> {
        let metrics = self.node.raft.metrics();
        let metrics = metrics.borrow_watched();
        let voters: BTreeSet<u64> = metrics.membership_config.membership().voter_ids().collect();
        let matched = metrics.replication.as_ref()?.iter().filter(|(id, _)| voters.contains(id) && **id != metrics.id);
        matched.max_by_key(|(_, matched)| **matched).map(|(id, _)| *id)
    }

    fn changed<T>(done: Result<Result<T, WriteError>, tokio::time::error::Elapsed>) -> Result<(), VoterError> {
        match done {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Self::voter_error(error)),
            Err(_) => Err(VoterError::Timeout),
        }
    }

    fn voter_error(error: WriteError) -> VoterError {
        if let RaftError::APIError(ClientWriteError::ForwardToLeader(to)) = error {
            return VoterError::NotLeader { leader: to.leader_id.map(|id| (id, to.leader_node.unwrap_or_default())) };
        }
        VoterError::Refused(error.to_string())
    }
}
