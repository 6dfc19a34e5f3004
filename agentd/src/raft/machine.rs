//! The state machine under raft: the store in memory, one snapshot file on disk, readers served from a watch channel.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use mesh_core::{
    id::Lineage,
    store::{Command, Divergence, Outcome, SnapshotHeader, Store, apply, decode_snapshot, encode_snapshot},
};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    files::Files,
    types::{Entry, LogId, Membership, Response, Snapshot, SnapshotMeta, Types},
};

/// Readers see the store at least this often while a long run of entries is applied.
const PUBLISH_EVERY: usize = 256;

/// Whether this replica may be served.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Health {
    /// It applies what is committed.
    #[default]
    Serving,
    /// It met an entry of a newer build and stopped in front of it; it still votes and replicates.
    Parked {
        /// What it could not apply.
        reason: String,
    },
    /// It was found to differ from the leader; its files are kept for inspection.
    Diverged(Divergence),
}

/// The machine; clones share it.
#[derive(Clone)]
pub(crate) struct Machine {
    inner: Arc<Inner>,
}

/// What a machine is made with.
pub(crate) struct MachineConfig {
    pub(crate) cluster: String,
    pub(crate) lineage: Lineage,
    pub(crate) files: Arc<dyn Files>,
    /// Ends a machine that is parked in front of an entry.
    pub(crate) stop: CancellationToken,
}

struct Inner {
    config: MachineConfig,
    state: Mutex<State>,
    /// The position of the newest snapshot file; locked while one is written, so that files never go back.
    newest: Mutex<Option<LogId>>,
    store: watch::Sender<Arc<Store>>,
    health: watch::Sender<Health>,
}

struct State {
    store: Store,
    applied: Option<LogId>,
    membership: Membership,
}

