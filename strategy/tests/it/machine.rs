//! Each walk of the request machine.

use mesh_strategy::{
    Outcome, RequestId, SlotRef, Tried,
    route::{
        Action, Decision, Event, Facts, FailureKind, HEAD_WAIT_US, LINE_WAIT_US, Machine, RefuseCode, TimerId, Usage,
    },
};

const QUIET: Facts = Facts { line_empty: true, line_open: true, retry_after: 7, retry_left: true };
const NO_BUDGET: Facts = Facts { retry_left: false, ..QUIET };
const BEHIND_OTHERS: Facts = Facts { line_empty: false, ..QUIET };
const LINES_FULL: Facts = Facts { line_open: false, ..BEHIND_OTHERS };

/// One request on a clock that moves by 10 us an event.
struct Walk {
    machine: Machine,
    now_us: u64,
    spent: u32,
}

impl Walk {
    fn new() -> Self {
        Self { machine: Machine::new(RequestId::new(1), None), now_us: 0, spent: 0 }
    }

    /// A walk whose first attempt was sent to slot 3 and waits for its head.
    fn sent() -> Self {
        let mut walk = Self::new();
        walk.check(Event::Arrived, &[decide(0, &[])]);
        walk.check(target(0, 3), &send(0, 3, 20));
        walk
    }

    /// A walk that waits in the line.
    fn lined() -> Self {
        let mut walk = Self::new();
        walk.check(Event::Arrived, &[decide(0, &[])]);
        walk.check(no_room(0), &[Action::Enqueue { front: false }, arm(TimerId::Line, 20 + LINE_WAIT_US)]);
        walk
    }

    /// A walk whose answer goes to the client.
    fn streaming(status: u16) -> Self {
        let mut walk = Self::sent();
        walk.check(Event::Head { attempt: 0, status }, &[disarm(TimerId::Head), Action::Forward { attempt: 0 }]);
        walk
    }

    fn check(&mut self, event: Event, expected: &[Action]) {
        self.check_with(QUIET, event, expected);
    }

    fn check_with(&mut self, facts: Facts, event: Event, expected: &[Action]) {
        self.now_us += 10;
        let mut actions = Vec::new();
        let step = self.machine.step(self.now_us, &event, &facts, &mut actions);
        assert_eq!(actions, expected, "after {event:?}");
        self.spent += u32::from(step.spent_retry);
    }

    /// Checks that the request is over and that no event does anything any more.
    fn over(mut self) {
        assert!(self.machine.is_done());
        let late = [
            Event::Arrived,
            Event::Woken,
            Event::Head { attempt: 0, status: 200 },
            Event::FirstByte { attempt: 0 },
            Event::Ended { attempt: 0, usage: Usage::default() },
            failed(0, FailureKind::Reset, false),
            Event::ClientGone,
            Event::Timer { id: TimerId::Line },
            Event::Timer { id: TimerId::Head },
        ];
        for event in late {
            self.check(event, &[]);
        }
        self.check(target(0, 1), &[release(0)]);
    }
}

fn decide(attempt: u8, slots: &[u32]) -> Action {
    let mut tried = Tried::default();
    for slot in slots {
        tried.push(SlotRef { slot: *slot, generation: 1 });
    }
    Action::Decide { attempt, tried }
}

fn send(attempt: u8, slot: u32, now_us: u64) -> [Action; 2] {
    [Action::Send { attempt, slot, generation: 1 }, arm(TimerId::Head, now_us + HEAD_WAIT_US)]
}

fn target(attempt: u8, slot: u32) -> Event {
    Event::Decided { attempt, to: Decision::Target(SlotRef { slot, generation: 1 }) }
}

fn no_room(attempt: u8) -> Event {
    Event::Decided { attempt, to: Decision::NoRoom }
}

fn no_target(attempt: u8) -> Event {
    Event::Decided { attempt, to: Decision::NoTarget }
}

fn failed(attempt: u8, kind: FailureKind, bytes_seen: bool) -> Event {
    Event::Failed { attempt, kind, bytes_seen }
}

fn head(attempt: u8, status: u16) -> Event {
    Event::Head { attempt, status }
}

fn arm(id: TimerId, at: u64) -> Action {
    Action::Arm { id, at }
}

fn disarm(id: TimerId) -> Action {
    Action::Disarm { id }
}

fn release(attempt: u8) -> Action {
    Action::Release { attempt }
}

fn cancel(attempt: u8) -> Action {
    Action::Cancel { attempt }
}

fn refuse(status: u16, code: RefuseCode, retry_after: Option<u16>) -> Action {
    Action::Refuse { status, code, retry_after }
}

fn finish(outcome: Outcome) -> Action {
    Action::Finish { outcome }
}

