//! The store's promises, by table and by property: atomic, deterministic, gap free, and never upset by bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bytes::Bytes;
use mesh_core::{
    id::{Digest, Lineage, MeshName, ObjectName, Principal, RequestId, Revision},
    kind::Kind,
    object::Key,
    store::{
        AdvanceError, COMMAND_OPS_MAX, Change, Command, Edit, Expect, OBJECT_BYTES_MAX, Op, Outcome, REASON_BYTES_MAX,
        Reason, Record, SnapshotError, Store, apply, decode_snapshot, encode_snapshot, snapshot_header,
    },
    time::Timestamp,
};
use proptest::prelude::*;

fn key(name: &str) -> Key {
    Key::new(Kind::Node, ObjectName::new(name).unwrap())
}

fn put(name: &str, spec: &str, expect: Expect) -> Op {
    Op::Put { key: key(name), spec: Bytes::copy_from_slice(spec.as_bytes()), expect }
}

fn delete(name: &str, expect: Expect) -> Op {
    Op::Delete { key: key(name), expect }
}

fn command(id: u128, at: u64, ops: Vec<Op>) -> Command {
    let actor = Principal::operator(&MeshName::new("lab").unwrap(), ObjectName::new("ada").unwrap());
    Command { id: RequestId(id), actor, at: Timestamp(at), level: 1, reason: Some("a test".to_owned()), ops }
}

/// A store at revision 2: `a` of revision 1, `b` of revision 2.
fn two() -> Store {
    let mut store = Store::new(Lineage(0));
    apply(&mut store, &command(1, 10, vec![put("a", "1", Expect::Any)]));
    apply(&mut store, &command(2, 20, vec![put("b", "1", Expect::Any)]));
    store
}

#[test]
fn conditions_hold_or_nothing_happens() {
    let check = |ops: Vec<Op>, expected: Outcome| {
        let mut store = two();
        let before = (store.revision(), store.digest(), store.len());
        let outcome = apply(&mut store, &command(3, 30, ops.clone()));
        assert_eq!(outcome, expected, "{ops:?}");
        if !matches!(outcome, Outcome::Done { .. }) {
            assert_eq!((store.revision(), store.digest(), store.len()), before, "{ops:?} left a trace");
        }
        let again = apply(&mut store, &command(3, 99, vec![]));
        assert_eq!(again, Outcome::Repeated(Box::new(expected)));
    };
    let done = Outcome::Done { revision: Revision(3) };
    let unchanged = Outcome::Unchanged { revision: Revision(2) };
    let conflict = |name, found| Outcome::Conflict { key: key(name), found };
    check(vec![], unchanged.clone());
    check(vec![put("a", "2", Expect::Any)], done.clone());
    check(vec![put("a", "1", Expect::Any)], unchanged.clone());
    check(vec![put("a", "2", Expect::At(Revision(1)))], done.clone());
    check(vec![put("a", "2", Expect::At(Revision(2)))], conflict("a", Some(Revision(1))));
    check(vec![put("a", "2", Expect::Absent)], conflict("a", Some(Revision(1))));
    check(vec![put("c", "2", Expect::Absent)], done.clone());
    check(vec![put("c", "2", Expect::At(Revision(1)))], conflict("c", None));
    check(vec![put("c", "2", Expect::Any), delete("a", Expect::Absent)], conflict("a", Some(Revision(1))));
    check(vec![delete("a", Expect::At(Revision(1)))], done);
    check(vec![delete("c", Expect::Any)], unchanged.clone());
    check(vec![delete("c", Expect::At(Revision(1)))], conflict("c", None));
    check(
        vec![put("c", "1", Expect::Any), delete("c", Expect::Any)],
        Outcome::Refused(Reason::Twice { key: key("c") }),
    );
    check(vec![Op::Compact { upto: Revision(2) }], unchanged.clone());
    let ahead = Reason::CompactAhead { upto: Revision(3), revision: Revision(2) };
    check(vec![Op::Compact { upto: Revision(3) }], Outcome::Refused(ahead));
    check(vec![Op::SetLevel(1)], unchanged);
    check(vec![Op::SetLevel(0)], Outcome::Refused(Reason::LevelDown { asked: 0, level: 1 }));
    check(vec![Op::SetLevel(9)], Outcome::Refused(Reason::Level { needed: 9, level: 1 }));
}

