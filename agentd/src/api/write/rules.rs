//! Rules that look beyond one spec: what must exist, what must stay, what needs a reason or a signature.

use bytes::Bytes;
use mesh_core::{
    id::ObjectName,
    kind::{
        ACTIVE, ActivationSpec, BindingSpec, Brain, DrainSpec, Kind, MESH_POLICY, NodeSpec, OperatorRole, PolicySpec,
        Role, StrategySpec, parse,
    },
    object::Key,
    rbac::keeps_an_admin,
};

use super::{Draft, Refusal, Step};

/// Checks every step of a draft and adds what the decision rests on to its guards.
pub(super) fn check(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let steps = draft.plan.steps.clone();
    for step in steps.iter().filter(|step| step.action() != "unchanged") {
        match step.key.kind {
            Kind::Drain => drain(draft, step)?,
            Kind::Strategy => strategy(draft, step)?,
            Kind::Activation => activation(draft, step)?,
            Kind::Node => node(step)?,
            Kind::Token if step.after.is_some() => {
                return Err(invalid(step, "tokens are made by `mesh token create`, which shows the secret once"));
            }
            Kind::Token | Kind::Policy | Kind::Binding | Kind::Revocation => {}
        }
    }
    if draft.is_touched(Kind::Binding) || draft.is_touched(Kind::Revocation) { admins(draft) } else { Ok(()) }
}

fn rule(step: &Step, rule: impl Into<String>) -> Refusal {
    Refusal::Rule { key: step.key.clone(), rule: rule.into() }
}

fn invalid(step: &Step, reason: impl Into<String>) -> Refusal {
    Refusal::Invalid { key: step.key.clone(), reason: reason.into() }
}

/// The key of a kind that has one object.
fn the_one(kind: Kind, name: &'static str) -> Key {
    Key::new(kind, ObjectName::new(name).expect("the names of single objects are legal constants"))
}

fn policy(draft: &mut Draft<'_>) -> PolicySpec {
    draft.future(&the_one(Kind::Policy, MESH_POLICY)).unwrap_or_default()
}

fn drain(draft: &mut Draft<'_>, step: &Step) -> Result<(), Refusal> {
    let Some(after) = &step.after else {
        return Ok(());
    };
    let node = Key::new(Kind::Node, step.key.name.clone());
    draft.future::<NodeSpec>(&node).ok_or(Refusal::NotFound(node))?;
    let reason = parse::<DrainSpec>(after).ok().and_then(|it| it.reason).unwrap_or_default();
    if reason.contains(char::is_control) {
        return Err(invalid(step, "field `reason` must be one line without control characters"));
    }
    if policy(draft).require_reason && reason.trim().is_empty() {
        return Err(rule(step, "the mesh's policy asks for a reason: say it with --reason"));
    }
    Ok(())
}

fn strategy(draft: &mut Draft<'_>, step: &Step) -> Result<(), Refusal> {
    if let Some(spec) = step.after.as_ref().and_then(|it| parse::<StrategySpec>(it).ok()) {
        let policy = policy(draft);
        draft.plan.blobs.push(spec.digest);
        return super::signed::check(&policy, &spec)
            .map_err(|reason| Refusal::Unsigned { key: step.key.clone(), reason });
    }
    let active = the_one(Kind::Activation, ACTIVE);
    let in_use = |it: ActivationSpec| {
        [&it.active, &it.previous]
            .iter()
            .any(|brain| brain.digest().is_some() && brain.name() == step.key.name.as_str())
    };
    if draft.future(&active).is_some_and(in_use) {
        return Err(rule(step, "is active, or where a rollback leads: deploy another strategy twice, then remove it"));
    }
    Ok(())
}

fn activation(draft: &mut Draft<'_>, step: &Step) -> Result<(), Refusal> {
    let Some(after) = step.after.as_ref().and_then(|it| parse::<ActivationSpec>(it).ok()) else {
        return Err(invalid(step, "a mesh always has an active strategy: deploy another one instead"));
    };
    let Brain::Wasm { name, digest, .. } = &after.active else {
        return Ok(());
    };
    draft.plan.blobs.push(*digest);
    let before = step.before.as_ref().and_then(|it| parse::<ActivationSpec>(&it.spec).ok());
    if before.is_some_and(|it| it.active == after.active || it.previous == after.active) {
        return Ok(());
    }
    let key = Key::new(Kind::Strategy, name.clone());
    let spec = draft.future::<StrategySpec>(&key).ok_or_else(|| Refusal::NotFound(key.clone()))?;
    if spec.digest != *digest {
        return Err(invalid(step, format!("{key} has digest {}, not {}", spec.digest.short(), digest.short())));
    }
    Ok(())
}

/// Who votes is decided where the voters are made; a change of the object alone would only hide it.
fn node(step: &Step) -> Result<(), Refusal> {
    let spec = |json: &[u8]| parse::<NodeSpec>(json).ok();
    let before = step.before.as_ref().and_then(|it| spec(&it.spec));
    let after = step.after.as_ref().and_then(|it| spec(it));
    match (before, after) {
        (Some(before), None) if before.voter.is_some() => Err(rule(step, "is a coordinator: its vote is needed")),
        (Some(before), Some(after)) if before.voter != after.voter => {
            Err(invalid(step, "field `voter` cannot be changed by a write"))
        }
        (Some(before), Some(after)) if before.voter.is_some() && before.api != after.api => {
            Err(invalid(step, "field `api`: the other coordinators know this one by its address"))
        }
        (None, Some(after)) if after.is(Role::Coordinator) => {
            Err(invalid(step, "coordinators are made when the mesh is made"))
        }
        _ => Ok(()),
    }
}

/// Somebody must stay who can let others in.
fn admins(draft: &mut Draft<'_>) -> Result<(), Refusal> {
    let steps = draft.plan.steps.iter().filter(|step| matches!(step.key.kind, Kind::Binding | Kind::Revocation));
    let changes: Vec<(Key, Option<Bytes>)> = steps.map(|step| (step.key.clone(), step.after.clone())).collect();
    let Some((key, _)) = changes.first().filter(|_| !keeps_an_admin(draft.store, &changes)) else {
        // Those who stay must still be there when this takes effect.
        let stay = draft.store.list(Kind::Binding).filter(|it| changes.iter().all(|(key, _)| *key != it.key));
        let stay: Vec<Key> = stay.filter(|it| is_admin(&it.spec)).map(|it| it.key.clone()).collect();
        for key in stay {
            draft.future::<BindingSpec>(&key);
        }
        return Ok(());
    };
    Err(Refusal::Rule {
        key: key.clone(),
        rule: "the mesh would have no admin left: bind another one first".to_owned(),
    })
}

fn is_admin(spec: &[u8]) -> bool {
    parse::<BindingSpec>(spec).is_ok_and(|it| it.role == OperatorRole::Admin)
}
