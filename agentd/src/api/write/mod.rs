//! A write as a decision: what was asked and the store in, the operations or the refusal out. Pure.
//!
//! Merging and the fields that only the server sets are in [`own`]; rules across objects are in [`rules`].

mod own;
mod rules;
mod signed;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use mesh_core::{
    id::{Digest, Principal, Revision},
    kind::{Kind, Spec, SpecError, canonical, parse},
    object::{Key, Object},
    store::{Expect, Op, Store},
    time::Timestamp,
};

/// One change as it was asked for.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which object.
    pub key: Key,
    /// What to do with it.
    pub change: Wanted,
    /// The client's condition; without one, the state the plan was made from.
    pub expect: Option<Expect>,
}

/// What is wanted of an object.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// It is this; with `merge`, top-level fields that are absent keep what they have.
    Spec {
        /// JSON.
        json: Bytes,
        /// Whether absent fields are kept.
        merge: bool,
    },
    /// It is gone.
    Gone,
}

/// Who asks, when, and why.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who.
    pub by: &'a Principal,
    /// When, by the clock of the accepting coordinator.
    pub at: Timestamp,
    /// Why, as far as given.
    pub reason: Option<&'a str>,
}

/// One change as it will be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Which object.
    pub key: Key,
    /// What is there now.
    pub before: Option<Arc<Object>>,
    /// Its spec afterwards, canonical; `None` = deleted.
    pub after: Option<Bytes>,
    /// On which condition.
    pub expect: Expect,
}

impl Step {
    /// What it comes to: created, changed, unchanged or deleted.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match (&self.before, &self.after) {
            (_, None) => "deleted",
            (None, Some(_)) => "created",
            (Some(before), Some(after)) if before.spec == *after => "unchanged",
            (Some(_), Some(_)) => "changed",
        }
    }
}

/// What a write comes to.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The changes, in the order they were asked for.
    pub steps: Vec<Step>,
    /// Objects that the decision rests on: they must not have changed when it takes effect.
    guards: BTreeMap<Key, Arc<Object>>,
    /// Blobs that must be on this coordinator.
    pub blobs: Vec<Digest>,
}

impl Plan {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_noop(&self) -> bool {
        self.steps.iter().all(|step| step.action() == "unchanged")
    }

    /// The operations of one command: all or nothing.
    #[must_use]
    pub fn ops(&self) -> Vec<Op> {
        let step = |step: &Step| match &step.after {
            Some(spec) => Op::Put { key: step.key.clone(), spec: spec.clone(), expect: step.expect },
            None => Op::Delete { key: step.key.clone(), expect: step.expect },
        };
        let guard = |(key, object): (&Key, &Arc<Object>)| Op::Put {
            key: key.clone(),
            spec: object.spec.clone(),
            expect: Expect::At(object.revision),
        };
        let named = |key: &Key| self.steps.iter().any(|step| step.key == *key);
        let guards = self.guards.iter().filter(|(key, _)| !named(key)).map(guard);
        self.steps.iter().map(step).chain(guards).collect()
    }
}

/// Why a write is refused; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A spec is wrong.
    #[error("{key}: {source}")]
    Spec {
        /// Of which object.
        key: Key,
        /// What is wrong.
        source: SpecError,
    },
    /// A spec is no JSON object.
    #[error("{key}: the spec is not a JSON object: {reason}")]
    Json {
        /// Of which object.
        key: Key,
        /// What the parser says.
        reason: String,
    },
    /// The client's condition does not hold.
    #[error("{key} is {}, not {}: read it again", found.map_or("absent".to_owned(), |it| format!("at revision {it}")), wanted(*expected))]
    Conflict {
        /// Of which object.
        key: Key,
        /// What the client expected.
        expected: Expect,
        /// What is there.
        found: Option<Revision>,
    },
    /// There is no such object.
    #[error("there is no {0}")]
    NotFound(Key),
    /// A rule of the mesh forbids it.
    #[error("{key}: {rule}")]
    Rule {
        /// Of which object.
        key: Key,
        /// The rule, and what would satisfy it.
        rule: String,
    },
    /// The request contradicts itself or names what cannot be written.
    #[error("{key}: {reason}")]
    Invalid {
        /// Of which object.
        key: Key,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A signature is missing or not trusted.
    #[error("{key}: {reason}")]
    Unsigned {
        /// Of which object.
        key: Key,
        /// What is missing.
        reason: String,
    },
}

