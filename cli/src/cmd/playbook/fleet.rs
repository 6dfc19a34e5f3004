//! `mesh playbook run -f HOSTS.yaml`: the hosts of a file over SSH, looked at together, changed in waves.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    desk::Desk,
    run::{Asked, RunArgs, facts, say_yes, start},
    told::{self, Ended},
};
use crate::{
    Exit, Failure, Result,
    cmd::{
        Cx,
        runs::{self, Source},
    },
    hosts::{HostEntry, Inventory, Service},
    playbook::{HostPlan, Playbook},
    provision::bootstrap::{
        board::Board,
        change::Stop,
        connect::{How, connect_all},
        hold::{Holder, Part, hold},
        journal::{Deed, Head, HostState, Journal},
        member::root_prefix,
        select::select,
    },
    ssh::SshHost,
};

/// A run over the hosts of a file.
pub(super) struct Fleet<'a> {
    pub(super) cx: &'a Cx,
    args: &'a RunArgs,
    pub(super) asked: Asked,
    pub(super) inventory: &'a Inventory,
    pub(super) playbook: Playbook,
    pub(super) desk: Desk,
    pub(super) board: Arc<Board>,
    pub(super) stop: Stop,
    /// The run, once it has begun.
    run: OnceLock<String>,
}

/// Every host's end, in the order of the file.
type Ends = BTreeMap<usize, Ended>;

pub(super) async fn run(cx: &Cx, args: &RunArgs) -> Result {
    let mut source = match (&args.resume, &args.file) {
        (Some(id), _) => Source::resumed(cx, Deed::Playbook, id)?,
        (None, Some(file)) => Source::of(file)?,
        (None, None) => return Err(Failure::new(Exit::Usage, "name a hosts.yaml").next("-f HOSTS.yaml")),
    };
    let (asked, playbook) = match &source.journal {
        Some((_, story)) => Asked::again(&story.head)?,
        None => Asked::of(args)?,
    };
    let only_failed = args.only_failed.then_some((Deed::Playbook, Some(playbook.name.as_str())));
    let chosen = match runs::gone_on_with(cx, &source, only_failed)? {
        Some(story) => runs::left(&source.inventory, &story),
        None => select(&source.inventory.hosts, args.limit.as_deref(), args.exclude.as_deref())?,
    };
    let journal = source.journal.take().map(|(journal, _)| journal);
    if chosen.is_empty() {
        cx.out.say("every host of that run has come to its end: nothing to do");
        return Ok(Exit::Done);
    }
    let board = Arc::new(Board::new(args.how.progress, cx.out.quiet));
    let desk = asked.what.desk(cx, &args.how)?.on(Arc::clone(&board));
    let (stop, run) = (Stop::listen()?, OnceLock::new());
    let fleet = Fleet { cx, args, asked, inventory: &source.inventory, playbook, desk, board, stop, run };
    tokio::select! {
        done = Box::pin(fleet.work(&chosen, journal, &source.text)) => done,
        () = fleet.stop.at_once() => {
            let what = "stopped at once: what was under way on hosts may be half done";
            let next = fleet.run.get().map_or("the same command again".to_owned(), |it| Deed::Playbook.resume(it));
            Err(Failure::new(fleet.stop.exit(), what).next(next))
        }
    }
}

impl Fleet<'_> {
    pub(super) fn concurrency(&self) -> usize {
        self.args.how.concurrency.clamp(1, 1024)
    }

    async fn work(&self, chosen: &[HostEntry], resumed: Option<Journal>, text: &str) -> Result {
        let (parts, ends) = self.look(chosen).await?;
        self.board.clear();
        let plans: Vec<&HostPlan> = parts.iter().map(|it| &it.plan).collect();
        if self.args.check {
            return self.check(&plans, ends);
        }
        if self.args.diff {
            told::diffs(self.cx, &plans)?;
        }
        say_yes(self.cx, &plans)?;
        if ends.is_empty() && resumed.is_none() && plans.iter().all(|it| it.is_done()) {
            let done: Vec<Ended> = stream::iter(&parts).then(|it| self.apply(it, None)).collect().await;
            return told::results(self.cx, &done, None);
        }
        let head = Head {
            playbook: Some(self.playbook.name.clone()),
            hosts: chosen.iter().map(|it| it.name.to_string()).collect(),
            orders: serde_json::to_value(&self.asked).unwrap_or_default(),
            ..Head::new(Deed::Playbook, &self.inventory.mesh, &self.inventory.file)
        };
        let journal = runs::begin(self.cx, resumed, head, text)?;
        let _ = self.run.set(journal.id().to_owned());
        journal.keep_plan(&json!({ "hosts": plans }))?;
        self.desk.write_into(journal.again()?);
        let ended = self.carry_out(chosen, (parts, ends), &journal).await;
        journal.end(ended.as_ref().map_or_else(|it| it.exit, |it| *it));
        ended.map_err(|failure| failure.or_next(journal.resume_command()))
    }

    async fn carry_out(&self, chosen: &[HostEntry], looked: (Vec<Part>, Ends), journal: &Journal) -> Result {
        let (parts, mut ends) = looked;
        let place = |name: &str| chosen.iter().position(|it| it.name.as_str() == name).unwrap_or(usize::MAX);
        let (clean, open): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(|it| it.plan.is_done());
        if !open.is_empty() {
            self.board.phase(&format!("locking {} hosts", open.len()));
        }
        let holder = Holder { dirs: &self.cx.dirs, run: journal.id(), concurrency: self.concurrency(), undoes: false };
        let held = hold(open, holder, (&self.playbook, &self.desk)).await?;
        let lost = held.lost.into_iter().map(|(host, failure)| (place(&host), Ended { host, result: Err(failure) }));
        ends.extend(lost);
        for it in ends.values() {
            let why = it.result.as_ref().err().map(|it| it.what.as_str());
            journal.host(&it.host, HostState::Failed, why);
        }
        for part in &clean {
            journal.host(part.name(), HostState::Done, None);
            ends.insert(place(part.name()), self.apply(part, None).await);
        }
        let failed = ends.values().filter(|it| it.result.is_err()).count();
        for it in self.change(&held.parts, journal, (failed, chosen.len())).await {
            ends.insert(place(&it.host), it);
        }
        drop(held.parts);
        self.board.clear();
        let exit = told::results(self.cx, &ends.into_values().collect::<Vec<_>>(), Some(journal))?;
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
        self.asked.what.vars.iter().for_each(|(name, value)| found.vars.set(name, Value::clone(value)));
        let plan = Part::look(host.as_ref(), &self.playbook, &found.vars, &self.desk).await?;
        self.asked.what.start_at.as_deref().map(|it| start(&self.playbook, &plan, it)).transpose()?;
        Ok(Part { entry, host, vars: found.vars, plan, is_in_service: found.is_member })
    }

    fn check(&self, plans: &[&HostPlan], ends: Ends) -> Result {
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
}
