//! One target as every worker of the router shares it: the places it has, the cordon flag, its breaker, its averages.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use crate::breaker::TargetBreaker;

/// Requests which an engine of unknown capacity is taken to run at once.
pub(crate) const CAPACITY_UNKNOWN: f32 = 1024.0;
/// Requests sent to an engine beyond its capacity, so that its batch never runs dry for a round trip.
const PLACES_BEYOND_CAPACITY: u32 = 2;
/// Weight of a new sample in the moving averages of columns 8 and 9.
const EWMA_WEIGHT: f32 = 0.2;
/// The bits (of a NaN) which stand for "no sample yet" in the averages.
const NO_SAMPLE: u32 = u32::MAX;

/// Identifies a target within one process; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u64);

/// What a driver must know to send a request to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSpec {
    /// Identifies the target within its model, e.g. `node-7/engine-0`.
    pub key: String,
    /// The node that runs the engine.
    pub node: String,
    /// The engine's name on its node.
    pub engine: String,
    /// Where the driver dials it, in the driver's own form.
    pub address: String,
}

/// Counts the moments at which a place of a model may have become free; a line looks at it once a millisecond.
#[derive(Debug, Default)]
pub struct Room(AtomicU64);

impl Room {
    /// Notes that there may be room.
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    /// Returns the count so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// One engine serving one model, shared by every worker of the router.
#[derive(Debug)]
pub struct Target {
    /// Identifies it within this process.
    pub id: TargetId,
    /// How to reach it.
    pub spec: TargetSpec,
    /// Keeps a dead engine from looking like the one with the shortest queue.
    pub breaker: TargetBreaker,
    own_inflight: AtomicU32,
    open: AtomicBool,
    ttft_ms: AtomicU32,
    tpot_ms: AtomicU32,
    room: Arc<Room>,
}

impl Target {
    pub(crate) fn new(id: TargetId, spec: TargetSpec, room: Arc<Room>) -> Self {
        Self {
            id,
            spec,
            breaker: TargetBreaker::default(),
            own_inflight: AtomicU32::new(0),
            open: AtomicBool::new(true),
            ttft_ms: AtomicU32::new(NO_SAMPLE),
            tpot_ms: AtomicU32::new(NO_SAMPLE),
            room,
        }
    }

    /// Returns the requests sent by this router and not yet released.
    #[must_use]
    pub fn own_inflight(&self) -> u32 {
        self.own_inflight.load(Ordering::Acquire)
    }

    /// Says whether new requests may be sent here; false from the moment of a cordon.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Opens or closes the target for new requests in every worker at once.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
        if open {
            self.room.bump();
        }
    }

    /// Adds one finished event stream with status 200 to the averages of columns 8 and 9.
    pub fn record_latency(&self, ttft_ms: f32, tpot_ms: Option<f32>) {
        average_in(&self.ttft_ms, ttft_ms);
        if let Some(tpot_ms) = tpot_ms {
            average_in(&self.tpot_ms, tpot_ms);
        }
    }

    /// Returns the average time to the first token in milliseconds; `None` before the first sample.
    #[must_use]
    pub fn ttft_ms(&self) -> Option<f32> {
        sample(&self.ttft_ms)
    }

    /// Returns the average time per output token in milliseconds; `None` before the first sample.
    #[must_use]
    pub fn tpot_ms(&self) -> Option<f32> {
        sample(&self.tpot_ms)
    }

    /// Takes one place when fewer than `capacity + 2` are taken.
    pub(crate) fn take(self: &Arc<Self>, at: (u32, u32), capacity: Option<f32>, now_ms: u64) -> Option<Place> {
        let limit = places(capacity);
        self.own_inflight
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| (taken < limit).then_some(taken + 1))
            .ok()?;
        let Some(probe) = self.breaker.claim(now_ms) else {
            self.own_inflight.fetch_sub(1, Ordering::AcqRel);
            return None;
        };
        Some(Place { target: Arc::clone(self), slot: at.0, generation: at.1, probe })
    }
}

/// Returns how many places an engine of this capacity has.
fn places(capacity: Option<f32>) -> u32 {
    let capacity = capacity.unwrap_or(CAPACITY_UNKNOWN).clamp(0.0, 1e6);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1e6 above")]
    let whole = capacity as u32;
    whole + PLACES_BEYOND_CAPACITY
}

fn sample(cell: &AtomicU32) -> Option<f32> {
    let bits = cell.load(Ordering::Relaxed);
    (bits != NO_SAMPLE).then(|| f32::from_bits(bits))
}

fn average_in(cell: &AtomicU32, new: f32) {
    if !new.is_finite() || new < 0.0 {
        return;
    }
    // The closure always returns a value, so the update cannot fail.
    let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
        let next =
            if bits == NO_SAMPLE { new } else { f32::from_bits(bits) + EWMA_WEIGHT * (new - f32::from_bits(bits)) };
        Some(next.to_bits())
    });
}

/// One place of a target, held from `Send` to `Release`.
///
/// Dropping it gives the place back; the type makes "exactly once" true even when a task panics.
#[derive(Debug)]
pub struct Place {
    target: Arc<Target>,
    slot: u32,
    generation: u32,
    probe: bool,
}

impl Place {
    /// Returns the target; it stays valid when the row is moved or removed.
    #[must_use]
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Returns the slot at the time of the choice.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// Returns the generation of that slot at the time of the choice.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.target.own_inflight.fetch_sub(1, Ordering::AcqRel);
        if self.probe {
            self.target.breaker.give_up_probe();
        }
        self.target.room.bump();
    }
}
