//! `mesh-agentd join`: a host makes itself a member with a token and writes what its agent needs to start.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
};

use mesh_core::id::{Digest, IdError, MeshName, NodeName, Principal};
use mesh_proto::{
    ca::{CaError, csr_of_key, new_key_and_csr},
    client::{ConnectError, channel, enroll_channel},
    files::{create_private_dir, read_private, write_private},
    reason,
    tls::{CHAIN_FILE, Identity, IdentityError, KEY_FILE, write_dir},
    v1::{Contact, EnrollRequest, EnrollResponse, GossipKeysRequest, join_client::JoinClient},
};
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{
    join_router::{Router, RouterArgs, RouterKey},
    rotate::ders,
    token::{JoinToken, TokenRefusal},
};
use crate::gossip::{KeyError, KeyRing};

/// The port of an agent's API unless another is given.
const API_PORT: u16 = 7443;
/// The UDP port of gossip unless another is given.
const GOSSIP_PORT: u16 = 7946;
/// The port of the admin pages on loopback unless another is given.
const ADMIN_PORT: u16 = 7444;

/// The longest line that is read as a token, in bytes.
const LINE_BYTES_MAX: u64 = 4096;

/// What `mesh-agentd join` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct JoinArgs {
    /// The token, or `-` to read it from standard input.
    pub token: String,
    /// A coordinator of the mesh.
    #[arg(long, value_name = "HOST:PORT")]
    pub at: String,
    /// The name of this node in the mesh.
    #[arg(long)]
    pub node: NodeName,
    /// The directory under which `etc/mesh` and `var/lib/mesh` lie.
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// Where other nodes reach this node's API; by default the address that faces the coordinator, port 7443.
    #[arg(long, value_name = "IP:PORT")]
    pub api: Option<SocketAddr>,
    /// Where this node gossips; by default the address that faces the coordinator, port 7946.
    #[arg(long, value_name = "IP:PORT")]
    pub gossip: Option<SocketAddr>,
    /// Where the admin pages answer; by default 127.0.0.1:7444.
    #[arg(long, value_name = "IP:PORT")]
    pub admin: Option<SocketAddr>,
    /// The router, if there is to be one.
    #[command(flatten)]
    pub router: RouterArgs,
}

/// What a join came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The mesh.
    pub mesh: MeshName,
    /// Who this node is.
    pub id: Principal,
    /// The configuration to start the agent with.
    pub config: PathBuf,
    /// The configuration to start the router with, when the token makes this host one.
    pub router: Option<PathBuf>,
}

