//! A thousand requests on virtual time through machine, choice and strategy; and the replay of what was recorded.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use mesh_strategy::{
    Ask, Brain, Choice, Feedback, InstanceId, Place, Recorder, ReplayError, Request, RequestId, SlotRef, TableWriter,
    Verdict,
    builtin::by_name,
    parse_recording, replay, replay_decisions,
    route::{Action, Decision, Desk, Event, FailureKind, Line, Machine, TimerId, Usage},
    splitmix64,
};

use crate::fleet::{MESH_SEED, add};

const REQUESTS: u64 = 1_000;
const TARGETS: usize = 6;

/// One request and what its driver holds for it.
struct Driven {
    machine: Machine,
    places: BTreeMap<u8, (Place, Option<InstanceId>)>,
    timers: BTreeMap<u8, u64>,
    cancelled: Vec<u8>,
    releases: BTreeMap<u8, u32>,
    sends: u32,
    ends: u32,
}

/// What happens at a time: an event of a request, or the millisecond's tick.
#[derive(Clone, Copy)]
enum Due {
    Event(Event),
    Tick,
}

/// A router of one worker on virtual time.
struct Sim {
    random: u64,
    writer: TableWriter,
    brain: Brain,
    line: Line,
    desk: Desk,
    requests: BTreeMap<RequestId, Driven>,
    /// By time, place in the contract's order of events, request, and number.
    queue: BinaryHeap<Reverse<(u64, u8, u64, u64)>>,
    due: BTreeMap<u64, Due>,
    numbers: u64,
    recorder: Recorder,
    forwarded: u64,
}

impl Sim {
    fn new(seed: u64) -> Self {
        let mut writer = TableWriter::new(0);
        for number in 0..TARGETS {
            add(&mut writer, &number.to_string(), 2.0);
        }
        let recorder = Recorder::new(1 << 30);
        let mut brain = Brain::new("m", 0);
        brain.update(&writer.publish().unwrap()).unwrap();
        brain.set_recorder(Some(recorder.clone()));
        brain.install(by_name("least_queue", 0).unwrap(), std::sync::Arc::default());
        Self {
            random: seed,
            writer,
            brain,
            line: Line::new(),
            desk: Desk::default(),
            requests: BTreeMap::new(),
            queue: BinaryHeap::new(),
            due: BTreeMap::new(),
            numbers: 0,
            recorder,
            forwarded: 0,
        }
    }

    /// Returns a random number below `below`.
    fn random(&mut self, below: u64) -> u64 {
        self.random = splitmix64(self.random);
        self.random % below
    }

    fn push(&mut self, at_us: u64, id: u64, due: Due) {
        let order = match due {
            Due::Event(Event::Arrived) => 0,
            Due::Event(Event::Decided { .. }) => 1,
            Due::Event(Event::Woken) => 2,
            Due::Event(Event::Head { .. }) => 3,
            Due::Event(Event::FirstByte { .. }) => 4,
            Due::Event(Event::Ended { .. }) => 5,
            Due::Event(Event::Failed { .. }) => 6,
            Due::Event(Event::ClientGone) => 7,
            Due::Event(Event::Timer { .. }) => 8,
            Due::Tick => 9,
        };
        self.numbers += 1;
        self.due.insert(self.numbers, due);
        self.queue.push(Reverse((at_us, order, id, self.numbers)));
    }

    /// Runs everything to its end.
    fn run(&mut self) {
        let mut at_us = 0;
        for number in 0..REQUESTS {
            at_us += self.random(18_000);
            self.push(at_us, number, Due::Event(Event::Arrived));
            if self.random(20) == 0 {
                let gone_us = at_us + self.random(400_000);
                self.push(gone_us, number, Due::Event(Event::ClientGone));
            }
        }
        for tick in 0..at_us / 1_000 + 60_000 {
            self.push(tick * 1_000, 0, Due::Tick);
        }
        while let Some(Reverse((now_us, _, id, number))) = self.queue.pop() {
            match self.due.remove(&number).unwrap() {
                Due::Tick => self.tick(now_us),
                Due::Event(event) => self.event(now_us, RequestId::new(id), event),
            }
        }
    }

    fn tick(&mut self, now_us: u64) {
        self.writer.refresh_inflight();
        if now_us.is_multiple_of(10_000) {
            self.writer.refresh_breakers(now_us / 1_000);
        }
        // A target comes and goes while requests are in flight.
        if now_us.is_multiple_of(700_000) {
            self.writer.remove("0");
        } else if now_us.is_multiple_of(350_000) {
            add(&mut self.writer, "0", 2.0);
        }
        let made_room = self.writer.publish().is_some_and(|update| self.brain.update(&update).unwrap().0);
        self.brain.turn(now_us / 1_000);
        if self.line.tick(&self.writer.room().clone()) || made_room {
            self.wake(now_us);
        }
    }

