//! `mesh reset [NODE...|--all] -f HOSTS.yaml`: hosts leave their mesh, and what was installed goes.

mod leave;
mod told;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use clap::Args;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Cx,
    bootstrap::HowArgs,
    runs::{self, Source},
};
use crate::{
    Exit, Failure, Result,
    host::{Host, Job},
    hosts::{HostEntry, Inventory, Service},
    playbook::{self, HostPlan, Playbook, Vars},
    provision::{
        bootstrap::{
            board::Board,
            change::Stop,
            connect::{How, connect_all},
            facts::{Facts, probe},
            hold::{Holder, Part, hold},
            journal::{Deed, Head, HostState, Journal},
            lock::{Lock, Locked},
            member::root_prefix,
            office::Office,
            select::select,
        },
        release::{Release, Signed},
    },
};

/// Arguments of `mesh reset`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh reset gpu-7 -f hosts.yaml\n  mesh reset --all -f hosts.yaml --purge --yes\n  mesh reset --resume 20261121T133500-3fa2\n\nState and logs stay on the hosts unless --purge is said. The root of the mesh stays on this machine."
)]
pub(crate) struct ResetArgs {
    /// The hosts: NAME or NAME*
    #[arg(value_name = "NODE", required_unless_present_any = ["all", "resume", "only_failed", "list"])]
    nodes: Vec<String>,
    /// Every host of the file: the mesh is no more
    #[arg(long, conflicts_with = "nodes")]
    all: bool,
    /// The file in which the hosts are
    #[arg(long, short = 'f', value_name = "HOSTS.yaml", required_unless_present_any = ["resume", "list"])]
    file: Option<PathBuf>,
    /// State and logs go too
    #[arg(long)]
    purge: bool,
    /// Also a coordinator, as long as the others keep a majority; also when the mesh cannot be asked
    #[arg(long)]
    force: bool,
    /// Only says what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Goes on with a run that was interrupted, or that some hosts did not come through, as it was asked for
    #[arg(long, value_name = "RUN", conflicts_with_all = ["nodes", "all", "file", "purge", "playbook", "only_failed", "list"])]
    resume: Option<String>,
    /// Only the hosts that did not come to their end in the last reset, as it was asked for
    #[arg(long, conflicts_with_all = ["nodes", "all", "purge", "playbook", "list"])]
    only_failed: bool,
    /// Lists the runs of this machine, of every command over hosts
    #[arg(long, conflicts_with_all = ["nodes", "all", "file", "dry_run"])]
    list: bool,
    /// Another playbook than the built-in one
    #[arg(long, value_name = "FILE")]
    playbook: Option<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
}

/// What a reset is asked for; kept with its run.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Asked {
    all: bool,
    purge: bool,
    force: bool,
    playbook: Option<PathBuf>,
}

struct Reset<'a> {
    cx: &'a Cx,
    args: &'a ResetArgs,
    asked: Asked,
    inventory: &'a Inventory,
    board: Arc<Board>,
    office: Office,
    playbook: Playbook,
    stop: Stop,
    /// The run, once it has begun.
    run: OnceLock<String>,
}

/// What came of the hosts.
#[derive(Default)]
struct Ends {
    /// Those on which nothing of the product is left, with the number of steps that took it away.
    done: BTreeMap<String, usize>,
    failures: BTreeMap<String, Failure>,
    /// How many were not begun because the run was stopped.
    left: usize,
    /// What operators have added to our units, by host: it is theirs, and stays.
    drop_ins: BTreeMap<String, Vec<String>>,
}

/// What was found before anything is changed.
struct Learnt {
    parts: Vec<Part>,
    failures: BTreeMap<String, Failure>,
    /// The hosts with the log of a coordinator.
    voters: BTreeSet<String>,
}

fn source(cx: &Cx, args: &ResetArgs) -> Result<Source> {
    match (&args.resume, &args.file) {
        (Some(id), _) => Source::resumed(cx, Deed::Reset, id),
        (None, Some(file)) => Source::of(file),
        (None, None) => Err(Failure::new(Exit::Usage, "name a hosts.yaml").next("mesh reset --all -f HOSTS.yaml")),
    }
}

/// What is asked for, and of which hosts.
fn asked(cx: &Cx, args: &ResetArgs, source: &Source) -> Result<(Asked, Vec<HostEntry>)> {
    let before = runs::gone_on_with(cx, source, args.only_failed.then_some((Deed::Reset, None)))?;
    let Some(story) = before else {
        let names = args.nodes.join(",");
        let chosen = select(&source.inventory.hosts, (!args.all).then_some(names.as_str()), None)?;
        let playbook = args.playbook.as_ref().map(std::path::absolute).transpose()?;
        return Ok((Asked { all: args.all, purge: args.purge, force: args.force, playbook }, chosen));
    };
    let kept: Asked = serde_json::from_value(story.head.orders.clone()).map_err(|why| {
        Failure::new(Exit::Invalid, format!("cannot read what run {} was asked", story.head.id)).why(why)
    })?;
    Ok((Asked { force: kept.force || args.force, ..kept }, runs::left(&source.inventory, &story)))
}

