//! The streams of desired state: its history for watchers, base and changes for followers.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use mesh_core::{
    id::Revision,
    kind::Kind,
    object::{Key, Object},
    store::{Change, Edit, Store},
};
use mesh_proto::v1::{self, follow_event, watch_event};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::refuse::refuse;
use crate::{
    desired::Desired,
    raft::{Follow, FollowEvent},
};

/// A watcher hears at least this often how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// So many changes are taken out of the store at a time: it bounds what one slow watcher holds.
const CHANGES_AT_ONCE: usize = 256;
/// A base travels in pieces of this size, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;
/// Changes travel in messages of about this size, in bytes; one change has at most a little above 1 MiB.
const BATCH_BYTES: usize = 1024 * 1024;

struct Watching {
    desired: Desired,
    store: watch::Receiver<Arc<Store>>,
    kinds: Vec<Kind>,
    cursor: Revision,
    pending: VecDeque<Result<v1::WatchEvent, Status>>,
    first: bool,
    ended: bool,
    stop: CancellationToken,
}

/// The history of some kinds after a revision, gap free, with progress.
pub(crate) fn watch(
    desired: Desired,
    kinds: Vec<Kind>,
    after: Revision,
    stop: CancellationToken,
) -> impl Stream<Item = Result<v1::WatchEvent, Status>> {
    let store = desired.watch();
    let watching =
        Watching { desired, store, kinds, cursor: after, pending: VecDeque::new(), first: true, ended: false, stop };
    stream::unfold(watching, Watching::next)
}

impl Watching {
    async fn next(mut self) -> Option<(Result<v1::WatchEvent, Status>, Self)> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some((event, self));
            }
            if self.ended || !self.wait().await {
                return None;
            }
            let store = Arc::clone(&self.store.borrow_and_update());
            self.take(&store);
        }
    }

    /// Waits for news or the next progress; false when there is no more to wait for.
    async fn wait(&mut self) -> bool {
        let behind = self.cursor < self.store.borrow().revision();
        if std::mem::take(&mut self.first) || behind {
            return true;
        }
        tokio::select! {
            changed = self.store.changed() => changed.is_ok(),
            () = sleep(PROGRESS_EVERY) => true,
            () = self.stop.cancelled() => false,
        }
    }

    fn take(&mut self, store: &Store) {
        let changes: Vec<Arc<Change>> = match store.changes(self.cursor) {
            Ok(changes) => changes.take(CHANGES_AT_ONCE).cloned().collect(),
            Err(compacted) => {
                let facts = [("oldest", compacted.oldest.to_string())];
                self.pending.push_back(Err(refuse(Code::OutOfRange, "COMPACTED", compacted.to_string(), facts)));
                self.ended = true;
                return;
            }
        };
        for change in changes {
            self.cursor = change.revision;
            let edits = change.edits.iter().filter_map(|edit| object(edit, change.revision));
            let events = edits.filter(|(kind, _)| self.kinds.contains(kind)).map(|(_, object)| event(&change, object));
            self.pending.extend(events.map(Ok));
        }
        if self.cursor >= store.revision() {
            let progress = v1::Progress { revision: store.revision().0, leader_age_ms: self.desired.leader_age_ms() };
            self.pending.push_back(Ok(v1::WatchEvent { event: Some(watch_event::Event::Progress(progress)) }));
        }
    }
}

fn object(edit: &Edit, revision: Revision) -> Option<(Kind, v1::Object)> {
    match edit {
        Edit::Put(object) => Some((object.key.kind, v1::Object::from(object.as_ref()))),
        Edit::Delete(key) => Some((key.kind, v1::Object::from(&gone(key, revision)))),
        Edit::Level(_) => None,
    }
}

fn gone(key: &Key, revision: Revision) -> Object {
    Object { key: key.clone(), revision, spec: Bytes::new() }
}

fn event(change: &Change, object: v1::Object) -> v1::WatchEvent {
    let change = v1::Change {
        revision: change.revision.0,
        at_ms: change.at.0,
        actor: change.actor.to_string(),
        reason: change.reason.clone().unwrap_or_default(),
        object: Some(object),
    };
    v1::WatchEvent { event: Some(watch_event::Event::Change(change)) }
}

struct Following {
    follow: Follow,
    others: Vec<String>,
    pending: VecDeque<v1::FollowEvent>,
    stop: CancellationToken,
}