#[test]
fn sizes_are_bounded() {
    let check = |command: Command, expected: Result<(), &str>| {
        let mut store = two();
        let outcome = apply(&mut store, &command);
        match (outcome, expected) {
            (Outcome::Done { .. }, Ok(())) => {}
            (Outcome::Refused(reason), Err(part)) => {
                assert!(reason.to_string().contains(part), "{reason} lacks {part}");
            }
            (other, expected) => panic!("{other:?} instead of {expected:?}"),
        }
    };
    let big = "x".repeat(OBJECT_BYTES_MAX);
    check(command(3, 0, vec![put("c", &big, Expect::Any)]), Ok(()));
    check(command(3, 0, vec![put("c", &format!("{big}x"), Expect::Any)]), Err("content store"));
    let many = |count| (0..count).map(|at| put(&format!("n{at}"), "{}", Expect::Any)).collect();
    check(command(3, 0, many(COMMAND_OPS_MAX)), Ok(()));
    check(command(3, 0, many(COMMAND_OPS_MAX + 1)), Err("129 operations"));
    let heavy = (0..5).map(|at| put(&format!("n{at}"), &big, Expect::Any)).collect();
    check(command(3, 0, heavy), Err("split it"));
    let long = Command { reason: Some("x".repeat(REASON_BYTES_MAX + 1)), ..command(3, 0, many(1)) };
    check(long, Err("shorten it"));
}

#[test]
fn a_full_store_still_takes_what_makes_it_smaller() {
    let mut store = Store::new(Lineage(0));
    let big = "x".repeat(OBJECT_BYTES_MAX);
    let mut id = 0;
    let refused = loop {
        id += 1;
        let ops = (0..3).map(|at| put(&format!("n{id}-{at}"), &big, Expect::Any)).collect();
        let outcome = apply(&mut store, &command(id, 0, ops));
        if !matches!(outcome, Outcome::Done { .. }) {
            break outcome;
        }
    };
    assert!(matches!(refused, Outcome::Refused(Reason::StoreFull { .. })), "{refused:?}");
    let mut check = |ops: Vec<Op>, expected: bool| {
        id += 1;
        let outcome = apply(&mut store, &command(id, 0, ops));
        assert_eq!(matches!(outcome, Outcome::Done { .. }), expected, "{outcome:?}");
    };
    check(
        vec![put("more", &big, Expect::Any), put("still-more", &big, Expect::Any), put("and-more", &big, Expect::Any)],
        false,
    );
    check(vec![put("n1-0", "small", Expect::Any)], true);
    check(vec![delete("n1-1", Expect::Any)], true);
    check(vec![put("more", &big, Expect::Any)], true);
}

#[test]
fn a_differing_replica_is_noticed() {
    let mut store = two();
    let right = store.record(Revision(1)).unwrap();
    let wrong = Record { digest: Digest([7; 32]), ..right };
    apply(&mut store, &command(3, 30, vec![Op::Checkpoint { revision: Revision(1), record: right }]));
    assert_eq!(store.divergence(), None);
    apply(&mut store, &command(4, 30, vec![Op::Checkpoint { revision: Revision(99), record: wrong }]));
    assert_eq!(store.divergence(), None, "a revision without a record is not compared");
    apply(&mut store, &command(5, 30, vec![Op::Checkpoint { revision: Revision(1), record: wrong }]));
    let divergence = store.divergence().unwrap();
    assert_eq!((divergence.revision, divergence.stated, divergence.own), (Revision(1), wrong, right));
}

