//! Private key files: read once, opened only when a host wants their signature.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use age::secrecy::ExposeSecret;
use russh::keys::{self, Certificate, PrivateKey, PublicKey};
use tokio::sync::OnceCell;

use super::secret::{Question, Questions, Unanswered};

/// No key or certificate is larger.
const FILE_MAX: u64 = 128 * 1024;
/// How often a passphrase is asked for.
const TRIES: u32 = 3;

/// The key files in use, by path.
#[derive(Default)]
pub(super) struct KeyFiles(std::sync::Mutex<BTreeMap<PathBuf, Option<Arc<KeyFile>>>>);

/// One key file, with what lies beside it.
pub(super) struct KeyFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// The public half.
    pub(super) public: PublicKey,
    /// `NAME-cert.pub` beside it.
    pub(super) certificate: Option<Certificate>,
    private: Private,
}

/// The private half.
enum Private {
    /// Not in this file: an agent may hold it.
    Absent,
    /// There, but it must not be used.
    Refused(String),
    /// Open.
    Plain(Arc<PrivateKey>),
    /// Behind a passphrase.
    Locked { text: age::secrecy::SecretString, opened: OnceCell<Result<Arc<PrivateKey>, Unopened>> },
}

/// Why a private key stays shut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unopened {
    /// Its passphrase was not given.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// Another reason.
    #[error("{0}")]
    Other(String),
}

impl KeyFiles {
    /// Reads a key file on first use; none when there is no key.
    pub(super) fn get(&self, path: &Path) -> Option<Arc<KeyFile>> {
        let mut files = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        files.entry(path.to_owned()).or_insert_with(|| KeyFile::read(path).map(Arc::new)).clone()
    }
}

impl KeyFile {
    fn read(path: &Path) -> Option<Self> {
        let certificate =
            text(&beside(path, "-cert.pub")).ok().and_then(|it| Certificate::from_openssh(it.trim()).ok());
        let public = || {
            let file = [beside(path, ".pub"), path.to_owned()];
            file.iter().find_map(|it| keys::load_public_key(it).ok())
        };
        let (public, private) = match text(path) {
            Ok(it) => read_private(it, public)?,
            Err(_) => (public()?, Private::Absent),
        };
        let private = match (private, too_open(path)) {
            (Private::Plain(_) | Private::Locked { .. }, Some(why)) => Private::Refused(why),
            (private, _) => private,
        };
        Some(Self { path: path.to_owned(), public, certificate, private })
    }

    /// Whether this file can sign at all.
    pub(super) fn is_private(&self) -> bool {
        !matches!(self.private, Private::Absent)
    }

    /// Whether a passphrase is needed, and has not been given yet.
    pub(super) fn is_locked(&self) -> bool {
        matches!(&self.private, Private::Locked { opened, .. } if !opened.initialized())
    }

    /// The private key; the passphrase is asked for once, whoever needs it.
    pub(super) async fn open(&self, questions: &Questions) -> Result<Arc<PrivateKey>, Unopened> {
        match &self.private {
            Private::Absent => Err(Unopened::Other("there is no private key in the file".to_owned())),
            Private::Refused(why) => Err(Unopened::Other(why.clone())),
            Private::Plain(key) => Ok(Arc::clone(key)),
            Private::Locked { text, opened } => {
                opened.get_or_init(|| unlock(&self.path, text.expose_secret(), questions)).await.clone()
            }
        }
    }
}

async fn unlock(path: &Path, text: &str, questions: &Questions) -> Result<Arc<PrivateKey>, Unopened> {
    for again in 0..TRIES {
        let question = Question::Passphrase { file: path.to_owned(), again: again > 0 };
        let passphrase = questions.ask(question).await?;
        // Deriving the key takes a good part of a second, by design.
        let text = age::secrecy::SecretString::from(text);
        let opened = tokio::task::spawn_blocking(move || {
            keys::decode_secret_key(text.expose_secret(), Some(passphrase.expose_secret()))
        });
        if let Ok(Ok(key)) = opened.await {
            return Ok(Arc::new(key));
        }
    }
    Err(Unopened::Other(format!(
        "the passphrase is wrong, or the format is not known (ssh-keygen -p -f {} writes it anew)",
        path.display()
    )))
}

/// Tells what a file of a private key holds.
fn read_private(text: String, public: impl Fn() -> Option<PublicKey>) -> Option<(PublicKey, Private)> {
    let text = age::secrecy::SecretString::from(text);
    let locked = |public| Some((public, Private::Locked { text: text.clone(), opened: OnceCell::new() }));
    // The format of OpenSSH shows the public half even of a locked key; the older ones do not.
    if let Ok(key) = PrivateKey::from_openssh(text.expose_secret()) {
        let half = key.public_key().clone();
        return if key.is_encrypted() { locked(half) } else { Some((half, Private::Plain(Arc::new(key)))) };
    }
    match keys::decode_secret_key(text.expose_secret(), None) {
        Ok(key) => Some((key.public_key().clone(), Private::Plain(Arc::new(key)))),
        // `BEGIN ENCRYPTED PRIVATE KEY`, or `Proc-Type: 4,ENCRYPTED`.
        Err(_) if text.expose_secret().contains("ENCRYPTED") => locked(public()?),
        Err(error) if text.expose_secret().contains("PRIVATE KEY") => {
            Some((public()?, Private::Refused(format!("its format is not known: {error}"))))
        }
        Err(_) => Some((public()?, Private::Absent)),
    }
}

/// Whether others may read a key of ours: ssh refuses such a key, and so does this.
fn too_open(path: &Path) -> Option<String> {
    let meta = std::fs::metadata(path).ok()?;
    let ours = meta.uid() == rustix::process::getuid().as_raw();
    (ours && meta.mode() & 0o077 != 0)
        .then(|| format!("its mode {:04o} lets others read it: chmod 600 {}", meta.mode() & 0o7777, path.display()))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}
