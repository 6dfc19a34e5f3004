//! Which kind of key to ask a host for first: one it is known by.

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};

use crate::ssh::known_hosts::{HostName, KnownHosts, Marker};

/// What to ask a host for, the most preferred first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Preference {
    /// The kinds of keys.
    pub(crate) keys: Vec<Algorithm>,
    /// The kinds of keys to be asked for within a certificate; empty unless an authority is recorded for the host.
    pub(crate) certificates: Vec<Algorithm>,
}

/// The kinds of host keys to ask for, in the order in which OpenSSH would: those recorded for the host come first.
///
/// Without this a host that is known by its RSA key shows its Ed25519 key, and looks like another host. `wanted` is
/// `HostKeyAlgorithms`, empty for the default.
pub(crate) fn algorithms(known: &KnownHosts, name: &HostName, wanted: &[String]) -> Preference {
    let recorded = name.recorded();
    let of = |marker| {
        let mut lines: Vec<_> = known.of(&recorded).filter(|line| line.marker == marker).collect();
        if lines.is_empty() {
            lines.extend(name.portless().iter().flat_map(|name| known.of(name)).filter(|line| line.marker == marker));
        }
        lines
    };
    let keys = of(Marker::None);
    let is_recorded = |kind: &Algorithm| {
        keys.iter().any(|line| match (line.key.algorithm(), kind) {
            (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
            (recorded, kind) => recorded == *kind,
        })
    };
    let all = supported();
    let named = |suffix: fn(&Algorithm) -> String| -> Vec<Algorithm> {
        if wanted.is_empty() {
            return all[..all.len() - 1].to_vec();
        }
        wanted.iter().filter_map(|name| all.iter().find(|kind| suffix(kind) == *name)).cloned().collect()
    };
    let (mut first, last): (Vec<_>, Vec<_>) = named(|kind| kind.as_str().to_owned()).into_iter().partition(is_recorded);
    first.extend(last);
    let certificates =
        if of(Marker::Authority).is_empty() { Vec::new() } else { named(Algorithm::to_certificate_type) };
    Preference { keys: first, certificates }
}

/// What can be verified here; the last, RSA with SHA-1, only for who names it.
fn supported() -> [Algorithm; 7] {
    [
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
        Algorithm::Rsa { hash: None },
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn check(file: &str, wanted: &[&str], expected: (&str, &str)) {
        let mut known = KnownHosts::default();
        known.add(Path::new("f"), file.as_bytes());
        assert!(known.damaged().is_empty(), "{:?}", known.damaged());
        let wanted: Vec<String> = wanted.iter().map(|it| (*it).to_owned()).collect();
        let found = algorithms(&known, &HostName::new("h", 2222, None), &wanted);
        let text = |kinds: &[Algorithm], certificate: bool| {
            let name = |kind: &Algorithm| match certificate {
                true => kind.to_certificate_type().replace("-cert-v01@openssh.com", ""),
                false => kind.as_str().to_owned(),
            };
            kinds.iter().map(name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!((text(&found.keys, false).as_str(), text(&found.certificates, true).as_str()), expected, "{file}");
    }

    #[test]
    fn what_is_recorded_comes_first() {
        const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMzTuS66vG/x8YoR3f6ACcRy\
            hcifKb3jO4o0gal05JkTSoCYDjpQE6eGtzpIvw4mpvuivEG9FO5Qrf+YLnBPoKk=";
        const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let plain = "ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-512 rsa-sha2-256";
        let p256 = "ecdsa-sha2-nistp256 ssh-ed25519 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-512 rsa-sha2-256";
        let certificates =
            "ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 rsa-sha2-512 rsa-sha2-256";
        check("", &[], (plain, ""));
        check(&format!("[h]:2222 {P256}"), &[], (p256, ""));
        check(&format!("h {P256}"), &[], (p256, ""));
        check(&format!("[h]:2222 {ED}\nh {P256}"), &[], (plain, ""));
        check(&format!("@cert-authority *h* {P256}"), &[], (plain, certificates));
        check(&format!("@revoked *h* {P256}"), &[], (plain, ""));
        check("", &["ssh-rsa", "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"], ("ssh-rsa ssh-ed25519", ""));
        check(&format!("[h]:2222 {ED}"), &["ssh-rsa", "ssh-ed25519"], ("ssh-ed25519 ssh-rsa", ""));
        let named = ["ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512"];
        check(&format!("@cert-authority h {P256}"), &named, ("rsa-sha2-512", "ssh-ed25519"));
    }
}
