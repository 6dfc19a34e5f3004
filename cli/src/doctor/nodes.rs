//! What is wrong with single nodes, and between them.

use std::collections::BTreeMap;

use mesh_core::{
    gpu::{self, Verdict},
    kind::{DrainMode, EngineKind, Role},
    status::{EngineSample, NodeStatus, Phase, Probe, RouterSample},
    time::Timestamp,
};
use mesh_tui::NodeRow;

use super::{Finding, Picture, Severity, revive};
use crate::human::{bytes, duration};

/// A node says something at least every second; this long without is no accident.
const STALE_MS: u64 = 10_000;
/// How long a node may be on its way into service.
const SETTLE_MS: u64 = 60_000;
/// How long a router may go without reporting to its agent.
const ROUTER_STALE_MS: u32 = 10_000;
/// A host with less memory left, in percent, is about to kill processes.
const MEMORY_LEFT_PERCENT: u64 = 3;

pub(super) fn findings(picture: &Picture, rows: &[NodeRow]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for row in rows {
        findings.extend(life(picture, row));
        findings.extend(drain(picture.now, row));
        // Of a node that is lost everything else is old news.
        let Some(status) = row.view.status.as_ref().filter(|_| row.view.phase != Phase::Lost) else { continue };
        findings.extend(state(picture, row, status));
        findings.extend(engines(picture, row, status));
        findings.extend(gpus(row, status));
        if row.spec.is(Role::Router) {
            findings.extend(router(picture, row, status));
        }
    }
    findings.extend(releases(rows));
    findings.extend(strategies(rows));
    findings
}

fn subject(row: &NodeRow) -> String {
    format!("node/{}", row.view.node)
}

fn describe(row: &NodeRow) -> String {
    format!("mesh describe node {}", row.view.node)
}

/// What its agent wrote says more than what it says of itself.
fn agent_logs(row: &NodeRow) -> String {
    format!("mesh logs {} -u agentd --level warn", row.view.node)
}

/// Whether it is alive and in service.
fn life(picture: &Picture, row: &NodeRow) -> Option<Finding> {
    let view = &row.view;
    let since = view.since.map(|since| since.age_ms(picture.now));
    let waited = since.map(|ms| format!(" for {}", duration(ms))).unwrap_or_default();
    let next = revive(picture, view.node.as_str());
    match view.phase {
        Phase::Lost => {
            let heard = view.age_ms.map(|ms| format!("last heard {} ago", duration(ms)));
            let finding = Finding::new(Severity::Error, subject(row), format!("lost{waited}"), next);
            Some(finding.why(heard.unwrap_or_else(|| "neither its stream nor gossip hears it".to_owned())))
        }
        Phase::Joining if since.is_none_or(|ms| ms > SETTLE_MS) => {
            Some(Finding::new(Severity::Warning, subject(row), "declared, and never seen", next))
        }
        Phase::Verifying if since.is_some_and(|ms| ms > SETTLE_MS) => {
            let finding =
                Finding::new(Severity::Warning, subject(row), format!("not in service{waited}"), agent_logs(row));
            Some(finding.why("it has not taken in the mesh's state, or not seen all its engines"))
        }
        Phase::Joining | Phase::Verifying | Phase::Ready | Phase::Cordoned | Phase::Draining | Phase::Drained => {
            let age = view.age_ms.filter(|ms| *ms > STALE_MS)?;
            let what = format!("nothing new of it for {}", duration(age));
            Some(Finding::new(Severity::Warning, subject(row), what, agent_logs(row)))
        }
    }
}

