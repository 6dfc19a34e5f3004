//! `mesh logs`: what the daemons of nodes wrote, told by their own agents.

mod merge;
mod node;
mod show;

use std::time::Duration;

use clap::{Args, ValueEnum};
use mesh_core::{id::NodeName, time::Timestamp};
use mesh_proto::v1::{self, LogLevel, LogUnit};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use self::{
    merge::{Merge, Next},
    node::{Source, Told},
    show::Show,
};
use super::{Cx, nodes};
use crate::{
    Exit, Failure, Result,
    context::Endpoint,
    human,
    items::SCHEMA,
    output::{Format, note},
    provision::mesh::LocalDir,
    selector::Selector,
};

/// An agent gives at most so many lines of the past.
const LINES_MAX: u32 = 10_000;
/// So many lines are shown when nothing else says how many.
const LINES: u32 = 200;
/// So many nodes are asked at once at most.
const NODES_MAX: usize = 256;
/// Messages of one node that wait to be shown; a node is not asked for more before.
const WAITING_MAX: usize = 4;

/// Arguments of `mesh logs`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh logs node-4\n  mesh logs node-4 -u routerd -f\n  mesh logs node-1 node-2 --since 10m --level warn\n  mesh logs -l zone=a --grep drain -o jsonl"
)]
pub(crate) struct LogsArgs {
    /// The nodes
    #[arg(value_name = "NODE", required_unless_present = "selector")]
    names: Vec<String>,
    /// Only nodes whose labels fit, like gpu=h100,zone!=b
    #[arg(long, short = 'l', value_name = "LABELS")]
    selector: Option<Selector>,
    /// Only the logs of this daemon; may be given again
    #[arg(long = "unit", short = 'u', value_enum, value_name = "UNIT")]
    units: Vec<Unit>,
    /// Goes on with what is written next until interrupted
    #[arg(long, short = 'f')]
    follow: bool,
    /// Only what was written since then: 10m ago, or a time like 2026-11-21T09:52:03Z
    #[arg(long, value_parser = since, value_name = "AGE|TIME")]
    since: Option<Timestamp>,
    /// At most so many of the newest lines of each node [default: 200, with --since 10000]
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u32).range(0..=i64::from(LINES_MAX)), value_name = "N")]
    lines: Option<u32>,
    /// Only lines of this level and worse ones
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// Only lines that hold this text
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
}

/// Whose log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Unit {
    /// The agent
    Agentd,
    /// The router
    Routerd,
    /// The engine of a local mesh
    Engine,
    /// What keeps the others running where there is no systemd
    Supervisor,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Reads an age or a time.
fn since(text: &str) -> std::result::Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let wrong = |_| format!("`{text}` is neither an age like 10m nor a time like 2026-11-21T09:52:03Z");
    let age = human::parse_duration(text).map_err(wrong)?;
    Ok(Timestamp(human::now().0.saturating_sub(human::ms(age))))
}

impl LogsArgs {
    fn request(&self) -> v1::LogsRequest {
        let unit = |it: &Unit| match it {
            Unit::Agentd => LogUnit::Agentd.into(),
            Unit::Routerd => LogUnit::Routerd.into(),
            Unit::Engine => LogUnit::Engine.into(),
            Unit::Supervisor => LogUnit::Supervisor.into(),
        };
        let level = match self.level {
            None => LogLevel::Unspecified,
            Some(Level::Error) => LogLevel::Error,
            Some(Level::Warn) => LogLevel::Warn,
            Some(Level::Info) => LogLevel::Info,
            Some(Level::Debug) => LogLevel::Debug,
            Some(Level::Trace) => LogLevel::Trace,
        };
        v1::LogsRequest {
            units: self.units.iter().map(unit).collect(),
            follow: self.follow,
            since_ms: self.since.map(|it| it.0),
            lines: self.lines.unwrap_or(if self.since.is_some() { LINES_MAX } else { LINES }),
            level: level.into(),
            grep: self.grep.clone().unwrap_or_default(),
        }
    }
}

pub(crate) async fn run(cx: &Cx, args: LogsArgs) -> Result {
    if cx.out.format == Format::Name {
        return Err(Failure::new(Exit::Usage, "lines of a log have no names").next("-o jsonl"));
    }
    match cx.global.timeout {
        Some(limit) => timeout(limit, read(cx, &args)).await.unwrap_or_else(|_| Err(late(limit))),
        None => read(cx, &args).await,
    }
}

fn late(limit: Duration) -> Failure {
    Failure::new(Exit::Deadline, "not all logs were read")
        .why(format!("{} are over", human::duration(human::ms(limit))))
}

