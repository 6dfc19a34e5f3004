//! The one verifier of both directions: chain, SPIFFE id, mesh, revocation and clock, with the reason kept for people.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use mesh_core::{
    id::{Digest, MeshName, PartyKind, Principal},
    time::Timestamp,
};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls13_signature},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{
    cert::{self, Leaf},
    refusal::Refusal,
};

/// How long after its end a node's or a router's certificate still lets it ask for a new one, in milliseconds.
const LATE_RENEWAL_MS: u64 = 30 * 24 * 3_600 * 1000;

/// Who the other side turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// What its certificate says.
    pub(crate) leaf: Leaf,
    /// Whether the certificate has ended and may only be renewed.
    pub(crate) late: bool,
}

/// The roots of one mesh with what is built from them once: a verifier is made for every swap, not for every handshake.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) mesh: MeshName,
    pub(crate) roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

/// Which use a certificate is checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Client,
    Server,
}

impl Trust {
    pub(crate) fn new(mesh: MeshName, ders: &[CertificateDer<'static>]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for der in ders {
            roots.add(der.clone()).map_err(|error| format!("root certificate: {error}"))?;
        }
        let (roots, provider) = (Arc::new(roots), provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build();
        let clients = clients.map_err(|error| format!("root certificates: {error}"))?;
        Ok(Self { mesh, roots, clients, provider })
    }

    /// Checks a chain, leaf first, at an instant.
    pub(crate) fn check(
        &self,
        chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        used: Use,
        now: UnixTime,
        me: &str,
    ) -> Result<Verified, Refusal> {
        let (end, above) = chain;
        let leaf = cert::read_leaf(end).map_err(|reason| Refusal::Form { reason })?;
        if leaf.id.mesh != self.mesh {
            return Err(Refusal::Foreign { found: leaf.id, mesh: self.mesh.clone() });
        }
        let late = match self.check_chain(chain, used, now) {
            Ok(()) => false,
            Err(_)
                if used == Use::Client
                    && is_late(&leaf, now)
                    && self.check_chain(chain, used, end_of(&leaf)).is_ok() =>
            {
                true
            }
            Err(error) => return Err(self.explain(error, leaf, !cert::has_issuer(end, above), (now, me))),
        };
        for authority in above {
            let reason = match cert::read_authority(authority) {
                Ok(mesh) if mesh == self.mesh => continue,
                Ok(mesh) => format!("it signs for mesh `{mesh}`"),
                Err(reason) => reason,
            };
            return Err(Refusal::IssuerScope { found: leaf.id, reason });
        }
        Ok(Verified { leaf, late })
    }

    fn check_chain(
        &self,
        (end, above): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        used: Use,
        now: UnixTime,
    ) -> Result<(), Error> {
        match used {
            Use::Client => self.clients.verify_client_cert(end, above, now).map(|_| ()),
            Use::Server => {
                let parsed = ParsedCertificate::try_from(end)?;
                let algorithms = self.provider.signature_verification_algorithms.all;
                verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, above, now, algorithms)
            }
        }
    }

    fn explain(&self, error: Error, leaf: Leaf, alone: bool, (now, me): (UnixTime, &str)) -> Refusal {
        let (found, now) = (leaf.id, instant(now));
        let Error::InvalidCertificate(error) = error else {
            return Refusal::Chain { found, reason: error.to_string() };
        };
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "rustls may add variants; they stay readable through their own text"
        )]
        match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } if leaf.not_after < now => {
                Refusal::Expired { found, not_after: leaf.not_after, now }
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } if leaf.not_before > now => {
                Refusal::NotYetValid { found, me: me.to_owned(), not_before: leaf.not_before, now }
            }
            CertificateError::UnknownIssuer if alone => Refusal::NoIssuer { found },
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                Refusal::UnknownAuthority { found, mesh: self.mesh.clone() }
            }
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                Refusal::Purpose { found }
            }
            other => Refusal::Chain { found, reason: other.to_string() },
        }
    }
}

fn is_late(leaf: &Leaf, now: UnixTime) -> bool {
    let now = instant(now);
    leaf.id.kind != PartyKind::Operator && now > leaf.not_after && leaf.not_after.age_ms(now) <= LATE_RENEWAL_MS
}

fn end_of(leaf: &Leaf) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_millis(leaf.not_after.0))
}

fn instant(time: UnixTime) -> Timestamp {
    Timestamp(time.as_secs().saturating_mul(1000))
}

/// The one crypto provider; stated explicitly, since a process default is ambiguous as soon as two are linked.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// What one handshake found out about its peer; read when the handshake is over.
#[derive(Debug, Default)]
pub(crate) struct Verdict(OnceLock<Result<Verified, Refusal>>);

impl Verdict {
    pub(crate) fn verified(&self) -> Option<&Verified> {
        self.0.get().and_then(|it| it.as_ref().ok())
    }

    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        self.0.get().and_then(|it| it.as_ref().err())
    }

    fn settle(&self, found: Result<Verified, Refusal>) -> Result<(), Error> {
        let answer = match &found {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.to_tls()),
        };
        // A second certificate in one handshake cannot happen; the first word stays.
        let _ = self.0.set(found);
        answer
    }
}

/// Whom one handshake accepts.
#[derive(Debug)]
pub(crate) enum Accept {
    /// Anybody of the mesh that is not denied.
    Member { trust: Arc<Trust>, denied: Arc<BTreeSet<Principal>>, expect: Option<Principal>, me: String },
    /// Any node whose chain ends in the root with this fingerprint: all that a host knows before it has joined.
    Pinned { root: Digest },
}

/// The verifier of one handshake.
#[derive(Debug)]
pub(crate) struct Verifier {
    pub(crate) accept: Accept,
    pub(crate) verdict: Arc<Verdict>,
}

impl Verifier {
    fn check(
        &self,
        chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        used: Use,
        now: UnixTime,
    ) -> Result<Verified, Refusal> {
        match &self.accept {
            Accept::Member { trust, denied, expect, me } => {
                let verified = trust.check(chain, used, now, me)?;
                let found = verified.leaf.id.clone();
                if denied.contains(&found) {
                    return Err(Refusal::Revoked { found });
                }
                match expect {
                    Some(expected) if *expected != found => Err(Refusal::WrongId { expected: expected.clone(), found }),
                    _ => Ok(verified),
                }
            }
            Accept::Pinned { root } => {
                let pinned = chain.1.iter().find(|it| cert::fingerprint(it) == *root).ok_or(Refusal::Pin)?;
                let leaf = cert::read_leaf(chain.0).map_err(|reason| Refusal::Form { reason })?;
                let found = leaf.id.clone();
                let trust = Trust::new(leaf.id.mesh, &[pinned.clone().into_owned()]);
                let trust = trust.map_err(|reason| Refusal::Chain { found: found.clone(), reason })?;
                let verified = trust.check(chain, used, now, "this host")?;
                if found.kind == PartyKind::Node { Ok(verified) } else { Err(Refusal::Purpose { found }) }
            }
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verdict.settle(self.check((end_entity, intermediates), Use::Server, now))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    /// Anonymous callers get a connection; what they may call is the gate's decision.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verdict.settle(self.check((end_entity, intermediates), Use::Client, now))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
