//! A synthetic fleet for `mesh top --demo N`: deterministic, and told through the same events as a real one.
//!
//! Everything is a function of the node's number and the time since the demo began; nothing is random. The screen
//! says DEMO wherever it shows any of it.

mod answers;
mod nodes;

use std::{collections::BTreeMap, ops::Range, time::Duration};

use mesh_core::{
    id::{MeshName, ObjectName, PartyKind, Principal, Revision},
    kind::{ActivationSpec, Brain, Builtin, DrainSpec},
    time::Timestamp,
};
use tokio::{sync::mpsc, time::interval};

use self::nodes::Fleet;
use crate::{
    ClusterView, EventRow, FeedEvent, NodesPicture, Options, Picture, Request, VoterView, runtime::now as clock,
};

/// The nodes that one event carries: a large fleet never stands in memory twice, and what is freed and taken again
/// with each event stays in the cache.
const CHUNK: u32 = 32;
/// In a large fleet not every node speaks every second; this many parts take turns at most.
const PARTS_MAX: u32 = 8;
const TICK: Duration = Duration::from_secs(1);
/// The time of a picture that is drawn once: the same frame on every machine.
const EPOCH: Timestamp = Timestamp(1_767_225_600_000);
/// The demo has run so long when a single picture is taken, so that incidents are under way.
const WARM_MS: u64 = 90_000;

/// The state of a demo: what the operator did, and nothing else.
pub struct Demo {
    fleet: Fleet,
    start: Timestamp,
    revision: u64,
    seq: u64,
    rollbacks: u64,
    drains: BTreeMap<u32, DrainSpec>,
}

impl Demo {
    /// A fleet of so many nodes that begins to live now.
    #[must_use]
    pub fn new(nodes: u32, start: Timestamp) -> Self {
        Self { fleet: Fleet::new(nodes), start, revision: 1_187, seq: 0, rollbacks: 0, drains: BTreeMap::new() }
    }

    /// What a session begins with: the whole picture.
    pub fn first(&mut self, now: Timestamp) -> impl Iterator<Item = FeedEvent> + '_ {
        let head = [
            FeedEvent::Up { endpoint: "simulated".to_owned() },
            FeedEvent::Cluster(self.cluster()),
            FeedEvent::Strategy(Some(self.activation(now))),
        ];
        let it = &*self;
        head.into_iter().chain(chunks(0..it.fleet.len()).map(move |ids| {
            let whole = ids.start == 0;
            it.picture(ids, whole, now)
        }))
    }

    /// What one second brings; made while it is taken, so that it does not stand in memory as a whole.
    pub fn tick(&mut self, now: Timestamp) -> impl Iterator<Item = FeedEvent> + '_ {
        let parts = (self.fleet.len() / 1_000).clamp(1, PARTS_MAX);
        let second = u32::try_from(now.0 / 1_000 % u64::from(parts)).unwrap_or(0);
        let each = self.fleet.len().div_ceil(parts);
        let ids = (each * second).min(self.fleet.len())..(each * (second + 1)).min(self.fleet.len());
        self.finish_drains(now);
        let events = self.happened(ids.clone(), u64::from(parts) * 1_000, now);
        let it = &*self;
        // Routers and voters are few, and they speak every second.
        let special = (parts > 1).then(|| 0..it.fleet.special());
        let pictures =
            chunks(ids).chain(special.into_iter().flat_map(chunks)).map(move |ids| it.picture(ids, false, now));
        events.into_iter().chain(pictures).chain(std::iter::once_with(|| FeedEvent::Cluster(it.cluster())))
    }

    fn elapsed(&self, now: Timestamp) -> u64 {
        self.start.age_ms(now)
    }

    fn picture(&self, ids: Range<u32>, whole: bool, now: Timestamp) -> FeedEvent {
        let t = self.elapsed(now);
        let rows = ids.map(|id| self.fleet.row(id, (t, now), self.revision, self.drains.get(&id))).collect();
        FeedEvent::Nodes(NodesPicture {
            rows,
            whole,
            at: now,
            revision: Revision(self.revision),
            latest: true,
            leader_age_ms: Some(120),
        })
    }

    fn cluster(&self) -> ClusterView {
        let voters = (0..self.fleet.voters())
            .map(|id| VoterView { node: self.fleet.name(id), heard_ms: Some(120), missing: false })
            .collect();
        ClusterView {
            mesh: MeshName::new("demo").ok(),
            leader: (self.fleet.len() > 0).then(|| self.fleet.name(0)),
            term: 42,
            voters,
            quorum: true,
            revision: Revision(self.revision),
        }
    }

    fn activation(&self, now: Timestamp) -> ActivationSpec {
        let (active, previous) = (Brain::Builtin(Builtin::LeastQueue), Brain::Builtin(Builtin::BaselineRr));
        let (active, previous) = if self.rollbacks.is_multiple_of(2) { (active, previous) } else { (previous, active) };
        ActivationSpec { seq: 7 + self.rollbacks, active, previous, by: operator(), at: now }
    }

    /// What changed at these nodes within the last `span_ms`.
    fn happened(&mut self, ids: Range<u32>, span_ms: u64, now: Timestamp) -> Vec<FeedEvent> {
        let t = self.elapsed(now);
        let mut events = Vec::new();
        for id in ids {
            if let Some((severity, text)) = self.fleet.news(id, t.saturating_sub(span_ms), t) {
                self.seq += 1;
                events.push(FeedEvent::Event(EventRow {
                    seq: self.seq,
                    at: now,
                    severity,
                    subject: format!("node/{}", self.fleet.name(id)),
                    actor: String::new(),
                    text,
                }));
            }
        }
        events
    }
}

