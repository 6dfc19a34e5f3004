//! The model of an engine on virtual time: what a router relies on, and what must hold for any load.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use mesh_sim::engine::{Config, Engine, Event, Finish, Refused, Request, RequestId};
use proptest::prelude::*;

fn small() -> Config {
    Config { slots: 4, kv_tokens: 4096, max_model_len: 2048, batch_tokens: 512, ..Config::default() }
}

fn request(prompt_tokens: u32, output_tokens: u32) -> Request {
    Request { prompt_tokens, output_tokens, finish: Finish::Length }
}

/// Runs until the engine rests and returns every event with its time; a resting engine starts at `idle_us`.
fn run(engine: &mut Engine, idle_us: u64) -> Vec<(u64, Event)> {
    let (mut all, mut events) = (Vec::new(), Vec::new());
    let mut next = Some(engine.next_at().unwrap_or(idle_us));
    while let Some(now_us) = next {
        engine.step(now_us, &mut events);
        all.extend(events.drain(..).map(|e| (now_us, e)));
        next = engine.next_at();
    }
    all
}

/// Returns the time of the first token of each request.
fn first_tokens(events: &[(u64, Event)]) -> BTreeMap<RequestId, u64> {
    let first = events.iter().filter(|(_, e)| e.token == Some(0));
    first.map(|(at, e)| (e.request, *at)).collect()
}

#[test]
fn a_request_gets_its_tokens_in_order_and_one_end() {
    let mut engine = Engine::new(small()).unwrap();
    let id = engine.submit(0, request(100, 5)).unwrap();
    let events: Vec<Event> = run(&mut engine, 0).into_iter().map(|(_, e)| e).collect();
    let expected: Vec<Event> =
        (0..5).map(|i| Event { request: id, token: Some(i), finish: (i == 4).then_some(Finish::Length) }).collect();
    assert_eq!(events, expected);
    assert_eq!((engine.stats().prompt_tokens, engine.stats().generation_tokens), (100, 5));
}

#[test]
fn an_embedding_ends_with_its_prefill() {
    let mut engine = Engine::new(small()).unwrap();
    let id = engine.submit(0, request(1000, 0)).unwrap();
    let events = run(&mut engine, 0);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].1, Event { request: id, token: None, finish: Some(Finish::Stop) });
    assert_eq!(engine.stats().iteration_tokens.count(), 2, "1000 tokens are two iterations of 512");
}

#[test]
fn at_twice_the_slots_requests_wait_and_first_tokens_come_later() {
    let mean_first_us = |requests: u64| {
        let mut engine = Engine::new(small()).unwrap();
        for _ in 0..requests {
            engine.submit(0, request(64, 32)).unwrap();
        }
        engine.step(0, &mut Vec::new());
        let waiting = engine.load().waiting;
        let first = first_tokens(&run(&mut engine, 0));
        (waiting, first.values().sum::<u64>() / requests)
    };
    let (waiting_at_slots, first_at_slots) = mean_first_us(4);
    let (waiting_at_twice, first_at_twice) = mean_first_us(8);
    assert_eq!((waiting_at_slots, waiting_at_twice), (0, 4));
    assert!(first_at_twice > 5 * first_at_slots, "{first_at_twice} us against {first_at_slots} us");
}

#[test]
fn a_long_prompt_takes_longer_to_the_first_token() {
    let first_us = |prompt| {
        let mut engine = Engine::new(small()).unwrap();
        engine.submit(0, request(prompt, 1)).unwrap();
        run(&mut engine, 0)[0].0
    };
    assert!(first_us(2000) > 2 * first_us(500));
}

#[test]
fn speed_divides_every_duration() {
    let end_us = |speed| {
        let mut engine = Engine::new(Config { speed, ..small() }).unwrap();
        engine.submit(0, request(100, 50)).unwrap();
        run(&mut engine, 0).last().unwrap().0
    };
    assert!(end_us(1.0).abs_diff(10 * end_us(10.0)) < 1000);
}

#[test]
fn a_cancelled_request_frees_its_slot_for_the_next() {
    let mut engine = Engine::new(Config { slots: 1, ..small() }).unwrap();
    let (mut events, hog) = (Vec::new(), engine.submit(0, request(10, 1000)).unwrap());
    engine.step(0, &mut events);
    let next = engine.submit(1, request(10, 3)).unwrap();
    assert_eq!((engine.load().running, engine.load().waiting), (1, 1));
    engine.cancel(hog);
    let events = run(&mut engine, 0);
    assert!(events.iter().all(|(_, e)| e.request == next));
    assert_eq!((events.len(), engine.stats().aborted), (3, 1));
    assert!(engine.load().kv_used.abs() < f64::EPSILON);
}

