//! Keeps what is known of every listed node: the one owner of that table and of the streams it is made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mesh_core::{id::NodeName, kind::Role, status::NodeStatus, store::Store};
use mesh_daemon::Tasks;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::DropGuard;

use super::{
    Dial, NodeObserved, Observed,
    merge::{Evidence, Stream, merge},
    metrics::ObserveMetrics,
    own::{Own, moved},
    peer::{Heard, Peer},
    roster::Roster,
};
use crate::{
    clock,
    gossip::{GossipHandle, GossipState, GossipView},
};

/// Statements taken in at one go.
const BATCH: usize = 1024;
/// How long a stream that was never open may fail to open before that counts against its node.
const FIRST_STREAM_GRACE: Duration = Duration::from_secs(3);
/// The table is made anew at most so often: at thousands of statements a second nobody reads each of its states.
const SETTLE: Duration = Duration::from_millis(10);

/// What is kept of one node whose stream this coordinator holds.
struct Watched {
    api: SocketAddr,
    epoch: u64,
    doubt: Arc<Notify>,
    stream: Stream,
    /// When this node began to look for its stream.
    since: Instant,
    statement: Option<(Arc<NodeStatus>, Instant)>,
    _end: DropGuard,
}

/// The owner of the table.
pub(super) struct Observer {
    pub(super) own: Own,
    pub(super) gossip: GossipHandle,
    /// The way to other nodes; only coordinators have one.
    pub(super) dial: Option<Dial>,
    pub(super) tasks: Tasks,
    pub(super) metrics: ObserveMetrics,
    pub(super) observed: watch::Sender<Arc<Observed>>,
    pub(super) unreachable: watch::Sender<Arc<Vec<NodeName>>>,
    pub(super) tx: mpsc::Sender<Heard>,
    pub(super) state: Table,
}

/// What the owner alone knows.
#[derive(Default)]
pub(super) struct Table {
    roster: Roster,
    peers: BTreeMap<NodeName, Watched>,
    epoch: u64,
}

impl Observer {
    pub(super) async fn run(mut self, mut rx: mpsc::Receiver<Heard>) {
        let (mut store, mut view) = (self.own.store.clone(), self.gossip.view());
        let mut own = self.own.clone();
        let mut tick = tokio::time::interval(self.own.config.timing.keyframe);
        let mut batch = Vec::new();
        let first = Arc::clone(&store.borrow_and_update());
        self.reconcile(&first);
        loop {
            let members = Arc::clone(&view.borrow_and_update());
            self.publish(&members);
            tokio::time::sleep(SETTLE).await;
            tokio::select! {
                () = moved(&mut store) => {
                    let desired = Arc::clone(&store.borrow_and_update());
                    self.reconcile(&desired);
                }
                () = moved(&mut view) => {}
                () = own.changed() => {}
                _ = tick.tick() => {}
                _ = rx.recv_many(&mut batch, BATCH) => {
                    for heard in batch.drain(..) {
                        self.take(heard);
                    }
                }
            }
        }
    }

    /// Keeps a stream from each listed node but this one; level-triggered.
    fn reconcile(&mut self, store: &Store) {
        self.state.roster = Roster::read(store);
        let Some(dial) = self.dial.clone() else {
            return;
        };
        let mut before = std::mem::take(&mut self.state.peers);
        for (node, listed) in self.state.roster.iter() {
            let Some(api) = listed.spec.api_addr().filter(|_| !listed.revoked && *node != self.own.config.node) else {
                continue;
            };
            let mut kept = before.remove(node);
            if kept.as_ref().is_none_or(|it| it.api != api) {
                self.state.epoch += 1;
                let watched = self.watch(node, api, &dial, self.state.epoch);
                // What it said from where it was before is still the newest that is known.
                kept = Some(Watched { statement: kept.and_then(|old| old.statement), ..watched });
            }
            if let Some(watched) = kept {
                self.state.peers.insert(node.clone(), watched);
            }
        }
    }

