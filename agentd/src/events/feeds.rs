//! Where events come from: changes of desired state, phases of nodes, the leader, the gossip ring.
//!
//! Each feed is a task of its own and runs until its source ends.

use std::{collections::BTreeMap, sync::Arc};

use mesh_core::{
    id::{NodeName, Revision},
    kind::{ActivationSpec, DrainMode, DrainSpec, Kind, parse},
    object::Key,
    status::Phase,
    store::{Change, Edit, Store},
};
use tokio::sync::watch;

use super::{Events, Severity};
use crate::{
    gossip::RingHealth,
    observe::Observed,
    raft::{Health, RaftStatus},
};

/// Turns every change of desired state into events, from the revision at the start on.
pub async fn changes(events: Events, mut store: watch::Receiver<Arc<Store>>) {
    let mut seen = store.borrow_and_update().revision();
    while store.changed().await.is_ok() {
        let now = Arc::clone(&store.borrow_and_update());
        seen = take_changes(&events, &now, seen);
    }
}

fn take_changes(events: &Events, store: &Store, seen: Revision) -> Revision {
    match store.changes(seen) {
        Ok(changes) => changes.for_each(|change| add_change(events, change)),
        Err(_) => events.record(
            Severity::Info,
            "store/desired",
            format!("desired state came anew as a whole: from revision {seen} to {}", store.revision()),
        ),
    }
    store.revision()
}

fn add_change(events: &Events, change: &Change) {
    let reason = change.reason.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    for edit in &change.edits {
        let (subject, text) = match edit {
            Edit::Put(object) => (object.key.to_string(), describe_put(&object.key, &object.spec)),
            Edit::Delete(key) if key.kind == Kind::Drain => (format!("node/{}", key.name), "uncordoned".to_owned()),
            Edit::Delete(key) => (key.to_string(), "deleted".to_owned()),
            Edit::Level(level) => ("store/desired".to_owned(), format!("feature level raised to {level}")),
        };
        let text = format!("{text} (revision {}){reason}", change.revision);
        events.add(change.at, Severity::Info, (subject, change.actor.to_string()), text);
    }
}

fn describe_put(key: &Key, spec: &[u8]) -> String {
    match key.kind {
        Kind::Drain => match parse::<DrainSpec>(spec) {
            Ok(it) if it.drained_at.is_some() => "drained".to_owned(),
            Ok(it) if it.mode == DrainMode::Cordon => "cordoned".to_owned(),
            Ok(it) if it.force => "draining, requests in flight are cut".to_owned(),
            Ok(_) => "draining".to_owned(),
            Err(error) => format!("written, unreadable here: {error}"),
        },
        Kind::Activation => match parse::<ActivationSpec>(spec) {
            Ok(it) => format!("activation {}: {} decides", it.seq, it.active),
            Err(error) => format!("written, unreadable here: {error}"),
        },
        Kind::Node | Kind::Strategy | Kind::Token | Kind::Policy | Kind::Binding | Kind::Revocation => {
            "written".to_owned()
        }
    }
}

/// Turns every change of a node's phase into an event.
pub async fn phases(events: Events, mut observed: watch::Receiver<Arc<Observed>>) {
    let mut seen: BTreeMap<NodeName, Phase> = BTreeMap::new();
    loop {
        let now = Arc::clone(&observed.borrow_and_update());
        for (node, it) in &now.nodes {
            let before = seen.insert(node.clone(), it.phase);
            let Some(before) = before.filter(|before| *before != it.phase) else {
                continue;
            };
            let severity = if it.phase == Phase::Lost { Severity::Warning } else { Severity::Info };
            events.record(severity, format!("node/{node}"), format!("{before} -> {}", it.phase));
        }
        seen.retain(|node, _| now.nodes.contains_key(node));
        if observed.changed().await.is_err() {
            return;
        }
    }
}

/// Turns a change of leader, a lost quorum and a replica that must not be served into events.
pub async fn leaders(events: Events, mut status: watch::Receiver<RaftStatus>) {
    let mut old = RaftStatus::default();
    loop {
        let now = status.borrow_and_update().clone();
        if let Some((_, peer)) = now.leader.as_ref().filter(|_| now.leader != old.leader || now.term != old.term) {
            events.record(Severity::Info, "mesh/leader", format!("{} leads in term {}", peer.name, now.term));
        }
        match (old.quorum_lost_since, now.quorum_lost_since) {
            (None, Some(_)) => {
                let missing: Vec<&str> = now.missing.iter().map(|it| it.name.as_str()).collect();
                let text = format!("no quorum: writes are refused; missing: {}", missing.join(", "));
                events.record(Severity::Critical, "mesh/quorum", text);
            }
            (Some(_), None) => events.record(Severity::Info, "mesh/quorum", "a quorum is back: writes go on"),
            _ => {}
        }
        if now.health != old.health && now.health != Health::Serving {
            events.record(
                Severity::Critical,
                "mesh/store",
                format!("this coordinator's replica is not served: {:?}", now.health),
            );
        }
        old = now;
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Turns a restart of the gossip ring into an event.
pub async fn ring(events: Events, mut health: watch::Receiver<RingHealth>) {
    loop {
        if let RingHealth::Restarting { reason } = &*health.borrow_and_update() {
            events.record(
                Severity::Warning,
                "mesh/gossip",
                format!("the gossip ring ended and is started again: {reason}"),
            );
        }
        if health.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{
        id::{Lineage, ObjectName, Principal, RequestId},
        store::{Command, Expect, Op, apply},
        time::Timestamp,
    };

    use super::*;

    #[test]
    fn changes_carry_who_and_why() {
        let mut store = Store::new(Lineage(1));
        let actor = Principal::node(&"lab".parse().unwrap(), &NodeName::new("node-1").unwrap());
        let key = Key::new(Kind::Policy, ObjectName::new("mesh").unwrap());
        let mut write = |id: u128, op: Op| {
            let (at, reason) = (Timestamp(5), Some("because".to_owned()));
            apply(
                &mut store,
                &Command { id: RequestId(id), actor: actor.clone(), at, level: 1, reason, ops: vec![op] },
            );
        };
        write(1, Op::Put { key: key.clone(), spec: "{}".into(), expect: Expect::Any });
        write(2, Op::Delete { key, expect: Expect::Any });
        let events = Events::default();
        assert_eq!(take_changes(&events, &store, Revision(0)), Revision(2));
        let texts: Vec<String> =
            events.after(0).iter().map(|it| format!("{} {} {}", it.subject, it.actor, it.text)).collect();
        assert_eq!(
            texts,
            [
                "policy/mesh spiffe://lab/node/node-1 written (revision 1): because",
                "policy/mesh spiffe://lab/node/node-1 deleted (revision 2): because"
            ]
        );
    }
}
