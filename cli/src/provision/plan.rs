//! What a local mesh will be: nodes, roles, addresses, engines. Pure once the ports are known.

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use mesh_core::{
    id::{MeshName, NodeName, ObjectName},
    kind::{EngineKind, EngineSpec, NodeSpec, Role},
};
use serde::{Deserialize, Serialize};

use super::ports::PortBlock;
use crate::{Exit, Failure, Result};

/// Requests that a stand-in runs at once: its default `--slots`, which it does not tell in its metrics.
const STANDIN_SLOTS: u32 = 256;
/// Coordinators of a local mesh: nodes 1 to 3.
const COORDINATORS: usize = 3;
/// Nodes of a local mesh unless said otherwise: three coordinators, a router, three GPU nodes.
pub(crate) const NODES_DEFAULT: usize = 7;
/// The most nodes: they fit one block of ports.
pub(crate) const NODES_MAX: usize = 16;

/// A real engine in a stand-in's place: `NODE=KIND,URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineWish {
    pub(crate) node: NodeName,
    pub(crate) kind: EngineKind,
    pub(crate) url: String,
}

impl FromStr for EngineWish {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let form = || format!("`{text}` is not NODE=KIND,URL, like node-5=llamacpp,http://127.0.0.1:9000");
        let (node, rest) = text.split_once('=').ok_or_else(form)?;
        let (kind, url) = rest.split_once(',').ok_or_else(form)?;
        let node = NodeName::new(node).map_err(|error| error.to_string())?;
        let kind = match kind {
            "vllm" => EngineKind::Vllm,
            "llamacpp" => EngineKind::Llamacpp,
            "standin" => EngineKind::Standin,
            _ => return Err(format!("no engine kind `{kind}`; there are: vllm, llamacpp, standin")),
        };
        if !url.starts_with("http://") {
            return Err(format!("`{url}` must be http://HOST:PORT"));
        }
        Ok(Self { node, kind, url: url.trim_end_matches('/').to_owned() })
    }
}

/// Where a router answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RouterPlan {
    /// The door for clients.
    pub(crate) listen: SocketAddr,
    /// Its admin pages.
    pub(crate) admin: SocketAddr,
}

/// The engine of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnginePlan {
    pub(crate) kind: EngineKind,
    pub(crate) url: String,
    /// Where the stand-in listens; absent when the engine is somebody else's.
    pub(crate) standin: Option<SocketAddr>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodePlan {
    pub(crate) name: NodeName,
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) voter: Option<u64>,
    pub(crate) api: SocketAddr,
    pub(crate) gossip: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) router: Option<RouterPlan>,
    pub(crate) engine: Option<EnginePlan>,
}

/// The whole mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) mesh: MeshName,
    pub(crate) operator: ObjectName,
    /// VERSION-DIGEST8 of what is installed.
    pub(crate) release: String,
    /// Whether a trusted key signed it.
    pub(crate) signed: bool,
    pub(crate) nodes: Vec<NodePlan>,
}

/// What the plan is made of.
pub(crate) struct Wanted<'a> {
    pub(crate) mesh: MeshName,
    pub(crate) operator: ObjectName,
    pub(crate) release: String,
    pub(crate) signed: bool,
    pub(crate) nodes: usize,
    pub(crate) engines: &'a [EngineWish],
}

impl Plan {
    /// Lays out a mesh: coordinators first, then one router, then GPU nodes.
    pub(crate) fn local(wanted: Wanted<'_>, ports: &mut PortBlock) -> Result<Self> {
        if !(COORDINATORS + 2..=NODES_MAX).contains(&wanted.nodes) {
            return Err(Failure::new(
                Exit::Usage,
                format!("a local mesh has {} to {NODES_MAX} nodes", COORDINATORS + 2),
            ));
        }
        let mut nodes = Vec::new();
        for number in 1..=wanted.nodes {
            nodes.push(node(number, wanted.engines, ports)?);
        }
        for wish in wanted.engines {
            if !nodes.iter().any(|it: &NodePlan| it.name == wish.node && it.engine.is_some()) {
                return Err(Failure::new(Exit::Usage, format!("{} has no engine to replace", wish.node)).why(format!(
                    "GPU nodes are node-{} to node-{}",
                    COORDINATORS + 2,
                    wanted.nodes
                )));
            }
        }
        Ok(Self { mesh: wanted.mesh, operator: wanted.operator, release: wanted.release, signed: wanted.signed, nodes })
    }