    fn watch(&self, node: &NodeName, api: SocketAddr, dial: &Dial, epoch: u64) -> Watched {
        let (tasks, doubt) = (self.tasks.child(), Arc::new(Notify::new()));
        let peer = Peer {
            node: node.clone(),
            epoch,
            api,
            dial: Arc::clone(dial),
            timing: self.own.config.timing,
            doubt: Arc::clone(&doubt),
            tx: self.tx.clone(),
        };
        tasks.spawn_free(format!("observe-{node}"), peer.run());
        Watched {
            api,
            epoch,
            doubt,
            stream: Stream::Never,
            since: Instant::now(),
            statement: None,
            _end: tasks.token().drop_guard(),
        }
    }

    fn take(&mut self, heard: Heard) {
        // One of a stream that was replaced may still have been on its way.
        let Some(watched) = self.state.peers.get_mut(&heard.node).filter(|it| it.epoch == heard.epoch) else {
            return;
        };
        match heard.said {
            Ok(status) => {
                self.metrics.statements.inc();
                if watched.stream != Stream::Up {
                    tracing::info!(node = %heard.node, version = %status.version, "node stream is up");
                }
                watched.stream = Stream::Up;
                let unreachable = status.unreachable.clone();
                watched.statement = Some((Arc::from(status), Instant::now()));
                self.doubt(&heard.node, &unreachable);
            }
            Err(reason) => {
                match watched.stream {
                    Stream::Up => {
                        self.metrics.broken.inc();
                        tracing::warn!(node = %heard.node, %reason, "node stream broke");
                    }
                    Stream::Never => tracing::info!(node = %heard.node, %reason, "node stream cannot be opened yet"),
                    Stream::Broken => tracing::debug!(node = %heard.node, %reason, "node stream cannot be opened"),
                }
                // A node that has just started may not let this one in yet: until then gossip speaks for it.
                if watched.stream != Stream::Never || watched.since.elapsed() >= FIRST_STREAM_GRACE {
                    watched.stream = Stream::Broken;
                }
            }
        }
    }

    /// Another coordinator lost nodes that still speak here: believed only if they do not speak up soon.
    fn doubt(&self, by: &NodeName, unreachable: &[NodeName]) {
        let coordinator = self.state.roster.get(by).is_some_and(|listed| listed.spec.is(Role::Coordinator));
        if coordinator {
            unreachable.iter().filter_map(|node| self.state.peers.get(node)).for_each(|peer| peer.doubt.notify_one());
        }
    }

    fn publish(&self, members: &GossipView) {
        let own = (Arc::new(self.own.status()), Instant::now());
        let before = Arc::clone(&self.observed.borrow());
        let now = clock::now();
        let nodes: BTreeMap<NodeName, NodeObserved> = self
            .state
            .roster
            .iter()
            .map(|(node, listed)| {
                let is_own = *node == self.own.config.node;
                let peer = self.state.peers.get(node);
                let said = if is_own { Some(&own) } else { peer.and_then(|it| it.statement.as_ref()) };
                let evidence = Evidence {
                    own: is_own,
                    stream: peer.map_or(Stream::Never, |it| it.stream),
                    statement: said.map(|(status, at)| (status, *at)),
                    gossip: members.get(node),
                };
                (node.clone(), merge(before.nodes.get(node), listed, &evidence, now))
            })
            .collect();
        self.tell(&nodes, &own.0);
        self.observed.send_replace(Arc::new(Observed { nodes }));
    }

    /// Tells gossip, the other coordinators and the metrics.
    fn tell(&self, nodes: &BTreeMap<NodeName, NodeObserved>, own: &NodeStatus) {
        let config = &self.own.config;
        self.gossip.publish(GossipState {
            version: config.version.clone(),
            api: config.api,
            verified: nodes.get(&config.node).is_some_and(|it| it.seen.verified),
            applied: own.applied,
        });
        let broken = self.state.peers.iter().filter(|(_, it)| it.stream == Stream::Broken);
        let broken: BTreeSet<&NodeName> = broken.map(|(node, _)| node).collect();
        self.unreachable.send_if_modified(|old| {
            let changed = !old.iter().eq(broken.iter().copied());
            if changed {
                *old = Arc::new(broken.into_iter().cloned().collect());
            }
            changed
        });
        let count = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
        self.metrics.alive.set(count(nodes.values().filter(|it| it.seen.alive).count()));
        let up = self.state.peers.values().filter(|it| it.stream == Stream::Up).count();
        self.metrics.streams_up.set(count(up));
    }
}
