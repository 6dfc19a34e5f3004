//! The way to a host: run a script there, feed it bytes, read what it says. Nothing else is needed of a host.

pub(crate) mod shell;

use std::{borrow::Cow, path::Path, time::Duration};

use crate::{Code, Exit, Failure, ssh::UnknownKey};

/// The most a script may print on stdout before it is cut off with an error.
pub(crate) const STDOUT_MAX: usize = 8 * 1024 * 1024;
/// How much of the end of stderr is kept.
pub(crate) const STDERR_KEPT: usize = 64 * 1024;

/// A host that scripts can be run on.
pub(crate) trait Host: Send + Sync {
    /// The name it has in hosts.yaml.
    fn name(&self) -> &str;

    /// Runs a POSIX sh script to its end.
    ///
    /// A script that ends with another status than 0 is no error of this call: the status is in the output. What a
    /// noisy login shell prints before the script starts is not in it.
    fn run(&self, job: Job<'_>) -> impl Future<Output = Result<Output, HostError>> + Send;

    /// Starts a script that stays until the guard is dropped (its stdin is closed then); returns once it has printed
    /// its first line, or has ended before.
    fn hold(&self, job: Job<'_>) -> impl Future<Output = Result<Held, HostError>> + Send;
}

/// What is to be run.
pub(crate) struct Job<'a> {
    /// What it is for, in errors and in the journal: `probe`, `stage mesh-agentd`.
    pub(crate) label: &'a str,
    /// The script, for `sh -c`.
    pub(crate) script: Cow<'a, str>,
    /// `$1`, `$2`, ...; quoted by the host, never by the caller.
    pub(crate) args: Vec<Cow<'a, str>>,
    /// Its stdin, part after part.
    pub(crate) input: Vec<Part<'a>>,
    /// Whether it needs root, by the host's `become`.
    pub(crate) root: bool,
    /// How long it may take.
    pub(crate) timeout: Duration,
    /// Whether its shell may be kept for the next script: then it reads all of its input, and no more.
    pub(crate) keeps_shell: bool,
    /// Told how many bytes of the input have been sent.
    pub(crate) sent: Option<&'a (dyn Fn(u64) + Send + Sync)>,
}

/// A part of a script's stdin.
pub(crate) enum Part<'a> {
    /// These bytes.
    Bytes(Cow<'a, [u8]>),
    /// A file of this machine, from an offset to its end; it is streamed, never held in memory as a whole.
    File(&'a Path, u64),
}

/// What a script that has ended said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Output {
    /// Its exit status; 128 + N for a signal.
    pub(crate) status: i32,
    /// All of its stdout.
    pub(crate) stdout: Vec<u8>,
    /// The end of its stderr.
    pub(crate) stderr: String,
}

/// A script that runs for as long as this is kept.
pub(crate) struct Held {
    /// The first line it printed.
    pub(crate) line: String,
    /// Its exit status when it has ended already.
    pub(crate) status: Option<i32>,
    /// Whatever keeps its stdin open.
    #[allow(dead_code, reason = "kept for its end only")]
    pub(crate) guard: Option<Box<dyn Send + Sync>>,
}

/// Why a host could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// No connection.
    #[error("cannot connect to {address}: {why}")]
    Connect { address: String, why: String },
    /// The host key is not the one that is known.
    #[error("host key of {address}: {why}")]
    HostKey { address: String, why: String, next: String },
    /// Nothing is known of the host key: a person decides.
    #[error("host key of {} is not known: {}", .0.name.recorded(), .0.key.fingerprint)]
    UnknownKey(Box<UnknownKey>),
    /// A secret was needed, and nobody gave it.
    #[error("{why}")]
    Unanswered { why: String, next: String },
    /// Nobody was let in.
    #[error("cannot log in to {address}: {why}")]
    Login { address: String, why: String },
    /// Root was refused.
    #[error("cannot become root: {why}")]
    Become { why: String },
    /// The connection broke while a script ran: whether it took effect is not known.
    #[error("connection lost during `{label}`: {why}")]
    Lost { label: String, why: String },
    /// It took too long.
    #[error("`{label}` took longer than {} s", limit.as_secs())]
    Timeout { label: String, limit: Duration },
    /// The script could not be started or said too much.
    #[error("`{label}`: {why}")]
    Script { label: String, why: String },
}

impl<'a> Job<'a> {
    /// A script with nothing else, for at most a minute.
    pub(crate) fn new(label: &'a str, script: impl Into<Cow<'a, str>>) -> Self {
        Self {
            label,
            script: script.into(),
            args: Vec::new(),
            input: Vec::new(),
            root: false,
            timeout: Duration::from_secs(60),
            keeps_shell: false,
            sent: None,
        }
    }
}

impl Output {
    /// Stdout as text.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }
}

impl HostError {
    /// What `mesh explain` knows it by.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Connect { .. } => Code::Connect,
            Self::HostKey { .. } | Self::UnknownKey(_) => Code::HostKey,
            Self::Unanswered { .. } => Code::Unanswered,
            Self::Login { .. } => Code::Login,
            Self::Become { .. } => Code::Become,
            Self::Lost { .. } => Code::Lost,
            Self::Timeout { .. } => Code::HostSlow,
            Self::Script { .. } => Code::HostScript,
        }
    }

    /// The exit code of a command that failed for this reason on every host.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Connect { .. } | Self::Lost { .. } => Exit::Unreachable,
            Self::HostKey { .. } | Self::UnknownKey(_) | Self::Login { .. } | Self::Become { .. } => {
                Exit::Authentication
            }
            Self::Unanswered { .. } => Exit::Declined,
            Self::Timeout { .. } => Exit::Deadline,
            Self::Script { .. } => Exit::Failed,
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let failure = Self::new(error.exit(), error.to_string()).coded(error.code());
        match error {
            HostError::HostKey { next, .. } | HostError::Unanswered { next, .. } => failure.next(next),
            HostError::Connect { .. }
            | HostError::UnknownKey(_)
            | HostError::Login { .. }
            | HostError::Become { .. }
            | HostError::Lost { .. }
            | HostError::Timeout { .. }
            | HostError::Script { .. } => failure,
        }
    }
}
