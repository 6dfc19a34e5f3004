//! Hosts, processes and the network between them, all in one process and in virtual time.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use mesh_core::{id::Lineage, time::Timestamp};
use openraft::SnapshotPolicy;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Parts, Peer, Profile, RaftConfig, RaftHandle, ServeError,
        failure::FailureSender,
        journal::RedbJournal,
        log::Log,
        machine::{Machine, MachineConfig},
        network::{Call, Transport, Unreached},
        settings,
    },
    disk::{Host, Plant, SimJournal},
};

pub(super) const CLUSTER: &str = "fault-harness";

/// How a run differs from the usual one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) sync_ms_max: u64,
    pub(super) plant: Plant,
    /// openraft's own default, which is wrong for a commit position that is saved lazily.
    pub(super) leader_restore: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self { sync_ms_max: 10, plant: Plant::Nothing, leader_restore: false }
    }
}

pub(super) struct World {
    pub(super) setting: Setting,
    pub(super) begun: Instant,
    rng: Mutex<StdRng>,
    hosts: Mutex<BTreeMap<u64, Arc<Host>>>,
    up: Mutex<BTreeMap<u64, RaftHandle>>,
    pub(super) net: Mutex<Net>,
    /// The first broken promise.
    violation: Mutex<Option<String>>,
    events: Mutex<Vec<String>>,
    pub(super) counts: Mutex<BTreeMap<&'static str, u64>>,
}

/// What the network does to messages.
#[derive(Default)]
pub(super) struct Net {
    /// Directed pairs that lose everything.
    pub(super) blocked: BTreeSet<(u64, u64)>,
    pub(super) loss: f64,
    pub(super) delay_ms_max: u64,
}

impl World {
    pub(super) fn new(seed: u64, setting: Setting) -> Arc<Self> {
        Arc::new(Self {
            setting,
            begun: Instant::now(),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            hosts: Mutex::default(),
            up: Mutex::default(),
            net: Mutex::new(Net { delay_ms_max: 3, ..Net::default() }),
            violation: Mutex::default(),
            events: Mutex::default(),
            counts: Mutex::default(),
        })
    }

    pub(super) fn random(&self, least: u64, most: u64) -> u64 {
        self.rng.lock().unwrap().random_range(least..=most)
    }

    pub(super) fn chance(&self, probability: f64) -> bool {
        self.rng.lock().unwrap().random_bool(probability)
    }

    pub(super) fn pick<T: Copy>(&self, among: &[T]) -> T {
        among[self.rng.lock().unwrap().random_range(0..among.len())]
    }

    pub(super) fn request_id(&self) -> u128 {
        self.rng.lock().unwrap().random()
    }

    /// Notes what happened, for a failed run's report.
    pub(super) fn note(&self, what: &'static str, detail: impl std::fmt::Display) {
        *self.counts.lock().unwrap().entry(what).or_default() += 1;
        self.events.lock().unwrap().push(format!("{:>9.3} {what} {detail}", self.begun.elapsed().as_secs_f64()));
    }

    pub(super) fn violate(&self, what: String) {
        self.violation.lock().unwrap().get_or_insert(what);
    }

    /// The broken promise, with the last things that happened.
    pub(super) fn verdict(&self) -> Result<(), String> {
        match self.violation.lock().unwrap().clone() {
            None => Ok(()),
            Some(what) => {
                let events = self.events.lock().unwrap();
                Err(format!("{what}\n{}", events[events.len().saturating_sub(40)..].join("\n")))
            }
        }
    }

    pub(super) fn all(&self) -> Vec<u64> {
        self.hosts.lock().unwrap().keys().copied().collect()
    }

    pub(super) fn running(&self) -> Vec<u64> {
        self.up.lock().unwrap().keys().copied().collect()
    }

    pub(super) fn handle(&self, id: u64) -> Option<RaftHandle> {
        self.up.lock().unwrap().get(&id).cloned()
    }

    pub(super) fn host(&self, id: u64) -> Option<Arc<Host>> {
        self.hosts.lock().unwrap().get(&id).cloned()
    }

    /// Gives a node a host that has been used already.
    pub(super) fn adopt(&self, id: u64, host: Arc<Host>) {
        self.hosts.lock().unwrap().insert(id, host);
    }

    /// Which life of a node this is; an answer out of an earlier life never reaches anybody.
    pub(super) fn epoch(&self, id: u64) -> u64 {
        self.host(id).map_or(u64::MAX, |host| host.epoch())
    }

    /// The leader of the highest term.
    pub(super) fn leader(&self) -> Option<(u64, RaftHandle)> {
        let up = self.up.lock().unwrap();
        let leading = up.iter().filter(|(_, raft)| raft.status().borrow().is_leader());
        leading.max_by_key(|(_, raft)| raft.status().borrow().term).map(|(id, raft)| (*id, raft.clone()))
    }

