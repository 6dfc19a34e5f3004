//! Round robin: the next eligible, untried slot after this instance's last one.

use crate::{
    DecisionOutcome, Strategy,
    answer::{Answer, Record},
    choose::Baseline,
    request::Request,
    table::{Change, Table},
};

/// The name of this strategy.
pub(super) const NAME: &str = "baseline_rr";

/// The baseline as a strategy of its own.
#[derive(Clone, Copy, Debug)]
pub struct BaselineRr {
    round: Baseline,
}

impl BaselineRr {
    /// Makes the instance of a worker; workers start at different rows.
    #[must_use]
    pub const fn new(worker: u32) -> Self {
        Self { round: Baseline::new(worker) }
    }
}

impl Strategy for BaselineRr {
    fn name(&self) -> &str {
        NAME
    }

    fn version(&self) -> &str {
        super::VERSION
    }

    fn seed(&self) -> u64 {
        u64::from(self.round.worker())
    }

    fn sync(&mut self, _table: &Table, _change: Change<'_>) {}

    fn decide(&mut self, table: &Table, request: &Request, answer: &mut Answer) -> DecisionOutcome {
        answer.clear();
        let start = self.round.start(table.len());
        let next = (start..table.len()).chain(0..start).find(|slot| {
            table.eligible(*slot) && !request.tried.contains(crate::narrow(*slot), table.generation(*slot))
        });
        let Some(slot) = next else { return DecisionOutcome::Abstain };
        self.round.gave(slot);
        answer.push(Record::target(crate::narrow(slot), table.generation(slot), 0.0));
        DecisionOutcome::Ok
    }
}
