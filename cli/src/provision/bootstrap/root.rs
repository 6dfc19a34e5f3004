//! The root of a mesh on the operator's machine: a file that only a passphrase opens, decrypted in memory alone.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use age::{
    DecryptError,
    scrypt::{Identity, Recipient},
    secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing},
};
use mesh_core::{
    id::{Digest, MeshName},
    time::Timestamp,
};
use mesh_proto::{
    ca::Issuer,
    cert,
    files::{create_private_dir, write_private},
};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::oneshot;

use crate::{Exit, Failure, Result, context::Dirs};

/// The cost of one guess: 128 MiB and about half a second, what OWASP asks of scrypt at least.
const WORK_FACTOR: u8 = 17;
/// What a file may ask of this machine at most: a damaged one must not take its memory.
const WORK_FACTOR_MAX: u8 = 20;
/// The shortest new passphrase, in bytes.
const PASSPHRASE_MIN: usize = 8;

/// Where the passphrase of the root comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PassphraseFrom {
    /// A person at the terminal.
    Terminal,
    /// Nobody can be asked, and nothing else was named.
    Nowhere,
    /// The first line of a file.
    File(PathBuf),
    /// The first line that a command prints.
    Command(String),
}

/// A new root, sealed and not yet kept.
pub(crate) struct Sealed {
    issuer: Issuer,
    certificate: String,
    text: String,
    passphrase: SecretString,
}

/// A new root that is being sealed.
pub(crate) type Sealing = oneshot::Receiver<Result<Sealed>>;

/// Where the identity of one mesh lies on the operator's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RootDir {
    mesh: MeshName,
    dir: PathBuf,
}

impl RootDir {
    /// The directory of a mesh.
    pub(crate) fn new(dirs: &Dirs, mesh: &MeshName) -> Self {
        Self { mesh: mesh.clone(), dir: dirs.config.join(mesh.as_str()) }
    }