#[test]
fn watching_at_the_edge_of_compaction_is_exact() {
    let mut store = two();
    apply(&mut store, &command(3, 30, vec![delete("a", Expect::Any)]));
    let seen = |store: &Store, after| match store.changes(Revision(after)) {
        Ok(changes) => Ok(changes.map(|change| change.revision.0).collect::<Vec<_>>()),
        Err(compacted) => Err(compacted.oldest.0),
    };
    assert_eq!(seen(&store, 0), Ok(vec![1, 2, 3]));
    apply(&mut store, &command(4, 40, vec![Op::Compact { upto: Revision(2) }]));
    assert_eq!(seen(&store, 1), Err(2));
    assert_eq!(seen(&store, 2), Ok(vec![3]), "the watch at the compacted revision sees the delete after it");
    assert_eq!(seen(&store, 3), Ok(vec![]));
    assert_eq!(seen(&store, 9), Ok(vec![]));
    assert_eq!(store.compacted(), Revision(2));
}

#[test]
fn history_is_offered_for_compaction_when_long_and_old() {
    let mut store = Store::new(Lineage(0));
    for at in 1..=11_500_u64 {
        apply(&mut store, &command(at.into(), at, vec![put("a", &at.to_string(), Expect::Any)]));
    }
    assert_eq!(store.compaction_due(), None, "all of it is young");
    apply(&mut store, &command(1 << 64, 10_000_000, vec![]));
    assert_eq!(store.compaction_due(), Some(Revision(1_500)));
    apply(&mut store, &command(1 << 65, 0, vec![Op::Compact { upto: Revision(1_500) }]));
    assert_eq!(store.compaction_due(), None);
    assert_eq!(store.now(), Timestamp(10_000_000), "a leader with a slow clock does not turn time back");
}

/// Small commands over few keys, so that conflicts, repeats and deletes happen.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let expect = prop_oneof![4 => Just(Expect::Any), 1 => Just(Expect::Absent), 1 => (0_u64..30).prop_map(|it| Expect::At(Revision(it)))];
    let name = (0_u8..8).prop_map(|it| format!("k{it}"));
    let op = (name, expect, 0_u8..20, 0_u64..40).prop_map(|(name, expect, what, number)| match what {
        0..15 => put(&name, &number.to_string(), expect),
        15..19 => delete(&name, expect),
        _ => Op::Compact { upto: Revision(number) },
    });
    let one = (0_u128..200, 0_u64..2_000_000, proptest::collection::vec(op, 0..4))
        .prop_map(|(id, at, ops)| command(id, at, ops));
    proptest::collection::vec(one, 0..120)
}

/// Brings a follower up to a leader through bytes, as the wire does.
fn follow(leader: &Store, follower: &mut Store) {
    match leader.changes(follower.revision()) {
        Ok(changes) => {
            for change in changes {
                let wire = Change::decode(&change.encode()).unwrap();
                follower.advance(&wire.into()).unwrap();
            }
        }
        Err(compacted) => {
            assert!(compacted.oldest > follower.revision());
            *follower = decode_snapshot(&encode_snapshot(leader, "lab", b"")).unwrap().1;
        }
    }
}

