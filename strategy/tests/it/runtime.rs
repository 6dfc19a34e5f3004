//! Strategies at work in a brain: faults, standbys, breakers, feedback, and swaps between two decisions.

use std::sync::Arc;

use mesh_strategy::{
    Answer, Brain, Change, Choice, DecisionOutcome, Feedback, Host, HostConfig, LoadError, Outcome, Plugin, Request,
    Strategy, StrategyBreaker, Table, TableWriter, builtin::by_name,
};

use crate::fleet::{brain, request, writer};

const FAULTS: &str = include_str!("../../fixtures/fault-on-demand.wat");

fn load(text: &str) -> (Host, Plugin) {
    let host = Host::new(HostConfig { instances: 16 }).unwrap();
    let plugin = host.load(&wat::parse_str(text).unwrap()).unwrap();
    (host, plugin)
}

/// A brain with an instance of the fixture that faults on demand.
fn seated(plugin: &Plugin, writer: &TableWriter) -> (Brain, Arc<StrategyBreaker>) {
    let breaker = Arc::new(StrategyBreaker::default());
    let mut brain = brain(writer);
    assert!(brain.install(plugin.instance(1).unwrap(), Arc::clone(&breaker)).is_none());
    (brain, breaker)
}

/// A request that makes the fixture do a wrong thing.
fn ask(number: u64, max_tokens: u32) -> Request {
    let mut request = request(number);
    request.ask.max_tokens = max_tokens;
    request
}

#[test]
fn each_fault_falls_back_and_the_standby_takes_over() {
    let (_host, plugin) = load(FAULTS);
    let writer = writer(4, 8.0);
    for (fault, outcome, why) in [
        (7001, DecisionOutcome::Fuel, "75000 units of fuel"),
        (7002, DecisionOutcome::Trap, "unreachable"),
        (7003, DecisionOutcome::Invalid, ""),
        (7004, DecisionOutcome::Invalid, ""),
        (7005, DecisionOutcome::Invalid, "17 records"),
        (7006, DecisionOutcome::Invalid, "returned -2"),
        (7007, DecisionOutcome::Trap, "out of bounds"),
    ] {
        let (mut brain, breaker) = seated(&plugin, &writer);
        assert!(brain.wants_standby());
        brain.add_standby(plugin.instance(2).unwrap(), &breaker);
        let decided = brain.decide(&mut ask(1, fault), 0);
        assert_eq!(decided.outcome, outcome, "fault {fault}");
        assert!(matches!(decided.choice, Choice::Target(_)), "the baseline found a place");
        assert_eq!(decided.instance, None);
        let retired = brain.take_retired().unwrap();
        assert!(retired.fault().unwrap_or_default().contains(why), "{:?}", retired.fault());
        let decided = brain.decide(&mut ask(2, 0), 0);
        assert_eq!(decided.outcome, DecisionOutcome::Ok, "the standby decides");
        brain.decide(&mut ask(3, fault), 0);
        let decided = brain.decide(&mut ask(4, 0), 0);
        assert_eq!(decided.outcome, DecisionOutcome::NotReady, "no standby: the baseline");
        assert!(matches!(decided.choice, Choice::Target(_)));
        brain.add_standby(plugin.instance(3).unwrap(), &breaker);
        assert_eq!(brain.decide(&mut ask(5, 0), 0).outcome, DecisionOutcome::Ok, "a late standby sits down");
    }
}

#[test]
fn abstaining_is_not_a_fault() {
    let (_host, plugin) = load(FAULTS);
    let writer = writer(4, 8.0);
    let (mut brain, _) = seated(&plugin, &writer);
    for number in 0..20 {
        let decided = brain.decide(&mut ask(number, 7008), 0);
        assert_eq!(decided.outcome, DecisionOutcome::Abstain);
        assert!(matches!(decided.choice, Choice::Target(_)));
    }
    assert!(brain.take_retired().is_none());
}

