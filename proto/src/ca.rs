//! The authorities of a mesh: a root on the operator's machine, an intermediate on each coordinator, leaves for all parts.
//!
//! Every key stays where it was made: what travels is a certificate request. Of a request only the public key counts;
//! who somebody is, and for how long, is the issuer's word.

use std::{fmt, fs, io, path::Path, time::Duration};

use mesh_core::{
    id::{Digest, MeshName, PartyKind, Principal},
    time::Timestamp,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use ring::rand::SecureRandom;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};

use crate::{
    cert,
    files::{create_private_dir, read_private, write_private},
    tls::{CHAIN_FILE, KEY_FILE, ROOTS_FILE},
};

/// The life of a root.
pub const ROOT_LIFE: Duration = Duration::from_secs(3_650 * 24 * 3_600);
/// The life of an intermediate.
pub const INTERMEDIATE_LIFE: Duration = Duration::from_secs(400 * 24 * 3_600);
/// The life of a node's or a router's leaf, unless configured.
pub const LEAF_LIFE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// The life of an operator's leaf.
pub const OPERATOR_LIFE: Duration = Duration::from_secs(12 * 3_600);
/// How far before `now` every certificate begins, in milliseconds: clocks differ.
pub const SKEW_MS: u64 = 5 * 60 * 1000;
/// The largest certificate request that is looked at, in bytes.
pub const CSR_BYTES_MAX: usize = 16 * 1024;

/// Why a key, a request or a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file cannot be read or written.
    #[error("authority file {path}")]
    File {
        /// Which file.
        path: String,
        /// What the file system says.
        #[source]
        source: io::Error,
    },
    /// The request is not usable.
    #[error("certificate request: {0}")]
    Request(String),
    /// The issuer's own files are not usable.
    #[error("authority: {0}")]
    Authority(String),
    /// The issuer may not sign this.
    #[error("the authority of mesh `{mesh}` may not sign `{asked}`")]
    Scope {
        /// The issuer's mesh.
        mesh: MeshName,
        /// What was asked for.
        asked: String,
    },
    /// The issuer's own certificate has ended.
    #[error("the authority's own certificate ended at {0}: renew it with the root")]
    Ended(Timestamp),
    /// Making a key or a certificate failed.
    #[error("making a certificate")]
    Make(#[from] rcgen::Error),
    /// The system gives no random numbers.
    #[error("the system's random number generator failed")]
    Random,
}

/// An authority that signs: the root, or a coordinator's intermediate.
pub struct Issuer {
    mesh: MeshName,
    inner: rcgen::Issuer<'static, KeyPair>,
    own: CertificateDer<'static>,
    /// The root behind it, which is itself for a root.
    roots: Vec<CertificateDer<'static>>,
    not_after: Timestamp,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({} until {})", self.mesh, self.not_after)
    }
}

impl Issuer {
    /// Makes the root of a new mesh: P-256, ten years, one level of authorities below it.
    ///
    /// # Errors
    /// [`CaError::Make`], [`CaError::Random`].
    pub fn new_root(mesh: &MeshName, now: Timestamp) -> Result<Self, CaError> {
        let key = KeyPair::generate()?;
        let params = authority_params(mesh, "root", &key, (now, ROOT_LIFE), 1)?;
        let own = CertificateDer::from(params.self_signed(&key)?);
        let not_after = cert::not_after(&own).map_err(CaError::Authority)?;
        Ok(Self {
            mesh: mesh.clone(),
            inner: rcgen::Issuer::new(params, key),
            roots: vec![own.clone()],
            own,
            not_after,
        })
    }

    /// Loads `key.pem`, `chain.pem` and `roots.pem` of an authority's directory.
    ///
    /// # Errors
    /// [`CaError`] naming the file, or what does not fit together.
    pub fn load(dir: &Path) -> Result<Self, CaError> {
        let error = |name: &str| {
            let path = dir.join(name).display().to_string();
            move |source| CaError::File { path, source }
        };
        let text = |name: &str| fs::read_to_string(dir.join(name)).map_err(error(name));
        let key = read_private(&dir.join(KEY_FILE)).map_err(error(KEY_FILE))?;
        Self::from_pem(&key, &text(CHAIN_FILE)?, &text(ROOTS_FILE)?)
    }

