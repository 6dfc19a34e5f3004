//! Nanoseconds of one routing decision, native and WASM, at 16, 128 and 512 targets; prints one JSON object.
//!
//! A decision is what a router pays for a request: four rows changed since the last one, the strategy asked, the
//! answer checked, a place taken and given back. Build it with `--release`; `cargo xtask bench` does.
#![allow(clippy::unwrap_used, reason = "a measurement ends at the first surprise")]
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a measurement reads the clock and prints")]

use std::{sync::Arc, time::Instant};

use mesh_strategy::{
    Ask, Brain, Choice, Column, DecisionOutcome, Host, HostConfig, Request, RequestId, Strategy, StrategyBreaker,
    TableWriter, TargetSpec, builtin::by_name, hash,
};
use serde_json::{Value, json};

const TARGETS: [usize; 3] = [16, 128, 512];
const DECISIONS: u64 = 20_000;
const WARM_UP: u64 = 2_000;
/// Rows changed between two decisions.
const DELTAS: u64 = 4;
const LEAST_QUEUE_WAT: &str = include_str!("../fixtures/least-queue.wat");
const HYBRID: &[u8] = include_bytes!("../sdk/prebuilt/hybrid.wasm");

fn main() {
    let host = Host::new(HostConfig { instances: 64 }).unwrap();
    let least_queue = host.load(&wat::parse_str(LEAST_QUEUE_WAT).unwrap()).unwrap();
    let hybrid = host.load(HYBRID).unwrap();
    let mut rows = Vec::new();
    for targets in TARGETS {
        let native = |name: &str| by_name(name, 0).unwrap();
        for (kind, instance) in [
            ("native", native("baseline_rr")),
            ("native", native("least_queue")),
            ("wasm", least_queue.instance(1).unwrap()),
            ("wasm", hybrid.instance(1).unwrap()),
        ] {
            rows.push(measure(kind, instance, targets));
        }
    }
    let report = json!({"bench": "decide", "unit": "ns", "deltas_per_decision": DELTAS, "pooled": host.is_pooled(), "rows": rows});
    println!("{report:#}");
}

/// Measures one strategy at one size of the table.
fn measure(kind: &str, instance: Box<dyn Strategy>, targets: usize) -> Value {
    let mut writer = TableWriter::new(0);
    for number in 0..targets {
        let key = number.to_string();
        let (node, engine, address) = (key.clone(), String::new(), String::new());
        writer.insert(TargetSpec { key: key.clone(), node, engine, address });
        writer.set_f32(&key, Column::Capacity, Some(64.0));
        writer.set_serving(&key, true, 0);
    }
    writer.publish();
    let mut brain = Brain::new("m", 0);
    brain.update(&writer.snapshot()).unwrap();
    let name = instance.name().to_owned();
    brain.install(instance, Arc::new(StrategyBreaker::default()));

    let mut samples = Vec::new();
    let mut fuel = 0;
    for number in 0..WARM_UP + DECISIONS {
        for delta in 0..DELTAS {
            let random = hash(number, u32::try_from(delta).unwrap());
            let key = (random % targets as u64).to_string();
            writer.set_u32(&key, Column::Running, u32::try_from(random >> 60).ok());
            writer.set_u32(&key, Column::ObservedMs, Some(10_000));
        }
        let update = writer.publish();
        let mut request = Request::new(RequestId::new(number), 0, 42, 10_000, Ask::default());
        let started = Instant::now();
        if let Some(update) = &update {
            brain.update(update).unwrap();
        }
        let decided = brain.decide(&mut request, 10_000);
        let took = started.elapsed();
        assert_eq!(decided.outcome, DecisionOutcome::Ok, "{name}");
        fuel = fuel.max(decided.fuel.unwrap_or(0));
        let Choice::Target(place) = decided.choice else { continue };
        let (slot, generation) = (place.slot(), place.generation());
        drop(place);
        brain.released(slot, generation);
        if number >= WARM_UP {
            samples.push(u64::try_from(took.as_nanos()).unwrap());
        }
    }
    samples.sort_unstable();
    let at = |share: usize| samples[samples.len() * share / 1_000];
    json!({
        "strategy": name, "kind": kind, "targets": targets, "p50": at(500), "p99": at(990), "p999": at(999),
        "fuel_max": fuel, "decisions": samples.len(),
    })
}
