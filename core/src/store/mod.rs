//! Desired state: a replicated map of declared objects, changed only by commands, read by revision.
//!
//! Every voter applies the same commands in the same order by the same code, so all of them hold the same bytes;
//! followers take the changes that come out of it. Cloning a store copies pointers, so readers keep a clone.

mod apply;
mod change;
mod codec;
mod command;
mod digest;
mod map;
mod requests;
mod snapshot;

use std::sync::Arc;

pub use self::{
    apply::apply,
    change::{AdvanceError, Change, Compacted, Divergence, Edit, Record},
    codec::DecodeError,
    command::{
        COMMAND_BYTES_MAX, COMMAND_OPS_MAX, Command, Expect, LEVEL_SUPPORTED, OBJECT_BYTES_MAX, Op, Outcome,
        REASON_BYTES_MAX, Reason, STORE_BYTES_MAX, STORE_BYTES_WARN,
    },
    requests::{REQUESTS_KEPT, REQUESTS_KEPT_MS, REQUESTS_LEN_MAX},
    snapshot::{SNAPSHOT_FORMAT, SnapshotError, SnapshotHeader, decode_snapshot, encode_snapshot, snapshot_header},
};
use self::{
    digest::{Sum, hash_of},
    map::ChunkMap,
    requests::Requests,
};
use crate::{
    id::{Digest, Lineage, RequestId, Revision},
    kind::Kind,
    object::{Key, Object},
    time::Timestamp,
};

/// The leader proposes to forget history beyond so many changes that are older than [`HISTORY_KEPT_MS`].
pub const HISTORY_KEPT: usize = 10_000;
/// The leader proposes to forget history beyond so many bytes that is older than [`HISTORY_KEPT_MS`].
pub const HISTORY_KEPT_BYTES: u64 = 16 * 1024 * 1024;
/// History younger than this is not proposed for forgetting, in milliseconds of command time.
pub const HISTORY_KEPT_MS: u64 = 600_000;
/// Beyond this a replica forgets its oldest history by itself, in bytes.
const HISTORY_BYTES_MAX: u64 = 4 * HISTORY_KEPT_BYTES;
/// So many of the latest revisions have a record to compare with.
const RECORDS_KEPT: usize = 4_096;

/// Desired state at one revision, with its recent history.
#[derive(Debug, Clone)]
pub struct Store {
    lineage: Lineage,
    revision: Revision,
    level: u16,
    compacted: Revision,
    now: Timestamp,
    objects: ChunkMap<Key, Arc<Object>>,
    bytes: u64,
    sum: Sum,
    requests: Requests,
    // What follows is this replica's own memory, not replicated state.
    history: ChunkMap<Revision, Arc<Change>>,
    history_bytes: u64,
    /// The lowest revision `changes` can start after.
    floor: Revision,
    records: ChunkMap<Revision, Record>,
    divergence: Option<Divergence>,
}

impl Store {
    /// An empty store at revision 0 and the first feature level.
    #[must_use]
    pub fn new(lineage: Lineage) -> Self {
        Self {
            lineage,
            revision: Revision(0),
            level: 1,
            compacted: Revision(0),
            now: Timestamp(0),
            objects: ChunkMap::default(),
            bytes: 0,
            sum: Sum::default(),
            requests: Requests::default(),
            history: ChunkMap::default(),
            history_bytes: 0,
            floor: Revision(0),
            records: ChunkMap::default(),
            divergence: None,
        }
    }

