//! What only a person or a vault knows: passphrases and passwords, asked once, kept out of logs and of argv.

use std::{path::PathBuf, sync::Arc};

use age::secrecy::SecretString;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// What opens a private key; `again` when the last answer did not.
    Passphrase { file: PathBuf, again: bool },
    /// The password with which hosts let one become `user`.
    Become { user: String },
    /// A question of a host that is logged in to.
    Login { address: String, text: String, echo: bool },
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Unanswered {
    /// Nobody can be asked here, or they gave no answer.
    pub(crate) why: String,
    /// What to do instead.
    pub(crate) next: String,
}

/// Who answers questions; called on a thread that may wait, one question at a time.
pub(crate) trait Answers: Send + Sync {
    /// Gives the answer to one question.
    fn answer(&self, question: &Question) -> Result<SecretString, Unanswered>;

    /// Whether a host's own questions may be passed on.
    fn interactive(&self) -> bool;
}

/// The person at the terminal, unless they said that they do not want to be asked.
pub(crate) struct Terminal {
    /// Whether a person can be asked at all.
    pub(crate) can_ask: bool,
    /// Asks while nothing else is drawn on the terminal: a moving line would wipe the question out.
    pub(crate) aside: Aside,
}

/// Runs something while nothing else is drawn on the terminal.
pub(crate) type Aside = Box<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

impl Answers for Terminal {
    fn answer(&self, question: &Question) -> Result<SecretString, Unanswered> {
        if !self.can_ask {
            return Err(Unanswered {
                why: format!("{question} is needed, and nobody can be asked here"),
                next: question.next(),
            });
        }
        let mut read = Ok(String::new());
        (self.aside)(&mut || {
            read = if matches!(question, Question::Login { echo: true, .. }) {
                ask_plainly(&format!("{question} "))
            } else {
                rpassword::prompt_password(format!("{question}: "))
            };
        });
        let read = read.map_err(|error| Unanswered { why: format!("{question}: {error}"), next: question.next() })?;
        Ok(SecretString::from(read))
    }

    fn interactive(&self) -> bool {
        self.can_ask
    }
}

fn ask_plainly(text: &str) -> std::io::Result<String> {
    use std::io::Write;
    let mut err = std::io::stderr().lock();
    write!(err, "{text}")?;
    err.flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

impl Question {
    /// The next command when nobody answers.
    fn next(&self) -> String {
        match self {
            Self::Passphrase { file, .. } => {
                format!("ssh-add {}, or the same command without --no-input", file.display())
            }
            Self::Become { .. } => {
                "name the password's source in hosts.yaml (become: {password: env:NAME}), or leave --no-input out"
                    .to_owned()
            }
            Self::Login { .. } => "let a key in for this user, or the same command without --no-input".to_owned(),
        }
    }
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passphrase { file, again: false } => write!(f, "the passphrase of {}", file.display()),
            Self::Passphrase { file, again: true } => write!(f, "the right passphrase of {}", file.display()),
            Self::Become { user } => write!(f, "the password to become {user}"),
            Self::Login { address, text, .. } => write!(f, "{address}: {}", super::frame::printable(text)),
        }
    }
}

/// The one who answers, asked one question at a time.
pub(super) struct Questions {
    answers: Arc<dyn Answers>,
    turn: tokio::sync::Mutex<()>,
}

impl Questions {
    pub(super) fn new(answers: Arc<dyn Answers>) -> Self {
        Self { answers, turn: tokio::sync::Mutex::new(()) }
    }

    /// Asks on a thread that may wait, so that connections go on meanwhile.
    pub(super) async fn ask(&self, question: Question) -> Result<SecretString, Unanswered> {
        let _turn = self.turn.lock().await;
        let (answers, asked) = (Arc::clone(&self.answers), question.clone());
        tokio::task::spawn_blocking(move || answers.answer(&asked))
            .await
            .unwrap_or_else(|error| Err(Unanswered { why: error.to_string(), next: question.next() }))
    }

    /// Whether a host's own questions may be passed on.
    pub(super) fn interactive(&self) -> bool {
        self.answers.interactive()
    }
}