proptest! {
    #[test]
    fn replicas_agree_through_restarts_and_followers_follow(commands in commands(), restart in 0_usize..120) {
        let mut leader = Store::new(Lineage(3));
        let mut other = Store::new(Lineage(3));
        let mut follower = Store::new(Lineage(3));
        for (at, command) in commands.iter().enumerate() {
            if at == restart {
                let file = encode_snapshot(&other, "lab", b"log");
                prop_assert_eq!(&file, &encode_snapshot(&leader, "lab", b"log"), "equal stores have equal files");
                other = decode_snapshot(&file).unwrap().1;
            }
            let wire = Command::decode(&command.encode()).unwrap();
            prop_assert_eq!(&wire, command);
            let before = leader.revision();
            let outcome = apply(&mut leader, command);
            prop_assert_eq!(&outcome, &apply(&mut other, &wire));
            prop_assert_eq!(leader.digest(), other.digest());
            prop_assert_eq!(leader.record(leader.revision()), other.record(other.revision()));
            let grown = leader.revision().0 - before.0;
            prop_assert_eq!(grown, u64::from(matches!(outcome, Outcome::Done { .. })));
            follow(&leader, &mut follower);
            prop_assert_eq!(follower.digest(), leader.digest());
            prop_assert!(follower.objects().eq(leader.objects()));
        }
        // Decoding adds the digest up from nothing and compares it with the one kept in step.
        let (header, copy) = decode_snapshot(&encode_snapshot(&leader, "lab", b"log")).unwrap();
        prop_assert_eq!(header.digest, copy.digest());
        prop_assert_eq!(copy.size_bytes(), leader.size_bytes());
        prop_assert_eq!(leader.divergence(), None);
    }

    #[test]
    fn damaged_bytes_are_refused_without_a_panic(commands in commands(), at in any::<prop::sample::Index>(), flip in 1_u8..=255, cut in any::<prop::sample::Index>()) {
        let mut store = Store::new(Lineage(0));
        for command in &commands {
            apply(&mut store, command);
            let mut bytes = command.encode().to_vec();
            let place = at.index(bytes.len());
            bytes[place] ^= flip;
            drop(Command::decode(&bytes));
            prop_assert!(Command::decode(&bytes[..cut.index(bytes.len())]).is_err());
        }
        let mut bytes = encode_snapshot(&store, "lab", b"log");
        prop_assert!(decode_snapshot(&bytes[..cut.index(bytes.len())]).is_err());
        let place = at.index(bytes.len());
        bytes[place] ^= flip;
        prop_assert!(decode_snapshot(&bytes).is_err());
    }

    #[test]
    fn noise_is_refused_without_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        for prefix in [&b""[..], b"\x01\x00\x01\x00", b"MESHSNAP\x01\x00"] {
            let bytes = [prefix, &noise].concat();
            drop(Command::decode(&bytes));
            drop(Change::decode(&bytes));
            prop_assert!(decode_snapshot(&bytes).is_err());
        }
    }
}

#[test]
fn a_forged_snapshot_with_right_checksums_is_refused() {
    // The checksums are no secret, so their being right proves nothing about the content.
    let good = encode_snapshot(&two(), "lab", b"log");
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
    let header_end = 14 + number(&good[10..14]);
    let body = header_end + 4;
    let body_end = body + 4 + number(&good[body..body + 4]);
    for place in (14..header_end).chain(body + 4..body_end) {
        let mut bytes = good.clone();
        bytes[place] ^= 0x41;
        let crc = crc32fast::hash(&bytes[..header_end]);
        bytes[header_end..body].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[body + 4..body_end]);
        bytes[body_end..body_end + 4].copy_from_slice(&crc.to_le_bytes());
        let end = bytes.len() - 32;
        let digest = *blake3::hash(&bytes[..end]).as_bytes();
        bytes[end..].copy_from_slice(&digest);
        // Some forgeries are legal (another name of the mesh); none may panic or give out a store unlike its own digest.
        if let Ok((header, store)) = decode_snapshot(&bytes) {
            assert_eq!(header.digest, store.digest());
        }
    }
}

#[test]
fn a_newer_build_is_recognised() {
    let mut newer = command(1, 0, vec![]);
    newer.level = 2;
    assert!(Command::decode(&newer.encode()).unwrap_err().to_string().contains("upgrade this node"));
    assert!(
        Command::decode(&command(1, 0, vec![Op::SetLevel(3)]).encode())
            .unwrap_err()
            .to_string()
            .contains("upgrade this node")
    );
    assert!(Command::decode(&command(1, 0, vec![]).encode()).is_ok());

    let mut follower = Store::new(Lineage(0));
    let change = |revision, edits| Change {
        revision: Revision(revision),
        id: RequestId(1),
        actor: newer.actor.clone(),
        at: Timestamp(0),
        reason: None,
        edits,
    };
    assert_eq!(follower.advance(&change(1, vec![Edit::Level(2)]).into()), Err(AdvanceError::Level(2)));
    assert_eq!(
        follower.advance(&change(2, vec![]).into()),
        Err(AdvanceError::Gap { have: Revision(0), found: Revision(2) })
    );

    let mut file = encode_snapshot(&two(), "lab", b"log");
    assert_eq!(snapshot_header(&file).unwrap().cluster, "lab");
    file[8] = 9;
    assert_eq!(decode_snapshot(&file).unwrap_err(), SnapshotError::Format(9));
    assert_eq!(decode_snapshot(b"PK\x03\x04").unwrap_err(), SnapshotError::Magic);
}
