//! The request machine: the states of one request, and what each event does in each of them.

use serde::{Deserialize, Serialize};

use super::event::{Action, Decision, Event, Facts, FailureKind, RefuseCode, Step, TimerId, Usage};
use crate::request::{Outcome, RequestId, SlotRef, TRIED_MAX, Tried};

/// Most retries of one request.
pub const RETRIES_MAX: u8 = 2;
/// The longest wait in the line, in microseconds.
pub const LINE_WAIT_US: u64 = 30_000_000;
/// The longest wait for a response head, in microseconds.
pub const HEAD_WAIT_US: u64 = 600_000_000;
const RETRY_AFTER_NO_TARGET_S: u16 = 1;

/// What one attempt came to, for feedback and accounting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptReport {
    /// 0, 1 or 2.
    pub attempt: u8,
    /// The row it was sent to.
    pub at: SlotRef,
    /// How it ended.
    pub outcome: Outcome,
    /// From `Send` to the first byte of the body, in microseconds; `None` when none came.
    pub ttft_us: Option<u64>,
    /// From `Send` to the end, in microseconds.
    pub e2e_us: u64,
    /// What it used.
    pub usage: Usage,
}

/// One attempt that was sent.
#[derive(Clone, Copy, Debug, Default)]
struct Attempt {
    at: SlotRef,
    sent_us: u64,
    first_us: Option<u64>,
    ended: Option<(u64, Outcome)>,
    usage: Usage,
}

/// Why the present attempt is not the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It is the first.
    Arrival,
    /// The attempt before it failed.
    Failure(FailureKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing happened yet.
    New,
    /// Waits for `Decided`; `from_line` when it had been woken.
    Deciding { from_line: bool },
    /// Waits in the line.
    Lined,
    /// Waits for a head.
    Sent,
    /// Holds an engine's 429 or 503 while another engine is looked for.
    Weighing { status: u16 },
    /// The answer goes to the client.
    Streaming { status: u16 },
    /// Over.
    Done,
}

/// One request, from `Arrived` to `Refuse` or `Finish`.
///
/// The attempt number of an event that is not the present attempt's marks it as late; late events do nothing.
#[derive(Clone, Debug)]
pub struct Machine {
    id: RequestId,
    deadline_us: Option<u64>,
    state: State,
    cause: Cause,
    /// The attempt that is decided, sent or streaming.
    attempt: u8,
    tried: Tried,
    attempts: [Attempt; TRIED_MAX],
    /// The next `Send` takes one retry from the budget.
    owes_retry: bool,
    /// What the present event costs.
    step: Step,
}

impl Machine {
    /// Makes the machine of a request; the deadline is in microseconds of the driver's clock.
    #[must_use]
    pub fn new(id: RequestId, deadline_us: Option<u64>) -> Self {
        Self {
            id,
            deadline_us,
            state: State::New,
            cause: Cause::Arrival,
            attempt: 0,
            tried: Tried::default(),
            attempts: [Attempt::default(); TRIED_MAX],
            owes_retry: false,
            step: Step::default(),
        }
    }

    /// Returns the request's id.
    #[must_use]
    pub const fn id(&self) -> RequestId {
        self.id
    }

    /// Returns the request's deadline in microseconds of the driver's clock.
    #[must_use]
    pub const fn deadline_us(&self) -> Option<u64> {
        self.deadline_us
    }

    /// Says whether `Refuse` or `Finish` was given.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Returns what an attempt came to; `None` until its `Release`.
    #[must_use]
    pub fn report(&self, attempt: u8) -> Option<AttemptReport> {
        let past = self.attempts.get(usize::from(attempt))?;
        let (ended_us, outcome) = past.ended?;
        Some(AttemptReport {
            attempt,
            at: past.at,
            outcome,
            ttft_us: past.first_us.map(|first_us| first_us.saturating_sub(past.sent_us)),
            e2e_us: ended_us.saturating_sub(past.sent_us),
            usage: past.usage,
        })
    }

