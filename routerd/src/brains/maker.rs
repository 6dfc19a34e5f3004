//! A thread that makes and drops strategy instances, so that no request waits for it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use mesh_strategy::Strategy;
use tokio::sync::oneshot;

use crate::{
    brains::version::{Seat, Version},
    fleet::{Fleet, model::ModelTable},
};

/// Instances of a router, standbys included.
pub(crate) const INSTANCES_MAX: usize = 512;
/// Jobs that wait: above this a worker drops instances itself and asks again at its next decision.
const JOBS_MAX: usize = 1024;

/// An instance that a worker misses.
pub(crate) struct Want {
    /// Of this version.
    pub(crate) version: Arc<Version>,
    /// For this model.
    pub(crate) table: Arc<ModelTable>,
    /// For this worker.
    pub(crate) worker: usize,
    /// Behind the one it has, instead of in its place.
    pub(crate) standby: bool,
}

enum Job {
    Want(Want),
    Drop(Box<dyn Strategy>),
    /// Makes instances of a version for every worker and model, and leaves them in the mailboxes when all were made.
    Activate(Arc<Version>, Arc<Fleet>, u64, oneshot::Sender<Result<(), String>>),
}

/// Reaches the thread; it ends when this is dropped.
pub(crate) struct Maker {
    jobs: SyncSender<Job>,
}

impl Maker {
    /// Starts the thread.
    pub(crate) fn start() -> Self {
        let (jobs, inbox) = sync_channel(JOBS_MAX);
        let started = std::thread::Builder::new().name("strategies".to_owned()).spawn(move || run(&inbox));
        if let Err(error) = started {
            tracing::error!(%error, "cannot start the thread that makes strategy instances: the baseline decides");
        }
        Self { jobs }
    }

    /// Drops an instance elsewhere.
    pub(crate) fn drop_later(&self, instance: Box<dyn Strategy>) {
        // A full queue gives it back and it is dropped here: slower, and never wrong.
        let _ = self.jobs.try_send(Job::Drop(instance));
    }

    /// Asks for an instance; false when it has to be asked for again.
    pub(crate) fn want(&self, want: Want) -> bool {
        self.jobs.try_send(Job::Want(want)).is_ok()
    }

