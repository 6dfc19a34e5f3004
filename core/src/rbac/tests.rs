//! The table of roles and RPCs, and what a denial says.

use super::*;
use crate::{
    id::{Lineage, MeshName, RequestId},
    store::{Command, Expect, Op, apply},
    time::Timestamp,
};

fn id(text: &str) -> Principal {
    format!("spiffe://lab/{text}").parse().unwrap()
}

fn caller(role: Role) -> Caller {
    let id = match role {
        Role::Anonymous => None,
        Role::Node | Role::Late => Some(id("node/node-7")),
        Role::Router => Some(id("router/node-4")),
        Role::Founder | Role::Unbound | Role::Viewer | Role::Operator | Role::Admin => Some(id("operator/ada")),
    };
    Caller { id, role }
}

fn allowed(role: Role, ask: &Ask<'_>) -> bool {
    matches!(decide(&caller(role), ask), Decision::Allow(_))
}

fn store(objects: &[(Kind, &str, &str)]) -> Store {
    let mut store = Store::new(Lineage(0));
    let put = |(kind, name, json): &(Kind, &str, &str)| {
        let name = ObjectName::new(*name).unwrap();
        Op::Put {
            spec: kind::canonical(*kind, &name, json.as_bytes()).unwrap(),
            key: Key::new(*kind, name),
            expect: Expect::Any,
        }
    };
    let ops = objects.iter().map(put).collect();
    let actor = Principal::operator(&MeshName::new("lab").unwrap(), ObjectName::new("ada").unwrap());
    apply(&mut store, &Command { id: RequestId(1), actor, at: Timestamp(1), level: 1, reason: None, ops });
    store
}

#[test]
fn every_role_and_every_rpc() {
    let mut matrix = String::new();
    for rpc in RPCS {
        let may = |role: &&Role| allowed(**role, &Ask { verb: rpc.verb, thing: rpc.thing, name: None });
        let roles: Vec<&str> = Role::ALL.iter().filter(may).map(|it| it.as_str()).collect();
        matrix.push_str(&format!("{:28} {}\n", rpc.path.trim_start_matches("/mesh.v1."), roles.join(", ")));
    }
    insta::assert_snapshot!(matrix);
}

#[test]
fn the_table_of_rpcs_is_sorted_for_search() {
    assert!(RPCS.is_sorted_by(|a, b| a.path < b.path));
    assert!(rpc_of("/mesh.v1.Objects/Apply").is_some());
    assert!(rpc_of("/mesh.v1.Objects/Format").is_none());
}

#[test]
fn changes_of_objects_need_the_kind() {
    let check = |role, verb, kind, name: &str, expected: bool| {
        let name = ObjectName::new(name).unwrap();
        assert_eq!(
            allowed(role, &Ask { verb, thing: Thing::Kind(kind), name: Some(&name) }),
            expected,
            "{role:?} {verb:?} {kind}/{name}"
        );
    };
    check(Role::Operator, Verb::Write, Kind::Drain, "node-7", true);
    check(Role::Operator, Verb::Delete, Kind::Drain, "node-7", true);
    check(Role::Operator, Verb::Write, Kind::Activation, "active", true);
    check(Role::Operator, Verb::Write, Kind::Binding, "ada", false);
    check(Role::Operator, Verb::Write, Kind::Token, "t", false);
    check(Role::Operator, Verb::Write, Kind::Policy, "mesh", false);
    check(Role::Operator, Verb::Write, Kind::Revocation, "r", false);
    check(Role::Admin, Verb::Write, Kind::Binding, "ada", true);
    check(Role::Admin, Verb::Delete, Kind::Token, "t", true);
    check(Role::Viewer, Verb::Read, Kind::Binding, "ada", true);
    check(Role::Viewer, Verb::Write, Kind::Drain, "node-7", false);
    check(Role::Node, Verb::Write, Kind::Node, "node-7", true);
    check(Role::Node, Verb::Write, Kind::Node, "node-6", false);
    check(Role::Node, Verb::Delete, Kind::Node, "node-7", false);
    check(Role::Node, Verb::Write, Kind::Drain, "node-7", false);
    check(Role::Router, Verb::Write, Kind::Node, "node-4", false);
    check(Role::Unbound, Verb::Read, Kind::Node, "node-7", false);
}

