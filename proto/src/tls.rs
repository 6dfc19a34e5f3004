//! The identity of one part of the mesh: its key and certificate, the roots it trusts, whom it denies.
//!
//! Every handshake takes what is current; replacing the certificate touches no open connection. TLS 1.3 only, no
//! resumption: a resumed session would bring back an old client certificate without asking the verifier.

use std::{
    collections::BTreeSet,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use mesh_core::{
    id::{Digest, MeshName, PartyKind, Principal},
    time::Timestamp,
};
use rustls::{
    ClientConfig, ServerConfig,
    client::Resumption,
    server::NoServerSessionStorage,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject};

use crate::{
    cert::{self, Leaf},
    files::{create_private_dir, read_private, write_private},
    live::{Guarded, Registry},
    refusal::Refusal,
    verify::{Accept, Trust, Use, Verdict, Verified, Verifier, provider},
};

/// The file with the private key, mode 0600.
pub const KEY_FILE: &str = "key.pem";
/// The file with the chain: the leaf first, then its issuer.
pub const CHAIN_FILE: &str = "chain.pem";
/// The file with the roots that are trusted.
pub const ROOTS_FILE: &str = "roots.pem";
/// A chain that waits for its key to be in place.
const NEXT_CHAIN_FILE: &str = "chain.pem.next";

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("identity file {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the file system says.
        #[source]
        source: io::Error,
    },
    /// A file or an answer holds something else than it should.
    #[error("{what}: {reason}")]
    Form {
        /// Which file or part.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The key and the certificate are of two identities.
    #[error("the private key does not belong to the certificate of `{id}`")]
    KeyMismatch {
        /// Whose certificate it is.
        id: Principal,
    },
    /// A new certificate would change who this is.
    #[error("the new certificate is of `{found}`, this is `{me}`")]
    OtherIdentity {
        /// Who this is.
        me: Principal,
        /// Whose the certificate is.
        found: Principal,
    },
    /// The chain does not hold.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The clock of this machine, in the mesh's own unit.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// One version of an identity: made whole, then swapped in.
struct Ident {
    leaf: Leaf,
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<CertificateDer<'static>>,
    trust: Arc<Trust>,
    as_client: Arc<CertifiedKey>,
    /// With the root behind the chain, so that a host that only knows its fingerprint can check it.
    as_server: Arc<CertifiedKey>,
}

impl Ident {
    fn new(
        key_pem: &str,
        chain: Vec<CertificateDer<'static>>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let form = |what: &str, reason: String| IdentityError::Form { what: what.to_owned(), reason };
        let end = chain.first().ok_or_else(|| form("chain", "it is empty".to_owned()))?;
        let leaf = cert::read_leaf(end).map_err(|reason| form("leaf certificate", reason))?;
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
            .map_err(|error| form("private key", error.to_string()))?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|error| form("private key", error.to_string()))?;
        let as_client = CertifiedKey::new(chain.clone(), Arc::clone(&key));
        as_client.keys_match().map_err(|_| IdentityError::KeyMismatch { id: leaf.id.clone() })?;
        let as_server = CertifiedKey::new(chain.iter().chain(&roots).cloned().collect(), key);
        let trust = Trust::new(leaf.id.mesh.clone(), &roots).map_err(|reason| form("roots", reason))?;
        Ok(Self {
            leaf,
            chain,
            roots,
            trust: Arc::new(trust),
            as_client: Arc::new(as_client),
            as_server: Arc::new(as_server),
        })
    }

    /// Checks the own chain as every peer will, at an instant.
    fn verify(&self, at: Timestamp) -> Result<(), Refusal> {
        let at = UnixTime::since_unix_epoch(Duration::from_millis(at.0));
        let me = self.leaf.id.to_string();
        let uses: &[Use] =
            if self.leaf.id.kind == PartyKind::Operator { &[Use::Client] } else { &[Use::Client, Use::Server] };
        let (end, above) = (&self.chain[0], &self.chain[1..]);
        uses.iter().try_for_each(|used| self.trust.check((end, above), *used, at, &me).map(|_| ()))
    }
}

struct Shared {
    ident: ArcSwap<Ident>,
    denied: ArcSwap<BTreeSet<Principal>>,
    open: Registry,
}

/// A handle on the identity of one part; clones share it.
#[derive(Clone)]
pub struct Identity(Arc<Shared>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} until {})", self.me(), self.not_after())
    }
}