impl Machine {
    pub(crate) fn new(config: MachineConfig) -> Self {
        let store = Store::new(config.lineage);
        let publisher = watch::Sender::new(Arc::new(store.clone()));
        let state = Mutex::new(State { store, applied: None, membership: Membership::default() });
        let inner =
            Inner { config, state, newest: Mutex::new(None), store: publisher, health: watch::Sender::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The store as of the last applied batch.
    pub(crate) fn store(&self) -> watch::Receiver<Arc<Store>> {
        self.inner.store.subscribe()
    }

    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.inner.health.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every step under the lock is complete or not begun; a panic elsewhere leaves it valid.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self) {
        let (store, divergence) = {
            let state = self.state();
            (state.store.clone(), state.store.divergence())
        };
        if let Some(divergence) = divergence {
            self.inner.health.send_if_modified(|health| {
                let first = *health == Health::Serving;
                if first {
                    tracing::error!(%divergence, "this replica differs from its leader and is no longer served");
                    *health = Health::Diverged(divergence);
                }
                first
            });
        }
        self.inner.store.send_replace(Arc::new(store));
    }

    /// Applies one entry; `Err` when it needs a newer build.
    fn apply_entry(&self, entry: &Entry) -> Result<Response, String> {
        let command = match &entry.payload {
            EntryPayload::Normal(payload) => Some(Command::decode(&payload.0).map_err(|error| error.to_string())?),
            EntryPayload::Blank | EntryPayload::Membership(_) => None,
        };
        let mut state = self.state();
        let outcome = match &command {
            Some(command) => apply(&mut state.store, command),
            None => Outcome::Unchanged { revision: state.store.revision() },
        };
        if let EntryPayload::Membership(membership) = &entry.payload {
            state.membership = Membership::new(Some(entry.log_id), membership.clone());
        }
        state.applied = Some(entry.log_id);
        Ok(Response(outcome))
    }

    /// Waits in front of an entry of a newer build until this node is stopped.
    async fn park(&self, entry: &Entry, reason: String) -> io::Error {
        tracing::error!(index = entry.log_id.index, reason, "cannot apply this entry: upgrade this node");
        self.publish();
        self.inner.health.send_replace(Health::Parked { reason });
        self.inner.config.stop.cancelled().await;
        io::Error::other("stopped while parked")
    }

    /// Writes a snapshot file unless a newer one is there already.
    fn keep(&self, position: Option<LogId>, bytes: &[u8]) -> io::Result<()> {
        let mut newest = self.inner.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if *newest >= position && newest.is_some() {
            return Ok(());
        }
        self.inner.config.files.put(&file_name(position), bytes)?;
        *newest = position;
        Ok(())
    }

    /// Reads the newest file that is whole.
    fn newest_file(&self) -> io::Result<Option<Snapshot>> {
        for name in self.inner.config.files.list()?.iter().rev() {
            let bytes = Bytes::from(self.inner.config.files.get(name)?);
            match check_snapshot(&bytes, &self.inner.config.cluster, self.inner.config.lineage) {
                Ok((meta, _)) => {
                    let mut newest = self.inner.newest.lock().unwrap_or_else(PoisonError::into_inner);
                    *newest = (*newest).max(meta.last_log_id);
                    return Ok(Some(Snapshot { meta, snapshot: bytes }));
                }
                Err(error) => tracing::error!(name, error, "snapshot file cannot be used"),
            }
        }
        Ok(None)
    }
}

fn file_name(position: Option<LogId>) -> String {
    let (index, term) = position.map_or((0, 0), |it| (it.index, it.leader_id.term));
    format!("snapshot-{index:020}-{term:020}.mesh")
}

/// Checks a whole snapshot of this mesh and reads its position in the log.
///
/// The error is a text, for whoever sent it or for the log.
pub(crate) fn check_snapshot(bytes: &[u8], cluster: &str, lineage: Lineage) -> Result<(SnapshotMeta, Store), String> {
    let (header, store) = decode_snapshot(bytes).map_err(|error| error.to_string())?;
    if header.cluster != cluster || header.lineage != lineage {
        return Err(format!(
            "snapshot is of mesh {} lineage {}, this is {cluster} lineage {}",
            header.cluster, header.lineage.0, lineage.0
        ));
    }
    Ok((position(&header)?, store))
}

fn position(header: &SnapshotHeader) -> Result<SnapshotMeta, String> {
    postcard::from_bytes(&header.log).map_err(|error| format!("snapshot has no log position: {error}"))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let (store, meta) = {
            let state = self.state();
            (
                state.store.clone(),
                SnapshotMeta { last_log_id: state.applied, last_membership: state.membership.clone() },
            )
        };
        let machine = self.clone();
        blocking(move || {
            let log = postcard::to_stdvec(&meta).map_err(io::Error::other)?;
            let bytes = Bytes::from(encode_snapshot(&store, &machine.inner.config.cluster, &log));
            machine.keep(meta.last_log_id, &bytes)?;
            Ok(Snapshot { meta, snapshot: bytes })
        })
        .await
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), io::Error> {
        let state = self.state();
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        // A writer must find its write in the published store, so answers wait for the publication.
        let mut answers = Vec::new();
        loop {
            let next = entries.next().await.transpose()?;
            let done = next.is_none();
            if let Some((entry, responder)) = next {
                match self.apply_entry(&entry) {
                    Ok(response) => answers.extend(responder.map(|responder| (responder, response))),
                    Err(reason) => return Err(self.park(&entry, reason).await),
                }
            }
            if done || answers.len() >= PUBLISH_EVERY {
                self.publish();
                for (responder, response) in answers.drain(..) {
                    responder.send(response);
                }
            }
            if done {
                return Ok(());
            }
        }
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> Result<(), io::Error> {
        let (machine, expected) = (self.clone(), meta.clone());
        blocking(move || {
            let config = &machine.inner.config;
            let (meta, store) = check_snapshot(&snapshot, &config.cluster, config.lineage).map_err(io::Error::other)?;
            if meta != expected {
                return Err(io::Error::other("snapshot is not the one it was announced as"));
            }
            machine.keep(meta.last_log_id, &snapshot)?;
            let mut state = machine.state();
            *state = State { store, applied: meta.last_log_id, membership: meta.last_membership };
            Ok(())
        })
        .await?;
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let machine = self.clone();
        blocking(move || machine.newest_file()).await
    }
}