/// A follower's stream; when this coordinator stops it ends with the addresses of the others.
pub(crate) fn follow(
    follow: Follow,
    others: Vec<String>,
    stop: CancellationToken,
) -> impl Stream<Item = Result<v1::FollowEvent, Status>> {
    let following = Following { follow, others, pending: VecDeque::new(), stop };
    stream::unfold(Some(following), async |following| {
        let mut following = following?;
        if following.pending.is_empty() {
            let stop = following.stop.clone();
            match stop.run_until_cancelled(following.follow.next()).await {
                Some(event) => following.pending = encode(event?),
                None => {
                    let to = std::mem::take(&mut following.others);
                    return Some((Ok(wrap(follow_event::Event::Move(v1::Move { to }))), None));
                }
            }
        }
        let event = following.pending.pop_front()?;
        Some((Ok(event), Some(following)))
    })
}

fn wrap(event: follow_event::Event) -> v1::FollowEvent {
    v1::FollowEvent { event: Some(event) }
}

fn encode(event: FollowEvent) -> VecDeque<v1::FollowEvent> {
    match event {
        FollowEvent::Base(bytes) => chunks(&bytes).map(|it| wrap(follow_event::Event::Base(it))).collect(),
        FollowEvent::Changes { from, to, changes, digest } => {
            let digest = digest.map(|it| Bytes::copy_from_slice(&it.0)).unwrap_or_default();
            batches(from.0, to.0, &changes, &digest)
                .into_iter()
                .map(|it| wrap(follow_event::Event::Changes(it)))
                .collect()
        }
        FollowEvent::Progress { revision, leader_age_ms } => {
            let progress = v1::Progress { revision: revision.0, leader_age_ms };
            [wrap(follow_event::Event::Progress(progress))].into()
        }
    }
}

/// Messages of bounded size; only the last one can carry the digest, which is that of its end.
fn batches(from: u64, to: u64, changes: &[Arc<Change>], digest: &Bytes) -> Vec<v1::Changes> {
    let mut done = Vec::new();
    let mut open = v1::Changes { from, to: from, ..v1::Changes::default() };
    let mut bytes = 0;
    for change in changes {
        let encoded = change.encode();
        if bytes > 0 && bytes + encoded.len() > BATCH_BYTES {
            let next = v1::Changes { from: open.to, to: open.to, ..v1::Changes::default() };
            done.push(std::mem::replace(&mut open, next));
            bytes = 0;
        }
        bytes += encoded.len();
        open.to = change.revision.0;
        open.commands.push(encoded);
    }
    open.to = to;
    open.digest = digest.clone();
    done.push(open);
    done
}

fn chunks(bytes: &Bytes) -> impl Iterator<Item = v1::BaseChunk> {
    let count = bytes.len().div_ceil(CHUNK_BYTES).max(1);
    (0..count).map(move |i| {
        let end = ((i + 1) * CHUNK_BYTES).min(bytes.len());
        v1::BaseChunk { data: bytes.slice(i * CHUNK_BYTES..end), last: i + 1 == count }
    })
}

#[cfg(test)]
mod tests {
    use mesh_core::{
        id::{MeshName, NodeName, Principal, RequestId},
        time::Timestamp,
    };

    use super::*;

    fn change(revision: u64, bytes: usize) -> Arc<Change> {
        let actor = Principal::node(&MeshName::new("lab").unwrap(), &NodeName::new("n").unwrap());
        let reason = Some("x".repeat(bytes));
        Arc::new(Change {
            revision: Revision(revision),
            id: RequestId(1),
            actor,
            at: Timestamp(1),
            reason,
            edits: Vec::new(),
        })
    }

    #[test]
    fn changes_are_cut_into_bounded_messages_without_a_gap() {
        let changes: Vec<_> = (6..=9).map(|it| change(it, 600 * 1024)).collect();
        let digest = Bytes::from_static(&[7; 32]);
        let sent = batches(5, 9, &changes, &digest);
        let ends: Vec<_> = sent.iter().map(|it| (it.from, it.to, it.commands.len(), it.digest.len())).collect();
        assert_eq!(ends, [(5, 6, 1, 0), (6, 7, 1, 0), (7, 8, 1, 0), (8, 9, 1, 32)]);
        let sent = batches(5, 9, &(6..=9).map(|it| change(it, 10)).collect::<Vec<_>>(), &digest);
        assert_eq!(sent.iter().map(|it| (it.from, it.to, it.commands.len())).collect::<Vec<_>>(), [(5, 9, 4)]);
        assert_eq!(batches(5, 5, &[], &digest).len(), 1);
    }

    #[test]
    fn a_base_is_cut_into_chunks_and_the_last_one_says_so() {
        let check = |len: usize, expected: &[(usize, bool)]| {
            let found: Vec<_> = chunks(&Bytes::from(vec![0; len])).map(|it| (it.data.len(), it.last)).collect();
            assert_eq!(found, expected);
        };
        check(0, &[(0, true)]);
        check(10, &[(10, true)]);
        check(CHUNK_BYTES, &[(CHUNK_BYTES, true)]);
        check(CHUNK_BYTES + 1, &[(CHUNK_BYTES, false), (1, true)]);
    }
}
