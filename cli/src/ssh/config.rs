//! How to get to a host: hosts.yaml before `ssh_config` before the defaults of SSH.
//!
//! What `ssh_config` means only OpenSSH knows in full (`Match`, `Include`, tokens), so it is asked: `ssh -G HOST`.

mod chain;
mod dump;
mod expand;
mod target;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

pub(crate) use self::chain::resolve;
use crate::{
    Exit, Failure,
    context::Dirs,
    host::HostError,
    hosts::HostKeyPolicy,
    ssh::known_hosts::{HostName, KnownHosts},
};

/// The most hosts that are gone through on the way to another.
pub(crate) const JUMPS_MAX: usize = 8;

/// Where a host is, how to log in there, and whom to take for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The name that was asked for, before `ssh_config` said what it stands for.
    pub(crate) given: String,
    /// What to dial.
    pub(crate) host: String,
    /// The port of sshd.
    pub(crate) port: u16,
    /// Who logs in.
    pub(crate) user: String,
    /// Files of private keys in the order to try them; defaults may not exist.
    pub(crate) identity: Vec<PathBuf>,
    /// Files of user certificates; beside each identity there may be a `-cert.pub` too.
    pub(crate) certificates: Vec<PathBuf>,
    /// Whether only keys of `identity` are offered, from the agent too.
    pub(crate) identities_only: bool,
    /// The socket of the agent to ask.
    pub(crate) agent: Option<PathBuf>,
    /// The hosts to go through, the first one first; none of them has jumps of its own.
    pub(crate) jump: Vec<Target>,
    /// The files to look the host key up in; ours is among them.
    pub(crate) known_hosts: Vec<PathBuf>,
    /// Our own file, into which a key is learnt.
    pub(crate) learn_into: PathBuf,
    /// Whether names are hashed there.
    pub(crate) hash_known_hosts: bool,
    /// The list of keys that are revoked everywhere.
    pub(crate) revoked: Option<PathBuf>,
    /// The name the key is recorded under instead of host and port.
    pub(crate) alias: Option<String>,
    /// What happens when the key is not known.
    pub(crate) policy: HostKeyPolicy,
    /// The fingerprint it must have.
    pub(crate) pin: Option<String>,
    /// The kinds of host keys to ask for, by their names; empty = the default.
    pub(crate) host_key_algorithms: Vec<String>,
    /// How long to wait for a connection.
    pub(crate) connect_timeout: Duration,
    /// How often to try again.
    pub(crate) retries: u32,
    /// What of the configuration is not obeyed, for a person to read.
    pub(crate) warnings: Vec<String>,
}

/// What there is on this machine that a target depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Here {
    /// The home directory.
    pub(crate) home: PathBuf,
    /// Our own `known_hosts`.
    pub(crate) known_hosts: PathBuf,
    /// The name of this machine.
    pub(crate) hostname: String,
    /// The user id of this process.
    pub(crate) uid: u32,
    /// The environment.
    pub(crate) vars: BTreeMap<String, String>,
}

/// Why it cannot be said how to get to a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// A name that could be taken for an option or a command.
    #[error("`{0}` is no name of a host")]
    NoHost(String),
    /// A user that could be taken for an option or a command.
    #[error("`{0}` is no name of a user")]
    NoUser(String),
    /// Nobody says who logs in.
    #[error("nobody says who logs in to {0}")]
    NobodyLogsIn(String),
    /// OpenSSH refuses its configuration.
    #[error("`ssh -G {host}` says: {why}")]
    Ssh { host: String, why: String },
    /// A command in place of a connection.
    #[error("ssh_config sets for {host} `ProxyCommand {command}`, which is not supported")]
    ProxyCommand { host: String, command: String },
    /// The way goes in a circle.
    #[error("the way to {host} goes in a circle: {way}")]
    Circle { host: String, way: String },
    /// The way is too long.
    #[error("the way to {0} goes through more than {JUMPS_MAX} hosts")]
    TooFar(String),
}

impl Target {
    /// The name its key is recorded under.
    pub(crate) fn name(&self) -> HostName {
        HostName::new(&self.host, self.port, self.alias.as_deref())
    }

    /// Everything that is recorded of host keys.
    pub(crate) fn known(&self) -> KnownHosts {
        KnownHosts::read(&self.known_hosts, self.revoked.as_deref())
    }

    /// `USER@HOST:PORT`: what tells one connection from another.
    pub(crate) fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("{}@[{}]:{}", self.user, self.host, self.port),
            false => format!("{}@{}:{}", self.user, self.host, self.port),
        }
    }
}

impl Here {
    /// Looks at this process.
    pub(crate) fn from_env(dirs: &Dirs) -> Self {
        let vars: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            home: std::env::home_dir().unwrap_or_else(|| PathBuf::from("/")),
            known_hosts: dirs.state.join("known_hosts"),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            uid: rustix::process::getuid().as_raw(),
            vars,
        }
    }

    fn var(&self, name: &str) -> Option<&str> {
        self.vars.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Who runs this.
    fn user(&self) -> Option<&str> {
        self.var("LOGNAME").or_else(|| self.var("USER"))
    }
}

impl ConfigError {
    /// The next command to type.
    pub(crate) fn next(&self) -> String {
        match self {
            Self::NoHost(_) | Self::NoUser(_) => "correct the name in hosts.yaml".to_owned(),
            Self::NobodyLogsIn(_) => "set ssh: {user: NAME} in hosts.yaml".to_owned(),
            Self::Ssh { host, .. } => {
                format!("ssh -G {host}  # or set ssh: {{use_ssh_config: false}} in hosts.yaml")
            }
            Self::ProxyCommand { .. } => {
                "set ssh: {jump: [USER@HOST]} in hosts.yaml, or ProxyJump in ssh_config".to_owned()
            }
            Self::Circle { .. } | Self::TooFar(_) => {
                "set ssh: {jump: [USER@HOST]} in hosts.yaml, or `ProxyJump none` for the jump host in ssh_config"
                    .to_owned()
            }
        }
    }

    /// As the error of the host it is about.
    pub(crate) fn into_host_error(self, address: &str) -> HostError {
        HostError::Connect { address: address.to_owned(), why: format!("{self}; {}", self.next()) }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Invalid, error.to_string()).next(error.next())
    }
}
