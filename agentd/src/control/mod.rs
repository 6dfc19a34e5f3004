//! What the leader does by itself: it finds draining nodes empty and writes that down.
//!
//! Task: `control` ([`run`]), on coordinators; it acts only while this node leads, and reads everything again at each turn.

pub mod routers;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use mesh_core::{
    id::{NodeName, Principal, RequestId, Revision},
    kind::{DrainMode, DrainSpec, Kind, parse, write},
    object::Object,
    store::{Command, Expect, Op, Store},
    time::Timestamp,
};
use tokio::{sync::watch, time::sleep};

use self::routers::Routers;
use crate::{
    clock,
    desired::{Desired, WRITE_DEADLINE},
    events::{Events, Severity},
    observe::Observed,
    raft::RaftHandle,
};

/// Without news everything is looked at this often: ages and deadlines pass by themselves.
const EVERY: Duration = Duration::from_millis(500);
/// Two turns are at least so far apart: observed state moves many times a second.
const REST: Duration = Duration::from_millis(50);

/// The leader's planner and what it reads.
pub struct Control {
    desired: Desired,
    raft: RaftHandle,
    observed: watch::Receiver<Arc<Observed>>,
    events: Events,
    me: Principal,
    /// Drains whose deadline has been reported, by name and revision.
    overdue: BTreeSet<(String, Revision)>,
}

impl Control {
    /// Joins its parts.
    #[must_use]
    pub fn new(desired: Desired, raft: RaftHandle, observed: watch::Receiver<Arc<Observed>>, events: Events) -> Self {
        let me = Principal::node(desired.mesh(), desired.node());
        Self { desired, raft, observed, events, me, overdue: BTreeSet::new() }
    }

    /// Plans whenever something changes, until dropped.
    ///
    /// # Errors
    /// When a source it reads has ended.
    pub async fn run(mut self) -> Result<(), String> {
        let mut store = self.desired.watch();
        let mut status = self.raft.status();
        loop {
            if status.borrow_and_update().is_leader() {
                let store = Arc::clone(&store.borrow_and_update());
                self.turn(&store).await;
            }
            sleep(REST).await;
            let changed = tokio::select! {
                changed = store.changed() => changed,
                changed = self.observed.changed() => changed,
                changed = status.changed() => changed,
                () = sleep(EVERY) => Ok(()),
            };
            changed.map_err(|_| "a source of the planner has ended".to_owned())?;
        }
    }

    async fn turn(&mut self, store: &Store) {
        let observed = Arc::clone(&self.observed.borrow_and_update());
        let draining: Vec<(Arc<Object>, DrainSpec)> = store.list(Kind::Drain).filter_map(draining).collect();
        self.overdue.retain(|(name, revision)| {
            draining.iter().any(|(it, _)| it.key.name.as_str() == name && it.revision == *revision)
        });
        // Nearly always: then nothing else is read.
        if draining.is_empty() {
            return;
        }
        let routers = Routers::read(store, &observed, Instant::now());
        for (object, spec) in draining {
            let Ok(node) = NodeName::new(object.key.name.as_str()) else {
                continue;
            };
            let blockers = routers.blockers(&node, object.revision);
            if blockers.is_empty() {
                self.drained(&object, spec).await;
            } else if spec.deadline.is_some_and(|deadline| deadline < clock::now())
                && self.overdue.insert((node.to_string(), object.revision))
            {
                let words: Vec<String> = blockers.iter().map(ToString::to_string).collect();
                let text = format!("the drain is past its deadline and goes on: {}", words.join("; "));
                self.events.record(Severity::Warning, format!("node/{node}"), text);
            }
        }
    }

    /// Writes down that a node is drained, unless its drain has changed meanwhile.
    async fn drained(&self, object: &Object, mut spec: DrainSpec) {
        spec.drained_at = Some(clock::now());
        let put = Op::Put { key: object.key.clone(), spec: write(&spec), expect: Expect::At(object.revision) };
        let command = Command {
            id: RequestId(rand::random()),
            actor: self.me.clone(),
            at: Timestamp(0),
            level: 1,
            reason: Some("every router acknowledged and nothing is in flight".to_owned()),
            ops: vec![put],
        };
        let until = tokio::time::Instant::now() + WRITE_DEADLINE;
        match self.desired.propose(command, until).await {
            Ok(outcome) => tracing::info!(node = %object.key.name, ?outcome, "drained"),
            Err(error) => tracing::warn!(node = %object.key.name, %error, "drained, but that could not be written yet"),
        }
    }
}

/// The drain of an object, when it is one that is under way.
fn draining(object: &Arc<Object>) -> Option<(Arc<Object>, DrainSpec)> {
    let spec = parse::<DrainSpec>(&object.spec).ok()?;
    (spec.mode == DrainMode::Drain && spec.drained_at.is_none()).then(|| (Arc::clone(object), spec))
}
