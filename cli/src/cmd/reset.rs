//! `mesh reset [NODE...|--all] -f HOSTS.yaml`: hosts leave their mesh, and what was installed goes.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use clap::Args;
use futures_util::{StreamExt, stream};
use mesh_core::id::Principal;
use serde_json::{Value, json};

use super::{
    Cx,
    bootstrap::{HowArgs, load},
    nodes::name_of,
};
use crate::{
    Exit, Failure, Result,
    hosts::{HostEntry, Inventory, Service},
    human,
    items::SCHEMA,
    output::Table,
    playbook::{self, HostPlan, Playbook, Vars},
    provision::{
        bootstrap::{
            board::Board,
            connect::{How, connect_all},
            facts::{Facts, probe},
            form::{Doors, Made, Seen, forget},
            journal,
            lock::{self, Lock, Locked},
            member::{Coordinator, Fleet, Member, data_address, root_prefix},
            office::Office,
            root::RootDir,
            select::select,
        },
        identity,
        release::{Release, Signed},
    },
    ssh::SshHost,
};

/// Arguments of `mesh reset`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh reset gpu-7 -f hosts.yaml\n  mesh reset --all -f hosts.yaml --purge --yes\n\nState and logs stay on the hosts unless --purge is said. The root of the mesh stays on this machine."
)]
pub(crate) struct ResetArgs {
    /// The hosts: NAME or NAME*
    #[arg(value_name = "NODE", required_unless_present = "all")]
    nodes: Vec<String>,
    /// Every host of the file: the mesh is no more
    #[arg(long, conflicts_with = "nodes")]
    all: bool,
    /// The file in which the hosts are
    #[arg(long, short = 'f', value_name = "HOSTS.yaml")]
    file: PathBuf,
    /// State and logs go too
    #[arg(long)]
    purge: bool,
    /// Also a coordinator, as long as the others keep a majority; also when the mesh cannot be asked
    #[arg(long)]
    force: bool,
    /// Only says what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Another playbook than the built-in one
    #[arg(long, value_name = "FILE")]
    playbook: Option<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
}

/// A host that is to be reset.
struct Part {
    entry: HostEntry,
    facts: Facts,
    host: Arc<SshHost>,
    plan: HostPlan,
}

struct Reset<'a> {
    cx: &'a Cx,
    args: &'a ResetArgs,
    inventory: &'a Inventory,
    board: Arc<Board>,
    office: Office,
    playbook: Playbook,
}

pub(crate) async fn run(cx: &Cx, args: ResetArgs) -> Result {
    let inventory = load(&args.file)?;
    let names = args.nodes.join(",");
    let chosen = select(&inventory.hosts, (!args.all).then_some(names.as_str()), None)?;
    let board = Arc::new(Board::new(args.how.progress, cx.out.quiet));
    // It installs nothing.
    let nothing = Release { version: String::new(), binaries: Vec::new(), signed: Signed::LocalBuild };
    let office = Office::new(&inventory.mesh, &nothing, String::new(), Arc::clone(&board))?;
    let name = args.playbook.as_ref().map_or_else(|| "reset".to_owned(), |it| it.display().to_string());
    let (playbook, _) = playbook::find(&name)?;
    let reset = Reset { cx, args: &args, inventory: &inventory, board, office, playbook };
    let (parts, mut failures) = reset.learn(&chosen).await?;
    if args.dry_run {
        return reset.dry_run(&parts, &failures);
    }
    reset.quorum(&parts, &chosen)?;
    reset.question(&parts)?;
    let run = format!("reset {}", human::now());
    let is_abandoned = |run: &str| journal::is_abandoned(&cx.dirs, run);
    let mut locks = Vec::new();
    for it in &parts {
        locks.push(lock::take(it.host.as_ref(), &root_prefix(&it.entry), &run, &is_abandoned).await?);
    }
    let seen = reset.leave(&parts).await?;
    let done = reset.apply(&parts, &locks, &mut failures).await;
    drop(locks);
    if args.all && failures.is_empty() {
        reset.forget()?;
    } else if !args.all && !seen {
        reset.board.say("the mesh could not be asked: its node objects stay; mesh delete node NAME removes them later");
    }
    reset.end(&done, &failures)
}

