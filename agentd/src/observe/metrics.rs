//! What `/metrics` says of observing and being observed.

use prometheus::{IntCounter, IntGauge, Registry};

/// The metrics of observation; clones share them.
#[derive(Debug, Clone)]
pub struct ObserveMetrics {
    pub(super) alive: IntGauge,
    pub(super) streams_up: IntGauge,
    pub(super) broken: IntCounter,
    pub(super) statements: IntCounter,
    pub(super) served: IntGauge,
}

impl ObserveMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// When one of the names is already registered.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            alive: IntGauge::new("observe_alive_nodes", "Listed nodes held for alive, this one included.")?,
            streams_up: IntGauge::new("observe_streams_up", "Streams from nodes that speak (coordinators only).")?,
            broken: IntCounter::new("observe_streams_broken_total", "Streams from nodes that broke.")?,
            statements: IntCounter::new("observe_statements_total", "Statements received from nodes.")?,
            served: IntGauge::new("observe_served_streams", "Streams of this node's own statements being served.")?,
        };
        for gauge in [&metrics.alive, &metrics.streams_up, &metrics.served] {
            registry.register(Box::new(gauge.clone()))?;
        }
        for counter in [&metrics.broken, &metrics.statements] {
            registry.register(Box::new(counter.clone()))?;
        }
        Ok(metrics)
    }
}
