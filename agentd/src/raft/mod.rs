//! Agreement between the coordinators: openraft over our own log, state machine and network. No type of openraft leaves this module.
//!
//! A [`RaftHandle`] is all the rest of the daemon sees: propose a command, read behind a barrier, watch the store,
//! follow it, and be told when the log has failed. Raft runs on a thread of its own, so that no load elsewhere starves it.

mod beat;
mod dir;
mod failure;
mod files;
mod follow;
mod grpc;
mod journal;
mod keep;
mod log;
mod machine;
mod network;
mod propose;
mod read;
mod serve;
mod status;
mod types;
mod voters;
mod wire;

#[cfg(test)]
mod faults;

use std::{
    fs::OpenOptions,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mesh_core::{id::Lineage, store::Store, time::Timestamp};
use openraft::SnapshotPolicy;
use tokio::{
    runtime,
    sync::{oneshot, watch},
};
use tokio_util::sync::CancellationToken;

use self::{
    beat::{Beat, Timing},
    dir::DataDir,
    failure::FailureSender,
    files::Directory,
    grpc::GrpcTransport,
    journal::RedbJournal,
    log::Log,
    machine::{Machine, MachineConfig},
    network::{Contacts, Network, Transport},
    status::Observer,
    types::Raft,
};
pub(crate) use self::{dir::make_private, files::write_durably};
pub use self::{
    failure::Failure,
    follow::{Follow, FollowEvent, Resume},
    grpc::{Channels, RaftService},
    machine::Health,
    network::{Envelope, Purpose, Rpc},
    propose::ProposeError,
    read::ReadError,
    serve::ServeError,
    status::{RaftStatus, Standing, Voter},
    types::Peer,
    voters::{InitError, VoterError},
};

/// How long a stopping node waits for what is queued to be written.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// How long a stopping leader waits for another to take over.
const TRANSFER_WAIT: Duration = Duration::from_secs(2);

/// The clock that stamps commands: milliseconds since the epoch.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How patient the coordinators are with each other; the same on all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Coordinators in one site: a dead leader is replaced after about a second.
    #[default]
    Site,
    /// Coordinators in several sites: after about five seconds.
    Wan,
}

impl Profile {
    /// Heartbeat interval, least and greatest election timeout, in milliseconds.
    fn timings_ms(self) -> (u64, u64, u64) {
        match self {
            // An election is at least 900 ms of silence away (the lease and a timeout): six heartbeats.
            Self::Site => (150, 300, 600),
            Self::Wan => (250, 1_500, 3_000),
        }
    }

    /// After so long without a word a peer or leader counts as gone, in milliseconds.
    fn patience_ms(self) -> u64 {
        self.timings_ms().2 * 2
    }
}

/// What a coordinator is started with.
#[derive(Debug, Clone)]
pub struct RaftConfig {
    /// The directory of log, snapshots and lock; made when absent.
    pub dir: PathBuf,
    /// The id of the mesh; messages and files of another are refused.
    pub cluster: String,
    /// This coordinator's id; never one that another disk had before.
    pub node_id: u64,
    /// Which history of the mesh this is.
    pub lineage: Lineage,
    /// How patient the coordinators are with each other.
    pub profile: Profile,
}

/// Why a coordinator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process uses the directory.
    #[error("{} is in use by another process: stop that one first", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory belongs to someone else, or a newer build wrote it.
    #[error("{}: {reason}", path.display())]
    Meta {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        reason: String,
    },
    /// A step on the directory failed.
    #[error("cannot {what}")]
    Directory {
        /// The step.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Log or snapshots cannot be used.
    #[error("raft does not start: {0}")]
    Raft(String),
}

/// One coordinator's part in the agreement; clones share it.
#[derive(Clone)]
pub struct RaftHandle {
    node: Arc<Node>,
}

/// What all handles share.
pub(crate) struct Node {
    raft: Raft,
    network: Network,
    machine: Machine,
    log: Log,
    status: watch::Receiver<RaftStatus>,
    failure: FailureSender,
    clock: Clock,
    stop: CancellationToken,
    /// Freed at shutdown or when the last handle goes; a test without a disk has none.
    dir: Mutex<Option<DataDir>>,
    /// Raft's own thread, which ends when this is dropped; a test in virtual time has none.
    thread: Mutex<Option<oneshot::Sender<()>>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
        self.log.close();
    }
}

