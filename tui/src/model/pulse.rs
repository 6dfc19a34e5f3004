//! What is asked of every node every second, in a few bytes a node: a walk over ten thousand stays in the cache.

use mesh_core::{id::Revision, status::Phase, time::Timestamp};

use super::{Level, STALE_MS, attention, fleet::Node, sums, totals};

/// One node from afar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pulse {
    pub(crate) heard: Option<Timestamp>,
    pub(crate) applied: Option<Revision>,
    pub(crate) util: Option<u8>,
    phase: Phase,
    /// How it looks while it is heard.
    level: Level,
    /// Whether no check can find anything but its silence or an old revision.
    pub(crate) calm: bool,
    /// Whether it should have GPUs and cannot read them.
    pub(crate) blind: bool,
}

impl Pulse {
    pub(crate) fn of(node: &Node) -> Self {
        Self {
            heard: node.heard,
            applied: node.applied,
            util: node.util,
            phase: node.phase,
            level: totals::state(node, node.heard.unwrap_or_default()).0,
            calm: attention::is_calm(node),
            blind: sums::is_blind(node),
        }
    }

    /// Whether its newest statement is old.
    pub(crate) fn is_stale(&self, now: Timestamp) -> bool {
        self.heard.is_some_and(|it| it.age_ms(now) > STALE_MS)
    }

    /// Whether it has not applied a revision that it could have.
    pub(crate) fn is_behind(&self, revision: Revision) -> bool {
        self.phase != Phase::Lost && self.applied.is_some_and(|it| it < revision)
    }

    /// How the node looks now: what [`totals::state`] says of it.
    pub(crate) fn level(&self, now: Timestamp) -> Level {
        if self.phase == Phase::Ready && self.is_stale(now) { Level::Unknown } else { self.level }
    }
}
