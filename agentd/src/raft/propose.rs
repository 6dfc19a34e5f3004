//! A write, from any coordinator: to the leader, again under the same request id until it is answered or its time is over.

use std::time::Duration;

use bytes::Bytes;
use mesh_core::{
    id::RequestId,
    store::{Command, Outcome},
};
use openraft::{
    async_runtime::watch::WatchReceiver,
    errors::{ClientWriteError, ForwardToLeader, RaftError},
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    RaftHandle, ServeError,
    machine::Health,
    network::{Purpose, Rpc},
    types::{Payload, Peer, Types},
};

/// A write is given up after this.
pub(crate) const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// One try at one leader; a leader that lost its quorum would keep it waiting for longer.
const TRY_LIMIT: Duration = Duration::from_secs(2);
/// Between two tries.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// A try is not begun with less time than this: cut short on its way to nobody, it would leave an outcome unknown that is
/// known, since nobody took the write.
const TRY_LEAST: Duration = Duration::from_millis(250);
/// When the quorum has been gone for so long, a write waits only for an election, not until its deadline.
const HOPELESS_AFTER: Duration = Duration::from_secs(5);
const ELECTION_WAIT: Duration = Duration::from_secs(2);
const ANSWER_FORMAT: u16 = 1;

/// Why a write has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// No leader took it: it has no effect, now or later.
    #[error("refused: the coordinators have no quorum{}", missing_text(missing))]
    NoQuorum {
        /// The voters this node cannot reach.
        missing: Vec<Peer>,
    },
    /// A leader may have taken it, and nobody answered in time: ask again with the same request id.
    #[error(
        "outcome unknown of request {id}: it may still take effect, repeat it with the same request id{}",
        missing_text(missing)
    )]
    OutcomeUnknown {
        /// The request.
        id: RequestId,
        /// The voters this node cannot reach.
        missing: Vec<Peer>,
    },
    /// The leader does not serve: it met a newer build's entry, or differs from its peers.
    #[error("the leader does not serve: {0}")]
    Unfit(String),
    /// This coordinator has stopped or failed.
    #[error("this coordinator has stopped: {0}")]
    Stopped(String),
}

fn missing_text(missing: &[Peer]) -> String {
    let names: Vec<_> = missing.iter().map(|peer| peer.name.as_str()).collect();
    if names.is_empty() { String::new() } else { format!(" (missing: {})", names.join(", ")) }
}

/// What one try came to; also what the leader answers a follower that forwards.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Try {
    Done(Outcome),
    /// Nothing entered a log; the leader may be this one.
    Elsewhere(Option<u64>),
    /// It may have entered a log.
    Unknown,
    Unfit(String),
    /// Raft had stopped before.
    Stopped(String),
    /// Raft stopped meanwhile: others may have the entry.
    Broken,
}

