//! Time-outs of one worker on a grid of 10 ms: setting one is a store, and an idle worker sleeps.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::sync::Notify;

use crate::clock::Clock;

/// The grid on which time-outs fire, in microseconds.
pub(crate) const GRID_US: u64 = 10_000;
const NEVER: u64 = u64::MAX;

struct Entry {
    due_us: u64,
    waker: Option<Waker>,
}

/// All time-outs of one worker.
pub(crate) struct Grid {
    clock: Clock,
    entries: RefCell<Vec<Entry>>,
    free: RefCell<Vec<usize>>,
    /// No entry is due before this.
    earliest_us: Cell<u64>,
    /// Until when the sweeper sleeps.
    sleeping_until_us: Cell<u64>,
    /// The instant of the last sweep: time-outs are judged by it.
    swept_us: Cell<u64>,
    earlier: Notify,
}

impl Grid {
    /// A grid without time-outs.
    pub(crate) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            entries: RefCell::default(),
            free: RefCell::default(),
            earliest_us: Cell::new(NEVER),
            sleeping_until_us: Cell::new(NEVER),
            swept_us: Cell::new(0),
            earlier: Notify::new(),
        })
    }

    /// A time-out that is not set.
    pub(crate) fn timer(self: &Rc<Self>) -> Timer {
        let key = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut entries = self.entries.borrow_mut();
            entries.push(Entry { due_us: NEVER, waker: None });
            entries.len() - 1
        });
        Timer { grid: self.clone(), key }
    }

    fn set(&self, key: usize, due_us: u64) {
        self.entries.borrow_mut()[key].due_us = due_us;
        if due_us < self.earliest_us.get() {
            self.earliest_us.set(due_us);
            if due_us < self.sleeping_until_us.get() {
                self.earlier.notify_one();
            }
        }
    }

    /// Makes a time-out due now.
    pub(crate) fn expire(&self, key: TimerKey) {
        self.set(key.0, self.clock.now_us());
    }

    /// When a time-out is due; far in the future when it is not set.
    pub(crate) fn due_us(&self, key: TimerKey) -> u64 {
        self.entries.borrow()[key.0].due_us
    }

    fn sweep(&self, now_us: u64) {
        self.swept_us.set(now_us);
        let mut earliest = NEVER;
        let mut due = Vec::new();
        for entry in self.entries.borrow_mut().iter_mut() {
            if entry.due_us <= now_us {
                due.extend(entry.waker.take());
            } else {
                earliest = earliest.min(entry.due_us);
            }
        }
        self.earliest_us.set(earliest);
        due.into_iter().for_each(Waker::wake);
    }

    /// Fires time-outs until it is dropped; one task of each worker.
    pub(crate) async fn run(&self) {
        loop {
            let due_us = self.earliest_us.get();
            if due_us <= self.clock.now_us() {
                self.sweep(self.clock.now_us());
                continue;
            }
            let on_grid = if due_us == NEVER { NEVER } else { due_us.div_ceil(GRID_US) * GRID_US };
            self.sleeping_until_us.set(on_grid);
            if on_grid == NEVER {
                self.earlier.notified().await;
            } else {
                let at = tokio::time::Instant::from_std(self.clock.instant(on_grid));
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = self.earlier.notified() => {}
                }
            }
        }
    }
}

/// Names a time-out as long as its owner lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimerKey(usize);

/// One time-out; dropping it clears it.
pub(crate) struct Timer {
    grid: Rc<Grid>,
    key: usize,
}

impl Timer {
    /// Sets or moves it.
    pub(crate) fn set(&self, due_us: u64) {
        self.grid.set(self.key, due_us);
    }

    /// Its name, for [`Grid::expire`].
    pub(crate) fn key(&self) -> TimerKey {
        TimerKey(self.key)
    }

    /// Clears it.
    pub(crate) fn clear(&self) {
        self.grid.entries.borrow_mut()[self.key].due_us = NEVER;
    }

    /// Ready once it is due; until then the task is woken when that happens.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let entry = &mut self.grid.entries.borrow_mut()[self.key];
        if entry.due_us <= self.grid.swept_us.get() {
            return Poll::Ready(());
        }
        if !entry.waker.as_ref().is_some_and(|it| it.will_wake(cx.waker())) {
            entry.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let entry = &mut self.grid.entries.borrow_mut()[self.key];
        entry.due_us = NEVER;
        entry.waker = None;
        self.grid.free.borrow_mut().push(self.key);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_timer_fires_on_the_grid_and_can_move_and_be_cleared() {
        let clock = Clock::start();
        let grid = Grid::new(clock);
        let work = async {
            let (soon, late, cleared) = (grid.timer(), grid.timer(), grid.timer());
            late.set(clock.now_us() + 60_000_000);
            cleared.set(clock.now_us() + 5_000);
            cleared.clear();
            tokio::task::yield_now().await;
            let set_us = clock.now_us();
            soon.set(set_us + 15_000);
            poll_fn(|cx| soon.poll(cx)).await;
            let took = clock.now_us() - set_us;
            assert!((15_000..200_000).contains(&took), "fired after {took} us");
            late.set(clock.now_us() + 5_000);
            poll_fn(|cx| late.poll(cx)).await;
            assert!(poll_fn(|cx| Poll::Ready(cleared.poll(cx).is_pending())).await);
            drop(soon);
            let reused = grid.timer();
            assert!(poll_fn(|cx| Poll::Ready(reused.poll(cx).is_pending())).await, "a new timer is not due");
        };
        tokio::select! { () = work => {}, () = grid.run() => {} }
    }
}
