//! What one worker knows about one model: its copy of the table, the strategy that ranks it, and the baseline behind.
//!
//! A worker owns its brains and drives each from its own thread: no lock, and after warm-up no allocation, on the way
//! of a decision. Faulty instances are set aside here and dropped elsewhere.

use std::sync::Arc;

use crate::{
    DecisionOutcome, Strategy,
    answer::Answer,
    breaker::StrategyBreaker,
    choose::{Baseline, Choice, choose},
    column::Column,
    record::Recorder,
    request::{FEEDBACK_BATCH_MAX, Feedback, Request},
    table::{Change, Content, Gap, RowChange, RowDelta, Table, Update},
};

/// Faulty or replaced instances which a brain keeps until somebody takes them; one more is dropped on the spot.
const RETIRED_MAX: usize = 4;
/// The columns whose change may give a waiting request a place.
const ROOM_COLUMNS: u32 = Column::Eligible.bit() | Column::Capacity.bit();

/// Identifies an instance within its brain, so that feedback finds the one that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(u64);

/// Says whether an update may give a waiting request a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeRoom(pub bool);

/// One decision: where to, and what became of asking the strategy.
#[derive(Debug)]
pub struct Decided {
    /// Where the request goes.
    pub choice: Choice,
    /// What became of asking the strategy.
    pub outcome: DecisionOutcome,
    /// The instance that decided; `None` when the baseline did.
    pub instance: Option<InstanceId>,
    /// Fuel used; `None` when nothing was metered.
    pub fuel: Option<u64>,
    /// The fault of an instance in the feedback that it was given first; another one then decided, or the baseline.
    pub feedback_fault: Option<DecisionOutcome>,
}

struct Seat {
    instance: Box<dyn Strategy>,
    id: InstanceId,
    breaker: Arc<StrategyBreaker>,
}

/// The routing of one model in one worker.
pub struct Brain {
    model: String,
    table: Table,
    seq: u64,
    baseline: Baseline,
    seat: Option<Seat>,
    standby: Option<Box<dyn Strategy>>,
    retired: Vec<Box<dyn Strategy>>,
    instances: u64,
    answer: Answer,
    changes: Vec<RowChange>,
    feedback: Vec<Feedback>,
    feedback_dropped: u64,
    last_used_ms: u64,
    recorder: Option<Recorder>,
}

impl Brain {
    /// Makes the brain of a worker for a model, with an empty table and the baseline.
    #[must_use]
    pub fn new(model: &str, worker: u32) -> Self {
        Self {
            model: model.to_owned(),
            table: Table::default(),
            seq: 0,
            baseline: Baseline::new(worker),
            seat: None,
            standby: None,
            retired: Vec::with_capacity(RETIRED_MAX),
            instances: 0,
            answer: Answer::new(),
            changes: Vec::with_capacity(FEEDBACK_BATCH_MAX),
            feedback: Vec::with_capacity(FEEDBACK_BATCH_MAX),
            feedback_dropped: 0,
            last_used_ms: 0,
            recorder: None,
        }
    }

    /// Switches recording on or off; a recording starts with the table and the instance as they are.
    pub fn set_recorder(&mut self, recorder: Option<Recorder>) {
        self.recorder = recorder;
        if let Some(recorder) = &self.recorder {
            recorder.rows(&self.model, &self.table, Change::All);
            if let Some(seat) = &self.seat {
                recorder.instance(&self.model, seat.instance.as_ref());
            }
        }
    }

    /// Returns the worker's copy of the table.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the records of the last decision, for people and recorders.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Returns name and version of the strategy seated; `None` while only the baseline is there.
    #[must_use]
    pub fn strategy(&self) -> Option<(&str, &str)> {
        self.seat.as_ref().map(|seat| (seat.instance.name(), seat.instance.version()))
    }

    /// Returns the time of the last decision in milliseconds, by which the least recently used instance is found.
    #[must_use]
    pub const fn last_used_ms(&self) -> u64 {
        self.last_used_ms
    }

    /// Returns how many feedback records were dropped: for a retired instance, an old generation, or over the bound.
    #[must_use]
    pub const fn feedback_dropped(&self) -> u64 {
        self.feedback_dropped
    }

