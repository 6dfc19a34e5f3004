//! `mesh bootstrap HOSTS.yaml`: hosts become a mesh over SSH.

mod report;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use tokio::sync::watch;

use self::report::Report;
use super::{
    Cx,
    runs::{self, Source},
};
use crate::{
    Exit, Failure, Result,
    hosts::{HostEntry, HostKeyPolicy},
    provision::bootstrap::{
        board::Style,
        change::{Locks, Outcome, Stop, change_all, lock_all},
        finish::{self, Verified},
        founding::{Founding, Proven},
        journal::{Deed, Head, HostState, Journal},
        plan::{self, FleetPlan},
        root::PassphraseFrom,
        rules::Gravity,
        run::{CONCURRENCY, Known, Orders, Run, asks_for_certificates},
        select::select,
    },
};

/// How long nodes may take to come into service, unless `--timeout` says otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// Arguments of `mesh bootstrap`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh bootstrap hosts.yaml --dry-run\n  mesh bootstrap hosts.yaml\n  mesh bootstrap hosts.yaml --only-failed\n  mesh bootstrap --resume 20261121T133500-3fa2\n  mesh bootstrap --list\n\nA second run changes only what is not as hosts.yaml says; Ctrl-C once finishes what has begun, twice stops at once."
)]
pub(crate) struct BootstrapArgs {
    /// The hosts and what they shall be
    #[arg(value_name = "HOSTS.yaml", required_unless_present_any = ["resume", "list"])]
    file: Option<PathBuf>,
    /// Only says what would change; nothing is changed on any host
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: exits with 10 when something would change
    #[arg(long, requires = "dry_run")]
    detailed_exitcode: bool,
    /// Keeps the plan of a dry run in a file
    #[arg(long, value_name = "FILE", requires = "dry_run")]
    plan_out: Option<PathBuf>,
    /// Carries out only this plan: refused when anything has changed since
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    plan: Option<PathBuf>,
    /// Goes on with a run that was interrupted
    #[arg(long, value_name = "RUN", conflicts_with_all = ["file", "only_failed", "list"])]
    resume: Option<String>,
    /// Only the hosts that did not come to their end in the last run
    #[arg(long)]
    only_failed: bool,
    /// Only these hosts: NAME, NAME*, LABEL=VALUE, role=ROLE, with commas between them
    #[arg(long, value_name = "HOSTS")]
    limit: Option<String>,
    /// Not these hosts
    #[arg(long, value_name = "HOSTS")]
    exclude: Option<String>,
    /// Lists the runs of this machine, of every command over hosts
    #[arg(long, conflicts_with_all = ["file", "dry_run", "plan"])]
    list: bool,
    #[command(flatten)]
    how: HowArgs,
    /// A bundle with a manifest and its signature; without it the daemons beside mesh are taken
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Another playbook than the built-in one
    #[arg(long, value_name = "FILE")]
    playbook: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// What opens the root of a mesh; the same for every command that signs with it.
#[derive(Debug, Clone, Args)]
pub(crate) struct PassphraseArgs {
    /// A file whose first line opens the root of the mesh
    #[arg(long, value_name = "FILE", conflicts_with = "root_passphrase_command")]
    root_passphrase_file: Option<PathBuf>,
    /// A command that prints what opens the root of the mesh
    #[arg(long, value_name = "COMMAND")]
    root_passphrase_command: Option<String>,
}

impl PassphraseArgs {
    /// Where the passphrase comes from.
    pub(crate) fn from(&self, cx: &Cx) -> PassphraseFrom {
        match (&self.root_passphrase_file, &self.root_passphrase_command) {
            (Some(path), _) => PassphraseFrom::File(path.clone()),
            (None, Some(command)) => PassphraseFrom::Command(command.clone()),
            (None, None) if cx.can_ask() => PassphraseFrom::Terminal,
            (None, None) => PassphraseFrom::Nowhere,
        }
    }
}

/// How hosts are connected to; the same for every command over hosts.yaml.
#[derive(Debug, Clone, Args)]
pub(crate) struct HowArgs {
    /// How many hosts are worked on at once
    #[arg(long, value_name = "N", default_value_t = CONCURRENCY)]
    pub(crate) concurrency: usize,
    /// What happens when a host key is not known, in the place of the file's word
    #[arg(long, value_name = "POLICY", value_parser = parse_policy)]
    pub(crate) host_key_policy: Option<HostKeyPolicy>,
    /// How progress is told, on stderr
    #[arg(long, value_enum, default_value_t)]
    pub(crate) progress: Style,
}

fn parse_policy(text: &str) -> std::result::Result<HostKeyPolicy, String> {
    match text {
        "ask" => Ok(HostKeyPolicy::Ask),
        "accept-new" => Ok(HostKeyPolicy::AcceptNew),
        "strict" => Ok(HostKeyPolicy::Strict),
        "pinned" => Ok(HostKeyPolicy::Pinned),
        _ => Err(format!("`{text}` is not one of ask, accept-new, strict, pinned")),
    }
}

fn source(cx: &Cx, args: &BootstrapArgs) -> Result<Source> {
    match (&args.resume, &args.file) {
        (Some(id), _) => Source::resumed(cx, Deed::Bootstrap, id),
        (None, Some(file)) => Source::of(file),
        (None, None) => Err(Failure::new(Exit::Usage, "name a hosts.yaml")),
    }
}

/// The hosts that are meant.
fn chosen(cx: &Cx, args: &BootstrapArgs, source: &Source) -> Result<Vec<HostEntry>> {
    let all = &source.inventory.hosts;
    let mut chosen = select(all, args.limit.as_deref(), args.exclude.as_deref())?;
    if let Some((_, story)) = &source.journal {
        let meant = &story.head.hosts;
        chosen.retain(|it| meant.is_empty() || meant.iter().any(|name| name == it.name.as_str()));
    }
    if args.only_failed {
        let last = runs::last(cx, Deed::Bootstrap, &source.inventory, None)?;
        chosen.retain(|it| !last.is_done(it.name.as_str()));
    }
    Ok(chosen)
}

pub(crate) async fn run(cx: &Cx, args: BootstrapArgs) -> Result {
    if args.list {
        return runs::list(cx);
    }
    let source = source(cx, &args)?;
    let chosen = chosen(cx, &args, &source)?;
    if chosen.is_empty() {
        cx.out.say("no host of the last run failed: nothing to do");
        return Ok(Exit::Done);
    }
    let orders = orders(cx, &args);
    let run = Run::prepare(cx, &orders, &source.inventory, chosen)?;
    let stop = Stop::listen()?;
    let work = Box::pin(work(&run, &args, &source, &stop));
    tokio::select! {
        done = work => done,
        () = stop.at_once() => Err(Failure::new(stop.exit(), "stopped at once: what was under way on hosts may be half done")
            .next("the same command again: it looks at every host first")),
    }
}

fn orders(cx: &Cx, args: &BootstrapArgs) -> Orders {
    let passphrase = args.passphrase.from(cx);
    Orders {
        concurrency: args.how.concurrency.clamp(1, 1024),
        policy: args.how.host_key_policy,
        playbook: args.playbook.clone(),
        bundle: args.bundle.clone(),
        passphrase,
        progress: args.how.progress,
        limit: cx.global.timeout.unwrap_or(LIMIT),
        only_look: args.dry_run && args.plan_out.is_none(),
    }
}

async fn work(run: &Run<'_>, args: &BootstrapArgs, source: &Source, stop: &Stop) -> Result {
    let mut known = run.learn().await?;
    let plan = run.plan(&mut known).await?;
    for it in plan.findings.iter().filter(|it| it.gravity == Gravity::Warning) {
        run.board.say(&format!("warning: {}: {} ({})", it.host, it.what, it.next));
    }
    if args.dry_run {
        return dry_run(run, args, &known, &plan);
    }
    if let Some(kept) = &args.plan {
        plan::compare(kept, &plan)?;
    }
    if plan.hosts.is_empty() {
        return Err(nobody(run, &known));
    }
    if plan.is_done() {
        finish::write_context(run, &known).await?;
        let outcome =
            Outcome { done: plan.hosts.iter().map(|it| (it.name.clone(), 0)).collect(), ..Outcome::default() };
        let report = Report { run: None, outcome, verified: Verified::default(), notes: Vec::new() };
        return report.end(run, &known, source);
    }
    question(run, &known, &plan)?;
    let needs_root = asks_for_certificates(&plan) || run.needs_root();
    if needs_root && run.is_sealing().await {
        return change_while_sealing(run, (known, plan), (args, source), stop).await;
    }
    if needs_root {
        run.open_root().await?;
    }
    change(run, (known, plan), (args, source), stop).await
}

/// Hosts are sent what needs no signature while the root of a new mesh is sealed; nothing is signed before it is kept.
async fn change_while_sealing(
    run: &Run<'_>,
    planned: (Known, FleetPlan),
    given: (&BootstrapArgs, &Source),
    stop: &Stop,
) -> Result {
    run.office.await_root(true);
    let opening = async {
        let opened = run.open_root().await;
        run.office.await_root(false);
        opened
    };
    let (opened, changed) = tokio::join!(opening, Box::pin(change(run, planned, given, stop)));
    opened.and(changed)
}

/// Nothing can be done at all.
fn nobody(run: &Run<'_>, known: &Known) -> Failure {
    run.board.clear();
    let codes: Vec<Exit> = known.failures.values().map(|it| it.exit).collect();
    match known.failures.values().next() {
        Some(only) if known.failures.len() == 1 => only.clone(),
        _ => {
            let lines: Vec<String> = known.failures.iter().map(|(name, it)| line(name, it)).collect();
            let next = known.failures.values().find_map(|it| it.next.clone());
            let failure =
                Failure::new(Exit::of_many(&codes), "none of the hosts can be worked on").why(lines.join("\n"));
            next.map_or(failure.clone(), |it| failure.next(it))
        }
    }
}

/// A failure in one line, after the name of its host.
fn line(name: &str, failure: &Failure) -> String {
    let why = failure.why.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
    format!("{name}: {}{why}", failure.what).replace('\n', "; ")
}

fn dry_run(run: &Run<'_>, args: &BootstrapArgs, known: &Known, plan: &FleetPlan) -> Result {
    if plan.hosts.is_empty() {
        return Err(nobody(run, known));
    }
    run.board.clear();
    let out = &run.cx.out;
    if let Some(path) = &args.plan_out {
        mesh_proto::files::write_private(path, plan.document().to_string().as_bytes()).map_err(|error| {
            Failure::new(Exit::Failed, "cannot keep the plan").at(path.display().to_string()).why(error)
        })?;
    }
    if out.is_for_people() {
        if plan.is_done() {
            out.say(&format!("nothing to do: {} hosts are as {} says", plan.hosts.len(), run.inventory.file.display()));
        } else {
            out.table(&plan.details())?;
            let changed = plan.hosts.iter().filter(|it| !it.plan.is_done()).count();
            out.say(&format!("\n{changed} of {} hosts would change; plan {}", plan.hosts.len(), plan.digest().short()));
        }
    } else {
        out.value(&plan.document())?;
    }
    for (name, failure) in &known.failures {
        out.say(&format!("cannot: {}", line(name, failure)));
    }
    let mut codes: Vec<Exit> = known.failures.values().map(|it| it.exit).collect();
    codes.extend(plan.hosts.iter().map(|_| Exit::Done));
    let exit = Exit::of_many(&codes);
    let is_pending = exit == Exit::Done && args.detailed_exitcode && !plan.is_done();
    Ok(if is_pending { Exit::Pending } else { exit })
}

/// Shows what will happen and to whom; a person may still say no.
fn question(run: &Run<'_>, known: &Known, plan: &FleetPlan) -> Result<()> {
    let cx = run.cx;
    if cx.global.yes || !cx.can_ask() {
        return Ok(());
    }
    run.board.clear();
    crate::output::note(plan.summary().render(false, true, false).trim_end());
    for (name, failure) in &known.failures {
        crate::output::note(&format!("left alone: {}", line(name, failure)));
    }
    let changed = plan.hosts.iter().filter(|it| !it.plan.is_done()).count();
    let serving = plan.hosts.iter().filter(|it| !it.plan.is_done() && it.in_service).count();
    let blast = if serving > 0 {
        format!("; {serving} of them serve now and are restarted a few at a time")
    } else {
        String::new()
    };
    let made = if plan.initialize { format!(" and mesh {} is made", plan.mesh) } else { String::new() };
    let answer = cx.ask(&format!("{changed} hosts are changed{made}{blast}. Go on? [y/N]"))?;
    if matches!(answer.as_str(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Declined, "declined: nothing was changed"))
}

async fn change(
    run: &Run<'_>,
    (mut known, plan): (Known, FleetPlan),
    (args, source): (&BootstrapArgs, &Source),
    stop: &Stop,
) -> Result {
    let begun;
    let journal = match &source.journal {
        Some((journal, _)) => {
            journal.go_on();
            journal
        }
        None => {
            let hosts = run.chosen.iter().map(|it| it.name.to_string()).collect();
            let head = Head { hosts, ..Head::new(Deed::Bootstrap, &run.inventory.mesh, &run.inventory.file) };
            begun = Journal::begin(&run.cx.dirs, head, &source.text)?;
            &begun
        }
    };
    let (plan, locks) = match hold(run, (&mut known, plan), args.plan.is_some(), journal).await {
        Ok(held) => held,
        Err(failure) => {
            journal.end(failure.exit);
            return Err(failure);
        }
    };
    journal.keep_plan(&plan.document())?;
    run.office.write_into(Arc::new(journal.again()?));
    for (name, failure) in &known.failures {
        journal.host(name, HostState::Failed, Some(&line(name, failure)));
    }
    let ended = Box::pin(carry_out(run, &mut known, (&plan, &locks), (journal, stop))).await;
    drop(locks);
    match ended {
        Ok(report) => {
            let exit = report.end(run, &known, source);
            journal.end(exit.as_ref().map_or_else(|it| it.exit, |it| *it));
            exit
        }
        Err(failure) => {
            journal.end(failure.exit);
            for (name, it) in &known.failures {
                run.board.say(&line(name, it));
            }
            Err(failure.or_next(journal.resume_command()))
        }
    }
}

/// Locks what will be changed, and looks again when somebody else may have been there between the look and the lock.
///
/// What this operator's own lost connections did until the lock ended them is no surprise: the plan is then what is
/// left to do, unless the operator asked for one plan only.
async fn hold(
    run: &Run<'_>,
    (known, plan): (&mut Known, FleetPlan),
    only_this: bool,
    journal: &Journal,
) -> Result<(FleetPlan, Locks)> {
    let open = |plan: &FleetPlan| -> BTreeSet<String> {
        plan.hosts.iter().filter(|it| !it.plan.is_done()).map(|it| it.name.clone()).collect()
    };
    let names = open(&plan);
    let locks = lock_all(run, known, &names.iter().map(String::as_str).collect::<Vec<_>>(), journal.id()).await?;
    let is_as_seen = |name: &String| {
        let member = known.members.iter().find(|it| it.name() == name.as_str());
        locks.get(name).zip(member).is_some_and(|(lock, member)| lock.is_as_seen(&member.facts))
    };
    if names.iter().all(is_as_seen) {
        return Ok((plan, locks));
    }
    let now = run.plan(known).await?;
    let has_ended = locks.values().any(|it| it.has_ended);
    if now.digest() == plan.digest() || (has_ended && !only_this && open(&now).is_subset(&names)) {
        return Ok((now, locks));
    }
    Err(Failure::new(Exit::Refused, "the hosts have changed while this run was being planned")
        .coded(crate::Code::PlanStale)
        .next("the same command again"))
}

async fn carry_out(
    run: &Run<'_>,
    known: &mut Known,
    planned: (&FleetPlan, &Locks),
    (journal, stop): (&Journal, &Stop),
) -> Result<Report> {
    let (proven, running) = watch::channel(Proven::new());
    let founding = Founding::of(run, known, (journal, stop));
    let founded = async {
        match founding {
            Some(it) => it.follow(running).await,
            None => Ok(false),
        }
    };
    let (changed, is_new) = tokio::join!(change_all(run, known, planned, (journal, stop), proven), founded);
    let mut outcome = changed?;
    if stop.is_asked() {
        return Err(stop.failure(journal.id()));
    }
    if outcome.done.is_empty() {
        return Err(nobody(run, known));
    }
    finish::form(run, known, &outcome, (journal, is_new?)).await?;
    if stop.is_asked() {
        return Err(stop.failure(journal.id()));
    }
    let verified = finish::verify(run, known, &mut outcome, journal).await?;
    let notes = finish::write_context(run, known).await?;
    Ok(Report { run: Some(journal.id().to_owned()), outcome, verified, notes })
}
