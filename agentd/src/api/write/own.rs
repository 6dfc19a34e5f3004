//! The spec that is stored: what the client sent, merged, with the fields that only the server sets.

use mesh_core::{
    kind::{DEADLINE_DEFAULT_MS, Kind},
    object::{Key, Object},
};
use serde_json::{Map, Value};

use super::{Asked, Refusal};

type Fields = Map<String, Value>;

/// Reads a spec's fields; with `base`, top-level fields that are absent keep what the object has, and `null` removes one (RFC 7396).
pub(super) fn fields(key: &Key, json: &[u8], base: Option<&Object>) -> Result<Fields, Refusal> {
    let read = |json: &[u8]| {
        serde_json::from_slice::<Fields>(json)
            .map_err(|error| Refusal::Json { key: key.clone(), reason: error.to_string() })
    };
    let patch = read(json)?;
    let Some(base) = base else {
        return Ok(patch);
    };
    let mut merged = read(&base.spec)?;
    for (name, value) in patch {
        if value.is_null() {
            merged.remove(&name);
        } else {
            merged.insert(name, value);
        }
    }
    Ok(merged)
}

/// Sets what a client cannot set: who, when, counters.
pub(super) fn complete(mut fields: Fields, key: &Key, old: Option<&Object>, asked: Asked<'_>) -> Fields {
    let old: Option<Fields> = old.and_then(|it| serde_json::from_slice(&it.spec).ok());
    match key.kind {
        Kind::Drain => drain(&mut fields, old.as_ref(), asked),
        Kind::Activation => activation(&mut fields, old.as_ref()),
        Kind::Node => node(&mut fields, old.as_ref()),
        Kind::Strategy | Kind::Token | Kind::Policy | Kind::Binding | Kind::Revocation => {}
    }
    if matches!(key.kind, Kind::Drain | Kind::Activation | Kind::Strategy) {
        sign(&mut fields, old.as_ref(), asked);
    }
    fields
}

/// Writes `by` and `at`: of this write, or of the old one when nothing else changes.
fn sign(fields: &mut Fields, old: Option<&Fields>, asked: Asked<'_>) {
    for name in ["by", "at"] {
        fields.remove(name);
    }
    let same = |old: &&Fields| {
        old.iter().all(|(name, value)| ["by", "at"].contains(&name.as_str()) || fields.get(name) == Some(value))
    };
    let unchanged = old.filter(same).filter(|old| fields.keys().all(|name| old.contains_key(name)));
    let of_old = |name: &str| unchanged.and_then(|old| old.get(name).cloned());
    let by = of_old("by").unwrap_or_else(|| asked.by.to_string().into());
    let at = of_old("at").unwrap_or_else(|| asked.at.to_string().into());
    fields.insert("by".to_owned(), by);
    fields.insert("at".to_owned(), at);
}

fn drain(fields: &mut Fields, old: Option<&Fields>, asked: Asked<'_>) {
    fields.entry("kind").or_insert_with(|| "operator".into());
    fields.entry("force").or_insert(Value::Bool(false));
    if let Some(reason) = asked.reason {
        fields.entry("reason").or_insert_with(|| reason.into());
    }
    // Only the leader finds a node drained, and only as long as it stays wanted so.
    fields.remove("drained_at");
    if fields.get("mode").and_then(Value::as_str) != Some("drain") {
        fields.remove("deadline");
        fields.insert("force".to_owned(), Value::Bool(false));
        return;
    }
    fields.entry("deadline").or_insert_with(|| asked.at.plus_ms(DEADLINE_DEFAULT_MS).to_string().into());
    if let Some(drained_at) = old.and_then(|old| old.get("drained_at")) {
        fields.insert("drained_at".to_owned(), drained_at.clone());
    }
}

fn activation(fields: &mut Fields, old: Option<&Fields>) {
    let Some(old) = old else {
        fields.insert("seq".to_owned(), 1.into());
        let active = fields.get("active").cloned();
        fields.entry("previous").or_insert(active.unwrap_or(Value::Null));
        return;
    };
    let seq = old.get("seq").and_then(Value::as_u64).unwrap_or(0);
    fields.insert("seq".to_owned(), (seq + 1).into());
    // What was active before is where a rollback leads; activating the same code again does not lose that.
    let before = if fields.get("active") == old.get("active") { "previous" } else { "active" };
    fields.insert("previous".to_owned(), old.get(before).cloned().unwrap_or(Value::Null));
}

/// An incarnation is given at a join and never by a client.
fn node(fields: &mut Fields, old: Option<&Fields>) {
    match old.and_then(|old| old.get("incarnation")) {
        Some(incarnation) => {
            fields.insert("incarnation".to_owned(), incarnation.clone());
        }
        None => {
            fields.entry("incarnation").or_insert(1.into());
        }
    }
}
