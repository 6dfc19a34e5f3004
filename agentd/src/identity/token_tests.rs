//! Every way a token can fail, and what a join writes.

use mesh_core::{
    id::{Lineage, RequestId},
    kind::TokenUse,
    store::{Command, Outcome, apply},
};

use super::*;

const MINUTE: u64 = 60_000;

fn token() -> JoinToken {
    JoinToken { id: ObjectName::new("t-1").unwrap(), secret: Digest([5; 32]), root: Digest([6; 32]) }
}

fn spec(uses: &[(&str, u8, u64)]) -> TokenSpec {
    let used = |(node, key, at): &(&str, u8, u64)| TokenUse {
        node: ObjectName::new(*node).unwrap(),
        key: Digest([*key; 32]),
        at: Timestamp(*at),
    };
    TokenSpec {
        secret_hash: token().secret_hash(),
        nodes: "gpu-*".to_owned(),
        roles: [Role::Gpu].into(),
        expires: Timestamp(60 * MINUTE),
        uses_max: 2,
        uses: uses.iter().map(used).collect(),
        by: "spiffe://lab/operator/ada".parse().unwrap(),
        at: Timestamp(0),
    }
}

fn joiner(node: &str, key: u8) -> Joiner {
    Joiner { node: NodeName::new(node).unwrap(), key: Digest([key; 32]) }
}

#[test]
fn tokens_are_read_and_written() {
    let made = JoinToken::make(Digest([7; 32])).unwrap();
    assert_eq!(made.reveal().parse::<JoinToken>().unwrap(), made);
    assert!(!format!("{made:?}").contains(&made.secret.to_string()), "a token in a log shows no secret");
    assert_ne!(made.secret, JoinToken::make(Digest([7; 32])).unwrap().secret);
    let check = |text: &str, part: &str| {
        let error = text.parse::<JoinToken>().unwrap_err().to_string();
        assert!(error.contains(part), "{error} lacks {part}");
    };
    check("", "does not begin");
    check("mesh-join.v2.a.b.c", "does not begin");
    check("mesh-join.v1.a.b", "three parts");
    check("mesh-join.v1.A.b.c", "id");
    check("mesh-join.v1.a.b.c", "secret");
    check(&format!("mesh-join.v1.a.{}.c", "0".repeat(64)), "fingerprint");
}

#[test]
fn each_refusal_names_its_cause() {
    let check = |uses: &[(&str, u8, u64)], who: &Joiner, at: u64, expected: &str| {
        let found = match spend(&token().id, &spec(uses), who, Timestamp(at)) {
            Ok(Spent::Before) => "again".to_owned(),
            Ok(Spent::Now(spent)) => {
                let last = spent.uses.last().unwrap();
                assert_eq!((spent.uses.len(), last.key, last.at), (uses.len() + 1, who.key, Timestamp(at)));
                "spent".to_owned()
            }
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "`{found}` lacks `{expected}`");
    };
    check(&[], &joiner("gpu-1", 1), MINUTE, "spent");
    check(&[("gpu-1", 1, MINUTE)], &joiner("gpu-2", 2), 2 * MINUTE, "spent");
    check(
        &[("gpu-1", 1, MINUTE), ("gpu-2", 2, 2 * MINUTE)],
        &joiner("gpu-3", 3),
        3 * MINUTE,
        "was used by `gpu-2` at 1970-01-01T00:02:00",
    );
    check(&[("gpu-1", 1, MINUTE), ("gpu-2", 2, 2 * MINUTE)], &joiner("gpu-1", 1), 11 * MINUTE, "again");
    check(&[("gpu-1", 1, MINUTE), ("gpu-2", 2, 2 * MINUTE)], &joiner("gpu-1", 1), 12 * MINUTE, "was used by");
    check(&[("gpu-1", 1, 55 * MINUTE)], &joiner("gpu-1", 1), 61 * MINUTE, "again");
    check(&[("gpu-1", 1, MINUTE)], &joiner("gpu-1", 9), 2 * MINUTE, "spent");
    check(
        &[],
        &joiner("gpu-1", 1),
        60 * MINUTE,
        "expired at 1970-01-01T01:00:00.000Z, and it is 1970-01-01T01:00:00.000Z here",
    );
    check(&[], &joiner("cpu-1", 1), MINUTE, "for nodes named `gpu-*`, not for `cpu-1`");
}

fn put(store: &mut Store, id: u128, ops: Vec<Op>) -> Outcome {
    let actor = "spiffe://lab/operator/ada".parse().unwrap();
    apply(store, &Command { id: RequestId(id), actor, at: Timestamp(1), level: 1, reason: None, ops })
}

fn addresses() -> NodeSpec {
    NodeSpec {
        address: "10.0.0.9".into(),
        api: "10.0.0.9:7443".into(),
        gossip: "10.0.0.9:7946".into(),
        ..NodeSpec::default()
    }
}

#[test]
fn a_join_spends_the_token_and_lists_the_node_in_one_write() {
    let mut store = Store::new(Lineage(0));
    let key = Key::new(Kind::Token, token().id);
    put(&mut store, 1, vec![Op::Put { key, spec: write(&spec(&[])), expect: Expect::Any }]);
    let who = joiner("gpu-1", 1);
    let plan = enrol(&store, &token(), &who, addresses(), Timestamp(MINUTE)).unwrap();
    assert_eq!((plan.ops.len(), plan.incarnation), (2, 1));
    assert!(matches!(put(&mut store, 2, plan.ops.clone()), Outcome::Done { .. }));
    assert!(
        matches!(put(&mut store, 3, plan.ops), Outcome::Conflict { .. }),
        "two joins on one state: the second is planned anew"
    );

    let again = enrol(&store, &token(), &who, addresses(), Timestamp(2 * MINUTE)).unwrap();
    assert!(again.ops.is_empty() && again.incarnation == 1);
    let reimaged = enrol(&store, &token(), &joiner("gpu-1", 2), addresses(), Timestamp(2 * MINUTE)).unwrap();
    assert_eq!(reimaged.incarnation, 2);

    let wrong = JoinToken { secret: Digest([8; 32]), ..token() };
    assert_eq!(enrol(&store, &wrong, &who, addresses(), Timestamp(MINUTE)), Err(TokenRefusal::Unknown(token().id)));
    let other = JoinToken { id: ObjectName::new("t-2").unwrap(), ..token() };
    assert!(matches!(enrol(&store, &other, &who, addresses(), Timestamp(MINUTE)), Err(TokenRefusal::Unknown(_))));
    let nowhere = NodeSpec { api: "here".into(), ..addresses() };
    assert!(matches!(
        enrol(&store, &token(), &joiner("gpu-2", 3), nowhere, Timestamp(MINUTE)),
        Err(TokenRefusal::Node(_))
    ));
}

#[test]
fn a_token_does_not_replace_a_coordinator() {
    let mut store = Store::new(Lineage(0));
    let voter = NodeSpec { roles: [Role::Coordinator].into(), voter: Some(1), ..addresses() };
    let name = NodeName::new("gpu-1").unwrap();
    put(
        &mut store,
        1,
        vec![
            Op::Put { key: Key::new(Kind::Token, token().id), spec: write(&spec(&[])), expect: Expect::Any },
            Op::Put { key: Key::new(Kind::Node, name.clone()), spec: write(&voter), expect: Expect::Any },
        ],
    );
    assert_eq!(
        enrol(&store, &token(), &joiner("gpu-1", 1), addresses(), Timestamp(1)),
        Err(TokenRefusal::Coordinator(name))
    );
}
