//! An agent as a router sees it: desired state, signals, modules, and a place for reports; over mutual TLS.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, stream};
use mesh_core::{
    id::{MeshName, NodeName, ObjectName, Principal, Revision},
    status::{EngineSample, HostSample, NodeStatus, Probe},
};
use mesh_proto::{
    ca::{self, Issuer},
    server,
    tls::{self, Identity},
    v1::{
        self,
        blobs_server::{Blobs, BlobsServer},
        objects_server::{Objects, ObjectsServer},
        router_link_server::{RouterLink, RouterLinkServer},
        signals_server::{Signals, SignalsServer},
        watch_event::Event,
    },
};
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, service::Routes};

pub(crate) const NODE: &str = "node-1";

/// Identities of one mesh.
pub(crate) struct Authority {
    pub(crate) mesh: MeshName,
    issuer: Issuer,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mesh = MeshName::new("local-test").unwrap();
        Self { issuer: Issuer::new_root(&mesh, tls::now()).unwrap(), mesh }
    }

    fn leaf(&self, id: &Principal) -> (String, Vec<rustls_pki_types::CertificateDer<'static>>) {
        let (key, csr) = ca::new_key_and_csr(&id.to_string()).unwrap();
        (key, self.issuer.sign_leaf(&csr, id, ca::LEAF_LIFE, tls::now()).unwrap())
    }

    /// Writes the identity of the router on [`NODE`].
    pub(crate) fn write_router(&self, dir: &Path) {
        let id = Principal::router(&self.mesh, &NodeName::new(NODE).unwrap());
        let (key, chain) = self.leaf(&id);
        tls::write_dir(dir, &key, &chain, self.issuer.roots()).unwrap();
    }

    fn node(&self, node: &NodeName) -> Identity {
        let (key, chain) = self.leaf(&Principal::node(&self.mesh, node));
        Identity::from_parts(&key, chain, self.issuer.roots().to_vec()).unwrap()
    }
}

#[derive(Default, Clone)]
struct Desired {
    revision: u64,
    objects: BTreeMap<(String, String), v1::Object>,
    log: Vec<v1::Change>,
}

#[derive(Clone)]
struct Parts {
    node: NodeName,
    desired: Arc<watch::Sender<Desired>>,
    engines: Arc<watch::Sender<Vec<EngineSample>>>,
    blobs: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    reports: Arc<watch::Sender<Option<v1::RouterSample>>>,
}

/// A running agent; it ends when it is dropped.
pub(crate) struct Agent {
    pub(crate) api: SocketAddr,
    parts: Parts,
    stop: CancellationToken,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Agent {
    /// The agent of this node; `before` is one that ended, whose state it goes on with, at the same address.
    pub(crate) async fn start(authority: &Authority, node: &str, before: Option<Self>) -> Self {
        let node = NodeName::new(node).unwrap();
        let api = before.as_ref().map_or_else(|| "127.0.0.1:0".parse().unwrap(), |it| it.api);
        let parts = before.as_ref().map(|it| it.parts.clone()).unwrap_or_else(|| Parts {
            node: node.clone(),
            desired: Arc::new(watch::Sender::default()),
            engines: Arc::new(watch::Sender::default()),
            blobs: Arc::default(),
            reports: Arc::new(watch::Sender::default()),
        });
        drop(before);
        let listener = loop {
            match TcpListener::bind(api).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let api = listener.local_addr().unwrap();
        let routes = Routes::new(ObjectsServer::new(parts.clone()))
            .add_service(SignalsServer::new(parts.clone()))
            .add_service(BlobsServer::new(parts.clone()))
            .add_service(RouterLinkServer::new(parts.clone()));
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, authority.node(&node), routes, stop.clone()));
        Self { api, parts, stop }
    }

    /// Ends it as a crash does; [`Agent::start`] brings it back.
    pub(crate) fn crash(&self) {
        self.stop.cancel();
    }

    /// Writes or, with an empty spec, deletes an object; returns the revision.
    pub(crate) fn apply(&self, kind: &str, name: &str, spec: &str) -> u64 {
        let mut revision = 0;
        self.parts.desired.send_modify(|it| {
            it.revision += 1;
            revision = it.revision;
            let spec = spec.as_bytes().to_vec().into();
            let object = v1::Object { kind: kind.to_owned(), name: name.to_owned(), revision, spec };
            let key = (kind.to_owned(), name.to_owned());
            if object.spec.is_empty() {
                it.objects.remove(&key);
            } else {
                it.objects.insert(key, object.clone());
            }
            it.log.push(v1::Change { revision, object: Some(object), ..v1::Change::default() });
        });
        revision
    }

