//! One model in one worker: its brain, its line, and its connections' ends.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use mesh_strategy::{
    Brain, Decided, DecisionOutcome, Feedback, InstanceId, Place, Request, RequestId, Target, TargetId, Update,
    route::{Facts, Line},
};
use prometheus::{Histogram, IntCounter};

use crate::{
    brains::{
        maker::Want,
        version::{Seat, Version},
    },
    fleet::model::ModelTable,
    proxy::pool::Endpoint,
    shared::Shared,
    worker::Worker,
};

/// A request in the line.
#[derive(Default)]
pub(crate) struct Waiter {
    woken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Waiter {
    /// Ready once the request was taken out of the line.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.woken.get() {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    fn wake(&self) {
        self.woken.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// One model in one worker.
pub(crate) struct Model {
    /// Its table.
    pub(crate) table: Arc<ModelTable>,
    /// Time to first token.
    pub(crate) ttft: Histogram,
    /// Attempts after the first.
    pub(crate) retries: IntCounter,
    /// Its label in metrics.
    pub(crate) label: String,
    worker: usize,
    brain: RefCell<Brain>,
    line: RefCell<Line>,
    waiters: RefCell<HashMap<RequestId, Rc<Waiter>>>,
    /// Requests that were taken out of the line and have not looked yet.
    woken: Cell<u32>,
    endpoints: RefCell<BTreeMap<TargetId, Rc<Endpoint>>>,
    codes: RefCell<Vec<(u16, IntCounter)>>,
    version: RefCell<Option<Arc<Version>>>,
    /// Whether an instance or a standby was asked for and has not come.
    asked: Cell<bool>,
    updates: RefCell<Vec<Update>>,
    dropped_seen: Cell<u64>,
}

impl Model {
    /// A model as worker `worker` begins with it: no rows yet, and the baseline.
    pub(crate) fn new(table: Arc<ModelTable>, worker: usize, shared: &Shared) -> Self {
        let label = shared.metrics.model_label(&table.name);
        let mut brain = Brain::new(&table.name, u32::try_from(worker).unwrap_or(u32::MAX));
        brain.set_recorder(shared.recorders.get(worker).cloned());
        Self {
            ttft: shared.metrics.ttft(&label),
            retries: shared.metrics.retries(&label),
            label,
            worker,
            brain: RefCell::new(brain),
            line: RefCell::new(Line::new()),
            waiters: RefCell::default(),
            woken: Cell::new(0),
            endpoints: RefCell::default(),
            codes: RefCell::default(),
            version: RefCell::new(None),
            asked: Cell::new(false),
            updates: RefCell::default(),
            dropped_seen: Cell::new(0),
            table,
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, shared: &Shared, code: u16) {
        let mut codes = self.codes.borrow_mut();
        if let Some((_, counter)) = codes.iter().find(|(it, _)| *it == code) {
            counter.inc();
            return;
        }
        let counter = shared.metrics.requests(&self.label, code);
        counter.inc();
        codes.push((code, counter));
    }

    /// Where a target answers.
    pub(crate) fn endpoint(&self, worker: &Worker, target: &Target) -> Rc<Endpoint> {
        if let Some(endpoint) = self.endpoints.borrow().get(&target.id) {
            return endpoint.clone();
        }
        let endpoint = worker.pool.endpoint(&target.spec.address);
        self.endpoints.borrow_mut().insert(target.id, endpoint.clone());
        endpoint
    }

    /// Forgets endpoints of targets that are gone, and that an instance was asked for and never came.
    pub(crate) fn housekeep(&self) {
        self.asked.set(false);
        let brain = self.brain.borrow();
        let table = brain.table();
        let live: std::collections::BTreeSet<_> =
            (0..table.len()).filter_map(|slot| table.target(slot)).map(|it| it.id).collect();
        self.endpoints.borrow_mut().retain(|id, _| live.contains(id));
    }

    /// Takes in what waits in the mailbox; true when there may be room for a waiting request.
    pub(crate) fn sync(&self, worker: &Worker) -> bool {
        let mailbox = &self.table.mail[self.worker];
        let mut updates = self.updates.borrow_mut();
        // Whoever leaves the first one may be held up while it does: with an empty table every request would be refused.
        let knows_nothing = self.brain.borrow().table().is_empty();
        mailbox.take_updates(&mut updates, knows_nothing);
        let mut made_room = false;
        if !updates.is_empty() {
            let mut brain = self.brain.borrow_mut();
            for update in updates.drain(..) {
                let applied = brain.update(&update).or_else(|_| brain.update(&self.table.snapshot()));
                made_room |= applied.is_ok_and(|it| it.0);
            }
        }
        if let Some(seat) = mailbox.take_seat() {
            self.seat(worker, seat);
        }
        made_room
    }

    fn seat(&self, worker: &Worker, seat: Seat) {
        let mut brain = self.brain.borrow_mut();
        self.asked.set(false);
        let old = match seat {
            Seat::Install(version, instance, standby) => {
                let old = brain.install(instance, version.breaker.clone());
                if let Some(standby) = standby {
                    brain.add_standby(standby, &version.breaker);
                }
                self.table.mail[self.worker].set_seated(version.number);
                *self.version.borrow_mut() = Some(version);
                worker.shared.seated.notify_one();
                old
            }
            Seat::Standby(version, instance) => {
                let current = self.version.borrow().as_ref().is_some_and(|it| it.number == version.number);
                if current {
                    brain.add_standby(instance, &version.breaker);
                    None
                } else {
                    Some(instance)
                }
            }
            Seat::Leave => {
                *self.version.borrow_mut() = None;
                self.table.mail[self.worker].set_seated(0);
                brain.uninstall()
            }
        };
        if let Some(old) = old {
            worker.shared.maker.drop_later(old);
        }
    }

    /// Decides one attempt; the place is taken when there is one.
    pub(crate) fn decide(&self, worker: &Worker, request: &mut Request) -> Decided {
        let now_ms = worker.shared.clock.now_ms();
        self.table.refresh(now_ms);
        self.sync(worker);
        self.table.mail[self.worker].used(now_ms);
        let decided = self.brain.borrow_mut().decide(request, now_ms);
        self.count(worker, decided.outcome);
        if let Some(fault) = decided.feedback_fault {
            self.count(worker, fault);
        }
        let idle = matches!(decided.outcome, DecisionOutcome::Ok | DecisionOutcome::Abstain);
        let can_fault = self.version.borrow().as_ref().is_some_and(|it| it.can_fault());
        if !idle || (can_fault && self.brain.borrow().wants_standby()) {
            self.ask_for_instance(worker);
        }
        decided
    }

    fn count(&self, worker: &Worker, outcome: DecisionOutcome) {
        if let Some(version) = self.version.borrow().as_ref() {
            version.count(outcome);
        } else if let Some(version) = worker.shared.active.load().as_ref() {
            version.count(outcome);
        }
    }

    /// After a fault or without an instance: has one made, and faulty ones dropped elsewhere.
    fn ask_for_instance(&self, worker: &Worker) {
        let mut brain = self.brain.borrow_mut();
        while let Some(retired) = brain.take_retired() {
            worker.shared.maker.drop_later(retired);
        }
        if self.asked.get() {
            return;
        }
        let Some(active) = worker.shared.active.load_full() else { return };
        let seated = self.version.borrow().as_ref().is_some_and(|it| it.number == active.number);
        if seated && !(active.can_fault() && brain.wants_standby()) {
            return;
        }
        let want = Want { version: active, table: self.table.clone(), worker: self.worker, standby: seated };
        self.asked.set(worker.shared.maker.want(want));
    }

    /// Gives a place back, shows it to the instance, and lets the line look.
    pub(crate) fn release(&self, worker: &Worker, place: Place) {
        let (slot, generation) = (place.slot(), place.generation());
        drop(place);
        self.brain.borrow_mut().released(slot, generation);
        self.wake_next(worker);
    }

    /// Tells the instance how its decision ended.
    pub(crate) fn feedback(&self, worker: &Worker, to: InstanceId, feedback: Feedback) {
        let mut brain = self.brain.borrow_mut();
        brain.feedback(to, feedback);
        let dropped = brain.feedback_dropped();
        let new = dropped.saturating_sub(self.dropped_seen.replace(dropped));
        if new > 0 {
            worker.shared.metrics.feedback_dropped.inc_by(new);
        }
    }

    /// The surroundings of one event.
    pub(crate) fn facts(&self, worker: &Worker, now_us: u64) -> Facts {
        let mut facts = worker.shared.desk.facts(&self.line.borrow(), now_us);
        facts.line_empty &= self.woken.get() == 0;
        facts
    }

    /// Whether nobody waits.
    pub(crate) fn line_is_empty(&self) -> bool {
        self.line.borrow().is_empty()
    }

    /// Puts a request into the line.
    pub(crate) fn enqueue(&self, worker: &Rc<Worker>, id: RequestId, front: bool) -> Rc<Waiter> {
        self.line.borrow_mut().enqueue(id, front, &worker.shared.desk);
        let waiter = Rc::new(Waiter::default());
        self.waiters.borrow_mut().insert(id, waiter.clone());
        worker.tick_lines();
        waiter
    }

    /// Takes a request out that was woken and looks now.
    pub(crate) fn looks(&self, id: RequestId) {
        if self.waiters.borrow_mut().remove(&id).is_some_and(|it| it.woken.get()) {
            self.woken.set(self.woken.get().saturating_sub(1));
        }
    }

    /// Takes a request out that ends while it waits; a wake-up that was its goes to the next.
    pub(crate) fn leaves(&self, worker: &Worker, id: RequestId) {
        let Some(waiter) = self.waiters.borrow_mut().remove(&id) else { return };
        if waiter.woken.get() {
            self.woken.set(self.woken.get().saturating_sub(1));
            self.wake_next(worker);
        } else {
            self.line.borrow_mut().remove(id, &worker.shared.desk);
        }
    }

    /// Lets the first of the line look, unless one is about to.
    pub(crate) fn wake_next(&self, worker: &Worker) {
        if self.woken.get() > 0 {
            return;
        }
        let Some(first) = self.line.borrow_mut().pop(&worker.shared.desk) else { return };
        if let Some(waiter) = self.waiters.borrow().get(&first) {
            self.woken.set(1);
            waiter.wake();
        }
    }

    /// Takes in what waits and lets the line look; the control side asked for it.
    pub(crate) fn turn(&self, worker: &Worker) {
        if self.sync(worker) {
            self.wake_next(worker);
        }
    }

    /// Once a millisecond while somebody waits.
    pub(crate) fn tick(&self, worker: &Worker) {
        if self.line_is_empty() {
            return;
        }
        self.table.refresh(worker.shared.clock.now_ms());
        let made_room = self.sync(worker);
        if self.line.borrow_mut().tick(&self.table.room) || made_room {
            self.wake_next(worker);
        }
    }
}