#[test]
fn a_full_cache_preempts_the_youngest_and_loses_nobody() {
    let config = Config { slots: 8, kv_tokens: 1024, max_model_len: 1024, ..small() };
    let mut engine = Engine::new(config).unwrap();
    let ids: Vec<_> = (0..8).map(|_| engine.submit(0, request(100, 200)).unwrap()).collect();
    let events = run(&mut engine, 0);
    assert!(engine.stats().preemptions > 0);
    for id in ids {
        let tokens: Vec<_> = events.iter().filter(|(_, e)| e.request == id).map(|(_, e)| e.token.unwrap()).collect();
        assert_eq!(tokens, (0..200).collect::<Vec<_>>(), "no token twice, none missing");
    }
}

#[test]
fn what_cannot_be_taken_is_refused_with_its_reason() {
    let mut engine = Engine::new(Config { slots: 1, queue: 2, ..small() }).unwrap();
    assert_eq!(engine.submit(0, request(2000, 100)), Err(Refused::TooLong { wanted: 2100, limit: 2048 }));
    for _ in 0..3 {
        engine.submit(0, request(10, 10)).unwrap();
    }
    assert_eq!(engine.submit(0, request(10, 10)), Err(Refused::QueueFull(2)));
    assert_eq!(engine.stats().rejected, 1);
}

#[test]
fn impossible_configurations_are_refused_by_field() {
    let check = |config: Config, expected: &str| {
        assert!(Engine::new(config).unwrap_err().to_string().starts_with(expected));
    };
    check(Config { slots: 0, ..small() }, "slots");
    check(Config { kv_tokens: 15, ..small() }, "kv_tokens");
    check(Config { decode_ms: 0.0, ..small() }, "decode_ms");
    check(Config { prefill_tokens_per_s: f64::NAN, ..small() }, "prefill_tokens_per_s");
    check(Config { speed: f64::INFINITY, ..small() }, "speed");
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Submit { prompt: u32, output: u32 },
    Cancel(usize),
    Turn,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1_u32..600, 0_u32..80).prop_map(|(prompt, output)| Step::Submit { prompt, output }),
        1 => (0_usize..64).prop_map(Step::Cancel),
        4 => Just(Step::Turn),
    ];
    prop::collection::vec(step, 1..120)
}

/// Plays a history and returns all events, checking the bounds after each step.
fn play(history: &[Step], config: &Config) -> Vec<Event> {
    let mut engine = Engine::new(config.clone()).unwrap();
    let (mut ids, mut cancelled, mut all, mut now_us) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for step in history {
        match *step {
            Step::Submit { prompt, output } => {
                ids.push((engine.submit(now_us, request(prompt, output)).unwrap(), output));
            }
            Step::Cancel(at) => {
                if let Some((id, _)) = ids.get(at) {
                    engine.cancel(*id);
                    cancelled.push(*id);
                }
            }
            Step::Turn => {
                now_us = engine.next_at().unwrap_or(now_us);
                engine.step(now_us, &mut all);
            }
        }
        let load = engine.load();
        assert!(load.running <= config.slots && (0.0..=1.0).contains(&load.kv_used), "{load:?}");
    }
    all.extend(run(&mut engine, now_us).into_iter().map(|(_, e)| e));
    for (id, output) in ids.iter().filter(|(id, _)| !cancelled.contains(id)) {
        let own: Vec<_> = all.iter().filter(|e| e.request == *id).collect();
        assert_eq!(own.len(), (*output).max(1) as usize);
        assert_eq!(own.iter().filter(|e| e.finish.is_some()).count(), 1);
    }
    let load = engine.load();
    assert_eq!((load.running, load.waiting), (0, 0));
    assert!(load.kv_used.abs() < f64::EPSILON, "blocks leaked: {load:?}");
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_keeps_the_bounds_ends_every_request_and_repeats(history in steps()) {
        let config = Config { slots: 6, kv_tokens: 1024, max_model_len: 1024, batch_tokens: 256, ..Config::default() };
        prop_assert_eq!(play(&history, &config), play(&history, &config));
    }
}