/// Why a host has not joined.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// The token is none, or the coordinator refuses it.
    #[error("token")]
    Token(#[from] TokenRefusal),
    /// The host is a member already.
    #[error("{0} is there: this host has joined already; remove it to join anew")]
    Already(PathBuf),
    /// The coordinator's name or address leads nowhere.
    #[error("cannot find {at}")]
    Resolve {
        /// What was asked for.
        at: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be read or written.
    #[error("{path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The coordinator was not reached, or it refuses.
    #[error("{doing}: {}", status.message())]
    Call {
        /// What was asked.
        doing: &'static str,
        /// The answer.
        status: Box<Status>,
    },
    /// The coordinator's answer makes no sense.
    #[error("the coordinator's answer: {0}")]
    Answer(String),
    /// The key or its request cannot be made.
    #[error(transparent)]
    Key(#[from] CaError),
    /// The certificate is not usable.
    #[error("the certificate that was issued")]
    Identity(#[from] IdentityError),
    /// The gossip keys are not usable.
    #[error("the gossip keys that were sent")]
    Gossip(#[from] KeyError),
}

impl From<IdError> for JoinError {
    fn from(error: IdError) -> Self {
        Self::Answer(error.to_string())
    }
}

impl JoinError {
    /// The exit code of the program, as the manual lists them.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Token(_) => 6,
            Self::Already(_) => 7,
            Self::Resolve { .. } => 5,
            Self::Call { status, .. } => call_code(status),
            Self::File { .. } | Self::Answer(_) | Self::Key(_) | Self::Identity(_) | Self::Gossip(_) => 1,
        }
    }
}

fn call_code(status: &Status) -> u8 {
    if let Some(cause) = ConnectError::of(status) {
        return if cause.is_identity() { 6 } else { 5 };
    }
    let info = status.get_details_error_info();
    match info.as_ref().map(|it| it.reason.as_str()) {
        Some(reason::TOKEN | reason::FOREIGN) => 6,
        Some(reason::DENIED | reason::CONFLICT | reason::ALREADY) => 7,
        Some(reason::INVALID) => 3,
        Some(reason::NO_QUORUM | reason::OUTCOME_UNKNOWN | reason::NOT_READY) => 5,
        Some(_) | None if status.code() == tonic::Code::Unavailable => 5,
        Some(_) | None => 1,
    }
}

/// Joins: key and request, enrolment, and the files that the agent starts from. A join that broke off in the middle
/// goes on with the same key when it is run again.
///
/// # Errors
/// [`JoinError`]; nothing but the key has been written unless the mesh has taken this host in.
pub async fn run(args: &JoinArgs) -> Result<Joined, JoinError> {
    args.router.check()?;
    let token: JoinToken = match args.token.as_str() {
        "-" => from_stdin().await?.parse()?,
        text => text.parse()?,
    };
    let places = Places::under(&args.root)?;
    if places.config.exists() {
        return Err(JoinError::Already(places.config));
    }
    let resolve = |source| JoinError::Resolve { at: args.at.clone(), source };
    let at = tokio::net::lookup_host(&args.at).await.map_err(resolve)?.next();
    let at = at.ok_or_else(|| resolve(io::ErrorKind::NotFound.into()))?;
    let own = Addresses::of(args, at).map_err(resolve)?;
    let (key, router) = (places.key()?, RouterKey::new()?);
    let request = EnrollRequest {
        token: token.reveal(),
        node: args.node.to_string(),
        csr: csr_of_key(&key, args.node.as_str())?.into(),
        address: own.api.ip().to_string(),
        api: own.api.to_string(),
        gossip: own.gossip.to_string(),
        router_csr: router.csr.clone().into(),
    };
    let answer = enroll(at, token.root, request).await?;
    let mesh = MeshName::new(answer.mesh.as_str())?;
    let contacts = answer.coordinators.iter().map(Place::of).collect::<Result<Vec<_>, _>>()?;
    let (chain, roots, router_chain) = (ders(answer.chain), ders(answer.roots), ders(answer.router_chain));
    let identity = Identity::from_parts(&key, chain.clone(), roots.clone())?;
    let expected = Principal::node(&mesh, &args.node);
    if identity.me() != expected {
        return Err(JoinError::Answer(format!("a certificate of `{}` instead of `{expected}`", identity.me())));
    }
    let ring = gossip_keys(&identity, &contacts).await?;
    let file = |path: &Path| {
        let path = path.to_owned();
        |source| JoinError::File { path, source }
    };
    write_dir(&places.identity, &key, &chain, &roots)?;
    create_private_dir(&places.state).map_err(file(&places.state))?;
    ring.save(&places.state.join("gossip.keys"))?;
    let router = match router_chain.is_empty() {
        true => None,
        false => Some(router.write(&places.router((&mesh, args), own.api, &roots), &router_chain)?),
    };
    // Last: with it the host has joined.
    let text = config(&mesh, args, &own, (&places, &contacts))?;
    write_private(&places.config, text.as_bytes()).map_err(file(&places.config))?;
    Ok(Joined { mesh, id: expected, config: places.config, router })
}

/// One line of standard input: a token there is in no list of processes.
async fn from_stdin() -> Result<String, JoinError> {
    let mut line = String::new();
    let read = BufReader::new(tokio::io::stdin()).take(LINE_BYTES_MAX).read_line(&mut line).await;
    read.map_err(|source| JoinError::File { path: "standard input".into(), source })?;
    Ok(line)
}

async fn enroll(at: SocketAddr, root: Digest, request: EnrollRequest) -> Result<EnrollResponse, JoinError> {
    let answer = JoinClient::new(enroll_channel(at, root)).enroll(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| JoinError::Call { doing: "join", status: Box::new(status) })
}

/// Asks the coordinators in turn, now as a member.
async fn gossip_keys(identity: &Identity, contacts: &[Place]) -> Result<KeyRing, JoinError> {
    let mut last = JoinError::Answer("it names no coordinator".to_owned());
    for contact in contacts {
        let channel = channel(identity, contact.api, Principal::node(&identity.mesh(), &contact.node));
        match JoinClient::new(channel).gossip_keys(GossipKeysRequest {}).await {
            Ok(answer) => return Ok(KeyRing::from_wire(&answer.into_inner().keys)?),
            Err(status) => last = JoinError::Call { doing: "ask for the gossip keys", status: Box::new(status) },
        }
    }
    Err(last)
}

/// Where things lie under the root directory.
struct Places {
    etc: PathBuf,
    config: PathBuf,
    pki: PathBuf,
    identity: PathBuf,
    state: PathBuf,
}

impl Places {
    fn under(root: &Path) -> Result<Self, JoinError> {
        let root = std::path::absolute(root).map_err(|source| JoinError::File { path: root.to_owned(), source })?;
        let etc = root.join("etc/mesh");
        let pki = etc.join("pki");
        let (config, identity, state) = (etc.join("agentd.toml"), pki.join("node"), root.join("var/lib/mesh"));
        Ok(Self { etc, config, pki, identity, state })
    }

    fn router<'a>(
        &'a self,
        (mesh, args): (&'a MeshName, &'a JoinArgs),
        agent: SocketAddr,
        roots: &'a [CertificateDer<'static>],
    ) -> Router<'a> {
        let (etc, pki, state) = (&*self.etc, &*self.pki, &*self.state);
        Router { mesh, node: &args.node, args: &args.router, agent, roots, etc, pki, state }
    }

    /// The key of an earlier try that did not end, or a new one.
    fn key(&self) -> Result<String, JoinError> {
        let path = self.identity.join(KEY_FILE);
        let file = |source| JoinError::File { path: path.clone(), source };
        if path.exists() && !self.identity.join(CHAIN_FILE).exists() {
            return read_private(&path).map_err(file);
        }
        let (key, _) = new_key_and_csr("node")?;
        create_private_dir(&self.identity).map_err(file)?;
        write_private(&path, key.as_bytes()).map_err(file)?;
        Ok(key)
    }
}

