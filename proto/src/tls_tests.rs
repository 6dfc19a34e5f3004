//! Who talks to whom, who is refused and with which words, and what happens to open streams.

use std::{net::SocketAddr, pin::Pin};

use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, transport::Channel};

use super::*;
use crate::{
    ca::{Issuer, new_key_and_csr, save_authority},
    client::{ConnectError, channel, enroll_channel},
    server::{Peer, serve},
    v1::{
        NodeStatus, Signal, SignalsRequest,
        signals_client::SignalsClient,
        signals_server::{Signals, SignalsServer},
    },
};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY_MS: u64 = 24 * 3_600 * 1000;

/// A mesh with a root and two coordinators that issue.
struct Lab {
    mesh: MeshName,
    root: Issuer,
    a: Issuer,
    b: Issuer,
}

impl Lab {
    fn new(mesh: &str) -> Self {
        let mesh = MeshName::new(mesh).unwrap();
        // Old enough that certificates of the past and of an issuer in the past can be made.
        let then = Timestamp(now().0 - 100 * DAY_MS);
        let root = Issuer::new_root(&mesh, then).unwrap();
        let (a, b) = (intermediate(&root, then), intermediate(&root, then));
        Self { mesh, root, a, b }
    }

    fn id(&self, path: &str) -> Principal {
        format!("spiffe://{}/{path}", self.mesh).parse().unwrap()
    }

    fn leaf(&self, issuer: &Issuer, path: &str) -> Identity {
        self.leaf_at(issuer, path, HOUR, now())
    }

    fn leaf_at(&self, issuer: &Issuer, path: &str, ttl: Duration, at: Timestamp) -> Identity {
        let (key, csr) = new_key_and_csr(path).unwrap();
        let chain = issuer.sign_leaf(&csr, &self.id(path), ttl, at).unwrap();
        Identity::unchecked(&key, chain, issuer.roots().to_vec())
    }
}

fn intermediate(root: &Issuer, at: Timestamp) -> Issuer {
    let (key, csr) = new_key_and_csr(root.mesh().as_str()).unwrap();
    load_issuer(&key, &root.sign_intermediate(&csr, at).unwrap(), root)
}

fn load_issuer(key: &str, chain: &[CertificateDer<'_>], root: &Issuer) -> Issuer {
    let dir = tempfile::tempdir().unwrap();
    save_authority(dir.path(), key, chain, root.roots()).unwrap();
    Issuer::load(dir.path()).unwrap()
}

/// Says who is asking, again and again.
struct Echo;

#[tonic::async_trait]
impl Signals for Echo {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Signal, Status>> + Send>>;

    async fn watch(&self, request: Request<SignalsRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let peer = request.extensions().get::<Peer>().unwrap().clone();
        let node = format!(
            "{}{}",
            peer.id.map_or("anonymous".to_owned(), |it| it.to_string()),
            if peer.late { " late" } else { "" }
        );
        let tick = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(10)));
        let signal = move |_| Ok(Signal { status: Some(NodeStatus { node: node.clone(), ..NodeStatus::default() }) });
        Ok(Response::new(Box::pin(tick.map(signal))))
    }
}