    /// Takes one event at `now_us` and adds the actions it leads to at the end of `out`.
    pub fn step(&mut self, now_us: u64, event: &Event, facts: &Facts, out: &mut Vec<Action>) -> Step {
        match *event {
            Event::Arrived => self.arrived(now_us, facts, out),
            Event::Decided { attempt, to } => self.decided(now_us, (attempt, to), facts, out),
            Event::Woken => {
                if self.state == State::Lined {
                    self.state = State::Deciding { from_line: true };
                    out.push(Action::Decide { attempt: self.attempt, tried: self.tried });
                }
            }
            Event::Head { attempt, status } => self.head((attempt, status), facts, out),
            Event::FirstByte { attempt } => {
                if attempt == self.attempt && matches!(self.state, State::Streaming { .. }) {
                    self.now_sent().first_us.get_or_insert(now_us);
                }
            }
            Event::Ended { attempt, usage } => self.ended(now_us, (attempt, usage), facts, out),
            Event::Failed { attempt, kind, bytes_seen } => {
                if attempt == self.attempt {
                    self.failed(now_us, (kind, bytes_seen), facts, out);
                }
            }
            Event::ClientGone => self.client_gone(now_us, out),
            Event::Timer { id: TimerId::Line } => {
                if self.state == State::Lined {
                    self.refuse(429, RefuseCode::LineTimeout, Some(facts.retry_after), out);
                }
            }
            Event::Timer { id: TimerId::Head } => {
                if self.state == State::Sent {
                    out.push(Action::Cancel { attempt: self.attempt });
                    self.release(now_us, Outcome::FailedNoBytes, out);
                    self.retry_or_refuse(FailureKind::Timeout, facts, out);
                }
            }
        }
        std::mem::take(&mut self.step)
    }

    fn arrived(&mut self, now_us: u64, facts: &Facts, out: &mut Vec<Action>) {
        if self.state != State::New {
            return;
        }
        if facts.line_empty {
            self.state = State::Deciding { from_line: false };
            out.push(Action::Decide { attempt: 0, tried: self.tried });
        } else {
            self.enqueue(now_us, facts, out);
        }
    }

    fn decided(&mut self, now_us: u64, (attempt, to): (u8, Decision), facts: &Facts, out: &mut Vec<Action>) {
        match (self.state, to) {
            (State::Deciding { from_line }, Decision::Target(at)) if attempt == self.attempt => {
                if from_line {
                    out.push(Action::Disarm { id: TimerId::Line });
                }
                self.send(now_us, at, out);
            }
            (State::Deciding { from_line }, Decision::NoRoom) if attempt == self.attempt => {
                if from_line {
                    self.state = State::Lined;
                    out.push(Action::Enqueue { front: true });
                } else {
                    self.enqueue(now_us, facts, out);
                }
            }
            (State::Deciding { from_line }, Decision::NoTarget) if attempt == self.attempt => {
                if from_line {
                    out.push(Action::Disarm { id: TimerId::Line });
                }
                match self.cause {
                    Cause::Arrival => self.refuse(503, RefuseCode::NoTarget, Some(RETRY_AFTER_NO_TARGET_S), out),
                    Cause::Failure(kind) => self.refuse_failed(kind, out),
                }
            }
            (State::Weighing { .. }, Decision::Target(at)) if attempt == self.attempt + 1 => {
                out.push(Action::Cancel { attempt: self.attempt });
                self.release(now_us, Outcome::Refused, out);
                self.attempt = attempt;
                self.owes_retry = true;
                self.send(now_us, at, out);
            }
            (State::Weighing { status }, Decision::NoRoom | Decision::NoTarget) => self.forward(status, out),
            // A place that nobody waits for any more: give it back.
            (_, Decision::Target(_)) => out.push(Action::Release { attempt }),
            (_, Decision::NoRoom | Decision::NoTarget) => {}
        }
    }

    fn head(&mut self, (attempt, status): (u8, u16), facts: &Facts, out: &mut Vec<Action>) {
        if attempt != self.attempt || self.state != State::Sent {
            return;
        }
        out.push(Action::Disarm { id: TimerId::Head });
        if matches!(status, 429 | 503) && self.attempt < RETRIES_MAX && facts.retry_left {
            self.state = State::Weighing { status };
            out.push(Action::Decide { attempt: self.attempt + 1, tried: self.tried });
        } else {
            self.forward(status, out);
        }
    }

    fn ended(&mut self, now_us: u64, (attempt, usage): (u8, Usage), facts: &Facts, out: &mut Vec<Action>) {
        if attempt != self.attempt {
            return;
        }
        match self.state {
            State::Streaming { status } => {
                self.now_sent().usage = usage;
                let outcome = Outcome::of_status(status);
                self.release(now_us, outcome, out);
                self.finish(outcome, out);
            }
            // An end without a head is a broken answer.
            State::Sent => self.failed(now_us, (FailureKind::Reset, false), facts, out),
            State::New | State::Deciding { .. } | State::Lined | State::Weighing { .. } | State::Done => {}
        }
    }

