//! Why a certificate is refused, as sentences an operator can act on.

use mesh_core::{
    id::{MeshName, Principal},
    time::Timestamp,
};
use rustls::{CertificateError, ExtendedKeyPurpose};

/// Why this side does not accept the other side's certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It names nobody, or more than one.
    #[error("certificate without exactly one SPIFFE id: {reason}")]
    Form {
        /// What was found.
        reason: String,
    },
    /// It says itself that it belongs elsewhere.
    #[error("certificate of another mesh: `{found}` does not belong to mesh `{mesh}`")]
    Foreign {
        /// Whose it is.
        found: Principal,
        /// This mesh.
        mesh: MeshName,
    },
    /// No root of this mesh stands behind it.
    #[error(
        "certificate of another mesh: what calls itself `{found}` is signed by no authority that this `{mesh}` trusts"
    )]
    UnknownAuthority {
        /// What it calls itself.
        found: Principal,
        /// This mesh.
        mesh: MeshName,
    },
    /// The intermediate was not sent along, so nothing connects it to a root.
    #[error(
        "certificate of `{found}` came without its issuer's certificate: its chain.pem must hold the leaf and the intermediate"
    )]
    NoIssuer {
        /// Whose it is.
        found: Principal,
    },
    /// An intermediate signed outside its own mesh.
    #[error("certificate of `{found}` has an issuer that may not sign it: {reason}")]
    IssuerScope {
        /// Whose it is.
        found: Principal,
        /// What the issuer is.
        reason: String,
    },
    /// Somebody else answers than was asked for.
    #[error("wrong identity: expected `{expected}`, but `{found}` answers")]
    WrongId {
        /// Who was asked for.
        expected: Principal,
        /// Who answered.
        found: Principal,
    },
    /// It ended.
    #[error("expired: the certificate of `{found}` ended at {not_after}, and it is {now} here")]
    Expired {
        /// Whose it is.
        found: Principal,
        /// When it ended.
        not_after: Timestamp,
        /// The clock here.
        now: Timestamp,
    },
    /// It has not begun.
    #[error(
        "not yet valid: the certificate of `{found}` begins at {not_before}, and it is {now} here: is the clock of `{found}`'s issuer or of `{me}` wrong?"
    )]
    NotYetValid {
        /// Whose it is.
        found: Principal,
        /// Who refuses.
        me: String,
        /// When it begins.
        not_before: Timestamp,
        /// The clock here.
        now: Timestamp,
    },
    /// Its owner is refused everywhere.
    #[error("revoked: `{found}` is refused in this mesh")]
    Revoked {
        /// Who.
        found: Principal,
    },
    /// It is made for something else: an operator's cannot serve.
    #[error("certificate of `{found}` is not made for this use")]
    Purpose {
        /// Whose it is.
        found: Principal,
    },
    /// The chain breaks a rule of X.509.
    #[error("certificate of `{found}` is not valid: {reason}")]
    Chain {
        /// Whose it is.
        found: Principal,
        /// Which rule.
        reason: String,
    },
    /// None of the roots the other side shows has the expected fingerprint.
    #[error("wrong mesh: the other side has no root with the fingerprint of the token")]
    Pin,
}

impl Refusal {
    /// Whether it means that the two sides belong to different meshes.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign { .. } | Self::UnknownAuthority { .. } | Self::IssuerScope { .. } | Self::Pin)
    }

    /// The form in which TLS tells the other side.
    pub(crate) fn to_tls(&self) -> rustls::Error {
        let error = match self {
            Self::Form { .. } => CertificateError::BadEncoding,
            Self::Foreign { .. }
            | Self::UnknownAuthority { .. }
            | Self::NoIssuer { .. }
            | Self::IssuerScope { .. }
            | Self::Pin => CertificateError::UnknownIssuer,
            Self::WrongId { .. } => CertificateError::NotValidForName,
            Self::Expired { .. } => CertificateError::Expired,
            Self::NotYetValid { .. } => CertificateError::NotValidYet,
            Self::Revoked { .. } => CertificateError::Revoked,
            Self::Purpose { .. } => CertificateError::InvalidPurposeContext {
                required: ExtendedKeyPurpose::ClientAuth,
                presented: Vec::new(),
            },
            Self::Chain { .. } => CertificateError::ApplicationVerificationFailure,
        };
        rustls::Error::InvalidCertificate(error)
    }
}
