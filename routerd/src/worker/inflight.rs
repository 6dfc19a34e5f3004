//! The requests of one worker that are at an engine: whose, and since when.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use mesh_strategy::Target;

use crate::worker::grid::TimerKey;

struct Entry {
    target: Arc<Target>,
    model: Arc<str>,
    since_us: u64,
    timer: TimerKey,
}

/// Requests at engines.
#[derive(Default)]
pub(crate) struct Inflight {
    entries: RefCell<Vec<Option<Entry>>>,
    free: RefCell<Vec<usize>>,
}

/// Node, engine and model.
pub(crate) type TargetName = (String, String, Arc<str>);

/// What is in flight at one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// How many requests.
    pub(crate) count: u32,
    /// When the oldest was sent.
    pub(crate) oldest_us: u64,
}

impl Held {
    /// Adds what another worker holds.
    pub(crate) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.oldest_us = self.oldest_us.min(other.oldest_us);
    }
}

impl Inflight {
    /// Notes a request that goes to an engine; the key takes it out again.
    pub(crate) fn insert(&self, target: &Arc<Target>, model: &Arc<str>, (since_us, timer): (u64, TimerKey)) -> usize {
        let entry = Some(Entry { target: target.clone(), model: model.clone(), since_us, timer });
        let mut entries = self.entries.borrow_mut();
        if let Some(key) = self.free.borrow_mut().pop() {
            entries[key] = entry;
            return key;
        }
        entries.push(entry);
        entries.len() - 1
    }

    /// Takes a request out.
    pub(crate) fn remove(&self, key: usize) {
        if self.entries.borrow_mut()[key].take().is_some() {
            self.free.borrow_mut().push(key);
        }
    }

    /// The time-outs of the requests at a node.
    pub(crate) fn timers(&self, node: &str) -> Vec<TimerKey> {
        self.entries.borrow().iter().flatten().filter(|it| it.target.spec.node == node).map(|it| it.timer).collect()
    }

    /// What is in flight by target.
    pub(crate) fn held(&self) -> BTreeMap<TargetName, Held> {
        let mut held: BTreeMap<TargetName, Held> = BTreeMap::new();
        for entry in self.entries.borrow().iter().flatten() {
            let spec = &entry.target.spec;
            let one = Held { count: 1, oldest_us: entry.since_us };
            held.entry((spec.node.clone(), spec.engine.clone(), entry.model.clone()))
                .and_modify(|it| it.add(one))
                .or_insert(one);
        }
        held
    }
}