/// Nodes in parts of which each is one event; no nodes are one event too.
fn chunks(ids: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let none = ids.is_empty().then(|| ids.clone());
    none.into_iter().chain(ids.clone().step_by(CHUNK as usize).map(move |first| first..(first + CHUNK).min(ids.end)))
}

/// Who acts in a demo.
fn operator() -> Principal {
    Principal {
        mesh: MeshName::new("demo").expect("`demo` is a legal name"),
        kind: PartyKind::Operator,
        name: ObjectName::new("demo").expect("`demo` is a legal name"),
    }
}

/// Tells a synthetic fleet to a screen until the screen is gone, and carries out what it asks.
pub async fn serve(nodes: u32, feed: mpsc::Sender<FeedEvent>, mut requests: mpsc::Receiver<Request>) {
    let mut demo = Demo::new(nodes, Timestamp(clock().0.saturating_sub(WARM_MS)));
    let mut told = tell(&feed, demo.first(clock())).await;
    let mut ticks = interval(TICK);
    ticks.tick().await;
    while told {
        told = tokio::select! {
            _ = ticks.tick() => tell(&feed, demo.tick(clock())).await,
            request = requests.recv() => match request {
                Some(request) => tell(&feed, demo.answer(request, clock())).await,
                None => return,
            },
        };
    }
}

/// Whether there is still somebody who listens.
async fn tell(feed: &mpsc::Sender<FeedEvent>, events: impl IntoIterator<Item = FeedEvent>) -> bool {
    for event in events {
        if feed.send(event).await.is_err() {
            return false;
        }
    }
    true
}

/// One picture of a synthetic fleet, with the time it is of: the same one whenever and wherever it is taken.
#[must_use]
pub fn picture(options: &Options, nodes: u32) -> (Picture, Timestamp) {
    let mut picture = Picture::new(options);
    let now = EPOCH.plus_ms(WARM_MS);
    let mut demo = Demo::new(nodes, EPOCH);
    for event in demo.first(now) {
        picture.feed(event, now);
    }
    let ids = 0..demo.fleet.len();
    for event in demo.happened(ids, WARM_MS, now) {
        picture.feed(event, now);
    }
    (picture, now)
}
