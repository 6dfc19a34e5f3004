//! The kind `node`: a host that is a member of the mesh.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Spec, SpecError};
use crate::id::ObjectName;

/// The most engines one node may declare.
const ENGINES_MAX: usize = 64;
/// The most labels one node may carry.
const LABELS_MAX: usize = 64;

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Keeps desired state: a raft voter.
    Coordinator,
    /// Takes clients' requests.
    Router,
    /// Serves engines.
    Gpu,
    /// Runs training ranks.
    Trainer,
    /// A small site of its own.
    Edge,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Coordinator => "coordinator",
            Self::Router => "router",
            Self::Gpu => "gpu",
            Self::Trainer => "trainer",
            Self::Edge => "edge",
        })
    }
}

/// Which model server an engine is; it decides how its metrics are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// vLLM.
    Vllm,
    /// llama.cpp's server.
    Llamacpp,
    /// The simulated engine of local meshes and tests; it speaks vLLM's metric names.
    Standin,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vllm => "vllm",
            Self::Llamacpp => "llamacpp",
            Self::Standin => "standin",
        })
    }
}

/// One model server on a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineSpec {
    /// Its name, unique on the node.
    pub name: ObjectName,
    /// Which server it is.
    pub kind: EngineKind,
    /// Where routers and the agent reach it: `http://HOST:PORT`.
    pub url: String,
    /// The models it serves; empty = ask the engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// How many requests it runs at once, when declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
}

/// The spec of a node. A field that a manifest leaves out keeps what it has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSpec {
    /// What it is for; at least one.
    pub roles: BTreeSet<Role>,
    /// Its data address: an IP address or a host name.
    pub address: String,
    /// Where its agent answers RPCs: `IP:PORT`.
    pub api: String,
    /// Where its agent gossips: `IP:PORT` (UDP).
    pub gossip: String,
    /// The raft id of a coordinator, never reused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voter: Option<u64>,
    /// +1 at every join of a host under this name: a re-imaged host is a new incarnation.
    pub incarnation: u32,
    /// The failure domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Free labels for selection.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The model servers on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub engines: Vec<EngineSpec>,
}

impl NodeSpec {
    /// Whether the node has a role.
    #[must_use]
    pub fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The address of the agent's API.
    #[must_use]
    pub fn api_addr(&self) -> Option<SocketAddr> {
        self.api.parse().ok()
    }

    /// The address of the agent's gossip socket.
    #[must_use]
    pub fn gossip_addr(&self) -> Option<SocketAddr> {
        self.gossip.parse().ok()
    }
}

impl Spec for NodeSpec {
    const KIND: Kind = Kind::Node;

    fn validate(&self, _name: &ObjectName) -> Result<(), SpecError> {
        if self.roles.is_empty() {
            return Err(Self::field(
                "roles",
                "a node has at least one role: coordinator, router, gpu, trainer or edge",
            ));
        }
        if self.address.is_empty() || self.address.len() > 253 {
            return Err(Self::field("address", "must be an IP address or a host name"));
        }
        for (field, value, parsed) in
            [("api", &self.api, self.api_addr()), ("gossip", &self.gossip, self.gossip_addr())]
        {
            if parsed.is_none() {
                return Err(Self::field(field, format!("`{value}` is not IP:PORT")));
            }
        }
        if self.is(Role::Coordinator) != self.voter.is_some() {
            return Err(Self::field("voter", "a coordinator has a raft id, and no other node has one"));
        }
        if self.labels.len() > LABELS_MAX {
            return Err(Self::field("labels", format!("at most {LABELS_MAX} labels")));
        }
        if self.engines.len() > ENGINES_MAX {
            return Err(Self::field("engines", format!("at most {ENGINES_MAX} engines")));
        }
        let mut names = BTreeSet::new();
        for (i, engine) in self.engines.iter().enumerate() {
            if !names.insert(&engine.name) {
                return Err(Self::field(format!("engines[{i}].name"), format!("`{}` is there twice", engine.name)));
            }
            check_url(&engine.url).map_err(|reason| Self::field(format!("engines[{i}].url"), reason))?;
            if engine.capacity == Some(0) {
                return Err(Self::field(format!("engines[{i}].capacity"), "must be at least 1, or left out"));
            }
            if let Some(j) = engine.models.iter().position(|it| it.is_empty() || it.len() > 4096) {
                return Err(Self::field(format!("engines[{i}].models[{j}]"), "must have 1 to 4096 bytes"));
            }
        }
        Ok(())
    }
}

/// Checks the address of an engine: `http://HOST:PORT`, with nothing after the port.
///
/// # Errors
/// What is wrong with it.
pub fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("`{url}` must be http://HOST:PORT"))?;
    let authority = rest.trim_end_matches('/');
    let port = authority.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
    let legal = port.is_some_and(|it| it.parse::<u16>().is_ok_and(|port| port > 0));
    if !legal || authority.contains(['/', '?', '#', '@', ' ']) {
        return Err(format!("`{url}` must be http://HOST:PORT, with nothing after the port"));
    }
    Ok(())
}
