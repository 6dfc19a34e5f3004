//! Rotation as it happens: leaves of half a minute, real connections, a stream that stays open.

use std::{net::SocketAddr, pin::Pin};

use mesh_core::{
    id::{Digest, Lineage, MeshName, NodeName},
    rbac,
    time::Timestamp,
};
use mesh_daemon::{Shutdown, Tasks};
use mesh_proto::{
    ca::{Issuer, save_authority},
    server::{Peer, serve},
    tls::write_dir,
    v1::{
        CreateTokenRequest, CreateTokenResponse, EnrollRequest, EnrollResponse, GossipKeysRequest, GossipKeysResponse,
        NodeStatus, RenewResponse, Signal, SignalsRequest,
        join_server::{Join, JoinServer},
        signals_client::SignalsClient,
        signals_server::{Signals, SignalsServer},
    },
};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, service::Routes};

use super::*;
use crate::api::auth::Gate;

/// The life of the leaves of these tests: two rotations take two thirds of it.
const LIFE: Duration = Duration::from_secs(30);

fn mesh() -> MeshName {
    MeshName::new("lab").unwrap()
}

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn issuing(root: &Issuer) -> Arc<Issuing> {
    let dir = tempfile::tempdir().unwrap();
    let (key, csr) = new_key_and_csr("lab").unwrap();
    let chain = root.sign_intermediate(&csr, clock::now()).unwrap();
    save_authority(dir.path(), &key, &chain, root.roots()).unwrap();
    Arc::new(Issuing::load(dir.path(), &mesh(), LIFE).unwrap())
}

fn identity(issuing: &Issuing, id: &Principal, at: Timestamp) -> (tempfile::TempDir, Identity) {
    let dir = tempfile::tempdir().unwrap();
    let (key, csr) = new_key_and_csr("x").unwrap();
    write_dir(dir.path(), &key, &issuing.sign(&csr, id, at).unwrap(), issuing.roots()).unwrap();
    let identity = Identity::load(dir.path()).unwrap();
    (dir, identity)
}

struct Renews(Arc<Issuing>);

#[tonic::async_trait]
impl Join for Renews {
    async fn enroll(&self, _: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        Err(Status::internal("not asked here"))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let peer = request.extensions().get::<Peer>().unwrap().clone();
        let holder = Holder { id: peer.id.unwrap(), key: peer.key.unwrap(), late: peer.late };
        let chain = self.0.renew(&Store::new(Lineage(0)), &holder, &request.get_ref().csr, clock::now())?;
        let wire = |ders: &[CertificateDer<'_>]| ders.iter().map(|it| bytes::Bytes::copy_from_slice(it)).collect();
        Ok(Response::new(RenewResponse { chain: wire(&chain), roots: wire(self.0.roots()) }))
    }

    async fn create_token(&self, _: Request<CreateTokenRequest>) -> Result<Response<CreateTokenResponse>, Status> {
        Err(Status::internal("not asked here"))
    }

    async fn gossip_keys(&self, _: Request<GossipKeysRequest>) -> Result<Response<GossipKeysResponse>, Status> {
        Err(Status::internal("not asked here"))
    }
}

struct Ticks;

#[tonic::async_trait]
impl Signals for Ticks {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Signal, Status>> + Send>>;

    async fn watch(&self, _: Request<SignalsRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let tick = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(50)));
        Ok(Response::new(Box::pin(tick.map(|_| Ok(Signal { status: Some(NodeStatus::default()) })))))
    }
}