impl RaftHandle {
    /// Proposes a command and waits for its outcome, 5 s at most; every coordinator takes it and finds the leader.
    ///
    /// Its time is stamped by the leader. The same request id may be proposed again after any error.
    ///
    /// # Errors
    /// [`ProposeError`] saying whether the command may have an effect.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        self.propose_until(command, Instant::now() + WRITE_LIMIT).await
    }

    /// The same with a deadline of the caller's.
    ///
    /// # Errors
    /// As [`Self::propose`].
    pub async fn propose_until(&self, command: Command, deadline: Instant) -> Result<Outcome, ProposeError> {
        if let Err(reason) = command.check() {
            return Ok(Outcome::Refused(reason));
        }
        let begun = Instant::now();
        let hopeless = self.is_hopeless();
        let mut sent = false;
        loop {
            match self.try_anywhere(&command, deadline).await {
                // A repetition of our own making is the first application to our caller.
                Try::Done(outcome) if sent => return Ok(outcome.first().clone()),
                Try::Done(outcome) => return Ok(outcome),
                Try::Elsewhere(_) => {}
                Try::Unknown => sent = true,
                Try::Unfit(why) if !sent => return Err(ProposeError::Unfit(why)),
                Try::Stopped(why) if !sent => return Err(ProposeError::Stopped(why)),
                Try::Unfit(_) | Try::Stopped(_) => return Err(self.unanswered(&command, sent)),
                Try::Broken => return Err(self.unanswered(&command, true)),
            }
            if Instant::now() + RETRY_AFTER + TRY_LEAST > deadline
                || (!sent && hopeless && begun.elapsed() > ELECTION_WAIT)
            {
                return Err(self.unanswered(&command, sent));
            }
            sleep(RETRY_AFTER).await;
        }
    }

    fn unanswered(&self, command: &Command, sent: bool) -> ProposeError {
        let missing = self.node.status.borrow().missing.clone();
        if sent { ProposeError::OutcomeUnknown { id: command.id, missing } } else { ProposeError::NoQuorum { missing } }
    }

    fn is_hopeless(&self) -> bool {
        let status = self.node.status.borrow();
        let limit = u64::try_from(HOPELESS_AFTER.as_millis()).unwrap_or(u64::MAX);
        status.quorum_lost_since.is_some() && status.leader_age_ms.is_some_and(|age| age > limit)
    }

    async fn try_anywhere(&self, command: &Command, deadline: Instant) -> Try {
        let deadline = deadline.min(Instant::now() + TRY_LIMIT);
        let here = self.try_here(command.clone(), deadline).await;
        if let Try::Elsewhere(Some(leader)) = here
            && leader != self.node.network.me
        {
            return self.try_there(leader, command, deadline).await;
        }
        here
    }

    /// Proposes as the leader, which stamps the time.
    async fn try_here(&self, mut command: Command, deadline: Instant) -> Try {
        let unfit = self.unfit();
        if self.node.status.borrow().is_leader()
            && let Some(why) = unfit
        {
            return Try::Unfit(why);
        }
        if let Err(error) = self.node.raft.metrics().borrow_watched().running_state.clone() {
            return Try::Stopped(error.to_string());
        }
        command.at = (self.node.clock)();
        let write = self.node.raft.client_write(Payload(command.encode()));
        let forward = |to: ForwardToLeader<Types>| Try::Elsewhere(to.leader_id);
        match timeout_at(deadline, write).await {
            Ok(Ok(written)) => Try::Done(written.data.0),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))) => forward(to),
            // Discarded here on a change of leader; it may be in the new leader's log.
            Ok(Err(RaftError::APIError(_))) | Err(_) => Try::Unknown,
            Ok(Err(RaftError::Fatal(_))) => Try::Broken,
        }
    }

    /// Hands the command to the leader over the network.
    async fn try_there(&self, leader: u64, command: &Command, deadline: Instant) -> Try {
        let Some(peer) = self.peer(leader) else {
            return Try::Elsewhere(None);
        };
        let limit = deadline.saturating_duration_since(Instant::now());
        let answer =
            self.node.network.call((leader, &peer), (Rpc::Forward, Purpose::Forward), command.encode(), limit).await;
        match answer {
            // The leader's state is not ours: another may lead in a moment.
            Ok(answer) => match decode_try(&answer) {
                Some(Try::Stopped(_)) => Try::Elsewhere(None),
                Some(Try::Broken) | None => Try::Unknown,
                Some(other) => other,
            },
            Err(error) if error.sent => Try::Unknown,
            Err(_) => Try::Elsewhere(None),
        }
    }

    /// Answers a follower that hands a command on; it is not handed on twice.
    pub(crate) async fn serve_forward(&self, payload: &[u8]) -> Result<Bytes, ServeError> {
        let command = Command::decode(payload).map_err(|error| ServeError::Message(error.to_string()))?;
        let answer = match command.check() {
            Ok(()) => self.try_here(command, Instant::now() + TRY_LIMIT).await,
            Err(reason) => Try::Done(Outcome::Refused(reason)),
        };
        encode_try(&answer).map_err(|error| ServeError::Unavailable(error.to_string()))
    }

    /// Why this replica must not be served; `None` when it may.
    pub(crate) fn unfit(&self) -> Option<String> {
        match &*self.node.machine.health().borrow() {
            Health::Serving => None,
            Health::Parked { reason } => Some(reason.clone()),
            Health::Diverged(divergence) => Some(divergence.to_string()),
        }
    }

    /// Name and address of a coordinator.
    pub(crate) fn peer(&self, id: u64) -> Option<Peer> {
        let status = self.node.status.borrow();
        status.voters.iter().find(|voter| voter.id == id).map(|voter| voter.peer.clone())
    }
}

/// Outcomes name kinds, whose order may differ between builds: their names are sent.
fn encode_try(answer: &Try) -> serde_json::Result<Bytes> {
    let mut out = ANSWER_FORMAT.to_be_bytes().to_vec();
    serde_json::to_writer(&mut out, answer)?;
    Ok(out.into())
}

fn decode_try(bytes: &[u8]) -> Option<Try> {
    let (format, body) = bytes.split_first_chunk::<2>()?;
    if u16::from_be_bytes(*format) != ANSWER_FORMAT {
        return None;
    }
    serde_json::from_slice(body).ok()
}
