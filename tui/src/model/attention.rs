//! What needs a person, ranked: pure checks over the picture, each grouped so that one cause is one line.

use std::collections::BTreeMap;

use mesh_core::{gpu::Verdict, kind::Role, status::Phase, time::Timestamp};

use super::{
    Level, Model, STALE_MS,
    fleet::Node,
    names::{Names, Sym},
    pulse::Pulse,
    view::ScreenId,
};
use crate::text::age;

/// A GPU is hot from here on, and critical from there on, in degrees Celsius.
const HOT_C: u8 = 85;
const HOT_CRIT_C: u8 = 92;
/// A KV cache this full makes an engine preempt requests.
const KV_FULL_PERCENT: u8 = 95;

/// Where a line leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Go {
    pub(crate) screen: ScreenId,
    /// The filter that shows what the line counts.
    pub(crate) filter: String,
    /// The one node it is about.
    pub(crate) node: Option<Sym>,
}

/// One line of "needs attention".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attention {
    pub(crate) level: Level,
    pub(crate) kind: &'static str,
    pub(crate) what: String,
    pub(crate) place: String,
    pub(crate) count: u32,
    pub(crate) since: Timestamp,
    pub(crate) go: Go,
}

/// A check over nodes: its name, how bad, the filter that finds the same nodes, and what it says of one.
struct Check {
    kind: &'static str,
    level: Level,
    filter: &'static str,
    /// What is wrong with several of them.
    many: &'static str,
    /// What is wrong with one, when it is.
    one: fn(&Model, &Node, Timestamp) -> Option<String>,
}

const CHECKS: &[Check] = &[
    Check {
        kind: "lost",
        level: Level::Crit,
        filter: "phase=lost",
        many: "nodes lost: neither stream nor gossip hears them",
        one: lost,
    },
    Check { kind: "stale", level: Level::Warn, filter: "age>10", many: "nodes silent for more than 10 s", one: stale },
    Check {
        kind: "engine",
        level: Level::Crit,
        filter: "down>0",
        many: "nodes with engines that do not answer",
        one: engine,
    },
    Check {
        kind: "gpu",
        level: Level::Crit,
        filter: "health=critical",
        many: "nodes with GPUs that are failing",
        one: failing,
    },
    Check {
        kind: "slowed",
        level: Level::Warn,
        filter: "health=warn",
        many: "nodes with GPUs that run slower than they should",
        one: slowed,
    },
    Check { kind: "hot", level: Level::Warn, filter: "temp>84", many: "nodes with GPUs at 85 °C or more", one: hot },
    Check {
        kind: "burning",
        level: Level::Crit,
        filter: "temp>91",
        many: "nodes with GPUs at 92 °C or more",
        one: burning,
    },
    Check { kind: "kv", level: Level::Warn, filter: "kv>94", many: "nodes with a KV cache 95 % full", one: kv },
    Check { kind: "drain", level: Level::Warn, filter: "phase=draining", many: "drains are blocked", one: drain },
    Check {
        kind: "deadline",
        level: Level::Crit,
        filter: "phase=draining",
        many: "drains are past their deadline",
        one: deadline,
    },
    Check {
        kind: "behind",
        level: Level::Warn,
        filter: "behind>0",
        many: "nodes are behind the revision",
        one: behind,
    },
    Check { kind: "router", level: Level::Warn, filter: "role=router", many: "routers do not report", one: router },
    Check {
        kind: "acked",
        level: Level::Warn,
        filter: "role=router",
        many: "routers have not taken in the newest cordons",
        one: acked,
    },
    Check {
        kind: "strategy",
        level: Level::Warn,
        filter: "role=router",
        many: "routers do not run the wanted strategy",
        one: strategy,
    },
];

fn lost(_: &Model, node: &Node, now: Timestamp) -> Option<String> {
    let heard = node.age_ms(now).map_or_else(String::new, |ms| format!(", last heard {} ago", age(ms).as_str()));
    (node.phase == Phase::Lost).then(|| format!("node lost{heard}"))
}

