//! What `/metrics` says. Counters are handed out once and kept by who counts: no look-up by label on the request path.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder, core::Collector, proto::MetricFamily,
};

/// Models that get a label of their own; the rest is counted as `other`.
const MODEL_LABELS_MAX: usize = 1000;
const OTHER: &str = "other";
/// Bounds of the time to first token, in seconds.
const TTFT_BUCKETS_S: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// All metrics of the router.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    retries: IntCounterVec,
    ttft: HistogramVec,
    upstream_errors: IntCounterVec,
    decisions: IntCounterVec,
    inflight: IntGaugeVec,
    breaker_open: IntGaugeVec,
    signal_age: IntGaugeVec,
    /// Requests in line.
    pub(crate) queued: IntGauge,
    /// Connections of clients.
    pub(crate) connections: IntGauge,
    /// Bytes of request bodies held.
    pub(crate) body_bytes: IntGauge,
    /// Feedback that found no instance.
    pub(crate) feedback_dropped: IntCounter,
    /// The revision of desired state in force.
    pub(crate) desired_revision: IntGauge,
    /// The revision whose cordons every worker has taken in.
    pub(crate) acked_revision: IntGauge,
    models: Mutex<BTreeSet<String>>,
    strategies: Mutex<BTreeSet<(String, String)>>,
}

/// One target in `/metrics`.
pub(crate) struct TargetGauge<'a> {
    /// The model's label.
    pub(crate) model: &'a str,
    /// The node.
    pub(crate) node: &'a str,
    /// The engine.
    pub(crate) engine: &'a str,
    /// Requests in flight.
    pub(crate) inflight: u32,
    /// Whether its breaker keeps requests away.
    pub(crate) breaker_open: bool,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// When two metrics share a name, which a test would show.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let target = &["model", "node", "engine"];
        let metrics = Self {
            requests: counters(&registry, ("mesh_router_requests_total", "Requests answered."), &["model", "code"])?,
            retries: counters(&registry, ("mesh_router_retries_total", "Attempts after the first."), &["model"])?,
            ttft: histograms(&registry)?,
            upstream_errors: counters(
                &registry,
                ("mesh_router_upstream_errors_total", "Attempts that failed at an engine."),
                &["model", "node", "engine", "kind"],
            )?,
            decisions: counters(
                &registry,
                ("strategy_decisions_total", "What became of asking a strategy."),
                &["strategy", "version", "outcome"],
            )?,
            inflight: loose_gauges(("mesh_router_inflight_requests", "Requests sent and not finished."), target)?,
            breaker_open: loose_gauges(("mesh_router_breaker_open", "1 while a target is kept out."), target)?,
            signal_age: gauges(&registry, ("mesh_router_signal_age_ms", "Age of a node's last report."), &["node"])?,
            queued: IntGauge::new("mesh_router_queued_requests", "Requests in line.")?,
            connections: gauge(&registry, "mesh_router_connections", "Connections of clients.")?,
            body_bytes: IntGauge::new("mesh_router_body_bytes", "Bytes of request bodies held.")?,
            feedback_dropped: counter(&registry)?,
            desired_revision: gauge(&registry, "mesh_router_desired_revision", "Revision of desired state in force.")?,
            acked_revision: gauge(&registry, "mesh_router_acked_revision", "Revision every worker has taken in.")?,
            models: Mutex::default(),
            strategies: Mutex::default(),
            registry,
        };
        Ok(metrics)
    }

    /// The gauges that are only brought up to date when somebody looks.
    pub(crate) fn looked_at(&self) -> Vec<Box<dyn Collector>> {
        let (inflight, breaker_open) = (Box::new(self.inflight.clone()), Box::new(self.breaker_open.clone()));
        vec![inflight, breaker_open, Box::new(self.queued.clone()), Box::new(self.body_bytes.clone())]
    }

    /// The registry, for the admin pages.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The label of a model: its name, or `other` once there are too many.
    pub(crate) fn model_label(&self, model: &str) -> String {
        let mut known = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(model) {
            return model.to_owned();
        }
        if known.len() >= MODEL_LABELS_MAX {
            return OTHER.to_owned();
        }
        known.insert(model.to_owned());
        model.to_owned()
    }

    /// Requests of a model with one status.
    pub(crate) fn requests(&self, label: &str, code: u16) -> IntCounter {
        self.requests.with_label_values(&[label, code.to_string().as_str()])
    }

    /// Requests that name no known model, with one status.
    pub(crate) fn refused(&self, code: u16) -> IntCounter {
        self.requests("", code)
    }

    /// Retries of a model.
    pub(crate) fn retries(&self, label: &str) -> IntCounter {
        self.retries.with_label_values(&[label])
    }

    /// Time to first token of a model.
    pub(crate) fn ttft(&self, label: &str) -> Histogram {
        self.ttft.with_label_values(&[label])
    }

    /// Counts a failed attempt; off the fast path.
    pub(crate) fn upstream_error(&self, label: &str, (node, engine): (&str, &str), kind: &str) {
        self.upstream_errors.with_label_values(&[label, node, engine, kind]).inc();
    }

    /// Name and version of every strategy that was active since the start.
    pub(crate) fn strategies(&self) -> BTreeSet<(String, String)> {
        self.strategies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a strategy that becomes active.
    pub(crate) fn add_strategy(&self, name: &str, version: &str) {
        let pair = (name.to_owned(), version.to_owned());
        self.strategies.lock().unwrap_or_else(PoisonError::into_inner).insert(pair);
    }

    /// Decisions of one strategy with one outcome.
    pub(crate) fn decisions(&self, strategy: &str, version: &str, outcome: &str) -> IntCounter {
        self.decisions.with_label_values(&[strategy, version, outcome])
    }

    /// The series of requests, retries and time to first token, to be read off the request path.
    pub(crate) fn traffic(&self) -> [Vec<MetricFamily>; 3] {
        [self.requests.collect(), self.retries.collect(), self.ttft.collect()]
    }

    /// Replaces what is said of targets.
    pub(crate) fn set_targets<'a>(&self, targets: impl Iterator<Item = TargetGauge<'a>>) {
        self.inflight.reset();
        self.breaker_open.reset();
        for it in targets {
            let labels = [it.model, it.node, it.engine];
            self.inflight.with_label_values(&labels).add(i64::from(it.inflight));
            self.breaker_open.with_label_values(&labels).set(i64::from(it.breaker_open));
        }
    }

    /// Replaces what is said of the age of reports.
    pub(crate) fn set_signal_ages<'a>(&self, ages: impl Iterator<Item = (&'a str, u64)>) {
        self.signal_age.reset();
        for (node, age_ms) in ages {
            self.signal_age.with_label_values(&[node]).set(i64::try_from(age_ms).unwrap_or(i64::MAX));
        }
    }

    /// The page.
    pub(crate) fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics cannot be written");
        }
        text
    }
}

