//! Whether to trust the key a host shows: the verdicts of OpenSSH, and stricter where OpenSSH would give in.
//!
//! Stricter are three things: a key that is `@revoked` under a host's name is refused on every port of it; a
//! certificate of the host's own authority that is not valid is never taken for an unknown key that may be learnt; and
//! a pin in hosts.yaml must be met whatever the files say.

mod algorithms;
mod refusal;
#[cfg(test)]
mod tests;

use mesh_core::time::Timestamp;
use russh::keys::{
    Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate,
    ssh_key::{certificate::CertType, public::KeyData},
};

pub(crate) use self::{
    algorithms::{Preference, algorithms},
    refusal::Refusal,
};
use super::known_hosts::{HostName, KnownHosts, Line, Marker, Place};
use crate::hosts::HostKeyPolicy;

/// By what a key is judged besides the files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// The name of the host.
    pub(crate) name: &'a HostName,
    /// What happens when the key is not known.
    pub(crate) policy: HostKeyPolicy,
    /// The fingerprint the key must have, `SHA256:...`.
    pub(crate) pin: Option<&'a str>,
    /// The time certificates are judged at, in seconds of Unix time.
    pub(crate) now_unix_s: u64,
}

/// What is to be done with the key that a host shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The host is who it should be.
    Accept(Proof),
    /// Nothing is known (policy `ask`): a person decides, and after a yes it is learnt.
    Unknown(NewKey),
    /// No connection.
    Refuse(Refusal),
}

/// Why a key is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The key is recorded here.
    Key(Place),
    /// Its certificate is of an authority recorded here.
    Authority(Place),
    /// It is pinned in hosts.yaml.
    Pin,
    /// It is the first key seen of this host (policy `accept-new`): it must be learnt now.
    FirstUse(NewKey),
}

/// A key of which nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewKey {
    /// The key.
    pub(crate) key: PublicKey,
    /// `SHA256:...`, as `ssh-keygen -l` prints it.
    pub(crate) fingerprint: String,
}

/// Judges the key or the certificate that a host shows.
pub(crate) fn judge(known: &KnownHosts, question: &Question<'_>, shown: &PublicKeyOrCertificate) -> Verdict {
    let key = shown.public_key();
    let certificate = shown.certificate();
    let new = NewKey { fingerprint: fingerprint(key.key_data()), key };
    if let Some((file, why)) = known.revocations().and_then(|(file, list)| Some((file, list.unreadable()?))) {
        return Verdict::Refuse(Refusal::NoList { shown: new, file: file.to_owned(), why: why.to_owned() });
    }
    if let Some(place) = revoked(known, question.name, new.key.key_data(), certificate) {
        return Verdict::Refuse(Refusal::Revoked { shown: new, place });
    }
    match question.pin {
        Some(pin) if pin == new.fingerprint => return Verdict::Accept(Proof::Pin),
        Some(pin) => return Verdict::Refuse(Refusal::OtherPin { shown: new, pin: pin.to_owned() }),
        None if question.policy == HostKeyPolicy::Pinned => return Verdict::Refuse(Refusal::NoPin { shown: new }),
        None => {}
    }
    let mut invalid = None;
    let names = [Some(question.name.recorded()), question.name.portless().map(str::to_owned)];
    for (at, name) in names.into_iter().flatten().enumerate() {
        match look_up(known, &name, &new, certificate, question) {
            Found::Accept(proof) => return Verdict::Accept(proof),
            // Under the name without the port another key is no contradiction: another sshd may have it.
            Found::Changed(recorded) if at == 0 => {
                return Verdict::Refuse(Refusal::Changed { shown: new, name, recorded });
            }
            Found::BadCertificate { authority, why } => invalid = invalid.or(Some((authority, why))),
            Found::Changed(_) | Found::Nothing => {}
        }
    }
    match (invalid, question.policy) {
        (Some((authority, why)), _) => Verdict::Refuse(Refusal::BadCertificate { shown: new, authority, why }),
        (None, HostKeyPolicy::AcceptNew) => Verdict::Accept(Proof::FirstUse(new)),
        (None, HostKeyPolicy::Ask) => Verdict::Unknown(new),
        (None, HostKeyPolicy::Strict | HostKeyPolicy::Pinned) => Verdict::Refuse(Refusal::NotKnown { shown: new }),
    }
}

