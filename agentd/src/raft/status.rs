//! What a coordinator knows about the agreement: who leads, who votes, who is missing, and how old that is.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mesh_core::time::Timestamp;
use openraft::{Instant as _, ServerState, async_runtime::watch::WatchReceiver};
use tokio::{sync::watch, time::Instant};

use super::{
    Profile,
    failure::FailureSender,
    machine::Health,
    network::Contacts,
    types::{Peer, Raft},
};

/// The status is worked out this often, and at once when who leads or votes has changed: positions and ages move with
/// every heartbeat, and nobody waits for them.
const EVERY: Duration = Duration::from_millis(250);

/// What this node is in the agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It takes the writes.
    Leader,
    /// It follows a leader.
    Follower,
    /// It seeks a leader.
    Candidate,
    /// It replicates without a vote.
    #[default]
    Learner,
    /// It has stopped.
    Stopped,
}

/// One voter as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its id.
    pub id: u64,
    /// Its name and address.
    pub peer: Peer,
    /// How long ago it last answered or called this node; `None` when it never did since the start, or is this node.
    pub contact_age_ms: Option<u64>,
}

/// The agreement as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RaftStatus {
    /// This node's id.
    pub node_id: u64,
    /// What this node is.
    pub standing: Standing,
    /// The term.
    pub term: u64,
    /// The leader it knows of.
    pub leader: Option<(u64, Peer)>,
    /// How long ago a leader was last confirmed: by a quorum on the leader itself, by the leader elsewhere; `None` when never.
    pub leader_age_ms: Option<u64>,
    /// All voters, by id.
    pub voters: Vec<Voter>,
    /// Since when no leader is confirmed; `None` while one is, or before the first.
    pub quorum_lost_since: Option<Timestamp>,
    /// The voters that this node cannot reach; known only while no leader is confirmed.
    pub missing: Vec<Peer>,
    /// The index of the last log entry.
    pub last_log_index: Option<u64>,
    /// The index of the last applied entry.
    pub applied_index: Option<u64>,
    /// The index of the last entry in a snapshot.
    pub snapshot_index: Option<u64>,
    /// Whether this replica may be served.
    pub health: Health,
}

impl RaftStatus {
    /// Whether this node leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.standing == Standing::Leader
    }

    /// Whether this is news after `old`: more than ages and positions, which move all the time.
    fn is_news(&self, old: &Self) -> bool {
        let voters = |it: &Self| it.voters.iter().map(|voter| (voter.id, voter.peer.clone())).collect::<Vec<_>>();
        self.standing != old.standing
            || (self.term, &self.leader) != (old.term, &old.leader)
            || self.leader_age_ms.is_some() != old.leader_age_ms.is_some()
            || self.quorum_lost_since.is_some() != old.quorum_lost_since.is_some()
            || self.missing != old.missing
            || self.health != old.health
            || voters(self) != voters(old)
    }
}

/// Works out the status.
pub(crate) struct Observer {
    pub(crate) raft: Raft,
    pub(crate) contacts: Arc<Contacts>,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) profile: Profile,
    pub(crate) clock: super::Clock,
    pub(crate) failure: FailureSender,
    /// When a leader was last confirmed.
    pub(crate) confirmed: Option<Instant>,
}

impl Observer {
    /// Keeps the status up to date and wakes whoever waits for news of it, until raft stops.
    pub(crate) async fn run(mut self, status: watch::Sender<RaftStatus>) {
        let mut roles = self.raft.server_metrics();
        let mut ended = false;
        loop {
            let (mut now, running) = self.observe();
            if running.is_err() {
                now.standing = Standing::Stopped;
            }
            status.send_if_modified(|old| {
                let news = now.is_news(old);
                *old = now;
                news
            });
            if let Err(error) = running {
                if !matches!(error, openraft::errors::Fatal::Stopped) {
                    self.failure.report(&format!("the raft core has failed: {error}"));
                }
                return;
            }
            if ended {
                return;
            }
            // The time limit and a change are treated alike: observe again, after the end for a last time.
            ended = matches!(tokio::time::timeout(EVERY, roles.changed()).await, Ok(Err(_)));
        }
    }

    fn observe(&mut self) -> (RaftStatus, Result<(), openraft::errors::Fatal<super::types::Types>>) {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let peers: BTreeMap<u64, Peer> = membership.nodes().map(|(id, peer)| (*id, peer.clone())).collect();
        let me = metrics.id;
        let age = |at: Instant| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);

        // Nobody answers a single voter: it is its own quorum for as long as it leads.
        let is_alone = membership.voter_ids().eq([me]);
        let heard = match metrics.current_leader {
            Some(leader) if leader != me => self.contacts.last(leader),
            Some(_) if metrics.state == ServerState::Leader && is_alone => Some(Instant::now()),
            Some(_) if metrics.state == ServerState::Leader => {
                metrics.last_quorum_acked.as_ref().and_then(|at| Instant::now().checked_sub(at.elapsed()))
            }
            _ => None,
        };
        self.confirmed = self.confirmed.max(heard);
        let leader_age_ms = self.confirmed.map(age);
        let patience_ms = self.profile.patience_ms();
        let lost = leader_age_ms.is_some_and(|age| age > patience_ms);

        let voters: Vec<Voter> = membership
            .voter_ids()
            .map(|id| Voter {
                id,
                peer: peers.get(&id).cloned().unwrap_or_default(),
                contact_age_ms: self.contacts.last(id).map(age),
            })
            .collect();
        let unreachable = |voter: &&Voter| voter.id != me && voter.contact_age_ms.is_none_or(|age| age > patience_ms);
        let missing = voters
            .iter()
            .filter(unreachable)
            .filter(|_| lost || leader_age_ms.is_none())
            .map(|voter| voter.peer.clone())
            .collect();
        let status = RaftStatus {
            node_id: me,
            standing: match metrics.state {
                ServerState::Leader => Standing::Leader,
                ServerState::Follower => Standing::Follower,
                ServerState::Candidate => Standing::Candidate,
                ServerState::Learner => Standing::Learner,
                ServerState::Shutdown => Standing::Stopped,
            },
            term: metrics.current_term,
            leader: metrics.current_leader.map(|id| (id, peers.get(&id).cloned().unwrap_or_default())),
            leader_age_ms,
            voters,
            quorum_lost_since: leader_age_ms
                .filter(|_| lost)
                .map(|age| Timestamp((self.clock)().0.saturating_sub(age))),
            missing,
            last_log_index: metrics.last_log_index,
            applied_index: metrics.last_applied.map(|it| it.index),
            snapshot_index: metrics.snapshot.map(|it| it.index),
            health: self.health.borrow().clone(),
        };
        (status, metrics.running_state.clone())
    }
}