    fn wake(&mut self, now_us: u64) {
        while let Some(id) = self.line.pop(&self.desk) {
            let before = self.line.len();
            self.event(now_us, id, Event::Woken);
            if self.line.len() > before {
                break;
            }
        }
    }

    fn event(&mut self, now_us: u64, id: RequestId, event: Event) {
        if event == Event::Arrived {
            let machine = Machine::new(id, Some(now_us + 2_000_000).filter(|_| id.get().is_multiple_of(3)));
            self.recorder.request(&machine);
            self.desk.arrived();
            let (places, timers, releases) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
            let driven = Driven { machine, places, timers, cancelled: Vec::new(), releases, sends: 0, ends: 0 };
            self.requests.insert(id, driven);
        }
        let facts = self.desk.facts(&self.line, now_us);
        // A client may hang up before its request was read.
        let Some(driven) = self.requests.get_mut(&id) else { return };
        if let Event::Timer { id: timer } = event
            && driven.timers.get(&(timer as u8)) != Some(&now_us)
        {
            return;
        }
        if let (Event::Head { attempt, status }, Some((place, _))) = (event, places_of(driven, event)) {
            let _ = attempt;
            place.target().breaker.record(now_us / 1_000, Verdict::of_status(status));
        }
        if let (Event::Failed { kind, bytes_seen, .. }, Some((place, _))) = (event, places_of(driven, event)) {
            place.target().breaker.record(now_us / 1_000, Verdict::of_failure(kind, bytes_seen));
        }
        let mut actions = Vec::new();
        let step = driven.machine.step(now_us, &event, &facts, &mut actions);
        self.recorder.event(id, now_us, (&event, &facts), (&actions, step));
        self.desk.settle(step);
        for action in actions {
            self.act(now_us, id, action);
        }
    }

    fn act(&mut self, now_us: u64, id: RequestId, action: Action) {
        let driven = self.requests.get_mut(&id).unwrap();
        assert_eq!(driven.ends, 0, "nothing follows the end: {action:?}");
        match action {
            Action::Decide { attempt, tried } => {
                let mut request = Request::new(id, attempt, MESH_SEED, now_us / 1_000, Ask::default());
                request.tried = tried;
                let decided = self.brain.decide(&mut request, now_us / 1_000);
                let to = match decided.choice {
                    Choice::NoRoom => Decision::NoRoom,
                    Choice::NoTarget => Decision::NoTarget,
                    Choice::Target(place) => {
                        let at = SlotRef { slot: place.slot(), generation: place.generation() };
                        let driven = self.requests.get_mut(&id).unwrap();
                        assert!(driven.places.insert(attempt, (place, decided.instance)).is_none());
                        Decision::Target(at)
                    }
                };
                self.event(now_us, id, Event::Decided { attempt, to });
            }
            Action::Send { attempt, .. } => {
                driven.sends += 1;
                self.engine(now_us, id.get(), attempt);
            }
            Action::Forward { attempt } => {
                assert!(!driven.cancelled.contains(&attempt), "delivered after its cancel");
                self.forwarded += 1;
            }
            Action::Enqueue { front } => self.line.enqueue(id, front, &self.desk),
            Action::Cancel { attempt } => driven.cancelled.push(attempt),
            Action::Release { attempt } => self.release(now_us, id, attempt),
            Action::Arm { id: timer, at } => {
                driven.timers.insert(timer as u8, at);
                self.push(at, id.get(), Due::Event(Event::Timer { id: timer }));
            }
            Action::Disarm { id: timer } => assert!(driven.timers.remove(&(timer as u8)).is_some()),
            Action::Refuse { .. } | Action::Finish { .. } => {
                driven.ends += 1;
                self.line.remove(id, &self.desk);
                self.desk.completed(now_us);
            }
        }
    }

    fn release(&mut self, now_us: u64, id: RequestId, attempt: u8) {
        let driven = self.requests.get_mut(&id).unwrap();
        *driven.releases.entry(attempt).or_default() += 1;
        let (place, instance) = driven.places.remove(&attempt).expect("a place is released once");
        let (slot, generation) = (place.slot(), place.generation());
        let report = driven.machine.report(attempt).expect("a released attempt has a report");
        drop(place);
        self.brain.released(slot, generation);
        if let Some(instance) = instance {
            let (decision, outcome) = (id.decision(attempt), report.outcome);
            let (ttft_us, e2e_us, tokens_out) = (0, u32::try_from(report.e2e_us).unwrap(), 0);
            let feedback = Feedback { decision, slot, generation, attempt, outcome, ttft_us, e2e_us, tokens_out };
            self.brain.feedback(instance, feedback);
        }
        let _ = now_us;
    }

