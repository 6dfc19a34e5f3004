//! What `/readyz` says: every reason why this agent should not be relied on.

use mesh_proto::tls::Identity;
use tokio::sync::watch;

use crate::{clock, desired::Desired, gossip::RingHealth, identity::Life, raft::Health};

/// A leader that was not heard of for so long is worth a reason, in milliseconds.
const LEADER_AGE_MAX_MS: u64 = 10_000;

/// The sources of readiness.
pub struct Readiness {
    desired: Desired,
    identity: Identity,
    ring: watch::Receiver<RingHealth>,
}

impl Readiness {
    /// Joins its sources.
    #[must_use]
    pub fn new(desired: Desired, identity: Identity, ring: watch::Receiver<RingHealth>) -> Self {
        Self { desired, identity, ring }
    }

    /// Whether all is well.
    ///
    /// # Errors
    /// The reasons why not.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let reasons: Vec<String> = [self.store(), self.leader(), self.replica(), self.gossip(), self.certificate()]
            .into_iter()
            .flatten()
            .collect();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn store(&self) -> Option<String> {
        let empty = self.desired.store().revision().0 == 0;
        empty.then(|| "the mesh is not initialised, or its state has not arrived here".to_owned())
    }

    fn leader(&self) -> Option<String> {
        match self.desired.leader_age_ms() {
            None => Some("no leader was heard of since the start".to_owned()),
            Some(age_ms) if age_ms > LEADER_AGE_MAX_MS => {
                Some(format!("no leader was heard of for {} s", age_ms / 1000))
            }
            Some(_) => None,
        }
    }

    fn replica(&self) -> Option<String> {
        let raft = self.desired.raft()?;
        match &raft.status().borrow().health {
            Health::Serving => None,
            Health::Parked { reason } => Some(reason.clone()),
            Health::Diverged(divergence) => Some(divergence.to_string()),
        }
    }

    fn gossip(&self) -> Option<String> {
        match &*self.ring.borrow() {
            RingHealth::Running { .. } => None,
            RingHealth::Restarting { reason } => Some(format!("the gossip ring is started again: {reason}")),
        }
    }

    fn certificate(&self) -> Option<String> {
        Life::of(&self.identity).ready(clock::now()).err()
    }
}