pub(crate) async fn run(cx: &Cx, args: ResetArgs) -> Result {
    if args.list {
        return runs::list(cx);
    }
    let mut source = source(cx, &args)?;
    let (asked, chosen) = asked(cx, &args, &source)?;
    let journal = source.journal.take().map(|(journal, _)| journal);
    let inventory = &source.inventory;
    let board = Arc::new(Board::new(args.how.progress, cx.out.quiet));
    // It installs nothing.
    let nothing = Release { version: String::new(), binaries: Vec::new(), signed: Signed::LocalBuild };
    let office = Office::new(&inventory.mesh, &nothing, String::new(), Arc::clone(&board))?;
    let name = asked.playbook.as_ref().map_or_else(|| "reset".to_owned(), |it| it.display().to_string());
    let (playbook, _) = playbook::find(&name)?;
    let (stop, run) = (Stop::listen()?, OnceLock::new());
    let reset = Reset { cx, args: &args, asked, inventory, board, office, playbook, stop, run };
    tokio::select! {
        done = Box::pin(reset.work(&chosen, journal, &source.text)) => done,
        () = reset.stop.at_once() => {
            let what = "stopped at once: what was under way on hosts may be half done";
            let next = reset.run.get().map_or("the same command again".to_owned(), |it| Deed::Reset.resume(it));
            Err(Failure::new(reset.stop.exit(), what).next(next))
        }
    }
}