#[test]
fn five_faults_in_ten_seconds_open_the_breaker_of_all_workers() {
    let (_host, plugin) = load(FAULTS);
    let writer = writer(4, 1_000.0);
    let (mut one, breaker) = seated(&plugin, &writer);
    let mut other = brain(&writer);
    other.install(plugin.instance(2).unwrap(), Arc::clone(&breaker));
    for number in 0..5 {
        assert!(!breaker.is_open(number * 1_000), "open after {number} faults");
        one.decide(&mut ask(number, 7002), number * 1_000);
        one.add_standby(plugin.instance(3).unwrap(), &breaker);
    }
    assert_eq!(other.decide(&mut ask(9, 0), 4_500).outcome, DecisionOutcome::NotReady);
    assert_eq!(other.decide(&mut ask(9, 0), 5_000).outcome, DecisionOutcome::Ok, "after a second it is tried again");

    let breaker = StrategyBreaker::default();
    let times = [0, 3_000, 6_000, 9_000, 12_000, 15_000];
    assert!(times.iter().all(|now_ms| !breaker.fault(*now_ms)), "five faults in twelve seconds are not enough");
    let opened: Vec<u64> = (0..3)
        .map(|round| {
            let at = 20_000 + round * 4_000;
            assert!((0..5).any(|_| breaker.fault(at)));
            (at..).find(|now_ms| !breaker.is_open(*now_ms)).unwrap() - at
        })
        .collect();
    assert_eq!(opened, [1_000, 2_000, 4_000], "the time out doubles");
}

#[test]
fn the_deadline_behind_the_fuel_is_armed_for_each_call() {
    let (host, plugin) = load(FAULTS);
    let writer = writer(1, 8.0);
    let mut instance = plugin.instance(1).unwrap();
    instance.sync(writer.table(), Change::All);
    let mut answer = Answer::new();
    for number in 0..3 {
        assert_eq!(instance.decide(writer.table(), &ask(number, 0), &mut answer), DecisionOutcome::Ok);
        for _ in 0..10 {
            host.increment_epoch();
        }
    }
    assert!(DecisionOutcome::Epoch.is_fault() && !DecisionOutcome::Epoch.moves_breaker());
}

#[test]
fn a_table_larger_than_the_guest_is_left_to_the_baseline() {
    let (_host, plugin) = load(FAULTS);
    let mut writer = writer(513, 8.0);
    let (mut brain, _) = seated(&plugin, &writer);
    writer.publish();
    let decided = brain.decide(&mut ask(1, 0), 0);
    assert_eq!(decided.outcome, DecisionOutcome::NotReady);
    assert!(matches!(decided.choice, Choice::Target(_)));
    writer.remove("0");
    brain.update(&writer.snapshot()).unwrap();
    assert_eq!(brain.decide(&mut ask(2, 0), 0).outcome, DecisionOutcome::Ok, "it fits again");
}

#[test]
fn the_guest_sees_own_changes_and_updates_at_once() {
    let (_host, plugin) = load(FAULTS);
    let mut writer = writer(3, 100.0);
    writer.publish();
    let (mut brain, _) = seated(&plugin, &writer);
    brain.update(&writer.snapshot()).unwrap();
    let mut held = Vec::new();
    for number in 0..30 {
        let Choice::Target(place) = brain.decide(&mut ask(number, 0), 0).choice else { panic!("no place") };
        held.push(place);
    }
    let inflight: Vec<u32> = (0..3).map(|slot| writer.table().target(slot).unwrap().own_inflight()).collect();
    assert_eq!(inflight, [10, 10, 10], "the fewest in flight each time");
    let first = held.remove(0);
    let (slot, generation) = (first.slot(), first.generation());
    drop(first);
    brain.released(slot, generation);
    let Choice::Target(place) = brain.decide(&mut ask(31, 0), 0).choice else { panic!("no place") };
    assert_eq!(place.slot(), slot, "a release is seen by the next decision");
    writer.set_serving("0", false, 0);
    brain.update(&writer.publish().unwrap()).unwrap();
    for number in 0..4 {
        let Choice::Target(place) = brain.decide(&mut ask(40 + number, 0), 0).choice else { panic!("no place") };
        assert_ne!(place.slot(), 0);
        held.push(place);
    }
}

/// Notes what it is told.
#[derive(Default)]
struct Notes(Arc<std::sync::Mutex<Vec<u64>>>);

impl Strategy for Notes {
    fn name(&self) -> &str {
        "notes"
    }

    fn version(&self) -> &str {
        "1"
    }

