//! What a follower of desired state is sent: a base when it needs one, then every change in order, and a sign of life each second.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mesh_core::{
    id::{Digest, Lineage, Revision},
    store::{Change, Store, encode_snapshot},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    machine::{Health, Machine},
    status::{RaftStatus, Standing},
};

/// A follower hears at least this often that it is up to date.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// One batch carries at most so many changes.
const BATCH_LEN_MAX: usize = 256;

/// Where a follower is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resume {
    /// The history its cache belongs to.
    pub lineage: Lineage,
    /// The last revision it has.
    pub revision: Revision,
    /// The digest of its store there; `None` when it wants everything anew.
    pub digest: Option<Digest>,
}

/// One thing a follower is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowEvent {
    /// Forget what you have; this snapshot file is the start.
    Base(Bytes),
    /// What happened after `from`, gap free.
    Changes {
        /// The revision before the first change.
        from: Revision,
        /// The revision of the last change.
        to: Revision,
        /// The changes, one for each revision.
        changes: Vec<Arc<Change>>,
        /// The store's digest at `to`, when the sender has it.
        digest: Option<Digest>,
    },
    /// You have everything up to this revision.
    Progress {
        /// The sender's revision.
        revision: Revision,
        /// How long ago the sender last knew of a confirmed leader; `None` when never.
        leader_age_ms: Option<u64>,
    },
}

/// A source of events for one follower. It holds no queue: it is asked for the next event when the last one is sent.
pub struct Follow {
    store: watch::Receiver<Arc<Store>>,
    health: watch::Receiver<Health>,
    status: watch::Receiver<RaftStatus>,
    cluster: String,
    resume: Resume,
    progress_at: Instant,
}

impl Follow {
    /// Follows a store from where the follower is.
    pub(crate) fn new(machine: &Machine, status: watch::Receiver<RaftStatus>, cluster: String, resume: Resume) -> Self {
        let (store, health) = (machine.store(), machine.health());
        Self { store, health, status, cluster, resume, progress_at: Instant::now() }
    }

    /// Waits for the next event; `None` when this coordinator stops or must not be served.
    pub async fn next(&mut self) -> Option<FollowEvent> {
        loop {
            if *self.health.borrow() != Health::Serving || self.status.borrow().standing == Standing::Stopped {
                return None;
            }
            let store = Arc::clone(&self.store.borrow_and_update());
            match self.step(&store) {
                Step::Event(event) => return Some(event),
                Step::Base => return self.base(store).await,
                Step::There => {}
            }
            tokio::select! {
                changed = self.store.changed() => changed.ok()?,
                () = sleep_until(self.progress_at) => {
                    self.progress_at = Instant::now() + PROGRESS_EVERY;
                    let leader_age_ms = self.status.borrow().leader_age_ms;
                    return Some(FollowEvent::Progress { revision: store.revision(), leader_age_ms });
                }
            }
        }
    }

    async fn base(&mut self, store: Arc<Store>) -> Option<FollowEvent> {
        self.resume = Resume { lineage: store.lineage(), revision: store.revision(), digest: Some(store.digest()) };
        let cluster = self.cluster.clone();
        // A large store takes long to encode: not on a thread that serves others.
        let bytes = tokio::task::spawn_blocking(move || encode_snapshot(&store, &cluster, &[])).await.ok()?;
        Some(FollowEvent::Base(bytes.into()))
    }

    /// What the follower needs to come to this store's revision.
    fn step(&mut self, store: &Store) -> Step {
        let from = self.resume.revision;
        let changes = match store.changes(from) {
            Ok(changes) if self.continues(store) => changes.take(BATCH_LEN_MAX).cloned().collect::<Vec<_>>(),
            Ok(_) | Err(_) => return Step::Base,
        };
        let Some(to) = changes.last().map(|last| last.revision) else {
            return Step::There;
        };
        let digest =
            if to == store.revision() { Some(store.digest()) } else { store.record(to).map(|record| record.digest) };
        self.resume = Resume { lineage: store.lineage(), revision: to, digest };
        Step::Event(FollowEvent::Changes { from, to, changes, digest })
    }

    /// Whether the follower's state is one this store has been in. A follower that is ahead is left alone: it will refuse and go elsewhere.
    fn continues(&self, store: &Store) -> bool {
        let Some(digest) = self.resume.digest else {
            // Changes beyond the records carry no digest; they are this stream's own and need no comparison.
            return self.resume.lineage == store.lineage() && self.resume.revision > Revision(0);
        };
        let known = if self.resume.revision == store.revision() {
            Some(store.digest())
        } else {
            store.record(self.resume.revision).map(|it| it.digest)
        };
        self.resume.lineage == store.lineage()
            && (self.resume.revision > store.revision() || known.is_none_or(|known| known == digest))
    }
}

enum Step {
    Event(FollowEvent),
    Base,
    There,
}
