//! What all threads share: nothing here is locked on the way of a request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use mesh_strategy::{Recorder, route::Desk};
use tokio::sync::Notify;

use crate::{
    brains::{maker::Maker, version::Version},
    clock::Clock,
    fleet::Fleet,
    metrics::Metrics,
};

/// The largest request body, in bytes.
pub(crate) const BODY_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Bytes of request bodies that all workers hold together.
pub(crate) const BODIES_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Shared by all threads of the router.
pub(crate) struct Shared {
    /// The process's clock.
    pub(crate) clock: Clock,
    /// The targets.
    pub(crate) fleet: Arc<Fleet>,
    /// Retry budget, lines, pace.
    pub(crate) desk: Desk,
    /// What `/metrics` says.
    pub(crate) metrics: Metrics,
    /// The strategy that is wanted now; workers swap to it as their instances come.
    pub(crate) active: ArcSwapOption<Version>,
    /// The strategy that every worker has swapped to; what the router reports.
    pub(crate) running: ArcSwapOption<Version>,
    /// Makes instances off the request path.
    pub(crate) maker: Maker,
    /// Told whenever a worker has seated an instance.
    pub(crate) seated: Notify,
    /// Told whenever another strategy decides.
    pub(crate) activated: Notify,
    /// The seed of all decisions of the mesh.
    pub(crate) mesh_seed: u64,
    /// Where decisions and events are recorded, when they are: one recorder a worker.
    pub(crate) recorders: Vec<Recorder>,
    /// Whether there is a view to route by.
    pub(crate) has_view: AtomicBool,
    /// Whether the door closes.
    pub(crate) closing: AtomicBool,
    bodies_bytes: AtomicU64,
}

/// What [`Shared`] is made of.
pub(crate) struct Parts {
    /// The process's clock.
    pub(crate) clock: Clock,
    /// How many workers there are.
    pub(crate) workers: usize,
    /// What `/metrics` says.
    pub(crate) metrics: Metrics,
    /// The seed of all decisions.
    pub(crate) mesh_seed: u64,
    /// One recorder a worker, or none.
    pub(crate) recorders: Vec<Recorder>,
}

impl Shared {
    /// Shared state before anything happened.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            clock: parts.clock,
            fleet: Arc::new(Fleet::new(parts.workers)),
            desk: Desk::default(),
            metrics: parts.metrics,
            active: ArcSwapOption::empty(),
            running: ArcSwapOption::empty(),
            maker: Maker::start(),
            seated: Notify::new(),
            activated: Notify::new(),
            mesh_seed: parts.mesh_seed,
            recorders: parts.recorders,
            has_view: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            bodies_bytes: AtomicU64::new(0),
        }
    }

    /// Whether requests can be served, or why not.
    pub(crate) fn ready(&self) -> Result<(), Vec<String>> {
        if self.closing.load(Ordering::Relaxed) {
            return Err(vec!["the router is stopping".to_owned()]);
        }
        if !self.has_view.load(Ordering::Relaxed) {
            return Err(vec!["no view of the engines yet".to_owned()]);
        }
        Ok(())
    }

    /// Takes `bytes` out of the budget of all bodies; false when it is used up.
    pub(crate) fn reserve(&self, bytes: u64) -> bool {
        let before = self.bodies_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > BODIES_BYTES_MAX {
            self.bodies_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Gives `bytes` back.
    pub(crate) fn unreserve(&self, bytes: u64) {
        self.bodies_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes of request bodies held now.
    pub(crate) fn bodies_bytes(&self) -> u64 {
        self.bodies_bytes.load(Ordering::Relaxed)
    }
}
