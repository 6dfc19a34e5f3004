//! `mesh playbook run -f HOSTS.yaml`: the hosts of a file over SSH, looked at together, changed in waves.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    desk::Desk,
    run::{RunArgs, facts, say_yes, start},
    told::{self, Ended},
};
use crate::{
    Code, Exit, Failure, Result,
    cmd::{Cx, bootstrap::load},
    hosts::{HostEntry, Inventory, Service},
    human,
    playbook::{self, HostPlan, Playbook, Report, examine},
    provision::bootstrap::{
        board::Board,
        change::{Locks, Stop},
        connect::{How, connect_all},
        journal,
        lock::{self, Lock, Locked},
        member::root_prefix,
        select::select,
        waves::{Candidate, is_too_many, order},
    },
    ssh::SshHost,
};

/// A host that was looked at.
struct Part {
    entry: HostEntry,
    host: Arc<SshHost>,
    /// Whether a node of a mesh lives there: a change may interrupt it.
    is_in_service: bool,
    plan: HostPlan,
}

impl Part {
    fn name(&self) -> &str {
        self.entry.name.as_str()
    }
}

/// A run over the hosts of a file.
struct Fleet<'a> {
    cx: &'a Cx,
    args: &'a RunArgs,
    inventory: Inventory,
    playbook: Playbook,
    desk: Desk,
    board: Arc<Board>,
    stop: Stop,
}

/// Every host's end, in the order of the file.
type Ends = BTreeMap<usize, Ended>;

pub(super) async fn run(cx: &Cx, args: &RunArgs, playbook: Playbook, file: &Path) -> Result {
    let inventory = load(file)?;
    let chosen = select(&inventory.hosts, args.limit.as_deref(), args.exclude.as_deref())?;
    let board = Arc::new(Board::new(args.how.progress, cx.out.quiet));
    let desk = args.desk(cx)?.on(Arc::clone(&board));
    let stop = Stop::listen()?;
    let fleet = Fleet { cx, args, inventory, playbook, desk, board, stop };
    tokio::select! {
        done = Box::pin(fleet.work(&chosen)) => done,
        () = fleet.stop.at_once() => {
            let what = "stopped at once: what was under way on hosts may be half done";
            Err(Failure::new(fleet.stop.exit(), what).next("the same command again: it looks at every host first"))
        }
    }
}

