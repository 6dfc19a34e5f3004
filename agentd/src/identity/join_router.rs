//! What a join sets up for a router beside the agent: its own key and certificate, and its configuration.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use mesh_core::id::{MeshName, NodeName, Principal};
use mesh_proto::{
    ca::new_key_and_csr,
    files::write_private,
    tls::{Identity, write_dir},
};
use rustls_pki_types::CertificateDer;
use serde::Serialize;

use super::join::JoinError;

/// Where a router answers clients unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where its admin pages are unless told otherwise.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7445);
/// How long its streams may go on at its end, in seconds.
const DRAIN_DEADLINE_S: u64 = 30;

/// How the door of a router asks who comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DoorAuth {
    /// It does not: whoever reaches the address is served.
    None,
}

/// What a join is told of a router.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RouterArgs {
    /// Where clients reach the router, if the token makes this host one; by default 127.0.0.1:8080.
    #[arg(id = "router-listen", long = "router-listen", value_name = "IP:PORT")]
    pub listen: Option<SocketAddr>,
    /// Where the router's admin pages answer, on loopback; by default 127.0.0.1:7445.
    #[arg(id = "router-admin", long = "router-admin", value_name = "IP:PORT")]
    pub admin: Option<SocketAddr>,
    /// How the router asks who comes in; it must be said when it listens beyond loopback.
    #[arg(id = "router-auth", long = "router-auth", value_enum, value_name = "HOW")]
    pub auth: Option<DoorAuth>,
}

impl RouterArgs {
    /// Checks what can be wrong before the token is spent.
    ///
    /// # Errors
    /// [`JoinError::Usage`].
    pub fn check(&self) -> Result<(), JoinError> {
        if let Some(listen) = self.listen.filter(|it| !it.ip().is_loopback() && self.auth.is_none()) {
            let why = format!(
                "--router-listen {listen} is not loopback, and the door takes no key yet: whoever reaches it is served; \
                 say --router-auth none if that is meant"
            );
            return Err(JoinError::Usage(why));
        }
        match self.admin.filter(|it| !it.ip().is_loopback()) {
            Some(admin) => {
                Err(JoinError::Usage(format!("--router-admin {admin} is plain HTTP and must be on loopback")))
            }
            None => Ok(()),
        }
    }

    /// Whether anything is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listen.is_none() && self.admin.is_none() && self.auth.is_none()
    }
}

/// The key of a router that may be, and the request for its certificate.
pub(super) struct RouterKey {
    key: String,
    /// PKCS#10, DER.
    pub(super) csr: Vec<u8>,
}

impl RouterKey {
    pub(super) fn new() -> Result<Self, JoinError> {
        let (key, csr) = new_key_and_csr("router")?;
        Ok(Self { key, csr })
    }

    /// Writes the router's identity and configuration; gives the path of the latter.
    pub(super) fn write(self, router: &Router<'_>, chain: &[CertificateDer<'static>]) -> Result<PathBuf, JoinError> {
        let identity = Identity::from_parts(&self.key, chain.to_vec(), router.roots.to_vec())?;
        let expected = Principal::router(router.mesh, router.node);
        if identity.me() != expected {
            return Err(JoinError::Answer(format!("a certificate of `{}` instead of `{expected}`", identity.me())));
        }
        let dir = router.pki.join("router");
        write_dir(&dir, &self.key, chain, router.roots)?;
        let path = router.etc.join("routerd.toml");
        let text = router.config(&dir)?;
        write_private(&path, text.as_bytes()).map_err(|source| JoinError::File { path: path.clone(), source })?;
        Ok(path)
    }
}

/// What the router on this host is to be.
pub(super) struct Router<'a> {
    pub(super) mesh: &'a MeshName,
    pub(super) node: &'a NodeName,
    pub(super) args: &'a RouterArgs,
    /// The API of this host's agent.
    pub(super) agent: SocketAddr,
    pub(super) roots: &'a [CertificateDer<'static>],
    pub(super) etc: &'a Path,
    pub(super) pki: &'a Path,
    /// The state of this node; the router's is in `router` below it.
    pub(super) state: &'a Path,
}

#[derive(Serialize)]
struct ConfigFile<'a> {
    mesh: &'a MeshName,
    node: &'a NodeName,
    listen: SocketAddr,
    admin: SocketAddr,
    agent: SocketAddr,
    identity_dir: &'a Path,
    state_dir: PathBuf,
    drain_deadline_s: u64,
}

impl Router<'_> {
    fn config(&self, identity_dir: &Path) -> Result<String, JoinError> {
        let file = ConfigFile {
            mesh: self.mesh,
            node: self.node,
            listen: self.args.listen.unwrap_or(LISTEN),
            admin: self.args.admin.unwrap_or(ADMIN),
            agent: self.agent,
            identity_dir,
            state_dir: self.state.join("router"),
            drain_deadline_s: DRAIN_DEADLINE_S,
        };
        toml::to_string(&file).map_err(|error| JoinError::Answer(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_beyond_loopback_must_be_meant() {
        let check = |listen: &str, admin: &str, auth: Option<DoorAuth>, expected: &str| {
            let at = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
            let args = RouterArgs { listen: at(listen), admin: at(admin), auth };
            let found = args.check().map_or_else(|error| error.to_string(), |()| String::new());
            assert!(
                if expected.is_empty() { found.is_empty() } else { found.contains(expected) },
                "{found} lacks {expected}"
            );
        };
        check("", "", None, "");
        check("127.0.0.1:80", "[::1]:81", None, "");
        check("0.0.0.0:80", "", None, "say --router-auth none");
        check("0.0.0.0:80", "", Some(DoorAuth::None), "");
        check("", "10.0.0.1:81", Some(DoorAuth::None), "must be on loopback");
    }
}
