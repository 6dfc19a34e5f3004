//! One SSH connection: what is agreed with the other end, whether it is who it should be, and why it ended.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use russh::{
    Channel, ChannelOpenFailure, ChannelStream, Preferred,
    cipher::{self, AES_128_GCM, AES_256_CTR, AES_256_GCM, CHACHA20_POLY1305},
    client::{Config, DisconnectReason, Handle, Handler, Msg},
    keys::PublicKeyOrCertificate,
};
use tokio::sync::Semaphore;

use super::{
    frame::printable,
    known_hosts::{HostName, KnownHosts, learn},
    policy::{self, Preference, Proof, Verdict},
};
use crate::{host::HostError, hosts::HostKeyPolicy};

/// After so much silence the other end is asked whether it is there,
const KEEPALIVE: Duration = Duration::from_secs(15);
/// and after so many questions without an answer it is not.
const KEEPALIVE_MAX: usize = 3;
/// How many channels are being opened at once; sshd answers them one by one.
const OPENING_MAX: usize = 32;

/// A connection on which somebody has logged in.
pub(super) struct Connection {
    pub(super) handle: Handle<Door>,
    /// `user@host:port`, for errors.
    pub(super) address: String,
    /// The shortest round trip so far, in microseconds.
    round_trip_us: AtomicU64,
    gone: Gone,
    opening: Semaphore,
    /// The bastion it goes through stays as long as it does.
    _via: Option<Arc<Connection>>,
}

/// Why a connection ended, once it has.
#[derive(Debug, Clone, Default)]
pub(super) struct Gone(Arc<OnceLock<String>>);

/// Why a channel was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unopened {
    /// The other end has a reason, which may pass.
    #[error("{0}")]
    Refused(String),
    /// It does not allow this.
    #[error("{0}")]
    Forbidden(String),
    /// The connection is gone.
    #[error("the connection is gone: {0}")]
    Gone(String),
}

impl Connection {
    pub(super) fn new(
        (handle, dialled): (Handle<Door>, Option<Duration>),
        address: String,
        gone: Gone,
        via: Option<Arc<Self>>,
    ) -> Self {
        let round_trip_us = AtomicU64::new(dialled.map_or(u64::MAX, micros));
        Self { handle, address, round_trip_us, gone, opening: Semaphore::new(OPENING_MAX), _via: via }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.handle.is_closed()
    }

    /// Why it is gone.
    pub(super) fn why(&self) -> String {
        self.gone.why()
    }

    /// The shortest round trip so far: its length without what a busy machine adds to most of them.
    pub(super) fn round_trip(&self) -> Duration {
        Duration::from_micros(self.round_trip_us.load(Ordering::Relaxed))
    }

    /// Opens a channel for one script.
    pub(super) async fn session(&self) -> Result<Channel<Msg>, Unopened> {
        let _turn = self.opening.acquire().await;
        let asked = Instant::now();
        let opened = self.handle.channel_open_session().await;
        self.round_trip_us.fetch_min(micros(asked.elapsed()), Ordering::Relaxed);
        opened.map_err(|error| self.unopened(&error, "a session"))
    }

    /// Opens a stream to a host behind this one.
    pub(super) async fn stream(&self, host: &str, port: u16) -> Result<ChannelStream<Msg>, Unopened> {
        let _turn = self.opening.acquire().await;
        let opened = self.handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0).await;
        let channel = opened.map_err(|error| self.unopened(&error, &format!("a way to {host}:{port}")))?;
        Ok(channel.into_stream())
    }

    fn unopened(&self, error: &russh::Error, what: &str) -> Unopened {
        if let russh::Error::ChannelOpenFailure(reason) = error {
            return if matches!(reason, ChannelOpenFailure::AdministrativelyProhibited) {
                Unopened::Forbidden(format!("{} does not allow {what}", self.address))
            } else {
                Unopened::Refused(format!("{} does not open {what}: {reason:?}", self.address))
            };
        }
        if self.is_gone() { Unopened::Gone(self.why()) } else { Unopened::Refused(error.to_string()) }
    }
}

fn micros(it: Duration) -> u64 {
    u64::try_from(it.as_micros()).unwrap_or(u64::MAX)
}

impl Gone {
    pub(super) fn why(&self) -> String {
        self.0.get().cloned().unwrap_or_else(|| "the host closed it".to_owned())
    }
}