impl Identity {
    /// Loads `key.pem`, `chain.pem` and `roots.pem` of a directory. A certificate that has ended is loaded too: it can be renewed.
    ///
    /// # Errors
    /// [`IdentityError`] naming the file and what is wrong with it.
    pub fn load(dir: &Path) -> Result<Self, IdentityError> {
        Ok(Self::of(read_dir(dir)?))
    }

    /// Makes an identity that lives in memory only.
    ///
    /// # Errors
    /// [`IdentityError`] when the parts do not fit together.
    pub fn from_parts(
        key_pem: &str,
        chain: Vec<CertificateDer<'static>>,
        roots: Vec<CertificateDer<'static>>,
    ) -> Result<Self, IdentityError> {
        let ident = Ident::new(key_pem, chain, roots)?;
        ident.verify(within(&ident.leaf, now()))?;
        Ok(Self::of(ident))
    }

    /// An identity that no honest part would use: nothing is checked.
    #[cfg(test)]
    fn unchecked(key_pem: &str, chain: Vec<CertificateDer<'static>>, roots: Vec<CertificateDer<'static>>) -> Self {
        Self::of(Ident::new(key_pem, chain, roots).unwrap())
    }

    fn of(ident: Ident) -> Self {
        let (denied, open) = (ArcSwap::default(), Registry::default());
        Self(Arc::new(Shared { ident: ArcSwap::from_pointee(ident), denied, open }))
    }

    /// Checks a new certificate as every peer will, writes it and uses it from the next handshake on. On an error the
    /// old one stays, on disk and in use.
    ///
    /// # Errors
    /// [`IdentityError`]: it is of somebody else, does not hold, or cannot be written.
    pub fn save_and_replace(
        &self,
        dir: &Path,
        key_pem: &str,
        chain: &[CertificateDer<'static>],
        roots: &[CertificateDer<'static>],
    ) -> Result<(), IdentityError> {
        let ident = Ident::new(key_pem, chain.to_vec(), roots.to_vec())?;
        if ident.leaf.id != self.me() {
            return Err(IdentityError::OtherIdentity { me: self.me(), found: ident.leaf.id });
        }
        ident.verify(now())?;
        write_dir(dir, key_pem, chain, roots)?;
        self.0.ident.store(Arc::new(ident));
        Ok(())
    }

    /// Takes over what another process has written to the directory; says whether it was anything new.
    ///
    /// # Errors
    /// [`IdentityError`]; what is in use then stays.
    pub fn reload_if_changed(&self, dir: &Path) -> Result<bool, IdentityError> {
        let ident = read_dir(dir)?;
        let current = self.0.ident.load();
        if ident.chain == current.chain && ident.roots == current.roots {
            return Ok(false);
        }
        if ident.leaf.id != current.leaf.id {
            return Err(IdentityError::OtherIdentity { me: current.leaf.id.clone(), found: ident.leaf.id });
        }
        self.0.ident.store(Arc::new(ident));
        Ok(true)
    }

    /// Reloads the directory whenever it has changed, for ever; looks once in `every`.
    pub async fn watch_files(self, dir: PathBuf, every: Duration) {
        let mut told = None;
        loop {
            tokio::time::sleep(every).await;
            let trouble = match self.reload_if_changed(&dir) {
                Ok(true) => {
                    tracing::info!(id = %self.me(), not_after = %self.not_after(), "certificate reloaded");
                    None
                }
                Ok(false) => None,
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = trouble.as_ref().filter(|_| trouble != told) {
                tracing::warn!(error, dir = %dir.display(), "the identity on disk is not usable, the one in use stays");
            }
            told = trouble;
        }
    }

    /// Who this is.
    #[must_use]
    pub fn me(&self) -> Principal {
        self.0.ident.load().leaf.id.clone()
    }

    /// Which mesh it belongs to.
    #[must_use]
    pub fn mesh(&self) -> MeshName {
        self.0.ident.load().leaf.id.mesh.clone()
    }

    /// When its present certificate began.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.0.ident.load().leaf.not_before
    }

    /// When its present certificate ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.ident.load().leaf.not_after
    }

    /// SHA-256 of its present public key.
    #[must_use]
    pub fn key(&self) -> Digest {
        self.0.ident.load().leaf.key
    }

    /// The roots it trusts, in DER.
    #[must_use]
    pub fn roots(&self) -> Vec<CertificateDer<'static>> {
        self.0.ident.load().roots.clone()
    }

    /// Denies exactly these identities from now on: their handshakes fail and their open connections are cut.
    pub fn deny(&self, ids: BTreeSet<Principal>) {
        let ids = Arc::new(ids);
        self.0.denied.store(Arc::clone(&ids));
        self.0.open.cut(&ids);
    }