    /// Has a module to give.
    pub(crate) fn put(&self, digest: &str, bytes: &[u8]) {
        self.parts.blobs.lock().unwrap().insert(digest.to_owned(), bytes.to_vec());
    }

    /// What it says of its engines from now on.
    pub(crate) fn say(&self, engines: Vec<EngineSample>) {
        self.parts.engines.send_replace(engines);
    }

    /// The router's last report.
    pub(crate) fn report(&self) -> Option<v1::RouterSample> {
        self.parts.reports.borrow().clone()
    }
}

/// A sample of an engine that is up.
pub(crate) fn sample(url: &str, running: u32) -> EngineSample {
    EngineSample {
        name: ObjectName::new("engine").unwrap(),
        kind: mesh_core::kind::EngineKind::Standin,
        url: url.to_owned(),
        up: true,
        error: None,
        models: vec![crate::start::MODEL.to_owned()],
        running: Some(running),
        waiting: Some(0),
        kv_used: None,
        capacity: Some(64.0),
        age_ms: 0,
    }
}

type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn unused<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("no router asks for this"))
}

#[tonic::async_trait]
impl Objects for Parts {
    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let kind = request.into_inner().kind;
        let desired = self.desired.borrow();
        let items = desired.objects.iter().filter(|((it, _), _)| *it == kind).map(|(_, it)| it.clone()).collect();
        let freshness = v1::Freshness { revision: desired.revision, ..v1::Freshness::default() };
        Ok(Response::new(v1::ListResponse { items, freshness: Some(freshness) }))
    }

    type WatchStream = Out<v1::WatchEvent>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let after = request.into_inner().after;
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(500)));
        let desired = self.desired.clone();
        let news = stream::select(WatchStream::new(self.desired.subscribe()).map(drop), ticks.map(drop));
        let events = news.scan(after, move |seen, ()| {
            let desired = desired.borrow();
            let news = desired.log.iter().filter(|it| it.revision > *seen).cloned().map(Event::Change);
            let mut events: Vec<Event> = news.collect();
            *seen = desired.revision.max(*seen);
            events.push(Event::Progress(v1::Progress { revision: desired.revision, leader_age_ms: None }));
            std::future::ready(Some(stream::iter(events)))
        });
        Ok(Response::new(Box::pin(events.flatten().map(|event| Ok(v1::WatchEvent { event: Some(event) })))))
    }

    type FollowStream = Out<v1::FollowEvent>;

    async fn follow(&self, _: Request<v1::FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        unused()
    }

    async fn apply(&self, _: Request<v1::ApplyRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        unused()
    }

    async fn delete(&self, _: Request<v1::DeleteRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        unused()
    }
}

#[tonic::async_trait]
impl Signals for Parts {
    type WatchStream = Out<v1::Signal>;

    async fn watch(&self, _: Request<v1::SignalsRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let parts = self.clone();
        let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(50)));
        let signals = ticks.map(move |_| {
            let status = NodeStatus {
                node: parts.node.clone(),
                generation: 1,
                version: "0".to_owned(),
                digest: mesh_core::id::Digest::default(),
                applied: Revision(0),
                host: HostSample::default(),
                gpus: Probe::Unavailable("none".to_owned()),
                engines: parts.engines.borrow().clone(),
                router: None,
                unreachable: Vec::new(),
            };
            Ok(v1::Signal { status: Some(v1::NodeStatus::from(&status)) })
        });
        Ok(Response::new(Box::pin(signals)))
    }
}

#[tonic::async_trait]
impl Blobs for Parts {
    type GetStream = Out<v1::BlobChunk>;

    async fn get(&self, request: Request<v1::BlobRequest>) -> Result<Response<Self::GetStream>, Status> {
        let digest = request.into_inner().digest;
        let bytes =
            self.blobs.lock().unwrap().get(&digest).cloned().ok_or_else(|| Status::not_found("no such module"))?;
        let chunk = v1::BlobChunk { digest, data: bytes.into() };
        Ok(Response::new(Box::pin(stream::iter([Ok(chunk)]))))
    }

    async fn put(&self, _: Request<Streaming<v1::BlobChunk>>) -> Result<Response<v1::BlobInfo>, Status> {
        unused()
    }

    async fn stat(&self, _: Request<v1::BlobRequest>) -> Result<Response<v1::BlobInfo>, Status> {
        unused()
    }
}

#[tonic::async_trait]
impl RouterLink for Parts {
    async fn report(
        &self,
        request: Request<Streaming<v1::RouterSample>>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let mut samples = request.into_inner();
        while let Some(sample) = samples.message().await? {
            self.reports.send_replace(Some(sample));
        }
        Ok(Response::new(v1::ReportResponse {}))
    }
}