    /// The coordinators.
    pub(crate) fn coordinators(&self) -> impl Iterator<Item = &NodePlan> {
        self.nodes.iter().filter(|it| it.voter.is_some())
    }

    /// A node by its name.
    pub(crate) fn node(&self, name: &str) -> Result<&NodePlan> {
        self.nodes.iter().find(|it| it.name.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = self.nodes.iter().map(|it| it.name.as_str()).collect();
            Failure::new(Exit::Failed, format!("the local mesh has no node `{name}`"))
                .why(format!("it has {}", names.join(", ")))
        })
    }

    /// The doors of the routers.
    pub(crate) fn routers(&self) -> Vec<String> {
        self.nodes.iter().filter_map(|it| it.router.as_ref()).map(|it| format!("http://{}", it.listen)).collect()
    }

    /// Every page of metrics: routers first.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let routers = self.nodes.iter().filter_map(|it| it.router.as_ref()).map(|it| it.admin);
        routers.chain(self.nodes.iter().map(|it| it.admin)).map(|addr| format!("http://{addr}/metrics")).collect()
    }
}

fn node(number: usize, wishes: &[EngineWish], ports: &mut PortBlock) -> Result<NodePlan> {
    let name = NodeName::new(format!("node-{number}"))
        .map_err(|error| Failure::new(Exit::Failed, "cannot name a node").why(error))?;
    let (role, voter) = match number {
        1..=COORDINATORS => (Role::Coordinator, u64::try_from(number).ok()),
        number if number == COORDINATORS + 1 => (Role::Router, None),
        _ => (Role::Gpu, None),
    };
    let (api, gossip, admin) = (ports.take()?, ports.take()?, ports.take()?);
    let router =
        if role == Role::Router { Some(RouterPlan { listen: ports.take()?, admin: ports.take()? }) } else { None };
    let wish = wishes.iter().find(|it| it.node == name);
    let engine = match (role, wish) {
        (Role::Gpu, Some(wish)) => Some(EnginePlan { kind: wish.kind, url: wish.url.clone(), standin: None }),
        (Role::Gpu, None) => {
            let listen = ports.take()?;
            Some(EnginePlan { kind: EngineKind::Standin, url: format!("http://{listen}"), standin: Some(listen) })
        }
        _ => None,
    };
    Ok(NodePlan { name, roles: [role].into(), voter, api, gossip, admin, router, engine })
}

impl NodePlan {
    /// The names of the processes on it, in the order they are started.
    pub(crate) fn processes(&self) -> Vec<&'static str> {
        let router = self.router.as_ref().map(|_| "routerd");
        let engine = self.engine.as_ref().and_then(|it| it.standin).map(|_| "engine");
        // The agent first: the others need it; the engine before the router would make no difference.
        std::iter::once("agentd").chain(engine).chain(router).collect()
    }

    /// What is declared of it.
    pub(crate) fn spec(&self) -> Result<NodeSpec> {
        let engine = |it: &EnginePlan| -> Result<EngineSpec> {
            let name = super::super::cmd::cordon::object_name(&it.kind.to_string())?;
            Ok(EngineSpec {
                name,
                kind: it.kind,
                url: it.url.clone(),
                models: Vec::new(),
                capacity: it.standin.map(|_| STANDIN_SLOTS),
            })
        };
        Ok(NodeSpec {
            roles: self.roles.clone(),
            address: self.api.ip().to_string(),
            api: self.api.to_string(),
            gossip: self.gossip.to_string(),
            voter: self.voter,
            incarnation: 1,
            engines: self.engine.iter().map(engine).collect::<Result<_>>()?,
            ..NodeSpec::default()
        })
    }
}

