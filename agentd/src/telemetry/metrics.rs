//! What `/metrics` says of this node's engines and GPUs.

use mesh_core::{
    id::ObjectName,
    status::{EngineSample, GpuSample, Probe},
};
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::gpu_metrics::GpuGauges;

/// The metrics of telemetry; clones share them.
#[derive(Debug, Clone)]
pub struct TelemetryMetrics {
    failures: IntCounterVec,
    up: IntGaugeVec,
    requests: IntGaugeVec,
    kv_used: GaugeVec,
    gpus: GpuGauges,
}

impl TelemetryMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// When one of the names is already registered.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str, label: &str| GaugeVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            failures: IntCounterVec::new(
                Opts::new("engine_look_failures_total", "Looks that found the engine down or its report incomplete."),
                &["engine"],
            )?,
            up: IntGaugeVec::new(Opts::new("engine_up", "Whether the engine answered the last look."), &["engine"])?,
            requests: IntGaugeVec::new(
                Opts::new("engine_requests", "Requests in the engine, as it reports them; absent = unknown."),
                &["engine", "state"],
            )?,
            kv_used: gauge("engine_kv_used_ratio", "Share of the KV cache in use; absent = unknown.", "engine")?,
            gpus: GpuGauges::register(registry)?,
        };
        registry.register(Box::new(metrics.failures.clone()))?;
        registry.register(Box::new(metrics.up.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.kv_used.clone()))?;
        Ok(metrics)
    }

    /// Takes in one look at an engine.
    pub(super) fn engine(&self, sample: &EngineSample) {
        let name = sample.name.as_str();
        if sample.error.is_some() {
            self.failures.with_label_values(&[name]).inc();
        }
        self.up.with_label_values(&[name]).set(i64::from(sample.up));
        for (state, count) in [("running", sample.running), ("waiting", sample.waiting)] {
            match count {
                Some(count) => self.requests.with_label_values(&[name, state]).set(i64::from(count)),
                // It fails only when there was none.
                None => drop(self.requests.remove_label_values(&[name, state])),
            }
        }
        set(&self.kv_used, name, sample.kv_used.map(f64::from));
    }

    /// Forgets engines that are no longer declared.
    pub(super) fn forget<'a>(&self, engines: impl Iterator<Item = &'a ObjectName>) {
        for engine in engines {
            let name = engine.as_str();
            let _ = self.up.remove_label_values(&[name]);
            let _ = self.kv_used.remove_label_values(&[name]);
            for state in ["running", "waiting"] {
                let _ = self.requests.remove_label_values(&[name, state]);
            }
        }
    }

    /// Takes in one reading of the GPUs.
    pub(super) fn gpus(&self, gpus: &Probe<Vec<GpuSample>>) {
        self.gpus.set(gpus);
    }
}

/// Sets a gauge; an unknown value has no series.
pub(super) fn set(gauges: &GaugeVec, label: &str, value: Option<f64>) {
    match value {
        Some(value) => gauges.with_label_values(&[label]).set(value),
        None => drop(gauges.remove_label_values(&[label])),
    }
}
