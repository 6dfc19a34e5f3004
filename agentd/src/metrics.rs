//! The agent's own numbers on `/metrics`: read when they are scraped, and absent while unknown.

use std::collections::HashMap;

use mesh_core::status::Phase;
use mesh_proto::tls::Identity;
use prometheus::{
    Gauge, GaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::sync::watch;

use crate::{blobs::Blobs, clock, desired::Desired, observe::Observed};

/// What the numbers are read from.
pub struct AgentMetrics {
    desired: Desired,
    identity: Identity,
    blobs: Blobs,
    observed: watch::Receiver<std::sync::Arc<Observed>>,
    desc: Desc,
}

impl AgentMetrics {
    /// Joins its sources.
    ///
    /// # Errors
    /// None that can happen: the description is a constant.
    pub fn new(
        desired: Desired,
        identity: Identity,
        blobs: Blobs,
        observed: watch::Receiver<std::sync::Arc<Observed>>,
    ) -> prometheus::Result<Self> {
        let desc = Desc::new(
            "agentd_nodes".to_owned(),
            "Nodes by phase, as this node sees them.".to_owned(),
            vec!["phase".to_owned()],
            HashMap::new(),
        )?;
        Ok(Self { desired, identity, blobs, observed, desc })
    }

    fn read(&self) -> Vec<(&'static str, &'static str, f64)> {
        let store = self.desired.store();
        let mut found = vec![
            ("agentd_applied_revision", "Revision of desired state on this node.", float(store.revision().0)),
            ("agentd_store_objects", "Declared objects on this node.", float(store.len() as u64)),
            ("agentd_store_bytes", "Bytes of all declared objects.", float(store.size_bytes())),
            ("agentd_certificate_seconds_left", "Life left of this node's certificate.", self.seconds_left()),
        ];
        if let Some(age_ms) = self.desired.leader_age_ms() {
            found.push((
                "agentd_leader_age_seconds",
                "Time since this node last knew of a leader.",
                float(age_ms) / 1000.0,
            ));
        }
        if let Ok(stored) = self.blobs.list() {
            let bytes = stored.iter().map(|it| it.size_bytes).sum();
            found.push(("agentd_blob_bytes", "Bytes of all blobs on this node.", float(bytes)));
        }
        if let Some(raft) = self.desired.raft() {
            let status = raft.status().borrow().clone();
            found.push(("agentd_raft_leader", "1 on the leader.", f64::from(u8::from(status.is_leader()))));
            found.push(("agentd_raft_term", "Raft term.", float(status.term)));
            found.push((
                "agentd_raft_missing_voters",
                "Coordinators that are not reached, while no leader is confirmed.",
                float(status.missing.len() as u64),
            ));
            if let Some(index) = status.applied_index {
                found.push(("agentd_raft_applied_index", "Last applied position of the log.", float(index)));
            }
        }
        found
    }

    /// Seconds until the certificate ends; 0 afterwards.
    fn seconds_left(&self) -> f64 {
        float(self.identity.not_after().0.saturating_sub(clock::now().0)) / 1000.0
    }

    fn phases(&self) -> Option<GaugeVec> {
        let opts = Opts::new("agentd_nodes", "Nodes by phase, as this node sees them.");
        let gauge = GaugeVec::new(opts, &["phase"]).ok()?;
        let observed = std::sync::Arc::clone(&self.observed.borrow());
        for phase in [
            Phase::Joining,
            Phase::Verifying,
            Phase::Ready,
            Phase::Cordoned,
            Phase::Draining,
            Phase::Drained,
            Phase::Lost,
        ] {
            let count = observed.nodes.values().filter(|it| it.phase == phase).count() as u64;
            gauge.with_label_values(&[phase.to_string().as_str()]).set(float(count));
        }
        Some(gauge)
    }
}

impl Collector for AgentMetrics {
    fn desc(&self) -> Vec<&Desc> {
        // One stands for all: the others come and go with what is known.
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gauges = self.read().into_iter().filter_map(|(name, help, value)| {
            let gauge = Gauge::new(name, help).ok()?;
            gauge.set(value);
            Some(gauge.collect())
        });
        gauges.chain(self.phases().map(|it| it.collect())).flatten().collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric that is off by one in 2^53 misleads nobody")]
fn float(value: u64) -> f64 {
    value as f64
}
