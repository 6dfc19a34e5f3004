//! Whole rings over UDP on loopback, with fast timing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
};

use chitchat::ChitchatEnvelope;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket};
use mesh_core::{
    id::{Lineage, MeshName, NodeName, ObjectName, Principal, RequestId, Revision},
    kind::{self, Kind, NodeSpec, Role},
    object::Key,
    store::{Command, Expect, Op, Store, apply},
    time::Timestamp,
};
use mesh_daemon::{Shutdown, Tasks};
use prometheus::Registry;
use tonic::async_trait;

use super::*;
use crate::gossip::{
    GossipKey, GossipTiming, KeyRing, Pulse,
    transport::{PLAIN_BYTES_MAX, Sealed},
};

const SOON: Duration = Duration::from_secs(30);
const FAST: GossipTiming = GossipTiming {
    interval: Duration::from_millis(50),
    phi: 8.0,
    initial_interval: Duration::from_millis(60),
    sampling_window: 100,
    grace: Duration::from_secs(60),
};

fn name(index: usize) -> NodeName {
    NodeName::new(format!("node-{index}")).unwrap()
}

fn mesh() -> MeshName {
    MeshName::new("lab").unwrap()
}

fn keys(byte: u8) -> Arc<KeyRing> {
    Arc::new(KeyRing::new(vec![GossipKey::new(1, [byte; 32])]).unwrap())
}

fn put(store: &mut Store, node: &NodeName, addr: SocketAddr, incarnation: u32) {
    let spec = NodeSpec {
        roles: BTreeSet::from([Role::Gpu]),
        address: "127.0.0.1".into(),
        api: addr.to_string(),
        gossip: addr.to_string(),
        incarnation,
        ..NodeSpec::default()
    };
    let key = Key::new(Kind::Node, ObjectName::from(node.clone()));
    let command = Command {
        id: RequestId(u128::from(store.revision().0) + 1),
        actor: Principal::operator(&mesh(), ObjectName::new("ada").unwrap()),
        at: Timestamp(1),
        level: 1,
        reason: None,
        ops: vec![Op::Put { key, spec: kind::write(&spec), expect: Expect::Any }],
    };
    let before = store.revision();
    apply(store, &command);
    assert!(store.revision() > before, "the node was not listed");
}

fn state(applied: u64) -> GossipState {
    GossipState {
        version: "0.1.0".into(),
        api: "127.0.0.1:1".parse().unwrap(),
        verified: true,
        applied: Revision(applied),
    }
}

/// One node of a test: its ring, and all that must live as long.
struct Node {
    handle: GossipHandle,
    metrics: GossipMetrics,
    store: watch::Sender<Arc<Store>>,
    tasks: Tasks,
    _dir: tempfile::TempDir,
}

impl Node {
    async fn start(index: usize, key: u8, seeds: &[SocketAddr], wrap: fn(Sealed) -> Box<dyn Transport>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metrics = GossipMetrics::register(&Registry::new()).unwrap();
        let (store, desired) = watch::channel(Arc::new(Store::new(Lineage(1))));
        let listen = (Ipv4Addr::LOCALHOST, 0).into();
        let sealed = Sealed::bind(listen, keys(key), "lab/main".into(), metrics.clone()).await.unwrap();
        let addr = sealed.local_addr().unwrap();
        let config = GossipConfig {
            mesh: mesh(),
            node: name(index),
            listen,
            seeds: seeds.to_vec(),
            state_dir: dir.path().to_owned(),
            timing: FAST,
        };
        let desired = Desired { store: desired, first: state(0) };
        let ring = Ring::new(config, wrap(sealed), desired, metrics.clone(), addr).unwrap();
        let tasks = Tasks::new(&Shutdown::new());
        let handle = ring.handle();
        tasks.spawn_until("gossip", ring.run());
        Self { handle, metrics, store, tasks, _dir: dir }
    }

    async fn plain(index: usize, key: u8, seeds: &[SocketAddr]) -> Self {
        Self::start(index, key, seeds, |sealed| Box::new(sealed)).await
    }

