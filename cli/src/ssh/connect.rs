//! Gets a connection to a host: through its bastions, again when that helps, logged in.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use russh::{client, keys::Certificate};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    time::timeout,
};

use super::{
    agent::Agents,
    auth::{self, Keys, Login, NotIn},
    become_::Passwords,
    config::Target,
    connection::{Connection, Door, Gone, Judge, Shut, UnknownKey, Unopened, config},
    dial,
    identity::KeyFiles,
    jump::Bastions,
    known_hosts::KnownHosts,
    policy,
    secret::{Answers, Questions},
    session::SshHost,
};
use crate::{host::HostError, hosts::Become};

/// How long logging in may take, a person's answers included: sshd hangs up after as long.
const LOGIN_LIMIT: Duration = Duration::from_secs(120);
/// The first pause before another try; it doubles,
const PAUSE: Duration = Duration::from_millis(300);
/// up to this.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What one connection needs besides its target.
#[derive(Clone)]
pub(crate) struct Options {
    /// How root is got on this host.
    pub(crate) r#become: Become,
    /// What it shares with the others of this command.
    pub(crate) shared: Shared,
}

/// What all connections of one command share: agents, keys, bastions, passwords, and one person to ask.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Commons>);

struct Commons {
    questions: Questions,
    agents: Agents,
    files: KeyFiles,
    bastions: Bastions,
    passwords: Passwords,
    starting: Semaphore,
    known: std::sync::Mutex<BTreeMap<KnownFiles, Arc<KnownHosts>>>,
}

/// The files of known hosts, and of revoked keys.
type KnownFiles = (Vec<PathBuf>, Option<PathBuf>);

/// An attempt that failed, and whether another may do better.
pub(super) struct Failed {
    error: HostError,
    again: bool,
}

impl Failed {
    fn again(address: &str, why: impl std::fmt::Display) -> Self {
        let error = HostError::Connect { address: address.to_owned(), why: why.to_string() };
        Self { error, again: true }
    }
}

impl From<HostError> for Failed {
    fn from(error: HostError) -> Self {
        Self { error, again: false }
    }
}