    fn failed(&mut self, now_us: u64, failure: (FailureKind, bool), facts: &Facts, out: &mut Vec<Action>) {
        let (kind, bytes_seen) = failure;
        match self.state {
            State::Sent => {
                out.push(Action::Disarm { id: TimerId::Head });
                let outcome = if bytes_seen { Outcome::FailedMidStream } else { Outcome::FailedNoBytes };
                self.release(now_us, outcome, out);
                self.retry_or_refuse(kind, facts, out);
            }
            State::Streaming { .. } => {
                self.release(now_us, Outcome::FailedMidStream, out);
                self.finish(Outcome::FailedMidStream, out);
            }
            State::New | State::Deciding { .. } | State::Lined | State::Weighing { .. } | State::Done => {}
        }
    }

    fn client_gone(&mut self, now_us: u64, out: &mut Vec<Action>) {
        match self.state {
            State::New | State::Deciding { from_line: false } => self.finish(Outcome::ClientGone, out),
            State::Lined | State::Deciding { from_line: true } => {
                out.push(Action::Disarm { id: TimerId::Line });
                self.finish(Outcome::ClientGone, out);
            }
            State::Sent | State::Weighing { .. } | State::Streaming { .. } => {
                if self.state == State::Sent {
                    out.push(Action::Disarm { id: TimerId::Head });
                }
                out.push(Action::Cancel { attempt: self.attempt });
                self.release(now_us, Outcome::ClientGone, out);
                self.finish(Outcome::ClientGone, out);
            }
            State::Done => {}
        }
    }

    /// Joins the line: a first attempt at the end, a later one at the front.
    fn enqueue(&mut self, now_us: u64, facts: &Facts, out: &mut Vec<Action>) {
        let front = self.cause != Cause::Arrival;
        if !front && !facts.line_open {
            self.refuse(429, RefuseCode::LineFull, Some(facts.retry_after), out);
            return;
        }
        self.state = State::Lined;
        let longest_us = now_us.saturating_add(LINE_WAIT_US);
        let at = self.deadline_us.map_or(longest_us, |deadline_us| deadline_us.min(longest_us));
        out.push(Action::Enqueue { front });
        out.push(Action::Arm { id: TimerId::Line, at });
    }

    fn send(&mut self, now_us: u64, at: SlotRef, out: &mut Vec<Action>) {
        self.step.spent_retry = std::mem::take(&mut self.owes_retry);
        self.tried.push(at);
        *self.now_sent() = Attempt { at, sent_us: now_us, ..Attempt::default() };
        self.state = State::Sent;
        out.push(Action::Send { attempt: self.attempt, slot: at.slot, generation: at.generation });
        out.push(Action::Arm { id: TimerId::Head, at: now_us.saturating_add(HEAD_WAIT_US) });
    }

    fn forward(&mut self, status: u16, out: &mut Vec<Action>) {
        self.state = State::Streaming { status };
        out.push(Action::Forward { attempt: self.attempt });
    }

    /// After a failure before `Forward`: the next attempt, while count and budget allow one.
    fn retry_or_refuse(&mut self, kind: FailureKind, facts: &Facts, out: &mut Vec<Action>) {
        let free = kind == FailureKind::Connect;
        if self.attempt < RETRIES_MAX && (free || facts.retry_left) {
            self.attempt += 1;
            self.cause = Cause::Failure(kind);
            self.owes_retry = !free;
            self.state = State::Deciding { from_line: false };
            out.push(Action::Decide { attempt: self.attempt, tried: self.tried });
        } else {
            self.refuse_failed(kind, out);
        }
    }

    fn refuse_failed(&mut self, kind: FailureKind, out: &mut Vec<Action>) {
        match kind {
            FailureKind::Timeout => self.refuse(504, RefuseCode::UpstreamTimeout, None, out),
            FailureKind::Connect | FailureKind::Reset => self.refuse(502, RefuseCode::UpstreamFailed, None, out),
        }
    }

    fn release(&mut self, now_us: u64, outcome: Outcome, out: &mut Vec<Action>) {
        self.now_sent().ended = Some((now_us, outcome));
        out.push(Action::Release { attempt: self.attempt });
    }

    fn refuse(&mut self, status: u16, code: RefuseCode, retry_after: Option<u16>, out: &mut Vec<Action>) {
        self.state = State::Done;
        out.push(Action::Refuse { status, code, retry_after });
    }

    fn finish(&mut self, outcome: Outcome, out: &mut Vec<Action>) {
        self.state = State::Done;
        out.push(Action::Finish { outcome });
    }

    /// Returns the present attempt; its number never passes [`RETRIES_MAX`].
    fn now_sent(&mut self) -> &mut Attempt {
        &mut self.attempts[usize::from(self.attempt.min(RETRIES_MAX))]
    }
}
