//! What the router is told: flags, the configuration file, and both as one [`Config`].

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use mesh_core::id::{MeshName, NodeName};
use serde::Deserialize;

use crate::upstreams::{self, Upstream, UpstreamsError};

/// Where the door opens when nothing is said.
const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
/// Most worker threads.
const WORKERS_MAX: usize = 64;
const DRAIN_DEADLINE_DEFAULT_S: u64 = 30;

/// Routes OpenAI-compatible requests to the best engine of a mesh, or of a fixed list.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "mesh-routerd", version)]
pub struct Args {
    /// Configuration of a router that is part of a mesh
    #[arg(long, value_name = "FILE", required_unless_present_any = ["upstreams", "upstream"])]
    config: Option<PathBuf>,
    /// Engines of a router that runs alone, as YAML: `upstreams: [{url, models?}]`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "upstream"])]
    upstreams: Option<PathBuf>,
    /// Engines of a router that runs alone
    #[arg(long, value_name = "HOST:PORT,...", conflicts_with = "config")]
    upstream: Option<String>,
    /// Where clients connect [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", conflicts_with = "config")]
    listen: Option<SocketAddr>,
    /// Where /healthz, /readyz and /metrics are served besides the door
    #[arg(long, value_name = "ADDR", conflicts_with = "config")]
    admin: Option<SocketAddr>,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N", conflicts_with = "config")]
    workers: Option<usize>,
    /// The built-in strategy of a router that runs alone, or a `.wasm` file [default: least_queue]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "config")]
    strategy: Option<String>,
    /// What is logged: error, warn, info, debug, or a filter
    #[arg(long, value_name = "FILTER", conflicts_with = "config")]
    log: Option<String>,
    /// Records what each worker sees and does in FILE.0, FILE.1, ..., for a replay
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    record: Option<PathBuf>,
}

/// Why a configuration is refused; the process ends with code 64.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read or is no valid configuration.
    #[error(transparent)]
    File(#[from] mesh_daemon::config::ConfigError),
    /// A value is out of range.
    #[error("{field}: {reason}")]
    Value {
        /// The flag or key.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The list of engines is wrong.
    #[error(transparent)]
    Upstreams(#[from] UpstreamsErrorText),
}

/// A refused list of engines, as text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UpstreamsErrorText(String);

impl From<UpstreamsError> for ConfigError {
    fn from(error: UpstreamsError) -> Self {
        Self::Upstreams(UpstreamsErrorText(error.to_string()))
    }
}

/// Everything the router is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where the admin pages are served besides the door.
    pub admin: Option<SocketAddr>,
    /// Worker threads.
    pub workers: usize,
    /// How long streams may go on after a request to stop.
    pub drain_deadline: Duration,
    /// Log filter.
    pub log: String,
    /// Where what workers do is recorded: `FILE.0`, `FILE.1`, …
    pub record: Option<PathBuf>,
    /// Alone or in a mesh.
    pub(crate) source: Source,
}

/// Where engines come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A fixed list.
    Alone {
        /// The engines.
        upstreams: Vec<Upstream>,
        /// Name of a built-in, or a file.
        strategy: Option<String>,
    },
    /// The mesh.
    Mesh(MeshConfig),
}

/// What a router in a mesh knows from the start.
#[derive(Debug, Clone)]
pub(crate) struct MeshConfig {
    /// The mesh.
    pub(crate) mesh: MeshName,
    /// The node it runs on.
    pub(crate) node: NodeName,
    /// The API of this host's agent.
    pub(crate) agent: SocketAddr,
    /// Key and certificates of `spiffe://MESH/router/NODE`.
    pub(crate) identity_dir: PathBuf,
    /// The cached view and the strategies.
    pub(crate) state_dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mesh: MeshName,
    node: NodeName,
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    agent: SocketAddr,
    identity_dir: PathBuf,
    state_dir: PathBuf,
    workers: Option<usize>,
    drain_deadline_s: Option<u64>,
    log: Option<String>,
    record: Option<PathBuf>,
}

impl Config {
    /// Reads flags and, when they name one, the configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the place in it and the reason.
    pub fn load(args: &Args) -> Result<Self, ConfigError> {
        match &args.config {
            Some(path) => Self::from_file(path),
            None => Self::alone(args),
        }
    }

