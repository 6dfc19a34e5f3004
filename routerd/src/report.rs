//! What the router says of itself: gauges, and the sample for its agent.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use mesh_core::{
    id::{NodeName, ObjectName, Revision},
    status::{DecisionCount, InflightSample, LoadedStrategy, RouterSample},
};
use mesh_strategy::DecisionOutcome;
use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::{
    metrics::TargetGauge,
    shared::Shared,
    traffic,
    worker::inflight::{Held, TargetName},
};

/// Brings some gauges up to date whenever somebody looks at the metrics, and not before.
struct Looked {
    shared: Weak<Shared>,
    gauges: Vec<Box<dyn Collector>>,
}

impl Collector for Looked {
    fn desc(&self) -> Vec<&Desc> {
        self.gauges.iter().flat_map(|it| it.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if let Some(shared) = self.shared.upgrade() {
            set_gauges(&shared);
        }
        self.gauges.iter().flat_map(|it| it.collect()).collect()
    }
}

/// Has the gauges of `shared` brought up to date at every look at its metrics.
///
/// # Errors
/// When a metric of one of these names is registered already.
pub(crate) fn register(shared: &Arc<Shared>) -> Result<(), prometheus::Error> {
    let gauges = shared.metrics.looked_at();
    shared.metrics.registry().register(Box::new(Looked { shared: Arc::downgrade(shared), gauges }))
}

fn set_gauges(shared: &Shared) {
    let now_ms = shared.clock.now_ms();
    let mut targets = Vec::new();
    for (name, table) in shared.fleet.models().iter() {
        let label = shared.metrics.model_label(name);
        table.read(|writer| {
            for key in writer.keys() {
                if let Some(target) = writer.target(key) {
                    targets.push((label.clone(), target.clone()));
                }
            }
        });
    }
    shared.metrics.set_targets(targets.iter().map(|(label, target)| TargetGauge {
        model: label,
        node: &target.spec.node,
        engine: &target.spec.engine,
        inflight: target.own_inflight(),
        breaker_open: !target.breaker.admits(now_ms),
    }));
    let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    shared.metrics.queued.set(gauge(shared.desk.waiting()));
    shared.metrics.body_bytes.set(gauge(shared.bodies_bytes()));
}

/// The parts of a sample that the feed knows.
pub(crate) struct Known {
    /// Where clients reach the router.
    pub(crate) listen: String,
    /// Where its metrics are.
    pub(crate) metrics: String,
    /// The revision whose cordons every worker has taken in.
    pub(crate) acked: Revision,
    /// Why the wanted strategy is not the one that decides.
    pub(crate) strategy_error: Option<String>,
}

/// What the router says of itself now.
pub(crate) fn sample(shared: &Shared, known: &Known, held: &BTreeMap<TargetName, Held>) -> RouterSample {
    let now_us = shared.clock.now_us();
    let inflight = held.iter().filter_map(|((node, engine, model), held)| {
        Some(InflightSample {
            node: NodeName::new(node.as_str()).ok()?,
            engine: ObjectName::new(engine.as_str()).ok()?,
            model: model.to_string(),
            count: held.count,
            oldest_ms: now_us.saturating_sub(held.oldest_us) / 1000,
        })
    });
    let active = shared.running.load_full();
    RouterSample {
        listen: known.listen.clone(),
        metrics: known.metrics.clone(),
        acked: known.acked,
        inflight: inflight.collect(),
        queued: u32::try_from(shared.desk.waiting()).unwrap_or(u32::MAX),
        strategy: active.as_ref().map(|it| LoadedStrategy {
            name: it.name.clone(),
            version: it.version.clone(),
            digest: it.digest,
            seq: it.seq,
            error: known.strategy_error.clone(),
        }),
        decisions: decisions(shared),
        traffic: traffic::read(&shared.metrics),
        age_ms: 0,
    }
}

/// Who decided how often, since the start.
fn decisions(shared: &Shared) -> Vec<DecisionCount> {
    let mut counts = Vec::new();
    for (strategy, version) in shared.metrics.strategies() {
        for outcome in DecisionOutcome::ALL {
            let count = shared.metrics.decisions(&strategy, &version, outcome.as_str()).get();
            if count > 0 {
                let (strategy, version) = (strategy.clone(), version.clone());
                counts.push(DecisionCount { strategy, version, outcome: outcome.as_str().to_owned(), count });
            }
        }
    }
    counts
}