fn stale(_: &Model, node: &Node, now: Timestamp) -> Option<String> {
    let ms = node.age_ms(now).filter(|ms| *ms > STALE_MS && node.phase != Phase::Lost)?;
    Some(format!("silent for {}: its figures are old", age(ms).as_str()))
}

fn engine(_: &Model, node: &Node, _: Timestamp) -> Option<String> {
    if matches!(node.phase, Phase::Lost | Phase::Joining | Phase::Drained) {
        return None;
    }
    let bad = node.engines.iter().find(|it| !it.up)?;
    Some(format!("engine down: {}", bad.error.as_deref().unwrap_or("it does not answer")))
}

fn gpu_of(model: &Model, node: &Node, verdict: Verdict) -> Option<String> {
    let bad = node.gpus.rows().iter().find(|it| it.verdict == Some(verdict) && node.phase != Phase::Lost)?;
    Some(format!("GPU {}: {}", bad.index, model.names.or_dash(bad.reason)))
}

fn failing(model: &Model, node: &Node, _: Timestamp) -> Option<String> {
    gpu_of(model, node, Verdict::Critical)
}

fn slowed(model: &Model, node: &Node, _: Timestamp) -> Option<String> {
    gpu_of(model, node, Verdict::Warn)
}

fn hot(_: &Model, node: &Node, _: Timestamp) -> Option<String> {
    let at = node.temp_c.filter(|it| (HOT_C..HOT_CRIT_C).contains(it))?;
    Some(format!("GPU at {at} °C"))
}

fn burning(_: &Model, node: &Node, _: Timestamp) -> Option<String> {
    let at = node.temp_c.filter(|it| *it >= HOT_CRIT_C)?;
    Some(format!("GPU at {at} °C: it will throttle or stop"))
}

fn kv(_: &Model, node: &Node, _: Timestamp) -> Option<String> {
    let most = node.engines.iter().filter_map(|it| it.kv_percent).max().filter(|it| *it >= KV_FULL_PERCENT)?;
    Some(format!("KV cache {most} % full: requests are preempted"))
}

fn overdue(node: &Node, now: Timestamp) -> bool {
    let deadline = node.drain.as_ref().and_then(|it| it.deadline);
    node.phase == Phase::Draining && deadline.is_some_and(|it| it < now)
}

fn drain(_: &Model, node: &Node, now: Timestamp) -> Option<String> {
    let first = node.blockers.first().filter(|_| node.phase == Phase::Draining && !overdue(node, now))?;
    Some(format!("drain waits: {first}"))
}

fn deadline(_: &Model, node: &Node, now: Timestamp) -> Option<String> {
    let blocker = node.blockers.first().map_or("nothing is named that blocks it", AsRef::as_ref);
    overdue(node, now).then(|| format!("drain past its deadline: {blocker}"))
}

fn behind(model: &Model, node: &Node, now: Timestamp) -> Option<String> {
    let fresh = node.age_ms(now).is_some_and(|ms| ms <= STALE_MS);
    let settled = model.link.settled(now)?;
    let applied = node.applied.filter(|it| fresh && node.phase != Phase::Lost && *it < settled)?;
    Some(format!("replica at revision {applied}, {} behind", model.link.revision.0 - applied.0))
}

fn router(_: &Model, node: &Node, _: Timestamp) -> Option<String> {
    let missing = node.has(Role::Router) && node.router.is_none();
    let alive = !matches!(node.phase, Phase::Lost | Phase::Joining);
    (missing && alive).then(|| "router does not report to its agent".to_owned())
}

fn acked(model: &Model, node: &Node, _: Timestamp) -> Option<String> {
    let acked = node.router.as_ref().filter(|_| node.phase != Phase::Lost)?.acked;
    // The newest drain decides: an older acknowledgement may still send requests to that node.
    let behind = model.link.revision.0.checked_sub(acked.0).filter(|it| *it > 0)?;
    (model.totals.counts.draining > 0)
        .then(|| format!("router has acknowledged revision {acked}, {behind} behind, and a drain waits"))
}

