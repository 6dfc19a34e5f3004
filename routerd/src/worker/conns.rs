//! The clients' connections of one worker: who is slow with a head is cut off, and at the end all are asked to finish.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    task::Waker,
};

use tokio_util::task::TaskTracker;

use crate::{
    clock::Clock,
    worker::grid::{Grid, TimerKey},
};

/// A head must be complete this long after its first byte.
const HEAD_US_MAX: u64 = 10_000_000;
/// A connection without a request is closed after this.
const IDLE_US_MAX: u64 = 120_000_000;
/// A client must take something of its answer within this.
const BLOCKED_US_MAX: u64 = 60_000_000;
/// A time-out of an answer that is so late was not looked at: the client takes nothing of that answer. HTTP/2 clients can
/// do so while their socket takes bytes, and a cut by force shall not wait for any client.
const UNSEEN_US_MAX: u64 = 2_000_000;
const NEVER: u64 = u64::MAX;

/// One connection as its parts see it.
pub(crate) struct ConnState {
    clock: Clock,
    /// Requests served now.
    busy: Cell<u32>,
    /// Since when it has been without a request.
    idle_us: Cell<u64>,
    /// When the first byte of an unfinished head came.
    head_us: Cell<u64>,
    /// Since when the client's socket takes no more.
    blocked_us: Cell<u64>,
    /// Whether an answer was broken off.
    pub(crate) broken: Cell<bool>,
    /// Whether the client speaks HTTP/1.0, where only a reset tells a broken answer from a whole one.
    pub(crate) http10: Cell<bool>,
    /// Whether it is to be closed at once.
    pub(crate) cut: Cell<bool>,
    /// Whether its first bytes have come and said which protocol it speaks.
    pub(crate) has_spoken: Cell<bool>,
    /// The time-outs of the answers that pass.
    answers: RefCell<Vec<TimerKey>>,
    /// The task that serves it.
    pub(crate) waker: RefCell<Option<Waker>>,
}

impl ConnState {
    /// A connection that was accepted now.
    pub(crate) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            busy: Cell::new(0),
            idle_us: Cell::new(clock.now_us()),
            head_us: Cell::new(NEVER),
            blocked_us: Cell::new(NEVER),
            broken: Cell::new(false),
            http10: Cell::new(false),
            cut: Cell::new(false),
            has_spoken: Cell::new(false),
            answers: RefCell::default(),
            waker: RefCell::new(None),
        })
    }

    /// Notes that bytes came.
    pub(crate) fn read(&self) {
        if self.busy.get() == 0 && self.head_us.get() == NEVER {
            self.head_us.set(self.clock.now_us());
        }
    }

    /// Notes whether the socket took what was written.
    pub(crate) fn wrote(&self, took: bool) {
        if took {
            self.blocked_us.set(NEVER);
        } else if self.blocked_us.get() == NEVER {
            self.blocked_us.set(self.clock.now_us());
        }
    }

    /// Whether the client's socket takes no more for now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked_us.get() != NEVER
    }

    /// Notes that a request has begun; it ends when the guard is dropped.
    pub(crate) fn begin(self: &Rc<Self>) -> Busy {
        self.busy.set(self.busy.get() + 1);
        self.head_us.set(NEVER);
        Busy(self.clone())
    }

    /// Notes the time-out of an answer that begins to pass.
    pub(crate) fn answers(&self, timer: TimerKey) {
        self.answers.borrow_mut().push(timer);
    }

    /// Forgets the time-out of an answer that is over.
    pub(crate) fn answered(&self, timer: TimerKey) {
        self.answers.borrow_mut().retain(|it| *it != timer);
    }

    fn is_too_slow(&self, now_us: u64, grid: &Grid) -> bool {
        let longer = |since_us: u64, limit_us: u64| since_us != NEVER && now_us.saturating_sub(since_us) > limit_us;
        let idle = self.busy.get() == 0 && longer(self.idle_us.get(), IDLE_US_MAX);
        let unseen = |it: &TimerKey| longer(grid.due_us(*it), UNSEEN_US_MAX);
        idle || self.answers.borrow().iter().any(unseen)
            || longer(self.head_us.get(), HEAD_US_MAX)
            || longer(self.blocked_us.get(), BLOCKED_US_MAX)
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// A request is served on a connection.
pub(crate) struct Busy(Rc<ConnState>);

impl Drop for Busy {
    fn drop(&mut self) {
        let conn = &self.0;
        conn.busy.set(conn.busy.get().saturating_sub(1));
        conn.idle_us.set(conn.clock.now_us());
    }
}

/// All connections of a worker.
#[derive(Default)]
pub(crate) struct Conns {
    /// The tasks that serve them.
    pub(crate) tasks: TaskTracker,
    /// Whether connections end after their present answer.
    pub(crate) draining: Cell<bool>,
    list: RefCell<Vec<Weak<ConnState>>>,
}

impl Conns {
    /// Looks after a connection from now on.
    pub(crate) fn add(&self, conn: &Rc<ConnState>) {
        self.list.borrow_mut().push(Rc::downgrade(conn));
    }

    /// Cuts off who is too slow, and forgets who is gone.
    pub(crate) fn sweep(&self, now_us: u64, grid: &Grid) {
        let mut slow = Vec::new();
        self.list.borrow_mut().retain(|it| {
            let Some(conn) = it.upgrade() else { return false };
            if conn.is_too_slow(now_us, grid) {
                slow.push(conn);
            }
            true
        });
        slow.iter().for_each(|it| Self::cut_one(it));
    }

    /// Asks every connection to end after its present answer.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.list.borrow().iter().filter_map(Weak::upgrade).for_each(|it| it.wake());
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.list.borrow().iter().filter_map(Weak::upgrade).for_each(|it| Self::cut_one(&it));
    }

    fn cut_one(conn: &ConnState) {
        conn.cut.set(true);
        conn.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_takes_nothing_of_an_answer_is_cut_though_its_socket_takes_bytes() {
        let (clock, conns) = (Clock::start(), Conns::default());
        let (grid, conn) = (Grid::new(clock), ConnState::new(clock));
        conns.add(&conn);
        let _busy = conn.begin();
        let timer = grid.timer();
        conn.answers(timer.key());
        let check = |now_us: u64, cut: bool| {
            conns.sweep(now_us, &grid);
            assert_eq!(conn.cut.get(), cut, "at {now_us}");
        };
        check(u64::MAX / 2, false);
        timer.set(60_000_000);
        check(62_000_000, false);
        conn.answered(timer.key());
        check(66_000_000, false);
        conn.answers(timer.key());
        check(66_000_000, true);
    }
}
