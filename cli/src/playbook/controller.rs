//! What a run asks of this machine, and what it tells it.

use std::path::PathBuf;

use futures_util::{
    FutureExt as _,
    future::{self, BoxFuture},
};
use mesh_core::id::{Digest, MeshName, Principal};
use serde::{Deserialize, Serialize};

use super::plan::{Change, StepId};
use crate::Result;

/// A file of this machine that is sent to hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) path: PathBuf,
    pub(crate) sha256: Digest,
    pub(crate) size_bytes: u64,
}

/// Whose certificate a host asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyRequest {
    /// A part with an identity of its own.
    Id(Principal),
    /// A coordinator's intermediate authority.
    Authority(MeshName),
}

/// A certificate for a host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignedKey {
    /// The certificate first, then its issuers.
    pub(crate) chain_pem: String,
    /// The roots that the host shall trust.
    pub(crate) roots_pem: String,
}

/// The operator's side of a run.
pub(crate) trait Controller: Send + Sync {
    /// A release binary by its name.
    fn blob(&self, name: &str) -> Option<&Blob>;
    /// A secret of a host by its name; it is never shown, logged or put in a command line.
    fn secret(&self, host: &str, name: &str) -> Option<Vec<u8>>;
    /// Waits until it is clear whether requests can be signed.
    fn opened(&self) -> BoxFuture<'_, ()> {
        future::ready(()).boxed()
    }
    /// Signs a host's request.
    fn sign(&self, host: &str, request: &KeyRequest, csr_pem: &str) -> Result<SignedKey>;
    /// Hears what happens.
    fn event(&self, host: &str, event: &Event);
}

/// What happens to a step of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// It is about to run.
    StepStarted { step: StepId },
    /// It ran and changed these things.
    StepChanged { step: StepId, changes: Vec<Change> },
    /// There was nothing to change, or it ran and changed nothing.
    StepUnchanged { step: StepId },
    /// Its condition does not hold on this host, or nobody notified it.
    StepSkipped { step: StepId },
    /// It failed.
    StepFailed { step: StepId, why: String },
    /// The host has and runs what the steps before this say: it was asked.
    Proven,
    /// Bytes of its data that were sent.
    Sent { step: StepId, bytes: u64, total: u64 },
}
