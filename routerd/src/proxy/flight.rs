//! One request's machine and what its actions hold: places, timers, its seat in the line.

use std::{
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use mesh_strategy::{
    Ask, Choice, Feedback, InstanceId, Outcome, Place, Request, RequestId, SlotRef, TRIED_MAX, Target, Verdict,
    route::{Action, Decision, Event, FailureKind, Machine, RefuseCode, TimerId},
};

use crate::worker::{
    Worker,
    grid::{Timer, TimerKey},
    model::{Model, Waiter},
};

const NEVER: u64 = u64::MAX;
/// A connection to an engine must stand after this.
const CONNECT_US: u64 = 1_000_000;
/// The longest silence within an answer.
const IDLE_US: u64 = 60_000_000;
/// The status counted for a client that left before an answer.
const CLIENT_GONE_CODE: u16 = 499;

/// What the driver must do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: an answer streams, or nothing has begun.
    Nothing,
    /// Send this attempt.
    Send(u8),
    /// Wait in the line.
    Wait,
    /// Let the answer of this attempt through.
    Forward(u8),
    /// Refuse.
    Refuse {
        /// Status.
        status: u16,
        /// Why.
        code: RefuseCode,
        /// Seconds for `Retry-After`.
        retry_after: Option<u16>,
    },
    /// It is over.
    Finished(Outcome),
}

/// A place held by one attempt.
struct Held {
    place: Place,
    instance: Option<InstanceId>,
    /// Its entry among the requests at engines, once it is sent.
    key: Option<usize>,
}

/// One request from its arrival to its end. Dropped earlier, the client has gone: everything is given back.
pub(crate) struct Flight {
    /// The worker it runs in.
    pub(crate) worker: Rc<Worker>,
    /// Its model.
    pub(crate) model: Rc<Model>,
    /// When it arrived.
    pub(crate) arrived_us: u64,
    machine: Machine,
    ask: Ask,
    next: Next,
    held: [Option<Held>; TRIED_MAX],
    waiter: Option<Rc<Waiter>>,
    timer: Timer,
    line_us: u64,
    head_us: u64,
    own_us: u64,
    actions: Vec<Action>,
    /// When each attempt was sent.
    sent_us: [u64; TRIED_MAX],
    /// The status that goes to the client.
    status: u16,
}

/// Which time-out came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// One of the machine's.
    Machine(TimerId),
    /// The driver's own: connect or idle.
    Own,
}

impl Flight {
    /// A request that is read and whose model is known.
    pub(crate) fn new(worker: Rc<Worker>, model: Rc<Model>, (id, ask): (RequestId, Ask)) -> Self {
        let machine = Machine::new(id, None);
        if let Some(recorder) = worker.shared.recorders.get(worker.index) {
            recorder.request(&machine);
        }
        worker.shared.desk.arrived();
        Self {
            arrived_us: worker.shared.clock.now_us(),
            machine,
            ask,
            next: Next::Nothing,
            held: [None, None, None],
            waiter: None,
            timer: worker.grid.timer(),
            line_us: NEVER,
            head_us: NEVER,
            own_us: NEVER,
            actions: Vec::with_capacity(4),
            sent_us: [0; TRIED_MAX],
            status: CLIENT_GONE_CODE,
            worker,
            model,
        }
    }

    /// What the driver must do now; asking takes it.
    pub(crate) fn take_next(&mut self) -> Next {
        std::mem::replace(&mut self.next, Next::Nothing)
    }

    /// Whether the answer that has come is the one to let through.
    pub(crate) fn forwards(&self) -> bool {
        matches!(self.next, Next::Forward(_))
    }

    /// The target of an attempt that holds its place.
    pub(crate) fn target(&self, attempt: u8) -> Option<&Arc<Target>> {
        self.held.get(usize::from(attempt))?.as_ref().map(|it| it.place.target())
    }

    /// Takes one event, and what follows at once.
    pub(crate) fn step(&mut self, event: Event) {
        let mut event = Some(event);
        while let Some(now) = event {
            event = self.step_once(&now);
        }
    }