    /// Takes an authority from the texts of its three files.
    ///
    /// # Errors
    /// [`CaError::Authority`] naming what does not fit together.
    pub fn from_pem(key: &str, chain: &str, roots: &str) -> Result<Self, CaError> {
        let certs = |name: &str, text: &str| {
            cert::read_pem(text).map_err(|reason| CaError::Authority(format!("{name}: {reason}")))
        };
        let key = KeyPair::from_pem(key).map_err(|error| CaError::Authority(format!("{KEY_FILE}: {error}")))?;
        let (own, roots) = (certs(CHAIN_FILE, chain)?.swap_remove(0), certs(ROOTS_FILE, roots)?);
        let mesh =
            cert::read_authority(&own).map_err(|reason| CaError::Authority(format!("{CHAIN_FILE}: {reason}")))?;
        if cert::public_key(&own).map_err(CaError::Authority)? != cert::sha256(&key.subject_public_key_info()) {
            return Err(CaError::Authority(format!("{KEY_FILE} does not belong to {CHAIN_FILE}")));
        }
        let not_after = cert::not_after(&own).map_err(CaError::Authority)?;
        Ok(Self { mesh, inner: rcgen::Issuer::from_ca_cert_der(&own, key)?, own, roots, not_after })
    }

    /// The private key in PEM, for whoever keeps it encrypted.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.inner.key().serialize_pem()
    }

    /// Writes a root's directory; the private key with mode 0600.
    ///
    /// # Errors
    /// [`CaError::File`].
    pub fn save(&self, dir: &Path) -> Result<(), CaError> {
        save_authority(dir, &self.key_pem(), std::slice::from_ref(&self.own), &self.roots)
    }

    /// The mesh for which it signs.
    #[must_use]
    pub fn mesh(&self) -> &MeshName {
        &self.mesh
    }

    /// The roots that those who get a certificate must trust.
    #[must_use]
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        &self.roots
    }

    /// The fingerprint of the root: SHA-256 of its certificate.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        self.roots.first().map(|it| cert::fingerprint(it)).unwrap_or_default()
    }

    /// When its own certificate ends.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Signs the intermediate of a coordinator: 400 days, no authority below it. Only a root can.
    ///
    /// # Errors
    /// [`CaError::Request`] for an unusable request, [`CaError::Scope`] when this is no root.
    pub fn sign_intermediate(&self, csr: &[u8], now: Timestamp) -> Result<Vec<CertificateDer<'static>>, CaError> {
        if !self.roots.contains(&self.own) {
            return Err(CaError::Scope { mesh: self.mesh.clone(), asked: "an authority".to_owned() });
        }
        let key = read_csr(csr)?;
        let params = authority_params(&self.mesh, "issuer", &key, (now, self.capped(INTERMEDIATE_LIFE, now)?), 0)?;
        Ok(vec![params.signed_by(&key, &self.inner)?.into()])
    }

    /// Signs a leaf and returns its chain, leaf first. The leaf never outlives its issuer.
    ///
    /// # Errors
    /// [`CaError::Request`] for an unusable request, [`CaError::Scope`] for an id of another mesh, [`CaError::Ended`].
    pub fn sign_leaf(
        &self,
        csr: &[u8],
        id: &Principal,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Vec<CertificateDer<'static>>, CaError> {
        if id.mesh != self.mesh {
            return Err(CaError::Scope { mesh: self.mesh.clone(), asked: id.to_string() });
        }
        let key = read_csr(csr)?;
        let mut params = base_params(&id.to_string(), &id.to_string(), (now, self.capped(ttl, now)?))?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match id.kind {
            PartyKind::Node | PartyKind::Router => {
                vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth]
            }
            PartyKind::Operator => vec![ExtendedKeyUsagePurpose::ClientAuth],
        };
        let leaf = CertificateDer::from(params.signed_by(&key, &self.inner)?);
        let is_root = self.roots.contains(&self.own);
        Ok(if is_root { vec![leaf] } else { vec![leaf, self.own.clone()] })
    }

    /// Signs an authority as no honest root would: for any mesh, with authorities below it.
    #[cfg(test)]
    pub(crate) fn forge_authority(&self, csr: &[u8], mesh: &MeshName, now: Timestamp) -> Vec<CertificateDer<'static>> {
        let key = read_csr(csr).unwrap();
        let params = authority_params(mesh, "issuer", &key, (now, INTERMEDIATE_LIFE), 0).unwrap();
        vec![params.signed_by(&key, &self.inner).unwrap().into(), self.own.clone()]
    }

    /// The same key, used without its own check of the mesh.
    #[cfg(test)]
    pub(crate) fn claiming(self, mesh: &MeshName) -> Self {
        Self { mesh: mesh.clone(), ..self }
    }

    fn capped(&self, life: Duration, now: Timestamp) -> Result<Duration, CaError> {
        let left = Duration::from_millis(self.not_after.0.saturating_sub(now.0));
        if left.is_zero() { Err(CaError::Ended(self.not_after)) } else { Ok(life.min(left)) }
    }
}

