//! The configuration files of a node, rendered from the plan.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::plan::{NodePlan, Paths, Plan};
use crate::{Exit, Failure, Result};

/// How long a process of a local node may take to stop, in seconds.
pub(crate) const STOP_DEADLINE_S: u64 = 8;
/// How long a router's streams may take at its end, in seconds: within the deadline above.
const DRAIN_DEADLINE_S: u64 = 5;

#[derive(Serialize)]
struct Agent<'a> {
    mesh: &'a str,
    node: &'a str,
    listen: String,
    gossip: String,
    admin: String,
    state_dir: &'a Path,
    identity_dir: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer_dir: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voter: Option<u64>,
    gossip_seeds: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nvml_library: Option<String>,
    log_dir: &'a Path,
    log: &'a str,
    coordinators: Vec<Coordinator<'a>>,
}

#[derive(Serialize)]
struct Coordinator<'a> {
    node: &'a str,
    api: String,
    voter: u64,
}

#[derive(Serialize)]
struct Router<'a> {
    mesh: &'a str,
    node: &'a str,
    listen: String,
    admin: String,
    agent: String,
    identity_dir: &'a Path,
    state_dir: &'a Path,
    drain_deadline_s: u64,
    log: &'a str,
}

#[derive(Serialize)]
struct Supervise<'a> {
    name: &'a str,
    pid_file: &'a Path,
    run_dir: &'a Path,
    detach: bool,
    stop_deadline_s: u64,
    process: Vec<Process<'a>>,
}

#[derive(Serialize)]
struct Process<'a> {
    name: &'a str,
    command: Vec<String>,
    log: &'a Path,
    env: BTreeMap<&'a str, String>,
}

/// A rendered file: its name in `etc/mesh` and its text.
pub(crate) type Rendered = (&'static str, String);

/// Renders every configuration file of a node. `nvml_library` is a library in the place of the system's.
pub(crate) fn render(plan: &Plan, node: &NodePlan, paths: &Paths, nvml_library: Option<&str>) -> Result<Vec<Rendered>> {
    let mut files = vec![("agentd.toml", agent(plan, node, paths, nvml_library)?)];
    if let Some(router) = &node.router {
        let text = toml(&Router {
            mesh: plan.mesh.as_str(),
            node: node.name.as_str(),
            listen: router.listen.to_string(),
            admin: router.admin.to_string(),
            agent: node.api.to_string(),
            identity_dir: &paths.pki("router"),
            state_dir: &paths.state().join("router"),
            drain_deadline_s: DRAIN_DEADLINE_S,
            log: "info",
        })?;
        files.push(("routerd.toml", text));
    }
    files.push(("supervise.toml", supervise(node, paths)?));
    Ok(files)
}

fn agent(plan: &Plan, node: &NodePlan, paths: &Paths, nvml_library: Option<&str>) -> Result<String> {
    let coordinator = |it: &'_ NodePlan| Some((it.name.as_str().to_owned(), it.api.to_string(), it.voter?));
    let coordinators: Vec<_> = plan.coordinators().filter_map(coordinator).collect();
    let issuer = paths.pki("issuer");
    toml(&Agent {
        mesh: plan.mesh.as_str(),
        node: node.name.as_str(),
        listen: node.api.to_string(),
        gossip: node.gossip.to_string(),
        admin: node.admin.to_string(),
        state_dir: &paths.state(),
        identity_dir: &paths.pki("node"),
        issuer_dir: node.voter.map(|_| issuer.as_path()),
        voter: node.voter,
        gossip_seeds: plan.coordinators().filter(|it| it.name != node.name).map(|it| it.gossip.to_string()).collect(),
        nvml_library: nvml_library.map(str::to_owned),
        log_dir: &paths.logs(),
        log: "info",
        coordinators: coordinators
            .iter()
            .map(|(node, api, voter)| Coordinator { node, api: api.clone(), voter: *voter })
            .collect(),
    })
}

fn supervise(node: &NodePlan, paths: &Paths) -> Result<String> {
    let text = |path: std::path::PathBuf| path.display().to_string();
    let logs: BTreeMap<&str, _> =
        node.processes().into_iter().map(|it| (it, paths.logs().join(format!("{it}.log")))).collect();
    let mut process = Vec::new();
    for name in node.processes() {
        let command = match name {
            "agentd" => vec![
                text(paths.binary("mesh-agentd")),
                "run".into(),
                "--config".into(),
                text(paths.config("agentd.toml")),
            ],
            "routerd" => {
                vec![text(paths.binary("mesh-routerd")), "--config".into(), text(paths.config("routerd.toml"))]
            }
            _ => standin(node, paths),
        };
        process.push(Process { name, command, log: &logs[name], env: BTreeMap::new() });
    }
    toml(&Supervise {
        name: node.name.as_str(),
        pid_file: &paths.pid_file(),
        run_dir: &paths.run(),
        detach: true,
        stop_deadline_s: STOP_DEADLINE_S,
        process,
    })
}

fn standin(node: &NodePlan, paths: &Paths) -> Vec<String> {
    let listen = node.engine.as_ref().and_then(|it| it.standin).map_or_else(String::new, |it| it.to_string());
    // A seed of its own: the engines of a mesh do not speak in chorus.
    let seed = node.name.as_str().trim_start_matches(|c: char| !c.is_ascii_digit());
    let binary = paths.binary("mesh-standin").display().to_string();
    [binary.as_str(), "--listen", &listen, "--seed", if seed.is_empty() { "1" } else { seed }]
        .map(str::to_owned)
        .to_vec()
}

fn toml<T: Serialize>(value: &T) -> Result<String> {
    toml::to_string(value).map_err(|error| Failure::new(Exit::Failed, "cannot render a configuration file").why(error))
}
