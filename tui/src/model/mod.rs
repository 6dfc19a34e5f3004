//! Everything the screen knows: one owner, no locks, no clock of its own.

pub(crate) mod attention;
pub(crate) mod fleet;
pub(crate) mod history;
pub(crate) mod link;
pub(crate) mod names;
pub(crate) mod pulse;
pub(crate) mod rows;
pub(crate) mod series;
pub(crate) mod sums;
pub(crate) mod totals;
pub(crate) mod traffic;
pub(crate) mod view;

use std::collections::BTreeMap;

use mesh_core::{id::NodeName, time::Timestamp};

use self::{
    attention::{Attention, Open},
    fleet::Fleet,
    history::{Events, History},
    link::Link,
    names::{Names, Sym},
    totals::Totals,
    traffic::Traffic,
    view::{ScreenId, View},
};
use crate::{FeedEvent, NodeRow, NodesPicture, Options, overlay::Overlays};

/// Figures older than this look old.
pub(crate) const STALE_MS: u64 = 10_000;
/// A picture older than this makes the whole screen stale.
pub(crate) const PICTURE_STALE_MS: u64 = 5_000;

/// How well something is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Level {
    Ok,
    Out,
    Draining,
    Unknown,
    Warn,
    Crit,
}

impl Level {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Out => "out",
            Self::Draining => "draining",
            Self::Unknown => "unknown",
            Self::Warn => "warning",
            Self::Crit => "critical",
        }
    }
}

/// The whole state.
pub(crate) struct Model {
    pub(crate) options: Options,
    pub(crate) names: Names,
    pub(crate) fleet: Fleet,
    pub(crate) link: Link,
    pub(crate) totals: Totals,
    pub(crate) history: History,
    traffic: Traffic,
    pub(crate) events: Events,
    pub(crate) attention: Vec<Attention>,
    open: Open,
    pub(crate) view: View,
    pub(crate) overlays: Overlays,
    /// Since when the picture is held still, and what came in meanwhile.
    pub(crate) paused: Option<Timestamp>,
    held: Held,
    /// Whether rows and figures must be computed anew before the next frame.
    changed: bool,
    /// When they were computed last.
    prepared: Option<Timestamp>,
}

/// What came in while the screen was paused; the newest of each node.
#[derive(Default)]
struct Held {
    last: Option<NodesPicture>,
    rows: BTreeMap<NodeName, NodeRow>,
}

impl Model {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            names: Names::default(),
            fleet: Fleet::default(),
            link: Link::default(),
            totals: Totals::default(),
            history: History::default(),
            traffic: Traffic::default(),
            events: Events::default(),
            attention: Vec::new(),
            open: Open::default(),
            view: View::new(),
            overlays: Overlays::default(),
            paused: None,
            held: Held::default(),
            changed: true,
            prepared: None,
        }
    }

    /// Takes in what the feed tells, without drawing any conclusion yet.
    pub(crate) fn feed(&mut self, event: FeedEvent, now: Timestamp) {
        self.changed = true;
        match event {
            FeedEvent::Nodes(picture) => {
                self.link.picture(&picture);
                if self.paused.is_some() {
                    self.held.add(picture);
                } else {
                    self.fleet.apply(picture, &mut self.names);
                }
            }
            FeedEvent::Cluster(it) => self.link.cluster(it, now),
            FeedEvent::Strategy(it) => self.link.strategy = Some(it),
            FeedEvent::Event(it) => self.events.push(it),
            FeedEvent::Dropped(count) => self.link.dropped = self.link.dropped.saturating_add(count),
            FeedEvent::Up { endpoint } => self.link.up(&endpoint),
            FeedEvent::Down { why, attempt, retry_in } => self.link.down(&why, attempt, retry_in, now),
            FeedEvent::Preview(ticket, answer) => self.overlays.preview(ticket, answer),
            FeedEvent::Done(ticket, answer) => self.overlays.done(ticket, answer, now),
        }
    }

    /// Computes figures, findings and rows when something changed, and once a second in any case, since ages go on.
    ///
    /// A frame that only shows the time going on between two pictures costs no walk over the fleet.
    pub(crate) fn prepare(&mut self, now: Timestamp) {
        let old = self.prepared.is_none_or(|it| it.age_ms(now) >= history::SAMPLE_MS);
        if !self.changed && !old {
            return;
        }
        let sampled = self.history.is_due(now);
        (self.changed, self.prepared) = (false, Some(now));
        self.fleet.settle(&self.names);
        self.totals = Totals::of(&mut self.fleet, &mut self.names, self.link.revision, now);
        self.traffic.look(&self.fleet, &mut self.names);
        let rates = self.traffic.rates();
        for row in &mut self.totals.models {
            row.rate = rates.get(&row.name).copied();
        }
        if sampled && self.link.picture_at.is_some() {
            let fresh = self.link.is_fresh(now);
            self.history.sample(&self.totals, fresh, now);
        }
        let mut lines = attention::attention(self, now);
        self.open.date(&mut lines);
        self.attention = lines;
        self.arrange(now);
    }

    /// Asks for new rows, because a filter, an order or the screen changed.
    pub(crate) fn touch(&mut self) {
        self.changed = true;
    }

    pub(crate) fn pause(&mut self, now: Timestamp) {
        self.changed = true;
        if self.paused.take().is_none() {
            self.paused = Some(now);
        } else if let Some(picture) = self.held.take() {
            self.fleet.apply(picture, &mut self.names);
        }
    }

    /// The node that the cursor is on, whatever the screen.
    pub(crate) fn chosen_node(&self) -> Option<Sym> {
        let table = self.view.shown();
        match self.view.screen {
            ScreenId::Overview => self.attention.get(table.at).and_then(|it| it.go.node),
            ScreenId::Nodes => table.chosen.map(rows::node_of),
            ScreenId::Gpus => table.chosen.map(|key| rows::gpu_of(key).0),
            ScreenId::Routing | ScreenId::Events => None,
        }
    }

    /// The nodes an action is meant for: the marked ones, else the one under the cursor.
    pub(crate) fn targets(&self) -> Vec<Sym> {
        let known = |it: &Sym| self.fleet.id(*it).is_some();
        if self.view.marked.is_empty() || self.view.screen != ScreenId::Nodes {
            self.chosen_node().into_iter().filter(known).collect()
        } else {
            self.view.marked.iter().copied().filter(known).collect()
        }
    }

    /// Whether nodes and cluster were told at least once.
    pub(crate) fn is_complete(&self) -> bool {
        self.link.picture_at.is_some() && self.link.cluster.is_some()
    }
}

impl Held {
    fn add(&mut self, mut picture: NodesPicture) {
        if picture.whole {
            self.rows.clear();
        }
        self.rows.extend(std::mem::take(&mut picture.rows).into_iter().map(|it| (it.view.node.clone(), it)));
        picture.whole |= self.last.as_ref().is_some_and(|it| it.whole);
        self.last = Some(picture);
    }

    fn take(&mut self) -> Option<NodesPicture> {
        let rows = std::mem::take(&mut self.rows).into_values().collect();
        self.last.take().map(|it| NodesPicture { rows, ..it })
    }
}