impl Reset<'_> {
    /// Connects, asks what is there, and says what would go. A host that has nothing is done.
    async fn learn(&self, chosen: &[HostEntry]) -> Result<(Vec<Part>, BTreeMap<String, Failure>)> {
        self.board.phase(&format!("connecting to {} hosts", chosen.len()));
        let concurrency = self.args.how.concurrency.clamp(1, 1024);
        let how = How { concurrency, policy: self.args.how.host_key_policy, board: Arc::clone(&self.board) };
        let reached = connect_all(self.cx, chosen, &how).await?;
        let examined = stream::iter(reached).map(|it| async move {
            let name = it.entry.name.to_string();
            let part = async {
                let host = it.host?;
                let root = root_prefix(&it.entry);
                let facts = probe(host.as_ref(), &root, &[]).await.map_err(Failure::from)?;
                self.check(&facts)?;
                let systemd = it.entry.service != Service::Supervised && facts.has_systemd();
                let vars = Vars::new(&json!({ "root": root, "systemd": systemd, "purge": self.args.purge }));
                let plan = playbook::examine(host.as_ref(), &self.playbook, &vars, &self.office).await;
                let plan = plan.map_err(|error| error.failure(&name))?;
                Ok(Part { entry: it.entry, facts, host, plan })
            };
            let part: Result<Part> = part.await;
            (name, part)
        });
        let mut failures = BTreeMap::new();
        let mut parts = Vec::new();
        let all: Vec<(String, Result<Part>)> = examined.buffered(concurrency).collect().await;
        for (name, part) in all {
            match part {
                Ok(part) => parts.push(part),
                Err(failure) => {
                    failures.insert(name, failure);
                }
            }
        }
        Ok((parts, failures))
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

    fn dry_run(&self, parts: &[Part], failures: &BTreeMap<String, Failure>) -> Result {
        self.board.clear();
        let out = &self.cx.out;
        if out.is_for_people() {
            let mut table = Table::new(&["HOST", "STEP", "WHAT", "CHANGE"]);
            for part in parts {
                for step in part.plan.changes() {
                    for it in &step.changes {
                        let change = format!("{} -> {}", it.before, it.after);
                        table.row(vec![part.entry.name.to_string(), step.id.to_string(), it.what.clone(), change]);
                    }
                }
            }
            out.table(&table)?;
        } else {
            let plans: Vec<&HostPlan> = parts.iter().map(|it| &it.plan).collect();
            out.value(&json!({ "schema": SCHEMA, "kind": "reset-plan", "hosts": plans }))?;
        }
        for (name, failure) in failures {
            out.say(&format!("cannot: {name}: {}", failure.what));
        }
        let codes: Vec<Exit> = parts.iter().map(|_| Exit::Done).chain(failures.values().map(|it| it.exit)).collect();
        Ok(Exit::of_many(&codes))
    }

    /// Coordinators that stay must keep a majority; one alone goes only when it is said twice.
    fn quorum(&self, parts: &[Part], chosen: &[HostEntry]) -> Result<()> {
        let all = self.inventory.hosts.iter().filter(|it| it.voter.is_some()).count();
        let going = parts.iter().filter(|it| it.entry.voter.is_some() && it.facts.has_raft).count();
        if going == 0 || self.args.all || chosen.len() == self.inventory.hosts.len() {
            return Ok(());
        }
        let refused = |why: String, next: &str| {
            Err(Failure::new(Exit::Refused, "a coordinator cannot leave its mesh so").why(why).next(next))
        };
        if (all - going) * 2 <= all {
            return refused(
                format!(
                    "{} of {all} coordinators would be left: no majority, and no write would ever succeed again",
                    all - going
                ),
                "mesh reset --all, when the whole mesh is to go",
            );
        }
        if !self.args.force {
            return refused(
                "it keeps a vote, and another cannot take its place in this version".to_owned(),
                "the same command with --force: the others go on with a smaller margin",
            );
        }
        Ok(())
    }

    fn question(&self, parts: &[Part]) -> Result<()> {
        self.board.clear();
        let cx = self.cx;
        let data = if self.args.purge { ", with all state and logs" } else { "" };
        let what = if self.args.all {
            format!("mesh {} is taken down: {} hosts are reset{data}", self.inventory.mesh, parts.len())
        } else {
            let names: Vec<&str> = parts.iter().map(|it| it.entry.name.as_str()).collect();
            format!("{} leave mesh {} and are reset{data}", names.join(", "), self.inventory.mesh)
        };
        if cx.global.yes || !cx.can_ask() {
            return cx.confirm(&what);
        }
        let word = self.inventory.mesh.as_str();
        let answer = cx.ask(&format!("{what}.\nType the name of the mesh ({word}) to go on:"))?;
        if answer == word { Ok(()) } else { Err(Failure::new(Exit::Declined, "declined: nothing was changed")) }
    }

    /// Takes the node objects out of the mesh before the hosts go; says whether the mesh could be asked.
    async fn leave(&self, parts: &[Part]) -> Result<bool> {
        if self.args.all {
            return Ok(true);
        }
        let names: Vec<&str> =
            parts.iter().filter(|it| it.entry.voter.is_none()).map(|it| it.entry.name.as_str()).collect();
        let seen = self.look().await;
        let known: Vec<&str> = seen.nodes.iter().map(name_of).filter(|name| names.contains(name)).collect();
        if known.is_empty() {
            return Ok(seen.answers);
        }
        self.board.phase(&format!("taking {} nodes out of the mesh", known.len()));
        let session = crate::client::Session::open(
            self.cx.dirs.context(Some(self.inventory.mesh.as_str()))?,
            None,
            self.cx.global.timeout,
        )?;
        for name in known {
            match forget(&session, name, "reset").await {
                Ok(()) => {}
                Err(failure) if self.args.force => self.board.say(&format!("{name}: {}", failure.what)),
                Err(failure) => {
                    return Err(failure.or_next("the same command with --force resets the host all the same"));
                }
            }
        }
        Ok(true)
    }

    /// What the coordinators say, as far as the operator has credentials and they have known addresses.
    async fn look(&self) -> Seen {
        let root = RootDir::new(&self.cx.dirs, &self.inventory.mesh);
        let who = Principal::operator(&self.inventory.mesh, crate::cmd::up::operator_name());
        if !identity::is_fresh(&root.operator(), &who, human::now()) {
            return Seen::default();
        }
        let Ok(identity) = mesh_proto::tls::Identity::load(&root.operator()) else { return Seen::default() };
        let known = self.cx.dirs.context(Some(self.inventory.mesh.as_str())).ok();
        let endpoints = known.map(|it| it.endpoints).unwrap_or_default();
        let coordinators: Vec<Coordinator> = endpoints
            .iter()
            .filter(|it| it.coordinator)
            .map(|it| Coordinator { node: it.node.to_string(), api: it.api, gossip: it.api, voter: 0 })
            .collect();
        let coordinators = if coordinators.is_empty() { self.declared() } else { coordinators };
        let fleet = Fleet { mesh: self.inventory.mesh.clone(), release: String::new(), coordinators };
        match Doors::new(&identity, &fleet) {
            Ok(doors) => doors.look().await,
            Err(_) => Seen::default(),
        }
    }

    /// Coordinators by the addresses that the file itself tells.
    fn declared(&self) -> Vec<Coordinator> {
        let of = |entry: &HostEntry| {
            let address = data_address(entry, &Facts::default(), None).ok()?;
            Member { entry: entry.clone(), facts: Facts::default(), address }.coordinator()
        };
        self.inventory.hosts.iter().filter_map(of).collect()
    }

    async fn apply(
        &self,
        parts: &[Part],
        locks: &[Lock],
        failures: &mut BTreeMap<String, Failure>,
    ) -> Vec<(String, usize)> {
        let names: Vec<String> = parts.iter().map(|it| it.entry.name.to_string()).collect();
        self.board.begin(&names);
        self.board.phase(&format!("resetting {} hosts", parts.len()));
        let applied = stream::iter(parts.iter().zip(locks)).map(async |(it, lock)| {
            let name = it.entry.name.to_string();
            let host = Locked::new(it.host.as_ref(), lock);
            let end = playbook::apply(&host, &it.plan, &self.office, None).await.map_err(Failure::from);
            match &end {
                Ok(report) => self.board.end(&name, true, &format!("reset, {} steps", report.changed.len())),
                Err(failure) => self.board.end(&name, false, &failure.what),
            }
            (name, end.map(|_| it.plan.changes().count()))
        });
        let all: Vec<(String, Result<usize>)> =
            applied.buffer_unordered(self.args.how.concurrency.clamp(1, 1024)).collect().await;
        let mut done = Vec::new();
        for (name, end) in all {
            match end {
                Ok(count) => done.push((name, count)),
                Err(failure) => {
                    failures.insert(name, failure);
                }
            }
        }
        done.sort();
        done
    }

    /// The mesh is no more: this machine forgets it, but not its root.
    fn forget(&self) -> Result<()> {
        let dirs = &self.cx.dirs;
        Made::forget(dirs, &self.inventory.mesh);
        let mut config = dirs.config()?;
        let name = self.inventory.mesh.as_str();
        if config.contexts.remove(name).is_some() {
            if config.current.as_deref() == Some(name) {
                config.current = None;
            }
            dirs.write_config(&config)?;
        }
        Ok(())
    }

    fn end(&self, done: &[(String, usize)], failures: &BTreeMap<String, Failure>) -> Result {
        self.board.clear();
        let out = &self.cx.out;
        let codes: Vec<Exit> = done.iter().map(|_| Exit::Done).chain(failures.values().map(|it| it.exit)).collect();
        let exit = Exit::of_many(&codes);
        if out.is_for_people() {
            let mut table = Table::new(&["HOST", "RESULT", "NOTE"]);
            for (name, count) in done {
                let (result, note) =
                    if *count == 0 { ("unchanged", "nothing of the product is there") } else { ("reset", "") };
                table.row(vec![name.clone(), result.to_owned(), note.to_owned()]);
            }
            for (name, it) in failures {
                let why = it.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                table.row(vec![name.clone(), "failed".to_owned(), format!("{}{why}", it.what).replace('\n', "; ")]);
            }
            out.table(&table)?;
        } else {
            let mut hosts: Vec<Value> =
                done.iter().map(|(name, _)| json!({ "name": name, "result": "reset" })).collect();
            hosts
                .extend(failures.iter().map(|(name, it)| json!({ "name": name, "result": "failed", "note": it.what })));
            out.value(&json!({ "schema": SCHEMA, "kind": "reset", "mesh": self.inventory.mesh, "exit": exit.code(), "hosts": hosts }))?;
        }
        if exit == Exit::Done && self.args.all {
            out.say(&format!(
                "mesh {} is no more; its root stays in {}",
                self.inventory.mesh,
                RootDir::new(&self.cx.dirs, &self.inventory.mesh).file().display()
            ));
        }
        Ok(exit)
    }
}
