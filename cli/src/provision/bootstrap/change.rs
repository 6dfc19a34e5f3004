//! Hosts are changed: locked, wave after wave, each action in the journal; an interrupt begins nothing new.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::{
    form::Doors,
    founding::{Proven, Witness},
    journal::{self, HostState, Journal},
    lock::{self, Lock, Locked},
    member::root_prefix,
    plan::{FleetPlan, HostPart},
    run::{Known, Run},
    verify,
    waves::{Candidate, Wave, is_too_many, order},
};
use crate::{Exit, Failure, Result, human, playbook};

/// The wish to stop: the first signal is heard between actions, the second at once.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    asked: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
    now: Arc<Notify>,
}

impl Stop {
    /// Listens for SIGINT and SIGTERM.
    pub(crate) fn listen() -> Result<Self> {
        let stop = Self::default();
        let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        let heard = stop.clone();
        tokio::spawn(async move {
            loop {
                let is_term = tokio::select! {
                    it = int.recv() => { if it.is_none() { return } false }
                    it = term.recv() => { if it.is_none() { return } true }
                };
                heard.terminated.fetch_or(is_term, Ordering::SeqCst);
                if heard.asked.swap(true, Ordering::SeqCst) {
                    heard.now.notify_waiters();
                    heard.now.notify_one();
                } else {
                    crate::output::note(
                        "stopping: what has begun is finished, nothing else begins; once more stops at once",
                    );
                }
            }
        });
        Ok(stop)
    }

    /// Whether nothing new shall begin.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// The code to end with.
    pub(crate) fn exit(&self) -> Exit {
        if self.terminated.load(Ordering::SeqCst) { Exit::Terminated } else { Exit::Interrupted }
    }

    /// Waits for the second wish.
    pub(crate) async fn at_once(&self) {
        self.now.notified().await;
    }

    /// The failure of a command that was stopped.
    pub(crate) fn failure(&self, run: &str) -> Failure {
        Failure::new(self.exit(), "interrupted").next(format!("mesh bootstrap --resume {run}"))
    }
}

/// What came of the hosts.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The hosts that are as they should be, with the number of things that were changed.
    pub(crate) done: BTreeMap<String, usize>,
    /// The hosts that nobody began with, because too many others had failed or the run was stopped.
    pub(crate) left: BTreeSet<String>,
}

/// The locks of hosts, by their names.
pub(crate) type Locks = BTreeMap<String, Lock>;

/// Locks hosts; one that somebody else changes stops the whole run.
///
/// The first of them goes first: of two operators who begin at the same instant, one comes through.
pub(crate) async fn lock_all(run: &Run<'_>, known: &Known, names: &[&str], id: &str) -> Result<Locks> {
    run.board.phase(&format!("locking {} hosts", names.len()));
    let is_abandoned = |run_id: &str| journal::is_abandoned(&run.cx.dirs, run_id);
    let takes = known.members.iter().filter(|it| names.contains(&it.name())).filter_map(|member| {
        let host = known.hosts.get(member.name())?;
        let (name, root) = (member.name().to_owned(), root_prefix(&member.entry));
        let is_abandoned = &is_abandoned;
        Some(async move { Ok((name, lock::take(host.as_ref(), &root, id, is_abandoned).await?)) })
    });
    let mut takes = takes.into_iter();
    let Some(first) = takes.next() else { return Ok(Locks::new()) };
    let first: (String, Lock) = first.await?;
    let mut locks: Locks = join_all(takes).await.into_iter().collect::<Result<_>>()?;
    locks.insert(first.0, first.1);
    Ok(locks)
}