    /// Waits until the view is as wanted.
    async fn sees(&self, what: &str, wanted: impl Fn(&GossipView) -> bool) {
        let mut view = self.handle.view();
        let waited = tokio::time::timeout(SOON, view.wait_for(|view| wanted(view))).await;
        assert!(waited.is_ok(), "{what}: the view stays at {:?}", self.handle.view().borrow());
    }

    fn live(view: &GossipView) -> usize {
        view.values().filter(|member| member.pulse == Pulse::Live && member.state.is_some()).count()
    }
}

/// Starts nodes that list each other, all seeded with the first.
async fn mesh_of(count: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for index in 0..count {
        let seeds: Vec<_> = nodes.first().map(|first| first.handle.local_addr()).into_iter().collect();
        nodes.push(Node::plain(index, 7, &seeds).await);
    }
    let mut store = Store::new(Lineage(1));
    for (index, node) in nodes.iter().enumerate() {
        put(&mut store, &name(index), node.handle.local_addr(), 0);
    }
    list(&nodes, &store);
    nodes
}

fn list(nodes: &[Node], store: &Store) {
    for node in nodes {
        node.store.send_replace(Arc::new(store.clone()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_converges_and_a_stopped_node_is_seen_dead() {
    let mut nodes = mesh_of(5).await;
    for node in &nodes {
        node.sees("start", |view| Node::live(view) == 5).await;
    }
    nodes[3].handle.publish(state(41));
    for node in &nodes {
        node.sees("news", |view| view[&name(3)].state == Some(state(41))).await;
    }
    let gone = nodes.remove(4);
    gone.tasks.stop(SOON).await.unwrap();
    for node in &nodes {
        node.sees("death", |view| view[&name(4)].pulse == Pulse::Dead && Node::live(view) == 4).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outsider_with_another_key_sees_nobody() {
    let nodes = mesh_of(2).await;
    let outsider = Node::plain(2, 8, &[nodes[0].handle.local_addr()]).await;
    let mut store = Store::new(Lineage(1));
    for (index, node) in nodes.iter().chain([&outsider]).enumerate() {
        put(&mut store, &name(index), node.handle.local_addr(), 0);
    }
    list(&nodes, &store);
    outsider.store.send_replace(Arc::new(store.clone()));
    nodes[0].sees("the others", |view| Node::live(view) == 2).await;
    outsider.sees("itself", |view| Node::live(view) == 1).await;
    let dropped = || nodes[0].metrics.dropped.with_label_values(&["tag"]).get();
    tokio::time::timeout(SOON, async {
        while dropped() < 5 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(Node::live(&outsider.handle.view().borrow()), 1);
    assert_eq!(nodes[0].handle.view().borrow().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phantom_members_are_refused() {
    let mut nodes = mesh_of(2).await;
    // The third knows the key, and nobody lists it.
    nodes.push(Node::plain(2, 7, &[nodes[0].handle.local_addr()]).await);
    let refused = |reason: Refuse| nodes[0].metrics.refused.with_label_values(&[reason.as_str()]).get();
    let until = async |reason: Refuse| {
        let settled = || refused(reason) == 1 && nodes[0].handle.view().borrow().len() == 2;
        let waited = tokio::time::timeout(SOON, async {
            while !settled() {
                tokio::task::yield_now().await;
            }
        });
        assert!(waited.await.is_ok(), "{reason:?}: {:?}", nodes[0].handle.view().borrow());
    };
    until(Refuse::Unlisted).await;
    let mut store = Store::new(Lineage(1));
    for (index, node) in nodes.iter().enumerate() {
        put(&mut store, &name(index), node.handle.local_addr(), 0);
    }
    put(&mut store, &name(2), "127.0.0.1:9".parse().unwrap(), 0);
    list(&nodes[..2], &store);
    until(Refuse::WrongAddress).await;
    put(&mut store, &name(2), nodes[2].handle.local_addr(), 1);
    list(&nodes[..2], &store);
    until(Refuse::OldGeneration).await;
    // Told of its new incarnation, the third begins a ring that is admitted.
    list(&nodes, &store);
    nodes[0]
        .sees("the admitted", |view| {
            view.get(&name(2)).is_some_and(|it| it.pulse.is_alive() && it.generation >> 32 == 1)
        })
        .await;
}

/// A transport whose first socket breaks after a few datagrams.
struct Brittle(Sealed, AtomicBool);
struct BrittleSocket(Box<dyn Socket>, Option<usize>);

#[async_trait]
impl Transport for Brittle {
    async fn open(&self, listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let first = !self.1.swap(true, Ordering::Relaxed);
        Ok(Box::new(BrittleSocket(self.0.open(listen).await?, first.then_some(10))))
    }
}

#[async_trait]
impl Socket for BrittleSocket {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        self.0.local_addr()
    }
    async fn send(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> anyhow::Result<SendOutcome> {
        self.0.send(to, envelope).await
    }
    async fn recv(&mut self) -> anyhow::Result<RecvOutcome> {
        let outcome = self.0.recv().await;
        if let Some(left) = self.1.as_mut() {
            *left = left.checked_sub(1).ok_or_else(|| anyhow::anyhow!("the cable is cut"))?;
        }
        outcome
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_that_ends_is_started_again() {
    let steady = Node::plain(0, 7, &[]).await;
    let seeds = [steady.handle.local_addr()];
    let brittle = Node::start(1, 7, &seeds, |sealed| Box::new(Brittle(sealed, AtomicBool::new(false)))).await;
    let mut health = brittle.handle.health();
    let broken = |health: &RingHealth| matches!(health, RingHealth::Restarting { reason } if reason.contains("cable"));
    let mut store = Store::new(Lineage(1));
    put(&mut store, &name(0), steady.handle.local_addr(), 0);
    put(&mut store, &name(1), brittle.handle.local_addr(), 0);
    steady.store.send_replace(Arc::new(store.clone()));
    brittle.store.send_replace(Arc::new(store));
    tokio::time::timeout(SOON, health.wait_for(broken)).await.unwrap().unwrap();
    tokio::time::timeout(SOON, health.wait_for(|it| *it == RingHealth::Running { generation: 2 }))
        .await
        .unwrap()
        .unwrap();
    let second = |view: &GossipView| view.get(&name(1)).is_some_and(|it| it.pulse.is_alive() && it.generation == 2);
    steady.sees("the second generation", second).await;
    assert_eq!(brittle.metrics.restarts.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_path_is_counted_and_not_sent() {
    let nodes = mesh_of(2).await;
    nodes[1].sees("start", |view| Node::live(view) == 2).await;
    // Values of the ring are short; a state this large is made here by hand, out of text that does not compress.
    let transport = Sealed::bind((Ipv4Addr::LOCALHOST, 0).into(), keys(7), "lab/main".into(), nodes[0].metrics.clone());
    let transport = transport.await.unwrap();
    let id = ChitchatId::new("big", 1, transport.local_addr().unwrap());
    let mut config = config_of(&id);
    config.seed_nodes = vec![nodes[1].handle.local_addr().to_string()];
    let values = (0..200_u64).map(|key| (format!("k{key}"), format!("{:x}", key.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    let big = spawn_chitchat(config, values.collect(), &transport).await.unwrap();
    let waited = tokio::time::timeout(SOON, async {
        while nodes[0].metrics.oversize.get() == 0 {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "nothing above {PLAIN_BYTES_MAX} bytes was seen");
    assert_eq!(nodes[1].handle.view().borrow().len(), 2);
    big.shutdown().await.unwrap();
}

fn config_of(id: &ChitchatId) -> ChitchatConfig {
    ChitchatConfig {
        chitchat_id: id.clone(),
        cluster_id: "lab/main".into(),
        gossip_interval: FAST.interval,
        listen_addr: id.gossip_advertise_addr,
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig::default(),
        marked_for_deletion_grace_period: FAST.grace,
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    }
}