    fn step_once(&mut self, event: &Event) -> Option<Event> {
        let now_us = self.worker.shared.clock.now_us();
        let facts = self.model.facts(&self.worker, now_us);
        let mut actions = std::mem::take(&mut self.actions);
        let step = self.machine.step(now_us, event, &facts, &mut actions);
        if let Some(recorder) = self.worker.shared.recorders.get(self.worker.index) {
            recorder.event(self.machine.id(), now_us, (event, &facts), (&actions, step));
        }
        self.worker.shared.desk.settle(step);
        let mut decided = None;
        for action in actions.drain(..) {
            decided = self.act(action, now_us).or(decided);
        }
        self.actions = actions;
        decided
    }

    fn act(&mut self, action: Action, now_us: u64) -> Option<Event> {
        match action {
            Action::Decide { attempt, tried } => return Some(self.decide(attempt, tried, now_us)),
            Action::Send { attempt, .. } => self.sending(attempt, now_us),
            Action::Forward { attempt } => self.next = Next::Forward(attempt),
            Action::Enqueue { front } => {
                self.waiter = Some(self.model.enqueue(&self.worker, self.machine.id(), front));
                self.next = Next::Wait;
            }
            // The driver drops the connection when the next step is another one than `Forward`.
            Action::Cancel { .. } => {}
            Action::Release { attempt } => self.release(attempt),
            Action::Arm { id: TimerId::Line, at } => self.line_us = at,
            Action::Arm { id: TimerId::Head, at } => self.head_us = at,
            Action::Disarm { id: TimerId::Line } => self.line_us = NEVER,
            Action::Disarm { id: TimerId::Head } => self.head_us = NEVER,
            Action::Refuse { status, code, retry_after } => {
                self.status = status;
                self.next = Next::Refuse { status, code, retry_after };
                self.ended();
            }
            Action::Finish { outcome } => {
                self.next = Next::Finished(outcome);
                self.worker.shared.desk.completed(now_us);
                self.ended();
            }
        }
        self.retime();
        None
    }

    fn decide(&mut self, attempt: u8, tried: mesh_strategy::Tried, now_us: u64) -> Event {
        let shared = &self.worker.shared;
        let mut request = Request::new(self.machine.id(), attempt, shared.mesh_seed, now_us / 1000, self.ask);
        request.tried = tried;
        let from_line = self.waiter.take().is_some();
        if from_line {
            self.model.looks(self.machine.id());
        }
        let decided = self.model.decide(&self.worker, &mut request);
        let to = match decided.choice {
            Choice::Target(place) => {
                let at = SlotRef { slot: place.slot(), generation: place.generation() };
                self.held[usize::from(attempt)] = Some(Held { place, instance: decided.instance, key: None });
                Decision::Target(at)
            }
            Choice::NoRoom => Decision::NoRoom,
            Choice::NoTarget => Decision::NoTarget,
        };
        if from_line && to != Decision::NoRoom {
            self.model.wake_next(&self.worker);
        }
        Event::Decided { attempt, to }
    }

    fn sending(&mut self, attempt: u8, now_us: u64) {
        self.sent_us[usize::from(attempt)] = now_us;
        if attempt > 0 {
            self.model.retries.inc();
        }
        if let Some(held) = &mut self.held[usize::from(attempt)] {
            let since = (now_us, self.timer.key());
            held.key = Some(self.worker.inflight.insert(held.place.target(), &self.model.table.name, since));
        }
        self.next = Next::Send(attempt);
    }

    fn release(&mut self, attempt: u8) {
        let Some(held) = self.held.get_mut(usize::from(attempt)).and_then(Option::take) else { return };
        if let Some(key) = held.key {
            self.worker.inflight.remove(key);
        }
        if let (Some(instance), Some(report)) = (held.instance, self.machine.report(attempt)) {
            let micros = |us: u64| u32::try_from(us).unwrap_or(u32::MAX);
            let feedback = Feedback {
                decision: self.machine.id().decision(attempt),
                slot: held.place.slot(),
                generation: held.place.generation(),
                attempt,
                outcome: report.outcome,
                ttft_us: report.ttft_us.map_or(0, micros),
                e2e_us: micros(report.e2e_us),
                tokens_out: report.usage.completion_tokens.unwrap_or(0),
            };
            self.model.feedback(&self.worker, instance, feedback);
        }
        self.own_us = NEVER;
        self.model.release(&self.worker, held.place);
    }

