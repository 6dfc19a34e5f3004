//! The target table, its updates, and the choice of a place.

use std::collections::BTreeMap;

use mesh_strategy::{
    Answer, Baseline, Brain, Choice, Column, MadeRoom, Place, Record, Request, SlotRef, Table, TableWriter, Verdict,
    choose,
};
use proptest::prelude::*;

use crate::fleet::{add, brain, request, spec, writer};

/// Chooses among the writer's own rows.
fn choose_in(table: &Table, records: &[Record], request: &Request, round: &mut Baseline) -> Choice {
    let mut answer = Answer::new();
    for record in records {
        answer.push(*record);
    }
    choose(table, &answer, request, round, 0)
}

fn place(choice: Choice) -> Place {
    match choice {
        Choice::Target(place) => place,
        Choice::NoRoom | Choice::NoTarget => panic!("no place: {choice:?}"),
    }
}

/// A record for the present target of a slot.
fn named(table: &Table, slot: u32) -> Record {
    Record::target(slot, table.generation(slot as usize), 0.0)
}

fn key_at(table: &Table, slot: usize) -> &str {
    &table.target(slot).unwrap().spec.key
}

#[test]
fn removal_moves_the_last_row_and_counts_generations() {
    let mut writer = writer(3, 8.0);
    writer.set_u32("2", Column::Running, Some(5));
    let removed = writer.remove("0").unwrap();
    assert!(!removed.is_open(), "nothing new is sent to a removed target");
    let table = writer.table();
    assert_eq!((key_at(table, 0), key_at(table, 1), table.len()), ("2", "1", 2));
    assert_eq!((table.generation(0), table.generation(1)), (2, 1));
    assert_eq!(table.u32(Column::Running, 0), Some(5), "the cells move along");
    add(&mut writer, "3", 8.0);
    assert_eq!(writer.table().generation(2), 2, "a generation is never reset");
    assert!(writer.remove("0").is_none());
}

#[test]
fn unknown_is_a_clear_bit_and_never_a_number() {
    let mut writer = writer(1, 8.0);
    let check = |writer: &TableWriter, column, expected: Option<f32>| {
        assert_eq!(writer.table().f32(column, 0).map(f32::to_bits), expected.map(f32::to_bits));
    };
    check(&writer, Column::KvUsed, None);
    writer.set_f32("0", Column::KvUsed, Some(0.0));
    check(&writer, Column::KvUsed, Some(0.0));
    writer.set_f32("0", Column::KvUsed, Some(f32::NAN));
    check(&writer, Column::KvUsed, None);
    assert_eq!(writer.table().cells(Column::KvUsed)[0], 0);
    writer.set_f32("0", Column::Running, Some(1.0));
    writer.set_u32("0", Column::Capacity, Some(1));
    writer.set_u32("0", Column::Eligible, Some(0));
    check(&writer, Column::Capacity, Some(8.0));
    assert!(writer.table().eligible(0), "host columns are the host's");
}

#[test]
fn the_age_of_a_report_survives_the_wrap_of_the_clock() {
    let mut writer = writer(1, 8.0);
    assert_eq!(writer.table().age_ms(0, 5), None);
    for (observed_ms, now_ms, age_ms) in [(10, 15, 5), (u32::MAX - 4, 5, 10), (20, 15, 0)] {
        writer.set_u32("0", Column::ObservedMs, Some(observed_ms));
        assert_eq!(writer.table().age_ms(0, now_ms), Some(age_ms));
    }
}

#[test]
fn many_changed_rows_make_a_copy() {
    let check = |rows: usize, changed: usize, copy: bool| {
        let mut writer = writer(rows, 8.0);
        let first = writer.publish().unwrap();
        assert_eq!(first.is_copy(), rows > 64.max(rows / 8));
        for number in 0..changed {
            writer.set_u32(&number.to_string(), Column::Waiting, Some(1));
            writer.set_u32(&number.to_string(), Column::Waiting, Some(2));
        }
        assert_eq!(writer.publish().unwrap().is_copy(), copy, "{changed} of {rows}");
        assert!(writer.publish().is_none(), "nothing changed");
    };
    check(100, 64, false);
    check(100, 65, true);
    check(1_000, 125, false);
    check(1_000, 126, true);
}