fn counters(
    registry: &Registry,
    (name, help): (&str, &str),
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    let it = IntCounterVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(it.clone()))?;
    Ok(it)
}

fn loose_gauges((name, help): (&str, &str), labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn gauges(registry: &Registry, (name, help): (&str, &str), labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
    let it = IntGaugeVec::new(Opts::new(name, help), labels)?;
    registry.register(Box::new(it.clone()))?;
    Ok(it)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let it = IntGauge::new(name, help)?;
    registry.register(Box::new(it.clone()))?;
    Ok(it)
}

fn counter(registry: &Registry) -> Result<IntCounter, prometheus::Error> {
    let it = IntCounter::new("mesh_router_feedback_dropped_total", "Feedback that found its instance gone.")?;
    registry.register(Box::new(it.clone()))?;
    Ok(it)
}

fn histograms(registry: &Registry) -> Result<HistogramVec, prometheus::Error> {
    let opts = HistogramOpts::new("mesh_router_ttft_seconds", "Time to the first byte of an event stream.");
    let it = HistogramVec::new(opts.buckets(TTFT_BUCKETS_S.to_vec()), &["model"])?;
    registry.register(Box::new(it.clone()))?;
    Ok(it)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn model_labels_are_capped() {
        let metrics = Metrics::new().unwrap();
        for i in 0..MODEL_LABELS_MAX {
            assert_ne!(metrics.model_label(&format!("m{i}")), OTHER);
        }
        assert_eq!(metrics.model_label("one too many"), OTHER);
        assert_eq!(metrics.model_label("m7"), "m7");
        metrics.requests("m7", 200).inc();
        let text = String::from_utf8(metrics.text()).unwrap();
        assert!(text.contains("mesh_router_requests_total{code=\"200\",model=\"m7\"} 1"), "{text}");
    }
}
