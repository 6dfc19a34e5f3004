//! What `/metrics` says of gossip.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics of one ring; clones share them.
#[derive(Debug, Clone)]
pub struct GossipMetrics {
    /// Members of the ring that desired state lists, alive or not.
    pub members: IntGauge,
    /// Members that are alive.
    pub live: IntGauge,
    /// Entries of the ring that are no member: older generations and whatever is refused.
    pub ghosts: IntGauge,
    /// Datagrams that were opened.
    pub received: IntCounter,
    /// Datagrams that were sent.
    pub sent: IntCounter,
    /// Datagrams that were dropped, by reason.
    pub dropped: IntCounterVec,
    /// Messages too large for one datagram, not sent.
    pub oversize: IntCounter,
    /// Entries refused in the last look, by reason.
    pub refused: prometheus::IntGaugeVec,
    /// How often the ring was started again after its task ended.
    pub restarts: IntCounter,
}

impl GossipMetrics {
    /// Makes the metrics and registers them.
    ///
    /// # Errors
    /// When one of the names is already registered.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            members: IntGauge::new("gossip_members", "Listed nodes heard of in the ring.")?,
            live: IntGauge::new("gossip_live_members", "Listed nodes the ring holds for alive, this one included.")?,
            ghosts: IntGauge::new("gossip_ghosts", "Entries of the ring that are no member.")?,
            received: IntCounter::new("gossip_received_total", "Datagrams that were opened.")?,
            sent: IntCounter::new("gossip_sent_total", "Datagrams that were sent.")?,
            dropped: IntCounterVec::new(
                Opts::new("gossip_dropped_total", "Datagrams that were dropped, by reason."),
                &["reason"],
            )?,
            oversize: IntCounter::new("gossip_oversize_total", "Messages too large for one datagram, not sent.")?,
            refused: prometheus::IntGaugeVec::new(
                Opts::new("gossip_refused", "Entries of the ring refused at the last look, by reason."),
                &["reason"],
            )?,
            restarts: IntCounter::new("gossip_ring_restarts_total", "Restarts of the ring after its task ended.")?,
        };
        registry.register(Box::new(metrics.members.clone()))?;
        registry.register(Box::new(metrics.live.clone()))?;
        registry.register(Box::new(metrics.ghosts.clone()))?;
        registry.register(Box::new(metrics.received.clone()))?;
        registry.register(Box::new(metrics.sent.clone()))?;
        registry.register(Box::new(metrics.dropped.clone()))?;
        registry.register(Box::new(metrics.oversize.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        registry.register(Box::new(metrics.restarts.clone()))?;
        Ok(metrics)
    }
}
