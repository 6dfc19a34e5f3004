//! The built-in strategies.

use mesh_strategy::{
    Answer, Column, DecisionOutcome, Record, SlotRef, TableWriter,
    builtin::{self, by_name},
    hash,
};

use crate::fleet::{request, writer};

/// The slots which a strategy names for a numbered request.
fn slots(name: &str, writer: &TableWriter, number: u64) -> Vec<u32> {
    let mut strategy = by_name(name, 0).unwrap();
    let mut answer = Answer::new();
    strategy.decide(writer.table(), &request(number), &mut answer);
    answer.records().iter().filter_map(Record::as_target).map(|(slot, _)| slot).collect()
}

#[test]
fn the_names_are_those_of_the_contract() {
    assert_eq!(builtin::NAMES, ["baseline_rr", "least_queue"]);
    for name in builtin::NAMES {
        assert_eq!(by_name(name, 0).unwrap().name(), name);
    }
    assert!(by_name("hybrid", 0).is_none());
}

#[test]
fn round_robin_goes_round_and_skips() {
    let mut writer = writer(5, 8.0);
    writer.set_serving("3", false, 0);
    let mut strategy = by_name("baseline_rr", 7).unwrap();
    let mut answer = Answer::new();
    let mut next = |tried: &[u32]| {
        let mut request = request(1);
        for slot in tried {
            request.tried.push(SlotRef { slot: *slot, generation: 1 });
        }
        assert_eq!(strategy.decide(writer.table(), &request, &mut answer), DecisionOutcome::Ok);
        answer.records()[0].b
    };
    let order: Vec<u32> = (0..8).map(|_| next(&[])).collect();
    let start = order.iter().position(|slot| *slot == 0).unwrap();
    assert_eq!([&order[start..], &order[..start]].concat()[..4], [0, 1, 2, 4]);
    let last = order[7];
    let after = |slot: u32| [1, 2, 4, 0, 0][slot as usize];
    assert_eq!(next(&[after(last)]), after(after(last)), "a tried row is skipped");

    let starts: std::collections::BTreeSet<u32> = (0..32)
        .map(|worker| {
            let mut answer = Answer::new();
            by_name("baseline_rr", worker).unwrap().decide(writer.table(), &request(1), &mut answer);
            answer.records()[0].b
        })
        .collect();
    assert!(starts.len() >= 3, "workers start at different rows: {starts:?}");
}

#[test]
fn least_queue_takes_the_smallest_share_in_use() {
    // own, running, waiting, capacity, age of the report
    type Row = (usize, Option<u32>, Option<u32>, Option<f32>, Option<u32>);
    let check = |rows: [Row; 2], first: u32, why: &str| {
        let mut writer = writer(2, 8.0);
        let mut held = Vec::new();
        for (slot, (own, running, waiting, capacity, age_ms)) in rows.into_iter().enumerate() {
            let key = slot.to_string();
            writer.set_u32(&key, Column::Running, running);
            writer.set_u32(&key, Column::Waiting, waiting);
            writer.set_f32(&key, Column::Capacity, capacity);
            writer.set_u32(&key, Column::ObservedMs, age_ms.map(|age_ms| 10_000 - age_ms));
            for _ in 0..own {
                let mut answer = Answer::new();
                answer.push(Record::target(u32::try_from(slot).unwrap(), 1, 0.0));
                let mut round = mesh_strategy::Baseline::new(0);
                held.push(mesh_strategy::choose(writer.table(), &answer, &request(0), &mut round, 0));
            }
        }
        writer.refresh_inflight();
        for number in 0..20 {
            assert_eq!(slots("least_queue", &writer, number)[0], first, "{why}");
        }
    };
    let idle = (0, Some(0), Some(0), Some(8.0), Some(0));
    check([(3, Some(0), Some(0), Some(8.0), Some(0)), idle], 1, "own requests count at once");
    check([(0, Some(8), Some(4), Some(8.0), Some(1_000)), idle], 1, "a report of a second counts");
    check(
        [(0, Some(8), Some(4), Some(8.0), Some(1_001)), (1, Some(0), Some(0), Some(8.0), Some(0))],
        0,
        "an older one does not",
    );
    check([(0, None, None, None, None), (1, Some(0), Some(0), Some(8.0), Some(0))], 0, "unknown is no load");
    check(
        [(4, Some(0), Some(0), Some(8.0), Some(0)), (5, Some(0), Some(0), Some(16.0), Some(0))],
        1,
        "the share of the capacity counts",
    );
    check([(5, None, None, None, None), (1, Some(0), Some(0), Some(8.0), Some(0))], 0, "an unknown capacity is 1,024");
    check([idle, (0, Some(0), Some(3), Some(8.0), Some(0))], 0, "requests queued in the engine count");
}

#[test]
fn least_queue_breaks_ties_by_the_seed() {
    let writer = writer(16, 8.0);
    let mut firsts = [0; 16];
    for number in 0..1_600 {
        let named = slots("least_queue", &writer, number);
        let seed = request(number).seed;
        let expected = (0..16).min_by_key(|slot| hash(seed, *slot)).unwrap();
        assert_eq!(named[0], expected);
        assert_eq!(named.len(), 4);
        firsts[named[0] as usize] += 1;
    }
    assert!(firsts.iter().all(|count| (50..200).contains(count)), "every row gets its share: {firsts:?}");
}

#[test]
fn without_an_eligible_row_the_built_ins_abstain() {
    let mut writer = writer(2, 8.0);
    writer.set_serving("0", false, 0);
    writer.set_serving("1", false, 0);
    for name in builtin::NAMES {
        assert_eq!(slots(name, &writer, 1), [0; 0]);
    }
}