#[test]
fn a_worker_that_missed_an_update_asks_for_a_copy() {
    let mut writer = writer(2, 8.0);
    let mut brain = brain(&writer);
    let (stale, snapshot) = (writer.publish().unwrap(), writer.snapshot());
    writer.set_u32("0", Column::Waiting, Some(9));
    let next = writer.publish().unwrap();
    let gap = brain.update(&next).unwrap_err();
    assert_eq!((gap.have, gap.got), (0, 2));
    assert_eq!(brain.update(&snapshot), Ok(MadeRoom(true)));
    assert_eq!(brain.update(&next), Ok(MadeRoom(false)), "waiting requests at an engine make no room here");
    assert_eq!(brain.update(&stale), Ok(MadeRoom(false)), "an old update does nothing");
    assert_eq!(brain.table().u32(Column::Waiting, 0), Some(9));
    writer.set_f32("0", Column::Capacity, Some(16.0));
    let room = writer.room().count();
    assert_eq!(brain.update(&writer.publish().unwrap()), Ok(MadeRoom(true)));
    assert!(writer.room().count() > room, "lines of other workers see it too");
}

#[derive(Clone, Debug)]
enum Edit {
    Add(u8),
    Remove(u8),
    Set(u8, u32),
    Serve(u8, bool),
    Publish,
    Lose,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0..24_u8).prop_map(Edit::Add),
        (0..24_u8).prop_map(Edit::Remove),
        (0..24_u8, any::<u32>()).prop_map(|(key, value)| Edit::Set(key, value)),
        (0..24_u8, any::<bool>()).prop_map(|(key, serve)| Edit::Serve(key, serve)),
        Just(Edit::Publish),
        Just(Edit::Lose),
    ]
}

proptest! {
    #[test]
    fn a_worker_ends_with_the_owners_table(edits in prop::collection::vec(edit(), 1..200)) {
        let mut writer = TableWriter::new(0);
        let mut brain = Brain::new("m", 0);
        let mut generations = BTreeMap::new();
        for edit in edits {
            match edit {
                Edit::Add(key) => { add(&mut writer, &key.to_string(), 4.0); }
                Edit::Remove(key) => { writer.remove(&key.to_string()); }
                Edit::Set(key, value) => writer.set_u32(&key.to_string(), Column::Running, Some(value)),
                Edit::Serve(key, serve) => writer.set_serving(&key.to_string(), serve, 0),
                Edit::Publish => if let Some(update) = writer.publish()
                    && brain.update(&update).is_err() {
                        brain.update(&writer.snapshot()).unwrap();
                    },
                Edit::Lose => { writer.publish(); }
            }
            for slot in 0..writer.table().len() {
                let target = writer.table().target(slot).unwrap().id;
                let now = (writer.table().generation(slot), target);
                if let Some((generation, before)) = generations.insert(slot, now) {
                    prop_assert_eq!(now.0 != generation, now.1 != before, "a generation is one target's");
                }
            }
        }
        // One more change, for a lost update shows at the next one.
        add(&mut writer, "last", 4.0);
        if brain.update(&writer.publish().unwrap()).is_err() {
            brain.update(&writer.snapshot()).unwrap();
        }
        prop_assert_eq!(brain.table().len(), writer.table().len());
        for column in Column::ALL {
            prop_assert_eq!(brain.table().cells(column), writer.table().cells(column));
        }
        for slot in 0..writer.table().len() {
            prop_assert_eq!(brain.table().target(slot).unwrap().id, writer.table().target(slot).unwrap().id);
        }
    }
}

#[test]
fn records_are_taken_in_order_then_the_round() {
    let writer = writer(4, 8.0);
    let table = writer.table();
    let mut round = Baseline::new(0);
    let mut first = |records: &[Record]| place(choose_in(table, records, &request(1), &mut round)).slot();
    assert_eq!(first(&[named(table, 2), named(table, 1)]), 2);
    let start = first(&[]);
    let order: Vec<u32> = (0..4).map(|_| first(&[])).collect();
    assert_eq!(order, (1..5).map(|step| (start + step) % 4).collect::<Vec<_>>(), "the round goes on");
    assert_eq!(first(&[named(table, start)]), start);
    assert_eq!(first(&[]), (start + 1) % 4, "a named row does not move the round");
}

#[test]
fn rows_are_skipped_for_each_reason() {
    let mut writer = writer(6, 0.0);
    let held: Vec<_> = (0..2)
        .map(|_| place(choose_in(writer.table(), &[named(writer.table(), 0)], &request(1), &mut Baseline::new(0))))
        .collect();
    assert!(held.iter().all(|place| place.slot() == 0), "capacity 0 still has two places");
    writer.set_serving("1", false, 0);
    writer.table().target(2).unwrap().set_open(false);
    writer.table().target(3).unwrap().breaker.record(0, Verdict::ConnectFailed);
    let table = writer.table();
    let mut request = request(1);
    request.tried.push(SlotRef { slot: 4, generation: 1 });
    let all: Vec<_> = (0..5).map(|slot| named(table, slot)).collect();
    let taken = place(choose_in(table, &all, &request, &mut Baseline::new(0)));
    assert_eq!(taken.slot(), 5, "full, ineligible, closed, broken and tried rows are skipped");
    let stale = Record::target(5, 99, 0.0);
    let mut round = Baseline::new(0);
    assert_eq!(place(choose_in(table, &[stale], &request, &mut round)).slot(), 5, "a stale name is as none");
}

