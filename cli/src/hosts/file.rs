//! hosts.yaml as it is written: the types that read it and that its published schema is made from.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::kind::{EngineKind, Role};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Share,
    format::{
        Absolute, Addresses, Cidr, File, Fingerprint, Jump, LabelValue, Listen, Mesh, Model, Names, Parsed, Percent,
        Period, Secret, Url, User, Word,
    },
};

/// The hosts of one mesh, how to get to them, and what each is for.
#[derive(Deserialize, JsonSchema, Default)]
#[schemars(title = "hosts.yaml of mesh")]
pub(crate) struct HostsFile {
    /// The version of this form of file: 1.
    #[schemars(required, range(min = 1, max = 1), example = 1)]
    #[expect(dead_code, reason = "read for its form; there is one version")]
    pub(crate) version: Option<u32>,
    /// The name of the mesh: 1 to 63 characters of a-z, 0-9 and `-`. Identities hold it, so it never changes.
    #[schemars(required)]
    pub(crate) mesh: Option<Parsed<Mesh>>,
    /// Whether an even number of coordinators is meant. Two of four cannot decide, so four survive no more than three.
    #[serde(default)]
    pub(crate) allow_even_voters: bool,
    /// What holds for every host that does not say otherwise.
    #[expect(dead_code, reason = "read for its form; the merging goes by the places of the file")]
    pub(crate) defaults: Option<Settings>,
    /// Kinds of hosts: what holds for the hosts of a pool that do not say otherwise.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"format": "word"}))]
    pub(crate) pools: BTreeMap<String, Settings>,
    /// The hosts. One entry may stand for many by ranges: `node-[1-32]`.
    #[schemars(required)]
    pub(crate) hosts: Option<Vec<HostItem>>,
    /// How a change goes over many hosts.
    pub(crate) rolling: Option<RollingItem>,
}

/// One host, or many of a kind.
#[derive(Deserialize, JsonSchema, Default)]
pub(crate) struct HostItem {
    /// Its name, as a node too; `node-[1-32]` and `[01-32]` are many.
    #[schemars(required)]
    pub(crate) name: Option<Parsed<Names>>,
    /// What SSH dials: an IP address, a DNS name or an alias of `ssh_config`; as many as there are names.
    #[schemars(required)]
    pub(crate) address: Option<Parsed<Addresses>>,
    /// The pool it takes its settings from.
    pub(crate) pool: Option<Parsed<Word>>,
    /// What only this host says.
    #[serde(flatten)]
    #[expect(dead_code, reason = "read for its form; the merging goes by the places of the file")]
    pub(crate) settings: Settings,
}

/// What can be said of one host, of a pool and of all hosts. Maps are put together key by key, the host's words
/// before the pool's before the defaults; a list, and `router`, is taken as a whole.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
pub(crate) struct Settings {
    /// What it is for: coordinator (keeps desired state; use 1, 3 or 5), router (takes requests), gpu (serves
    /// engines), trainer (runs training ranks), edge (a small site of its own).
    pub(crate) roles: Option<BTreeSet<Role>>,
    /// The failure domain: a rack row, a room, an availability zone.
    pub(crate) zone: Option<Parsed<Word>>,
    /// Free labels, for selecting nodes and for strategies.
    #[schemars(extend("propertyNames" = {"format": "label-key"}))]
    pub(crate) labels: BTreeMap<String, Parsed<LabelValue>>,
    /// How SSH gets there. What is not said is for `ssh_config` to say.
    pub(crate) ssh: Option<SshItem>,
    /// How root is got there.
    pub(crate) r#become: Option<BecomeItem>,
    /// Where the daemons listen, and which network carries data.
    pub(crate) network: Option<NetworkItem>,
    /// The door for clients, on hosts with the role router.
    pub(crate) router: Option<RouterItem>,
    /// The engines that run there.
    pub(crate) engines: Option<Vec<EngineItem>>,
    /// What keeps the daemons running.
    pub(crate) service: Option<ServiceWord>,
    /// The directory everything is laid out under, instead of `/`.
    pub(crate) root: Option<Parsed<Absolute>>,
}

/// How SSH gets to a host.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
pub(crate) struct SshItem {
    /// Who logs in.
    pub(crate) user: Option<Parsed<User>>,
    /// The port of sshd.
    #[schemars(range(min = 1, max = 65535), example = 22)]
    pub(crate) port: Option<u16>,
    /// Files of private keys, tried in this order; `~` is the home directory, a relative path starts at this file.
    pub(crate) identity: Option<Vec<Parsed<File>>>,
    /// Whether the SSH agent may be asked; it may unless this says false.
    pub(crate) agent: Option<bool>,
    /// The hosts to go through, the first one first: `[USER@]HOST[:PORT]`.
    pub(crate) jump: Option<Vec<Parsed<Jump>>>,
    /// What happens when the host key is not known.
    pub(crate) host_key_policy: Option<PolicyWord>,
    /// The fingerprint the host key must have, for one host.
    pub(crate) host_key: Option<Parsed<Fingerprint>>,
    /// How long to wait for a connection: 10s unless said.
    pub(crate) connect_timeout: Option<Parsed<Period>>,
    /// How often to try again: 3 unless said.
    #[schemars(range(max = 100), example = 3)]
    pub(crate) retries: Option<u32>,
    /// Whether `ssh_config` is heeded; it is unless this says false.
    pub(crate) use_ssh_config: Option<bool>,
    /// Another file instead of `~/.ssh/config`.
    pub(crate) config: Option<Parsed<File>>,
    /// Other files instead of `~/.ssh/known_hosts`.
    pub(crate) known_hosts: Option<Vec<Parsed<File>>>,
}

