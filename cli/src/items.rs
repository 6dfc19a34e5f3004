//! Lists in JSON: `{"schema": "mesh/v1", "items": [{kind, name, revision, spec, status}]}`.

use mesh_core::status::{GpuSample, NodeStatus, Probe};
use mesh_proto::v1;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The version of every machine-readable result.
pub(crate) const SCHEMA: &str = "mesh/v1";

/// One object with what is observed of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Item {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) revision: u64,
    pub(crate) spec: Value,
    /// What is observed; null for kinds of which nothing is.
    pub(crate) status: Value,
}

/// A list of objects.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct List<'a> {
    pub(crate) schema: &'static str,
    pub(crate) items: &'a [Item],
}

impl<'a> List<'a> {
    pub(crate) fn new(items: &'a [Item]) -> Self {
        Self { schema: SCHEMA, items }
    }
}

/// A declared object without observations.
pub(crate) fn object(object: &v1::Object) -> Item {
    Item {
        kind: object.kind.clone(),
        name: object.name.clone(),
        revision: object.revision,
        spec: serde_json::from_slice(&object.spec).unwrap_or(Value::Null),
        status: Value::Null,
    }
}

/// A node with what is observed of it.
pub(crate) fn node(item: &v1::NodeItem) -> Item {
    let declared = item.object.clone().unwrap_or_default();
    let mut status = Map::new();
    status.insert("phase".into(), json!(item.phase));
    status.insert("since".into(), item.since_ms.map_or(Value::Null, time));
    status.insert("age_ms".into(), json!(item.age_ms));
    status.insert("drain".into(), item.drain.as_ref().map_or(Value::Null, |it| object(it).spec));
    status.insert("blockers".into(), json!(item.blockers));
    if let Some(Ok(it)) = item.status.clone().map(NodeStatus::try_from) {
        observed(&it, &mut status);
    }
    let mut status = Value::Object(status);
    in_seconds(&mut status);
    Item { status, ..object(&declared) }
}

fn observed(it: &NodeStatus, into: &mut Map<String, Value>) {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(it) else { return };
    fields.remove("node");
    // A list, or null and the reason: simpler to read than a tagged union.
    let (gpus, why) = match &it.gpus {
        Probe::Read(gpus) => (gpus.iter().map(gpu).collect(), Value::Null),
        Probe::Unavailable(why) => (Value::Null, json!(why)),
    };
    fields.insert("gpus".into(), gpus);
    fields.insert("gpus_unavailable".into(), why);
    into.extend(fields);
}

/// A GPU with the verdict on its health, where one can be given.
fn gpu(it: &GpuSample) -> Value {
    let mut value = json!(it);
    if let (Some(health), Value::Object(fields)) = (mesh_core::gpu::health(it), &mut value) {
        fields.insert("health".into(), json!(health));
    }
    value
}

fn time(ms: u64) -> Value {
    json!(mesh_core::time::Timestamp(ms))
}

/// Durations are seconds in JSON: `age_ms: 1500` becomes `age_s: 1.5`.
fn in_seconds(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(in_seconds),
        Value::Object(fields) => {
            for (name, mut field) in std::mem::take(fields) {
                in_seconds(&mut field);
                match (name.strip_suffix("_ms"), field.as_u64()) {
                    (Some(stem), ms) => fields.insert(format!("{stem}_s"), ms.map_or(Value::Null, seconds)),
                    (None, _) => fields.insert(name, field),
                };
            }
        }
        Value::Number(number) => {
            // Observed numbers are f32; shown as f64 they would grow digits nobody measured.
            if let Some(short) = number.as_f64().filter(|_| number.is_f64()) {
                #[expect(clippy::cast_possible_truncation, reason = "the number was an f32")]
                let text = (short as f32).to_string();
                if let Ok(rounded) = text.parse::<f64>() {
                    *value = json!(rounded);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

fn seconds(ms: u64) -> Value {
    if ms.is_multiple_of(1000) {
        return json!(ms / 1000);
    }
    // Through text: 1.234 stays 1.234.
    format!("{}.{:03}", ms / 1000, ms % 1000).parse::<f64>().map_or(Value::Null, |it| json!(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_its_phase_its_gpus_and_seconds() {
        let spec = bytes::Bytes::from_static(br#"{"roles":["gpu"]}"#);
        let object = v1::Object { kind: "node".into(), name: "node-7".into(), revision: 12, spec };
        let gpu = v1::GpuSample { index: 0, utilisation_percent: Some(93.5), power_w: Some(0.1), ..Default::default() };
        let status = v1::NodeStatus {
            node: "node-7".into(),
            digest: "0".repeat(64),
            gpus: vec![gpu],
            engines: vec![v1::EngineSample {
                name: "standin".into(),
                kind: "standin".into(),
                waiting: Some(3),
                age_ms: 250,
                ..Default::default()
            }],
            ..Default::default()
        };
        let item = v1::NodeItem {
            object: Some(object),
            phase: "Ready".into(),
            since_ms: Some(0),
            status: Some(status),
            age_ms: Some(1500),
            ..Default::default()
        };
        let text = serde_json::to_string(&List::new(&[node(&item)])).unwrap();
        let check = |part: &str| assert!(text.contains(part), "{text} lacks {part}");
        check(
            r#"{"schema":"mesh/v1","items":[{"kind":"node","name":"node-7","revision":12,"spec":{"roles":["gpu"]},"status":{"#,
        );
        check(r#""phase":"Ready""#);
        check(r#""age_s":1.5"#);
        check(r#""since":"1970-01-01T00:00:00.000Z""#);
        check(r#""gpus":[{"index":0,"power_w":0.1,"utilisation_percent":93.5}],"gpus_unavailable":null"#);
        check(r#""waiting":3"#);
        check(r#""age_s":0.25"#);
        assert!(!text.contains("running"), "what the engine does not report stays away: {text}");
    }
}