    /// Has a version made for every worker and model.
    pub(crate) async fn activate(&self, version: Arc<Version>, fleet: Arc<Fleet>, seed: u64) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let gone = || "the thread that makes strategy instances is gone or overloaded".to_owned();
        self.jobs.try_send(Job::Activate(version, fleet, seed, reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Who has an instance.
#[derive(Default)]
struct Seats {
    /// By table address and worker.
    held: BTreeMap<(usize, usize), Arc<ModelTable>>,
    /// The activation they are of.
    number: u64,
    seed: u64,
}

fn run(inbox: &Receiver<Job>) {
    let mut seats = Seats::default();
    while let Ok(job) = inbox.recv() {
        match job {
            Job::Drop(instance) => drop(instance),
            Job::Want(want) => seats.fulfil(&want),
            Job::Activate(version, fleet, seed, reply) => {
                // Nobody waits any more when the router stops.
                let _ = reply.send(seats.activate(&version, &fleet, seed));
            }
        }
    }
}

fn key(table: &Arc<ModelTable>, worker: usize) -> (usize, usize) {
    (Arc::as_ptr(table).addr(), worker)
}

fn cost(version: &Version) -> usize {
    if version.can_fault() { 2 } else { 1 }
}

fn make(version: &Arc<Version>, worker: usize, seed: u64) -> Result<Seat, String> {
    let index = u32::try_from(worker).unwrap_or(u32::MAX);
    let instance = version.instance(index, seed)?;
    let standby = version.can_fault().then(|| version.instance(index, seed)).transpose()?;
    Ok(Seat::Install(version.clone(), instance, standby))
}

impl Seats {
    fn activate(&mut self, version: &Arc<Version>, fleet: &Fleet, seed: u64) -> Result<(), String> {
        let mut pairs: Vec<_> = fleet
            .models()
            .values()
            .flat_map(|table| (0..fleet.workers).map(move |worker| (table.clone(), worker)))
            .collect();
        // With more pairs than instances, those used last come first; the others get theirs when they decide.
        pairs.sort_by_key(|(table, worker)| std::cmp::Reverse(table.mail[*worker].used_ms()));
        pairs.truncate(INSTANCES_MAX / cost(version));
        let mut made = Vec::with_capacity(pairs.len());
        for (table, worker) in pairs {
            made.push((make(version, worker, seed)?, table, worker));
        }
        (self.number, self.seed) = (version.number, seed);
        self.held.clear();
        for (seat, table, worker) in made {
            table.mail[worker].leave_seat(seat);
            self.held.insert(key(&table, worker), table);
        }
        Ok(())
    }

    fn fulfil(&mut self, want: &Want) {
        // Asked for before an activation that came first: what that one left must not be replaced by an older one.
        if want.version.number != self.number {
            return;
        }
        let mailbox = &want.table.mail[want.worker];
        let key = key(&want.table, want.worker);
        if want.standby {
            // Taken out meanwhile: the order to leave must not be replaced either.
            if !self.held.contains_key(&key) {
                return;
            }
            let index = u32::try_from(want.worker).unwrap_or(u32::MAX);
            match want.version.instance(index, self.seed) {
                Ok(instance) => mailbox.leave_seat(Seat::Standby(want.version.clone(), instance)),
                Err(error) => tracing::warn!(strategy = want.version.name, error, "no standby instance"),
            }
            return;
        }
        // A model that is gone is held by this list alone (and by the request that asks).
        self.held.retain(|_, table| Arc::strong_count(table) > 1);
        if !self.held.contains_key(&key) && self.held.len() >= INSTANCES_MAX / cost(&want.version) {
            self.evict();
        }
        match make(&want.version, want.worker, self.seed) {
            Ok(seat) => {
                mailbox.leave_seat(seat);
                self.held.insert(key, want.table.clone());
            }
            Err(error) => tracing::warn!(strategy = want.version.name, error, "no instance: the baseline decides"),
        }
    }

    /// Takes out the instance that decided longest ago.
    fn evict(&mut self) {
        let least = self.held.iter().min_by_key(|((_, worker), table)| table.mail[*worker].used_ms());
        let Some(key) = least.map(|(key, _)| *key) else { return };
        if let Some(table) = self.held.remove(&key) {
            table.mail[key.1].leave_seat(Seat::Leave);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use mesh_strategy::{DecisionOutcome, StrategyBreaker};

    use super::*;
    use crate::{
        brains::version::Code,
        fleet::owner::{Load, Owner, Row},
        metrics::Metrics,
    };

    fn version(number: u64) -> Arc<Version> {
        let metrics = Metrics::new().unwrap();
        let name = "least_queue".to_owned();
        Arc::new(Version {
            number,
            seq: number,
            digest: None,
            breaker: Arc::new(StrategyBreaker::default()),
            decisions: DecisionOutcome::ALL.map(|it| metrics.decisions(&name, "1", it.as_str())),
            name,
            version: "1".to_owned(),
            code: Code::Builtin,
        })
    }

    /// A fleet of one worker with so many models, each used a millisecond after the one before.
    fn fleet(models: usize) -> (Arc<Fleet>, Vec<Arc<ModelTable>>) {
        let fleet = Arc::new(Fleet::new(1));
        let row = |n: usize| Row {
            model: format!("m{n:03}").into(),
            engine: "e".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            serving: true,
            capacity: None,
            load: Load::default(),
            health: None,
        };
        Owner::new(fleet.clone()).reconcile("n", &(0..models).map(row).collect::<Vec<_>>(), 0);
        let tables: Vec<_> = fleet.models().values().cloned().collect();
        for (table, now_ms) in tables.iter().zip(1..) {
            table.mail[0].used(now_ms);
        }
        (fleet, tables)
    }

    fn want(version: &Arc<Version>, table: &Arc<ModelTable>, standby: bool) -> Want {
        Want { version: version.clone(), table: table.clone(), worker: 0, standby }
    }

    /// What waits in the mailbox, as one word and the activation.
    fn waits(table: &ModelTable) -> Option<(&'static str, u64)> {
        table.mail[0].take_seat().map(|seat| match seat {
            Seat::Install(version, _, _) => ("install", version.number),
            Seat::Standby(version, _) => ("standby", version.number),
            Seat::Leave => ("leave", 0),
        })
    }

    #[test]
    fn the_instance_used_longest_ago_makes_room_for_one_more() {
        let (fleet, tables) = fleet(INSTANCES_MAX + 2);
        let (mut seats, first) = (Seats::default(), version(1));
        seats.activate(&first, &fleet, 0).unwrap();
        assert_eq!(seats.held.len(), INSTANCES_MAX);
        let seated: Vec<_> = tables.iter().map(|it| waits(it)).collect();
        assert_eq!(seated[..2], [None, None], "those used last come first");
        assert!(seated[2..].iter().all(|it| *it == Some(("install", 1))));

        tables[2].mail[0].used(10_000);
        seats.fulfil(&want(&first, &tables[0], false));
        assert_eq!(waits(&tables[0]), Some(("install", 1)));
        assert_eq!(waits(&tables[3]), Some(("leave", 0)), "the one used longest ago");
        assert!(tables[1..3].iter().chain(&tables[4..]).all(|it| waits(it).is_none()));
        seats.fulfil(&want(&first, &tables[0], false));
        assert!(tables[1..].iter().all(|it| waits(it).is_none()), "who has one already takes nobody's");
        assert_eq!(seats.held.len(), INSTANCES_MAX);

        seats.fulfil(&want(&first, &tables[3], true));
        assert_eq!(waits(&tables[3]), None, "no standby for one that was taken out");
    }

    #[test]
    fn a_late_wish_for_an_old_version_replaces_nothing() {
        let (fleet, tables) = fleet(1);
        let (mut seats, first, second) = (Seats::default(), version(1), version(2));
        seats.activate(&first, &fleet, 0).unwrap();
        seats.activate(&second, &fleet, 0).unwrap();
        seats.fulfil(&want(&first, &tables[0], false));
        seats.fulfil(&want(&first, &tables[0], true));
        assert_eq!(waits(&tables[0]), Some(("install", 2)));
    }

    #[test]
    fn a_model_that_is_gone_holds_no_instance() {
        let (fleet, mut tables) = fleet(2);
        let (mut seats, first) = (Seats::default(), version(1));
        seats.activate(&first, &fleet, 0).unwrap();
        drop(tables.pop());
        drop(fleet);
        seats.fulfil(&want(&first, &tables[0], false));
        assert_eq!(seats.held.len(), 1);
    }
}