fn strategy(_: &Model, node: &Node, _: Timestamp) -> Option<String> {
    let loaded = node.router.as_ref()?.strategy.as_ref()?;
    let error = loaded.error.as_deref()?;
    Some(format!("fallback strategy runs: {}", crate::text::clean(error, 120)))
}

/// Whether no check can find anything at a node but that it is silent or behind: those two change with the clock.
pub(super) fn is_calm(node: &Node) -> bool {
    !matches!(node.phase, Phase::Lost | Phase::Draining)
        && !node.has(Role::Router)
        && node.router.is_none()
        && node.temp_c.is_none_or(|it| it < HOT_C)
        && node.engines.iter().all(|it| it.up && it.kv_percent.is_none_or(|it| it < KV_FULL_PERCENT))
        && node.gpus.rows().iter().all(|it| it.verdict.is_none_or(|it| it == Verdict::Ok))
}

/// All lines, the worst first.
pub(crate) fn attention(model: &Model, now: Timestamp) -> Vec<Attention> {
    let mut lines = mesh_lines(model, now);
    for (check, hits) in CHECKS.iter().zip(findings(model, now)) {
        let Some((first, what)) = hits.first() else { continue };
        let many = hits.len() > 1;
        let nodes: Vec<&Node> = hits.iter().map(|(node, _)| *node).collect();
        lines.push(Attention {
            level: check.level,
            kind: check.kind,
            what: if many { format!("{} {}", hits.len(), check.many) } else { what.clone() },
            place: place(&model.names, &nodes),
            count: crate::text::u32_of(hits.len()),
            since: nodes.iter().filter_map(|it| since(check.kind, it)).min().unwrap_or(now),
            go: Go {
                screen: ScreenId::Nodes,
                filter: if many { check.filter.to_owned() } else { String::new() },
                node: Some(first.name),
            },
        });
    }
    lines.extend(decision_lines(model, now));
    lines.sort_by(|a, b| b.level.cmp(&a.level).then(b.count.cmp(&a.count)).then(a.kind.cmp(b.kind)));
    lines
}

/// The nodes that each check finds, in physical order; one walk over pulses, and only what is not calm is looked at.
fn findings(model: &Model, now: Timestamp) -> Vec<Vec<(&Node, String)>> {
    let settled = model.link.settled(now);
    let wanted = |it: &Pulse| !it.calm || it.is_stale(now) || settled.is_some_and(|settled| it.is_behind(settled));
    let suspects = model.fleet.order.iter().filter(|id| model.fleet.pulses.get(**id as usize).is_some_and(wanted));
    let mut found: Vec<Vec<(&Node, String)>> = CHECKS.iter().map(|_| Vec::new()).collect();
    for node in suspects.filter_map(|id| model.fleet.nodes.get(*id as usize)) {
        for (check, hits) in CHECKS.iter().zip(&mut found) {
            hits.extend((check.one)(model, node, now).map(|what| (node, what)));
        }
    }
    found
}

/// Since when, where the mesh says so.
fn since(kind: &str, node: &Node) -> Option<Timestamp> {
    match kind {
        "lost" | "stale" => node.since.filter(|_| node.phase == Phase::Lost).or(node.heard),
        "drain" | "deadline" => node.drain.as_ref().map(|it| it.at),
        _ => None,
    }
}

