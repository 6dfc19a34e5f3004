//! What a coordinator answers its peers: first whether the message is for it at all, then raft's own answer.

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, TransferLeaderRequest};

use super::{
    RaftHandle,
    machine::check_snapshot,
    network::{Envelope, Rpc},
    types::{Snapshot, Types},
    wire::{self, SnapshotMessage, VoteMessage, WireError},
};

/// Why a peer's message gets no answer from raft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// It is of another mesh.
    #[error("message of mesh `{found}`, this node belongs to `{own}`")]
    Mesh {
        /// The sender's mesh.
        found: String,
        /// This node's.
        own: String,
    },
    /// It is of another history of this mesh.
    #[error(
        "message of lineage {found}, this node is in lineage {own}: one of the two was recovered, add the other anew"
    )]
    Lineage {
        /// The sender's.
        found: u32,
        /// This node's.
        own: u32,
    },
    /// It is for a coordinator that this node is not.
    #[error("message for coordinator {found}, this is coordinator {own}")]
    Target {
        /// Whom the sender meant.
        found: u64,
        /// Who this is.
        own: u64,
    },
    /// It cannot be read.
    #[error("{0}")]
    Message(String),
    /// Raft does not answer.
    #[error("raft does not answer: {0}")]
    Unavailable(String),
}

impl From<WireError> for ServeError {
    fn from(error: WireError) -> Self {
        Self::Message(error.to_string())
    }
}

impl RaftHandle {
    /// Answers a peer's message.
    ///
    /// # Errors
    /// [`ServeError`] when it is not for this node, not readable, or raft has stopped.
    pub async fn serve(&self, rpc: Rpc, message: Envelope) -> Result<Bytes, ServeError> {
        self.check(&message)?;
        let answer = match rpc {
            Rpc::Append => self.serve_append(&message.payload).await,
            Rpc::Vote => self.serve_vote(&message.payload).await,
            Rpc::Snapshot => self.serve_snapshot(&message.payload).await,
            Rpc::TransferLeader => self.serve_transfer(&message.payload).await,
            Rpc::ReadIndex => Ok(wire::encode(&self.barrier().await)),
            Rpc::Forward => self.serve_forward(&message.payload).await,
        }?;
        // A forwarded command names no sender: its envelope is made by the service.
        if message.from != 0 {
            self.node.network.contacts.heard(message.from);
        }
        Ok(answer)
    }

    fn check(&self, message: &Envelope) -> Result<(), ServeError> {
        let network = &self.node.network;
        if message.cluster != network.cluster {
            let found = message.cluster.chars().take(128).collect();
            return Err(ServeError::Mesh { found, own: network.cluster.clone() });
        }
        if message.lineage != network.lineage {
            return Err(ServeError::Lineage { found: message.lineage.0, own: network.lineage.0 });
        }
        if message.to != network.me {
            return Err(ServeError::Target { found: message.to, own: network.me });
        }
        Ok(())
    }

    async fn serve_append(&self, payload: &[u8]) -> Result<Bytes, ServeError> {
        let request: AppendEntriesRequest<Types> = wire::decode(payload)?;
        let answer = self.node.raft.append_entries(request).await;
        let answer = answer.map_err(|error| ServeError::Unavailable(error.to_string()))?;
        // Whoever is not accepted as the leader keeps no election away.
        if answer.is_success() {
            self.node.network.contacts.follows();
        }
        Ok(wire::encode(&answer))
    }

    async fn serve_vote(&self, payload: &[u8]) -> Result<Bytes, ServeError> {
        let answer = match wire::decode(payload)? {
            VoteMessage::Vote(request) => self.node.raft.vote(request).await,
            VoteMessage::PreVote(request) => self.node.raft.pre_vote(request).await,
        };
        answer.map(|answer| wire::encode(&answer)).map_err(|error| ServeError::Unavailable(error.to_string()))
    }

    /// An error out of the machine would stop raft for good, so a snapshot is checked whole before raft sees it.
    async fn serve_snapshot(&self, payload: &Bytes) -> Result<Bytes, ServeError> {
        let (message, snapshot): (SnapshotMessage, Bytes) = wire::decode_with(payload)?;
        let (bytes, network) = (snapshot.clone(), self.node.network.clone());
        let checked = tokio::task::spawn_blocking(move || {
            check_snapshot(&bytes, &network.cluster, network.lineage).map(|(meta, _)| meta)
        });
        let meta =
            checked.await.map_err(|error| ServeError::Unavailable(error.to_string()))?.map_err(ServeError::Message)?;
        if meta != message.meta {
            return Err(ServeError::Message("snapshot is not the one it is announced as".to_owned()));
        }
        let answer = self.node.raft.install_full_snapshot(message.vote, Snapshot { meta, snapshot }).await;
        answer.map(|answer| wire::encode(&answer)).map_err(|error| ServeError::Unavailable(error.to_string()))
    }

    async fn serve_transfer(&self, payload: &[u8]) -> Result<Bytes, ServeError> {
        let request: TransferLeaderRequest<Types> = wire::decode(payload)?;
        let answer = self.node.raft.handle_transfer_leader(request).await;
        answer.map(|answer| wire::encode(&answer)).map_err(|error| ServeError::Unavailable(error.to_string()))
    }
}
