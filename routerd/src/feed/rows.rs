//! What the rows of one node should be, from what is wanted of it and what it says.

use std::{collections::BTreeSet, sync::Arc};

use mesh_core::{
    id::NodeName,
    kind::{DrainSpec, EngineSpec, NodeSpec},
    status::EngineSample,
};

use crate::{
    feed::cache::KnownModels,
    fleet::owner::{Load, Row},
    upstreams,
};

/// A report that an engine is down counts for this long; then requests find out.
const DOWN_MS_MAX: u64 = 3_000;

/// The last statement of a node, and when it came.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    /// Its engines.
    pub(crate) engines: Vec<EngineSample>,
    /// When it came, in milliseconds of the process's clock.
    pub(crate) received_ms: u64,
}

/// What is known of one node.
pub(crate) struct Known<'a> {
    /// Its name.
    pub(crate) node: &'a NodeName,
    /// What it should be.
    pub(crate) spec: &'a NodeSpec,
    /// Whether it is taken out of service.
    pub(crate) drain: Option<&'a DrainSpec>,
    /// What it said last.
    pub(crate) heard: Option<&'a Heard>,
}

/// The rows of a node; models that engines list are remembered in `models`.
pub(crate) fn rows(known: &Known<'_>, models: &mut KnownModels, now_ms: u64) -> Vec<Row> {
    known.spec.engines.iter().flat_map(|engine| engine_rows(known, engine, models, now_ms)).collect()
}

fn key(node: &NodeName, engine: &EngineSpec, address: &str) -> String {
    format!("{node}/{}@{address}", engine.name)
}

/// Forgets what engines listed that are no longer declared.
pub(crate) fn forget<'a>(models: &mut KnownModels, nodes: impl Iterator<Item = (&'a NodeName, &'a NodeSpec)>) {
    let keys: BTreeSet<String> = nodes
        .flat_map(|(node, spec)| spec.engines.iter().map(move |engine| (node, engine)))
        .filter_map(|(node, engine)| Some(key(node, engine, &upstreams::authority(&engine.url).ok()?)))
        .collect();
    models.retain(|key, _| keys.contains(key));
}

fn engine_rows(known: &Known<'_>, engine: &EngineSpec, models: &mut KnownModels, now_ms: u64) -> Vec<Row> {
    let Ok(address) = upstreams::authority(&engine.url) else { return Vec::new() };
    let heard = known.heard.and_then(|heard| {
        let sample = heard.engines.iter().find(|it| it.name == engine.name && it.url == engine.url)?;
        Some((heard, sample))
    });
    let key = key(known.node, engine, &address);
    if let Some((_, sample)) = heard
        && !sample.models.is_empty()
    {
        models.insert(key.clone(), upstreams::listed(&sample.models));
    }
    let served =
        if engine.models.is_empty() { models.get(&key).cloned().unwrap_or_default() } else { engine.models.clone() };
    let down = heard.is_some_and(|(heard, sample)| !sample.up && age_ms(heard, sample, now_ms) <= DOWN_MS_MAX);
    #[expect(clippy::cast_precision_loss, reason = "a capacity is far below 2^24")]
    let declared = engine.capacity.map(|it| it as f32);
    let row = |model: String| Row {
        model: Arc::from(model),
        engine: engine.name.to_string(),
        address: address.clone(),
        serving: known.drain.is_none() && !down,
        capacity: declared.or(heard.and_then(|(_, sample)| sample.capacity)),
        load: heard.map(|(heard, sample)| load(heard, sample)).unwrap_or_default(),
        health: None,
    };
    served.into_iter().map(row).collect()
}

fn age_ms(heard: &Heard, sample: &EngineSample, now_ms: u64) -> u64 {
    now_ms.saturating_sub(heard.received_ms.saturating_sub(u64::from(sample.age_ms)))
}

