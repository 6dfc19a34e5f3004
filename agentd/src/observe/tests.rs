//! Observation as a whole: real services and streams over loopback, without the certificates, which have their tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use mesh_core::{
    id::{Lineage, ObjectName, Principal, RequestId, Revision},
    kind::{self, Kind, NodeSpec, Role},
    object::Key,
    status::{HostSample, RouterSample},
    store::{Command, Expect, Op, apply},
};
use mesh_daemon::Shutdown;
use mesh_proto::{
    ca::{self, Issuer},
    client,
    server::Peer,
    tls::{self, Identity},
    v1::{
        self, Signal, SignalsRequest,
        router_link_client::RouterLinkClient,
        router_link_server::RouterLinkServer,
        signals_client::SignalsClient,
        signals_server::{Signals, SignalsServer},
    },
};
use prometheus::Registry;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, async_trait, service::Routes, transport::Endpoint};

use super::*;
use crate::gossip::{GossipMember, GossipState, GossipView, Pulse};

const SOON: Duration = Duration::from_secs(20);
const FAST: ObserveTiming = ObserveTiming {
    min_interval: Duration::from_millis(50),
    keyframe: Duration::from_millis(200),
    patience: Duration::from_secs(5),
    doubt: Duration::from_millis(500),
    reconnect_max: Duration::from_millis(200),
};

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

fn mesh() -> MeshName {
    MeshName::new("lab").unwrap()
}

fn put(store: &mut Store, node: &str, role: Role, api: SocketAddr) {
    let spec = NodeSpec {
        roles: BTreeSet::from([role]),
        address: "127.0.0.1".into(),
        api: api.to_string(),
        gossip: "127.0.0.1:9".into(),
        voter: (role == Role::Coordinator).then_some(1),
        ..NodeSpec::default()
    };
    let command = Command {
        id: RequestId(u128::from(store.revision().0) + 1),
        actor: Principal::operator(&mesh(), ObjectName::new("ada").unwrap()),
        at: Timestamp(1),
        level: 1,
        reason: None,
        ops: vec![Op::Put {
            key: Key::new(Kind::Node, ObjectName::new(node).unwrap()),
            spec: kind::write(&spec),
            expect: Expect::Any,
        }],
    };
    apply(store, &command);
}

fn plain() -> Dial {
    Arc::new(|_, api| Endpoint::from_shared(format!("http://{api}")).unwrap().connect_lazy())
}

/// A server that is gone, with its port, when this is dropped.
struct Serving(CancellationToken, Option<std::thread::JoinHandle<()>>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.cancel();
        // One that failed has already said so.
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

/// Serves routes until the guard goes; then all connections are gone from one moment to the next.
fn serve(addr: Option<SocketAddr>, routes: Routes) -> (SocketAddr, Serving) {
    serve_as(None, addr, routes)
}

/// Serves routes under an identity, or in the clear without one.
fn serve_as(identity: Option<Identity>, addr: Option<SocketAddr>, routes: Routes) -> (SocketAddr, Serving) {
    let listener = std::net::TcpListener::bind(addr.unwrap_or(([127, 0, 0, 1], 0).into())).unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    // A runtime of its own: connections are tasks that outlive the server otherwise.
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let serving: BoxFuture<'_, ()> = match identity {
                Some(identity) => {
                    let never = CancellationToken::new();
                    mesh_proto::server::serve(listener, identity, routes, never).map(Result::unwrap).boxed()
                }
                None => {
                    let server = tonic::transport::Server::builder().add_routes(routes);
                    server.serve_with_incoming(TcpListenerStream::new(listener)).map(Result::unwrap).boxed()
                }
            };
            tokio::select! {
                () = serving => {}
                () = stopped => {}
            }
        });
    });
    (addr, Serving(stop, Some(thread)))
}

/// One observing node and what a test moves it with.
struct Observing {
    handle: ObserveHandle,
    store: watch::Sender<Arc<Store>>,
    local: watch::Sender<Arc<LocalSample>>,
    members: watch::Sender<Arc<GossipView>>,
    gossip: GossipHandle,
    _tasks: Tasks,
}