/// What happens when a host key is not known.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(crate) enum PolicyWord {
    /// One question for all new keys; without a terminal the hosts are refused.
    Ask,
    /// It is learnt without a question.
    AcceptNew,
    /// The host is refused.
    Strict,
    /// Only the key that `host_key` names is accepted, whatever is known.
    Pinned,
}

/// How root is got on a host.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
pub(crate) struct BecomeItem {
    /// By which means: sudo unless said.
    pub(crate) method: Option<MethodWord>,
    /// Who to become: root unless said.
    pub(crate) user: Option<Parsed<User>>,
    /// Where the password is: none, prompt (asked once for all hosts), env:NAME, file:PATH or cmd:COMMAND. Never the
    /// password itself.
    pub(crate) password: Option<Parsed<Secret>>,
}

/// The means to become root.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum MethodWord {
    /// The login is root, or everything can be done without.
    None,
    /// sudo.
    Sudo,
}

/// Where the daemons listen, and which network carries data.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
pub(crate) struct NetworkItem {
    /// The network whose interface carries data between the nodes.
    pub(crate) bind: Option<Parsed<Cidr>>,
    /// The data address itself, when it is not the one SSH dials; as many as there are names.
    pub(crate) address: Option<Parsed<Addresses>>,
    /// The agent's RPCs (TCP): 7443 unless said.
    #[schemars(range(min = 1, max = 65535), example = 7443)]
    pub(crate) api_port: Option<u16>,
    /// The agent's gossip (UDP): 7946 unless said.
    #[schemars(range(min = 1, max = 65535), example = 7946)]
    pub(crate) gossip_port: Option<u16>,
    /// The agent's health and metrics page (TCP): 9443 unless said.
    #[schemars(range(min = 1, max = 65535), example = 9443)]
    pub(crate) admin_port: Option<u16>,
    /// The router's health and metrics page (TCP): 9444 unless said.
    #[schemars(range(min = 1, max = 65535), example = 9444)]
    pub(crate) router_admin_port: Option<u16>,
}

/// The door for clients of a router.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
pub(crate) struct RouterItem {
    /// Where it listens: 127.0.0.1:8080 unless said. Any other address than loopback needs `auth` beside it.
    pub(crate) listen: Option<Parsed<Listen>>,
    /// Who is let in.
    pub(crate) auth: Option<AuthWord>,
}

/// Who a router lets in.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum AuthWord {
    /// Everybody who can reach the address.
    None,
}

/// An engine on a host.
#[derive(Deserialize, JsonSchema, Default)]
pub(crate) struct EngineItem {
    /// Which model server it is: it decides how its metrics are read.
    #[schemars(required, example = &"vllm")]
    pub(crate) kind: Option<EngineKind>,
    /// Where routers and the agent reach it: `http://HOST:PORT`; `{address}` is the data address of the host.
    #[schemars(required)]
    pub(crate) url: Option<Parsed<Url>>,
    /// How many requests it runs at once; measured unless said.
    #[schemars(range(min = 1), example = 64)]
    pub(crate) capacity: Option<u32>,
    /// The models it serves; it is asked unless this says.
    pub(crate) models: Option<Vec<Parsed<Model>>>,
}

/// What keeps the daemons running.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum ServiceWord {
    /// systemd where it runs, else a supervised background process.
    Auto,
    /// systemd; a host without it is refused.
    Systemd,
    /// A supervised background process, also where systemd runs.
    Supervised,
}

/// How a change goes over many hosts.
#[derive(Deserialize, JsonSchema, Default)]
#[serde(default)]
pub(crate) struct RollingItem {
    /// How many hosts at a time: 25% unless said.
    pub(crate) batch: Option<ShareItem>,
    /// How long to wait between batches: 10s unless said.
    pub(crate) pause: Option<Parsed<Period>>,
    /// How many hosts go first, alone: 1 unless said.
    #[schemars(example = 1)]
    pub(crate) canary: Option<u32>,
    /// How many hosts may fail before the rest is left as it is: 10% unless said.
    pub(crate) max_failures: Option<ShareItem>,
}

/// A number of hosts, or a part of them in percent.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline, example = &"25%")]
pub(crate) enum ShareItem {
    /// So many hosts.
    Count(u32),
    /// So many of a hundred.
    Part(Parsed<Percent>),
}

impl ShareItem {
    /// What it says.
    pub(crate) fn share(&self) -> Share {
        match self {
            Self::Count(count) => Share::Count(*count),
            Self::Part(part) => part.0,
        }
    }
}
