//! The one way a command changes the store: total, atomic, the same on every replica.

use std::sync::Arc;

use super::{
    Store,
    change::{Change, Edit},
    command::{Command, Expect, Op, Outcome, Reason, STORE_BYTES_MAX},
};
use crate::{
    id::Revision,
    object::{Key, Object},
};

/// Applies one command: all of it or nothing, without a clock and without I/O.
///
/// A request that was applied before changes nothing and yields [`Outcome::Repeated`].
/// A command above [`super::LEVEL_SUPPORTED`] is refused here; a replica stops in front of it, as [`Command::decode`] tells it.
pub fn apply(store: &mut Store, command: &Command) -> Outcome {
    store.now = store.now.max(command.at);
    if let Some(first) = store.requests.get(command.id) {
        return Outcome::Repeated(Box::new(first.clone()));
    }
    let before = store.revision;
    let outcome = match plan(store, command) {
        Err(outcome) => outcome,
        Ok(plan) => carry_out(store, command, plan),
    };
    store.requests.remember(command.id, store.now, outcome.clone());
    if store.revision != before {
        store.mark();
    }
    outcome
}

/// What a command comes to once all of its conditions hold.
#[derive(Default)]
struct Plan {
    edits: Vec<Edit>,
    compact: Option<Revision>,
    level: Option<u16>,
}

fn plan(store: &Store, command: &Command) -> Result<Plan, Outcome> {
    command.check().map_err(Outcome::Refused)?;
    let level = store.level;
    if command.level > level {
        return Err(Outcome::Refused(Reason::Level { needed: command.level, level }));
    }
    let mut plan = Plan::default();
    for op in &command.ops {
        plan_op(store, op, &mut plan)?;
    }
    check_growth(store, &plan).map_err(Outcome::Refused)?;
    Ok(plan)
}

fn plan_op(store: &Store, op: &Op, plan: &mut Plan) -> Result<(), Outcome> {
    match op {
        Op::Put { key, spec, expect } => {
            check_expect(store, key, *expect)?;
            if store.get(key).is_none_or(|object| object.spec != *spec) {
                let revision = Revision(store.revision.0 + 1);
                plan.edits.push(Edit::Put(Arc::new(Object { key: key.clone(), revision, spec: spec.clone() })));
            }
        }
        Op::Delete { key, expect } => {
            check_expect(store, key, *expect)?;
            if store.get(key).is_some() {
                plan.edits.push(Edit::Delete(key.clone()));
            }
        }
        Op::Compact { upto } => {
            if *upto > store.revision {
                return Err(Outcome::Refused(Reason::CompactAhead { upto: *upto, revision: store.revision }));
            }
            plan.compact = plan.compact.max(Some(*upto));
        }
        Op::SetLevel(asked) => {
            let level = plan.level.unwrap_or(store.level);
            if *asked < level {
                return Err(Outcome::Refused(Reason::LevelDown { asked: *asked, level }));
            }
            if *asked > super::LEVEL_SUPPORTED {
                return Err(Outcome::Refused(Reason::Level { needed: *asked, level }));
            }
            if *asked > level {
                plan.level = Some(*asked);
                plan.edits.push(Edit::Level(*asked));
            }
        }
        Op::Checkpoint { .. } => {}
    }
    Ok(())
}

fn carry_out(store: &mut Store, command: &Command, plan: Plan) -> Outcome {
    for op in &command.ops {
        if let Op::Checkpoint { revision, record } = op {
            store.compare(*revision, *record);
        }
    }
    let outcome = if plan.edits.is_empty() {
        Outcome::Unchanged { revision: store.revision }
    } else {
        let revision = Revision(store.revision.0 + 1);
        store.commit(Arc::new(Change {
            revision,
            id: command.id,
            actor: command.actor.clone(),
            at: store.now,
            reason: command.reason.clone(),
            edits: plan.edits,
        }));
        Outcome::Done { revision }
    };
    if let Some(upto) = plan.compact {
        store.compact(upto);
    }
    outcome
}

fn check_expect(store: &Store, key: &Key, expect: Expect) -> Result<(), Outcome> {
    let found = store.get(key).map(|object| object.revision);
    let holds = match expect {
        Expect::Any => true,
        Expect::Absent => found.is_none(),
        Expect::At(revision) => found == Some(revision),
    };
    if holds { Ok(()) } else { Err(Outcome::Conflict { key: key.clone(), found }) }
}

/// A store that is full still takes what does not make it larger.
fn check_growth(store: &Store, plan: &Plan) -> Result<(), Reason> {
    let mut bytes = store.bytes;
    for edit in &plan.edits {
        match edit {
            Edit::Put(object) => {
                bytes = (bytes + super::weight(object)).saturating_sub(store.get(&object.key).map_or(0, super::weight));
            }
            Edit::Delete(key) => bytes = bytes.saturating_sub(store.get(key).map_or(0, super::weight)),
            Edit::Level(_) => {}
        }
    }
    if bytes > STORE_BYTES_MAX && bytes > store.bytes { Err(Reason::StoreFull { bytes }) } else { Ok(()) }
}