impl Observing {
    fn start(node: &str, store: &Store, dial: Option<Dial>, timing: ObserveTiming) -> Self {
        let (store, desired) = watch::channel(Arc::new(store.clone()));
        let (local, sampled) = watch::channel(Arc::default());
        let (members, view) = watch::channel(Arc::default());
        let api = "127.0.0.1:1".parse().unwrap();
        let first = GossipState { version: "0".into(), api, verified: false, applied: Revision(0) };
        let gossip = GossipHandle::stated(view, first);
        let config = ObserveConfig {
            mesh: mesh(),
            node: name(node),
            api,
            version: "0.1.0".into(),
            digest: Digest([1; 32]),
            timing,
        };
        let tasks = Tasks::new(&Shutdown::new());
        let inputs = Inputs { store: desired, local: sampled, gossip: gossip.clone(), dial };
        let metrics = ObserveMetrics::register(&Registry::new()).unwrap();
        let handle = start(config, inputs, metrics, &tasks);
        Self { handle, store, local, members, gossip, _tasks: tasks }
    }

    fn routes(&self) -> Routes {
        Routes::new(SignalsServer::new(self.handle.signals()))
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Observed) -> bool) {
        let mut observed = self.handle.observed();
        let found = tokio::time::timeout(SOON, observed.wait_for(|it| wanted(it))).await.is_ok();
        assert!(found, "{what}: it stays at {:?}", self.handle.observed().borrow());
    }

    async fn sees(&self, node: &str, phase: Phase) {
        self.until(&format!("{node} {phase}"), |it| it.nodes.get(&name(node)).is_some_and(|it| it.phase == phase))
            .await;
    }
}

fn host(cpus: u32) -> Arc<LocalSample> {
    let host = HostSample { cpus: Some(cpus), ..HostSample::default() };
    Arc::new(LocalSample { host, ..LocalSample::default() })
}

#[tokio::test]
async fn a_node_is_seen_alive_lost_and_alive_again() {
    let mut desired = Store::new(Lineage(1));
    let seven = Observing::start("node-7", &desired, None, FAST);
    let (addr, running) = serve(None, seven.routes());
    put(&mut desired, "node-1", Role::Coordinator, "127.0.0.1:1".parse().unwrap());
    put(&mut desired, "node-7", Role::Gpu, addr);
    let one = Observing::start("node-1", &desired, Some(plain()), FAST);
    // It speaks, and has not applied what lists it.
    one.sees("node-7", Phase::Verifying).await;
    seven.store.send_replace(Arc::new(desired.clone()));
    one.sees("node-7", Phase::Ready).await;
    one.sees("node-1", Phase::Ready).await;
    seven.local.send_replace(host(42));
    let told = |it: &Observed| it.nodes[&name("node-7")].status.as_ref().is_some_and(|it| it.host.cpus == Some(42));
    one.until("news", told).await;
    assert!(one.gossip.said().verified && one.gossip.said().applied == desired.revision());
    drop(running);
    let began = Instant::now();
    one.sees("node-7", Phase::Lost).await;
    assert!(began.elapsed() < FAST.patience, "a broken stream is seen at once");
    assert_eq!(one.handle.own().unreachable, [name("node-7")]);
    let lost = one.handle.observed().borrow().nodes[&name("node-7")].clone();
    assert!(lost.status.is_some() && lost.age_ms(Instant::now()).is_some(), "the last statement stays, with its age");
    let (_, _running) = serve(Some(addr), seven.routes());
    one.sees("node-7", Phase::Ready).await;
    assert!(one.handle.own().unreachable.is_empty());
}

/// A node that says what it is told to: once, or for ever at the pace of a keyframe.
struct Scripted {
    status: NodeStatus,
    repeats: bool,
}