async fn read(cx: &Cx, args: &LogsArgs) -> Result {
    let sources = sources(cx, args).await?;
    let names: Vec<String> = sources.iter().map(|it| it.node.clone()).collect();
    let receivers = sources.into_iter().map(|source| {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(source.run(args.request(), sender));
        receiver
    });
    let mut merge = Merge::new(receivers.collect());
    let mut show = Show::new(cx, names.clone(), args.units.len() == 1, args.follow);
    let mut exits = vec![Exit::Done; names.len()];
    let (mut failures, mut is_empty) = (Vec::new(), true);
    while let Some((index, told)) = merge.next().await {
        match told {
            Next::Line(line) => {
                is_empty = false;
                show.line(index, &line)?;
            }
            Next::Told(Told::Note(text)) => note(&format!("{}: {text}", names[index])),
            Next::Told(Told::Failed(failure)) => {
                exits[index] = failure.exit;
                failures.push((index, failure));
            }
            Next::Told(Told::Lines(_) | Told::Live) => {}
        }
        // While others go on, who looks must know who is missing.
        if args.follow && names.len() > 1 {
            failures.iter().filter(|_| exits.contains(&Exit::Done)).for_each(|(index, it)| warn(&names[*index], it));
            failures.retain(|_| !exits.contains(&Exit::Done));
        }
    }
    if !args.follow && matches!(cx.out.format, Format::Json | Format::Yaml) {
        let failed: Vec<_> = failures.iter().map(|(index, it)| json!({"node": names[*index], "why": it.why})).collect();
        cx.out.value(&json!({ "schema": SCHEMA, "items": show.taken(), "failed": failed }))?;
    }
    if is_empty && failures.len() < names.len() {
        cx.out.say("no lines");
    }
    match (failures.pop(), names.len()) {
        (Some((_, failure)), 1) => return Err(failure),
        (Some(last), _) => failures.iter().chain([&last]).for_each(|(index, it)| warn(&names[*index], it)),
        (None, _) => {}
    }
    Ok(Exit::of_many(&exits))
}

fn warn(node: &str, failure: &Failure) {
    let why = failure.why.as_deref().unwrap_or(&failure.what);
    let next = failure.next.as_deref().unwrap_or("mesh doctor");
    note(&format!("warning: {node}: {why}; next: {next}"));
}

/// The nodes that are meant, each with the way to its agent.
async fn sources(cx: &Cx, args: &LogsArgs) -> Result<Vec<Source>> {
    let session = cx.session().await?;
    let mut found = nodes::fetch(&session, &args.names).await?.items;
    found.retain(|it| args.selector.as_ref().is_none_or(|selector| selector.matches(&nodes::spec_of(it).labels)));
    if found.is_empty() {
        return Err(Failure::new(Exit::Failed, "no node fits").next("mesh get nodes"));
    }
    if found.len() > NODES_MAX {
        let why = format!("{} nodes fit, and at most {NODES_MAX} are asked at once", found.len());
        return Err(Failure::new(Exit::Usage, "too many nodes").why(why).next("name some, or choose with -l"));
    }
    let is_local = session.context.identity_dir == LocalDir::new(&cx.dirs).operator();
    let source = |item: &v1::NodeItem| {
        let (name, spec) = (nodes::name_of(item).to_owned(), nodes::spec_of(item));
        let bad = || Failure::new(Exit::Failed, format!("node/{name} declares no address of its API"));
        let api = spec.api_addr().ok_or_else(bad)?;
        let node = NodeName::new(name.as_str()).map_err(|_| bad())?;
        let endpoint = Endpoint { node, api, coordinator: false };
        let next = match is_local {
            true => "mesh doctor".to_owned(),
            false => format!("mesh doctor; on its host: ssh {} journalctl -u mesh-agentd", spec.address),
        };
        Ok(Source { place: format!("{name} ({api})"), channel: session.channel_to(&endpoint), node: name, next })
    };
    found.iter().map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_or_a_time_says_since_when() {
        let now = human::now().0;
        let ago = since("10m").unwrap().0;
        assert!((now..now + 60_000).contains(&(ago + 600_000)), "{ago} at {now}");
        assert_eq!(since("2025-11-21T09:52:03.042Z").unwrap(), Timestamp(1_763_718_723_042));
        for wrong in ["", "yesterday", "2025-11-21", "-5m"] {
            assert!(since(wrong).unwrap_err().contains("neither an age"), "{wrong}");
        }
    }
}