fn wanted(expected: Expect) -> String {
    match expected {
        Expect::Any => "anything".to_owned(),
        Expect::Absent => "absent".to_owned(),
        Expect::At(revision) => format!("at revision {revision}"),
    }
}

/// Decides what a write comes to on this store.
///
/// # Errors
/// [`Refusal`] naming the first object that cannot be written as asked.
pub fn plan(store: &Store, items: &[Item], asked: Asked<'_>) -> Result<Plan, Refusal> {
    let mut draft = Draft { store, plan: Plan::default(), asked };
    for item in items {
        if draft.plan.steps.iter().any(|step| step.key == item.key) {
            return Err(Refusal::Invalid { key: item.key.clone(), reason: "is named twice: name it once".to_owned() });
        }
        let step = draft.step(item)?;
        draft.plan.steps.push(step);
    }
    rules::check(&mut draft)?;
    Ok(draft.plan)
}

/// The spec of one of the first objects of a mesh, completed and canonical.
///
/// # Errors
/// [`Refusal`] saying what is wrong with it.
pub fn initial(key: &Key, json: &[u8], asked: Asked<'_>) -> Result<Bytes, Refusal> {
    spec(key, json, None, (None, asked))
}

fn spec(
    key: &Key,
    json: &[u8],
    base: Option<&Object>,
    (old, asked): (Option<&Object>, Asked<'_>),
) -> Result<Bytes, Refusal> {
    let fields = own::complete(own::fields(key, json, base)?, key, old, asked);
    let text =
        serde_json::to_vec(&fields).map_err(|error| Refusal::Json { key: key.clone(), reason: error.to_string() })?;
    canonical(key.kind, &key.name, &text).map_err(|source| Refusal::Spec { key: key.clone(), source })
}

/// A plan in the making, over the store it is made from.
struct Draft<'a> {
    store: &'a Store,
    plan: Plan,
    asked: Asked<'a>,
}

impl Draft<'_> {
    fn step(&mut self, item: &Item) -> Result<Step, Refusal> {
        let before = self.store.get(&item.key).cloned();
        let found = before.as_ref().map(|it| it.revision);
        let now = found.map_or(Expect::Absent, Expect::At);
        if let Some(expected) = item.expect.filter(|it| *it != Expect::Any && *it != now) {
            return Err(Refusal::Conflict { key: item.key.clone(), expected, found });
        }
        let after = match &item.change {
            Wanted::Gone if before.is_none() => return Err(Refusal::NotFound(item.key.clone())),
            Wanted::Gone => None,
            Wanted::Spec { json, merge } => {
                let old = before.as_deref();
                Some(spec(&item.key, json, old.filter(|_| *merge), (old, self.asked))?)
            }
        };
        Ok(Step { key: item.key.clone(), before, after, expect: now })
    }

    /// An object as it will be, and as it guards the decision when this write does not touch it.
    fn future<S: Spec>(&mut self, key: &Key) -> Option<S> {
        if let Some(step) = self.plan.steps.iter().find(|step| step.key == *key) {
            return parse(step.after.as_ref()?).ok();
        }
        let object = self.store.get(key)?;
        self.plan.guards.insert(key.clone(), Arc::clone(object));
        parse(&object.spec).ok()
    }

    fn is_touched(&self, kind: Kind) -> bool {
        self.plan.steps.iter().any(|step| step.key.kind == kind)
    }
}

#[cfg(test)]
mod tests;