    /// The encrypted root.
    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join("root.age")
    }

    /// The operator's own credentials.
    pub(crate) fn operator(&self) -> PathBuf {
        self.dir.join("operator")
    }

    /// The key that the ring of a new mesh begins with.
    pub(crate) fn gossip_keys(&self) -> PathBuf {
        self.dir.join("gossip.keys")
    }

    fn certificate(&self) -> PathBuf {
        self.dir.join("root.pem")
    }

    /// Whether there is a root.
    pub(crate) fn exists(&self) -> bool {
        self.file().exists()
    }

    /// The fingerprint of the root, which needs no passphrase; none when there is no root.
    pub(crate) fn fingerprint(&self) -> Option<Digest> {
        let certs = cert::read_pem(&fs::read_to_string(self.certificate()).ok()?).ok()?;
        certs.first().map(|it| cert::fingerprint(it))
    }

    /// Opens the root, or makes it when there is none; says whether it was made.
    pub(crate) fn open_or_make(&self, from: &PassphraseFrom, now: Timestamp) -> Result<(Issuer, bool)> {
        if self.exists() {
            return self.open(&self.passphrase(from, false)?).map(|it| (it, false));
        }
        self.keep(self.seal(self.passphrase(from, true)?, now)?)
    }

    /// Begins to seal a new root where nobody waits for it: half a second in which hosts can be connected to.
    ///
    /// # Errors
    /// When the passphrase cannot be used.
    pub(crate) fn begin(&self, from: &PassphraseFrom, now: Timestamp) -> Result<Sealing> {
        let passphrase = self.passphrase(from, true)?;
        let (done, sealing) = oneshot::channel();
        let root = self.clone();
        // Nobody waits for it any more when the command has ended before.
        std::thread::spawn(move || done.send(root.seal(passphrase, now)).is_ok());
        Ok(sealing)
    }

    /// Makes a sealed root the one of the mesh, unless another command was quicker; says whether it did.
    pub(crate) fn keep(&self, sealed: Sealed) -> Result<(Issuer, bool)> {
        let failed = |why: &dyn std::fmt::Display| self.failed("cannot make the root").why(why);
        let _turn = turn(&self.dir).map_err(|error| failed(&error))?;
        if self.exists() {
            return self.open(&sealed.passphrase).map(|it| (it, false));
        }
        write_private(&self.certificate(), sealed.certificate.as_bytes()).map_err(|error| failed(&error))?;
        // Last: with it the root is there.
        write_private(&self.file(), sealed.text.as_bytes()).map_err(|error| failed(&error))?;
        Ok((sealed.issuer, true))
    }

    fn failed(&self, what: &str) -> Failure {
        Failure::new(Exit::Failed, format!("{what} of mesh {}", self.mesh)).at(self.file().display().to_string())
    }

    fn seal(&self, passphrase: SecretString, now: Timestamp) -> Result<Sealed> {
        let failed = |why: &dyn std::fmt::Display| self.failed("cannot make the root").why(why);
        let issuer = Issuer::new_root(&self.mesh, now).map_err(|error| failed(&error))?;
        let certificate = cert::write_pem(issuer.roots());
        let plain = Zeroizing::new(format!("{}{certificate}", *Zeroizing::new(issuer.key_pem())));
        let mut recipient = Recipient::new(passphrase.clone());
        recipient.set_work_factor(WORK_FACTOR);
        let text = age::encrypt_and_armor(&recipient, plain.as_bytes()).map_err(|error| failed(&error))?;
        Ok(Sealed { issuer, certificate, text, passphrase })
    }

    fn open(&self, passphrase: &SecretString) -> Result<Issuer> {
        let failed = |why: &dyn std::fmt::Display| self.failed("cannot open the root").why(why);
        let sealed = fs::read(self.file()).map_err(|error| failed(&error))?;
        let mut identity = Identity::new(passphrase.clone());
        identity.set_max_work_factor(WORK_FACTOR_MAX);
        let plain = match age::decrypt(&identity, &sealed) {
            Ok(plain) => Zeroizing::new(plain),
            Err(DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed) => {
                return Err(Failure { exit: Exit::Authentication, ..failed(&"the passphrase does not open it") });
            }
            Err(error) => return Err(failed(&error)),
        };
        let text = std::str::from_utf8(&plain).map_err(|error| failed(&error))?;
        let at = text.find("-----BEGIN CERTIFICATE").ok_or_else(|| failed(&"it holds no certificate"))?;
        let (key, certificate) = text.split_at(at);
        let root = Issuer::from_pem(key, certificate, certificate).map_err(|error| failed(&error))?;
        if *root.mesh() != self.mesh {
            return Err(failed(&format!("it is the root of mesh {}", root.mesh())));
        }
        Ok(root)
    }

    fn passphrase(&self, from: &PassphraseFrom, is_new: bool) -> Result<SecretString> {
        let text = match from {
            PassphraseFrom::Terminal => self.asked(is_new)?,
            PassphraseFrom::File(path) => {
                let read = fs::read_to_string(path).map(Zeroizing::new);
                first_line(&read.map_err(|error| unread(path.display().to_string(), &error))?)
            }
            PassphraseFrom::Command(command) => printed(command)?,
            PassphraseFrom::Nowhere => {
                return Err(Failure::new(Exit::Declined, "the passphrase of the root is needed")
                    .at(self.file().display().to_string())
                    .why("nobody can be asked here")
                    .next("the same command with --root-passphrase-file FILE or --root-passphrase-command COMMAND"));
            }
        };
        let length = text.expose_secret().len();
        if length == 0 || is_new && length < PASSPHRASE_MIN {
            let why = if length == 0 { "it is empty" } else { "a new one must have 8 characters or more" };
            return Err(Failure::new(Exit::Declined, "the passphrase of the root is not usable").why(why));
        }
        Ok(text)
    }

    fn asked(&self, is_new: bool) -> Result<SecretString> {
        let ask = |question: String| {
            let read = rpassword::prompt_password(question).map(SecretString::from);
            read.map_err(|error| Failure::new(Exit::Declined, "the passphrase of the root was not given").why(error))
        };
        if !is_new {
            return ask(format!("Passphrase of the root of mesh {}: ", self.mesh));
        }
        let first =
            ask(format!("New passphrase for the root of mesh {}, kept in {}: ", self.mesh, self.file().display()))?;
        let second = ask("The same again: ".to_owned())?;
        if first.expose_secret() == second.expose_secret() {
            return Ok(first);
        }
        Err(Failure::new(Exit::Declined, "the two passphrases differ").next("the same command again"))
    }
}