impl Fleet<'_> {
    fn concurrency(&self) -> usize {
        self.args.how.concurrency.clamp(1, 1024)
    }

    async fn work(&self, chosen: &[HostEntry]) -> Result {
        let (parts, mut ends) = self.look(chosen).await?;
        let place = |name: &str| chosen.iter().position(|it| it.name.as_str() == name).unwrap_or(usize::MAX);
        self.board.clear();
        let plans: Vec<HostPlan> = parts.iter().map(|it| it.plan.clone()).collect();
        if self.args.check {
            return self.check(&plans, ends);
        }
        if self.args.diff {
            told::diffs(self.cx, &plans)?;
        }
        say_yes(self.cx, &plans)?;
        let run = format!("playbook {} {}", self.playbook.name, human::now());
        let (locks, lost) = self.lock(&parts, &run).await?;
        ends.extend(lost.into_iter().map(|it| (place(&it.host), it)));
        let left: Vec<&Part> = parts.iter().filter(|it| !ends.contains_key(&place(it.name()))).collect();
        for it in self.change(&left, &locks, ends.len()).await {
            ends.insert(place(&it.host), it);
        }
        drop(locks);
        self.board.clear();
        let exit = told::results(self.cx, &ends.into_values().collect::<Vec<_>>())?;
        Ok(if self.stop.is_asked() { self.stop.exit() } else { exit })
    }

    /// Connects to every host and compares it with the playbook; who cannot be looked at has come to its end.
    async fn look(&self, chosen: &[HostEntry]) -> Result<(Vec<Part>, Ends)> {
        self.board.phase(&format!("connecting to {} hosts", chosen.len()));
        let (policy, board) = (self.args.how.host_key_policy, Arc::clone(&self.board));
        let how = How { concurrency: self.concurrency(), policy, board };
        let reached = connect_all(self.cx, chosen, &how).await?;
        self.board.phase(&format!("comparing {} hosts with the playbook", chosen.len()));
        let looks = stream::iter(reached.into_iter().enumerate()).map(async |(place, it)| {
            let name = it.entry.name.to_string();
            let look = async { self.examine(it.entry, it.host?).await };
            (place, name, look.await)
        });
        let (mut parts, mut ends) = (Vec::new(), Ends::new());
        let looked: Vec<(usize, String, Result<Part>)> = looks.buffered(self.concurrency()).collect().await;
        for (place, host, part) in looked {
            match part {
                Ok(part) => parts.push(part),
                Err(failure) => {
                    ends.insert(place, Ended { host, result: Err(failure) });
                }
            }
        }
        Ok((parts, ends))
    }

    async fn examine(&self, entry: HostEntry, host: Arc<SshHost>) -> Result<Part> {
        let root = root_prefix(&entry);
        let mut found = facts(host.as_ref(), &root).await?;
        let has_systemd = found.has_systemd && entry.service != Service::Supervised;
        for (name, value) in [
            ("systemd", json!(has_systemd)),
            ("root", json!(root)),
            ("mesh", json!(self.inventory.mesh)),
            ("node", json!(entry.name)),
            ("address", json!(entry.data_address.map_or_else(|| entry.address.clone(), |it| it.to_string()))),
            ("roles", json!(entry.roles)),
            ("labels", json!(entry.labels)),
            ("pool", json!(entry.pool)),
            ("zone", json!(entry.zone)),
        ] {
            found.vars.set(name, value);
        }
        self.args.vars.iter().for_each(|(name, value)| found.vars.set(name, Value::clone(value)));
        let plan = examine(host.as_ref(), &self.playbook, &found.vars, &self.desk).await;
        let plan = plan.map_err(|error| error.failure(entry.name.as_str()))?;
        self.args.start_at.as_deref().map(|it| start(&self.playbook, &plan, it)).transpose()?;
        Ok(Part { entry, host, is_in_service: found.is_member, plan })
    }

    fn check(&self, plans: &[HostPlan], ends: Ends) -> Result {
        told::plans(self.cx, plans, self.args.diff)?;
        let mut exits = vec![Exit::Done; plans.len()];
        for it in ends.into_values() {
            if let Err(failure) = it.result {
                exits.push(failure.exit);
                crate::output::note(&format!("{}: {failure}", it.host));
            }
        }
        let exit = Exit::of_many(&exits);
        let is_pending = exit == Exit::Done && self.args.detailed_exitcode && plans.iter().any(|it| !it.is_done());
        Ok(if is_pending { Exit::Pending } else { exit })
    }

    /// Locks what will be changed, and looks again: between the look and the lock somebody else may have been there.
    /// A host that somebody else changes stops the whole run; one that is lost, itself only.
    async fn lock(&self, parts: &[Part], run: &str) -> Result<(Locks, Vec<Ended>)> {
        let changed: Vec<&Part> = parts.iter().filter(|it| !it.plan.is_done()).collect();
        if !changed.is_empty() {
            self.board.phase(&format!("locking {} hosts", changed.len()));
        }
        let is_abandoned = |run: &str| journal::is_abandoned(&self.cx.dirs, run);
        let takes = stream::iter(changed).map(async |part| {
            let taken = async {
                let lock = lock::take(part.host.as_ref(), &root_prefix(&part.entry), run, &is_abandoned).await?;
                let again = self.examine(part.entry.clone(), Arc::clone(&part.host)).await?;
                if again.plan.digest() == part.plan.digest() {
                    return Ok(lock);
                }
                Err(Failure::new(Exit::Refused, "the host has changed while this run was being planned")
                    .coded(Code::PlanStale)
                    .next("the same command again: it looks at every host first"))
            };
            (part.name().to_owned(), taken.await)
        });
        let taken: Vec<(String, Result<Lock>)> = takes.buffered(self.concurrency()).collect().await;
        let (mut locks, mut lost) = (Locks::new(), Vec::new());
        for (host, taken) in taken {
            match taken {
                Ok(lock) => {
                    locks.insert(host, lock);
                }
                Err(failure) if failure.exit == Exit::Refused => return Err(failure),
                Err(failure) => lost.push(Ended { host, result: Err(failure) }),
            }
        }
        Ok((locks, lost))
    }

    /// Changes the hosts wave after wave; once too many have failed, the rest is left as it is.
    async fn change(&self, parts: &[&Part], locks: &Locks, lost: usize) -> Vec<Ended> {
        let rolling = &self.inventory.rolling;
        let (done, open): (Vec<&Part>, Vec<&Part>) = parts.iter().copied().partition(|it| it.plan.is_done());
        let mut ends: Vec<Ended> = stream::iter(done).then(|it| self.apply(it, locks.get(it.name()))).collect().await;
        let candidate = |it: &&Part| Candidate {
            name: it.name().to_owned(),
            is_coordinator: it.entry.voter.is_some(),
            is_in_service: it.is_in_service,
        };
        for wave in order(&open.iter().map(candidate).collect::<Vec<_>>(), rolling) {
            let harmed = ends.iter().filter(|it| it.result.is_err()).count();
            // Who never answered is no sign that the change does harm, but a mesh in service has lost it all the same.
            let counted = if wave.settle { harmed + lost } else { harmed };
            if self.stop.is_asked() || is_too_many(counted, parts.len() + lost, rolling) {
                let why = if self.stop.is_asked() { "the run was stopped" } else { "too many others have failed" };
                let left = || Failure::new(Exit::Failed, format!("not begun: {why}")).next("the same command again");
                ends.extend(wave.hosts.into_iter().map(|host| Ended { host, result: Err(left()) }));
                continue;
            }
            if !wave.pause.is_zero() {
                self.board.phase(&format!("pausing {} between waves", human::duration(human::ms(wave.pause))));
                tokio::select! {
                    () = sleep(wave.pause) => {}
                    () = self.stop.at_once() => {}
                }
            }
            self.board.begin(&wave.hosts);
            self.board.phase(&format!("changing {} hosts", wave.hosts.len()));
            let now = open.iter().copied().filter(|it| wave.hosts.iter().any(|name| name == it.name()));
            let changes = stream::iter(now).map(|it| self.apply(it, locks.get(it.name())));
            ends.extend(changes.buffer_unordered(self.concurrency()).collect::<Vec<_>>().await);
        }
        ends
    }

    async fn apply(&self, part: &Part, lock: Option<&Lock>) -> Ended {
        let name = part.name();
        let from = self.args.start_at.as_deref().and_then(|it| start(&self.playbook, &part.plan, it).ok());
        let (host, from) = (part.host.as_ref(), from.as_ref());
        let applied = match lock {
            Some(lock) => playbook::apply(&Locked::new(host, lock), &part.plan, &self.desk, from).await,
            // On it nothing changes.
            None => playbook::apply(host, &part.plan, &self.desk, from).await,
        };
        let result: std::result::Result<Report, Failure> = applied.map_err(Failure::from);
        if !part.plan.is_done() {
            match &result {
                Ok(report) => self.board.end(name, true, &format!("{} steps changed", report.changed.len())),
                Err(it) => self.board.end(name, false, &it.why.as_ref().map_or_else(|| it.what.clone(), Clone::clone)),
            }
        }
        Ended { host: name.to_owned(), result }
    }
}
