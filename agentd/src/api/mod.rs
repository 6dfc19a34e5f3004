//! What the agent answers over gRPC: one file for each service, behind one gate.

pub mod auth;
pub mod blobs;
mod caller;
mod cluster;
pub mod fleet;
pub mod initialize;
pub mod logs;
pub mod objects;
pub mod peers;
pub mod refuse;
mod streams;
pub mod write;
pub mod writer;

use mesh_proto::{
    tls::Identity,
    v1::{
        blobs_server::BlobsServer, fleet_server::FleetServer, join_server::JoinServer, logs_server::LogsServer,
        objects_server::ObjectsServer, router_link_server::RouterLinkServer, signals_server::SignalsServer,
    },
};
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, interceptor::InterceptedService};

use self::{
    auth::Gate, blobs::BlobsApi, fleet::FleetApi, initialize::Initializer, logs::LogsApi, objects::ObjectsApi,
    peers::Voters, writer::Writer,
};
use crate::{
    blobs::fetch::Fetcher, desired::Desired, events::Events, identity::JoinService, logs::Home, observe::ObserveHandle,
    raft::RaftService,
};

/// The largest request, in bytes: one command with room for its frame.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the services are made of.
pub struct Services<'a> {
    /// Desired state.
    pub desired: &'a Desired,
    /// This node's identity, for calls to others.
    pub identity: &'a Identity,
    /// Blobs.
    pub fetcher: Fetcher,
    /// Observed state.
    pub observe: &'a ObserveHandle,
    /// What happened.
    pub events: Events,
    /// Certificates and tokens.
    pub join: JoinService,
    /// Where the logs of this node are.
    pub logs: Home,
    /// Decides about every call.
    pub gate: Gate,
}

impl Services<'_> {
    /// All services of this node behind the gate; `closing` ends their streams.
    #[must_use]
    pub fn routes(self, closing: &CancellationToken) -> Routes {
        let Services { desired, identity, fetcher, observe, events, join, logs, gate } = self;
        let writer = Writer::new(desired.clone(), fetcher.clone());
        let initializer = Initializer::new(desired.clone(), identity.clone());
        let objects = ObjectsApi::new(desired.clone(), writer, closing.clone());
        let fleet = FleetApi::new(desired.clone(), observe.observed(), events, initializer, closing.clone());
        let blobs = BlobsApi::new(fetcher, desired.clone());
        let mut routes = Routes::new(ObjectsServer::new(objects).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(FleetServer::new(fleet).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(BlobsServer::new(blobs))
            .add_service(JoinServer::new(join))
            .add_service(LogsServer::new(LogsApi::new(logs, closing.clone())))
            .add_service(SignalsServer::new(observe.signals()))
            .add_service(RouterLinkServer::new(observe.router_link()));
        if let Some(raft) = desired.raft() {
            let service = RaftService::new(raft.clone()).into_server();
            routes = routes.add_service(InterceptedService::new(service, Voters::new(desired.clone())));
        }
        gate.guard(routes)
    }
}
