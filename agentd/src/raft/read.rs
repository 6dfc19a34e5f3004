//! Reads that miss no acknowledged write: the leader names a log position behind a quorum, this replica applies up to it.

use std::{sync::Arc, time::Duration};

use mesh_core::store::Store;
use openraft::{
    ReadPolicy,
    async_runtime::watch::WatchReceiver,
    errors::{LinearizableReadError, RaftError},
    raft::linearizable_read::{Linearizer, ReadLogId},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    RaftHandle,
    network::{Purpose, Rpc},
    types::Peer,
    wire::{self, BarrierMessage},
};

/// A read is given up after this.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// One try at one leader.
const TRY_LIMIT: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Why there is no up-to-date read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader with a quorum was found in time.
    #[error("the coordinators have no quorum: only an older state can be read here")]
    NoQuorum {
        /// The voters this node cannot reach.
        missing: Vec<Peer>,
    },
    /// This replica must not be served.
    #[error("this coordinator does not serve: {0}")]
    Unfit(String),
}

impl RaftHandle {
    /// The store with every write in it that was acknowledged before this call; works on every coordinator.
    ///
    /// # Errors
    /// [`ReadError::NoQuorum`] after 5 s, or [`ReadError::Unfit`].
    pub async fn read_barrier(&self) -> Result<Arc<Store>, ReadError> {
        self.read_until(Instant::now() + READ_LIMIT).await
    }

    /// The same with a deadline of the caller's.
    ///
    /// # Errors
    /// As [`Self::read_barrier`].
    pub async fn read_until(&self, deadline: Instant) -> Result<Arc<Store>, ReadError> {
        loop {
            if let Some(why) = self.unfit() {
                return Err(ReadError::Unfit(why));
            }
            let limit = TRY_LIMIT.min(deadline.saturating_duration_since(Instant::now()));
            if let Ok(Some(barrier)) = timeout(limit, self.find_barrier()).await {
                let left = deadline.saturating_duration_since(Instant::now());
                if matches!(barrier.try_await_ready(&self.node.raft, Some(left)).await, Ok(Ok(_))) {
                    return Ok(Arc::clone(&self.store().borrow()));
                }
            }
            if Instant::now() + RETRY_AFTER >= deadline {
                let missing = self.node.status.borrow().missing.clone();
                return Err(ReadError::NoQuorum { missing });
            }
            sleep(RETRY_AFTER).await;
        }
    }

    async fn find_barrier(&self) -> Option<Linearizer<super::types::Types>> {
        match self.node.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(barrier) => Some(barrier),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                self.ask_barrier(to.leader_id?).await
            }
            Err(_) => None,
        }
    }

    async fn ask_barrier(&self, leader: u64) -> Option<Linearizer<super::types::Types>> {
        let peer = self.peer(leader)?;
        let what = (Rpc::ReadIndex, Purpose::Forward);
        let answer = self.node.network.call((leader, &peer), what, wire::encode(&()), TRY_LIMIT).await.ok()?;
        let BarrierMessage::Read(position) = wire::decode(&answer).ok()? else {
            return None;
        };
        let applied = self.node.raft.metrics().borrow_watched().last_applied;
        Some(Linearizer::new(leader, ReadLogId::from_log_id(position), applied))
    }

    /// The barrier for a follower that asks.
    pub(crate) async fn barrier(&self) -> BarrierMessage {
        let barrier = timeout(TRY_LIMIT, self.node.raft.get_read_linearizer(ReadPolicy::ReadIndex)).await;
        match barrier {
            Ok(Ok(barrier)) => BarrierMessage::Read(*barrier.read_log_id().log_id()),
            Ok(Err(_)) | Err(_) => BarrierMessage::Refused,
        }
    }
}