/// A report keeps its age when no newer one comes: it fades, and never becomes 0.
fn load(heard: &Heard, sample: &EngineSample) -> Load {
    if !sample.up || (sample.running.is_none() && sample.waiting.is_none() && sample.kv_used.is_none()) {
        return Load::default();
    }
    let observed_ms = heard.received_ms.saturating_sub(u64::from(sample.age_ms));
    #[expect(clippy::cast_possible_truncation, reason = "the contract's clock wraps")]
    let observed_ms = observed_ms as u32;
    Load { running: sample.running, waiting: sample.waiting, kv_used: sample.kv_used, observed_ms: Some(observed_ms) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use mesh_core::{id::ObjectName, kind::EngineKind};

    use super::*;

    fn spec(models: &[&str]) -> NodeSpec {
        let engine = EngineSpec {
            name: ObjectName::new("e").unwrap(),
            kind: EngineKind::Standin,
            url: "http://10.0.0.1:8000".to_owned(),
            models: models.iter().map(|it| (*it).to_owned()).collect(),
            capacity: None,
        };
        NodeSpec { engines: vec![engine], ..NodeSpec::default() }
    }

    fn heard(up: bool, models: &[&str], age_ms: u32) -> Heard {
        let sample = EngineSample {
            name: ObjectName::new("e").unwrap(),
            kind: EngineKind::Standin,
            url: "http://10.0.0.1:8000".to_owned(),
            up,
            error: None,
            models: models.iter().map(|it| (*it).to_owned()).collect(),
            running: Some(3),
            waiting: None,
            kv_used: Some(0.5),
            capacity: Some(8.0),
            age_ms,
        };
        Heard { engines: vec![sample], received_ms: 10_000 }
    }

    fn check(spec: &NodeSpec, heard: Option<&Heard>, now_ms: u64, with: impl FnOnce(&[Row], &mut KnownModels)) {
        let node = NodeName::new("n").unwrap();
        let mut models = KnownModels::new();
        let rows = rows(&Known { node: &node, spec, drain: None, heard }, &mut models, now_ms);
        with(&rows, &mut models);
    }

    #[test]
    fn models_are_declared_or_asked_for_and_remembered() {
        check(&spec(&["a", "b"]), None, 0, |rows, _| {
            assert_eq!(rows.len(), 2);
            assert!(rows.iter().all(|it| it.serving && it.load == Load::default()));
        });
        check(&spec(&[]), None, 0, |rows, _| assert!(rows.is_empty()));
        check(&spec(&[]), Some(&heard(true, &["c"], 0)), 0, |rows, models| {
            assert_eq!(&*rows[0].model, "c");
            let node = NodeName::new("n").unwrap();
            let spec = spec(&[]);
            let later = super::rows(&Known { node: &node, spec: &spec, drain: None, heard: None }, models, 0);
            assert_eq!(&*later[0].model, "c", "remembered while the node is silent");
        });
    }

    #[test]
    fn what_engines_list_is_bounded_and_forgotten_with_them() {
        let many: Vec<String> = (0..2000).map(|n| format!("m{n}")).chain(["x".repeat(5000)]).collect();
        let many: Vec<&str> = std::iter::once("").chain(many.iter().map(String::as_str)).collect();
        check(&spec(&[]), Some(&heard(true, &many, 0)), 0, |rows, models| {
            assert_eq!((rows.len(), &*rows[0].model), (1000, "m0"));
            let (node, mut spec) = (NodeName::new("n").unwrap(), spec(&[]));
            forget(models, [(&node, &spec)].into_iter());
            assert_eq!(models.len(), 1);
            spec.engines[0].url = "http://10.0.0.2:8000".to_owned();
            forget(models, [(&node, &spec)].into_iter());
            assert!(models.is_empty());
        });
    }

    #[test]
    fn a_report_keeps_its_age_and_unknown_stays_unknown() {
        check(&spec(&["a"]), Some(&heard(true, &[], 400)), 10_100, |rows, _| {
            let load = rows[0].load;
            assert_eq!((load.running, load.waiting, load.observed_ms), (Some(3), None, Some(9_600)));
            assert_eq!(rows[0].capacity, Some(8.0));
        });
    }

    #[test]
    fn a_fresh_word_that_an_engine_is_down_keeps_requests_away() {
        check(&spec(&["a"]), Some(&heard(false, &[], 0)), 10_100, |rows, _| assert!(!rows[0].serving));
        check(&spec(&["a"]), Some(&heard(false, &[], 0)), 14_000, |rows, _| {
            assert!(rows[0].serving, "an old word does not");
        });
    }
}