    fn sync(&mut self, _table: &Table, _change: Change<'_>) {}

    fn decide(&mut self, table: &Table, _request: &Request, answer: &mut Answer) -> DecisionOutcome {
        answer.clear();
        answer.push(mesh_strategy::Record::target(0, table.generation(0), 0.0));
        DecisionOutcome::Ok
    }

    fn observe(&mut self, batch: &[Feedback]) -> DecisionOutcome {
        self.0.lock().unwrap().extend(batch.iter().map(|feedback| feedback.decision));
        DecisionOutcome::Ok
    }
}

fn feedback(decision: u64, generation: u32) -> Feedback {
    let (slot, attempt, outcome) = (0, 0, Outcome::Ok);
    Feedback { decision, slot, generation, attempt, outcome, ttft_us: 1, e2e_us: 2, tokens_out: 3 }
}

#[test]
fn feedback_reaches_the_instance_that_decided() {
    let writer = writer(1, 8.0);
    let mut brain = brain(&writer);
    let notes = Notes::default();
    let seen = Arc::clone(&notes.0);
    brain.install(Box::new(notes), Arc::default());
    let by = brain.decide(&mut request(1), 0).instance.unwrap();
    assert!(brain.feedback(by, feedback(4, 1)));
    assert!(!brain.feedback(by, feedback(8, 2)), "another generation");
    assert!(seen.lock().unwrap().is_empty(), "once a turn");
    brain.decide(&mut request(2), 0);
    assert_eq!(*seen.lock().unwrap(), [4], "before the next decision");
    assert!(brain.feedback(by, feedback(12, 1)));
    brain.turn(0);
    assert_eq!(*seen.lock().unwrap(), [4, 12], "at the end of the turn");
    assert!(brain.feedback(by, feedback(16, 1)));
    brain.install(by_name("least_queue", 0).unwrap(), Arc::default());
    assert!(!brain.feedback(by, feedback(20, 1)), "a retired instance");
    assert_eq!(brain.feedback_dropped(), 3);
}

#[test]
fn a_fault_in_feedback_is_told_with_the_next_decision() {
    let (_host, plugin) = load(FAULTS);
    let writer = writer(4, 8.0);
    let (mut brain, breaker) = seated(&plugin, &writer);
    brain.add_standby(plugin.instance(2).unwrap(), &breaker);
    let decided = brain.decide(&mut ask(1, 0), 0);
    assert_eq!(decided.feedback_fault, None);
    let Choice::Target(place) = &decided.choice else { panic!("no place") };
    let (slot, generation) = (place.slot(), place.generation());
    assert!(brain.feedback(decided.instance.unwrap(), Feedback { slot, tokens_out: 79, ..feedback(4, generation) }));
    let decided = brain.decide(&mut ask(2, 0), 0);
    assert_eq!(decided.feedback_fault, Some(DecisionOutcome::Trap));
    assert_eq!(decided.outcome, DecisionOutcome::Ok, "the standby decides");
    assert!(brain.wants_standby());
}

#[test]
fn swaps_lose_no_decision() {
    let (_host, plugin) = load(include_str!("../../fixtures/least-queue.wat"));
    let writer = writer(8, 1_000.0);
    let mut brain = brain(&writer);
    let breaker = Arc::new(StrategyBreaker::default());
    for number in 0..200 {
        if number % 2 == 0 {
            brain.install(plugin.instance(number).unwrap(), Arc::clone(&breaker));
        } else {
            brain.install(by_name("least_queue", 0).unwrap(), Arc::clone(&breaker));
        }
        let decided = brain.decide(&mut request(number), 0);
        assert_eq!(decided.outcome, DecisionOutcome::Ok);
        assert!(matches!(decided.choice, Choice::Target(_)));
    }
}

#[test]
fn a_pool_that_is_used_up_says_so() {
    let host = Host::new(HostConfig { instances: 2 }).unwrap();
    assert!(host.is_pooled());
    let plugin = host.load(&wat::parse_str(FAULTS).unwrap()).unwrap();
    let made: Vec<_> = (0..40).map(|seed| plugin.instance(seed)).collect();
    let refused = made.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(refused, LoadError::Instantiate { .. }), "{refused}");
}

#[test]
fn instances_go_from_thread_to_thread() {
    fn is_send<T: Send>(_: &T) {}
    let (host, plugin) = load(FAULTS);
    let writer = writer(2, 8.0);
    let (brain, _) = seated(&plugin, &writer);
    is_send(&host);
    is_send(&plugin);
    is_send(&brain);
}
