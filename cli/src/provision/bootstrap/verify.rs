//! Whether what was made is what runs: nodes in service, the right executables, engines that routers reach.

use std::time::Duration;

use futures_util::future::join_all;
use mesh_core::{id::Digest, kind::Role};
use mesh_proto::v1;
use tokio::time::{Instant, sleep};

use super::{
    board::Board,
    form::Doors,
    member::{Member, root_prefix},
};
use crate::{
    Exit, Failure,
    cmd::nodes::{name_of, spec_of},
    host::{Host, Job},
};

/// How long after a look the mesh is looked at again: so many times what the look took, within bounds.
const LOOK_REST: u32 = 8;
const LOOK_MIN: Duration = Duration::from_millis(25);
const LOOK_MAX: Duration = Duration::from_secs(1);
/// How long a host may take to dial all engines.
const DIAL: Duration = Duration::from_secs(60);
/// How many engines one script dials.
const DIAL_URLS_MAX: usize = 500;

/// Asks, on a router's host, whether engines answer there.
const SCRIPT: &str = "tool=$1; shift; exec \"$tool\" dial \"$@\"";

/// Who is not in service yet, and why. Pure.
pub(crate) fn not_in_service(items: &[v1::NodeItem], names: &[&str], agent: Digest) -> Vec<(String, String)> {
    let open = |name: &&str| {
        let why = match items.iter().find(|it| name_of(it) == *name) {
            None => "the mesh does not list it".to_owned(),
            Some(item) => trouble(item, agent)?,
        };
        Some(((*name).to_owned(), why))
    };
    names.iter().filter_map(open).collect()
}

/// Whether a node is in service, whatever it runs, or why it is not. Pure.
pub(super) fn is_serving(item: &v1::NodeItem) -> Result<&v1::NodeStatus, String> {
    // A node that was taken out of service stays so, and is fine.
    if !matches!(item.phase.as_str(), "Ready" | "Cordoned" | "Draining" | "Drained") {
        return Err(format!("it is {}", item.phase));
    }
    let Some(status) = &item.status else { return Err("nothing was heard of it".to_owned()) };
    if spec_of(item).is(Role::Router) && status.router.is_none() {
        return Err("its router has not reported".to_owned());
    }
    Ok(status)
}

fn trouble(item: &v1::NodeItem, agent: Digest) -> Option<String> {
    let runs = match is_serving(item) {
        Ok(status) => &status.digest,
        Err(why) => return Some(why),
    };
    let runs_it = *runs == agent.to_string();
    let runs: String = runs.chars().take(8).collect();
    (!runs_it).then(|| format!("it runs mesh-agentd {runs} instead of {}", agent.short()))
}

/// Waits until nodes are in service; gives back those that are not by then.
pub(crate) async fn wait(
    doors: &Doors,
    names: &[&str],
    agent: Digest,
    end: Instant,
    board: &Board,
) -> Vec<(String, String)> {
    loop {
        let looked = Instant::now();
        let late = match doors.nodes().await {
            Ok(items) => not_in_service(&items, names, agent),
            Err(why) => names.iter().map(|it| ((*it).to_owned(), why.clone())).collect(),
        };
        if late.is_empty() || Instant::now() >= end {
            return late;
        }
        if let Some((name, why)) = late.first() {
            board.phase(&format!("waiting for {} nodes: {name}: {why}", late.len()));
        }
        rest(looked).await;
    }
}

/// Waits after a look that began then: a small mesh is looked at often, a large one not all the time.
pub(super) async fn rest(looked: Instant) {
    sleep((looked.elapsed() * LOOK_REST).clamp(LOOK_MIN, LOOK_MAX)).await;
}

/// A node that did not come into service, as the failure of its host.
pub(crate) fn late(name: &str, why: &str) -> Failure {
    Failure::new(Exit::Deadline, format!("it is installed, but not in service: {why}"))
        .at(name)
        .next(format!("mesh describe node {name}; its log: journalctl -u mesh-agentd, or /var/log/mesh, on the host"))
}

/// An engine as seen from routers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreached {
    /// The router's host.
    pub(crate) router: String,
    /// The node of the engine.
    pub(crate) node: String,
    /// Where it should answer.
    pub(crate) url: String,
    /// Why it does not.
    pub(crate) why: String,
    /// Whether its own agent reaches it: then it is the way that is closed.
    pub(crate) is_up: bool,
}