/// Where the files of one node are, below any root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The paths of a node of the local mesh in `local`.
    pub(crate) fn of(local: &Path, node: &NodeName) -> Self {
        Self { root: local.join("nodes").join(node.as_str()) }
    }

    /// The node's name, which is the name of its directory.
    pub(crate) fn name(&self) -> Option<&std::ffi::OsStr> {
        self.root.file_name()
    }
    pub(crate) fn releases(&self) -> PathBuf {
        self.root.join("opt/mesh/releases")
    }
    pub(crate) fn current(&self) -> PathBuf {
        self.root.join("opt/mesh/current")
    }
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.current().join("bin").join(name)
    }
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.root.join("etc/mesh").join(name)
    }
    pub(crate) fn pki(&self, part: &str) -> PathBuf {
        self.root.join("etc/mesh/pki").join(part)
    }
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("var/lib/mesh")
    }
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("var/log")
    }
    pub(crate) fn run(&self) -> PathBuf {
        self.root.join("run")
    }
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.run().join("supervise.pid")
    }
}

impl fmt::Display for NodePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Vec<String> = self.roles.iter().map(ToString::to_string).collect();
        write!(f, "{} ({})", self.name, roles.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unwrap_in_result, reason = "a test fails by panicking")]
    fn plan(nodes: usize, engines: &[&str]) -> Result<Plan> {
        let engines: Vec<EngineWish> = engines.iter().map(|it| it.parse().unwrap()).collect();
        let wanted = Wanted {
            mesh: MeshName::new("local-0000").unwrap(),
            operator: ObjectName::new("ada").unwrap(),
            release: "0.1.0-00000000".into(),
            signed: false,
            nodes,
            engines: &engines,
        };
        Plan::local(wanted, &mut PortBlock::claim(Path::new("/plan")).unwrap())
    }

    #[test]
    fn the_default_mesh_has_the_promised_nodes() {
        let plan = plan(NODES_DEFAULT, &["node-6=llamacpp,http://127.0.0.1:9000/"]).unwrap();
        let shape: Vec<String> = plan
            .nodes
            .iter()
            .map(|it| {
                format!("{it} {:?} {}", it.processes(), it.engine.as_ref().map_or("-".into(), |it| it.kind.to_string()))
            })
            .collect();
        insta::assert_snapshot!("plan", shape.join("\n"));
        assert_eq!(plan.nodes[5].engine.as_ref().unwrap().url, "http://127.0.0.1:9000");
        assert_eq!((plan.routers().len(), plan.metrics().len()), (1, 8));
        for node in &plan.nodes {
            mesh_core::kind::Spec::validate(&node.spec().unwrap(), &node.name.clone().into()).unwrap();
        }
    }

    #[test]
    fn impossible_plans_are_refused() {
        let check = |nodes: usize, engines: &[&str], why: &str| {
            let failure = plan(nodes, engines).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.to_string().contains(why), "{failure}");
        };
        check(4, &[], "5 to 16 nodes");
        check(17, &[], "5 to 16 nodes");
        check(7, &["node-4=vllm,http://127.0.0.1:1"], "node-4 has no engine to replace");
        check(7, &["node-9=vllm,http://127.0.0.1:1"], "node-9 has no engine to replace");
        assert!(plan(NODES_MAX, &[]).is_ok());
        for wrong in ["node-5", "node-5=vllm", "node-5=abacus,http://x:1", "node-5=vllm,ftp://x:1", "N=vllm,http://x:1"]
        {
            assert!(wrong.parse::<EngineWish>().is_err(), "{wrong}");
        }
    }
}
