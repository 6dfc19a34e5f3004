//! The hosts.yaml of a bed.

use serde_json::{Value, json};

use super::{
    Bed,
    host::{ENGINE_PORT, STANDIN},
};

/// A valid one for these hosts, as a value that a test may change.
pub(super) fn hosts(bed: &Bed) -> Value {
    let count = bed.hosts().len();
    let hosts: Vec<Value> = bed
        .hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let role = role(index, count);
            let mut entry = json!({"name": host.name(), "address": host.address(), "roles": [role]});
            if host.upper().join(STANDIN.trim_start_matches('/')).exists() {
                entry["engines"] = json!([{"kind": "standin", "url": format!("http://{{address}}:{ENGINE_PORT}")}]);
            }
            entry
        })
        .collect();
    json!({
        "version": 1,
        "mesh": "bed",
        "defaults": {"become": {"method": "none"}, "ssh": {
            "user": "root",
            "identity": [bed.key()],
            "agent": false,
            "use_ssh_config": false,
            "known_hosts": [bed.known_hosts()],
            "host_key_policy": "strict",
        }},
        "hosts": hosts,
    })
}

/// What a host is for, by its place among all.
pub(super) fn role(index: usize, count: usize) -> &'static str {
    let coordinators = if count < 4 { 1 } else { 3 };
    match index {
        index if index < coordinators => "coordinator",
        index if index == coordinators => "router",
        _ => "gpu",
    }
}

/// As a person would write it: what matters first, a line for each host.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    for (key, value) in ordered(value, &["version", "mesh"]) {
        match value {
            Value::Array(items) => {
                let lines: String = items.iter().map(|it| format!("  - {}\n", flow(it))).collect();
                text.push_str(&format!("{key}:\n{lines}"));
            }
            Value::Object(_) => {
                let entries = ordered(value, &[]).into_iter();
                let lines: String = entries.map(|(key, value)| format!("  {key}: {}\n", flow(value))).collect();
                text.push_str(&format!("{key}:\n{lines}"));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                text.push_str(&format!("{key}: {}\n", flow(value)));
            }
        }
    }
    text
}

fn ordered<'a>(value: &'a Value, first: &[&str]) -> Vec<(&'a String, &'a Value)> {
    let mut entries: Vec<_> = value.as_object().into_iter().flatten().collect();
    entries.sort_by_key(|(key, _)| first.iter().position(|it| it == key).unwrap_or(first.len()));
    entries
}

/// A value on one line; what YAML could take for something else is in quotes.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(_) => {
            let entries = ordered(value, &["name", "address", "roles"]).into_iter();
            format!(
                "{{{}}}",
                entries.map(|(key, value)| format!("{key}: {}", flow(value))).collect::<Vec<_>>().join(", ")
            )
        }
        Value::String(text) if is_plain(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    let safe = text.chars().all(|it| it.is_ascii_alphanumeric() || "/._-".contains(it));
    safe && text.starts_with(|it: char| it.is_ascii_lowercase() || it == '/')
        && !["true", "false", "null"].contains(&text)
}
