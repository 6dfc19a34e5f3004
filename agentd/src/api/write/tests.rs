//! Writes on small stores: merging, the fields of the server, rules, refusals.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use mesh_core::{
    id::{Lineage, ObjectName, RequestId},
    kind::{ACTIVE, ActivationSpec, DrainSpec},
    store::{Command, Outcome, apply},
};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

const NODE: &str =
    r#"{"roles":["gpu"],"address":"10.0.0.1","api":"10.0.0.1:7443","gossip":"10.0.0.1:7946","labels":{"a":"1"}}"#;

fn ada() -> Principal {
    "spiffe://lab/operator/ada".parse().unwrap()
}

fn key(text: &str) -> Key {
    let (kind, name) = text.split_once('/').unwrap();
    Key::new(kind.parse().unwrap(), ObjectName::new(name).unwrap())
}

fn put(object: &str, json: &str) -> Item {
    Item { key: key(object), change: Wanted::Spec { json: Bytes::from(json.to_owned()), merge: true }, expect: None }
}

fn gone(object: &str) -> Item {
    Item { key: key(object), change: Wanted::Gone, expect: None }
}

fn run(store: &Store, items: &[Item], reason: Option<&str>) -> Result<Plan, Refusal> {
    let at = Timestamp(1_000_000 + store.revision().0 * 1000);
    plan(store, items, Asked { by: &ada(), at, reason })
}

/// Plans and applies, as a coordinator does.
fn write(store: &mut Store, items: &[Item]) -> Result<Plan, Refusal> {
    let plan = run(store, items, None)?;
    let id = RequestId(u128::from(store.revision().0) + 1);
    let command = Command { id, actor: ada(), at: Timestamp(0), level: 1, reason: None, ops: plan.ops() };
    let outcome = apply(store, &command);
    assert!(matches!(outcome, Outcome::Done { .. } | Outcome::Unchanged { .. }), "{outcome:?}");
    Ok(plan)
}