#[test]
fn a_request_is_sent_forwarded_and_ends() {
    let mut walk = Walk::streaming(200);
    walk.check(Event::FirstByte { attempt: 0 }, &[]);
    assert_eq!(walk.machine.report(0), None, "no report before the release");
    let usage = Usage { prompt_tokens: Some(5), completion_tokens: Some(9) };
    walk.check(Event::Ended { attempt: 0, usage }, &[release(0), finish(Outcome::Ok)]);
    let report = walk.machine.report(0).unwrap();
    assert_eq!((report.at.slot, report.outcome), (3, Outcome::Ok));
    assert_eq!((report.ttft_us, report.e2e_us, report.usage), (Some(20), 30, usage));
    assert_eq!(walk.spent, 0);
    walk.over();
}

#[test]
fn an_answer_of_any_other_status_is_forwarded() {
    for (status, outcome) in
        [(400, Outcome::Ok), (404, Outcome::EngineError), (500, Outcome::EngineError), (502, Outcome::EngineError)]
    {
        let mut walk = Walk::streaming(status);
        walk.check(Event::Ended { attempt: 0, usage: Usage::default() }, &[release(0), finish(outcome)]);
        walk.over();
    }
}

#[test]
fn a_request_without_room_waits_and_is_woken() {
    let mut walk = Walk::lined();
    walk.check(Event::Woken, &[decide(0, &[])]);
    walk.check(no_room(0), &[Action::Enqueue { front: true }]);
    walk.check(Event::Woken, &[decide(0, &[])]);
    walk.check(target(0, 3), &[&[disarm(TimerId::Line)], &send(0, 3, 60)[..]].concat());
}

#[test]
fn an_arrival_joins_a_line_that_is_not_empty() {
    let mut walk = Walk::new();
    let joins = [Action::Enqueue { front: false }, arm(TimerId::Line, 10 + LINE_WAIT_US)];
    walk.check_with(BEHIND_OTHERS, Event::Arrived, &joins);
    let mut walk = Walk::new();
    walk.check_with(LINES_FULL, Event::Arrived, &[refuse(429, RefuseCode::LineFull, Some(7))]);
    walk.over();
}

#[test]
fn a_wait_ends_after_thirty_seconds_or_at_the_deadline() {
    let mut walk = Walk::lined();
    walk.check(Event::Timer { id: TimerId::Line }, &[refuse(429, RefuseCode::LineTimeout, Some(7))]);
    walk.over();

    let mut walk = Walk { machine: Machine::new(RequestId::new(1), Some(5_000)), ..Walk::new() };
    walk.check(Event::Arrived, &[decide(0, &[])]);
    walk.check(no_room(0), &[Action::Enqueue { front: false }, arm(TimerId::Line, 5_000)]);
}

#[test]
fn without_a_target_the_request_is_refused() {
    let mut walk = Walk::new();
    walk.check(Event::Arrived, &[decide(0, &[])]);
    walk.check(no_target(0), &[refuse(503, RefuseCode::NoTarget, Some(1))]);
    walk.over();

    let mut walk = Walk::lined();
    walk.check(Event::Woken, &[decide(0, &[])]);
    walk.check(no_target(0), &[disarm(TimerId::Line), refuse(503, RefuseCode::NoTarget, Some(1))]);
    walk.over();
}

#[test]
fn an_engine_that_refuses_is_left_for_another() {
    for status in [429, 503] {
        let mut walk = Walk::sent();
        walk.check(head(0, status), &[disarm(TimerId::Head), decide(1, &[3])]);
        walk.check(target(1, 4), &[&[cancel(0), release(0)], &send(1, 4, 40)[..]].concat());
        assert_eq!(walk.machine.report(0).unwrap().outcome, Outcome::Refused);
        assert_eq!(walk.spent, 1, "the retry is paid for");
        walk.check(head(0, 200), &[]);
        walk.check(failed(0, FailureKind::Reset, false), &[]);
        walk.check(head(1, 200), &[disarm(TimerId::Head), Action::Forward { attempt: 1 }]);
        walk.check(Event::Ended { attempt: 1, usage: Usage::default() }, &[release(1), finish(Outcome::Ok)]);
        walk.over();
    }
}

#[test]
fn an_engine_that_refuses_alone_is_forwarded() {
    for event in [no_room(1), no_target(1)] {
        let mut walk = Walk::sent();
        walk.check(head(0, 503), &[disarm(TimerId::Head), decide(1, &[3])]);
        walk.check(event, &[Action::Forward { attempt: 0 }]);
        walk.check(Event::Ended { attempt: 0, usage: Usage::default() }, &[release(0), finish(Outcome::Refused)]);
        assert_eq!(walk.spent, 0, "no retry was made");
        walk.over();
    }
    let mut walk = Walk::sent();
    walk.check_with(NO_BUDGET, head(0, 429), &[disarm(TimerId::Head), Action::Forward { attempt: 0 }]);
}

#[test]
fn a_third_refusal_is_forwarded() {
    let mut walk = Walk::sent();
    walk.check(head(0, 429), &[disarm(TimerId::Head), decide(1, &[3])]);
    walk.check(target(1, 4), &[&[cancel(0), release(0)], &send(1, 4, 40)[..]].concat());
    walk.check(head(1, 429), &[disarm(TimerId::Head), decide(2, &[3, 4])]);
    walk.check(target(2, 5), &[&[cancel(1), release(1)], &send(2, 5, 60)[..]].concat());
    walk.check(head(2, 429), &[disarm(TimerId::Head), Action::Forward { attempt: 2 }]);
    assert_eq!(walk.spent, 2);
}

