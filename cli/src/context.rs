//! Contexts: which mesh a command speaks to, and as whom.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use mesh_core::id::{MeshName, NodeName, Principal};
use serde::{Deserialize, Serialize};

use crate::{Code, Exit, Failure, Result};

/// The name of the context of the mesh that `mesh up` makes.
pub(crate) const LOCAL: &str = "local";

/// An agent that answers commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// The node: whose certificate is expected.
    pub(crate) node: NodeName,
    /// Where its agent answers.
    pub(crate) api: SocketAddr,
    /// Whether it is a coordinator: those are asked first.
    #[serde(default)]
    pub(crate) coordinator: bool,
}

/// One mesh as an operator knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// The mesh.
    pub(crate) mesh: MeshName,
    /// Agents that answer commands.
    pub(crate) endpoints: Vec<Endpoint>,
    /// Where key.pem, chain.pem and roots.pem of the operator are.
    pub(crate) identity_dir: PathBuf,
    /// Where clients reach the routers.
    #[serde(default)]
    pub(crate) routers: Vec<String>,
}

impl Context {
    /// The identity that an endpoint must show.
    pub(crate) fn principal(&self, endpoint: &Endpoint) -> Principal {
        Principal::node(&self.mesh, &endpoint.node)
    }
}

/// The operator's configuration file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The context in use when there is no local mesh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// Whether `mesh up` refuses daemons without a trusted signature.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) require_signed: bool,
    /// Ed25519 public keys (64 hex digits) whose signatures on bundles are trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) trusted_keys: Vec<String>,
    /// The contexts by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// Where the operator's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dirs {
    /// `$XDG_STATE_HOME/mesh`.
    pub(crate) state: PathBuf,
    /// `$XDG_CONFIG_HOME/mesh`.
    pub(crate) config: PathBuf,
}

impl Dirs {
    /// Finds them in the environment.
    pub(crate) fn from_env() -> Result<Self> {
        let var = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
        let home = |below: &str| {
            let none =
                || Failure::new(Exit::Failed, "no home directory").next("export HOME=/path or XDG_STATE_HOME=/path");
            var("HOME").map(|home| home.join(below)).ok_or_else(none)
        };
        let state = var("XDG_STATE_HOME").map_or_else(|| home(".local/state"), Ok)?;
        let config = var("XDG_CONFIG_HOME").map_or_else(|| home(".config"), Ok)?;
        Ok(Self { state: state.join("mesh"), config: config.join("mesh") })
    }

    /// The directory of the local mesh.
    pub(crate) fn local(&self) -> PathBuf {
        self.state.join("local")
    }

    /// The logs of a local mesh that did not start.
    pub(crate) fn failed(&self) -> PathBuf {
        self.state.join("failed")
    }

    /// The context file of the local mesh.
    pub(crate) fn local_context(&self) -> PathBuf {
        self.local().join("context.toml")
    }

    /// The operator's configuration file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// Reads the operator's configuration; none is the default one.
    pub(crate) fn config(&self) -> Result<Config> {
        let path = self.config_file();
        if path.exists() { read_toml(&path) } else { Ok(Config::default()) }
    }

    /// Replaces the operator's configuration.
    pub(crate) fn write_config(&self, config: &Config) -> Result<()> {
        let path = self.config_file();
        let wrong = |why: String| {
            Failure::new(Exit::Failed, "cannot write the configuration").at(path.display().to_string()).why(why)
        };
        let text = toml::to_string(config).map_err(|error| wrong(error.to_string()))?;
        mesh_proto::files::create_private_dir(&self.config).map_err(|error| wrong(error.to_string()))?;
        mesh_proto::files::write_private(&path, text.as_bytes()).map_err(|error| wrong(error.to_string()))
    }

    /// Every context there is, by name.
    pub(crate) fn contexts(&self) -> Result<BTreeMap<String, Context>> {
        let mut all = self.config()?.contexts;
        if self.local_context().exists() {
            all.insert(LOCAL.to_owned(), read_toml(&self.local_context())?);
        }
        Ok(all)
    }

    /// The name of the context in use: the local mesh is found first, then the configured one.
    pub(crate) fn current(&self) -> Result<Option<String>> {
        if self.local_context().exists() { Ok(Some(LOCAL.to_owned())) } else { Ok(self.config()?.current) }
    }

    /// Finds the context to use: the wanted one by name or by mesh, else the current one.
    pub(crate) fn context(&self, wanted: Option<&str>) -> Result<Context> {
        let contexts = self.contexts()?;
        let name = match wanted {
            Some(name) => name.to_owned(),
            None => self.current()?.ok_or_else(|| {
                Failure::new(Exit::Unreachable, "no context: no local mesh and none in the configuration")
                    .coded(Code::NoContext)
                    .at(self.config_file().display().to_string())
                    .next("mesh up")
            })?,
        };
        let by_mesh = || contexts.values().find(|it| it.mesh.as_str() == name);
        contexts.get(&name).or_else(by_mesh).cloned().ok_or_else(|| {
            Failure::new(Exit::Unreachable, format!("no context `{name}`"))
                .coded(Code::NoContext)
                .why(format!("there are: {}", contexts.keys().cloned().collect::<Vec<_>>().join(", ")))
                .next("mesh context ls")
        })
    }
}

/// Reads a TOML file of ours.
pub(crate) fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let wrong = || Failure::new(Exit::Invalid, format!("cannot read {}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong().why(error))?;
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let line = text.get(..at).unwrap_or(&text).matches('\n').count() + 1;
        wrong().at(format!("{}:{line}", path.display())).why(error.message())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: &str =
        "mesh = 'M'\nidentity_dir = '/x'\nendpoints = [{node = 'node-1', api = '127.0.0.1:1', coordinator = true}]\n";

    fn dirs(dir: &Path) -> Dirs {
        Dirs { state: dir.join("state"), config: dir.join("config") }
    }

    #[test]
    fn the_local_mesh_is_found_first() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = dirs(dir.path());
        std::fs::create_dir_all(dirs.local()).unwrap();
        std::fs::create_dir_all(&dirs.config).unwrap();
        let none = dirs.context(None).unwrap_err();
        assert_eq!((none.exit, none.next.as_deref()), (Exit::Unreachable, Some("mesh up")));
        let table = CONTEXT.replace("'M'", "'prod'");
        std::fs::write(dirs.config_file(), format!("current = 'far'\n[contexts.far]\n{table}")).unwrap();
        let check = |wanted: Option<&str>, expected: &str| {
            let found = dirs.context(wanted).map(|it| it.mesh.to_string()).unwrap_or_else(|it| it.what);
            assert_eq!(found, expected);
        };
        check(None, "prod");
        std::fs::write(dirs.local_context(), CONTEXT.replace("'M'", "'local-1'")).unwrap();
        check(None, "local-1");
        check(Some("far"), "prod");
        check(Some("local-1"), "local-1");
        check(Some("local"), "local-1");
        check(Some("lab"), "no context `lab`");
    }

    #[test]
    fn a_wrong_file_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = dirs(dir.path());
        std::fs::create_dir_all(&dirs.config).unwrap();
        std::fs::write(dirs.config_file(), "current = 'x'\ncolour = 'blue'\n").unwrap();
        let error = dirs.config().unwrap_err();
        assert_eq!(error.exit, Exit::Invalid);
        assert!(error.place.unwrap().ends_with("config.toml:2"));
        assert!(error.why.unwrap().contains("unknown field `colour`"));
    }
}
