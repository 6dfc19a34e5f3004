//! The built-in strategies.

use mesh_strategy::{
    Answer, Baseline, Choice, Column, DecisionOutcome, Record, Request, SlotRef, Table, TableWriter,
    builtin::{self, by_name},
    choose, hash,
};
use proptest::prelude::*;

use crate::fleet::{request, writer};

/// The slots which a strategy names for a numbered request.
fn slots(name: &str, writer: &TableWriter, number: u64) -> Vec<u32> {
    let mut strategy = by_name(name, 0).unwrap();
    let mut answer = Answer::new();
    strategy.decide(writer.table(), &request(number), &mut answer);
    answer.records().iter().filter_map(Record::as_target).map(|(slot, _)| slot).collect()
}

/// Takes a place in a slot of the first generation.
fn hold(writer: &TableWriter, slot: usize) -> Choice {
    let mut answer = Answer::new();
    answer.push(Record::target(u32::try_from(slot).unwrap(), 1, 0.0));
    choose(writer.table(), &answer, &request(0), &mut Baseline::new(0), 0)
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
            held.extend((0..own).map(|_| hold(&writer, slot)));
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

/// What `least_queue` means, one row after the other and all of them sorted.
fn least_queue_in_full(table: &Table, request: &Request) -> Vec<Record> {
    let load = |slot: usize| {
        let cell = |column| table.cells(column)[slot];
        let fresh = table.age_ms(slot, request.now_ms).is_some_and(|age_ms| age_ms <= 1_000);
        let reported = if fresh { cell(Column::Running).saturating_add(cell(Column::Waiting)) } else { 0 };
        #[expect(clippy::cast_precision_loss, reason = "it is what is tested")]
        let used = cell(Column::OwnInflight).max(reported) as f32;
        used / table.f32(Column::Capacity, slot).unwrap_or(1_024.0).max(f32::MIN_POSITIVE)
    };
    let at = |slot: usize| u32::try_from(slot).unwrap();
    let mut rows: Vec<(f32, u64, usize)> = (0..table.len())
        .filter(|slot| table.eligible(*slot) && !request.tried.contains(at(*slot), table.generation(*slot)))
        .map(|slot| (load(slot), hash(request.seed, at(slot)), slot))
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    rows.into_iter().take(4).map(|(load, _, slot)| Record::target(at(slot), table.generation(slot), load)).collect()
}

/// A row: own requests, whether it serves, running, waiting, capacity, age of the report.
type AnyRow = (usize, bool, Option<u32>, Option<u32>, Option<f32>, Option<u32>);

fn any_row() -> impl Strategy<Value = AnyRow> {
    let count = || prop::option::of(prop_oneof![8 => 0_u32..4, 1 => any::<u32>()]);
    let capacity = prop_oneof![
        6 => Just(Some(8.0_f32)),
        2 => Just(None),
        2 => prop::num::f32::ANY.prop_map(Some),
        1 => Just(Some(0.0)),
    ];
    let age_ms = prop::option::of(prop_oneof![4 => 0_u32..3, 2 => 998_u32..1_003, 1 => any::<u32>()]);
    (0_usize..3, prop::bool::weighted(0.8), count(), count(), capacity, age_ms)
}

proptest! {
    #[test]
    fn least_queue_is_what_it_means(
        rows in prop::collection::vec(any_row(), 0..200),
        tried in prop::collection::vec((0_u32..200, 0_u32..3), 0..4),
        number in any::<u64>(),
        now_ms in prop_oneof![Just(500_u32), Just(10_000), any::<u32>()],
    ) {
        let mut writer = writer(rows.len(), 8.0);
        let mut held = Vec::new();
        for (slot, (own, serves, running, waiting, capacity, age_ms)) in rows.into_iter().enumerate() {
            let key = slot.to_string();
            held.extend((0..own).map(|_| hold(&writer, slot)));
            writer.set_serving(&key, serves, 0);
            writer.set_u32(&key, Column::Running, running);
            writer.set_u32(&key, Column::Waiting, waiting);
            writer.set_f32(&key, Column::Capacity, capacity);
            writer.set_u32(&key, Column::ObservedMs, age_ms.map(|age_ms| now_ms.wrapping_sub(age_ms)));
        }
        writer.refresh_inflight();
        let mut request = Request { now_ms, ..request(number) };
        for (slot, generation) in tried {
            request.tried.push(SlotRef { slot, generation });
        }
        let expected = least_queue_in_full(writer.table(), &request);
        let mut answer = Answer::new();
        let outcome = by_name("least_queue", 0).unwrap().decide(writer.table(), &request, &mut answer);
        prop_assert_eq!(answer.records(), &expected[..]);
        let wanted = if expected.is_empty() { DecisionOutcome::Abstain } else { DecisionOutcome::Ok };
        prop_assert_eq!(outcome, wanted);
    }
}
