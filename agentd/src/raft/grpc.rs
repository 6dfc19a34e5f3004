//! Raft's messages over gRPC: the calling side as a transport, the answering side as the service `mesh.v1.Raft`.

use std::{error::Error, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::future::{BoxFuture, FutureExt};
use mesh_core::{id::Lineage, store::STORE_BYTES_MAX};
use mesh_proto::v1::{ForwardRequest, ForwardResponse, RaftMessage, raft_client::RaftClient, raft_server};
use tonic::{Request, Response, Status, Streaming, transport::Channel};

use super::{
    RaftHandle, ServeError,
    network::{Call, Envelope, Purpose, Rpc, Transport, Unreached},
    types::Peer,
};

/// The largest message: an append of 2 MiB, with one entry more.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A snapshot is sent in pieces of this size.
const PIECE_BYTES: usize = 1024 * 1024;
/// The largest snapshot: the store, its names and the remembered requests.
const SNAPSHOT_BYTES_MAX: u64 = STORE_BYTES_MAX * 2;

/// Gives out connections to other coordinators, with this node's identity and the peer's checked.
pub trait Channels: Send + Sync + 'static {
    /// A channel to a coordinator; each purpose has its own, so that a snapshot delays no heartbeat.
    ///
    /// It is asked for at every call, so it keeps what it made and connects lazily.
    ///
    /// # Errors
    /// A text that says why there is none.
    fn channel(&self, node: u64, peer: &Peer, purpose: Purpose) -> Result<Channel, String>;
}

/// Calls peers over gRPC.
pub(crate) struct GrpcTransport {
    channels: Arc<dyn Channels>,
}

impl GrpcTransport {
    pub(crate) fn new(channels: Arc<dyn Channels>) -> Self {
        Self { channels }
    }
}

impl Transport for GrpcTransport {
    fn call(&self, call: Call) -> BoxFuture<'static, Result<Bytes, Unreached>> {
        let channel = self.channels.channel(call.envelope.to, &call.peer, call.purpose);
        async move {
            let channel = channel.map_err(|why| Unreached { why, sent: false })?;
            let limit = call.limit;
            match tokio::time::timeout(limit, send(channel, call)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(status)) => Err(unreached(&status)),
                Err(_) => Err(Unreached { why: format!("nothing within {} ms", limit.as_millis()), sent: true }),
            }
        }
        .boxed()
    }
}

async fn send(channel: Channel, call: Call) -> Result<Bytes, Status> {
    let mut client = RaftClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let message = wrap(call.envelope);
    let answer = match call.rpc {
        Rpc::Append => client.append(message).await,
        Rpc::Vote => client.vote(message).await,
        Rpc::Snapshot => client.snapshot(pieces(message)).await,
        Rpc::TransferLeader => client.transfer_leader(message).await,
        Rpc::ReadIndex => client.read_index(message).await,
        Rpc::Forward => {
            let RaftMessage { mesh, lineage, to, payload, .. } = message;
            let request = ForwardRequest { mesh, lineage, to, command: payload };
            return client.forward(request).await.map(|answer| answer.into_inner().outcome);
        }
    };
    answer.map(|answer| answer.into_inner().payload)
}

fn wrap(envelope: Envelope) -> RaftMessage {
    let Envelope { cluster, lineage, from, to, payload } = envelope;
    RaftMessage { mesh: cluster, lineage: lineage.0, from, to, payload }
}

fn unwrap(message: RaftMessage) -> Envelope {
    let RaftMessage { mesh, lineage, from, to, payload } = message;
    Envelope { cluster: mesh, lineage: Lineage(lineage), from, to, payload }
}

fn pieces(message: RaftMessage) -> impl futures_util::Stream<Item = RaftMessage> {
    let payload = message.payload.clone();
    let head = RaftMessage { payload: Bytes::new(), ..message };
    let starts = (0..payload.len().max(1)).step_by(PIECE_BYTES);
    futures_util::stream::iter(starts.map(move |start| {
        let end = payload.len().min(start + PIECE_BYTES);
        RaftMessage { payload: payload.slice(start..end), ..head.clone() }
    }))
}