    /// Applies an update of the table's owner.
    ///
    /// # Errors
    /// Returns [`Gap`] when an update was missed; the worker asks the owner for a copy and goes on with what it has.
    pub fn update(&mut self, update: &Update) -> Result<MadeRoom, Gap> {
        let body = &update.0;
        match &body.content {
            Content::Copy(table) if body.seq >= self.seq => {
                self.table.clone_from(table.as_ref());
                for slot in 0..self.table.len() {
                    self.reread_inflight(slot);
                }
                self.seq = body.seq;
                self.sync_all();
                Ok(MadeRoom(true))
            }
            Content::Rows(rows) if body.seq == self.seq + 1 => {
                self.table.resize(body.len);
                self.seq = body.seq;
                Ok(MadeRoom(self.write_rows(rows)))
            }
            Content::Rows(_) if body.seq > self.seq => Err(Gap { have: self.seq, got: body.seq }),
            // Older than what is here already.
            Content::Copy(_) | Content::Rows(_) => Ok(MadeRoom(false)),
        }
    }

    /// Seats an instance and returns the one it replaces; decisions before and after are each made by one of them.
    pub fn install(&mut self, instance: Box<dyn Strategy>, breaker: Arc<StrategyBreaker>) -> Option<Box<dyn Strategy>> {
        self.retire_standby();
        let old = self.seat.take().map(|seat| seat.instance);
        self.sit(instance, breaker);
        old
    }

    /// Takes the instance out, e.g. because it was the least recently used one; the baseline decides from now on.
    pub fn uninstall(&mut self) -> Option<Box<dyn Strategy>> {
        self.retire_standby();
        self.drop_feedback();
        self.seat.take().map(|seat| seat.instance)
    }

    /// Says whether a fault has used up the standby (or there was none yet).
    #[must_use]
    pub fn wants_standby(&self) -> bool {
        self.standby.is_none()
    }

    /// Puts by an instance of the same version, to be seated when the present one faults; seats it at once when the
    /// seat is empty since a fault.
    pub fn add_standby(&mut self, instance: Box<dyn Strategy>, breaker: &Arc<StrategyBreaker>) {
        if self.seat.is_none() {
            self.sit(instance, Arc::clone(breaker));
        } else {
            self.retire_standby();
            self.standby = Some(instance);
        }
    }

    /// Takes one instance that is no longer used, to be dropped off the request path.
    pub fn take_retired(&mut self) -> Option<Box<dyn Strategy>> {
        self.retired.pop()
    }

    /// Decides one attempt and takes the place.
    ///
    /// Entries of `tried` whose row holds another target by now are removed from `request` first.
    pub fn decide(&mut self, request: &mut Request, now_ms: u64) -> Decided {
        self.last_used_ms = now_ms;
        let feedback_fault = self.turn(now_ms);
        let table = &self.table;
        request.tried.retain(|tried| {
            (tried.slot as usize) < table.len() && table.generation(tried.slot as usize) == tried.generation
        });
        let (outcome, instance, fuel) = self.ask(request, now_ms);
        let choice = choose(&self.table, &self.answer, request, &mut self.baseline, now_ms);
        if let Some(recorder) = &self.recorder {
            recorder.decision(&self.model, request, outcome, (&self.answer, fuel));
        }
        if outcome.is_fault() {
            self.retire_faulty();
        }
        if let Choice::Target(place) = &choice {
            self.released(place.slot(), place.generation());
        }
        Decided { choice, outcome, instance, fuel, feedback_fault }
    }

    /// Shows a worker's own change of a row to its own instance at once; call it after a [`crate::Place`] is dropped.
    pub fn released(&mut self, slot: u32, generation: u32) {
        let row = slot as usize;
        if row < self.table.len() && self.table.generation(row) == generation && self.reread_inflight(row) {
            self.changes.clear();
            self.changes.push(RowChange { slot, mask: Column::OwnInflight.bit() });
            self.sync_changes();
        }
    }

    /// Keeps the outcome of a decision for the instance that made it; returns false when it is dropped.
    pub fn feedback(&mut self, to: InstanceId, feedback: Feedback) -> bool {
        let row = feedback.slot as usize;
        let current = row < self.table.len() && self.table.generation(row) == feedback.generation;
        let seated = self.seat.as_ref().is_some_and(|seat| seat.id == to);
        let kept = current && seated && self.feedback.len() < FEEDBACK_BATCH_MAX;
        if kept {
            self.feedback.push(feedback);
        } else {
            self.feedback_dropped += 1;
        }
        kept
    }

    /// Gives the kept feedback to the instance: at the end of a worker's turn, and before its next decision.
    ///
    /// Returns the fault when the instance failed in it.
    pub fn turn(&mut self, now_ms: u64) -> Option<DecisionOutcome> {
        if self.feedback.is_empty() {
            return None;
        }
        let Some(seat) = &mut self.seat else {
            self.drop_feedback();
            return None;
        };
        let outcome = seat.instance.observe(&self.feedback);
        if let Some(recorder) = &self.recorder {
            recorder.observed(&self.model, &self.feedback, (outcome, seat.instance.fuel_used()));
        }
        self.feedback.clear();
        if !outcome.is_fault() {
            return None;
        }
        if outcome.moves_breaker() {
            seat.breaker.fault(now_ms);
        }
        self.retire_faulty();
        Some(outcome)
    }