    fn ended(&mut self) {
        (self.line_us, self.head_us, self.own_us) = (NEVER, NEVER, NEVER);
        if self.waiter.take().is_some() {
            self.model.leaves(&self.worker, self.machine.id());
        }
        self.model.answered(&self.worker.shared, self.status);
    }

    fn retime(&self) {
        self.timer.set(self.line_us.min(self.head_us).min(self.own_us));
    }

    /// The name of its time-out.
    pub(crate) fn timer(&self) -> TimerKey {
        self.timer.key()
    }

    /// From the sending of an attempt to `first_us`, in microseconds.
    pub(crate) fn ttft_us(&self, attempt: u8, first_us: u64) -> u64 {
        first_us.saturating_sub(self.sent_us[usize::from(attempt)])
    }

    /// Bounds the time to connect from now on.
    pub(crate) fn arm_connect(&mut self) {
        self.own_us = self.worker.shared.clock.now_us() + CONNECT_US;
        self.retime();
    }

    /// Ends the bound on connecting.
    pub(crate) fn disarm_own(&mut self) {
        self.own_us = NEVER;
        self.retime();
    }

    /// Bounds the silence from now on.
    pub(crate) fn arm_idle(&mut self, now_us: u64) {
        self.own_us = now_us + IDLE_US;
        self.retime();
    }

    /// Which time-out has come, if one has.
    pub(crate) fn poll_due(&self, cx: &Context<'_>) -> Poll<Due> {
        if self.timer.poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(if self.own_us <= self.line_us.min(self.head_us) {
            Due::Own
        } else if self.line_us <= self.head_us {
            Due::Machine(TimerId::Line)
        } else {
            Due::Machine(TimerId::Head)
        })
    }

    /// Waits in the line until it may look, or the wait is too long.
    pub(crate) async fn wait(&mut self) {
        let event = std::future::poll_fn(|cx| {
            if self.waiter.as_ref().is_none_or(|it| it.poll(cx).is_ready()) {
                return Poll::Ready(Event::Woken);
            }
            match self.poll_due(cx) {
                Poll::Ready(Due::Machine(id)) => Poll::Ready(Event::Timer { id }),
                Poll::Ready(Due::Own) | Poll::Pending => Poll::Pending,
            }
        })
        .await;
        self.step(event);
    }

    /// Takes in the head of an answer.
    pub(crate) fn head(&mut self, attempt: u8, status: u16) {
        self.status = status;
        if let Some(target) = self.target(attempt) {
            target.breaker.record(self.worker.shared.clock.now_ms(), Verdict::of_status(status));
        }
        if status >= 500 || status == 429 {
            self.count_error(attempt, "status");
        }
        self.step(Event::Head { attempt, status });
    }

    /// Takes in a failure below HTTP; the connection is closed already.
    pub(crate) fn failed(&mut self, attempt: u8, kind: FailureKind, bytes_seen: bool) {
        if let Some(target) = self.target(attempt) {
            target.breaker.record(self.worker.shared.clock.now_ms(), Verdict::of_failure(kind, bytes_seen));
        }
        let word = match kind {
            FailureKind::Connect => "connect",
            FailureKind::Reset => "reset",
            FailureKind::Timeout => "timeout",
        };
        self.count_error(attempt, word);
        self.step(Event::Failed { attempt, kind, bytes_seen });
    }

    /// Takes in that no head came in time; the connection is closed already.
    pub(crate) fn head_timed_out(&mut self, attempt: u8, id: TimerId) {
        if let Some(target) = self.target(attempt) {
            let verdict = Verdict::of_failure(FailureKind::Timeout, false);
            target.breaker.record(self.worker.shared.clock.now_ms(), verdict);
        }
        self.count_error(attempt, "timeout");
        self.step(Event::Timer { id });
    }

    fn count_error(&self, attempt: u8, kind: &str) {
        if let Some(target) = self.target(attempt) {
            let place = (target.spec.node.as_str(), target.spec.engine.as_str());
            self.worker.shared.metrics.upstream_error(&self.model.label, place, kind);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.machine.is_done() {
            self.step(Event::ClientGone);
        }
    }
}