/// This node's own addresses.
struct Addresses {
    api: SocketAddr,
    gossip: SocketAddr,
    admin: SocketAddr,
}

impl Addresses {
    fn of(args: &JoinArgs, at: SocketAddr) -> io::Result<Self> {
        let facing = facing(at)?;
        Ok(Self {
            api: args.api.unwrap_or(SocketAddr::new(facing, API_PORT)),
            gossip: args.gossip.unwrap_or(SocketAddr::new(facing, GOSSIP_PORT)),
            admin: args.admin.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ADMIN_PORT)),
        })
    }
}

/// The own address on the way to another; nothing is sent for that.
fn facing(at: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr =
        if at.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (std::net::Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(at)?;
    Ok(socket.local_addr()?.ip())
}

/// A coordinator as the answer names it.
#[derive(Debug, Serialize)]
struct Place {
    node: NodeName,
    api: SocketAddr,
    voter: u64,
    #[serde(skip)]
    gossip: Option<SocketAddr>,
}

impl Place {
    fn of(contact: &Contact) -> Result<Self, JoinError> {
        let api = contact.api.parse().map_err(|_| JoinError::Answer(format!("`{}` is not IP:PORT", contact.api)))?;
        Ok(Self {
            node: NodeName::new(contact.node.as_str())?,
            api,
            voter: contact.voter,
            gossip: contact.gossip.parse().ok(),
        })
    }
}

#[derive(Serialize)]
struct ConfigFile<'a> {
    mesh: &'a MeshName,
    node: &'a NodeName,
    listen: SocketAddr,
    gossip: SocketAddr,
    admin: SocketAddr,
    state_dir: &'a Path,
    identity_dir: &'a Path,
    gossip_seeds: Vec<SocketAddr>,
    coordinators: &'a [Place],
}

fn config(
    mesh: &MeshName,
    args: &JoinArgs,
    own: &Addresses,
    (places, contacts): (&Places, &[Place]),
) -> Result<String, JoinError> {
    let file = ConfigFile {
        mesh,
        node: &args.node,
        listen: own.api,
        gossip: own.gossip,
        admin: own.admin,
        state_dir: &places.state,
        identity_dir: &places.identity,
        gossip_seeds: contacts.iter().filter_map(|it| it.gossip).collect(),
        coordinators: contacts,
    };
    toml::to_string(&file).map_err(|error| JoinError::Answer(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_configuration_that_is_written_is_one_the_agent_takes() {
        let args = JoinArgs {
            token: String::new(),
            at: String::new(),
            node: NodeName::new("gpu-1").unwrap(),
            root: "/srv/x".into(),
            api: None,
            gossip: None,
            admin: None,
            router: RouterArgs::default(),
        };
        let places = Places::under(&args.root).unwrap();
        let own = Addresses::of(&args, "127.0.0.1:7443".parse().unwrap()).unwrap();
        let contact = Contact {
            node: "node-1".into(),
            api: "127.0.0.1:41001".into(),
            gossip: "127.0.0.1:41002".into(),
            voter: 1,
        };
        let contacts = [Place::of(&contact).unwrap()];
        let text = config(&MeshName::new("lab").unwrap(), &args, &own, (&places, &contacts)).unwrap();
        let config: Config = toml::from_str(&text).unwrap();
        config.check().unwrap();
        assert_eq!(config.principal().to_string(), "spiffe://lab/node/gpu-1");
        assert_eq!(config.listen.to_string(), "127.0.0.1:7443");
        assert_eq!(config.gossip_seeds, ["127.0.0.1:41002".parse().unwrap()]);
        assert_eq!((config.coordinators.len(), config.coordinators[0].voter), (1, 1));
    }

    #[test]
    fn refusals_have_the_exit_codes_of_the_manual() {
        let check = |status: Status, expected: u8| {
            assert_eq!(JoinError::Call { doing: "join", status: Box::new(status) }.exit_code(), expected);
        };
        check(TokenRefusal::Unknown(mesh_core::id::ObjectName::new("t").unwrap()).into(), 6);
        check(crate::api::refuse::invalid("x"), 3);
        check(crate::api::refuse::not_ready("x"), 5);
        check(Status::unavailable("x"), 5);
        check(Status::internal("x"), 1);
    }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod whole;