/// What is wrong with the mesh itself and with models.
fn mesh_lines(model: &Model, now: Timestamp) -> Vec<Attention> {
    let line = |level, kind, (what, place): (String, String), screen| Attention {
        level,
        kind,
        what,
        place,
        count: 1,
        since: now,
        go: Go { screen, filter: String::new(), node: None },
    };
    let mut lines = Vec::new();
    if let Some(cluster) = &model.link.cluster {
        let missing: Vec<&str> = cluster.voters.iter().filter(|it| it.missing).map(|it| it.node.as_str()).collect();
        if !cluster.quorum {
            let what = "no quorum: nothing can be changed, nodes keep serving".to_owned();
            lines.push(line(Level::Crit, "quorum", (what, missing.join(" ")), ScreenId::Overview));
        } else if !missing.is_empty() {
            let what = format!("{} of {} voters missing", missing.len(), cluster.voters.len());
            lines.push(line(Level::Warn, "voter", (what, missing.join(" ")), ScreenId::Overview));
        }
    }
    for row in &model.totals.models {
        let name = model.names.get(row.name).to_owned();
        let waiting = row.waiting.unwrap_or(0);
        if row.targets == 0 && row.engines > 0 {
            let what = format!("no engine in service, {} declared", row.engines);
            lines.push(line(Level::Crit, "model", (what, name), ScreenId::Routing));
        } else if let Some(slope) = model.history.slope_of(row.name).filter(|it| *it > 0 && waiting > 0) {
            let full = row.capacity.is_some_and(|it| waiting > it);
            let level = if full { Level::Crit } else { Level::Warn };
            lines.push(line(
                level,
                "queue",
                (format!("{waiting} waiting, growing {slope}/s"), name),
                ScreenId::Routing,
            ));
        }
    }
    lines
}

/// Decisions that a strategy did not make itself.
fn decision_lines(model: &Model, now: Timestamp) -> Vec<Attention> {
    let faults = |row: &super::totals::DecisionRow| -> u64 {
        ["trap", "fuel", "epoch", "invalid"].iter().filter_map(|it| row.outcomes.get(*it)).sum()
    };
    let bad = model.totals.decisions.iter().filter(|row| faults(row) > 0);
    bad.map(|row| {
        let share = crate::text::percent_of(faults(row), row.all).unwrap_or(0);
        Attention {
            level: if share >= 5 { Level::Crit } else { Level::Warn },
            kind: "faults",
            what: format!("{} faults in {} decisions ({share} %): the fallback decided", faults(row), row.all),
            place: format!("{} {}", row.strategy, row.version),
            count: 1,
            since: now,
            go: Go { screen: ScreenId::Routing, filter: String::new(), node: None },
        }
    })
    .collect()
}

/// Where: the name of one, the rack or zone that several share, else the first two and how many more.
fn place(names: &Names, nodes: &[&Node]) -> String {
    let name = |node: &Node| names.get(node.name).to_owned();
    let shared = |of: fn(&Node) -> Option<Sym>| {
        let first = nodes.first().and_then(|it| of(it))?;
        nodes.iter().all(|it| of(it) == Some(first)).then(|| names.get(first))
    };
    match nodes {
        [one] => name(one),
        [one, two] => format!("{} {}", name(one), name(two)),
        _ => match (shared(|it| it.rack), shared(|it| it.zone)) {
            (Some(rack), _) => format!("rack {rack}"),
            (None, Some(zone)) => format!("zone {zone}"),
            (None, None) => {
                let first: Vec<String> = nodes.iter().take(2).map(|it| name(it)).collect();
                format!("{} +{}", first.join(" "), nodes.len().saturating_sub(2))
            }
        },
    }
}

/// Since when each line has been open: the mesh's own word, else when this screen saw it first.
#[derive(Debug, Default)]
pub(crate) struct Open(BTreeMap<(&'static str, String), Timestamp>);

impl Open {
    pub(crate) fn date(&mut self, lines: &mut [Attention]) {
        let mut open = BTreeMap::new();
        for line in lines {
            let key = (line.kind, if line.count > 1 { String::new() } else { line.place.clone() });
            let first = self.0.get(&key).copied().map_or(line.since, |it| it.min(line.since));
            line.since = first;
            open.insert(key, first);
        }
        self.0 = open;
    }
}

/// All that is wrong with one node, in words.
pub(crate) fn notes(model: &Model, node: &Node, now: Timestamp) -> Vec<(Level, String)> {
    CHECKS.iter().filter_map(|it| Some((it.level, (it.one)(model, node, now)?))).collect()
}