impl Reset<'_> {
    fn concurrency(&self) -> usize {
        self.args.how.concurrency.clamp(1, 1024)
    }

    async fn work(&self, chosen: &[HostEntry], resumed: Option<Journal>, text: &str) -> Result {
        if chosen.is_empty() {
            self.cx.out.say("every host of that reset has come to its end: nothing to do");
            if self.asked.all && !self.args.dry_run {
                self.forget()?;
                resumed.iter().for_each(|it| it.end(Exit::Done));
            }
            return Ok(Exit::Done);
        }
        let learnt = self.learn(chosen).await?;
        if self.args.dry_run {
            return self.dry_run(&learnt);
        }
        self.quorum(&learnt.voters, chosen)?;
        self.question(&learnt.parts)?;
        let hosts = chosen.iter().map(|it| it.name.to_string()).collect();
        let orders = serde_json::to_value(&self.asked).unwrap_or_default();
        let head = Head { hosts, orders, ..Head::new(Deed::Reset, &self.inventory.mesh, &self.inventory.file) };
        let journal = runs::begin(self.cx, resumed, head, text)?;
        let _ = self.run.set(journal.id().to_owned());
        let ended = self.carry_out(learnt, &journal).await;
        journal.end(ended.as_ref().map_or_else(|it| it.exit, |it| *it));
        ended.map_err(|failure| failure.or_next(journal.resume_command()))
    }

    async fn carry_out(&self, learnt: Learnt, journal: &Journal) -> Result {
        let Learnt { parts, failures, .. } = learnt;
        let plans: Vec<&HostPlan> = parts.iter().map(|it| &it.plan).collect();
        journal.keep_plan(&json!({ "hosts": plans }))?;
        self.office.write_into(Arc::new(journal.again()?));
        let nodes: Vec<String> =
            parts.iter().filter(|it| it.entry.voter.is_none()).map(|it| it.name().to_owned()).collect();
        let (clean, open): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(|it| it.plan.is_done());
        let done = clean.iter().map(|it| (it.name().to_owned(), 0)).collect();
        let mut ends = Ends { done, failures, ..Ends::default() };
        if !open.is_empty() {
            self.board.phase(&format!("locking {} hosts", open.len()));
        }
        let holder = Holder { dirs: &self.cx.dirs, run: journal.id(), concurrency: self.concurrency(), undoes: true };
        let held = hold(open, holder, (&self.playbook, &self.office)).await?;
        ends.failures.extend(held.lost);
        for (name, failure) in &ends.failures {
            journal.host(name, HostState::Failed, Some(&failure.what));
        }
        let seen = self.leave(&nodes).await?;
        for name in ends.done.keys() {
            journal.host(name, HostState::Done, None);
        }
        self.apply(held.parts, journal, &mut ends).await;
        let is_over = self.asked.all && ends.failures.is_empty() && ends.left == 0;
        if is_over {
            self.forget()?;
        } else if !self.asked.all && !seen {
            self.board
                .say("the mesh could not be asked: its node objects stay; mesh delete node NAME removes them later");
        }
        let exit = self.end(journal, &ends, is_over)?;
        Ok(if self.stop.is_asked() { self.stop.exit() } else { exit })
    }

    /// Connects, asks what is there, and says what would go. A host that has nothing is done.
    async fn learn(&self, chosen: &[HostEntry]) -> Result<Learnt> {
        self.board.phase(&format!("connecting to {} hosts", chosen.len()));
        let concurrency = self.concurrency();
        let how = How { concurrency, policy: self.args.how.host_key_policy, board: Arc::clone(&self.board) };
        let reached = connect_all(self.cx, chosen, &how).await?;
        let examined = stream::iter(reached).map(|it| async move {
            let name = it.entry.name.to_string();
            let look = async {
                let host = it.host?;
                let root = root_prefix(&it.entry);
                let facts = probe(host.as_ref(), &root, &[]).await.map_err(Failure::from)?;
                self.check(&facts)?;
                let systemd = it.entry.service != Service::Supervised && facts.has_systemd();
                let vars = Vars::new(&json!({ "root": root, "systemd": systemd, "purge": self.asked.purge }));
                let plan = Part::look(host.as_ref(), &self.playbook, &vars, &self.office).await?;
                let is_voter = it.entry.voter.is_some() && facts.has_raft;
                let is_in_service = !facts.runs.is_empty();
                Ok((Part { entry: it.entry, host, vars, plan, is_in_service }, is_voter))
            };
            let look: Result<(Part, bool)> = look.await;
            (name, look)
        });
        let mut learnt = Learnt { parts: Vec::new(), failures: BTreeMap::new(), voters: BTreeSet::new() };
        let all: Vec<(String, Result<(Part, bool)>)> = examined.buffered(concurrency).collect().await;
        for (name, look) in all {
            match look {
                Ok((part, is_voter)) => {
                    learnt.parts.push(part);
                    learnt.voters.extend(is_voter.then_some(name));
                }
                Err(failure) => {
                    learnt.failures.insert(name, failure);
                }
            }
        }
        Ok(learnt)
    }

    /// A host of another mesh is not ours to reset.
    fn check(&self, facts: &Facts) -> Result<()> {
        match facts.mesh.as_deref() {
            Some(mesh) if mesh != self.inventory.mesh.as_str() => {
                Err(Failure::new(Exit::Refused, format!("it belongs to mesh {mesh}, not to {}", self.inventory.mesh))
                    .coded(crate::Code::OtherMesh)
                    .next(format!("use the hosts.yaml of mesh {mesh}")))
            }
            _ => Ok(()),
        }
    }

    /// Resets what is locked.
    async fn apply(&self, parts: Vec<(Part, Lock)>, journal: &Journal, ends: &mut Ends) {
        let names: Vec<String> = parts.iter().map(|(it, _)| it.name().to_owned()).collect();
        self.board.begin(&names);
        self.board.phase(&format!("resetting {} hosts", parts.len()));
        let applied = stream::iter(&parts).map(async |(part, lock)| {
            let name = part.name();
            if self.stop.is_asked() {
                return (name, None);
            }
            journal.host(name, HostState::Begun, None);
            let host = Locked::new(part.host.as_ref(), lock);
            let end = playbook::apply(&host, &part.plan, &self.office, None).await.map_err(Failure::from);
            let has_units = part.vars.get("systemd").is_some_and(|it| *it == true);
            let stays = if end.is_ok() && has_units { drop_ins(&host).await } else { Vec::new() };
            match &end {
                Ok(report) => {
                    journal.host(name, HostState::Done, None);
                    self.board.end(name, true, &format!("reset, {} steps", report.changed.len()));
                }
                Err(failure) => {
                    let why = failure.why.as_deref().unwrap_or_default();
                    journal.host(name, HostState::Failed, Some(why));
                    self.board.end(name, false, &format!("{}: {why}", failure.what));
                }
            }
            (name, Some(end.map(|_| (part.plan.changes().count(), stays))))
        });
        let mut applied = applied.buffer_unordered(self.concurrency());
        while let Some((name, end)) = applied.next().await {
            match end {
                None => ends.left += 1,
                Some(Err(failure)) => drop(ends.failures.insert(name.to_owned(), failure)),
                Some(Ok((count, stays))) => {
                    ends.done.insert(name.to_owned(), count);
                    if !stays.is_empty() {
                        ends.drop_ins.insert(name.to_owned(), stays);
                    }
                }
            }
        }
    }
}

/// The directories of drop-ins that are still there once all that was installed is gone.
async fn drop_ins<H: Host>(host: &H) -> Vec<String> {
    const SCRIPT: &str = r#"for it in /etc/systemd/system/mesh-agentd.service.d /etc/systemd/system/mesh-routerd.service.d; do
  [ ! -d "$it" ] || printf '%s\n' "$it"
done"#;
    // A host that is lost now has come to its end all the same.
    let output = host.run(Job::new("drop-ins", SCRIPT)).await;
    output.map(|it| it.text().lines().map(str::to_owned).collect()).unwrap_or_default()
}