/// What a node is put together from; tests put simulated parts in.
pub(crate) struct Parts {
    pub(crate) config: RaftConfig,
    pub(crate) openraft: openraft::Config,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) log: Log,
    pub(crate) machine: Machine,
    pub(crate) failure: FailureSender,
    pub(crate) clock: Clock,
    pub(crate) stop: CancellationToken,
    pub(crate) dir: Option<DataDir>,
}

impl RaftHandle {
    /// Opens the data directory and starts to take part; a pristine coordinator waits to be initialised or added.
    ///
    /// # Errors
    /// [`StartError`] naming the file and what to do.
    pub async fn start(config: RaftConfig, channels: Arc<dyn Channels>) -> Result<Self, StartError> {
        let (runtime, thread) =
            start_thread().map_err(|source| StartError::Directory { what: "start raft's thread", source })?;
        let opened = runtime.spawn(async move {
            let parts = open(config, Arc::new(GrpcTransport::new(channels)))?;
            Self::assemble(parts).await
        });
        let handle = opened.await.map_err(|error| StartError::Raft(error.to_string())).flatten()?;
        *handle.node.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(handle)
    }

    /// Starts raft on the runtime this is called in.
    #[expect(clippy::disallowed_methods, reason = "all of them run on raft's own runtime and end with it")]
    pub(crate) async fn assemble(parts: Parts) -> Result<Self, StartError> {
        let Parts { config, openraft, transport, log, machine, failure, clock, stop, dir } = parts;
        let network = Network {
            cluster: config.cluster.clone(),
            lineage: config.lineage,
            me: config.node_id,
            transport,
            contacts: Arc::new(Contacts::default()),
        };
        let openraft = Arc::new(openraft.validate().map_err(|error| StartError::Raft(error.to_string()))?);
        let raft = Raft::new(config.node_id, Arc::clone(&openraft), network.clone(), log.clone(), machine.clone())
            .await
            .map_err(|error| StartError::Raft(error.to_string()))?;
        let beat = Beat {
            raft: raft.clone(),
            contacts: Arc::clone(&network.contacts),
            timing: Timing {
                heartbeat: Duration::from_millis(openraft.heartbeat_interval),
                quiet: Duration::from_millis(openraft.election_timeout_min),
            },
        };
        let observer = Observer {
            raft: raft.clone(),
            contacts: Arc::clone(&network.contacts),
            health: machine.health(),
            profile: config.profile,
            clock: Arc::clone(&clock),
            failure: failure.clone(),
            confirmed: None,
        };
        let (publish, status) = watch::channel(RaftStatus { node_id: config.node_id, ..RaftStatus::default() });
        tokio::spawn(observer.run(publish));
        tokio::spawn(beat.run());
        let node = Node {
            raft,
            network,
            machine,
            log,
            status,
            failure,
            clock,
            stop: stop.clone(),
            dir: Mutex::new(dir),
            thread: Mutex::new(None),
        };
        let node = Arc::new(node);
        tokio::spawn(keep::run(Arc::downgrade(&node), stop));
        Ok(Self { node })
    }

    /// The store as last applied here: for every read that need not be the latest, and to watch for changes.
    #[must_use]
    pub fn store(&self) -> watch::Receiver<Arc<Store>> {
        self.node.machine.store()
    }