    /// Asks the seated strategy; leaves `answer` empty unless the outcome is `Ok`.
    fn ask(&mut self, request: &Request, now_ms: u64) -> (DecisionOutcome, Option<InstanceId>, Option<u64>) {
        self.answer.clear();
        let Some(seat) = &mut self.seat else { return (DecisionOutcome::NotReady, None, None) };
        if seat.breaker.is_open(now_ms) {
            return (DecisionOutcome::NotReady, None, None);
        }
        let outcome = consult(seat.instance.as_mut(), &self.table, request, &mut self.answer);
        if outcome.moves_breaker() {
            seat.breaker.fault(now_ms);
        }
        let decided = outcome == DecisionOutcome::Ok;
        (outcome, decided.then_some(seat.id), seat.instance.fuel_used())
    }

    /// Sets the faulty instance aside, never to be entered again, and seats the standby.
    fn retire_faulty(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        self.retire(seat.instance);
        if let Some(standby) = self.standby.take() {
            self.sit(standby, seat.breaker);
        }
    }

    fn retire_standby(&mut self) {
        if let Some(standby) = self.standby.take() {
            self.retire(standby);
        }
    }

    /// Sets an instance aside for [`Brain::take_retired`].
    fn retire(&mut self, instance: Box<dyn Strategy>) {
        if self.retired.len() < RETIRED_MAX {
            self.retired.push(instance);
        }
    }

    fn sit(&mut self, instance: Box<dyn Strategy>, breaker: Arc<StrategyBreaker>) {
        self.drop_feedback();
        self.instances += 1;
        let id = InstanceId(self.instances);
        self.seat = Some(Seat { instance, id, breaker });
        if let Some(recorder) = &self.recorder
            && let Some(seat) = &self.seat
        {
            recorder.instance(&self.model, seat.instance.as_ref());
        }
        if let Some(seat) = &mut self.seat {
            seat.instance.sync(&self.table, Change::All);
        }
    }

    fn drop_feedback(&mut self) {
        self.feedback_dropped += self.feedback.len() as u64;
        self.feedback.clear();
    }

    /// Writes changed rows; returns whether one of them may give a waiting request a place.
    fn write_rows(&mut self, rows: &[RowDelta]) -> bool {
        self.changes.clear();
        let mut made_room = false;
        for row in rows {
            self.table.write(row.change, &row.cells, Some(&row.target));
            let slot = row.change.slot as usize;
            if row.change.mask & Column::OwnInflight.bit() != 0 {
                self.reread_inflight(slot);
            }
            made_room |= row.change.mask & ROOM_COLUMNS != 0 && self.table.eligible(slot);
            self.changes.push(row.change);
        }
        self.sync_changes();
        made_room
    }

    /// Takes the shared count of a row over into column 3; returns whether it differed.
    fn reread_inflight(&mut self, slot: usize) -> bool {
        let Some(inflight) = self.table.target(slot).map(|target| target.own_inflight()) else { return false };
        let differs = self.table.cells(Column::OwnInflight)[slot] != inflight;
        self.table.set(Column::OwnInflight, slot, inflight);
        differs
    }

    fn sync_all(&mut self) {
        if let Some(recorder) = &self.recorder {
            recorder.rows(&self.model, &self.table, Change::All);
        }
        if let Some(seat) = &mut self.seat {
            seat.instance.sync(&self.table, Change::All);
        }
    }

    fn sync_changes(&mut self) {
        let change = Change::Rows(&self.changes);
        if let Some(recorder) = &self.recorder {
            recorder.rows(&self.model, &self.table, change);
        }
        if let Some(seat) = &mut self.seat {
            seat.instance.sync(&self.table, change);
        }
    }
}

/// Asks an instance and holds its answer to the contract; leaves `answer` empty unless the outcome is `Ok`.
pub(crate) fn consult(
    instance: &mut dyn Strategy,
    table: &Table,
    request: &Request,
    answer: &mut Answer,
) -> DecisionOutcome {
    let mut outcome = instance.decide(table, request, answer);
    if outcome == DecisionOutcome::Ok {
        if answer.validate(table).is_err() {
            outcome = DecisionOutcome::Invalid;
        } else if answer.abstains() {
            outcome = DecisionOutcome::Abstain;
        }
    }
    if outcome != DecisionOutcome::Ok {
        answer.clear();
    }
    outcome
}
