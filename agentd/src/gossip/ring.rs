//! Keeps one ring running: starts it under a new generation, feeds it, reads it, starts it again when its task ends.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use chitchat::{
    Chitchat, ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion, spawn_chitchat,
    transport::Transport,
};
use mesh_core::id::NodeName;
use tokio::{sync::watch, time::MissedTickBehavior};

use super::{
    Desired, GossipConfig, GossipError, GossipHandle, GossipMember, GossipMetrics, GossipState, GossipView, Member,
    Refuse, RingHealth, admit, boot, member,
};
use crate::observe::roster::Roster;

/// The longest wait before a ring that ended is started again.
const RESTART_MAX: Duration = Duration::from_secs(30);
/// Rounds within which a member that was heard of must be heard.
const PATIENCE_ROUNDS: u32 = 10;

/// What makes a ring this node's: when it changes, the ring must be another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    incarnation: u32,
    addr: SocketAddr,
}

/// Why a ring is no longer run.
enum End {
    /// This node is listed otherwise than when the ring began.
    Moved,
    /// The ring's task ended.
    Failed(String),
    /// Nobody publishes or lists nodes any more: the daemon stops.
    Over,
}

/// The owner of the ring and of everything seen through it.
pub(super) struct Ring {
    config: GossipConfig,
    transport: Box<dyn Transport>,
    desired: Desired,
    metrics: GossipMetrics,
    /// The address of the socket.
    bound: SocketAddr,
    roster: Roster,
    generation: watch::Sender<u64>,
    state_tx: Arc<watch::Sender<GossipState>>,
    state: watch::Receiver<GossipState>,
    view: watch::Sender<Arc<GossipView>>,
    health: watch::Sender<RingHealth>,
    /// Which of the listed and unseen nodes was knocked at last.
    knocked: usize,
}

impl Ring {
    pub(super) fn new(
        config: GossipConfig,
        transport: Box<dyn Transport>,
        mut desired: Desired,
        metrics: GossipMetrics,
        bound: SocketAddr,
    ) -> Result<Self, GossipError> {
        let roster = Roster::read(&desired.store.borrow_and_update());
        let (state_tx, state) = watch::channel(desired.first.clone());
        let mut ring = Self {
            config,
            transport,
            desired,
            metrics,
            bound,
            roster,
            generation: watch::channel(0).0,
            state_tx: Arc::new(state_tx),
            state,
            view: watch::channel(Arc::default()).0,
            health: watch::channel(RingHealth::Restarting { reason: "not started yet".into() }).0,
            knocked: 0,
        };
        // Before anything else says the generation: it must be on disk first.
        ring.begin_generation()?;
        Ok(ring)
    }

    pub(super) fn handle(&self) -> GossipHandle {
        GossipHandle {
            state: Arc::clone(&self.state_tx),
            view: self.view.subscribe(),
            health: self.health.subscribe(),
            generation: self.generation.subscribe(),
            #[cfg(test)]
            addr: self.bound,
        }
    }

    fn begin_generation(&mut self) -> Result<(), GossipError> {
        let counter = boot::next(&self.config.state_dir)?;
        let generation = (u64::from(self.place().incarnation) << 32) | u64::from(counter);
        self.generation.send_replace(generation);
        self.health.send_replace(RingHealth::Running { generation });
        Ok(())
    }

    fn place(&self) -> Place {
        let listed = self.roster.get(&self.config.node);
        Place {
            incarnation: listed.map_or(0, |listed| listed.spec.incarnation),
            addr: listed.and_then(|listed| listed.spec.gossip_addr()).unwrap_or(self.bound),
        }
    }

    /// Runs rings, one after the other, until nobody needs them.
    pub(super) async fn run(mut self) {
        let mut wait = self.config.timing.interval;
        loop {
            let began = Instant::now();
            let reason = match self.round().await {
                End::Over => return,
                End::Moved => {
                    tracing::info!(node = %self.config.node, "gossip starts again: the node is listed otherwise");
                    None
                }
                End::Failed(reason) => Some(reason),
            };
            if let Some(reason) = reason {
                self.metrics.restarts.inc();
                tracing::error!(%reason, "the gossip ring ended and is started again");
                self.health.send_replace(RingHealth::Restarting { reason });
                // A ring that ran for long has earned a quick start.
                if began.elapsed() > RESTART_MAX {
                    wait = self.config.timing.interval;
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RESTART_MAX);
            }
            while let Err(error) = self.begin_generation() {
                let reason = format!("{:#}", anyhow::Error::new(error));
                tracing::error!(%reason, "the gossip ring cannot start");
                self.health.send_replace(RingHealth::Restarting { reason });
                tokio::time::sleep(RESTART_MAX).await;
            }
        }
    }

    /// Runs one ring until it ends or must be another.
    async fn round(&mut self) -> End {
        let place = self.place();
        let pairs = self.state.borrow_and_update().pairs();
        let handle = match spawn_chitchat(self.chitchat_config(place), pairs, self.transport.as_ref()).await {
            Ok(handle) => handle,
            Err(error) => return End::Failed(format!("{error:#}")),
        };
        let end = self.follow(&handle, place).await;
        // Dropping the handle ends the ring's task; waiting for it frees the socket's reader for the next ring.
        let _ = handle.shutdown().await;
        end
    }

