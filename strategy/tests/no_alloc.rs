//! After warm-up a decision allocates nothing: not in the strategy, the guest, the choice, or the machine.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

use mesh_strategy::{
    Ask, Brain, Choice, Column, DecisionOutcome, Feedback, Host, HostConfig, Outcome, Request, RequestId, SlotRef,
    StrategyBreaker, TableWriter, TargetSpec,
    builtin::by_name,
    route::{Decision, Desk, Event, Line, Machine, Usage},
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what this thread asks for.
struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as required of our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as required of our caller.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const HYBRID: &[u8] = include_bytes!("../sdk/prebuilt/hybrid.wasm");

/// One request from arrival to end, as a driver carries it out.
fn serve(brain: &mut Brain, line: &Line, desk: &Desk, actions: &mut Vec<mesh_strategy::route::Action>, number: u64) {
    let (id, now_us) = (RequestId::new(number), number * 1_000);
    let mut machine = Machine::new(id, None);
    let ask = Ask { session: number % 7, ..Ask::default() };
    let mut request = Request::new(id, 0, 42, number, ask);
    let facts = desk.facts(line, now_us);
    desk.arrived();
    machine.step(now_us, &Event::Arrived, &facts, actions);
    let decided = brain.decide(&mut request, number);
    assert_eq!(decided.outcome, DecisionOutcome::Ok);
    let Choice::Target(place) = decided.choice else { panic!("no place") };
    let (slot, generation) = (place.slot(), place.generation());
    let usage = Usage { prompt_tokens: Some(1), completion_tokens: Some(2) };
    for event in [
        Event::Decided { attempt: 0, to: Decision::Target(SlotRef { slot, generation }) },
        Event::Head { attempt: 0, status: 200 },
        Event::FirstByte { attempt: 0 },
        Event::Ended { attempt: 0, usage },
    ] {
        desk.settle(machine.step(now_us, &event, &facts, actions));
    }
    place.target().record_latency(20.0, Some(5.0));
    drop(place);
    brain.released(slot, generation);
    let (attempt, outcome, decision) = (0, Outcome::Ok, request.decision);
    let feedback = Feedback { decision, slot, generation, attempt, outcome, ttft_us: 1, e2e_us: 2, tokens_out: 3 };
    assert!(brain.feedback(decided.instance.unwrap(), feedback));
    desk.completed(now_us);
    actions.clear();
}

#[test]
fn a_decision_allocates_nothing_after_warm_up() {
    let host = Host::new(HostConfig { instances: 4 }).unwrap();
    let hybrid = host.load(HYBRID).unwrap();
    let mut writer = TableWriter::new(0);
    for number in 0..128 {
        let key = number.to_string();
        writer.insert(TargetSpec { key: key.clone(), node: key.clone(), engine: key.clone(), address: key.clone() });
        writer.set_f32(&key, Column::Capacity, Some(8.0));
        writer.set_serving(&key, true, 0);
    }
    for instance in
        [by_name("least_queue", 0).unwrap(), by_name("baseline_rr", 0).unwrap(), hybrid.instance(1).unwrap()]
    {
        let name = instance.name().to_owned();
        let (mut brain, line, desk, mut actions) = (Brain::new("m", 0), Line::new(), Desk::default(), Vec::new());
        brain.update(&writer.snapshot()).unwrap();
        brain.install(instance, Arc::new(StrategyBreaker::default()));
        for number in 0..100 {
            serve(&mut brain, &line, &desk, &mut actions, number);
        }
        let before = ALLOCATIONS.with(Cell::get);
        for number in 100..1_100 {
            serve(&mut brain, &line, &desk, &mut actions, number);
        }
        let after = ALLOCATIONS.with(Cell::get);
        assert_eq!(after - before, 0, "{name}");
    }
}
