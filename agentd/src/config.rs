//! The agent's one TOML file: every setting, its default and its checks.

use std::{net::SocketAddr, path::PathBuf};

use mesh_core::{
    id::{MeshName, NodeName, Principal},
    kind::NodeSpec,
};
use serde::Deserialize;

/// Life of a leaf when the file names none: 7 days, in seconds.
const LEAF_TTL_S: u64 = 7 * 24 * 3600;
/// The shortest life of a leaf: renewal happens at a third of it.
const LEAF_TTL_MIN_S: u64 = 15;

/// What is wrong with a configuration that parses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field `{field}`: {reason}")]
pub struct ConfigError {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub reason: String,
}

/// The configuration of `mesh-agentd`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The mesh it belongs to.
    pub mesh: MeshName,
    /// Its own name.
    pub node: NodeName,
    /// Where its gRPC API answers, with mutual TLS.
    pub listen: SocketAddr,
    /// Where it gossips (UDP).
    pub gossip: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` answer: plain HTTP, loopback only.
    pub admin: SocketAddr,
    /// What it must keep over a restart.
    pub state_dir: PathBuf,
    /// `key.pem`, `chain.pem` and `roots.pem` of its own identity.
    pub identity_dir: PathBuf,
    /// `key.pem` and `chain.pem` of a coordinator's intermediate.
    #[serde(default)]
    pub issuer_dir: Option<PathBuf>,
    /// The raft id of a coordinator, never reused; absent on every other node.
    #[serde(default)]
    pub voter: Option<u64>,
    /// Whom to ask first; later desired state says who the coordinators are.
    pub coordinators: Vec<Coordinator>,
    /// Whom to gossip with first.
    #[serde(default)]
    pub gossip_seeds: Vec<SocketAddr>,
    /// Life of the leaves this coordinator issues, in seconds.
    #[serde(default = "leaf_ttl_s")]
    pub leaf_ttl_s: u64,
    /// NVIDIA's management library, where the loader does not find it by itself.
    #[serde(default)]
    pub nvml_library: Option<PathBuf>,
    /// Where the logs of this node's daemons are, as files; absent = in the journal of the host.
    #[serde(default)]
    pub log_dir: Option<PathBuf>,
    /// What is logged: a level, or a filter in the syntax of `tracing`.
    #[serde(default = "log")]
    pub log: String,
}

/// One coordinator as first contact.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordinator {
    /// Its node name.
    pub node: NodeName,
    /// Where its API answers.
    pub api: SocketAddr,
    /// Its raft id.
    pub voter: u64,
}

impl Coordinator {
    /// The coordinator that a declared node is; `None` for every other node.
    #[must_use]
    pub fn of(node: NodeName, spec: &NodeSpec) -> Option<Self> {
        Some(Self { node, api: spec.api_addr()?, voter: spec.voter? })
    }
}

impl Config {
    /// Checks what types cannot.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first field that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |field, reason: String| Err(ConfigError { field, reason });
        for (field, dir) in [("state_dir", &self.state_dir), ("identity_dir", &self.identity_dir)] {
            if !dir.is_absolute() {
                return refuse(field, format!("`{}` must be an absolute path", dir.display()));
            }
        }
        if let Some(dir) = self.log_dir.as_ref().filter(|it| !it.is_absolute()) {
            return refuse("log_dir", format!("`{}` must be an absolute path", dir.display()));
        }
        if !self.admin.ip().is_loopback() {
            return refuse("admin", format!("`{}` is plain HTTP and must be a loopback address", self.admin));
        }
        if self.coordinators.is_empty() {
            return refuse("coordinators", "name at least one, as {node, api, voter}".to_owned());
        }
        if self.leaf_ttl_s < LEAF_TTL_MIN_S {
            return refuse("leaf_ttl_s", format!("must be at least {LEAF_TTL_MIN_S}"));
        }
        match (self.voter, &self.issuer_dir) {
            (Some(0), _) => refuse("voter", "raft ids begin at 1".to_owned()),
            (Some(_), None) => {
                refuse("issuer_dir", "a coordinator issues certificates and needs its intermediate".to_owned())
            }
            (None, Some(_)) => refuse("voter", "only a coordinator has an issuer_dir, and it has a raft id".to_owned()),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }

    /// Who this node is.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal::node(&self.mesh, &self.node)
    }
}

fn leaf_ttl_s() -> u64 {
    LEAF_TTL_S
}

fn log() -> String {
    "info".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        mesh = "lab"
        node = "node-4"
        listen = "127.0.0.1:41001"
        gossip = "127.0.0.1:41002"
        admin = "127.0.0.1:41003"
        state_dir = "/var/lib/mesh"
        identity_dir = "/etc/mesh/pki/node"
        coordinators = [{node = "node-1", api = "127.0.0.1:41000", voter = 1}]
    "#;

    #[test]
    fn wrong_settings_are_refused_by_name() {
        let check = |from: &str, to: &str, expected: &str| {
            let text = GOOD.replace(from, to);
            let found = match toml::from_str::<Config>(&text) {
                Err(error) => error.to_string(),
                Ok(config) => config.check().map_or_else(|error| error.to_string(), |()| String::new()),
            };
            assert!(
                if expected.is_empty() { found.is_empty() } else { found.contains(expected) },
                "{found} lacks {expected}"
            );
        };
        check("", "", "");
        check("node = \"node-4\"", "node = \"Node 4\"", "a node name");
        check("mesh = \"lab\"", "mesh = \"lab\"\nlisen = \"x\"", "unknown field `lisen`");
        check("\"/var/lib/mesh\"", "\"lib/mesh\"", "field `state_dir`");
        check("mesh = \"lab\"", "mesh = \"lab\"\nlog_dir = \"log\"", "field `log_dir`");
        check("127.0.0.1:41003", "0.0.0.0:41003", "field `admin`");
        check("[{node = \"node-1\", api = \"127.0.0.1:41000\", voter = 1}]", "[]", "field `coordinators`");
        check("mesh = \"lab\"", "mesh = \"lab\"\nvoter = 2", "field `issuer_dir`");
        check("mesh = \"lab\"", "mesh = \"lab\"\nissuer_dir = \"/etc/x\"", "field `voter`");
        check("mesh = \"lab\"", "mesh = \"lab\"\nleaf_ttl_s = 1", "field `leaf_ttl_s`");
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        let config: Config = toml::from_str(GOOD).unwrap();
        assert_eq!((config.leaf_ttl_s, config.log.as_str()), (604_800, "info"));
        assert_eq!(config.principal().to_string(), "spiffe://lab/node/node-4");
    }
}