#[async_trait]
impl Signals for Scripted {
    type WatchStream = stream::BoxStream<'static, Result<Signal, Status>>;
    async fn watch(&self, _: Request<SignalsRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let signal = Signal { status: Some((&self.status).into()) };
        let repeats = self.repeats;
        let after = stream::repeat(signal.clone()).filter_map(move |signal| async move {
            let wait = if repeats { FAST.keyframe } else { Duration::MAX };
            tokio::time::sleep(wait).await;
            Some(Ok(signal))
        });
        Ok(Response::new(stream::iter([Ok(signal)]).chain(after).boxed()))
    }
}

fn scripted(says: &str, unreachable: &[&str]) -> (SocketAddr, Serving) {
    let store = Store::new(Lineage(1));
    let mut status = Observing::start(says, &store, None, FAST).handle.own();
    status.unreachable = unreachable.iter().map(|it| name(it)).collect();
    // Who has something to say against another says it again, as coordinators do.
    let repeats = !unreachable.is_empty();
    serve(None, Routes::new(SignalsServer::new(Scripted { status, repeats })))
}

#[tokio::test]
async fn a_silent_node_is_lost_and_one_that_others_lost_sooner() {
    let (seven, _seven) = scripted("node-7", &[]);
    let (two, _two) = scripted("node-2", &["node-7"]);
    let mut desired = Store::new(Lineage(1));
    put(&mut desired, "node-1", Role::Coordinator, "127.0.0.1:1".parse().unwrap());
    put(&mut desired, "node-7", Role::Gpu, seven);
    let lost_after = async |desired: &Store, timing: ObserveTiming| {
        let one = Observing::start("node-1", desired, Some(plain()), timing);
        one.until("alive", |it| it.nodes.get(&name("node-7")).is_some_and(|it| it.seen.alive)).await;
        let began = Instant::now();
        one.sees("node-7", Phase::Lost).await;
        began.elapsed()
    };
    lost_after(&desired, ObserveTiming { patience: Duration::from_millis(300), ..FAST }).await;
    // Alone it would be waited for; node-2, a coordinator, says that it is gone.
    put(&mut desired, "node-2", Role::Coordinator, two);
    let patient = ObserveTiming { patience: SOON * 2, ..FAST };
    assert!(lost_after(&desired, patient).await < SOON);
}

#[tokio::test]
async fn who_speaks_for_another_is_not_believed() {
    let (seven, _seven) = scripted("node-6", &[]);
    let mut desired = Store::new(Lineage(1));
    put(&mut desired, "node-7", Role::Gpu, seven);
    let one = Observing::start("node-1", &desired, Some(plain()), FAST);
    let mut broken = one.handle.signals.own.unreachable.clone();
    tokio::time::timeout(SOON, broken.wait_for(|it| it.contains(&name("node-7")))).await.unwrap().unwrap();
    let seen = one.handle.observed().borrow().nodes[&name("node-7")].clone();
    assert_eq!((seen.phase, seen.status), (Phase::Joining, None));
}

#[tokio::test]
async fn without_streams_gossip_says_who_is_alive() {
    let mut desired = Store::new(Lineage(1));
    put(&mut desired, "node-4", Role::Router, "127.0.0.1:1".parse().unwrap());
    put(&mut desired, "node-7", Role::Gpu, "127.0.0.1:2".parse().unwrap());
    let four = Observing::start("node-4", &desired, None, FAST);
    four.sees("node-4", Phase::Ready).await;
    four.sees("node-7", Phase::Joining).await;
    let member = |pulse| {
        let state = GossipState {
            version: "0.1.0".into(),
            api: "127.0.0.1:2".parse().unwrap(),
            verified: true,
            applied: desired.revision(),
        };
        let member = GossipMember { generation: 1, pulse, since: Instant::now(), state: Some(state) };
        Arc::new(GossipView::from([(name("node-7"), member)]))
    };
    four.members.send_replace(member(Pulse::Live));
    four.sees("node-7", Phase::Ready).await;
    four.members.send_replace(member(Pulse::Dead));
    four.sees("node-7", Phase::Lost).await;
    assert_eq!(four.handle.observed().borrow().nodes[&name("node-7")].status, None);
}