    /// What this coordinator knows about the agreement, published at every change.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<RaftStatus> {
        self.node.status.clone()
    }

    /// A source of events for one follower, from where it says it is.
    #[must_use]
    pub fn follow(&self, resume: Resume) -> Follow {
        Follow::new(&self.node.machine, self.status(), self.node.network.cluster.clone(), resume)
    }

    /// Waits until this replica is as new as it was before it was restarted; `false` when that takes longer than `limit`.
    ///
    /// Reads and followers are served only afterwards; without a quorum they may be, marked with their age.
    pub async fn recovered(&self, limit: Duration) -> bool {
        self.node.raft.wait_for_recovery(Some(limit)).await.is_ok()
    }

    /// Completes when log or machine have failed: the daemon says so and exits with code 70.
    pub async fn failed(&self) -> Failure {
        self.node.failure.failed().await
    }

    /// Hands leadership over when this node has it, then stops.
    pub async fn shutdown(&self) {
        self.hand_over().await;
        self.node.stop.cancel();
        // An error means that the core has already ended.
        drop(self.node.raft.shutdown().await);
        self.node.log.close();
        if tokio::time::timeout(CLOSE_WAIT, self.node.log.ended()).await.is_err() {
            tracing::warn!("the raft log did not close in time");
        }
        drop(self.node.dir.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    async fn hand_over(&self) {
        if !self.node.status.borrow().is_leader() {
            return;
        }
        let Some(successor) = self.successor() else {
            return;
        };
        if self.transfer_leader(successor).await.is_err() {
            return;
        }
        let mut status = self.status();
        let handed = status.wait_for(|status| !status.is_leader());
        if tokio::time::timeout(TRANSFER_WAIT, handed).await.is_err() {
            tracing::warn!(successor, "leadership was not taken over in time, stopping all the same");
        }
    }
}

/// openraft's settings. Changing one of the four marked `safety` needs a run of the fault harness.
pub(crate) fn settings(cluster: &str, profile: Profile) -> openraft::Config {
    let (heartbeat_interval, election_timeout_min, election_timeout_max) = profile.timings_ms();
    openraft::Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval,
        election_timeout_min,
        election_timeout_max,
        // Safety: a restored leader may serve a read that misses its own last write, as the commit position is saved lazily.
        enable_leader_restore: Some(false),
        // Safety of service: a node that was cut off does not depose a healthy leader when it returns.
        enable_pre_vote: Some(true),
        snapshot_policy: SnapshotPolicy::LogsSinceLast(10_000),
        max_in_snapshot_log_to_keep: 2_000,
        // Above the distance of snapshots, or a follower that lags a little is sent one.
        replication_lag_threshold: 20_000,
        max_payload_entries: 512,
        install_snapshot_timeout: 30_000,
        ..openraft::Config::default()
    }
}

/// Starts raft's own runtime, which ends when the sender is dropped.
///
/// It is one thread: the core, its timers and its calls wake each other all the time, which costs nothing there, and
/// what takes long (the log's syncs, snapshots) has threads of its own.
fn start_thread() -> io::Result<(runtime::Handle, oneshot::Sender<()>)> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (handle, (end, ended)) = (runtime.handle().clone(), oneshot::channel());
    std::thread::Builder::new().name("raft".to_owned()).spawn(move || {
        // Nothing is ever sent: the sender goes, that is all.
        let _ = runtime.block_on(ended);
        // Whoever drops the last handle does not wait, and neither does this.
        runtime.shutdown_background();
    })?;
    Ok((handle, end))
}

fn open(config: RaftConfig, transport: Arc<dyn Transport>) -> Result<Parts, StartError> {
    let dir = DataDir::open(&config)?;
    let failed = |what: &'static str| move |source| StartError::Directory { what, source };
    let path = dir.log();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed("open the raft log"))?;
    // redb syncs the file, never the directory that names it.
    files::sync_directory(&path).map_err(failed("sync the directory of the raft log"))?;
    let backend =
        redb::backends::FileBackend::new(file).map_err(|error| failed("lock the raft log")(io::Error::other(error)))?;
    let (journal, image) = RedbJournal::open(backend).map_err(failed("read the raft log"))?;
    dir.claim(&config)?;
    let failure = FailureSender::new();
    let (log, writer) = Log::new(journal, image, failure.clone());
    writer.spawn_thread().map_err(failed("start the log's thread"))?;
    let stop = CancellationToken::new();
    let snapshots = Directory::open(dir.snapshots()).map_err(failed("make the directory of snapshots"))?;
    let machine = Machine::new(MachineConfig {
        cluster: config.cluster.clone(),
        lineage: config.lineage,
        files: Arc::new(snapshots),
        stop: stop.clone(),
    });
    let openraft = settings(&config.cluster, config.profile);
    let clock: Clock = Arc::new(wall_clock);
    Ok(Parts { config, openraft, transport, log, machine, failure, clock, stop, dir: Some(dir) })
}

fn wall_clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
