//! What hosts.yaml comes to: every host by itself, with every default filled in.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use mesh_core::{
    id::{MeshName, NodeName},
    kind::{EngineKind, Role},
};

/// A hosts.yaml that has been read, checked and expanded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Inventory {
    /// The mesh these hosts are to be.
    pub(crate) mesh: MeshName,
    /// The hosts in the order of the file, ranges expanded; names and addresses are unique.
    pub(crate) hosts: Vec<HostEntry>,
    /// How a change goes over many hosts.
    pub(crate) rolling: Rolling,
    /// The file all this was read from.
    pub(crate) file: PathBuf,
}

/// How a change goes over many hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rolling {
    /// How many hosts at a time.
    pub(crate) batch: Share,
    /// How long to wait between batches.
    pub(crate) pause: Duration,
    /// How many hosts go first, alone.
    pub(crate) canary: u32,
    /// How many hosts may fail before the rest is left as it is.
    pub(crate) max_failures: Share,
}

/// A number of hosts, or a part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// So many.
    Count(u32),
    /// So many of a hundred.
    Percent(u8),
}

/// One host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostEntry {
    /// Its name, as a node too.
    pub(crate) name: NodeName,
    /// What SSH dials: an address, a name, or an alias of `~/.ssh/config`.
    pub(crate) address: String,
    /// Its data address when the file tells it; otherwise `bind`, or the route the connection took, decides on the
    /// host.
    pub(crate) data_address: Option<IpAddr>,
    /// The network whose interface carries data.
    pub(crate) bind: Option<IpNet>,
    /// What it is for; never empty.
    pub(crate) roles: BTreeSet<Role>,
    /// The raft id of a coordinator: 1.. in the order of the file.
    pub(crate) voter: Option<u64>,
    /// The failure domain.
    pub(crate) zone: Option<String>,
    /// The pool it was declared in.
    pub(crate) pool: Option<String>,
    /// Labels of pool and host together.
    pub(crate) labels: BTreeMap<String, String>,
    /// How SSH gets there.
    pub(crate) ssh: Ssh,
    /// How root is got there.
    pub(crate) r#become: Become,
    /// Where the daemons listen.
    pub(crate) ports: Ports,
    /// The door for clients; only with the role `router`.
    pub(crate) router: Option<RouterDoor>,
    /// The engines on it.
    pub(crate) engines: Vec<EngineTemplate>,
    /// What keeps the daemons running.
    pub(crate) service: Service,
    /// The directory under which everything is laid out; `/` when unset.
    pub(crate) root: Option<PathBuf>,
}

/// How SSH gets to a host; what is unset is for `ssh_config` or the defaults of SSH to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ssh {
    /// Who logs in.
    pub(crate) user: Option<String>,
    /// The port of sshd.
    pub(crate) port: Option<u16>,
    /// Files of private keys; `~` is expanded.
    pub(crate) identity: Vec<PathBuf>,
    /// Whether the SSH agent may be asked.
    pub(crate) agent: bool,
    /// The hosts to go through, `[user@]host[:port]` each, the first one first.
    pub(crate) jump: Vec<String>,
    /// What happens when the host key is not known.
    pub(crate) host_key_policy: HostKeyPolicy,
    /// The fingerprint the host key must have: `SHA256:...`.
    pub(crate) host_key: Option<String>,
    /// How long to wait for a connection.
    pub(crate) connect_timeout: Duration,
    /// How often to try again.
    pub(crate) retries: u32,
    /// Whether `ssh_config` is heeded.
    pub(crate) use_ssh_config: bool,
    /// Another file instead of `~/.ssh/config`.
    pub(crate) config: Option<PathBuf>,
    /// Other files instead of `~/.ssh/known_hosts`.
    pub(crate) known_hosts: Vec<PathBuf>,
}

/// What happens when a host key is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostKeyPolicy {
    /// A person is asked once for all of them.
    Ask,
    /// It is learnt.
    AcceptNew,
    /// The host is refused.
    Strict,
    /// Only a key pinned in hosts.yaml is accepted.
    Pinned,
}

/// How root is got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Become {
    /// By which means.
    pub(crate) method: BecomeMethod,
    /// Who to become: `root`.
    pub(crate) user: String,
    /// Where the password comes from.
    pub(crate) password: SecretRef,
}

