//! Why a key is refused, and the next command.

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use super::{NewKey, fingerprint};
use crate::{
    host::HostError,
    ssh::known_hosts::{HostName, Line, Place, type_name},
};

/// Why a key is refused.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// Nothing is known of it, and the policy is `strict`.
    NotKnown { shown: NewKey },
    /// The host is recorded under other keys, of the same type or of others.
    Changed { shown: NewKey, name: String, recorded: Vec<Line> },
    /// The key, or the authority of its certificate, is revoked here.
    Revoked { shown: NewKey, place: Place },
    /// What is revoked everywhere cannot be read, so nothing can be trusted.
    NoList { shown: NewKey, file: PathBuf, why: String },
    /// Its authority is known, but the certificate does not hold.
    BadCertificate { shown: NewKey, authority: Place, why: String },
    /// hosts.yaml pins another key.
    OtherPin { shown: NewKey, pin: String },
    /// The policy is `pinned`, and hosts.yaml pins none.
    NoPin { shown: NewKey },
}

impl Refusal {
    /// The key that was shown.
    pub(crate) fn shown(&self) -> &NewKey {
        match self {
            Self::NotKnown { shown }
            | Self::Changed { shown, .. }
            | Self::Revoked { shown, .. }
            | Self::NoList { shown, .. }
            | Self::BadCertificate { shown, .. }
            | Self::OtherPin { shown, .. }
            | Self::NoPin { shown } => shown,
        }
    }

    /// The next command to type.
    pub(crate) fn next(&self, name: &HostName) -> String {
        match self {
            Self::NotKnown { shown } => format!(
                "compare with `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` on the host, then pin it in hosts.yaml: \
                 ssh: {{host_key: \"{}\"}}",
                type_name(&shown.key.algorithm()).to_ascii_lowercase(),
                shown.fingerprint
            ),
            Self::Changed { name, recorded, .. } => forget(name, recorded),
            Self::Revoked { place, .. } => {
                format!("give {} a new host key; the old one is revoked in {place}", name.principal())
            }
            Self::NoList { file, .. } => format!("ssh-keygen -Q -l -f {}", file.display()),
            Self::BadCertificate { .. } => {
                format!("sign the host key again: ssh-keygen -s CA -h -I ID -n {} KEY.pub", name.principal())
            }
            Self::OtherPin { shown, .. } | Self::NoPin { shown } => format!(
                "compare with `ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` on the host; if it is right, set in \
                 hosts.yaml: ssh: {{host_key: \"{}\"}}",
                type_name(&shown.key.algorithm()).to_ascii_lowercase(),
                shown.fingerprint
            ),
        }
    }

    /// As the error of a host.
    pub(crate) fn into_error(self, name: &HostName) -> HostError {
        HostError::HostKey { address: name.recorded(), why: self.to_string(), next: self.next(name) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.shown();
        let kind = type_name(&shown.key.algorithm());
        write!(f, "{kind} key {} ", shown.fingerprint)?;
        match self {
            Self::NotKnown { .. } => f.write_str("is not known, and the policy is strict"),
            Self::Changed { recorded, .. } => {
                f.write_str("is not what is recorded: ")?;
                for (at, line) in recorded.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    let kind = type_name(&line.key.algorithm());
                    write!(f, "{comma}{kind} {} at {}", fingerprint(&line.key), line.place)?;
                }
                f.write_str(". Either the host was set up anew, or something answers in its place")
            }
            Self::Revoked { place, .. } => write!(f, "is revoked at {place}"),
            Self::NoList { file, why, .. } => {
                write!(f, "cannot be looked up among the revoked keys: {}: {why}", file.display())
            }
            Self::BadCertificate { authority, why, .. } => {
                write!(f, "comes with a certificate of the authority at {authority} that does not hold: {why}")
            }
            Self::OtherPin { pin, .. } => write!(f, "is not the one pinned in hosts.yaml, {pin}"),
            Self::NoPin { .. } => f.write_str("is not pinned in hosts.yaml, and the policy is pinned"),
        }
    }
}

impl PartialEq for Refusal {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other) && self.to_string() == other.to_string()
    }
}

impl Eq for Refusal {}

/// The commands that take lines out of their files; those that no command takes out are named.
fn forget(name: &str, recorded: &[Line]) -> String {
    let quoted = |text: &str| shlex::try_quote(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned);
    let (removable, others): (Vec<&Line>, Vec<&Line>) = recorded.iter().partition(|line| line.is_removable());
    let files: BTreeSet<&Path> = removable.iter().map(|line| line.place.file.as_path()).collect();
    let remove = |file: &&Path| format!("ssh-keygen -R {} -f {}", quoted(name), quoted(&file.display().to_string()));
    let mut steps = Vec::new();
    if !files.is_empty() {
        steps.push(files.iter().map(remove).collect::<Vec<_>>().join(" && "));
    }
    if !others.is_empty() {
        let places: Vec<String> = others.iter().map(|line| line.place.to_string()).collect();
        steps.push(format!("take out {} by hand", places.join(", ")));
    }
    format!("only if the host was set up anew: {}", steps.join("; "))
}
