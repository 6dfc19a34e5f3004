//! The real OpenSSH, for tests: keys, certificates, an sshd that `ssh` starts for itself, and what `ssh` says of it.
//!
//! Nothing listens anywhere: `ssh` talks to `sshd -i` over a pipe, so any name and port can be asked for.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use russh::keys::{Certificate, PublicKey, PublicKeyOrCertificate};

/// What to do where it is missing.
const INSTALL: &str = "needs OpenSSH: apt-get install openssh-server openssh-client (or tests/real/setup hosts)";

/// A directory of keys and servers.
pub(crate) struct OpenSsh {
    dir: tempfile::TempDir,
    sshd: PathBuf,
}

/// What `ssh` made of a host key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Accepted,
    Learnt,
    Unknown,
    Changed,
    Revoked,
    BadCertificate,
}

/// One question to `ssh`.
pub(crate) struct Ask<'a> {
    /// The server: the name under which `serve` was called.
    pub(crate) server: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// `NAME=VALUE`.
    pub(crate) options: Vec<String>,
}

impl OpenSsh {
    pub(crate) fn new() -> Self {
        let sshd = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].map(PathBuf::from);
        let sshd = sshd.into_iter().find(|path| path.exists()).expect(INSTALL);
        assert!(Command::new("ssh").arg("-V").output().is_ok(), "{INSTALL}");
        // As root sshd wants this empty directory, which its service makes at boot.
        if rustix::process::getuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        Self { dir: tempfile::tempdir().unwrap(), sshd }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs `ssh-keygen` in the directory.
    pub(crate) fn keygen(&self, args: &[&str]) -> Output {
        let mut command = Command::new("ssh-keygen");
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null()).output().expect(INSTALL)
    }

    /// Makes a key pair, and gives `TYPE BASE64`.
    pub(crate) fn key(&self, name: &str, kind: &str) -> String {
        let bits: &[&str] = if kind == "rsa" { &["-b", "2048"] } else { &[] };
        let made = self.keygen(&[&["-q", "-N", "", "-C", "", "-t", kind, "-f", name], bits].concat());
        assert!(made.status.success(), "{made:?}");
        std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap().trim().to_owned()
    }

    /// Certifies a copy of the key `of` by the authority `by`.
    pub(crate) fn certify(&self, name: &str, of: &str, by: &str, options: &[&str]) {
        std::fs::copy(self.path(of), self.path(name)).unwrap();
        std::fs::copy(self.path(&format!("{of}.pub")), self.path(&format!("{name}.pub"))).unwrap();
        let public = format!("{name}.pub");
        let made = self.keygen(&[&["-q", "-s", by, "-I", name], options, &[public.as_str()]].concat());
        assert!(made.status.success(), "{made:?}");
    }

    /// Makes a server with these keys, with the certificates that lie beside them.
    pub(crate) fn serve(&self, name: &str, keys: &[&str]) {
        let mut config = "UsePAM no\nPidFile none\nStrictModes no\nMaxStartups 100\n".to_owned();
        for key in keys {
            config += &format!("HostKey {}\n", self.path(key).display());
            let certificate = self.path(&format!("{key}-cert.pub"));
            if certificate.exists() {
                config += &format!("HostCertificate {}\n", certificate.display());
            }
        }
        self.write(&format!("{name}.sshd"), &config);
    }

    /// What a client sees that asks a server for these kinds of certificates, then for these kinds of keys.
    pub(crate) fn shown(&self, keys: &[&str], wanted: &crate::ssh::policy::Preference) -> PublicKeyOrCertificate {
        let read = |path: PathBuf| std::fs::read_to_string(path).ok();
        let certificates: Vec<Certificate> = keys
            .iter()
            .filter_map(|key| read(self.path(&format!("{key}-cert.pub"))))
            .map(|text| text.parse().unwrap())
            .collect();
        let public: Vec<PublicKey> =
            keys.iter().map(|key| read(self.path(&format!("{key}.pub"))).unwrap().parse().unwrap()).collect();
        let is_of = |is: &russh::keys::Algorithm, of: &russh::keys::Algorithm| {
            is == of || (is.clone().is_rsa() && of.clone().is_rsa())
        };
        let certificate =
            wanted.certificates.iter().find_map(|kind| certificates.iter().find(|it| is_of(&it.algorithm(), kind)));
        match certificate {
            Some(certificate) => certificate.clone().into(),
            None => {
                let key = wanted.keys.iter().find_map(|kind| public.iter().find(|it| is_of(&it.algorithm(), kind)));
                key.expect("the server has a key of a wanted kind").clone().into()
            }
        }
    }

    /// What `ssh` makes of the server's key, and the fingerprint of the key it was shown.
    pub(crate) fn ask(&self, ask: &Ask<'_>) -> (Said, String) {
        let config = self.path(&format!("{}.sshd", ask.server));
        let mut command = Command::new("ssh");
        command.args(["-v", "-T", "-F", "none", "-p", &ask.port.to_string()]);
        // No method is left to log in by: that a server refuses to, says that the client trusted it.
        for option in ["BatchMode=yes", "PreferredAuthentications=none", "KexAlgorithms=curve25519-sha256"] {
            command.args(["-o", option]);
        }
        for option in &ask.options {
            command.args(["-o", option]);
        }
        command.args(["-o", &format!("ProxyCommand={} -i -f {}", self.sshd.display(), config.display())]);
        let output = command.arg("--").arg(format!("nobody@{}", ask.host)).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        (Said::read(&text), shown(&text))
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Said {
    fn read(text: &str) -> Self {
        let has = |part: &str| text.contains(part);
        match () {
            () if has("Permission denied") && has("Permanently added") => Self::Learnt,
            () if has("Permission denied") => Self::Accepted,
            () if has("REVOKED HOST KEY") || has("revoked by file") || has("in revoked keys file") => Self::Revoked,
            () if has("HOST IDENTIFICATION HAS CHANGED") => Self::Changed,
            () if has("Certificate invalid") || has("unsupported critical option") => Self::BadCertificate,
            () if has("host key is known for") => Self::Unknown,
            () => panic!("not understood: {text}"),
        }
    }
}

/// `Server host key: ssh-ed25519 SHA256:...`, or of a certificate.
fn shown(text: &str) -> String {
    let line =
        text.lines().find(|line| line.contains("Server host key: ") || line.contains("Server host certificate: "));
    let line = line.unwrap_or_else(|| panic!("no key was shown: {text}"));
    line.split_whitespace().find(|word| word.starts_with("SHA256:")).unwrap().trim_end_matches(',').to_owned()
}