/// The means to become root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BecomeMethod {
    /// The login is root already, or root is not needed.
    None,
    /// sudo.
    Sudo,
}

/// Where a secret comes from; never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretRef {
    /// There is none.
    None,
    /// A person is asked once.
    Prompt,
    /// An environment variable.
    Env(String),
    /// The first line of a file.
    File(PathBuf),
    /// What a command prints.
    Command(String),
}

/// Where the daemons of a host listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    /// The agent's RPCs.
    pub(crate) api: u16,
    /// The agent's gossip (UDP).
    pub(crate) gossip: u16,
    /// The agent's admin page.
    pub(crate) admin: u16,
    /// The router's admin page.
    pub(crate) router_admin: u16,
}

/// The door for clients of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouterDoor {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Who is let in.
    pub(crate) auth: Auth,
    /// Whether the file says both in so many words.
    pub(crate) explicit: bool,
}

/// Who a router lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Everybody.
    None,
}

/// An engine as declared for a host, or for a pool of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EngineTemplate {
    /// Which model server it is.
    pub(crate) kind: EngineKind,
    /// `http://HOST:PORT`; may hold `{address}`, the host's data address.
    pub(crate) url: String,
    /// How many requests it runs at once, when declared.
    pub(crate) capacity: Option<u32>,
    /// The models it serves; empty = ask the engine.
    pub(crate) models: Vec<String>,
}

/// What keeps the daemons of a host running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// systemd where it runs, else a supervised process.
    Auto,
    /// systemd.
    Systemd,
    /// A supervised background process.
    Supervised,
}

impl Share {
    /// How many of `total` it is: at least one of some for a count above zero, never more than there are.
    pub(crate) fn of(self, total: u32) -> u32 {
        match self {
            Self::Count(count) => count.min(total),
            Self::Percent(0) => 0,
            Self::Percent(percent) => {
                let part = u64::from(total) * u64::from(percent) / 100;
                u32::try_from(part).unwrap_or(total).clamp(1.min(total), total)
            }
        }
    }
}

impl HostEntry {
    /// Whether the host has a role.
    pub(crate) fn is(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

impl EngineTemplate {
    /// Where the engine is on a host with this data address.
    pub(crate) fn url_at(&self, address: IpAddr) -> String {
        let address = match address {
            IpAddr::V4(it) => it.to_string(),
            IpAddr::V6(it) => format!("[{it}]"),
        };
        self.url.replace("{address}", &address)
    }
}

impl Default for Rolling {
    fn default() -> Self {
        Self { batch: Share::Percent(25), pause: Duration::from_secs(10), canary: 1, max_failures: Share::Percent(10) }
    }
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            user: None,
            port: None,
            identity: Vec::new(),
            agent: true,
            jump: Vec::new(),
            host_key_policy: HostKeyPolicy::Ask,
            host_key: None,
            connect_timeout: Duration::from_secs(10),
            retries: 3,
            use_ssh_config: true,
            config: None,
            known_hosts: Vec::new(),
        }
    }
}

impl Default for Become {
    fn default() -> Self {
        Self { method: BecomeMethod::Sudo, user: "root".to_owned(), password: SecretRef::None }
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self { api: 7443, gossip: 7946, admin: 9443, router_admin: 9444 }
    }
}

impl Default for RouterDoor {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)), auth: Auth::None, explicit: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_nothing_of_something() {
        let check =
            |share: Share, total: u32, expected: u32| assert_eq!(share.of(total), expected, "{share:?} {total}");
        check(Share::Percent(25), 16, 4);
        check(Share::Percent(25), 3, 1);
        check(Share::Percent(25), 0, 0);
        check(Share::Percent(0), 10, 0);
        check(Share::Percent(100), u32::MAX, u32::MAX);
        check(Share::Count(5), 3, 3);
        check(Share::Count(0), 3, 0);
    }

    #[test]
    fn an_engine_is_where_its_host_is() {
        let engine =
            |url: &str| EngineTemplate { kind: EngineKind::Vllm, url: url.to_owned(), capacity: None, models: vec![] };
        assert_eq!(engine("http://{address}:8000").url_at([10, 0, 0, 1].into()), "http://10.0.0.1:8000");
        assert_eq!(engine("http://{address}:8000").url_at("fd00::1".parse().unwrap()), "http://[fd00::1]:8000");
    }
}
