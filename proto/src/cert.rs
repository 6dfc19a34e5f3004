//! What a certificate says: its SPIFFE id, its time, its key; and PEM in and out.

use mesh_core::{
    id::{Digest, MeshName, Principal},
    time::Timestamp,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

/// The most certificates one PEM file may hold.
const PEM_CERTS_MAX: usize = 16;

/// What the parts of the mesh need to know of a leaf certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its one SPIFFE id.
    pub id: Principal,
    /// The first instant at which it is valid.
    pub not_before: Timestamp,
    /// The last instant at which it is valid.
    pub not_after: Timestamp,
    /// SHA-256 of its public key (SubjectPublicKeyInfo, DER).
    pub key: Digest,
}

/// Reads a leaf: exactly one name, which is a SPIFFE id.
///
/// # Errors
/// One sentence on what it lacks.
pub fn read_leaf(der: &CertificateDer<'_>) -> Result<Leaf, String> {
    let cert = parse(der)?;
    let uri = only_uri(&cert)?;
    let id = uri.parse::<Principal>().map_err(|error| error.to_string())?;
    let key = sha256(cert.public_key().raw);
    Ok(Leaf {
        id,
        not_before: instant(cert.validity().not_before.timestamp()),
        not_after: instant(cert.validity().not_after.timestamp()),
        key,
    })
}

/// Reads the trust domain for which an authority signs: its one name is `spiffe://MESH`.
///
/// # Errors
/// One sentence on what it lacks.
pub fn read_authority(der: &CertificateDer<'_>) -> Result<MeshName, String> {
    let cert = parse(der)?;
    if !cert.is_ca() {
        return Err("it is not an authority".to_owned());
    }
    let uri = only_uri(&cert)?;
    let name = uri.strip_prefix("spiffe://").ok_or_else(|| format!("`{}` is not spiffe://MESH", clip(uri)))?;
    MeshName::new(name).map_err(|error| error.to_string())
}

/// Whether the certificate of the one who signed a leaf is among others, going by its name.
#[must_use]
pub(crate) fn has_issuer(end: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> bool {
    let Ok(end) = parse(end) else {
        return false;
    };
    others.iter().any(|it| parse(it).is_ok_and(|other| other.subject().as_raw() == end.issuer().as_raw()))
}

/// The first instant at which a certificate is valid.
///
/// # Errors
/// One sentence when it is not a certificate.
pub fn not_before(der: &CertificateDer<'_>) -> Result<Timestamp, String> {
    Ok(instant(parse(der)?.validity().not_before.timestamp()))
}

/// The last instant at which a certificate is valid.
///
/// # Errors
/// One sentence when it is not a certificate.
pub fn not_after(der: &CertificateDer<'_>) -> Result<Timestamp, String> {
    Ok(instant(parse(der)?.validity().not_after.timestamp()))
}

/// SHA-256 of a certificate's public key.
///
/// # Errors
/// One sentence when it is not a certificate.
pub fn public_key(der: &CertificateDer<'_>) -> Result<Digest, String> {
    Ok(sha256(parse(der)?.public_key().raw))
}

/// SHA-256 of a certificate: the fingerprint by which a root is pinned.
#[must_use]
pub fn fingerprint(der: &CertificateDer<'_>) -> Digest {
    sha256(der)
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.0.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    digest
}

/// Reads the certificates of a PEM text, at least one.
///
/// # Errors
/// One sentence on what is wrong with the text.
pub fn read_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).take(PEM_CERTS_MAX + 1).collect();
    let certs = certs.map_err(|error| format!("not PEM: {error}"))?;
    match certs.len() {
        0 => Err("no certificate in it".to_owned()),
        1..=PEM_CERTS_MAX => Ok(certs),
        _ => Err(format!("more than {PEM_CERTS_MAX} certificates")),
    }
}

/// Writes certificates as PEM.
#[must_use]
pub fn write_pem(certs: &[CertificateDer<'_>]) -> String {
    certs.iter().map(|it| pem_block("CERTIFICATE", it)).collect()
}

/// Writes a certificate signing request as PEM.
#[must_use]
pub fn write_csr_pem(der: &[u8]) -> String {
    pem_block("CERTIFICATE REQUEST", der)
}

/// Reads a certificate signing request from PEM into DER.
///
/// # Errors
/// One sentence on what is wrong with the text.
pub fn read_csr_pem(text: &str) -> Result<Vec<u8>, String> {
    let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(text.as_bytes());
    der.map(|it| it.to_vec()).map_err(|error| format!("not a certificate request in PEM: {error}"))
}

fn pem_block(label: &str, der: &[u8]) -> String {
    pem::encode_config(&pem::Pem::new(label, der), pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF))
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    match X509Certificate::from_der(der) {
        Ok(([], cert)) => Ok(cert),
        Ok(_) => Err("bytes after the certificate".to_owned()),
        Err(error) => Err(format!("not a certificate: {error}")),
    }
}

fn only_uri<'a>(cert: &'a X509Certificate<'_>) -> Result<&'a str, String> {
    let names = cert.subject_alternative_name().map_err(|error| format!("its names cannot be read: {error}"))?;
    match names.map(|it| it.value.general_names.as_slice()) {
        Some([GeneralName::URI(uri)]) => Ok(uri),
        Some([other]) => Err(format!("its name is no SPIFFE id: {}", clip(&other.to_string()))),
        Some(names) => Err(format!("it has {} names instead of one SPIFFE id", names.len())),
        None => Err("it has no name".to_owned()),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(120).collect()
}

fn instant(seconds: i64) -> Timestamp {
    Timestamp(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}