/// Whoever holds this is the only command of this machine that makes anything in the directory.
fn turn(dir: &Path) -> std::io::Result<File> {
    create_private_dir(dir)?;
    let file = File::create(dir.join(".lock"))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn first_line(text: &str) -> SecretString {
    SecretString::from(text.lines().next().unwrap_or_default().to_owned())
}

fn unread(place: String, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Invalid, "cannot read the passphrase of the root").at(place).why(why)
}

fn printed(command: &str) -> Result<SecretString> {
    let run = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = run.map_err(|error| unread(command.to_owned(), &error))?;
    if !output.status.success() {
        return Err(unread(command.to_owned(), &output.status));
    }
    let text = Zeroizing::new(String::from_utf8(output.stdout).map_err(|error| unread(command.to_owned(), &error))?);
    Ok(first_line(&text))
}

/// Reads the ring's first key, or makes it.
pub(crate) fn gossip_keys(path: &Path) -> Result<String> {
    if path.exists() {
        return mesh_proto::files::read_private(path).map_err(|error| {
            Failure::new(Exit::Failed, "cannot read the gossip key").at(path.display().to_string()).why(error)
        });
    }
    let text = crate::provision::identity::gossip_keys()?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let _turn = turn(dir).map_err(|error| {
        Failure::new(Exit::Failed, "cannot make a directory").at(dir.display().to_string()).why(error)
    })?;
    if path.exists() {
        return gossip_keys(path);
    }
    crate::provision::identity::write_secret(path, &text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_passphrase_opens_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { state: dir.path().join("state"), config: dir.path().join("config") };
        let (mesh, now) = (MeshName::new("lab").unwrap(), crate::human::now());
        let root = RootDir::new(&dirs, &mesh);
        assert_eq!((root.exists(), root.fingerprint()), (false, None));
        let file = |text: &str| {
            let path = dir.path().join("passphrase");
            fs::write(&path, text).unwrap();
            PassphraseFrom::File(path)
        };
        let refused = |from: &PassphraseFrom| root.open_or_make(from, now).unwrap_err();
        assert!(refused(&file("short\n")).to_string().contains("8 characters"));
        assert_eq!(refused(&PassphraseFrom::Nowhere).exit, Exit::Declined);
        let (made, is_new) = root.open_or_make(&file("correct horse\nbattery"), now).unwrap();
        assert!(is_new && root.fingerprint() == Some(made.fingerprint()));
        let command = PassphraseFrom::Command("echo correct horse".to_owned());
        let (opened, is_new) = root.open_or_make(&command, now).unwrap();
        assert!(!is_new && opened.fingerprint() == made.fingerprint(), "the same root, not another");
        assert_eq!(refused(&file("wrong horse")).exit, Exit::Authentication);
        assert!(refused(&PassphraseFrom::Command("exit 3".to_owned())).to_string().contains("3"));
        let sealed = fs::read_to_string(root.file()).unwrap();
        assert!(sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !sealed.contains("PRIVATE"), "{sealed}");
        assert_eq!(fs::metadata(root.file()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(root.file(), &sealed[..sealed.len() / 2]).unwrap();
        assert_eq!(refused(&command).exit, Exit::Failed, "a damaged file is no wrong passphrase");
    }

    #[test]
    fn the_gossip_key_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mesh/gossip.keys");
        assert_eq!(gossip_keys(&path).unwrap(), gossip_keys(&path).unwrap());
    }

    #[test]
    fn commands_that_begin_at_once_make_one_root_and_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { state: dir.path().join("state"), config: dir.path().join("config") };
        let (mesh, now) = (MeshName::new("lab").unwrap(), crate::human::now());
        let root = RootDir::new(&dirs, &mesh);
        let from = PassphraseFrom::Command("echo correct horse".to_owned());
        let make = || {
            let keys = gossip_keys(&root.gossip_keys()).unwrap();
            let (made, is_new) = root.open_or_make(&from, now).unwrap();
            (made.fingerprint(), is_new, keys)
        };
        let (one, other) = std::thread::scope(|scope| {
            let (one, other) = (scope.spawn(make), scope.spawn(make));
            (one.join().unwrap(), other.join().unwrap())
        });
        assert_eq!((one.0, &one.2), (other.0, &other.2));
        assert!(one.1 != other.1 && root.fingerprint() == Some(one.0), "made once, and kept");
    }
}
