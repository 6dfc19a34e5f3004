//! Blobs: large content put once, on a majority of coordinators, and read on any node.

use std::pin::Pin;

use futures_util::{Stream, stream};
use mesh_core::id::{Digest, PartyKind};
use mesh_proto::{
    reason,
    v1::{self, blobs_server::Blobs as BlobsService},
};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{
    caller::Caller,
    refuse::{invalid, not_found, not_ready, refuse},
};
use crate::{
    blobs::fetch::{Fetcher, chunks, receive},
    desired::Desired,
};

/// The service `Blobs`.
#[derive(Clone)]
pub struct BlobsApi {
    fetcher: Fetcher,
    desired: Desired,
}

impl BlobsApi {
    /// Joins its parts.
    #[must_use]
    pub fn new(fetcher: Fetcher, desired: Desired) -> Self {
        Self { fetcher, desired }
    }

    fn info(&self, digest: Digest) -> v1::BlobInfo {
        let size = self.fetcher.blobs().size(digest);
        v1::BlobInfo { digest: digest.to_string(), size_bytes: size.unwrap_or(0), present: size.is_some() }
    }
}

#[tonic::async_trait]
impl BlobsService for BlobsApi {
    async fn put(&self, request: Request<Streaming<v1::BlobChunk>>) -> Result<Response<v1::BlobInfo>, Status> {
        let caller = Caller::of(&request)?;
        if self.desired.raft().is_none() {
            return Err(not_ready(format!("{} is no coordinator: blobs are put on coordinators", self.desired.node())));
        }
        let from_coordinator = self.fetcher.is_coordinator(&caller.id);
        if caller.id.kind == PartyKind::Node && !from_coordinator {
            let text = format!("denied: {} is not the agent of a coordinator", caller.id);
            return Err(refuse(Code::PermissionDenied, reason::DENIED, text, []));
        }
        let (digest, bytes) = receive(request.into_inner()).await?;
        self.fetcher.blobs().put(digest, bytes.clone()).await?;
        // What a coordinator hands on stays here: it spreads it itself.
        if !from_coordinator {
            self.fetcher.spread(digest, &bytes).await?;
        }
        Ok(Response::new(self.info(digest)))
    }

    type GetStream = Pin<Box<dyn Stream<Item = Result<v1::BlobChunk, Status>> + Send>>;

    async fn get(&self, request: Request<v1::BlobRequest>) -> Result<Response<Self::GetStream>, Status> {
        let caller = Caller::of(&request)?;
        let digest: Digest = request.get_ref().digest.parse().map_err(invalid)?;
        // A coordinator asks every other one itself; asking on for it would go in circles.
        let bytes = if self.fetcher.is_coordinator(&caller.id) {
            let found = self.fetcher.blobs().get(digest).await?;
            found.ok_or_else(|| not_found(format!("blob {digest} is not on {}", self.desired.node())))?
        } else {
            self.fetcher.get(digest).await?
        };
        let pieces = chunks(digest, &bytes).into_iter().map(Ok);
        Ok(Response::new(Box::pin(stream::iter(pieces))))
    }

    async fn stat(&self, request: Request<v1::BlobRequest>) -> Result<Response<v1::BlobInfo>, Status> {
        let digest: Digest = request.get_ref().digest.parse().map_err(invalid)?;
        Ok(Response::new(self.info(digest)))
    }
}
