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

/// Who has an instance: by table address and worker.
type Seats = BTreeMap<(usize, usize), (Arc<ModelTable>, u64)>;

fn run(inbox: &Receiver<Job>) {
    let mut seats = Seats::new();
    let mut seed = 0;
    while let Ok(job) = inbox.recv() {
        match job {
            Job::Drop(instance) => drop(instance),
            Job::Want(want) => fulfil(&mut seats, &want, seed),
            Job::Activate(version, fleet, with_seed, reply) => {
                seed = with_seed;
                // Nobody waits any more when the router stops.
                let _ = reply.send(activate(&mut seats, &version, &fleet, seed));
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

fn activate(seats: &mut Seats, version: &Arc<Version>, fleet: &Fleet, seed: u64) -> Result<(), String> {
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
    seats.clear();
    for (seat, table, worker) in made {
        table.mail[worker].leave_seat(seat);
        seats.insert(key(&table, worker), (table, version.number));
    }
    Ok(())
}

fn fulfil(seats: &mut Seats, want: &Want, seed: u64) {
    let mailbox = &want.table.mail[want.worker];
    let index = u32::try_from(want.worker).unwrap_or(u32::MAX);
    if want.standby {
        match want.version.instance(index, seed) {
            Ok(instance) => mailbox.leave_seat(Seat::Standby(want.version.clone(), instance)),
            Err(error) => tracing::warn!(strategy = want.version.name, error, "no standby instance"),
        }
        return;
    }
    // A model that is gone is held by this list alone (and by the request that asks).
    seats.retain(|_, (table, _)| Arc::strong_count(table) > 1);
    if seats.len() >= INSTANCES_MAX / cost(&want.version) {
        evict(seats);
    }
    match make(&want.version, want.worker, seed) {
        Ok(seat) => {
            mailbox.leave_seat(seat);
            seats.insert(key(&want.table, want.worker), (want.table.clone(), want.version.number));
        }
        Err(error) => tracing::warn!(strategy = want.version.name, error, "no instance: the baseline decides"),
    }
}

fn evict(seats: &mut Seats) {
    let least = seats.iter().min_by_key(|((_, worker), (table, _))| table.mail[*worker].used_ms()).map(|(key, _)| *key);
    if let Some(least) = least
        && let Some((table, _)) = seats.remove(&least)
    {
        table.mail[least.1].leave_seat(Seat::Leave);
    }
}