/// Makes a P-256 key and a certificate request for it; `subject` (a SPIFFE id, or the mesh of an authority) is for people only.
///
/// # Errors
/// [`CaError::Make`].
pub fn new_key_and_csr(subject: &str) -> Result<(String, Vec<u8>), CaError> {
    let key = KeyPair::generate()?;
    let csr = request(&key, subject)?;
    Ok((key.serialize_pem(), csr))
}

/// Makes a certificate request for a key that exists.
///
/// # Errors
/// [`CaError::Request`] when the key is not a P-256 key in PEM.
pub fn csr_of_key(key_pem: &str, subject: &str) -> Result<Vec<u8>, CaError> {
    let key = KeyPair::from_pem(key_pem).map_err(|error| CaError::Request(format!("private key: {error}")))?;
    request(&key, subject)
}

fn request(key: &KeyPair, subject: &str) -> Result<Vec<u8>, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(subject);
    Ok(params.serialize_request(key)?.der().to_vec())
}

/// SHA-256 of the public key in a certificate request whose signature holds.
///
/// # Errors
/// [`CaError::Request`].
pub fn csr_key(csr: &[u8]) -> Result<Digest, CaError> {
    Ok(cert::sha256(&read_csr(csr)?.subject_public_key_info()))
}

/// Writes the directory of an authority whose certificate came from a root.
///
/// # Errors
/// [`CaError::File`].
pub fn save_authority(
    dir: &Path,
    key_pem: &str,
    chain: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
) -> Result<(), CaError> {
    let error = |path: &Path| {
        let path = path.display().to_string();
        move |source| CaError::File { path, source }
    };
    create_private_dir(dir).map_err(error(dir))?;
    for (name, text) in
        [(ROOTS_FILE, cert::write_pem(roots)), (CHAIN_FILE, cert::write_pem(chain)), (KEY_FILE, key_pem.to_owned())]
    {
        write_private(&dir.join(name), text.as_bytes()).map_err(error(&dir.join(name)))?;
    }
    Ok(())
}

fn read_csr(csr: &[u8]) -> Result<rcgen::PublicKey, CaError> {
    if csr.len() > CSR_BYTES_MAX {
        return Err(CaError::Request(format!("{} bytes, the limit is {CSR_BYTES_MAX}", csr.len())));
    }
    let parsed = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr));
    let key = parsed.map_err(|error| CaError::Request(error.to_string()))?.public_key;
    if key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err(CaError::Request("the key is not of the kind P-256".to_owned()));
    }
    Ok(key)
}

/// The subject must differ between authorities, so that a chain is built with the right one: it carries a piece of the key.
fn authority_params(
    mesh: &MeshName,
    what: &str,
    key: &impl PublicKeyData,
    time: (Timestamp, Duration),
    below: u8,
) -> Result<CertificateParams, CaError> {
    let mark = cert::sha256(&key.subject_public_key_info()).short();
    let mut params = base_params(&format!("mesh {mesh} {what} {mark}"), &format!("spiffe://{mesh}"), time)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn base_params(subject: &str, uri: &str, (now, life): (Timestamp, Duration)) -> Result<CertificateParams, CaError> {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut serial = [0_u8; 16];
    ring::rand::SystemRandom::new().fill(&mut serial).map_err(|_| CaError::Random)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = named(subject);
    params.not_before = epoch + Duration::from_secs(now.0.saturating_sub(SKEW_MS) / 1000);
    params.not_after = epoch + Duration::from_secs(now.0 / 1000) + life;
    params.serial_number = Some(SerialNumber::from(serial.to_vec()));
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
    Ok(params)
}

fn named(subject: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, subject);
    name
}
