//! Blobs between nodes: fetched from coordinators, and handed to the other coordinators when one is uploaded.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, future::join_all, stream};
use mesh_core::id::{Digest, NodeName, Principal};
use mesh_proto::{
    client,
    tls::Identity,
    v1::{self, blobs_client::BlobsClient},
};
use tokio::time::timeout;
use tonic::{Code, Status, transport::Channel};

use super::{BlobError, Blobs, Incoming};
use crate::{config::Coordinator, desired::Desired};

/// How long one coordinator may take to hand over a blob or to take one.
const TRANSFER_MAX: Duration = Duration::from_secs(5);
/// A blob travels in pieces of this size, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why a blob could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No coordinator gave it.
    #[error("blob {} is on no coordinator that answers: {why}", digest.short())]
    Nowhere {
        /// Which one.
        digest: Digest,
        /// What the last one said.
        why: String,
    },
    /// Too few coordinators have taken it to outlive the loss of one.
    #[error("blob {} reached {reached} of {voters} coordinators, a majority is needed: {why}", digest.short())]
    TooFew {
        /// Which one.
        digest: Digest,
        /// How many have it.
        reached: usize,
        /// How many there are.
        voters: usize,
        /// What the last one said.
        why: String,
    },
    /// It could not be stored here.
    #[error(transparent)]
    Store(#[from] BlobError),
}

impl From<FetchError> for Status {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Store(error) => error.into(),
            error @ FetchError::Nowhere { .. } => crate::api::refuse::not_found(error.to_string()),
            error @ FetchError::TooFew { .. } => crate::api::refuse::not_ready(error.to_string()),
        }
    }
}

/// Gets blobs to where they are needed; clones share everything.
#[derive(Clone)]
pub struct Fetcher {
    blobs: Blobs,
    identity: Identity,
    desired: Desired,
}

impl Fetcher {
    /// Joins its parts.
    #[must_use]
    pub fn new(blobs: Blobs, identity: Identity, desired: Desired) -> Self {
        Self { blobs, identity, desired }
    }

    /// The blobs of this node.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Whether somebody is the agent of a coordinator.
    #[must_use]
    pub fn is_coordinator(&self, id: &Principal) -> bool {
        self.desired.coordinators().iter().any(|it| self.principal(&it.node) == *id)
    }

    fn principal(&self, node: &NodeName) -> Principal {
        Principal::node(self.desired.mesh(), node)
    }

    fn others(&self) -> Vec<Coordinator> {
        self.desired.coordinators().into_iter().filter(|it| it.node != *self.desired.node()).collect()
    }

    fn client(&self, coordinator: &Coordinator) -> BlobsClient<Channel> {
        BlobsClient::new(client::channel(&self.identity, coordinator.api, self.principal(&coordinator.node)))
    }

    /// Makes sure that a blob is on this node's disk.
    ///
    /// # Errors
    /// [`FetchError`] when no coordinator has it or it cannot be stored.
    pub async fn ensure(&self, digest: Digest) -> Result<(), FetchError> {
        if self.blobs.size(digest).is_some() {
            return Ok(());
        }
        self.get(digest).await.map(drop)
    }

    /// A blob from this node's disk or, kept here from then on, from a coordinator.
    ///
    /// # Errors
    /// [`FetchError`] when no coordinator has it or it cannot be stored.
    pub async fn get(&self, digest: Digest) -> Result<Bytes, FetchError> {
        if let Some(bytes) = self.blobs.get(digest).await? {
            return Ok(bytes);
        }
        let mut why = "there is no other coordinator".to_owned();
        for coordinator in self.others() {
            match timeout(TRANSFER_MAX, self.download(&coordinator, digest)).await {
                Ok(Ok(bytes)) => {
                    self.blobs.put(digest, bytes.clone()).await?;
                    return Ok(bytes);
                }
                Ok(Err(status)) => why = format!("{}: {}", coordinator.node, status.message()),
                Err(_) => why = format!("{} does not answer", coordinator.node),
            }
        }
        Err(FetchError::Nowhere { digest, why })
    }

    async fn download(&self, coordinator: &Coordinator, digest: Digest) -> Result<Bytes, Status> {
        let request = v1::BlobRequest { digest: digest.to_string() };
        let mut stream = self.client(coordinator).get(request).await?.into_inner();
        let mut incoming = Incoming::default();
        while let Some(chunk) = stream.message().await? {
            incoming.push(&chunk.data)?;
        }
        Ok(incoming.finish(digest)?)
    }

    /// Hands a blob that is here to the other coordinators, until a majority of all has it.
    ///
    /// # Errors
    /// [`FetchError::TooFew`] when too few of them take it.
    pub async fn spread(&self, digest: Digest, bytes: &Bytes) -> Result<(), FetchError> {
        let others = self.others();
        let voters = others.len() + 1;
        let sent = join_all(others.iter().map(|it| self.upload(it, digest, bytes.clone()))).await;
        let reached = 1 + sent.iter().filter(|it| it.is_ok()).count();
        if reached * 2 > voters {
            return Ok(());
        }
        let why = sent.into_iter().find_map(Result::err).unwrap_or_default();
        Err(FetchError::TooFew { digest, reached, voters, why })
    }

    async fn upload(&self, coordinator: &Coordinator, digest: Digest, bytes: Bytes) -> Result<(), String> {
        let mut client = self.client(coordinator);
        match timeout(TRANSFER_MAX, client.put(stream::iter(chunks(digest, &bytes)))).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) if status.code() == Code::AlreadyExists => Ok(()),
            Ok(Err(status)) => Err(format!("{}: {}", coordinator.node, status.message())),
            Err(_) => Err(format!("{} does not answer", coordinator.node)),
        }
    }
}

/// A blob in pieces; the first one names it.
pub fn chunks(digest: Digest, bytes: &Bytes) -> Vec<v1::BlobChunk> {
    let count = bytes.len().div_ceil(CHUNK_BYTES).max(1);
    let piece = |i: usize| {
        let data = bytes.slice(i * CHUNK_BYTES..((i + 1) * CHUNK_BYTES).min(bytes.len()));
        let digest = if i == 0 { digest.to_string() } else { String::new() };
        v1::BlobChunk { digest, data }
    };
    (0..count).map(piece).collect()
}

/// Takes a blob in pieces, bounded; says which digest the first piece named.
///
/// # Errors
/// A refusal when it is too large, names no digest, or has another one.
pub async fn receive(mut pieces: tonic::Streaming<v1::BlobChunk>) -> Result<(Digest, Bytes), Status> {
    let mut incoming = Incoming::default();
    let mut stated = None;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if stated.is_none() {
            stated = Some(piece.digest.parse::<Digest>().map_err(crate::api::refuse::invalid)?);
        }
        incoming.push(&piece.data)?;
    }
    let stated = stated.ok_or_else(|| crate::api::refuse::invalid("an empty blob"))?;
    Ok((stated, incoming.finish(stated)?))
}