/// An answer with an error status, or none. Only a failure to connect proves that the peer saw nothing.
fn unreached(status: &Status) -> Unreached {
    let mut cause: Option<&(dyn Error + 'static)> = Some(status);
    let mut connected = true;
    while let Some(error) = cause {
        connected &= !error.is::<tonic::ConnectError>();
        cause = error.source();
    }
    let refused = matches!(
        status.code(),
        tonic::Code::FailedPrecondition
            | tonic::Code::InvalidArgument
            | tonic::Code::PermissionDenied
            | tonic::Code::Unauthenticated
    );
    Unreached { why: status.message().to_owned(), sent: connected && !refused }
}

/// The service that answers other coordinators; who may call it is decided by the gate in front of it.
pub struct RaftService {
    raft: RaftHandle,
}

impl RaftService {
    /// Serves one coordinator's raft.
    #[must_use]
    pub fn new(raft: RaftHandle) -> Self {
        Self { raft }
    }

    /// The service with its limits, ready to be added to a server.
    #[must_use]
    pub fn into_server(self) -> raft_server::RaftServer<Self> {
        raft_server::RaftServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    async fn answer(&self, rpc: Rpc, message: RaftMessage) -> Result<Response<RaftMessage>, Status> {
        let head = RaftMessage { payload: Bytes::new(), from: message.to, to: message.from, ..message.clone() };
        let payload = self.raft.serve(rpc, unwrap(message)).await.map_err(status)?;
        Ok(Response::new(RaftMessage { payload, ..head }))
    }
}

fn status(error: ServeError) -> Status {
    let text = error.to_string();
    match error {
        ServeError::Mesh { .. } | ServeError::Lineage { .. } | ServeError::Target { .. } => {
            Status::failed_precondition(text)
        }
        ServeError::Message(_) => Status::invalid_argument(text),
        ServeError::Unavailable(_) => Status::unavailable(text),
    }
}

#[tonic::async_trait]
impl raft_server::Raft for RaftService {
    async fn append(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        self.answer(Rpc::Append, request.into_inner()).await
    }

    async fn vote(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        self.answer(Rpc::Vote, request.into_inner()).await
    }

    async fn snapshot(&self, request: Request<Streaming<RaftMessage>>) -> Result<Response<RaftMessage>, Status> {
        let mut stream = request.into_inner();
        let first = stream.message().await?.ok_or_else(|| Status::invalid_argument("an empty snapshot"))?;
        let mut payload = BytesMut::from(first.payload.as_ref());
        while let Some(piece) = stream.message().await? {
            if (payload.len() + piece.payload.len()) as u64 > SNAPSHOT_BYTES_MAX {
                return Err(Status::invalid_argument(format!("a snapshot has at most {SNAPSHOT_BYTES_MAX} bytes")));
            }
            payload.extend_from_slice(&piece.payload);
        }
        self.answer(Rpc::Snapshot, RaftMessage { payload: payload.freeze(), ..first }).await
    }

    async fn transfer_leader(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        self.answer(Rpc::TransferLeader, request.into_inner()).await
    }

    async fn forward(&self, request: Request<ForwardRequest>) -> Result<Response<ForwardResponse>, Status> {
        let ForwardRequest { mesh, lineage, to, command } = request.into_inner();
        let message = Envelope { cluster: mesh, lineage: Lineage(lineage), from: 0, to, payload: command };
        let outcome = self.raft.serve(Rpc::Forward, message).await.map_err(status)?;
        Ok(Response::new(ForwardResponse { outcome }))
    }

    async fn read_index(&self, request: Request<RaftMessage>) -> Result<Response<RaftMessage>, Status> {
        self.answer(Rpc::ReadIndex, request.into_inner()).await
    }
}