    async fn follow(&mut self, handle: &ChitchatHandle, place: Place) -> End {
        let mut changed = handle.with_chitchat(|ring| ring.live_nodes_watcher()).await;
        let mut tick = tokio::time::interval(self.config.timing.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ended = std::pin::pin!(handle.termination_watcher());
        loop {
            tokio::select! {
                end = &mut ended => {
                    let reason = end.map_or_else(|error| format!("{error:#}"), |()| "it stopped by itself".to_owned());
                    return End::Failed(reason);
                }
                seen = changed.changed() => {
                    if seen.is_err() {
                        return End::Failed("it dropped its state".to_owned());
                    }
                }
                listed = self.desired.store.changed() => {
                    if listed.is_err() {
                        return End::Over;
                    }
                    self.roster = Roster::read(&self.desired.store.borrow_and_update());
                    if self.place() != place {
                        return End::Moved;
                    }
                }
                _ = tick.tick() => {
                    self.say(handle).await;
                    self.knock(handle);
                }
            }
            self.look(handle).await;
        }
    }

    fn chitchat_config(&self, place: Place) -> ChitchatConfig {
        let timing = self.config.timing;
        let mut seeds: Vec<SocketAddr> = self.config.seeds.clone();
        seeds.extend(self.roster.iter().filter_map(|(_, listed)| listed.spec.gossip_addr()));
        seeds.retain(|seed| *seed != place.addr);
        seeds.sort_unstable();
        seeds.dedup();
        ChitchatConfig {
            chitchat_id: ChitchatId::new(self.config.node.as_str(), *self.generation.borrow(), place.addr),
            cluster_id: format!("{}/{}", self.config.mesh, super::CELL),
            gossip_interval: timing.interval,
            listen_addr: self.bound,
            seed_nodes: seeds.iter().map(ToString::to_string).collect(),
            failure_detector_config: FailureDetectorConfig::new(
                timing.phi,
                timing.sampling_window,
                timing.interval * 10,
                timing.initial_interval,
                timing.grace,
            ),
            marked_for_deletion_grace_period: timing.grace,
            catchup_callback: None,
            extra_liveness_predicate: None,
            protocol_version: ProtocolVersion::V1,
        }
    }

    /// Writes the keys that changed, at most once a round; none is ever deleted.
    async fn say(&mut self, handle: &ChitchatHandle) {
        if !self.state.has_changed().unwrap_or(false) {
            return;
        }
        let pairs = self.state.borrow_and_update().pairs();
        handle
            .with_chitchat(|ring| {
                let own = ring.self_node_state();
                for (key, value) in &pairs {
                    if own.get(key) != Some(value.as_str()) {
                        own.set(key, value);
                    }
                }
            })
            .await;
    }

    /// Speaks to one listed node that the ring does not hold for alive, each round to the next: seeds may be stale.
    fn knock(&mut self, handle: &ChitchatHandle) {
        let view = self.view.borrow().clone();
        let silent = |name: &NodeName| view.get(name).is_none_or(|member| !member.pulse.is_alive());
        let missing = self.roster.iter().filter(|(name, _)| **name != self.config.node && silent(name));
        let missing: Vec<_> = missing.filter_map(|(_, listed)| listed.spec.gossip_addr()).collect();
        self.knocked = self.knocked.wrapping_add(1);
        if let Some(addr) = self.knocked.checked_rem(missing.len()).map(|index| missing[index]) {
            // It fails only when the ring has ended, which is seen elsewhere.
            let _ = handle.gossip(addr);
        }
    }

    /// Reads the ring and publishes the members that are admitted.
    async fn look(&self, handle: &ChitchatHandle) {
        let entries = handle.with_chitchat(entries).await;
        let mut refused: BTreeMap<Refuse, i64> = BTreeMap::new();
        let mut view = GossipView::new();
        let (total, before) = (entries.len(), self.view.borrow().clone());
        let when = (Instant::now(), self.config.timing.interval * PATIENCE_ROUNDS);
        for entry in entries {
            if let Err(reason) = admit(&entry.member, &self.roster) {
                *refused.entry(reason).or_default() += 1;
                continue;
            }
            let name = entry.member.node;
            if view.get(&name).is_some_and(|other| other.generation > entry.member.generation) {
                continue;
            }
            let generation = entry.member.generation;
            let (pulse, since) = member::pulse(before.get(&name), generation, entry.live, when);
            let member = GossipMember { generation, pulse, since, state: entry.state };
            view.insert(name, member);
        }
        for reason in Refuse::ALL {
            let count = refused.get(&reason).copied().unwrap_or(0);
            self.metrics.refused.with_label_values(&[reason.as_str()]).set(count);
        }
        let count = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
        self.metrics.members.set(count(view.len()));
        self.metrics.live.set(count(view.values().filter(|member| member.pulse.is_alive()).count()));
        self.metrics.ghosts.set(count(total - view.len()));
        self.view.send_if_modified(|old| {
            let changed = **old != view;
            if changed {
                *old = Arc::new(view);
            }
            changed
        });
    }
}

/// One entry of the ring, with a name that can be one.
struct Entry {
    member: Member,
    live: bool,
    state: Option<GossipState>,
}

fn entries(ring: &mut Chitchat) -> Vec<Entry> {
    let live: Vec<&ChitchatId> = ring.live_nodes().collect();
    let entry = |id: &ChitchatId| {
        let node = NodeName::new(&*id.node_id).ok()?;
        let member = Member { node, generation: id.generation_id, addr: id.gossip_advertise_addr };
        let state = ring.node_state(id).and_then(|state| GossipState::read(|key| state.get(key)));
        Some(Entry { member, live: live.contains(&id), state })
    };
    ring.node_states().keys().filter_map(entry).collect()
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
