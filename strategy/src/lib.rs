//! Where work goes: the target table, the strategies that rank it, the choice of a place, and the request machine.
//!
//! The crate is pure. It has no clock, no socket and no randomness: time and seeds are arguments, so that a router
//! on a real network and a simulator on virtual time run the very same code. `route` is one request from arrival to
//! its end as a machine without I/O; `brain` is what one worker knows about one model; `host` runs strategies that
//! came as WASM. The joint between them is the trait [`Strategy`].

mod answer;
mod brain;
mod breaker;
mod choose;
mod column;
mod record;
mod request;
mod table;
mod target;
mod writer;

pub mod builtin;
pub mod host;
pub mod route;

pub use answer::{ANSWER_RECORDS_MAX, Answer, Fault, RECORD_BYTES, Record, Tag};
pub use brain::{Brain, Decided, InstanceId, MadeRoom};
pub use breaker::{StrategyBreaker, TargetBreaker, Verdict};
pub use choose::{Baseline, Choice, choose};
pub use column::{COLUMNS, Column, ColumnKind};
pub use host::{Checked, Host, HostConfig, LoadError, Manifest, Plugin, check};
pub use record::{Entry, Recorder, ReplayError, Replayed, parse_recording, replay, replay_decisions};
pub use request::{
    Ask, FEEDBACK_BATCH_MAX, FEEDBACK_BYTES, Feedback, Kind, Outcome, REQUEST_BYTES, Request, RequestId, SlotRef,
    TRIED_MAX, Tried, hash, splitmix64,
};
pub use table::{Change, Gap, RowChange, Table, Update};
pub use target::{Place, Room, Target, TargetId, TargetSpec};
pub use writer::TableWriter;

/// What became of asking a strategy once; the label `outcome` of `strategy_decisions_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionOutcome {
    /// A valid answer that names at least one target.
    Ok,
    /// The strategy leaves the decision to the baseline; not a fault.
    Abstain,
    /// No instance could be asked: none made yet, the table is larger than it can hold, or its breaker is open.
    NotReady,
    /// The guest trapped.
    Trap,
    /// The guest used up its fuel.
    Fuel,
    /// The guest was stopped by the time limit behind the fuel.
    Epoch,
    /// The answer broke the contract.
    Invalid,
}

impl DecisionOutcome {
    /// Every outcome, in the order of the contract.
    pub const ALL: [Self; 7] =
        [Self::Ok, Self::Abstain, Self::NotReady, Self::Trap, Self::Fuel, Self::Epoch, Self::Invalid];

    /// Returns the value of the metric label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Abstain => "abstain",
            Self::NotReady => "not_ready",
            Self::Trap => "trap",
            Self::Fuel => "fuel",
            Self::Epoch => "epoch",
            Self::Invalid => "invalid",
        }
    }

    /// Says whether the instance must never be entered again.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::Trap | Self::Fuel | Self::Epoch | Self::Invalid)
    }

    /// Says whether the fault counts towards the strategy's breaker; an epoch stop may be the machine's own fault.
    #[must_use]
    pub const fn moves_breaker(self) -> bool {
        matches!(self, Self::Trap | Self::Fuel | Self::Invalid)
    }
}

/// One instance of a strategy, owned by one worker for one model.
///
/// The state of the targets is resident: the owner of the table calls [`Strategy::sync`] after each change, then
/// [`Strategy::decide`] as often as it likes. An instance that returned a fault must not be called again.
pub trait Strategy: Send {
    /// Returns the strategy's name, as in `strategy_decisions_total{strategy}`.
    fn name(&self) -> &str;

    /// Returns the strategy's version, as in `strategy_decisions_total{version}`.
    fn version(&self) -> &str;

    /// Returns the number which the instance was made with; name, version and seed make the same instance again.
    fn seed(&self) -> u64 {
        0
    }

    /// Takes over what changed in `table` since the last call.
    fn sync(&mut self, table: &Table, change: Change<'_>);

    /// Ranks the targets for one request into `answer`, which it clears first.
    fn decide(&mut self, table: &Table, request: &Request, answer: &mut Answer) -> DecisionOutcome;

    /// Takes the outcomes of own decisions, at most [`FEEDBACK_BATCH_MAX`] at once.
    fn observe(&mut self, _batch: &[Feedback]) -> DecisionOutcome {
        DecisionOutcome::Ok
    }

    /// Returns the fuel which the last call used; `None` where nothing is metered.
    fn fuel_used(&self) -> Option<u64> {
        None
    }

    /// Describes the fault that ended this instance, for the log.
    fn fault(&self) -> Option<&str> {
        None
    }
}

/// Narrows a count which the contract bounds far below 2^32; saturates rather than wraps.
pub(crate) fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