struct Served {
    api: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn served(identity: &Identity) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (api, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let routes = tonic::service::Routes::new(SignalsServer::new(Echo));
    tokio::spawn(serve(listener, identity.clone(), routes, stop.clone()));
    Served { api, stop }
}

async fn open(channel: Channel) -> Result<Streaming<Signal>, Status> {
    Ok(SignalsClient::new(channel).watch(SignalsRequest::default()).await?.into_inner())
}

async fn next(stream: &mut Streaming<Signal>) -> Result<String, Status> {
    let signal = stream.next().await.unwrap_or_else(|| Err(Status::unavailable("ended")))?;
    Ok(signal.status.unwrap().node)
}

async fn ask(channel: Channel) -> Result<String, Status> {
    next(&mut open(channel).await?).await
}

/// A call from `client` to `server`, expecting `id`: who the server saw, or the sentence.
async fn check(client: &Identity, server: &Identity, id: &Principal, expected: Result<&str, &str>) {
    let served = served(server).await;
    match (ask(channel(client, served.api, id.clone())).await, expected) {
        (Ok(seen), Ok(expected)) => assert_eq!(seen, expected),
        (Err(status), Err(part)) => {
            assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
            assert!(status.message().contains(part), "`{}` lacks `{part}`", status.message());
            assert!(ConnectError::of(&status).is_some_and(ConnectError::is_identity), "{status:?}");
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

#[tokio::test]
async fn parts_of_one_mesh_talk_whoever_issued_them() {
    let lab = Lab::new("lab");
    let (one, two) = (lab.leaf(&lab.a, "node/node-1"), lab.leaf(&lab.b, "node/node-2"));
    check(&one, &two, &two.me(), Ok("spiffe://lab/node/node-1")).await;
    check(&lab.leaf(&lab.root, "operator/ada"), &one, &one.me(), Ok("spiffe://lab/operator/ada")).await;
    check(
        &lab.leaf(&lab.b, "router/node-4"),
        &lab.leaf(&lab.root, "node/node-3"),
        &lab.id("node/node-3"),
        Ok("spiffe://lab/router/node-4"),
    )
    .await;
    check(&one, &one, &one.me(), Ok("spiffe://lab/node/node-1")).await;
}

#[tokio::test]
async fn servers_that_are_not_whom_we_want_are_refused() {
    let (lab, twin, other) = (Lab::new("lab"), Lab::new("lab"), Lab::new("other"));
    let client = lab.leaf(&lab.a, "node/node-1");
    let refused = async |server: Identity, part: &str| check(&client, &server, &lab.id("node/node-2"), Err(part)).await;
    refused(
        lab.leaf(&lab.b, "node/node-3"),
        "wrong identity: expected `spiffe://lab/node/node-2`, but `spiffe://lab/node/node-3` answers",
    )
    .await;
    refused(
        other.leaf(&other.a, "node/node-2"),
        "certificate of another mesh: `spiffe://other/node/node-2` does not belong to mesh `lab`",
    )
    .await;
    refused(
        twin.leaf(&twin.a, "node/node-2"),
        "certificate of another mesh: what calls itself `spiffe://lab/node/node-2`",
    )
    .await;
    refused(lab.leaf(&lab.a, "operator/ada"), "not made for this use").await;

    let past = Timestamp(now().0 - 2 * 3_600_000);
    refused(
        lab.leaf_at(&lab.a, "node/node-2", HOUR, past),
        "expired: the certificate of `spiffe://lab/node/node-2` ended at",
    )
    .await;
    let future = Timestamp(now().0 + 3_600_000);
    refused(
        lab.leaf_at(&lab.a, "node/node-2", HOUR, future),
        "not yet valid: the certificate of `spiffe://lab/node/node-2` begins at",
    )
    .await;

    let (key, csr) = new_key_and_csr("x").unwrap();
    let mut chain = lab.a.sign_leaf(&csr, &lab.id("node/node-2"), HOUR, now()).unwrap();
    chain.truncate(1);
    refused(Identity::unchecked(&key, chain, lab.root.roots().to_vec()), "came without its issuer's certificate").await;
}

#[tokio::test]
async fn an_intermediate_signs_for_its_own_mesh_and_makes_no_authority() {
    let lab = Lab::new("lab");
    let client = lab.leaf(&lab.a, "node/node-1");
    let served_by = |issuer: &Issuer, above: &[CertificateDer<'static>]| {
        let (key, csr) = new_key_and_csr("x").unwrap();
        let mut chain = issuer.sign_leaf(&csr, &lab.id("node/node-2"), HOUR, now());
        // An issuer of another mesh refuses; a thief who holds its key does not.
        if chain.is_err() {
            let dir = tempfile::tempdir().unwrap();
            issuer.save(dir.path()).unwrap();
            chain = Issuer::load(dir.path()).unwrap().claiming(&lab.mesh).sign_leaf(
                &csr,
                &lab.id("node/node-2"),
                HOUR,
                now(),
            );
        }
        let chain = [&chain.unwrap()[..1], above].concat();
        Identity::unchecked(&key, chain, lab.root.roots().to_vec())
    };
    let (key, csr) = new_key_and_csr("sub").unwrap();
    let made = lab.a.forge_authority(&csr, &lab.mesh, now());
    let server = served_by(&load_issuer(&key, &made[..1], &lab.root), &made);
    check(&client, &server, &server.me(), Err("certificate of `spiffe://lab/node/node-2` is not valid")).await;

    let (key, csr) = new_key_and_csr("far").unwrap();
    let made = lab.root.forge_authority(&csr, &MeshName::new("far").unwrap(), now());
    let server = served_by(&load_issuer(&key, &made[..1], &lab.root), &made[..1]);
    check(&client, &server, &server.me(), Err("has an issuer that may not sign it: it signs for mesh `far`")).await;
}

#[tokio::test]
async fn clients_that_are_refused_are_told_why() {
    let (lab, twin) = (Lab::new("lab"), Lab::new("lab"));
    let server = lab.leaf(&lab.a, "node/node-1");
    server.deny([lab.id("operator/eve")].into());
    let refused = async |client: Identity, part: &str| check(&client, &server, &server.me(), Err(part)).await;
    refused(
        lab.leaf(&lab.b, "operator/eve"),
        "revoked: `spiffe://lab/node/node-1` refuses `spiffe://lab/operator/eve`",
    )
    .await;
    let past = Timestamp(now().0 - 2 * 3_600_000);
    refused(
        lab.leaf_at(&lab.a, "operator/ada", HOUR, past),
        "expired: the certificate of `spiffe://lab/operator/ada` ended at",
    )
    .await;
    let future = Timestamp(now().0 + 3_600_000);
    refused(
        lab.leaf_at(&lab.a, "node/node-2", HOUR, future),
        "is the clock of `spiffe://lab/node/node-2` or of `spiffe://lab/node/node-1` wrong?",
    )
    .await;
    // A client of another authority that trusts ours: only the server can refuse it.
    let (key, csr) = new_key_and_csr("x").unwrap();
    let chain = twin.a.sign_leaf(&csr, &lab.id("node/node-2"), HOUR, now()).unwrap();
    refused(
        Identity::unchecked(&key, chain, lab.root.roots().to_vec()),
        "certificate of another mesh: `spiffe://lab/node/node-1` does not trust",
    )
    .await;
}

#[tokio::test]
async fn a_node_whose_certificate_has_ended_is_let_in_as_late_for_thirty_days() {
    let lab = Lab::new("lab");
    let server = lab.leaf(&lab.a, "node/node-1");
    let since = |days: u64| lab.leaf_at(&lab.b, "node/node-2", HOUR, Timestamp(now().0 - days * DAY_MS));
    check(&since(8), &server, &server.me(), Ok("spiffe://lab/node/node-2 late")).await;
    check(&since(31), &server, &server.me(), Err("expired")).await;
}

#[tokio::test]
async fn a_stranger_pins_the_root() {
    let (lab, twin) = (Lab::new("lab"), Lab::new("lab"));
    let server = served(&lab.leaf(&lab.a, "node/node-1")).await;
    assert_eq!(ask(enroll_channel(server.api, lab.b.fingerprint())).await.unwrap(), "anonymous");
    let status = ask(enroll_channel(server.api, twin.root.fingerprint())).await.unwrap_err();
    assert!(status.message().contains("wrong mesh"), "{status}");
    assert!(ConnectError::of(&status).is_some_and(ConnectError::is_foreign));
}

#[tokio::test]
async fn nobody_there_is_not_an_identity_problem() {
    let lab = Lab::new("lab");
    let client = lab.leaf(&lab.a, "node/node-1");
    let api = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let status = ask(channel(&client, api, lab.id("node/node-2"))).await.unwrap_err();
    assert!(status.message().contains("cannot reach `spiffe://lab/node/node-2` at 127.0.0.1:"), "{status}");
    assert!(ConnectError::of(&status).is_some_and(|it| !it.is_identity()));
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_leaves_streams_alone() {
    let lab = Lab::new("lab");
    let (client, server) = (lab.leaf(&lab.a, "node/node-1"), lab.leaf(&lab.a, "node/node-2"));
    let served = served(&server).await;
    let mut stream = open(channel(&client, served.api, server.me())).await.unwrap();
    next(&mut stream).await.unwrap();
    for identity in [&client, &server] {
        let (dir, (key, csr)) = (tempfile::tempdir().unwrap(), new_key_and_csr("x").unwrap());
        let (old, mut chain) = (identity.key(), lab.b.sign_leaf(&csr, &identity.me(), 2 * HOUR, now()).unwrap());
        let wrong = lab.b.sign_leaf(&csr, &lab.id("node/node-9"), HOUR, now()).unwrap();
        let error = identity.save_and_replace(dir.path(), &key, &wrong, lab.root.roots()).unwrap_err().to_string();
        assert!(error.contains("node-9"), "{error}");
        assert_eq!(
            (identity.key(), fs::read_dir(dir.path()).unwrap().count()),
            (old, 0),
            "a refused certificate changes nothing"
        );
        identity.save_and_replace(dir.path(), &key, &chain, lab.root.roots()).unwrap();
        assert_ne!(identity.key(), old);
        assert_eq!(Identity::load(dir.path()).unwrap().key(), identity.key());
        chain.truncate(1);
        assert!(identity.save_and_replace(dir.path(), &key, &chain, lab.root.roots()).is_err());
    }
    ask(channel(&client, served.api, server.me())).await.unwrap();
    next(&mut stream).await.unwrap();
}

#[tokio::test]
async fn a_denial_ends_open_streams_on_either_side() {
    let lab = Lab::new("lab");
    let (client, server) = (lab.leaf(&lab.a, "node/node-1"), lab.leaf(&lab.b, "node/node-2"));
    for (who, denied) in [(&server, client.me()), (&client, server.me())] {
        let served = served(&server).await;
        let channel = channel(&client, served.api, server.me());
        let mut stream = open(channel.clone()).await.unwrap();
        next(&mut stream).await.unwrap();
        who.deny([lab.id("node/node-9")].into());
        next(&mut stream).await.unwrap();
        who.deny([denied].into());
        let ended =
            tokio::time::timeout(Duration::from_secs(2), async { while next(&mut stream).await.is_ok() {} }).await;
        assert!(ended.is_ok(), "the open stream goes on");
        let status = ask(channel.clone()).await.unwrap_err();
        assert!(status.message().contains("revoked"), "{status}");
        who.deny(BTreeSet::new());
        ask(channel).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_does_not_outlive_its_proof() {
    let lab = Lab::new("lab");
    let server = lab.leaf(&lab.b, "node/node-2");
    let client = lab.leaf_at(&lab.a, "node/node-1", Duration::from_secs(2), now());
    let served = served(&server).await;
    let mut stream = open(channel(&client, served.api, server.me())).await.unwrap();
    next(&mut stream).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(4), async { while next(&mut stream).await.is_ok() {} }).await;
    assert!(ended.is_ok() && now() >= client.not_after(), "cut at the end of the certificate, not before or never");
}

#[test]
fn a_directory_that_does_not_fit_together_is_refused_with_its_reason() {
    let lab = Lab::new("lab");
    let (key, csr) = new_key_and_csr("x").unwrap();
    let chain = lab.a.sign_leaf(&csr, &lab.id("node/node-1"), HOUR, now()).unwrap();
    let roots = lab.root.roots();
    let check = |spoil: &dyn Fn(&Path), expected: &str| {
        let dir = tempfile::tempdir().unwrap();
        write_dir(dir.path(), &key, &chain, roots).unwrap();
        spoil(dir.path());
        let error = Identity::load(dir.path()).unwrap_err();
        let text = crate::client::sentence(&error);
        assert!(text.contains(expected), "`{text}` lacks `{expected}`");
    };
    let other = new_key_and_csr("y").unwrap().0;
    check(&|dir| fs::write(dir.join(KEY_FILE), &other).unwrap(), "does not belong to the certificate");
    check(&|dir| fs::write(dir.join(KEY_FILE), "x").unwrap(), "private key");
    check(&|dir| fs::remove_file(dir.join(ROOTS_FILE)).unwrap(), "roots.pem");
    check(&|dir| fs::write(dir.join(CHAIN_FILE), "x").unwrap(), "no certificate in it");
    check(
        &|dir| fs::write(dir.join(ROOTS_FILE), cert::write_pem(Lab::new("lab").root.roots())).unwrap(),
        "another mesh",
    );
    check(
        &|dir| fs::set_permissions(dir.join(KEY_FILE), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap(),
        "chmod 600",
    );
}

#[test]
fn a_writer_stopped_between_key_and_chain_leaves_a_usable_directory() {
    let lab = Lab::new("lab");
    let dir = tempfile::tempdir().unwrap();
    let pair = || {
        let (key, csr) = new_key_and_csr("x").unwrap();
        (key, lab.a.sign_leaf(&csr, &lab.id("node/node-1"), HOUR, now()).unwrap())
    };
    let ((old_key, old_chain), (key, chain)) = (pair(), pair());
    write_dir(dir.path(), &old_key, &old_chain, lab.root.roots()).unwrap();
    let identity = Identity::load(dir.path()).unwrap();
    fs::write(dir.path().join(NEXT_CHAIN_FILE), cert::write_pem(&chain)).unwrap();
    assert!(!identity.reload_if_changed(dir.path()).unwrap());
    write_private(&dir.path().join(KEY_FILE), key.as_bytes()).unwrap();
    assert!(identity.reload_if_changed(dir.path()).unwrap());
    assert_eq!(identity.key(), Identity::load(dir.path()).unwrap().key());
}
