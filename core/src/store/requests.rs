//! The table that makes retries harmless: which request had which outcome, for long enough to ask again.

use super::{
    command::Outcome,
    digest::{Sum, hash_of},
    map::ChunkMap,
};
use crate::{
    id::{Digest, RequestId},
    time::Timestamp,
};

/// So many of the latest requests are remembered however old they are.
pub const REQUESTS_KEPT: usize = 10_000;
/// So long a request is remembered however many follow it, in milliseconds of command time.
pub const REQUESTS_KEPT_MS: u64 = 600_000;
/// Never more than this many are remembered.
pub const REQUESTS_LEN_MAX: usize = 100_000;

/// One remembered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remembered {
    pub(crate) order: u64,
    pub(crate) at: Timestamp,
    pub(crate) outcome: Outcome,
}

/// Remembered requests, oldest forgotten first.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests {
    by_id: ChunkMap<RequestId, Remembered>,
    by_order: ChunkMap<u64, RequestId>,
    next: u64,
    sum: Sum,
}

impl Requests {
    /// An empty table that goes on counting at `next`, as a snapshot says.
    pub(crate) fn starting_at(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, id: RequestId) -> Option<&Outcome> {
        self.by_id.get(&id).map(|it| &it.outcome)
    }

    pub(crate) fn digest(&self) -> Digest {
        self.sum.digest()
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RequestId, &Remembered)> {
        self.by_order.iter().filter_map(|(_, id)| self.by_id.get(id).map(|it| (*id, it)))
    }

    /// Remembers an outcome and forgets what is old enough at `now`.
    pub(crate) fn remember(&mut self, id: RequestId, now: Timestamp, outcome: Outcome) {
        let order = self.next;
        self.next += 1;
        self.restore(id, Remembered { order, at: now, outcome });
        while let Some(oldest) = self.forgettable(now) {
            self.forget(oldest);
        }
    }

    /// Puts one back as a snapshot has it.
    pub(crate) fn restore(&mut self, id: RequestId, it: Remembered) {
        self.sum.add(&member(id, &it));
        self.by_order.insert(it.order, id);
        self.by_id.insert(id, it);
    }

    fn forgettable(&self, now: Timestamp) -> Option<RequestId> {
        let (_, id) = self.by_order.first()?;
        let old = self.by_id.get(id).is_none_or(|it| it.at.age_ms(now) > REQUESTS_KEPT_MS);
        let len = self.len();
        (len > REQUESTS_LEN_MAX || (old && len > REQUESTS_KEPT)).then_some(*id)
    }

    fn forget(&mut self, id: RequestId) {
        if let Some(it) = self.by_id.remove(&id) {
            self.by_order.remove(&it.order);
            self.sum.remove(&member(id, &it));
        }
    }
}

fn member(id: RequestId, it: &Remembered) -> blake3::Hash {
    let outcome = serde_json::to_vec(&it.outcome).expect("outcomes hold only numbers and texts");
    hash_of(&[&id.0.to_le_bytes(), &it.order.to_le_bytes(), &it.at.0.to_le_bytes(), &outcome])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Revision;

    #[test]
    fn old_requests_are_forgotten_only_behind_enough_new_ones() {
        let mut table = Requests::default();
        let outcome = |revision| Outcome::Done { revision: Revision(revision) };
        for at in 0..REQUESTS_KEPT as u64 + 10 {
            table.remember(RequestId(at.into()), Timestamp(at), outcome(at));
        }
        assert_eq!(table.len(), REQUESTS_KEPT + 10, "none is ten minutes old");
        table.remember(RequestId(1 << 40), Timestamp(REQUESTS_KEPT_MS + 6), outcome(0));
        assert_eq!(table.len(), REQUESTS_KEPT + 5, "of the first six that are old");
        assert_eq!(table.get(RequestId(5)), None);
        assert_eq!(table.get(RequestId(6)), Some(&outcome(6)));

        let mut again = Requests::starting_at(table.next());
        for (id, it) in table.iter() {
            again.restore(id, it.clone());
        }
        assert_eq!(again.digest(), table.digest());
        assert_ne!(again.digest(), Requests::default().digest());
    }
}