    /// Starts a node on its host, made when it is new.
    pub(super) async fn start(self: &Arc<Self>, id: u64) -> Result<RaftHandle, String> {
        let seed = self.random(0, u64::MAX);
        let host = Arc::clone(
            self.hosts.lock().unwrap().entry(id).or_insert_with(|| Host::new(seed, self.setting.sync_ms_max)),
        );
        let parts = self.parts(id, &host)?;
        let raft = RaftHandle::assemble(parts).await.map_err(|error| format!("node {id} does not start: {error}"))?;
        self.up.lock().unwrap().insert(id, raft.clone());
        self.note("start", id);
        Ok(raft)
    }

    fn parts(self: &Arc<Self>, id: u64, host: &Arc<Host>) -> Result<Parts, String> {
        let (journal, image) =
            RedbJournal::open(host.backend()).map_err(|error| format!("node {id}: log does not open: {error}"))?;
        let failure = FailureSender::new();
        let journal = SimJournal::new(journal, Arc::clone(host), self.setting.plant);
        let (log, writer) = Log::new(journal, image, failure.clone());
        tokio::spawn(writer.run());
        let stop = CancellationToken::new();
        let files = Arc::new(host.files());
        let machine =
            Machine::new(MachineConfig { cluster: CLUSTER.to_owned(), lineage: Lineage(0), files, stop: stop.clone() });
        let config = RaftConfig {
            dir: std::path::PathBuf::new(),
            cluster: CLUSTER.to_owned(),
            node_id: id,
            lineage: Lineage(0),
            profile: Profile::Site,
        };
        let openraft = openraft::Config {
            heartbeat_interval: 50,
            election_timeout_min: 200,
            election_timeout_max: 400,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(60),
            max_in_snapshot_log_to_keep: 10,
            purge_batch_size: 1,
            replication_lag_threshold: 80,
            install_snapshot_timeout: 1_000,
            enable_leader_restore: Some(self.setting.leader_restore),
            ..settings(CLUSTER, Profile::Site)
        };
        let begun = self.begun;
        let clock = Arc::new(move || Timestamp(u64::try_from(begun.elapsed().as_millis()).unwrap()));
        let transport = Arc::new(Wire { world: Arc::clone(self), me: id, epoch: host.epoch() });
        Ok(Parts { config, openraft, transport, log, machine, failure, clock, stop, dir: None })
    }

    /// Cuts a node's power.
    pub(super) fn kill(&self, id: u64, lose_all: bool) {
        let raft = self.up.lock().unwrap().remove(&id);
        if let Some(host) = self.host(id) {
            host.crash(lose_all);
        }
        if let Some(raft) = raft {
            // What is left of the process has neither disk nor network; it only has to end.
            raft.node.stop.cancel();
            raft.node.log.close();
            tokio::spawn(async move { drop(raft.node.raft.shutdown().await) });
        }
        self.note("power cut", id);
    }

    pub(super) fn heal(&self) {
        *self.net.lock().unwrap() = Net { delay_ms_max: 3, ..Net::default() };
    }

    pub(super) fn cut(&self, pairs: &[(u64, u64)]) {
        self.net.lock().unwrap().blocked.extend(pairs);
    }

    /// A failed log or core of a running node: right only when its host lost its power.
    pub(super) fn failures(&self) -> Vec<String> {
        let up = self.up.lock().unwrap();
        up.iter()
            .filter_map(|(id, raft)| raft.failed().now_or_never().map(|failure| format!("node {id}: {failure}")))
            .collect()
    }

    /// One way of a message; whether it arrives.
    async fn hop(&self, from: u64, to: u64) -> bool {
        let delay = {
            let most = self.net.lock().unwrap().delay_ms_max;
            self.random(0, most)
        };
        sleep(Duration::from_millis(delay)).await;
        let (blocked, loss) = {
            let net = self.net.lock().unwrap();
            (net.blocked.contains(&(from, to)), net.loss)
        };
        !blocked && !self.chance(loss)
    }
}

/// A node's network, cut when its process dies.
struct Wire {
    world: Arc<World>,
    me: u64,
    epoch: u64,
}

impl Transport for Wire {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Bytes, Unreached>> {
        let (world, me, epoch) = (Arc::clone(&self.world), self.me, self.epoch);
        async move {
            let limit = call.limit;
            let silence = Err(Unreached { why: "silence".to_owned(), sent: true });
            timeout(limit, travel(&world, (me, epoch), call)).await.unwrap_or(silence)
        }
        .boxed()
    }
}

async fn travel(world: &Arc<World>, (me, epoch): (u64, u64), call: Call) -> Result<Bytes, Unreached> {
    let to = call.envelope.to;
    if world.epoch(me) != epoch || !world.hop(me, to).await {
        pending::<()>().await;
    }
    let target_epoch = world.epoch(to);
    let Some(target) = world.handle(to) else {
        return Err(Unreached { why: "nobody listens".to_owned(), sent: false });
    };
    let answer = target.serve(call.rpc, call.envelope).await;
    drop(target);
    if world.epoch(to) != target_epoch || !world.hop(to, me).await || world.epoch(me) != epoch {
        pending::<()>().await;
    }
    answer.map_err(|error| Unreached { why: error.to_string(), sent: matches!(error, ServeError::Unavailable(_)) })
}

pub(super) fn peer(id: u64) -> Peer {
    Peer { name: format!("node-{id}"), address: String::new() }
}
