//! One strategy in force: what workers need of it to decide and to count.

use std::sync::Arc;

use mesh_core::id::Digest;
use mesh_strategy::{DecisionOutcome, Plugin, Strategy, StrategyBreaker, builtin};
use prometheus::IntCounter;

/// Where its instances come from.
pub(crate) enum Code {
    /// A part of the router.
    Builtin,
    /// A compiled module.
    Wasm(Plugin),
}

/// One activation of one strategy.
pub(crate) struct Version {
    /// Counts activations in this process, from 1.
    pub(crate) number: u64,
    /// The activation's number in desired state; 0 outside a mesh.
    pub(crate) seq: u64,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// SHA-256 of the module.
    pub(crate) digest: Option<Digest>,
    /// Its breaker, shared by all workers.
    pub(crate) breaker: Arc<StrategyBreaker>,
    /// `strategy_decisions_total` by outcome.
    pub(crate) decisions: [IntCounter; DecisionOutcome::ALL.len()],
    /// Where its instances come from.
    pub(crate) code: Code,
}

impl Version {
    /// Makes an instance for a worker.
    pub(crate) fn instance(&self, worker: u32, seed: u64) -> Result<Box<dyn Strategy>, String> {
        match &self.code {
            Code::Builtin => builtin::by_name(&self.name, worker)
                .ok_or_else(|| format!("no built-in strategy is named `{}`", self.name)),
            Code::Wasm(plugin) => plugin.instance(seed).map_err(|error| error.to_string()),
        }
    }

    /// Whether its instances can fault and so need a standby.
    pub(crate) fn can_fault(&self) -> bool {
        matches!(self.code, Code::Wasm(_))
    }

    /// Counts one decision.
    pub(crate) fn count(&self, outcome: DecisionOutcome) {
        let at = DecisionOutcome::ALL.iter().position(|it| *it == outcome).unwrap_or(0);
        self.decisions[at].inc();
    }
}

/// What is left for a worker to do with the instance of one model.
pub(crate) enum Seat {
    /// Swap to this version, with a standby behind it when it can fault.
    Install(Arc<Version>, Box<dyn Strategy>, Option<Box<dyn Strategy>>),
    /// Put this by for the next fault.
    Standby(Arc<Version>, Box<dyn Strategy>),
    /// Take the instance out: it was used least recently.
    Leave,
}
