//! Raft's way to its peers: openraft's network traits over one narrow transport, so that tests can put a simulated one in its place.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use mesh_core::id::Lineage;
use openraft::{
    OptionalSend,
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{Backoff, RPCOption, RaftNetworkFactory, v2::RaftNetworkV2},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
        VoteRequest, VoteResponse,
    },
};
use tokio::time::Instant;

use super::{
    types::{Entry, Peer, Snapshot, Types, Vote},
    wire::{self, SnapshotMessage, VoteMessage},
};

/// An append carries at most this many bytes of entries, or one entry.
const APPEND_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long an unreachable peer is left alone between two tries.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// A command in the log has at most 1 MiB; a snapshot at most the whole store. Both with room for names.
const ENTRY_OVERHEAD_BYTES: usize = 256;

/// What is asked of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rpc {
    /// Append entries, or a heartbeat.
    Append,
    /// Vote, or say whether you would.
    Vote,
    /// Install a snapshot.
    Snapshot,
    /// Take over leadership.
    TransferLeader,
    /// Give a read barrier.
    ReadIndex,
    /// Propose a command as the leader.
    Forward,
}

/// Traffic that must not wait behind other traffic has a connection of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Entries and votes.
    Replication,
    /// Heartbeats.
    Heartbeat,
    /// Snapshots.
    Snapshot,
    /// Commands and read barriers on behalf of callers.
    Forward,
}

/// A message with the facts that are checked before anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The mesh both belong to.
    pub cluster: String,
    /// The history both are in.
    pub lineage: Lineage,
    /// The sender's id.
    pub from: u64,
    /// The id the sender believes the receiver to have.
    pub to: u64,
    /// The message.
    pub payload: Bytes,
}

/// One call to a peer.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) peer: Peer,
    pub(crate) rpc: Rpc,
    pub(crate) purpose: Purpose,
    pub(crate) envelope: Envelope,
    /// The call is given up after this.
    pub(crate) limit: Duration,
}

/// No answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no answer from the peer: {why}")]
pub(crate) struct Unreached {
    pub(crate) why: String,
    /// Whether the peer may have seen the call, so that its effect is not known.
    pub(crate) sent: bool,
}

/// Carries calls to peers.
pub(crate) trait Transport: Send + Sync + 'static {
    /// Calls a peer and waits for its answer within the call's limit.
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Bytes, Unreached>>;
}

/// When each peer last answered us or called us.
#[derive(Default)]
pub(crate) struct Contacts {
    heard: Mutex<BTreeMap<u64, Instant>>,
    led: Mutex<Option<Instant>>,
}

impl Contacts {
    pub(crate) fn heard(&self, node: u64) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(node, Instant::now());
    }

    pub(crate) fn last(&self, node: u64) -> Option<Instant> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(&node).copied()
    }

    /// A leader's append or heartbeat was accepted.
    pub(crate) fn follows(&self) {
        *self.led.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// When that was last.
    pub(crate) fn led(&self) -> Option<Instant> {
        *self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who we are to our peers, and how we reach them.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) cluster: String,
    pub(crate) lineage: Lineage,
    pub(crate) me: u64,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) contacts: Arc<Contacts>,
}

impl Network {
    /// Calls a peer and notes that it answered.
    pub(crate) async fn call(
        &self,
        (to, peer): (u64, &Peer),
        what: (Rpc, Purpose),
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, Unreached> {
        let envelope = Envelope { cluster: self.cluster.clone(), lineage: self.lineage, from: self.me, to, payload };
        let call = Call { peer: peer.clone(), rpc: what.0, purpose: what.1, envelope, limit };
        let answer = self.transport.call(call).await?;
        self.contacts.heard(to);
        Ok(answer)
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &Peer) -> Connection {
        self.connection(target, node, Purpose::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &Peer) -> Connection {
        self.connection(target, node, Purpose::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &Peer) -> Connection {
        self.connection(target, node, Purpose::Snapshot)
    }
}

impl Network {
    fn connection(&self, to: u64, peer: &Peer, purpose: Purpose) -> Connection {
        Connection { network: self.clone(), to, peer: peer.clone(), purpose }
    }
}

/// One kind of traffic to one peer.
pub(crate) struct Connection {
    network: Network,
    to: u64,
    peer: Peer,
    purpose: Purpose,
}

impl Connection {
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        rpc: Rpc,
        payload: Bytes,
        limit: Duration,
    ) -> Result<T, Unreachable<Types>> {
        let answer = self.network.call((self.to, &self.peer), (rpc, self.purpose), payload, limit).await;
        // Whatever went wrong, the peer is of no use right now: openraft backs off only for `Unreachable`.
        let answer = answer.map_err(|error| Unreachable::new(&error))?;
        wire::decode(&answer).map_err(|error| Unreachable::new(&error))
    }
}

/// How many of the entries go into one append.
fn fitting(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fit = entries.iter().take_while(|entry| {
        let len = if let openraft::EntryPayload::Normal(payload) = &entry.payload { payload.0.len() } else { 0 };
        bytes += ENTRY_OVERHEAD_BYTES + len;
        bytes <= APPEND_BYTES_MAX
    });
    fit.count().max(1).min(entries.len())
}

impl RaftNetworkV2<Types> for Connection {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        mut request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let fitting = fitting(&request.entries);
        let part = fitting < request.entries.len();
        request.entries.truncate(fitting);
        let sent = request.entries.last().map(|entry| entry.log_id);
        let answer: AppendEntriesResponse<Types> =
            self.ask(Rpc::Append, wire::encode(&request), option.hard_ttl()).await?;
        Ok(if part && answer.is_success() { AppendEntriesResponse::PartialSuccess(sent) } else { answer })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Ok(self.ask(Rpc::Vote, wire::encode(&VoteMessage::Vote(request)), option.hard_ttl()).await?)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        Ok(self.ask(Rpc::Vote, wire::encode(&VoteMessage::PreVote(request)), option.hard_ttl()).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let payload = wire::encode_with(&SnapshotMessage { vote, meta: snapshot.meta }, &snapshot.snapshot);
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            answer = self.ask(Rpc::Snapshot, payload, option.hard_ttl()) => Ok(answer?),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        Ok(self.ask(Rpc::TransferLeader, wire::encode(&request), option.hard_ttl()).await?)
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new(std::iter::repeat(RETRY_AFTER)))
    }
}
