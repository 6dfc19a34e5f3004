//! `mesh drain NODE...`, `mesh drain status|cancel`.

use std::time::Duration;

use clap::{Args, Subcommand};
use mesh_core::kind::{DEADLINE_DEFAULT_MS, DrainMode, DrainSpec};
use mesh_proto::v1;
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use super::{
    Cx,
    cordon::{Wish, drain_of, put_back, take_out},
    nodes,
    progress::Progress,
};
use crate::{
    Exit, Failure, Result,
    client::Session,
    human::{self, duration, parse_duration},
    items::SCHEMA,
    output::Table,
    write::How,
};

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Arguments of `mesh drain`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(
    after_help = "Examples:\n  mesh drain node-7\n  mesh drain node-6 node-7 --deadline 5m --reason 'new disk'\n  mesh drain status\n\nA node named like a subcommand is drained with: mesh drain -- status"
)]
pub(crate) struct DrainArgs {
    #[command(subcommand)]
    command: Option<DrainCommand>,
    /// The nodes
    #[arg(required = true)]
    nodes: Vec<String>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    /// How long requests in flight may take; then the command ends with 8 and the node stays Draining
    #[arg(long, value_parser = parse_duration, value_name = "DURATION", default_value = "30m")]
    deadline: Duration,
    /// Cuts requests in flight
    #[arg(long)]
    force: bool,
    /// Waits until the nodes are drained (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Returns when the drain is agreed
    #[arg(long)]
    no_wait: bool,
    /// Only says what would change
    #[arg(long)]
    dry_run: bool,
}

/// What `mesh drain` can do besides draining.
#[derive(Debug, Subcommand)]
pub(crate) enum DrainCommand {
    /// Shows nodes that are out of service and what blocks their drains
    Status {
        /// Only these nodes
        nodes: Vec<String>,
    },
    /// Ends drains: the nodes are in service again
    Cancel {
        /// The nodes
        #[arg(required = true)]
        nodes: Vec<String>,
    },
}

pub(crate) async fn run(cx: &Cx, args: DrainArgs) -> Result {
    match args.command {
        Some(DrainCommand::Status { nodes }) => status(cx, &nodes).await,
        Some(DrainCommand::Cancel { nodes }) => cancel(cx, &nodes).await,
        None => drain(cx, args).await,
    }
}

async fn drain(cx: &Cx, args: DrainArgs) -> Result {
    let session = cx.session().await?;
    let found = nodes::fetch(&session, &args.nodes).await?;
    for item in found.items.iter().filter(|it| is_drained(it)) {
        cx.out.say(&format!("{} is drained already", nodes::name_of(item)));
    }
    let wanted: Vec<&str> = found.items.iter().filter(|it| !is_drained(it)).map(nodes::name_of).collect();
    if wanted.is_empty() {
        return report(cx, &found.items);
    }
    let mut reason = args.reason.filter(|it| !it.trim().is_empty());
    if reason.is_none() && cx.can_ask() && !cx.global.yes && !args.dry_run {
        reason = Some(cx.ask(&format!("reason for draining {} (Enter for none):", wanted.join(", ")))?)
            .filter(|it| !it.is_empty());
    }
    let deadline_ms = Some(human::ms(args.deadline)).filter(|ms| *ms > 0).or(Some(DEADLINE_DEFAULT_MS));
    let wish = Wish { mode: DrainMode::Drain, reason, deadline_ms, force: args.force, dry_run: args.dry_run };
    take_out(&session, &wanted, &wish).await?;
    if args.dry_run || args.no_wait {
        let note = if args.dry_run {
            "would be drained (dry run)"
        } else {
            "is draining: mesh drain status shows how far it is"
        };
        wanted.iter().for_each(|name| cx.out.say(&format!("{name} {note}")));
        return Ok(Exit::Done);
    }
    let limit = session.limit().unwrap_or(args.deadline).min(args.deadline);
    let names: Vec<String> = wanted.iter().map(|it| (*it).to_owned()).collect();
    follow(cx, &session, &names, limit).await
}

/// Whether a node is drained already.
pub(crate) fn is_drained(item: &v1::NodeItem) -> bool {
    drain_of(item).is_some_and(|it| it.drained_at.is_some())
}

/// Shows how drains go on until all are done, the deadline is reached, or a signal detaches.
async fn follow(cx: &Cx, session: &Session, names: &[String], limit: Duration) -> Result {
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let detached = |exit: Exit| {
        cx.out.say(&format!(
            "detached: {} goes on draining; mesh drain status, or mesh drain cancel {}",
            names.join(", "),
            names.join(" ")
        ));
        Ok(exit)
    };
    tokio::select! {
        ended = wait(cx, session, names, limit) => ended,
        _ = int.recv() => detached(Exit::Interrupted),
        _ = term.recv() => detached(Exit::Terminated),
    }
}