#[test]
fn a_router_reports_to_its_own_host_only() {
    let check = |name: &str, expected: bool| {
        let name = ObjectName::new(name).unwrap();
        assert_eq!(
            allowed(Role::Router, &Ask { verb: Verb::Report, thing: Thing::RouterReports, name: Some(&name) }),
            expected,
            "{name}"
        );
    };
    check("node-4", true);
    check("node-5", false);
}

#[test]
fn a_denial_names_the_nearest_rule_and_who_may() {
    let check = |role, verb, thing, name: &str, expected: &str| {
        let name = ObjectName::new(name).unwrap();
        match decide(&caller(role), &Ask { verb, thing, name: Some(&name) }) {
            Decision::Deny(denial) => assert_eq!(denial.to_string(), expected),
            Decision::Allow(rule) => panic!("allowed by {}", rule.id),
        }
    };
    check(
        Role::Viewer,
        Verb::Write,
        Thing::Kind(Kind::Node),
        "node-7",
        "denied: `spiffe://lab/operator/ada` (viewer) may not write node/node-7: rule `members-look` is nearest and lacks the verb write; who may: operator, admin",
    );
    check(
        Role::Operator,
        Verb::Write,
        Thing::Kind(Kind::Binding),
        "bob",
        "denied: `spiffe://lab/operator/ada` (operator) may not write binding/bob: rule `operators-work` is nearest and allows write on nodes, drains, strategies, activations, blobs; who may: admin",
    );
    check(
        Role::Node,
        Verb::Write,
        Thing::Kind(Kind::Node),
        "node-6",
        "denied: `spiffe://lab/node/node-7` (node) may not write node/node-6: rule `nodes-write-themselves` is nearest and allows it for what carries the caller's own name; who may: operator, admin",
    );
    check(
        Role::Unbound,
        Verb::Read,
        Thing::Kind(Kind::Node),
        "node-6",
        "denied: `spiffe://lab/operator/ada` (no binding) may not read node/node-6: no rule is about this role; who may: viewer, operator, admin, node, router",
    );
}

#[test]
fn roles_come_from_bindings() {
    let empty = Store::new(Lineage(0));
    let bound = store(&[(Kind::Binding, "ada", r#"{"role":"admin"}"#), (Kind::Binding, "vic", r#"{"role":"viewer"}"#)]);
    let check = |who: &str, store: &Store, expected| assert_eq!(role_of(Some(&id(who)), store), expected, "{who}");
    check("operator/ada", &empty, Role::Founder);
    check("operator/ada", &bound, Role::Admin);
    check("operator/vic", &bound, Role::Viewer);
    check("operator/eve", &bound, Role::Unbound);
    check("node/ada", &bound, Role::Node);
    check("router/ada", &bound, Role::Router);
    assert_eq!(role_of(None, &bound), Role::Anonymous);
}

#[test]
fn the_last_admin_stays() {
    let before =
        store(&[(Kind::Binding, "ada", r#"{"role":"admin"}"#), (Kind::Binding, "vic", r#"{"role":"viewer"}"#)]);
    let check = |changes: &[(Kind, &str, Option<&'static str>)], expected: bool| {
        let change = |(kind, name, spec): &(Kind, &str, Option<&'static str>)| {
            (Key::new(*kind, ObjectName::new(*name).unwrap()), spec.map(|it| Bytes::from_static(it.as_bytes())))
        };
        let list: Vec<_> = changes.iter().map(change).collect();
        assert_eq!(keeps_an_admin(&before, &list), expected, "{changes:?}");
    };
    check(&[], true);
    check(&[(Kind::Binding, "vic", None)], true);
    check(&[(Kind::Binding, "ada", None)], false);
    check(&[(Kind::Binding, "ada", Some(r#"{"role":"viewer"}"#))], false);
    check(&[(Kind::Binding, "ada", None), (Kind::Binding, "vic", Some(r#"{"role":"admin"}"#))], true);
    check(&[(Kind::Revocation, "r", Some(r#"{"id":"spiffe://lab/operator/ada","reason":"lost"}"#))], false);
    check(&[(Kind::Revocation, "r", Some(r#"{"id":"spiffe://lab/node/ada","reason":"lost"}"#))], true);
    assert!(keeps_an_admin(&Store::new(Lineage(0)), &[]));
}
