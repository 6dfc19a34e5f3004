//! Makes the tables what desired state and the nodes' statements say, and acknowledges revisions.

use std::{collections::BTreeMap, sync::Arc, sync::atomic::Ordering, time::Duration};

use mesh_core::id::{NodeName, Revision};
use mesh_proto::tls::Identity;
use tokio::sync::{mpsc, watch};

use crate::{
    feed::{
        cache::{Cache, Kept, KnownModels},
        rows::{Heard, Known, forget, rows},
        signals::Said,
        view::{Objects, View},
    },
    fleet::owner::Owner,
    shared::Shared,
    worker::control::Workers,
};

/// Everything is looked at again this often: what faded, what was missed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the applier is made of.
pub(crate) struct Applier {
    /// What all threads share.
    pub(crate) shared: Arc<Shared>,
    /// The workers.
    pub(crate) workers: Workers,
    /// Who is refused goes here.
    pub(crate) identity: Identity,
    /// Where the view is kept.
    pub(crate) cache: Cache,
    /// Models known from before.
    pub(crate) models: KnownModels,
    /// The parsed view, for the other tasks.
    pub(crate) views: watch::Sender<Arc<View>>,
    /// The revision every worker has taken in.
    pub(crate) acked: watch::Sender<Revision>,
}

struct State {
    parts: Applier,
    owner: Owner,
    heard: BTreeMap<NodeName, Heard>,
    saved: Kept,
}

impl Applier {
    /// Runs for ever.
    pub(crate) async fn run(self, mut desired: watch::Receiver<Objects>, mut said: mpsc::Receiver<Said>) {
        let owner = Owner::new(self.shared.fleet.clone());
        let mut state = State { parts: self, owner, heard: BTreeMap::new(), saved: Kept::default() };
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        desired.mark_changed();
        loop {
            tokio::select! {
                biased;
                changed = desired.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let objects = desired.borrow_and_update().clone();
                    state.view(&objects).await;
                }
                Some(one) = said.recv() => state.said(one),
                _ = tick.tick() => state.look(&desired.borrow().clone()),
            }
        }
    }
}

impl State {
    /// A new view: rows first, then one turn of every worker, then the acknowledgement.
    async fn view(&mut self, objects: &Objects) {
        if objects.revision == Revision(0) {
            return;
        }
        let view = Arc::new(objects.view());
        self.parts.identity.deny(view.revoked.clone());
        self.parts.views.send_replace(view.clone());
        self.heard.retain(|node, _| view.nodes.contains_key(node));
        forget(&mut self.parts.models, view.nodes.iter());
        self.all_rows(&view);
        self.parts.shared.has_view.store(true, Ordering::Relaxed);
        self.parts.workers.turn().await;
        self.parts.acked.send_replace(view.revision);
        for (node, drain) in &view.drains {
            if drain.force {
                self.parts.workers.cut(node.as_str()).await;
            }
        }
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.parts.shared.metrics.desired_revision.set(gauge(view.revision.0));
        self.parts.shared.metrics.acked_revision.set(gauge(view.revision.0));
        tracing::debug!(revision = view.revision.0, "view taken in by every worker");
        self.save(objects);
    }

    fn all_rows(&mut self, view: &View) {
        for node in view.nodes.keys() {
            self.node_rows(view, node);
        }
        for node in self.owner.nodes() {
            if !view.nodes.keys().any(|it| it.as_str() == node) {
                self.owner.reconcile(&node, &[], self.parts.shared.clock.now_ms());
            }
        }
    }

    fn node_rows(&mut self, view: &View, node: &NodeName) {
        let Some(spec) = view.nodes.get(node) else { return };
        let known = Known { node, spec, drain: view.drains.get(node), heard: self.heard.get(node) };
        let now_ms = self.parts.shared.clock.now_ms();
        let rows = rows(&known, &mut self.parts.models, now_ms);
        self.owner.reconcile(node.as_str(), &rows, now_ms);
    }

    fn said(&mut self, one: Said) {
        let view = self.parts.views.borrow().clone();
        self.heard.insert(one.node.clone(), Heard { engines: one.engines, received_ms: one.received_ms });
        self.node_rows(&view, &one.node);
    }

    /// Once a second.
    fn look(&mut self, objects: &Objects) {
        let view = self.parts.views.borrow().clone();
        if view.revision == Revision(0) {
            return;
        }
        self.all_rows(&view);
        let now_ms = self.parts.shared.clock.now_ms();
        let ages = self.heard.iter().map(|(node, heard)| (node.as_str(), now_ms.saturating_sub(heard.received_ms)));
        self.parts.shared.metrics.set_signal_ages(ages);
        self.save(objects);
    }

    fn save(&mut self, objects: &Objects) {
        let kept = Kept { objects: objects.clone(), models: self.parts.models.clone() };
        if kept == self.saved {
            return;
        }
        match self.parts.cache.save(&kept) {
            Ok(()) => self.saved = kept,
            Err(error) => tracing::warn!(%error, "view cannot be kept on disk"),
        }
    }
}