/// The fingerprint of a key as `ssh-keygen -l` prints it.
pub(crate) fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// What the files say of a key under one name.
enum Found {
    Accept(Proof),
    Changed(Vec<Line>),
    BadCertificate { authority: Place, why: String },
    Nothing,
}

fn look_up(
    known: &KnownHosts,
    name: &str,
    new: &NewKey,
    certificate: Option<&Certificate>,
    question: &Question<'_>,
) -> Found {
    let mut invalid = None;
    let signer = |certificate: &Certificate| {
        let authority = certificate.signature_key();
        known.of(name).find(|line| line.marker == Marker::Authority && line.key == *authority)
    };
    if let Some((certificate, line)) = certificate.and_then(|it| Some((it, signer(it)?))) {
        match valid(certificate, question.name.principal(), question.now_unix_s) {
            Ok(()) => return Found::Accept(Proof::Authority(line.place.clone())),
            Err(why) => invalid = Some((line.place.clone(), why)),
        }
    }
    // Without a certificate that counts, the key in it is a key like any other.
    let recorded: Vec<&Line> = known.of(name).filter(|line| line.marker == Marker::None).collect();
    if let Some(line) = recorded.iter().find(|line| line.key == *new.key.key_data()) {
        return Found::Accept(Proof::Key(line.place.clone()));
    }
    match invalid {
        // A key of another type is a change too: who cannot show the recorded key could show a new one of another type.
        _ if !recorded.is_empty() => Found::Changed(recorded.into_iter().cloned().collect()),
        Some((authority, why)) => Found::BadCertificate { authority, why },
        None => Found::Nothing,
    }
}

/// Where a key, or the authority of its certificate, is revoked.
fn revoked(known: &KnownHosts, name: &HostName, key: &KeyData, certificate: Option<&Certificate>) -> Option<Place> {
    if let Some((file, revocations)) = known.revocations()
        && revocations.revokes(key, certificate)
    {
        return Some(Place { file: file.to_owned(), line: 0 });
    }
    let recorded = name.recorded();
    let lines = known.of(&recorded).chain(name.portless().into_iter().flat_map(|name| known.of(name)));
    let is_meant = |of: &KeyData| of == key || certificate.is_some_and(|certificate| of == certificate.signature_key());
    lines.filter(|line| line.marker == Marker::Revoked).find(|line| is_meant(&line.key)).map(|line| line.place.clone())
}

/// Whether a certificate proves who a host is, its authority being trusted to say so.
fn valid(certificate: &Certificate, principal: &str, now_unix_s: u64) -> Result<(), String> {
    if certificate.cert_type() != CertType::Host {
        return Err("it is made out to a user, not to a host".to_owned());
    }
    if now_unix_s < certificate.valid_after() {
        return Err(format!("it is not valid before {}", time(certificate.valid_after())));
    }
    if now_unix_s >= certificate.valid_before() {
        return Err(format!("it has expired at {}", time(certificate.valid_before())));
    }
    let principals = certificate.valid_principals();
    if !principals.is_empty() && !principals.iter().any(|it| it == principal) {
        return Err(format!("it is made out to {}, not to {principal}", principals.join(", ")));
    }
    if let Some(option) = certificate.critical_options().keys().next() {
        return Err(format!("it has the critical option `{option}`, which is not understood"));
    }
    let signed_by = certificate.signature().algorithm();
    if matches!(signed_by, Algorithm::Rsa { hash: None } | Algorithm::Dsa) {
        return Err(format!("it is signed by {}, which is broken", signed_by.as_str()));
    }
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    certificate.validate_at(now_unix_s, [&authority]).map_err(|_| "its signature is wrong".to_owned())
}

/// Seconds of Unix time as people read them.
fn time(unix_s: u64) -> String {
    let at = unix_s.checked_mul(1000).map(Timestamp);
    at.map_or_else(|| format!("second {unix_s} of Unix time"), |at| at.to_string())
}
