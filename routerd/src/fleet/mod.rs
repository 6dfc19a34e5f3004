//! The targets of every model: one owner writes them, workers read their own copies.

pub(crate) mod model;
pub(crate) mod owner;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;

use crate::fleet::model::ModelTable;

/// All models by name.
pub(crate) type Models = BTreeMap<Arc<str>, Arc<ModelTable>>;

/// What the owner and the workers share.
pub(crate) struct Fleet {
    /// How many workers have a copy of each table.
    pub(crate) workers: usize,
    models: ArcSwap<Models>,
    version: AtomicU64,
}

impl Fleet {
    /// A fleet without models.
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers, models: ArcSwap::default(), version: AtomicU64::new(0) }
    }

    /// Moves whenever a model came or went: a worker compares it with the one it has seen.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The models there are.
    pub(crate) fn models(&self) -> Arc<Models> {
        self.models.load_full()
    }

    fn set_models(&self, models: Models) {
        self.models.store(Arc::new(models));
        self.version.fetch_add(1, Ordering::Release);
    }
}