#[test]
fn a_failure_before_the_head_is_tried_elsewhere() {
    let mut walk = Walk::sent();
    let again = [disarm(TimerId::Head), release(0), decide(1, &[3])];
    walk.check(failed(0, FailureKind::Reset, false), &again);
    assert_eq!(walk.machine.report(0).unwrap().outcome, Outcome::FailedNoBytes);
    walk.check(target(1, 4), &send(1, 4, 40));
    assert_eq!(walk.spent, 1);
    walk.check(head(1, 200), &[disarm(TimerId::Head), Action::Forward { attempt: 1 }]);
}

#[test]
fn a_failed_connect_costs_no_budget() {
    let mut walk = Walk::sent();
    let again = [disarm(TimerId::Head), release(0), decide(1, &[3])];
    walk.check_with(NO_BUDGET, failed(0, FailureKind::Connect, false), &again);
    walk.check(target(1, 4), &send(1, 4, 40));
    assert_eq!(walk.spent, 0);
    let again = [disarm(TimerId::Head), release(1), decide(2, &[3, 4])];
    walk.check_with(NO_BUDGET, failed(1, FailureKind::Connect, false), &again);
    walk.check(target(2, 5), &send(2, 5, 60));
    let over = [disarm(TimerId::Head), release(2), refuse(502, RefuseCode::UpstreamFailed, None)];
    walk.check(failed(2, FailureKind::Connect, false), &over);
    walk.over();
}

#[test]
fn a_failure_without_budget_or_target_is_refused() {
    for (kind, status, code) in [
        (FailureKind::Reset, 502, RefuseCode::UpstreamFailed),
        (FailureKind::Timeout, 504, RefuseCode::UpstreamTimeout),
    ] {
        let mut walk = Walk::sent();
        let over = [disarm(TimerId::Head), release(0), refuse(status, code, None)];
        walk.check_with(NO_BUDGET, failed(0, kind, false), &over);
        walk.over();

        let mut walk = Walk::sent();
        walk.check(failed(0, kind, false), &[disarm(TimerId::Head), release(0), decide(1, &[3])]);
        walk.check(no_target(1), &[refuse(status, code, None)]);
        walk.over();
    }
}

#[test]
fn a_failed_request_waits_at_the_front() {
    let mut walk = Walk::sent();
    walk.check(failed(0, FailureKind::Reset, false), &[disarm(TimerId::Head), release(0), decide(1, &[3])]);
    let waits = [Action::Enqueue { front: true }, arm(TimerId::Line, 40 + LINE_WAIT_US)];
    walk.check_with(LINES_FULL, no_room(1), &waits);
    walk.check(Event::Woken, &[decide(1, &[3])]);
    walk.check(no_target(1), &[disarm(TimerId::Line), refuse(502, RefuseCode::UpstreamFailed, None)]);
    walk.over();
}

#[test]
fn a_head_that_never_comes_is_a_timeout() {
    let mut walk = Walk::sent();
    walk.check(Event::Timer { id: TimerId::Head }, &[cancel(0), release(0), decide(1, &[3])]);
    walk.check(no_target(1), &[refuse(504, RefuseCode::UpstreamTimeout, None)]);
    walk.over();
}

#[test]
fn a_stream_that_breaks_is_finished_not_retried() {
    let mut walk = Walk::streaming(200);
    walk.check(Event::FirstByte { attempt: 0 }, &[]);
    walk.check(failed(0, FailureKind::Reset, true), &[release(0), finish(Outcome::FailedMidStream)]);
    walk.over();
}

#[test]
fn an_end_without_a_head_is_a_failure() {
    let mut walk = Walk::sent();
    let again = [disarm(TimerId::Head), release(0), decide(1, &[3])];
    walk.check(Event::Ended { attempt: 0, usage: Usage::default() }, &again);
}

#[test]
fn a_client_that_leaves_frees_everything() {
    let gone = finish(Outcome::ClientGone);
    let mut walk = Walk::lined();
    walk.check(Event::ClientGone, &[disarm(TimerId::Line), gone]);
    walk.over();

    let mut walk = Walk::sent();
    walk.check(Event::ClientGone, &[disarm(TimerId::Head), cancel(0), release(0), gone]);
    assert_eq!(walk.machine.report(0).unwrap().outcome, Outcome::ClientGone);
    walk.over();

    let mut walk = Walk::streaming(200);
    walk.check(Event::ClientGone, &[cancel(0), release(0), gone]);
    walk.over();

    let mut walk = Walk::sent();
    walk.check(head(0, 503), &[disarm(TimerId::Head), decide(1, &[3])]);
    walk.check(Event::ClientGone, &[cancel(0), release(0), gone]);
    walk.over();
}