/// Changes every host of the plan that needs it; tells which run as they come.
pub(crate) async fn change_all(
    run: &Run<'_>,
    known: &mut Known,
    (plan, locks): (&FleetPlan, &Locks),
    (journal, stop): (&Journal, &Stop),
    proven: watch::Sender<Proven>,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for host in plan.hosts.iter().filter(|it| it.plan.is_done()) {
        outcome.done.insert(host.name.clone(), 0);
        journal.host(&host.name, HostState::Done, None);
    }
    proven.send_replace(outcome.done.keys().cloned().collect());
    let parts: BTreeMap<&str, &HostPart> =
        plan.hosts.iter().filter(|it| !it.plan.is_done()).map(|it| (it.name.as_str(), it)).collect();
    let mut trials: Vec<String> = Vec::new();
    for wave in order(&candidates(known, &parts), &run.inventory.rolling) {
        if let (Some(name), true) = (trials.iter().find(|it| known.failures.contains_key(*it)), wave.settle) {
            run.board.say(&format!("{} stays as it is: the change fails on {name}", wave.hosts.join(", ")));
            outcome.left.extend(wave.hosts);
            continue;
        }
        trials.extend(wave.hosts.iter().filter(|_| wave.is_trial).cloned());
        // A host that never answered is no sign that the change does harm.
        let harmed = parts.keys().filter(|it| known.failures.contains_key(**it)).count();
        if stop.is_asked() || is_too_many(harmed, plan.hosts.len(), &run.inventory.rolling) {
            outcome.left.extend(wave.hosts);
            continue;
        }
        if !wave.pause.is_zero() {
            run.board.phase(&format!("pausing {} between waves", human::duration(human::ms(wave.pause))));
            tokio::select! {
                () = sleep(wave.pause) => {}
                () = stop.at_once() => {}
            }
        }
        change_wave(run, known, (&parts, locks, &wave), (journal, stop), (&mut outcome, &proven)).await?;
    }
    Ok(outcome)
}

fn candidates(known: &Known, parts: &BTreeMap<&str, &HostPart>) -> Vec<Candidate> {
    let of = |name: &str| {
        let part = parts.get(name)?;
        let is_coordinator = known.members.iter().any(|it| it.name() == name && it.entry.voter.is_some());
        Some(Candidate { name: name.to_owned(), is_coordinator, is_in_service: part.in_service })
    };
    known.members.iter().filter_map(|it| of(it.name())).collect()
}

async fn change_wave(
    run: &Run<'_>,
    known: &mut Known,
    (parts, locks, wave): (&BTreeMap<&str, &HostPart>, &Locks, &Wave),
    (journal, stop): (&Journal, &Stop),
    (outcome, proven): (&mut Outcome, &watch::Sender<Proven>),
) -> Result<()> {
    run.board.begin(&wave.hosts);
    run.board.phase(&format!("changing {} hosts", wave.hosts.len()));
    let (hosts, witness) = (&known.hosts, &Witness { office: &run.office, proven });
    let changes = stream::iter(&wave.hosts).map(|name| async move {
        let (Some(part), Some(host), Some(lock)) = (parts.get(name.as_str()), hosts.get(name), locks.get(name)) else {
            return (name, None);
        };
        if stop.is_asked() {
            return (name, None);
        }
        journal.host(name, HostState::Begun, None);
        let begun = Instant::now();
        let applied = playbook::apply(&Locked::new(host.as_ref(), lock), &part.plan, witness, None).await;
        let applied = match applied.map_err(Failure::from) {
            Ok(report) => {
                let took = human::duration(human::ms(begun.elapsed()));
                journal.host(name, HostState::Done, None);
                run.board.end(name, true, &format!("{} steps changed in {took}", report.changed.len()));
                Ok(part.changes())
            }
            Err(failure) => {
                let why = failure.why.clone().unwrap_or_default();
                journal.host(name, HostState::Failed, Some(&why));
                run.board.end(name, false, &format!("{}: {why}", failure.what));
                Err(failure)
            }
        };
        (name, Some(applied))
    });
    let ended: Vec<_> = changes.buffer_unordered(run.orders.concurrency.max(1)).collect().await;
    let mut changed = Vec::new();
    for (name, end) in ended {
        match end {
            None => {
                outcome.left.insert(name.clone());
            }
            Some(Ok(count)) => {
                changed.push(name.as_str());
                outcome.done.insert(name.clone(), count);
            }
            Some(Err(failure)) => {
                known.failures.insert(name.clone(), failure);
            }
        }
    }
    if wave.settle && !changed.is_empty() {
        settle(run, known, &changed, (journal, outcome)).await?;
    }
    Ok(())
}

/// Waits until the hosts of a wave serve again: the next wave must not take more away than was meant.
async fn settle(
    run: &Run<'_>,
    known: &mut Known,
    names: &[&str],
    (journal, outcome): (&Journal, &mut Outcome),
) -> Result<()> {
    let Some(agent) = run.agent() else { return Ok(()) };
    let doors = Doors::new(&run.identity()?, &known.fleet)?;
    let end = Instant::now() + run.orders.limit;
    for (name, why) in verify::wait(&doors, names, agent, end, &run.board).await {
        journal.host(&name, HostState::Failed, Some(&why));
        outcome.done.remove(&name);
        known.failures.insert(name.clone(), verify::late(&name, &why));
    }
    journal.note("settled", None, json!({ "hosts": names }));
    Ok(())
}