    /// Whether an identity is denied.
    #[must_use]
    pub fn denies(&self, id: &Principal) -> bool {
        self.0.denied.load().contains(id)
    }

    /// The configuration of one handshake as a server, and where its result will be.
    pub(crate) fn server(&self) -> Result<(ServerConfig, Arc<Verdict>), rustls::Error> {
        let (ident, verdict) = (self.0.ident.load(), Arc::new(Verdict::default()));
        let verifier = Verifier { accept: self.accept(&ident, None), verdict: Arc::clone(&verdict) };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&ident.as_server))));
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok((config, verdict))
    }

    /// The configuration of one handshake as a client that asks for `expect`.
    pub(crate) fn client(&self, expect: &Principal) -> Result<(ClientConfig, Arc<Verdict>), rustls::Error> {
        let ident = self.0.ident.load();
        let accept = self.accept(&ident, Some(expect.clone()));
        client_config(accept, Some(Arc::clone(&ident.as_client)))
    }

    fn accept(&self, ident: &Ident, expect: Option<Principal>) -> Accept {
        Accept::Member {
            trust: Arc::clone(&ident.trust),
            denied: self.0.denied.load_full(),
            expect,
            me: ident.leaf.id.to_string(),
        }
    }

    /// Binds a connection to what was found out about its peer.
    pub(crate) fn guard<IO>(&self, io: IO, head: Bytes, peer: Option<&Verified>) -> Guarded<IO> {
        let guarded = Guarded::new(io, head, peer, &self.0.open);
        // A denial between the handshake and this line has found no entry to cut.
        if peer.is_some_and(|it| self.denies(&it.leaf.id)) {
            self.0.open.cut(&self.0.denied.load());
        }
        guarded
    }
}

/// The configuration of one handshake of a client; without a key it stays anonymous.
pub(crate) fn client_config(
    accept: Accept,
    key: Option<Arc<CertifiedKey>>,
) -> Result<(ClientConfig, Arc<Verdict>), rustls::Error> {
    let verdict = Arc::new(Verdict::default());
    let verifier = Verifier { accept, verdict: Arc::clone(&verdict) };
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match key {
        Some(key) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok((config, verdict))
}

/// The instant nearest to `now` at which a leaf is valid: what has ended may still be loaded, to be renewed.
fn within(leaf: &Leaf, now: Timestamp) -> Timestamp {
    now.clamp(leaf.not_before, leaf.not_after.max(leaf.not_before))
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    |source| IdentityError::File { path, source }
}

fn read_certs(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let text = fs::read_to_string(path).map_err(file_error(path))?;
    cert::read_pem(&text).map_err(|reason| IdentityError::Form { what: path.display().to_string(), reason })
}

fn read_dir(dir: &Path) -> Result<Ident, IdentityError> {
    let (key, chain, next) = (dir.join(KEY_FILE), dir.join(CHAIN_FILE), dir.join(NEXT_CHAIN_FILE));
    let key_pem = read_private(&key).map_err(file_error(&key))?;
    let roots = read_certs(&dir.join(ROOTS_FILE))?;
    let ident = match Ident::new(&key_pem, read_certs(&chain)?, roots.clone()) {
        // The writer was stopped after the key and before the chain: the chain of this key lies beside it.
        Err(IdentityError::KeyMismatch { .. }) if next.exists() => {
            let ident = Ident::new(&key_pem, read_certs(&next)?, roots)?;
            fs::rename(&next, &chain).map_err(file_error(&chain))?;
            ident
        }
        other => other?,
    };
    ident.verify(within(&ident.leaf, now()))?;
    Ok(ident)
}

/// Writes an identity directory so that a reader at any moment, also after a crash, finds a key with its chain.
///
/// # Errors
/// [`IdentityError::File`].
pub fn write_dir(
    dir: &Path,
    key_pem: &str,
    chain: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
) -> Result<(), IdentityError> {
    create_private_dir(dir).map_err(file_error(dir))?;
    let write = |name: &str, bytes: &str| {
        let path = dir.join(name);
        write_private(&path, bytes.as_bytes()).map_err(file_error(&path))
    };
    write(ROOTS_FILE, &cert::write_pem(roots))?;
    write(NEXT_CHAIN_FILE, &cert::write_pem(chain))?;
    write(KEY_FILE, key_pem)?;
    let path = dir.join(CHAIN_FILE);
    fs::rename(dir.join(NEXT_CHAIN_FILE), &path).map_err(file_error(&path))
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