struct Host {
    api: SocketAddr,
    stop: CancellationToken,
    _tasks: Tasks,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn host(identity: &Identity, issuing: &Arc<Issuing>, store: watch::Receiver<Arc<Store>>) -> Host {
    let routes = Routes::new(JoinServer::new(Renews(Arc::clone(issuing)))).add_service(SignalsServer::new(Ticks));
    let routes = Gate::new(store, &prometheus::Registry::new()).unwrap().guard(routes);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (api, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let tasks = Tasks::new(&Shutdown::new());
    tasks.spawn_free("api", serve(listener, identity.clone(), routes, stop.clone()));
    Host { api, stop, _tasks: tasks }
}

fn rotation(identity: &Identity, dir: &std::path::Path, host: &Host, own: Option<OwnIssuer>) -> Rotation {
    let coordinator = Coordinator { node: node("node-1"), api: host.api, voter: 1 };
    let coordinators: Coordinators = Arc::new(move || vec![coordinator.clone()]);
    Rotation {
        identity: identity.clone(),
        dir: dir.to_owned(),
        own,
        coordinators,
        after: super::super::life::RENEW_AFTER,
    }
}

#[tokio::test]
async fn certificates_are_renewed_twice_under_an_open_stream() {
    let root = Issuer::new_root(&mesh(), clock::now()).unwrap();
    let issuing = issuing(&root);
    let (_, store) = watch::channel(Arc::new(Store::new(Lineage(0))));
    let (server_dir, server) = identity(&issuing, &Principal::node(&mesh(), &node("node-1")), clock::now());
    let (client_dir, client) = identity(&issuing, &Principal::node(&mesh(), &node("node-2")), clock::now());
    let host = host(&server, &issuing, store.clone()).await;
    let own = OwnIssuer { issuing: Arc::clone(&issuing), store };
    let rotations =
        [rotation(&server, server_dir.path(), &host, Some(own)), rotation(&client, client_dir.path(), &host, None)];

    let mut stream = SignalsClient::new(channel(&client, host.api, server.me()))
        .watch(SignalsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let mut seen: [Vec<Digest>; 2] = [vec![server.key()], vec![client.key()]];
    let first_end = server.not_after().min(client.not_after());
    let watched = async {
        while seen.iter().any(|it| it.len() < 3) {
            stream.next().await.unwrap().expect("the stream stays open under both rotations");
            for (keys, identity) in seen.iter_mut().zip([&server, &client]) {
                if keys.last() != Some(&identity.key()) {
                    keys.push(identity.key());
                }
            }
        }
    };
    let [one, two] = rotations.map(Rotation::run);
    tokio::select! {
        () = watched => {}
        () = one => unreachable!("rotation never ends"),
        () = two => unreachable!("rotation never ends"),
        () = sleep(LIFE) => panic!("two rotations within one life: {seen:?}"),
    }
    assert!(clock::now() < first_end, "both rotations came before the first certificate ended");
    for (dir, identity) in [(&server_dir, &server), (&client_dir, &client)] {
        assert_eq!(Identity::load(dir.path()).unwrap().key(), identity.key(), "what is in use is on disk");
    }
    let mut again = SignalsClient::new(channel(&client, host.api, server.me()))
        .watch(SignalsRequest::default())
        .await
        .unwrap()
        .into_inner();
    again.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_host_that_slept_through_its_end_renews_with_the_same_key_and_may_do_nothing_else() {
    let root = Issuer::new_root(&mesh(), Timestamp(clock::now().0 - 100 * 24 * 3_600_000)).unwrap();
    let issuing = issuing(&root);
    let (_, store) = watch::channel(Arc::new(Store::new(Lineage(0))));
    let (_server_dir, server) = identity(&issuing, &Principal::node(&mesh(), &node("node-1")), clock::now());
    let host = host(&server, &issuing, store).await;
    // The intermediate was made now, so the leaf may not be older than that: it ends right away instead.
    let (dir, client) =
        identity(&issuing, &Principal::node(&mesh(), &node("node-2")), Timestamp(clock::now().0 - 60_000));
    assert!(client.not_after() < clock::now());

    let status =
        SignalsClient::new(channel(&client, host.api, server.me())).watch(SignalsRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
    assert!(status.message().contains("expired certificate"), "{status}");

    let key = client.key();
    rotation(&client, dir.path(), &host, None).renew().await.unwrap();
    assert!(client.not_after() > clock::now() && client.key() == key);
    SignalsClient::new(channel(&client, host.api, server.me())).watch(SignalsRequest::default()).await.unwrap();
}

#[tokio::test]
async fn nobody_to_ask_is_said_with_each_reason() {
    let root = Issuer::new_root(&mesh(), clock::now()).unwrap();
    let issuing = issuing(&root);
    let (dir, client) = identity(&issuing, &Principal::node(&mesh(), &node("node-2")), clock::now());
    let stranger = Issuer::new_root(&MeshName::new("far").unwrap(), clock::now()).unwrap();
    let dir_far = tempfile::tempdir().unwrap();
    stranger.save(dir_far.path()).unwrap();
    let far = Arc::new(Issuing::load(dir_far.path(), &MeshName::new("far").unwrap(), LIFE).unwrap());
    assert!(Issuing::load(dir_far.path(), &mesh(), LIFE).is_err());
    let (_, store) = watch::channel(Arc::new(Store::new(Lineage(0))));
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let host = Host { api: gone, stop: CancellationToken::new(), _tasks: Tasks::new(&Shutdown::new()) };
    let key = client.key();
    let error =
        rotation(&client, dir.path(), &host, Some(OwnIssuer { issuing: far, store })).renew().await.unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.contains("own authority: the authority of mesh `far` may not sign")
            && text.contains("node-1: cannot reach"),
        "{text}"
    );
    assert_eq!(client.key(), key);
}

#[tokio::test]
async fn a_stream_ends_when_a_binding_goes_and_a_viewer_changes_nothing() {
    use mesh_core::{
        id::RequestId,
        kind::Kind,
        object::Key,
        store::{Command, Expect, Op, apply},
    };
    let root = Issuer::new_root(&mesh(), clock::now()).unwrap();
    let issuing = issuing(&root);
    let mut state = Store::new(Lineage(0));
    let ada: Principal = "spiffe://lab/operator/ada".parse().unwrap();
    let key = Key::new(Kind::Binding, ada.name.clone());
    let command = |id: u128, op: Op| Command {
        id: RequestId(id),
        actor: ada.clone(),
        at: Timestamp(1),
        level: 1,
        reason: None,
        ops: vec![op],
    };
    apply(
        &mut state,
        &command(
            1,
            Op::Put { key: key.clone(), spec: bytes::Bytes::from_static(br#"{"role":"viewer"}"#), expect: Expect::Any },
        ),
    );
    let (sender, store) = watch::channel(Arc::new(state.clone()));
    let (_server_dir, server) = identity(&issuing, &Principal::node(&mesh(), &node("node-1")), clock::now());
    let host = host(&server, &issuing, store).await;
    let (_dir, client) = identity(&issuing, &ada, clock::now());
    let operator = channel(&client, host.api, server.me());

    let status = JoinClient::new(operator.clone()).create_token(CreateTokenRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::PermissionDenied);
    assert!(status.message().contains("(viewer) may not write tokens: rule `members-look` is nearest"), "{status}");
    let mut stream = SignalsClient::new(operator).watch(SignalsRequest::default()).await.unwrap().into_inner();
    stream.next().await.unwrap().unwrap();
    apply(&mut state, &command(2, Op::Delete { key, expect: Expect::Any }));
    assert_eq!(rbac::role_of(Some(&ada), &state), rbac::Role::Unbound);
    sender.send_replace(Arc::new(state));
    let ended = timeout(Duration::from_secs(5), async {
        loop {
            if let Err(status) = stream.next().await.unwrap() {
                return status;
            }
        }
    });
    let status = ended.await.expect("the stream ends by itself");
    assert_eq!(status.code(), tonic::Code::PermissionDenied, "{status}");
}