#[tokio::test]
async fn statements_come_no_faster_than_asked_and_no_slower_than_a_keyframe() {
    let node = Observing::start("node-7", &Store::new(Lineage(1)), None, FAST);
    let (addr, _running) = serve(None, node.routes());
    let channel = plain()(&name("node-7"), addr);
    let mut client = SignalsClient::new(channel.clone());
    let mut watch = async |min_interval_ms| client.watch(SignalsRequest { min_interval_ms }).await;
    for wrong in [0, 49, 10_001] {
        assert_eq!(watch(wrong).await.unwrap_err().code(), Code::InvalidArgument, "{wrong}");
    }
    let mut stream = watch(100).await.unwrap().into_inner();
    let began = Instant::now();
    for cpus in 1..=100 {
        node.local.send_replace(host(cpus));
        tokio::task::yield_now().await;
    }
    let mut statements = 0_u32;
    let said = async |stream: &mut tonic::Streaming<Signal>| {
        let signal = tokio::time::timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
        NodeStatus::try_from(signal.status.unwrap()).unwrap()
    };
    while said(&mut stream).await.host.cpus != Some(100) {
        statements += 1;
    }
    assert!(u128::from(statements) <= 1 + began.elapsed().as_millis() / 100, "{statements} for 100 changes");
    // Nothing changes any more, and it speaks on.
    said(&mut stream).await;
    said(&mut stream).await;
    let mut streams = vec![stream];
    while streams.len() < serve::STREAMS_MAX {
        streams.push(watch(1000).await.unwrap().into_inner());
    }
    assert_eq!(watch(1000).await.unwrap_err().code(), Code::ResourceExhausted);
    streams.pop();
    let freed = tokio::time::timeout(SOON, async { while watch(1000).await.is_err() {} });
    assert!(freed.await.is_ok(), "a stream that ended frees its place");
}

fn sample(queued: u32) -> RouterSample {
    RouterSample {
        listen: "http://127.0.0.1:8080".into(),
        metrics: "http://127.0.0.1:8080/metrics".into(),
        acked: Revision(3),
        inflight: Vec::new(),
        queued,
        strategy: None,
        decisions: Vec::new(),
        traffic: Vec::new(),
        age_ms: 5,
    }
}

#[tokio::test]
async fn the_newest_stream_of_the_own_router_counts() {
    let node = Observing::start("node-4", &Store::new(Lineage(1)), None, FAST);
    let service = RouterLinkServer::with_interceptor(node.handle.router_link(), |mut request: Request<()>| {
        let id = request.metadata().get("id").and_then(|id| id.to_str().ok()?.parse().ok());
        request.extensions_mut().insert(Peer { id, key: None, late: false, addr: ([127, 0, 0, 1], 1).into() });
        Ok(request)
    });
    let (addr, _running) = serve(None, Routes::new(service));
    let channel = plain()(&name("node-4"), addr);
    let report = |id: Principal| {
        let (tx, rx) = mpsc::channel::<v1::RouterSample>(4);
        let mut request = Request::new(ReceiverStream::new(rx));
        request.metadata_mut().insert("id", id.to_string().parse().unwrap());
        let mut client = RouterLinkClient::new(channel.clone());
        (tx, async move { client.report(request).await })
    };
    for stranger in [Principal::router(&mesh(), &name("node-5")), Principal::node(&mesh(), &name("node-4"))] {
        let (_tx, answer) = report(stranger);
        assert_eq!(answer.await.unwrap_err().code(), Code::PermissionDenied);
    }
    let own = Principal::router(&mesh(), &name("node-4"));
    let mut heard = node.handle.signals.own.router.clone();
    let mut until = async |queued: Option<u32>| {
        let wanted = |it: &Option<own::RouterReport>| it.as_ref().map(|it| it.sample.queued) == queued;
        assert!(tokio::time::timeout(SOON, heard.wait_for(wanted)).await.is_ok(), "{queued:?}");
    };
    let (first, answer) = report(own.clone());
    #[expect(clippy::disallowed_methods, reason = "it is awaited below")]
    let answer = tokio::spawn(answer);
    first.send((&sample(1)).into()).await.unwrap();
    until(Some(1)).await;
    let age = || node.handle.own().router.unwrap().age_ms;
    let before = age();
    assert!(before >= 5);
    let older = tokio::time::timeout(SOON, async {
        while age() < before + 20 {
            tokio::task::yield_now().await;
        }
    });
    assert!(older.await.is_ok(), "a report that is not renewed grows older");
    let (second, ending) = report(own);
    #[expect(clippy::disallowed_methods, reason = "it is awaited below")]
    let ending = tokio::spawn(ending);
    second.send((&sample(2)).into()).await.unwrap();
    until(Some(2)).await;
    assert_eq!(answer.await.unwrap().unwrap_err().code(), Code::Aborted);
    drop(second);
    ending.await.unwrap().unwrap();
    until(None).await;
    assert_eq!(node.handle.own().router, None);
}

