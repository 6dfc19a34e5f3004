//! The committed `hybrid.wasm` and the Rust code it was built from decide alike.

use std::sync::Arc;

use mesh_hybrid::Hybrid;
use mesh_sdk::{Guest, Out, Verdict, View};
use mesh_strategy::{
    Answer, Brain, Change, Choice, Column, DecisionOutcome, Feedback, Host, HostConfig, Outcome, Record, Recorder,
    Request, Table, check, hash, host, parse_recording, replay_decisions,
};

use crate::fleet::{request, writer};

const WASM: &[u8] = include_bytes!("../../sdk/prebuilt/hybrid.wasm");
const DIGEST: &str = include_str!("../../sdk/prebuilt/hybrid.wasm.sha256");

/// Decides natively.
fn native(guest: &mut Hybrid, table: &Table, request: &Request) -> Vec<(u32, u32, u32)> {
    let columns = Column::ALL.map(|column| (mesh_sdk::Column::from_id(column.id()).unwrap(), table.cells(column)));
    let view = View::new(table.len(), columns);
    let asked = mesh_sdk::Request {
        decision: request.decision,
        seed: request.seed,
        session: request.ask.session,
        now_ms: request.now_ms,
        max_tokens: request.ask.max_tokens,
        ..mesh_sdk::Request::EMPTY
    };
    let mut records = [mesh_sdk::Record::target(0, 0, 0.0); 16];
    let mut out = Out::new(&mut records);
    if guest.decide(&view, &asked, &mut out) == Verdict::Abstain {
        return Vec::new();
    }
    let bytes = out.records().iter().map(|record| {
        let slot = record.slot().unwrap();
        (slot, view.generation(slot as usize), mesh_hybrid_score(&view, &asked, slot))
    });
    bytes.collect()
}

/// The estimate without the session's share, in bits; the order is compared by slots.
fn mesh_hybrid_score(view: &View<'_>, request: &mesh_sdk::Request, slot: u32) -> u32 {
    mesh_hybrid::wait_ms(view, request, slot as usize).to_bits()
}

#[test]
fn the_committed_module_is_the_one_described() {
    let checked = check(WASM).unwrap();
    assert_eq!(DIGEST, format!("{}  hybrid.wasm\n", checked.digest));
    assert_eq!(host::digest(WASM), checked.digest);
    assert_eq!((checked.manifest.name.as_str(), checked.manifest.cap_targets), ("hybrid", 4096));
    assert!(checked.bytes < 16 * 1024, "{} bytes", checked.bytes);
    let most = checked.fuel.iter().map(|(_, fuel)| *fuel).max().unwrap();
    assert!(most < 2_000, "the cost does not grow with the fleet: {:?}", checked.fuel);
}

#[test]
fn the_module_decides_as_the_code_does() {
    let host = Host::new(HostConfig { instances: 4 }).unwrap();
    let mut wasm = host.load(WASM).unwrap().instance(0).unwrap();
    let mut guest = Box::new(Hybrid::ZERO);
    let mut writer = writer(300, 8.0);
    let mut answer = Answer::new();
    for number in 0..2_000_u32 {
        let random = |salt| u32::try_from(hash(u64::from(number) ^ salt, number) % 16).unwrap();
        let key = (number * 7 % 300).to_string();
        writer.set_u32(&key, Column::Running, Some(random(1)));
        writer.set_u32(&key, Column::Waiting, (random(2) > 3).then(|| random(3)));
        writer.set_u32(&key, Column::ObservedMs, Some(9_200 + 100 * random(4)));
        #[expect(clippy::cast_precision_loss, reason = "below 16")]
        let share = random(5) as f32 / 15.0;
        writer.set_f32(&key, Column::KvUsed, Some(share));
        writer.set_f32(&key, Column::TtftMs, (random(6) > 2).then_some(20.0 + 100.0 * share));
        writer.set_serving(&key, random(7) > 2, 0);
        wasm.sync(writer.table(), Change::All);

        let mut request = request(u64::from(number));
        request.ask.session = u64::from(number % 40);
        request.ask.max_tokens = random(8) * 100;
        let outcome = wasm.decide(writer.table(), &request, &mut answer);
        let native = native(&mut guest, writer.table(), &request);
        let named: Vec<(u32, u32)> = answer.records().iter().filter_map(Record::as_target).collect();
        let expected: Vec<(u32, u32)> = native.iter().map(|(slot, generation, _)| (*slot, *generation)).collect();
        assert_eq!(named, expected, "decision {number}");
        assert_eq!(outcome == DecisionOutcome::Ok, !native.is_empty());
        for (record, (_, _, bits)) in answer.records().iter().zip(&native) {
            let (of_wasm, of_code) = (f32::from_bits(record.v_bits), f32::from_bits(*bits));
            let same = record.v_bits == *bits || record.v_bits == (0.75 * of_code).to_bits();
            assert!(same, "decision {number}: {of_wasm} against {of_code}");
        }
        if let Some((slot, generation)) = named.first().copied() {
            let (attempt, outcome) = (0, Outcome::Ok);
            let (decision, ttft_us, e2e_us, tokens_out) = (request.decision, 1, 2, 3);
            let feedback = Feedback { decision, slot, generation, attempt, outcome, ttft_us, e2e_us, tokens_out };
            wasm.observe(&[feedback]);
            guest.observe(&[mesh_sdk::Feedback::new(decision, slot, generation, mesh_sdk::Outcome::Ok)]);
        }
    }
}

#[test]
fn a_recording_of_the_module_replays_with_its_fuel() {
    let host = Host::new(HostConfig { instances: 4 }).unwrap();
    let plugin = host.load(WASM).unwrap();
    let mut writer = writer(40, 8.0);
    let recorder = Recorder::new(1 << 24);
    let mut brain = Brain::new("m", 3);
    brain.set_recorder(Some(recorder.clone()));
    brain.update(&writer.snapshot()).unwrap();
    brain.install(plugin.instance(77).unwrap(), Arc::default());
    let mut held = Vec::new();
    for number in 0..300_u32 {
        writer.set_u32(&(number % 40).to_string(), Column::Waiting, Some(number % 5));
        writer.set_u32(&(number % 40).to_string(), Column::ObservedMs, Some(9_900));
        if let Some(update) = writer.publish()
            && brain.update(&update).is_err()
        {
            brain.update(&writer.snapshot()).unwrap();
        }
        let mut request = request(u64::from(number));
        request.ask.session = u64::from(number % 9);
        let decided = brain.decide(&mut request, 10_000);
        let Choice::Target(place) = decided.choice else { panic!("no place") };
        let (decision, slot, generation) = (request.decision, place.slot(), place.generation());
        let (attempt, outcome, ttft_us, e2e_us, tokens_out) = (0, Outcome::Ok, 1, 2, 3);
        let feedback = Feedback { decision, slot, generation, attempt, outcome, ttft_us, e2e_us, tokens_out };
        assert!(brain.feedback(decided.instance.unwrap(), feedback));
        held.push(place);
        if held.len() > 20 {
            let place = held.remove(0);
            let (slot, generation) = (place.slot(), place.generation());
            drop(place);
            brain.released(slot, generation);
        }
    }
    let entries = parse_recording(&recorder.drain().0).unwrap();
    let again = |name: &str, version: &str, seed| {
        assert_eq!((name, version, seed), ("hybrid", "0.1.0", 77));
        plugin.instance(seed).ok()
    };
    assert_eq!(replay_decisions(&entries, "m", again).unwrap().compared, 300);
}
