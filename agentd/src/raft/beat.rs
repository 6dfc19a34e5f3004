//! When consensus needs its clock. openraft looks fifty times a second whether something is due, and nearly always
//! nothing is: a leader owes one heartbeat in each interval, and for a follower nothing can be due before its leader
//! has been silent for an election timeout. So its ticks rest while that is known, and go on in every other case.

use std::{sync::Arc, time::Duration};

use openraft::{ServerState, async_runtime::watch::WatchReceiver};
use tokio::time::{Instant, timeout_at};

use super::{network::Contacts, types::Raft};

/// Keeps the ticks to when they are needed.
pub(crate) struct Beat {
    pub(crate) raft: Raft,
    pub(crate) contacts: Arc<Contacts>,
    pub(crate) timing: Timing,
}

/// How long consensus can do without its clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// A leader speaks this often.
    pub(crate) heartbeat: Duration,
    /// A follower's election is further away than this after every word of its leader: openraft counts the whole
    /// timeout from the end of the leader's lease, and that is longer still.
    pub(crate) quiet: Duration,
}

/// What is done until when.
#[derive(Debug, PartialEq, Eq)]
enum Plan {
    /// The ticks rest until then, for this node leads and speaks then.
    Lead(Instant),
    /// The ticks rest until then, for the leader was heard.
    Rest(Instant),
    /// The ticks go on, and it is looked again then.
    Tick(Instant),
}

impl Timing {
    /// Looks at what this node is, whether it knows a leader and when it accepted one's word last, and when its own next
    /// heartbeat is due.
    fn plan(self, (state, leader): (ServerState, Option<u64>), led: Option<Instant>, due: Instant) -> Plan {
        let now = Instant::now();
        match (state, leader) {
            (ServerState::Leader, _) => Plan::Lead(due),
            (ServerState::Follower | ServerState::Learner, Some(_)) => match led.map(|at| at + self.quiet) {
                Some(until) if until > now => Plan::Rest(until),
                Some(_) | None => Plan::Tick(now + self.heartbeat),
            },
            (ServerState::Follower | ServerState::Learner | ServerState::Candidate | ServerState::Shutdown, _) => {
                Plan::Tick(now + self.heartbeat)
            }
        }
    }
}

impl Beat {
    /// Runs until raft stops.
    pub(crate) async fn run(self) {
        let mut roles = self.raft.server_metrics();
        let mut due = Instant::now();
        loop {
            let role = {
                let roles = roles.borrow_watched();
                (roles.state, roles.current_leader)
            };
            let plan = self.timing.plan(role, self.contacts.led(), due);
            self.raft.runtime_config().tick(matches!(plan, Plan::Tick(_)));
            let until = match plan {
                Plan::Lead(at) if at > Instant::now() => at,
                Plan::Lead(_) => {
                    if self.raft.trigger().heartbeat().await.is_err() {
                        return;
                    }
                    due = Instant::now() + self.timing.heartbeat;
                    due
                }
                Plan::Rest(until) | Plan::Tick(until) => until,
            };
            // The end of the wait and a change are treated alike: everything is looked at again.
            if matches!(timeout_at(until, roles.changed()).await, Ok(Err(_))) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_ticks_rest_only_while_nothing_can_be_due() {
        let ms = Duration::from_millis;
        let timing = Timing { heartbeat: ms(100), quiet: ms(300) };
        tokio::time::advance(ms(10_000)).await;
        let now = Instant::now();
        let (heard, silent, due) = (Some(now - ms(80)), Some(now - ms(300)), now + ms(40));
        let (rest, tick) = (Plan::Rest(now + ms(220)), Plan::Tick(now + ms(100)));
        let check = |state, leader, led, expected: &Plan| {
            assert_eq!(timing.plan((state, leader), led, due), *expected, "{state:?} {leader:?} {led:?}");
        };
        check(ServerState::Leader, Some(1), None, &Plan::Lead(due));
        check(ServerState::Follower, Some(2), heard, &rest);
        check(ServerState::Learner, Some(2), heard, &rest);
        check(ServerState::Follower, Some(2), silent, &tick);
        // After a start the leader is known from the disk, and nobody has heard it yet.
        check(ServerState::Follower, Some(2), None, &tick);
        // Another one is being elected: what the old one said keeps nothing away.
        check(ServerState::Follower, None, heard, &tick);
        check(ServerState::Candidate, Some(2), heard, &tick);
        check(ServerState::Candidate, None, heard, &tick);
    }
}
