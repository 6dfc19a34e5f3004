//! The hosts.yaml of a bed.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Bed;

/// A valid one for these hosts, as a value that a test may change.
pub(super) fn hosts(bed: &Bed) -> Value {
    let count = bed.hosts().len();
    let coordinators = if count < 4 { 1 } else { 3 };
    let hosts: Vec<Value> = bed
        .hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let role = match index {
                index if index < coordinators => "coordinator",
                index if index == coordinators => "router",
                _ => "gpu",
            };
            json!({"name": host.name(), "address": host.address(), "roles": [role]})
        })
        .collect();
    json!({
        "version": 1,
        "mesh": "bed",
        "defaults": {"ssh": {
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

pub(super) fn text(value: &Value) -> Result<String> {
    serde_yaml::to_string(value).context("write YAML")
}