#[test]
fn no_room_and_no_target_are_told_apart() {
    let mut writer = writer(2, 1.0);
    let mut round = Baseline::new(0);
    let mut choose_now = |writer: &TableWriter, request: &Request| choose_in(writer.table(), &[], request, &mut round);
    let held: Vec<_> = (0..6).map(|_| place(choose_now(&writer, &request(1)))).collect();
    assert_eq!(writer.table().target(0).unwrap().own_inflight(), 3, "capacity + 2 places");
    assert!(matches!(choose_now(&writer, &request(1)), Choice::NoRoom));
    let mut tried = request(1);
    for slot in 0..2 {
        tried.tried.push(SlotRef { slot, generation: 1 });
    }
    assert!(matches!(choose_now(&writer, &tried), Choice::NoTarget), "a tried row is no room to wait for");
    writer.set_serving("0", false, 0);
    writer.set_serving("1", false, 0);
    assert!(matches!(choose_now(&writer, &request(1)), Choice::NoTarget));
    writer.set_serving("1", true, 0);
    let room = writer.room().count();
    drop(held);
    assert_eq!(writer.room().count(), room + 6);
    assert_eq!(writer.table().target(0).unwrap().own_inflight(), 0);
    assert_eq!(place(choose_now(&writer, &request(1))).slot(), 1);
}

#[test]
fn a_cordon_holds_before_the_worker_hears_of_it() {
    let mut writer = writer(2, 8.0);
    let mut brain = brain(&writer);
    writer.set_serving("0", false, 0);
    assert!(brain.table().eligible(0), "no update was applied yet");
    for number in 0..10 {
        let place = place(brain.decide(&mut request(number), 0).choice);
        assert_eq!(place.slot(), 1);
    }
}

#[test]
fn a_place_outlives_its_row() {
    let mut writer = writer(2, 8.0);
    let mut brain = brain(&writer);
    let held = place(brain.decide(&mut request(1), 0).choice);
    let (target, slot) = (held.target().clone(), held.slot());
    writer.remove(&target.spec.key);
    brain.update(&writer.snapshot()).unwrap();
    assert_eq!(target.own_inflight(), 1);
    let generation = held.generation();
    drop(held);
    brain.released(slot, generation);
    assert_eq!(target.own_inflight(), 0);
    assert_eq!(brain.table().len(), 1);
}

#[test]
fn an_unknown_capacity_counts_as_a_thousand() {
    let mut writer = TableWriter::new(0);
    writer.insert(spec("a"));
    writer.set_serving("a", true, 0);
    let mut round = Baseline::new(0);
    let held: Vec<_> = (0..1_026).map(|_| place(choose_in(writer.table(), &[], &request(1), &mut round))).collect();
    assert!(matches!(choose_in(writer.table(), &[], &request(1), &mut round), Choice::NoRoom));
    drop(held);
}

#[test]
fn a_broken_target_is_probed_by_one_request() {
    let mut writer = writer(1, 8.0);
    let target = writer.target("0").unwrap().clone();
    let mut brain = brain(&writer);
    let decide = |brain: &mut Brain, now_ms| brain.decide(&mut request(now_ms), now_ms).choice;
    for _ in 0..2 {
        target.breaker.record(0, Verdict::Bad);
    }
    assert!(target.breaker.admits(0), "two failures are not enough");
    target.breaker.record(0, Verdict::Good);
    for _ in 0..3 {
        target.breaker.record(0, Verdict::Bad);
    }
    assert!(matches!(decide(&mut brain, 999), Choice::NoTarget));
    writer.refresh_breakers(999);
    assert!(!writer.table().eligible(0));
    writer.refresh_breakers(1_001);
    assert!(writer.table().eligible(0), "a probe is due");
    let probe = place(decide(&mut brain, 1_001));
    assert!(matches!(decide(&mut brain, 1_001), Choice::NoTarget), "one probe, not two");
    target.breaker.record(1_001, Verdict::Bad);
    drop(probe);
    assert!(matches!(decide(&mut brain, 3_000), Choice::NoTarget), "the second time out is twice as long");
    let probe = place(decide(&mut brain, 3_002));
    drop(probe);
    let probe = place(decide(&mut brain, 3_003));
    target.breaker.record(3_003, Verdict::Good);
    drop(probe);
    assert!(matches!(decide(&mut brain, 3_004), Choice::Target(_)));
    assert_eq!(target.own_inflight(), 0);
    for _ in 0..10 {
        target.breaker.record(10_000, Verdict::ConnectFailed);
    }
    assert!(target.breaker.admits(11_001), "while it is out, more failures do not prolong it");
}
