//! Real coordinators: real disks, real gRPC over loopback, real time.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use mesh_core::{
    id::Lineage,
    store::{Expect, Outcome},
};
use tempfile::TempDir;
use tokio::{net::TcpListener, time::timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

use super::{
    super::{Channels, Peer, Profile, Purpose, RaftConfig, RaftHandle, RaftService, Resume, StartError},
    storm::{key, put, value},
};
use crate::replica::{Replica, ReplicaError};

const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Plain(Mutex<BTreeMap<(u64, Purpose), Channel>>);

impl Channels for Plain {
    fn channel(&self, node: u64, peer: &Peer, purpose: Purpose) -> Result<Channel, String> {
        let endpoint = Endpoint::from_shared(format!("http://{}", peer.address)).map_err(|error| error.to_string())?;
        let connect = || endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy();
        Ok(self.0.lock().unwrap().entry((node, purpose)).or_insert_with(connect).clone())
    }
}

fn config(dir: &Path, node_id: u64) -> RaftConfig {
    RaftConfig {
        dir: dir.join(node_id.to_string()),
        cluster: "loopback".to_owned(),
        node_id,
        lineage: Lineage(0),
        profile: Profile::Site,
    }
}

/// A running coordinator and its server.
struct Coordinator {
    raft: RaftHandle,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Coordinator {
    async fn start(dir: &Path, id: u64, listener: TcpListener) -> Self {
        let raft = RaftHandle::start(config(dir, id), Arc::new(Plain::default())).await.unwrap();
        let stop = CancellationToken::new();
        let service = RaftService::new(raft.clone()).into_server();
        let stopped = stop.clone().cancelled_owned();
        let server = tokio::spawn(async move {
            let server = tonic::transport::Server::builder().add_service(service);
            server.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped).await.unwrap();
        });
        Self { raft, stop, server }
    }

    async fn stop(self) {
        self.raft.shutdown().await;
        self.stop.cancel();
        self.server.abort();
        drop(self.server.await);
    }
}

async fn coordinators(dir: &Path) -> (BTreeMap<u64, Coordinator>, BTreeMap<u64, Peer>) {
    let (mut running, mut peers) = (BTreeMap::new(), BTreeMap::new());
    for id in 1..=3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        peers.insert(id, Peer { name: format!("node-{id}"), address });
        running.insert(id, Coordinator::start(dir, id, listener).await);
    }
    running[&1].raft.initialize(peers.clone()).await.unwrap();
    (running, peers)
}

async fn leader(running: &BTreeMap<u64, Coordinator>) -> u64 {
    let mut status = running.values().next().unwrap().raft.status();
    let known = status.wait_for(|status| status.leader.as_ref().is_some_and(|(id, _)| running.contains_key(id)));
    timeout(LIMIT, known).await.unwrap().unwrap().leader.clone().unwrap().0
}

#[tokio::test]
async fn three_coordinators_agree_fail_over_and_come_back() {
    let dir = TempDir::new().unwrap();
    let (mut running, peers) = coordinators(dir.path()).await;
    let first = leader(&running).await;
    let follower = running.keys().copied().find(|id| *id != first).unwrap();
    let outcome = running[&follower].raft.propose(put(1, 0, 1, Expect::Absent)).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    for coordinator in running.values() {
        let store = coordinator.raft.read_barrier().await.unwrap();
        assert_eq!(value(store.get(&key(0))), 1, "a barrier works on every coordinator");
    }

    // A planned stop hands leadership over, so a write right after it finds a leader soon.
    running.remove(&first).unwrap().stop().await;
    assert!(matches!(running[&follower].raft.propose(put(2, 0, 2, Expect::Any)).await, Ok(Outcome::Done { .. })));
    let listener = TcpListener::bind(&peers[&first].address).await.unwrap();
    running.insert(first, Coordinator::start(dir.path(), first, listener).await);
    assert!(running[&first].raft.recovered(LIMIT).await);
    assert_eq!(value(running[&first].raft.read_barrier().await.unwrap().get(&key(0))), 2);
    let again = running[&first].raft.initialize(peers.clone()).await;
    assert_eq!(again, Err(super::super::InitError::Already));

    // A fourth coordinator joins under an id that nobody had.
    let leading = &running[&leader(&running).await].raft;
    let id = leading.allocate_id().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer { name: "node-4".to_owned(), address: listener.local_addr().unwrap().to_string() };
    let joined = Coordinator::start(dir.path(), id, listener).await;
    leading.add_voter(id, peer).await.unwrap();
    assert_eq!(value(joined.raft.read_barrier().await.unwrap().get(&key(0))), 2);
    leading.remove_voter(id).await.unwrap();
    joined.stop().await;
    for coordinator in running.into_values() {
        coordinator.stop().await;
    }
}