/// Connects to a host and logs in.
///
/// # Errors
///
/// `UnknownKey` when a person has to decide about a host key: with the key learnt, the same call goes on.
pub(crate) async fn connect(name: &str, target: &Target, options: &Options) -> Result<SshHost, HostError> {
    let connection = {
        let _turn = options.shared.0.starting.acquire().await;
        options.shared.open(target).await?
    };
    let login = target.user.clone();
    Ok(SshHost::new(name, (connection, login), options.r#become.clone(), options.shared.clone()))
}

impl Shared {
    /// Starts a command that connects to at most `concurrency` hosts at once.
    pub(crate) fn new(answers: Arc<dyn Answers>, concurrency: usize) -> Self {
        Self(Arc::new(Commons {
            questions: Questions::new(answers),
            agents: Agents::default(),
            files: KeyFiles::default(),
            bastions: Bastions::default(),
            passwords: Passwords::default(),
            starting: Semaphore::new(concurrency.max(1)),
            known: std::sync::Mutex::default(),
        }))
    }

    /// Writes down keys that a person has accepted; the files are read anew afterwards.
    pub(crate) fn learn<'a>(&self, keys: impl IntoIterator<Item = &'a UnknownKey>) -> std::io::Result<()> {
        let learnt = keys.into_iter().try_for_each(UnknownKey::learn);
        self.0.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
        learnt
    }

    /// What of the `known_hosts` files read so far could not be used, for a person to read.
    pub(crate) fn damaged(&self) -> BTreeSet<String> {
        let known = self.0.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.values().flat_map(|it| it.damaged()).map(|damage| format!("{damage}; it is left out")).collect()
    }

    pub(super) fn questions(&self) -> &Questions {
        &self.0.questions
    }

    pub(super) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    async fn open(&self, target: &Target) -> Result<Arc<Connection>, HostError> {
        let mut via = None;
        for at in 0..target.jump.len() {
            let through = via.take();
            let hop = self.0.bastions.get(&target.jump[..=at], || self.retried(&target.jump[at], through)).await;
            via = Some(hop.map_err(|error| behind(&target.jump[at], error))?);
        }
        self.retried(target, via).await
    }

    /// Tries as often as the target says; nothing that a host has decided is tried again.
    async fn retried(&self, target: &Target, via: Option<Arc<Connection>>) -> Result<Arc<Connection>, HostError> {
        let mut pause = PAUSE;
        let mut left = target.retries;
        loop {
            match self.once(target, via.clone()).await {
                Ok(connection) => return Ok(Arc::new(connection)),
                Err(failed) if failed.again && left > 0 => {
                    tracing::debug!(error = %failed.error, left, "connecting again");
                    left -= 1;
                    // Many hosts that were refused together must not come back together.
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }

    async fn once(&self, target: &Target, via: Option<Arc<Connection>>) -> Result<Connection, Failed> {
        let address = target.address();
        let gone = Gone::default();
        let known = self.known(target);
        let preferred = config(policy::algorithms(&known, &target.name(), &target.host_key_algorithms));
        let judge = Judge {
            known,
            name: target.name(),
            policy: target.policy,
            pin: target.pin.clone(),
            own_file: target.learn_into.clone(),
            hashed: target.hash_known_hosts,
        };
        let shaking = async {
            let (stream, round_trip) = stream(target, via.as_deref()).await?;
            let door = Door::new(judge, gone.clone());
            let shaken = client::connect_stream(preferred, stream, door).await;
            shaken.map(|handle| (handle, round_trip)).map_err(|shut| hung_up(&address, shut))
        };
        let limit = target.connect_timeout;
        let (mut handle, round_trip) = timeout(limit, shaking)
            .await
            .map_err(|_| Failed::again(&address, format!("no answer within {} s", limit.as_secs())))??;
        let logging_in = self.log_in(&mut handle, target, &address);
        match timeout(LOGIN_LIMIT, logging_in).await {
            Ok(Ok(())) => Ok(Connection::new((handle, round_trip), address, gone, via)),
            Ok(Err(NotIn::Gone)) => Err(Failed::again(&address, format!("while logging in: {}", gone.why()))),
            Ok(Err(NotIn::Refused(why))) => Err(HostError::Login { address, why }.into()),
            Ok(Err(NotIn::Unanswered(it))) => Err(HostError::Unanswered { why: it.why, next: it.next }.into()),
            Err(_) => {
                let why = format!("nobody was let in within {} s", LOGIN_LIMIT.as_secs());
                Err(HostError::Login { address, why }.into())
            }
        }
    }

    async fn log_in(&self, handle: &mut client::Handle<Door>, target: &Target, address: &str) -> Result<(), NotIn> {
        let (keys, missing) = self.keys(target).await;
        let login = Login { user: &target.user, address, keys: &keys.in_order(), missing: &missing };
        auth::log_in(handle, &login, self.questions()).await
    }

    /// What there is to log in with, and what should be there and is not.
    async fn keys(&self, target: &Target) -> (Keys, Vec<String>) {
        let mut keys = Keys { only: target.identities_only, ..Keys::default() };
        let mut missing = Vec::new();
        if let Some(socket) = &target.agent {
            match self.0.agents.get(socket).await {
                Ok(agent) => keys.agent = Some(agent),
                Err(why) => missing.push(format!("the agent at {} does not help: {why}", socket.display())),
            }
        }
        keys.files = target.identity.iter().filter_map(|path| self.0.files.get(path)).collect();
        if keys.files.is_empty() && !target.identity.is_empty() {
            let paths: Vec<String> = target.identity.iter().map(|it| it.display().to_string()).collect();
            missing.push(format!("there is no key in {}", paths.join(", ")));
        }
        let certificates = target.certificates.iter().filter_map(|path| {
            let text = std::fs::read_to_string(path).ok()?;
            Certificate::from_openssh(text.trim()).ok()
        });
        keys.certificates = certificates.collect();
        (keys, missing)
    }

    /// What is recorded of host keys, read once for all hosts that look in the same files.
    fn known(&self, target: &Target) -> Arc<KnownHosts> {
        let files = (target.known_hosts.clone(), target.revoked.clone());
        let mut known = self.0.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(known.entry(files).or_insert_with(|| Arc::new(target.known())))
    }
}

/// Bytes to a host and back.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A way to a host, and how long a round trip takes where that is known.
async fn stream(target: &Target, via: Option<&Connection>) -> Result<(Box<dyn Stream>, Option<Duration>), Failed> {
    let address = target.address();
    let Some(via) = via else {
        let dialled = dial::tcp(&target.host, target.port).await;
        let (stream, round_trip) = dialled.map_err(|error| Failed::again(&address, error))?;
        return Ok((Box::new(dial::Prompt::new(stream)), Some(round_trip)));
    };
    match via.stream(&target.host, target.port).await {
        Ok(stream) => Ok((Box::new(stream), None)),
        Err(why @ Unopened::Refused(_)) => Err(Failed::again(&address, why)),
        Err(why) => Err(HostError::Connect { address, why: why.to_string() }.into()),
    }
}

/// What it means that the handshake did not come to its end.
fn hung_up(address: &str, shut: Shut) -> Failed {
    match shut {
        Shut::Key(error) => (*error).into(),
        // Too many at once (MaxStartups), a daemon that restarts, a firewall: it may pass.
        Shut::Wire(russh::Error::HUP | russh::Error::Disconnect) => {
            Failed::again(address, "it hung up before saying who it is")
        }
        Shut::Wire(russh::Error::IO(error)) => Failed::again(address, error),
        Shut::Wire(error) => {
            HostError::Connect { address: address.to_owned(), why: format!("no agreement: {error}") }.into()
        }
    }
}

/// A bastion that fails takes with it the hosts behind it, and they say so.
fn behind(bastion: &Target, error: HostError) -> HostError {
    if let HostError::Connect { address, why } = error {
        // The error of a bastion of the bastion says so already.
        let why = if why.starts_with("bastion") { why } else { format!("bastion {}: {why}", bastion.given) };
        return HostError::Connect { address, why };
    }
    error
}