fn mesh() -> Store {
    let mut store = Store::new(Lineage(1));
    let active = r#"{"active":{"builtin":"least_queue"}}"#;
    let first = [
        ("node/node-7", NODE),
        ("binding/ada", r#"{"role":"admin"}"#),
        ("policy/mesh", "{}"),
        ("activation/active", active),
    ];
    write(&mut store, &first.map(|(key, json)| put(key, json))).unwrap();
    store
}

fn spec<S: Spec>(store: &Store, object: &str) -> S {
    parse(&store.get(&key(object)).unwrap().spec).unwrap()
}

#[test]
fn a_merge_keeps_absent_fields_and_replaces_the_named_ones() {
    let store = mesh();
    let check = |patch: &str, present: &[&str], absent: &[&str]| {
        let plan = run(&store, &[put("node/node-7", patch)], None).unwrap();
        let after = String::from_utf8(plan.steps[0].after.clone().unwrap().to_vec()).unwrap();
        assert!(present.iter().all(|it| after.contains(it)), "{after} lacks one of {present:?}");
        assert!(!absent.iter().any(|it| after.contains(it)), "{after} has one of {absent:?}");
        plan.steps[0].action()
    };
    assert_eq!(check(r#"{"zone":"z1"}"#, &[r#""zone":"z1""#, r#""a":"1""#], &[]), "changed");
    assert_eq!(check(r#"{"labels":{"b":"2"}}"#, &[r#""b":"2""#], &[r#""a":"1""#]), "changed");
    assert_eq!(check(r#"{"labels":null}"#, &[], &["labels"]), "changed");
    assert_eq!(check(r#"{"incarnation":9}"#, &[r#""incarnation":1"#], &[]), "unchanged");
    assert_eq!(check("{}", &[], &[]), "unchanged");
}

#[test]
fn refusals_name_the_object_and_the_cause() {
    let store = mesh();
    let check = |items: &[Item], expected: &str| {
        let found = run(&store, items, None).unwrap_err().to_string();
        assert!(found.contains(expected), "{found} lacks {expected}");
    };
    check(&[put("node/node-7", r#"{"wheels":4}"#)], "node/node-7: node spec: unknown field `wheels`");
    check(&[put("node/node-7", "[]")], "not a JSON object");
    check(&[put("node/node-7", "{}"), put("node/node-7", "{}")], "twice");
    check(
        &[put(
            "node/node-9",
            r#"{"roles":["coordinator"],"voter":4,"address":"a","api":"10.0.0.9:1","gossip":"10.0.0.9:2"}"#,
        )],
        "coordinators are made when",
    );
    check(&[put("node/node-7", r#"{"roles":["coordinator"],"voter":4}"#)], "field `voter`");
    check(&[put("drain/node-9", r#"{"mode":"cordon"}"#)], "there is no node/node-9");
    check(&[gone("drain/node-7")], "there is no drain/node-7");
    check(&[gone("binding/ada")], "no admin left");
    check(&[put("binding/ada", r#"{"role":"viewer"}"#)], "no admin left");
    check(&[put("revocation/r", r#"{"id":"spiffe://lab/operator/ada","reason":"x"}"#)], "no admin left");
    check(&[put("token/t", r#"{"nodes":"gpu-*"}"#)], "token");
    check(&[gone("activation/active")], "always has an active strategy");
    let wasm = format!(r#"{{"active":{{"wasm":{{"name":"hybrid","digest":"{}","version":"1"}}}}}}"#, "ab".repeat(32));
    check(&[put("activation/active", &wasm)], "there is no strategy/hybrid");
    let stale = Item { expect: Some(Expect::At(Revision(9))), ..put("node/node-7", "{}") };
    check(&[stale], "node/node-7 is at revision 1, not at revision 9");
    let new = Item { expect: Some(Expect::Absent), ..put("node/node-7", "{}") };
    check(&[new], "not absent");
}

#[test]
fn the_server_signs_and_a_repetition_changes_nothing() {
    let mut store = mesh();
    let forged = r#"{"mode":"drain","by":"spiffe://lab/operator/eve","at":"2001-01-01T00:00:00Z","drained_at":"2001-01-01T00:00:00Z"}"#;
    write(&mut store, &[put("drain/node-7", forged)]).unwrap();
    let first: DrainSpec = spec(&store, "drain/node-7");
    assert_eq!((first.by.clone(), first.at, first.drained_at), (ada(), Timestamp(1_001_000), None));
    assert_eq!(first.deadline, Some(Timestamp(1_001_000 + 1_800_000)));
    assert!(run(&store, &[put("drain/node-7", r#"{"mode":"drain"}"#)], None).unwrap().is_noop());

    write(&mut store, &[put("drain/node-7", r#"{"mode":"drain","force":true}"#)]).unwrap();
    let forced: DrainSpec = spec(&store, "drain/node-7");
    assert_eq!((forced.force, forced.at), (true, Timestamp(1_002_000)));
    write(&mut store, &[put("drain/node-7", r#"{"mode":"cordon"}"#)]).unwrap();
    let cordoned: DrainSpec = spec(&store, "drain/node-7");
    assert_eq!((cordoned.force, cordoned.deadline), (false, None));
}

#[test]
fn a_reason_is_asked_for_when_the_policy_says_so() {
    let mut store = mesh();
    write(&mut store, &[put("policy/mesh", r#"{"require_reason":true}"#)]).unwrap();
    let item = || put("drain/node-7", r#"{"mode":"cordon"}"#);
    assert!(matches!(run(&store, &[item()], None), Err(Refusal::Rule { .. })));
    assert!(run(&store, &[item()], Some("disk")).is_ok());
}

#[test]
fn activations_count_up_and_remember_where_a_rollback_leads() {
    let mut store = mesh();
    let deploy = |name: &str, digit: &str| {
        let digest = digit.repeat(64);
        let strategy = format!(r#"{{"digest":"{digest}","size_bytes":9,"version":"1"}}"#);
        let active =
            format!(r#"{{"seq":99,"active":{{"wasm":{{"name":"{name}","digest":"{digest}","version":"1"}}}}}}"#);
        [put(&format!("strategy/{name}"), &strategy), put("activation/active", &active)]
    };
    let active = |store: &Store| {
        let it: ActivationSpec = spec(store, &format!("activation/{ACTIVE}"));
        (it.seq, it.active.name().to_owned(), it.previous.name().to_owned())
    };
    assert_eq!(active(&store), (1, "least_queue".into(), "least_queue".into()));
    let plan = write(&mut store, &deploy("hybrid", "a")).unwrap();
    assert_eq!(plan.blobs.len(), 2, "the blob of the strategy, and of what decides");
    assert_eq!(active(&store), (2, "hybrid".into(), "least_queue".into()));
    write(&mut store, &deploy("hybrid", "a")).unwrap();
    assert_eq!(active(&store), (3, "hybrid".into(), "least_queue".into()), "the same code again is a new activation");
    assert!(matches!(run(&store, &[gone("strategy/hybrid")], None), Err(Refusal::Rule { .. })));
    write(&mut store, &[put("activation/active", r#"{"active":{"builtin":"least_queue"}}"#)]).unwrap();
    assert_eq!(active(&store), (4, "least_queue".into(), "hybrid".into()));
}

#[test]
fn unsigned_strategies_are_refused_when_the_policy_says_so() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
    let mut store = mesh();
    let policy = format!(r#"{{"require_signed":true,"trusted_keys":["{}"]}}"#, hex(pair.public_key().as_ref()));
    write(&mut store, &[put("policy/mesh", &policy)]).unwrap();
    let digest = Digest([3; 32]);
    let good = hex(pair.sign(&digest.0).as_ref());
    let check = |signature: Option<&str>, expected: bool| {
        let signature = signature.map(|it| format!(r#","signature":"{it}""#)).unwrap_or_default();
        let json = format!(r#"{{"digest":"{digest}","size_bytes":9,"version":"1"{signature}}}"#);
        let found = run(&store, &[put("strategy/s", &json)], None);
        assert_eq!(found.is_ok(), expected, "{found:?}");
        assert!(expected || matches!(found, Err(Refusal::Unsigned { .. })));
    };
    check(None, false);
    check(Some(&"00".repeat(64)), false);
    check(Some(&good), true);
}

#[test]
fn what_a_decision_rests_on_must_not_have_changed() {
    let mut store = mesh();
    let plan = run(&store, &[put("drain/node-7", r#"{"mode":"cordon"}"#)], None).unwrap();
    write(&mut store, &[put("policy/mesh", r#"{"require_reason":true}"#)]).unwrap();
    let command =
        Command { id: RequestId(77), actor: ada(), at: Timestamp(0), level: 1, reason: None, ops: plan.ops() };
    assert!(matches!(apply(&mut store, &command), Outcome::Conflict { key, .. } if key.kind == Kind::Policy));
}