/// Dials every engine from every router's host.
pub(crate) async fn dial_all<H: Host>(
    routers: &[(&Member, &H)],
    items: &[v1::NodeItem],
) -> (Vec<Unreached>, Vec<(String, Failure)>) {
    let engines = engines(items);
    if engines.is_empty() {
        return Default::default();
    }
    let dials = routers.iter().map(|(member, host)| dial(member, *host, &engines));
    let (mut unreached, mut failed) = (Vec::new(), Vec::new());
    for (answer, (member, _)) in join_all(dials).await.into_iter().zip(routers) {
        match answer {
            Ok(more) => unreached.extend(more),
            Err(failure) => failed.push((member.name().to_owned(), failure)),
        }
    }
    (unreached, failed)
}

/// Where every engine is, with whether its own agent reaches it.
fn engines(items: &[v1::NodeItem]) -> Vec<(String, String, bool)> {
    let of = |item: &v1::NodeItem| {
        let up = |name: &str| {
            item.status.as_ref().is_some_and(|it| it.engines.iter().any(|sample| sample.name == name && sample.up))
        };
        let spec = spec_of(item);
        spec.engines
            .iter()
            .map(|it| (name_of(item).to_owned(), it.url.clone(), up(it.name.as_str())))
            .collect::<Vec<_>>()
    };
    items.iter().flat_map(of).collect()
}

async fn dial<H: Host>(
    member: &Member,
    host: &H,
    engines: &[(String, String, bool)],
) -> Result<Vec<Unreached>, Failure> {
    let mut unreached = Vec::new();
    let tool = format!("{}/opt/mesh/current/bin/mesh-agentd", root_prefix(&member.entry));
    for part in engines.chunks(DIAL_URLS_MAX) {
        let mut job = Job::new("dial engines", SCRIPT);
        job.args.push(tool.as_str().into());
        job.args.extend(part.iter().map(|(_, url, _)| url.as_str().into()));
        job.timeout = DIAL;
        // The router runs as nobody special: what root reaches would prove less.
        let output = host.run(job).await.map_err(Failure::from)?;
        if output.status != 0 {
            let why = format!("status {}: {}", output.status, output.stderr.trim());
            return Err(Failure::new(Exit::Failed, "cannot dial the engines").at(member.name()).why(why));
        }
        for (line, (node, url, is_up)) in output.text().lines().zip(part) {
            let said = line.split_once('\t').map_or(line, |(_, said)| said);
            if said != "ok" {
                let why = said.trim_start_matches("failed ").chars().filter(|it| !it.is_control()).take(200).collect();
                let (router, node, url) = (member.name().to_owned(), node.clone(), url.clone());
                unreached.push(Unreached { router, node, url, why, is_up: *is_up });
            }
        }
    }
    Ok(unreached)
}

#[cfg(test)]
mod tests {
    use mesh_core::kind::{NodeSpec, write};

    use super::*;

    fn item(name: &str, phase: &str, digest: Digest, roles: &[Role], router: bool) -> v1::NodeItem {
        let spec = NodeSpec { roles: roles.iter().copied().collect(), ..NodeSpec::default() };
        let object = v1::Object { kind: "node".into(), name: name.into(), revision: 1, spec: write(&spec) };
        let status = v1::NodeStatus {
            digest: digest.to_string(),
            router: router.then(v1::RouterSample::default),
            ..v1::NodeStatus::default()
        };
        v1::NodeItem { object: Some(object), phase: phase.into(), status: Some(status), ..v1::NodeItem::default() }
    }

    #[test]
    fn a_node_is_in_service_with_the_right_executable_only() {
        let (wanted, other) = (Digest([1; 32]), Digest([2; 32]));
        let items = [
            item("good", "Ready", wanted, &[Role::Gpu], false),
            item("out", "Drained", wanted, &[Role::Gpu], false),
            item("young", "Joining", wanted, &[Role::Gpu], false),
            item("old", "Ready", other, &[Role::Gpu], false),
            item("door", "Ready", wanted, &[Role::Router], false),
            item("gate", "Ready", wanted, &[Role::Router], true),
        ];
        let names = ["good", "out", "young", "old", "door", "gate", "none"];
        let late: Vec<String> =
            not_in_service(&items, &names, wanted).iter().map(|(name, why)| format!("{name}: {why}")).collect();
        assert_eq!(
            late,
            [
                "young: it is Joining",
                "old: it runs mesh-agentd 02020202 instead of 01010101",
                "door: its router has not reported",
                "none: the mesh does not list it"
            ]
        );
    }
}