fn leaf(root: &Issuer, id: &Principal) -> Identity {
    let (key, csr) = ca::new_key_and_csr(&id.to_string()).unwrap();
    let chain = root.sign_leaf(&csr, id, Duration::from_secs(3600), tls::now()).unwrap();
    Identity::from_parts(&key, chain, root.roots().to_vec()).unwrap()
}

#[tokio::test]
async fn over_mutual_tls_only_the_named_node_is_heard() {
    let root = Issuer::new_root(&mesh(), tls::now()).unwrap();
    let node = |text: &str| leaf(&root, &Principal::node(&mesh(), &name(text)));
    let (own, dials) = (node("node-1"), Arc::new(AtomicUsize::new(0)));
    let dialled = Arc::clone(&dials);
    let dial: Dial = Arc::new(move |to, api| {
        dialled.fetch_add(1, Ordering::Relaxed);
        client::channel(&own, api, Principal::node(&mesh(), to))
    });
    let mut desired = Store::new(Lineage(1));
    let seven = Observing::start("node-7", &desired, None, FAST);
    let (addr, running) = serve_as(Some(node("node-7")), None, seven.routes());
    put(&mut desired, "node-7", Role::Gpu, addr);
    seven.store.send_replace(Arc::new(desired.clone()));
    let one = Observing::start("node-1", &desired, Some(dial), FAST);
    one.sees("node-7", Phase::Ready).await;
    drop(running);
    one.sees("node-7", Phase::Lost).await;
    // At its address another node of the mesh answers, and says what node-7 would say.
    let (_, impostor) = serve_as(Some(node("node-6")), Some(addr), seven.routes());
    let before = dials.load(Ordering::Relaxed);
    let tried = tokio::time::timeout(SOON, async {
        while dials.load(Ordering::Relaxed) < before + 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(tried.await.is_ok());
    assert_eq!(one.handle.observed().borrow().nodes[&name("node-7")].phase, Phase::Lost);
    drop(impostor);
    let (_, _running) = serve_as(Some(node("node-7")), Some(addr), seven.routes());
    one.sees("node-7", Phase::Ready).await;
}

#[tokio::test]
async fn a_router_reports_with_its_certificate() {
    let root = Issuer::new_root(&mesh(), tls::now()).unwrap();
    let agent = Principal::node(&mesh(), &name("node-4"));
    let node = Observing::start("node-4", &Store::new(Lineage(1)), None, FAST);
    let routes = Routes::new(RouterLinkServer::new(node.handle.router_link()));
    let (addr, _running) = serve_as(Some(leaf(&root, &agent)), None, routes);
    let answers = async |caller: Principal| {
        let mut client = RouterLinkClient::new(client::channel(&leaf(&root, &caller), addr, agent.clone()));
        client.report(stream::iter([(&sample(7)).into()])).await.map(|_| ())
    };
    let (own, other) = (Principal::router(&mesh(), &name("node-4")), Principal::router(&mesh(), &name("node-5")));
    assert_eq!(answers(own).await.map_err(|status| status.code()), Ok(()));
    assert_eq!(answers(other).await.map_err(|status| status.code()), Err(Code::PermissionDenied));
}
