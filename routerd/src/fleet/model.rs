//! One model's table: its writer behind a lock that no request waits for, and a mailbox for each worker.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use mesh_strategy::{Room, TableWriter, Update};

use crate::brains::version::Seat;

/// Updates that wait for one worker; above this they are replaced by one copy of the table.
const MAIL_MAX: usize = 64;
/// In-flight counts are published at most this often.
const INFLIGHT_EVERY_MS: u64 = 1;
/// Breakers are looked at this often.
const BREAKERS_EVERY_MS: u64 = 10;
/// Averages of times are published this often.
const LATENCY_EVERY_MS: u64 = 100;

/// What waits for one worker.
#[derive(Default)]
pub(crate) struct Mailbox {
    full: AtomicBool,
    updates: Mutex<Vec<Update>>,
    seat_waits: AtomicBool,
    seat: Mutex<Option<Seat>>,
    /// The activation this worker has seated, by its sequence number in this process; 0 = none.
    seated: AtomicU64,
    /// When this worker last decided for this model, in milliseconds of the process's clock.
    used_ms: AtomicU64,
}

impl Mailbox {
    /// Takes the updates that wait, into `into`; only who knows nothing yet waits for who is leaving one.
    pub(crate) fn take_updates(&self, into: &mut Vec<Update>, knows_nothing: bool) {
        let updates = if knows_nothing {
            Some(self.updates.lock().unwrap_or_else(PoisonError::into_inner))
        } else {
            self.full.load(Ordering::Acquire).then(|| self.updates.try_lock().ok()).flatten()
        };
        if let Some(mut updates) = updates {
            self.full.store(false, Ordering::Release);
            std::mem::swap(&mut *updates, into);
        }
    }

    /// Takes the instance that waits; never waits for a lock.
    pub(crate) fn take_seat(&self) -> Option<Seat> {
        if !self.seat_waits.load(Ordering::Acquire) {
            return None;
        }
        let mut seat = self.seat.try_lock().ok()?;
        self.seat_waits.store(false, Ordering::Release);
        seat.take()
    }

    /// Leaves an instance for the worker; one that was not fetched yet is replaced.
    pub(crate) fn leave_seat(&self, seat: Seat) {
        *self.seat.lock().unwrap_or_else(PoisonError::into_inner) = Some(seat);
        self.seat_waits.store(true, Ordering::Release);
    }

    /// Notes which activation the worker has seated.
    pub(crate) fn set_seated(&self, number: u64) {
        self.seated.store(number, Ordering::Release);
    }

    /// The activation the worker has seated; 0 = none.
    pub(crate) fn seated(&self) -> u64 {
        self.seated.load(Ordering::Acquire)
    }

    /// Notes a decision.
    pub(crate) fn used(&self, now_ms: u64) {
        self.used_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When the worker last decided for this model.
    pub(crate) fn used_ms(&self) -> u64 {
        self.used_ms.load(Ordering::Relaxed)
    }
}

/// One model.
pub(crate) struct ModelTable {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its room counter.
    pub(crate) room: Arc<Room>,
    /// One mailbox a worker.
    pub(crate) mail: Box<[Mailbox]>,
    writer: Mutex<TableWriter>,
    inflight_ms: AtomicU64,
    breakers_ms: AtomicU64,
    latency_ms: AtomicU64,
}

impl ModelTable {
    /// An empty table; `index` is unique in the process and keeps target ids apart.
    pub(crate) fn new(name: Arc<str>, index: u32, workers: usize) -> Self {
        let writer = TableWriter::new(u64::from(index) << 32);
        Self {
            name,
            room: writer.room().clone(),
            mail: (0..workers).map(|_| Mailbox::default()).collect(),
            writer: Mutex::new(writer),
            inflight_ms: AtomicU64::new(0),
            breakers_ms: AtomicU64::new(0),
            latency_ms: AtomicU64::new(0),
        }
    }

    fn writer(&self) -> MutexGuard<'_, TableWriter> {
        // A panic between two edits leaves a table that is whole: each edit of the writer is.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the owner's state.
    pub(crate) fn read<T>(&self, with: impl FnOnce(&TableWriter) -> T) -> T {
        with(&self.writer())
    }

    /// Changes the table and tells every worker.
    pub(crate) fn edit<T>(&self, with: impl FnOnce(&mut TableWriter) -> T) -> T {
        let mut writer = self.writer();
        let result = with(&mut writer);
        self.publish(&mut writer);
        result
    }

    /// Takes in what changes by itself, when it is time; called by workers before a decision, never waits.
    pub(crate) fn refresh(&self, now_ms: u64) {
        if now_ms < self.inflight_ms.load(Ordering::Relaxed) + INFLIGHT_EVERY_MS {
            return;
        }
        let Ok(mut writer) = self.writer.try_lock() else { return };
        self.inflight_ms.store(now_ms, Ordering::Relaxed);
        writer.refresh_inflight();
        if now_ms >= self.breakers_ms.load(Ordering::Relaxed) + BREAKERS_EVERY_MS {
            self.breakers_ms.store(now_ms, Ordering::Relaxed);
            writer.refresh_breakers(now_ms);
        }
        if now_ms >= self.latency_ms.load(Ordering::Relaxed) + LATENCY_EVERY_MS {
            self.latency_ms.store(now_ms, Ordering::Relaxed);
            writer.refresh_latency();
        }
        self.publish(&mut writer);
    }

    /// A copy of the table, for a worker that missed an update.
    pub(crate) fn snapshot(&self) -> Update {
        self.writer().snapshot()
    }

    fn publish(&self, writer: &mut TableWriter) {
        let Some(update) = writer.publish() else { return };
        for mailbox in &self.mail {
            let mut updates = mailbox.updates.lock().unwrap_or_else(PoisonError::into_inner);
            if updates.len() >= MAIL_MAX {
                updates.clear();
                updates.push(writer.snapshot());
            } else {
                updates.push(update.clone());
            }
            mailbox.full.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use mesh_strategy::TargetSpec;

    use super::*;

    #[test]
    fn only_who_knows_nothing_waits_for_an_update() {
        let table = ModelTable::new("m".into(), 1, 1);
        let spec = TargetSpec { key: "k".into(), node: "n".into(), engine: "e".into(), address: "a:1".into() };
        table.edit(|writer| writer.insert(spec));
        let mailbox = &table.mail[0];
        let leaving = mailbox.updates.lock().unwrap();
        let mut updates = Vec::new();
        mailbox.take_updates(&mut updates, false);
        assert!(updates.is_empty(), "a decision on what is known does not wait");
        let (begin, begun) = std::sync::mpsc::channel();
        let (taken, take) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut updates = Vec::new();
                begin.send(()).unwrap();
                mailbox.take_updates(&mut updates, true);
                taken.send(updates.len()).unwrap();
            });
            begun.recv().unwrap();
            // Who does not wait comes back with nothing at once.
            take.recv_timeout(Duration::from_millis(50)).expect_err("the lock is held");
            drop(leaving);
            assert_eq!(take.recv().unwrap(), 1);
        });
    }
}