/// What a host key is judged by.
pub(super) struct Judge {
    pub(super) known: Arc<KnownHosts>,
    pub(super) name: HostName,
    pub(super) policy: HostKeyPolicy,
    pub(super) pin: Option<String>,
    /// Where a key is learnt.
    pub(super) own_file: std::path::PathBuf,
    /// Whether its name is hidden there.
    pub(super) hashed: bool,
}

/// Answers the library's questions about one connection.
pub(super) struct Door {
    judge: Option<Judge>,
    gone: Gone,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Shut {
    /// The host key.
    #[error(transparent)]
    Key(Box<HostError>),
    /// Everything else.
    #[error(transparent)]
    Wire(#[from] russh::Error),
}

/// A key of which nothing is known: a person decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownKey {
    /// The host as known_hosts names it.
    pub(crate) name: HostName,
    /// What it showed.
    pub(crate) key: policy::NewKey,
    /// Where it is learnt after a yes.
    pub(crate) own_file: std::path::PathBuf,
    /// Whether the name is hidden there.
    pub(crate) hashed: bool,
}

impl UnknownKey {
    /// Writes it down.
    pub(crate) fn learn(&self) -> std::io::Result<()> {
        learn(&self.own_file, &self.name, &self.key.key, self.hashed)
    }
}

impl Door {
    pub(super) fn new(judge: Judge, gone: Gone) -> Self {
        Self { judge: Some(judge), gone }
    }
}

impl Handler for Door {
    type Error = Shut;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Shut> {
        // Asked once: later exchanges of keys happen inside what this one made safe.
        let Some(judge) = self.judge.take() else { return Ok(false) };
        let now_unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs());
        let question =
            policy::Question { name: &judge.name, policy: judge.policy, pin: judge.pin.as_deref(), now_unix_s };
        let verdict = policy::judge(&judge.known, &question, shown);
        let unknown =
            |key| UnknownKey { name: judge.name.clone(), key, own_file: judge.own_file.clone(), hashed: judge.hashed };
        let refused = |error| Err(Shut::Key(Box::new(error)));
        match verdict {
            Verdict::Accept(Proof::FirstUse(key)) => {
                let new = unknown(key);
                let file = new.own_file.display().to_string();
                match tokio::task::spawn_blocking(move || new.learn()).await {
                    Ok(Ok(())) => Ok(true),
                    Ok(Err(error)) => refused(unlearnt(&judge, &file, &error)),
                    Err(error) => refused(unlearnt(&judge, &file, &error)),
                }
            }
            Verdict::Accept(_) => Ok(true),
            Verdict::Unknown(key) => refused(HostError::UnknownKey(Box::new(unknown(key)))),
            Verdict::Refuse(refusal) => refused(refusal.into_error(&judge.name)),
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Shut>) -> Result<(), Shut> {
        let why = match reason {
            DisconnectReason::ReceivedDisconnect(info) => format!("the host says `{}`", printable(&info.message)),
            DisconnectReason::Error(Shut::Wire(russh::Error::KeepaliveTimeout)) => {
                format!("no sign of life for {} s", KEEPALIVE.as_secs() * (KEEPALIVE_MAX as u64 + 1))
            }
            DisconnectReason::Error(Shut::Wire(russh::Error::Disconnect | russh::Error::HUP)) => {
                "the host closed it".to_owned()
            }
            DisconnectReason::Error(error) => error.to_string(),
        };
        // Only the first reason counts.
        let _ = self.gone.0.set(why);
        Ok(())
    }
}

fn unlearnt(judge: &Judge, file: &str, why: &dyn std::fmt::Display) -> HostError {
    HostError::HostKey {
        address: judge.name.recorded(),
        why: format!("the new key cannot be written to {file}: {why}"),
        next: format!("make {file} writable"),
    }
}

/// What is offered to the other end.
pub(super) fn config(preference: Preference) -> Arc<Config> {
    let preferred = Preferred {
        key: preference.keys.into(),
        host_key_certificates: preference.certificates.into(),
        cipher: ciphers(has_aes()).into(),
        compression: vec![russh::compression::NONE].into(),
        ..Preferred::DEFAULT
    };
    Arc::new(Config {
        preferred,
        nodelay: true,
        keepalive_interval: Some(KEEPALIVE),
        keepalive_max: KEEPALIVE_MAX,
        ..Config::default()
    })
}

/// AES in hardware is the cheapest there is; in software it is the dearest.
fn ciphers(has_aes: bool) -> Vec<cipher::Name> {
    match has_aes {
        true => vec![AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305, AES_256_CTR],
        false => vec![CHACHA20_POLY1305, AES_128_GCM, AES_256_GCM, AES_256_CTR],
    }
}

fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    return false;
}