/// A drain that does not come to its end.
fn drain(now: Timestamp, row: &NodeRow) -> Option<Finding> {
    let drain = row.drain.as_ref().filter(|it| it.mode == DrainMode::Drain && it.drained_at.is_none())?;
    let next = format!("mesh drain status {}; mesh drain {} --force cuts what is left", row.view.node, row.view.node);
    let blockers = row.view.blockers.join("; ");
    if drain.deadline.is_some_and(|end| now > end) {
        let finding = Finding::new(Severity::Error, subject(row), "its drain has passed its deadline", next);
        return Some(if blockers.is_empty() { finding } else { finding.why(blockers) });
    }
    (!blockers.is_empty())
        .then(|| Finding::new(Severity::Warning, subject(row), "its drain is blocked", next).why(blockers))
}

/// What it says of itself.
fn state(picture: &Picture, row: &NodeRow, status: &NodeStatus) -> Vec<Finding> {
    let mut findings = Vec::new();
    if status.applied < picture.settled {
        let what = format!("behind: it is at revision {}, the mesh is at {}", status.applied, picture.settled);
        findings.push(Finding::new(Severity::Warning, subject(row), what, agent_logs(row)));
    }
    if let (Some(all), Some(left)) = (status.host.memory_bytes, status.host.memory_available_bytes)
        && left / MEMORY_LEFT_PERCENT < all / 100
    {
        let what = format!("{} of {} of its memory are left", bytes(left), bytes(all));
        findings.push(Finding::new(Severity::Warning, subject(row), what, describe(row)));
    }
    findings
}

/// Engines that are declared and do not serve.
fn engines(picture: &Picture, row: &NodeRow, status: &NodeStatus) -> Vec<Finding> {
    let seen = |name: &str| status.engines.iter().find(|it| it.name.as_str() == name);
    let declared = row.spec.engines.iter();
    declared
        .filter_map(|spec| {
            let next = match picture.is_local && spec.kind == EngineKind::Standin {
                true => format!("mesh logs {} -u engine", row.view.node),
                false => format!("on the host of {}: curl -sS {}/v1/models", row.view.node, spec.url),
            };
            let subject = format!("engine/{}/{}", row.view.node, spec.name);
            match seen(spec.name.as_str()) {
                None => Some(Finding::new(Severity::Warning, subject, format!("never seen at {}", spec.url), next)),
                Some(it) if !it.up => Some(down(it, subject, next)),
                Some(it) => it.error.clone().map(|why| {
                    Finding::new(Severity::Warning, subject, "part of its report is missing", next).why(why)
                }),
            }
        })
        .collect()
}

fn down(engine: &EngineSample, subject: String, next: String) -> Finding {
    let finding = Finding::new(Severity::Error, subject, format!("does not answer at {}", engine.url), next);
    match &engine.error {
        Some(why) => finding.why(why.clone()),
        None => finding,
    }
}

fn gpus(row: &NodeRow, status: &NodeStatus) -> Vec<Finding> {
    let next = format!("on the host of {}: nvidia-smi -q", row.view.node);
    let list = match &status.gpus {
        Probe::Read(list) => list,
        Probe::Unavailable(why) => {
            // Who serves with stand-ins only has no GPU to miss.
            let is_real = row.spec.is(Role::Gpu) && row.spec.engines.iter().any(|it| it.kind != EngineKind::Standin);
            let finding = || Finding::new(Severity::Warning, subject(row), "its GPUs cannot be read", next.clone());
            return if is_real { vec![finding().why(why.clone())] } else { Vec::new() };
        }
    };
    let judged = list.iter().filter_map(|gpu| Some((gpu, gpu::health(gpu)?)));
    judged
        .filter_map(|(gpu, health)| {
            let severity = match health.verdict {
                Verdict::Ok => return None,
                Verdict::Warn => Severity::Warning,
                Verdict::Critical => Severity::Error,
            };
            let what = health.reason.unwrap_or_else(|| health.verdict.to_string());
            let finding = Finding::new(severity, format!("gpu/{}/{}", row.view.node, gpu.index), what, next.clone());
            Some(match &gpu.name {
                Some(name) => finding.why(name.clone()),
                None => finding,
            })
        })
        .collect()
}