#[tokio::test]
async fn a_replica_follows_caches_and_never_goes_back() {
    let dir = TempDir::new().unwrap();
    let (running, _) = coordinators(dir.path()).await;
    let raft = running[&leader(&running).await].raft.clone();
    for number in 1..=5 {
        raft.propose(put(number.into(), 0, number, Expect::Any)).await.unwrap();
    }
    let cache = dir.path().join("replica");
    let mut replica = Replica::open(&cache, "loopback").unwrap();
    assert_eq!(replica.resume(), Resume::default());
    let mut stream = raft.follow(replica.resume());
    while !replica.confirmed() {
        replica.on_event(stream.next().await.unwrap()).await.unwrap();
    }
    raft.propose(put(6, 0, 6, Expect::Any)).await.unwrap();
    while value(replica.store().borrow().get(&key(0))) != 6 {
        replica.on_event(stream.next().await.unwrap()).await.unwrap();
    }
    replica.flush().await.unwrap();
    let (resume, at) = (replica.resume(), replica.store().borrow().revision());
    drop(replica);

    let mut replica = Replica::open(&cache, "loopback").unwrap();
    assert_eq!(replica.resume(), resume, "the cache has base and tail");
    assert!(!replica.confirmed(), "what is cached is not known to be current");
    let old = super::super::FollowEvent::Progress { revision: mesh_core::id::Revision(at.0 - 1), leader_age_ms: None };
    assert!(matches!(replica.on_event(old).await, Err(ReplicaError::WentBack { .. })));
    let mut stream = raft.follow(replica.resume());
    replica.on_event(stream.next().await.unwrap()).await.unwrap();
    assert!(replica.confirmed(), "nothing was missed, so the first event is progress");
    drop(replica);

    // A damaged tail is cut off, a damaged base dropped; either way the stream makes it whole.
    let check = async |file: &str, expected: u64| {
        let mut bytes = std::fs::read(cache.join(file)).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(cache.join(file), bytes).unwrap();
        let mut replica = Replica::open(&cache, "loopback").unwrap();
        assert_eq!(replica.store().borrow().revision().0, expected, "{file}");
        let mut stream = raft.follow(replica.resume());
        while !replica.confirmed() {
            replica.on_event(stream.next().await.unwrap()).await.unwrap();
        }
        assert_eq!(replica.store().borrow().digest(), raft.store().borrow().digest());
        replica.flush().await.unwrap();
    };
    check("tail", at.0 - 1).await;
    check("base", 0).await;
    assert_eq!(Replica::open(&cache, "another-mesh").unwrap().store().borrow().revision().0, 0);
    for coordinator in running.into_values() {
        coordinator.stop().await;
    }
}

#[tokio::test]
async fn a_data_directory_belongs_to_one_node_and_one_process() {
    let dir = TempDir::new().unwrap();
    let raft = RaftHandle::start(config(dir.path(), 1), Arc::new(Plain::default())).await.unwrap();
    let second = RaftHandle::start(config(dir.path(), 1), Arc::new(Plain::default())).await.map(drop).unwrap_err();
    assert!(matches!(second, StartError::Locked { .. }), "{second}");
    raft.shutdown().await;
    drop(raft);
    let other = RaftConfig { node_id: 2, ..config(dir.path(), 1) };
    let refused = async {
        loop {
            let error = RaftHandle::start(other.clone(), Arc::new(Plain::default())).await.map(drop).unwrap_err();
            if !matches!(error, StartError::Locked { .. }) {
                return error.to_string();
            }
            // The lock goes with the last of raft's own tasks.
            tokio::task::yield_now().await;
        }
    };
    let refused = timeout(LIMIT, refused).await.unwrap();
    assert!(refused.contains("belongs to node 1 of mesh loopback"), "{refused}");

    std::fs::remove_file(dir.path().join("1").join("log.redb")).unwrap();
    let forgetful =
        RaftHandle::start(config(dir.path(), 1), Arc::new(Plain::default())).await.map(drop).unwrap_err().to_string();
    assert!(forgetful.contains("log that belongs to it is gone"), "{forgetful}");
}