    /// Lets an engine answer, or not; its events come even when the attempt was cancelled meanwhile.
    fn engine(&mut self, now_us: u64, id: u64, attempt: u8) {
        let head_us = now_us + 2_000 + self.random(40_000);
        let end_us = head_us + 1_000 + self.random(300_000);
        let usage = Usage { prompt_tokens: None, completion_tokens: Some(10) };
        let fate = self.random(100);
        let failed = |kind, bytes_seen| Event::Failed { attempt, kind, bytes_seen };
        let mut then = |at_us, event| self.push(at_us, id, Due::Event(event));
        match fate {
            0..4 => then(now_us + 500, failed(FailureKind::Connect, false)),
            4..8 => then(head_us, failed(FailureKind::Reset, false)),
            8..10 => then(head_us + 1_000_000, failed(FailureKind::Timeout, false)),
            10..11 => then(now_us + 700_000_000, Event::Ended { attempt, usage }),
            _ => {
                let status = match fate {
                    11..18 => 503,
                    18..20 => 500,
                    _ => 200,
                };
                then(head_us, Event::Head { attempt, status });
                then(head_us + 500, Event::FirstByte { attempt });
                let end = if fate < 25 { failed(FailureKind::Reset, true) } else { Event::Ended { attempt, usage } };
                then(end_us, end);
            }
        }
    }
}

/// Returns the place of the attempt which an event is about.
#[expect(clippy::wildcard_enum_match_arm, reason = "only two events judge a target")]
fn places_of(driven: &Driven, event: Event) -> Option<&(Place, Option<InstanceId>)> {
    match event {
        Event::Head { attempt, .. } | Event::Failed { attempt, .. } => driven.places.get(&attempt),
        _ => None,
    }
}

/// Runs a seed, checks the invariants, and returns the recording.
fn run(seed: u64) -> Vec<u8> {
    let mut sim = Sim::new(seed);
    sim.run();
    assert_eq!(sim.requests.len(), usize::try_from(REQUESTS).unwrap());
    let mut retried = 0;
    for (id, driven) in &sim.requests {
        assert_eq!(driven.ends, 1, "request {} ends once", id.get());
        assert!(driven.machine.is_done() && driven.places.is_empty());
        assert!(driven.releases.values().all(|releases| *releases == 1), "each place is released once");
        assert_eq!(driven.releases.len(), driven.sends as usize, "each attempt is released");
        assert!(driven.timers.keys().all(|timer| *timer <= TimerId::Head as u8));
        retried += u32::from(driven.sends > 1);
    }
    for slot in 0..sim.writer.table().len() {
        assert_eq!(sim.writer.table().target(slot).unwrap().own_inflight(), 0);
    }
    assert_eq!((sim.desk.waiting(), sim.line.len()), (0, 0));
    assert!(sim.forwarded > REQUESTS / 2 && retried > 20, "{} forwarded, {retried} retried", sim.forwarded);
    let (tape, dropped) = sim.recorder.drain();
    assert_eq!(dropped, 0);
    tape
}

#[test]
fn a_thousand_requests_keep_the_invariants() {
    for seed in 1..=5 {
        run(seed);
    }
}

#[test]
fn a_recording_replays_byte_for_byte() {
    let tape = run(7);
    assert_eq!(tape, run(7), "the same seed, the same recording");
    let entries = parse_recording(&tape).unwrap();
    let events = replay(&entries).unwrap();
    assert_eq!(events.started, REQUESTS);
    assert!(events.compared > 4 * REQUESTS);
    let decisions = replay_decisions(&entries, "m", |name, _, _| by_name(name, 0)).unwrap();
    assert!(decisions.compared > REQUESTS, "{decisions:?}");
    let again: Vec<u8> =
        entries.iter().flat_map(|entry| [serde_json::to_vec(entry).unwrap(), vec![b'\n']].concat()).collect();
    assert_eq!(tape, again, "an entry has one form");
}

#[test]
fn a_recording_that_lies_is_found_out() {
    let tape = String::from_utf8(run(7)).unwrap();
    let forged = tape.replacen("\"forward\":{\"attempt\":0}", "\"forward\":{\"attempt\":1}", 1);
    assert_ne!(tape, forged);
    let error = replay(&parse_recording(forged.as_bytes()).unwrap()).unwrap_err();
    assert!(matches!(error, ReplayError::Differs { .. }), "{error}");
    let at = tape.lines().position(|line| line.starts_with("{\"decision\"")).unwrap();
    let cut: Vec<&str> = tape.lines().take(at + 1).collect();
    let forged =
        cut.join("\n").replace("\"tag\":1,\"flags\":0,\"a\":0,\"b\":", "\"tag\":1,\"flags\":0,\"a\":0,\"b\":1");
    let entries = parse_recording(forged.as_bytes()).unwrap();
    let error = replay_decisions(&entries, "m", |name, _, _| by_name(name, 0)).unwrap_err();
    assert!(matches!(error, ReplayError::Differs { .. }), "{error}");
    let error = parse_recording(b"{\"request\":{\"id\":1,\"deadline_us\":null}}\nnonsense\n").unwrap_err();
    assert!(error.to_string().starts_with("line 2"), "{error}");
}