/// A router that does not report, or does not run what it should.
fn router(picture: &Picture, row: &NodeRow, status: &NodeStatus) -> Vec<Finding> {
    let subject = format!("router/{}", row.view.node);
    let logs = format!("mesh logs {} -u routerd", row.view.node);
    let next = match picture.is_local {
        true => format!("{logs}; mesh down {0} && mesh up {0}", row.view.node),
        false => format!("{logs}; on its host: systemctl status mesh-routerd"),
    };
    let Some(router) = &status.router else {
        return vec![Finding::new(Severity::Error, subject, "it has not reported to its agent", next)];
    };
    let mut findings = Vec::new();
    if router.age_ms > ROUTER_STALE_MS {
        let what = format!("it has not reported to its agent for {}", duration(router.age_ms.into()));
        findings.push(Finding::new(Severity::Error, subject.clone(), what, next.clone()));
    }
    if router.acked < picture.settled {
        let what = format!("it has not acknowledged revision {}: drains wait for it", picture.settled);
        findings.push(Finding::new(Severity::Warning, subject.clone(), what, next));
    }
    findings.extend(strategy(router, &subject));
    findings
}

fn strategy(router: &RouterSample, subject: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let next = "mesh strategy status; mesh strategy rollback brings back what decided before";
    let Some(loaded) = &router.strategy else { return findings };
    if let Some(why) = &loaded.error {
        let what = format!("the wanted strategy is not running; {} {} decides", loaded.name, loaded.version);
        findings.push(Finding::new(Severity::Error, subject, what, next).why(why.clone()));
    }
    let own = router.decisions.iter().filter(|it| it.strategy == loaded.name && it.version == loaded.version);
    let (mut all, mut faults) = (0_u64, BTreeMap::<&str, u64>::new());
    for it in own {
        all = all.saturating_add(it.count);
        if matches!(it.outcome.as_str(), "trap" | "fuel" | "epoch" | "invalid") && it.count > 0 {
            *faults.entry(it.outcome.as_str()).or_default() += it.count;
        }
    }
    if !faults.is_empty() {
        let kinds: Vec<String> = faults.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        let what = format!("strategy {} {} faults", loaded.name, loaded.version);
        let why = format!("of {all} decisions: {}; the built-in decided those", kinds.join(", "));
        findings.push(Finding::new(Severity::Warning, subject, what, next).why(why));
    }
    findings
}

/// Nodes that run another release than most.
fn releases(rows: &[NodeRow]) -> Option<Finding> {
    let mut by: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.view.phase != Phase::Lost) {
        let Some(status) = &row.view.status else { continue };
        by.entry(format!("{} ({})", status.version, status.digest.short())).or_default().push(row.view.node.as_str());
    }
    let (most, _) = by.iter().max_by_key(|(_, nodes)| nodes.len())?;
    let others: Vec<String> = by
        .iter()
        .filter(|(release, _)| *release != most)
        .map(|(release, nodes)| format!("{release} on {}", nodes.join(", ")))
        .collect();
    (!others.is_empty()).then(|| {
        let what = format!("not every node runs {most}");
        Finding::new(Severity::Warning, "mesh", what, "mesh get nodes -o wide").why(others.join("; "))
    })
}

/// Routers that decide by different strategies.
fn strategies(rows: &[NodeRow]) -> Option<Finding> {
    let mut by: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.view.phase != Phase::Lost) {
        let router = row.view.status.as_ref().and_then(|it| it.router.as_ref());
        let Some(loaded) = router.and_then(|it| it.strategy.as_ref()) else { continue };
        by.entry(format!("{} {}", loaded.name, loaded.version)).or_default().push(row.view.node.as_str());
    }
    (by.len() > 1).then(|| {
        let each: Vec<String> = by.iter().map(|(name, nodes)| format!("{name} on {}", nodes.join(", "))).collect();
        let what = "routers decide by different strategies";
        Finding::new(Severity::Warning, "mesh", what, "mesh strategy status").why(each.join("; "))
    })
}