async fn wait(cx: &Cx, session: &Session, names: &[String], limit: Duration) -> Result {
    let (begun, progress) = (Instant::now(), Progress::new(cx.out.quiet));
    loop {
        let found = nodes::fetch(session, names).await?;
        let drains: Vec<(&v1::NodeItem, Option<DrainSpec>)> = found.items.iter().map(|it| (it, drain_of(it))).collect();
        if let Some((item, _)) =
            drains.iter().find(|(_, drain)| drain.as_ref().is_none_or(|it| it.mode != DrainMode::Drain))
        {
            return Err(Failure::new(Exit::Refused, format!("{} is not draining any more", nodes::name_of(item)))
                .why("somebody ended the drain")
                .next("mesh events"));
        }
        let open: Vec<&v1::NodeItem> = drains
            .iter()
            .filter(|(_, drain)| drain.as_ref().is_some_and(|it| it.drained_at.is_none()))
            .map(|(item, _)| *item)
            .collect();
        if open.is_empty() {
            drop(progress);
            cx.out.say(&format!("drained in {}", duration(human::ms(begun.elapsed()))));
            return report(cx, &found.items);
        }
        if begun.elapsed() >= limit {
            drop(progress);
            return late(cx, &found.items, &open, limit);
        }
        open.iter().for_each(|item| progress.doing(&blocked(item)));
        sleep(LOOK).await;
    }
}

/// One line on what a drain waits for.
fn blocked(item: &v1::NodeItem) -> String {
    let name = nodes::name_of(item);
    if item.blockers.is_empty() {
        return format!("{name}: waiting for the leader to take note");
    }
    format!("{name}: {}", item.blockers.join("; "))
}

fn late(cx: &Cx, items: &[v1::NodeItem], open: &[&v1::NodeItem], limit: Duration) -> Result {
    let exit = if open.len() < items.len() { Exit::Partly } else { Exit::Deadline };
    let names: Vec<&str> = open.iter().map(|it| nodes::name_of(it)).collect();
    let why: Vec<String> = open.iter().map(|it| blocked(it)).collect();
    report(cx, items)?;
    Err(Failure::new(
        exit,
        format!("the deadline of {} is reached, still Draining: {}", duration(human::ms(limit)), names.join(", ")),
    )
    .why(why.join("\n"))
    .next(format!("mesh drain {} --force, or mesh drain cancel {}", names.join(" "), names.join(" "))))
}

fn report(cx: &Cx, items: &[v1::NodeItem]) -> Result {
    if cx.out.is_for_people() {
        items.iter().try_for_each(|it| cx.out.line(&format!("node/{} {}", nodes::name_of(it), phase_of(it))))?;
    } else {
        let nodes: Vec<_> = items
            .iter()
            .map(|it| json!({ "name": nodes::name_of(it), "phase": phase_of(it), "blockers": it.blockers }))
            .collect();
        cx.out.value(&json!({ "schema": SCHEMA, "nodes": nodes }))?;
    }
    Ok(Exit::Done)
}

fn phase_of(item: &v1::NodeItem) -> String {
    item.phase.to_lowercase()
}

async fn status(cx: &Cx, names: &[String]) -> Result {
    let session = cx.session().await?;
    let mut items = nodes::fetch(&session, names).await?.items;
    items.retain(|it| it.drain.is_some() || !names.is_empty());
    if !cx.out.is_for_people() {
        let items: Vec<_> = items.iter().map(crate::items::node).collect();
        cx.out.value(&crate::items::List::new(&items))?;
        return Ok(Exit::Done);
    }
    if items.is_empty() {
        cx.out.say("no node is out of service");
        return Ok(Exit::Done);
    }
    cx.out.table(&table(&items))?;
    Ok(Exit::Done)
}

fn table(items: &[v1::NodeItem]) -> Table {
    let now = human::now();
    let mut table = Table::new(&["NAME", "PHASE", "SINCE", "DEADLINE", "REASON", "BLOCKED BY"]);
    for item in items {
        let drain = drain_of(item);
        let deadline = drain.as_ref().and_then(|it| it.deadline).filter(|_| item.phase == "Draining");
        let deadline =
            deadline.map(|at| if at > now { format!("in {}", duration(now.age_ms(at))) } else { "past".to_owned() });
        table.row(vec![
            nodes::name_of(item).to_owned(),
            item.phase.clone(),
            human::or_dash(drain.as_ref().map(|it| duration(it.at.age_ms(now)))),
            human::or_dash(deadline),
            drain.map_or(human::UNKNOWN.to_owned(), |it| it.reason.unwrap_or_else(|| "none given".to_owned())),
            if item.blockers.is_empty() { human::UNKNOWN.to_owned() } else { item.blockers.join("; ") },
        ]);
    }
    table
}

async fn cancel(cx: &Cx, names: &[String]) -> Result {
    let session = cx.session().await?;
    put_back(cx, &session, names, &How::default()).await
}