    /// The seed of all decisions: the same in every router of a mesh.
    pub(crate) fn mesh_seed(&self) -> u64 {
        match &self.source {
            Source::Alone { .. } => 0,
            Source::Mesh(mesh) => xxhash_rust::xxh3::xxh3_64(mesh.mesh.as_str().as_bytes()),
        }
    }

    fn alone(args: &Args) -> Result<Self, ConfigError> {
        let upstreams = match (&args.upstreams, &args.upstream) {
            (Some(path), _) => upstreams::from_file(path)?,
            (None, Some(list)) => upstreams::from_list(list)?,
            (None, None) => return Err(value("--upstream", "name the engines: --upstream HOST:PORT,...")),
        };
        Ok(Self {
            listen: args.listen.unwrap_or(LISTEN_DEFAULT),
            admin: args.admin,
            workers: workers(args.workers)?,
            drain_deadline: Duration::from_secs(DRAIN_DEADLINE_DEFAULT_S),
            log: args.log.clone().unwrap_or_else(|| "info".to_owned()),
            record: args.record.clone(),
            source: Source::Alone { upstreams, strategy: args.strategy.clone() },
        })
    }

    fn from_file(path: &Path) -> Result<Self, ConfigError> {
        Self::of_file(mesh_daemon::config::load(path)?)
    }

    fn of_file(file: File) -> Result<Self, ConfigError> {
        let mesh = MeshConfig {
            mesh: file.mesh,
            node: file.node,
            agent: file.agent,
            identity_dir: file.identity_dir,
            state_dir: file.state_dir,
        };
        Ok(Self {
            listen: file.listen.unwrap_or(LISTEN_DEFAULT),
            admin: file.admin,
            workers: workers(file.workers)?,
            drain_deadline: Duration::from_secs(file.drain_deadline_s.unwrap_or(DRAIN_DEADLINE_DEFAULT_S)),
            log: file.log.unwrap_or_else(|| "info".to_owned()),
            record: file.record,
            source: Source::Mesh(mesh),
        })
    }
}

fn value(field: &'static str, reason: &str) -> ConfigError {
    ConfigError::Value { field, reason: reason.to_owned() }
}

fn workers(said: Option<usize>) -> Result<usize, ConfigError> {
    match said {
        Some(n) if (1..=WORKERS_MAX).contains(&n) => Ok(n),
        Some(n) => Err(ConfigError::Value { field: "workers", reason: format!("{n} is not in 1..={WORKERS_MAX}") }),
        None => Ok(std::thread::available_parallelism().map_or(2, usize::from).min(16)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use clap::Parser as _;

    use super::*;

    const FILE: &str = r#"
mesh = "local"
node = "node-4"
agent = "127.0.0.1:1"
identity_dir = "/etc/mesh/pki/router"
state_dir = "/var/lib/mesh/router"
"#;

    #[test]
    fn a_file_needs_five_keys_and_no_unknown_one() {
        let load = |text: &str| {
            let file = mesh_daemon::config::parse(Path::new("routerd.toml"), text)?;
            Config::of_file(file)
        };
        let config = load(FILE).unwrap();
        assert_eq!(config.listen, LISTEN_DEFAULT);
        assert!(matches!(config.source, Source::Mesh(it) if it.node.as_str() == "node-4"));
        for (text, part) in [
            (format!("{FILE}lisen = \"127.0.0.1:1\""), "lisen"),
            (FILE.replace("node-4", "NODE"), "node"),
            (format!("{FILE}workers = 0"), "workers"),
            (String::new(), "routerd.toml"),
        ] {
            let error = load(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn flags_of_the_bench_are_understood() {
        let args =
            Args::try_parse_from(["mesh-routerd", "--listen", "127.0.0.1:9", "--upstream", "127.0.0.1:1,127.0.0.1:2"])
                .unwrap();
        let config = Config::load(&args).unwrap();
        assert_eq!(config.listen.port(), 9);
        assert!(matches!(config.source, Source::Alone { upstreams, .. } if upstreams.len() == 2));
        assert!(Args::try_parse_from(["mesh-routerd"]).is_err());
        assert!(Args::try_parse_from(["mesh-routerd", "--config", "a", "--upstream", "b:1"]).is_err());
    }
}