    /// The object of a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Arc<Object>> {
        self.objects.get(key)
    }

    /// All objects of a kind, by name.
    pub fn list(&self, kind: Kind) -> impl Iterator<Item = &Arc<Object>> {
        self.objects
            .iter_from(move |key| key.kind < kind)
            .take_while(move |(key, _)| key.kind == kind)
            .map(|(_, object)| object)
    }

    /// All objects, by kind and name.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.iter().map(|(_, object)| object)
    }

    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is no object.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of all keys and specs.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.bytes
    }

    /// How many commands have changed it.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Which history it belongs to.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// The feature level that is switched on.
    #[must_use]
    pub fn level(&self) -> u16 {
        self.level
    }

    /// The last revision whose history all replicas have forgotten.
    #[must_use]
    pub fn compacted(&self) -> Revision {
        self.compacted
    }

    /// The largest command time seen: the store's clock, which never goes back.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The digest of the objects, the level and the revision; O(1).
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut sum = self.sum;
        sum.add(&hash_of(&[&self.lineage.0.to_le_bytes(), &self.revision.0.to_le_bytes(), &self.level.to_le_bytes()]));
        sum.digest()
    }

    /// What became of a request that is still remembered; followers remember none.
    #[must_use]
    pub fn remembered(&self, id: RequestId) -> Option<&Outcome> {
        self.requests.get(id)
    }

    /// What this replica was at a revision; `None` beyond the last 4,096.
    #[must_use]
    pub fn record(&self, revision: Revision) -> Option<Record> {
        self.records.get(&revision).copied()
    }

    /// Where this replica was found to differ from its leader: it must not be served any more.
    #[must_use]
    pub fn divergence(&self) -> Option<Divergence> {
        self.divergence
    }

    /// The revision up to which the leader should propose to forget history now; `None` when little would be gained.
    #[must_use]
    pub fn compaction_due(&self) -> Option<Revision> {
        let slack = |kept: u64| kept + kept / 10;
        let (len, bytes) = (self.history.len() as u64, self.history_bytes);
        if len <= slack(HISTORY_KEPT as u64) && bytes <= slack(HISTORY_KEPT_BYTES) {
            return None;
        }
        let (mut len, mut bytes, mut upto) = (len, bytes, None);
        for (revision, change) in self.history.iter() {
            let young = change.at.age_ms(self.now) < HISTORY_KEPT_MS;
            if young || (len <= HISTORY_KEPT as u64 && bytes <= HISTORY_KEPT_BYTES) {
                break;
            }
            len -= 1;
            bytes -= change_weight(change);
            upto = Some(*revision);
        }
        upto
    }

    /// Makes a change the next revision. The caller has checked that it is.
    fn commit(&mut self, change: Arc<Change>) {
        for edit in &change.edits {
            match edit {
                Edit::Put(object) => {
                    self.sum.add(&member(object));
                    self.bytes += weight(object);
                    let old = self.objects.insert(object.key.clone(), Arc::clone(object));
                    self.discount(old);
                }
                Edit::Delete(key) => {
                    let old = self.objects.remove(key);
                    self.discount(old);
                }
                Edit::Level(level) => self.level = *level,
            }
        }
        self.revision = change.revision;
        self.history_bytes += change_weight(&change);
        self.history.insert(change.revision, change);
        while self.history_bytes > HISTORY_BYTES_MAX && self.forget_oldest() {}
    }

    fn discount(&mut self, old: Option<Arc<Object>>) {
        if let Some(old) = old {
            self.sum.remove(&member(&old));
            self.bytes = self.bytes.saturating_sub(weight(&old));
        }
    }

    fn compact(&mut self, upto: Revision) {
        self.compacted = self.compacted.max(upto);
        self.floor = self.floor.max(upto);
        while self.history.first().is_some_and(|(revision, _)| *revision <= upto) && self.forget_oldest() {}
    }

    fn forget_oldest(&mut self) -> bool {
        let Some(revision) = self.history.first().map(|(revision, _)| *revision) else {
            return false;
        };
        if let Some(change) = self.history.remove(&revision) {
            self.history_bytes = self.history_bytes.saturating_sub(change_weight(&change));
            self.floor = self.floor.max(revision);
        }
        true
    }

    /// Keeps what the store is at its present revision, to compare with the leader's word later.
    fn mark(&mut self) {
        let record = Record { digest: self.digest(), requests: self.requests.digest() };
        self.records.insert(self.revision, record);
        while self.records.len() > RECORDS_KEPT {
            let Some(oldest) = self.records.first().map(|(revision, _)| *revision) else {
                break;
            };
            self.records.remove(&oldest);
        }
    }
}

fn member(object: &Object) -> blake3::Hash {
    hash_of(&[
        object.key.kind.as_str().as_bytes(),
        object.key.name.as_str().as_bytes(),
        &object.revision.0.to_le_bytes(),
        &object.spec,
    ])
}

/// What an object counts against the store's size: its names and its spec.
fn weight(object: &Arc<Object>) -> u64 {
    (object.key.kind.as_str().len() + object.key.name.as_str().len() + object.spec.len()) as u64
}

fn change_weight(change: &Change) -> u64 {
    let edit = |edit: &Edit| match edit {
        Edit::Put(object) => weight(object),
        Edit::Delete(_) | Edit::Level(_) => 64,
    };
    128 + change.edits.iter().map(edit).sum::<u64>()
}
