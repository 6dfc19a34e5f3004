//! A host joins a mesh of one real coordinator: with the token once, and not again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use mesh_core::{
    id::{Lineage, ObjectName, RequestId},
    kind::{BindingSpec, Kind, NodeSpec, OperatorRole, Role, parse, write},
    object::Key,
    store::{Command, Expect, Op, Outcome},
    time::Timestamp,
};
use mesh_daemon::{Shutdown, Tasks};
use mesh_proto::{
    ca::{Issuer, OPERATOR_LIFE, save_authority},
    server::serve,
    v1::{CreateTokenRequest, join_server::JoinServer},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::*;
use crate::{
    api::auth::Gate,
    channels::PeerChannels,
    clock,
    config::{Config, Coordinator},
    desired::{Desired, Source},
    gossip::GossipKey,
    identity::{Issuing, JoinService},
    raft::{Peer, Profile, RaftConfig, RaftHandle},
};

struct Mesh {
    dir: tempfile::TempDir,
    root: Issuer,
    at: SocketAddr,
    desired: Desired,
    stop: CancellationToken,
    _tasks: Tasks,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Mesh {
    fn identity(root: &Issuer, dir: &Path, id: &str) -> Identity {
        let (key, csr) = new_key_and_csr(id).unwrap();
        let id: Principal = id.parse().unwrap();
        write_dir(dir, &key, &root.sign_leaf(&csr, &id, OPERATOR_LIFE, clock::now()).unwrap(), root.roots()).unwrap();
        Identity::load(dir).unwrap()
    }

    async fn start() -> Self {
        let (dir, mesh) = (tempfile::tempdir().unwrap(), MeshName::new("lab").unwrap());
        let root = Issuer::new_root(&mesh, clock::now()).unwrap();
        let (key, csr) = new_key_and_csr("lab").unwrap();
        save_authority(
            &dir.path().join("issuer"),
            &key,
            &root.sign_intermediate(&csr, clock::now()).unwrap(),
            root.roots(),
        )
        .unwrap();
        let issuing = Arc::new(Issuing::load(&dir.path().join("issuer"), &mesh, Duration::from_secs(3_600)).unwrap());
        let identity = Self::identity(&root, &dir.path().join("node"), "spiffe://lab/node/node-1");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let keys = dir.path().join("gossip.keys");
        KeyRing::new(vec![GossipKey::new(1, [7; 32])]).unwrap().save(&keys).unwrap();

        let config = RaftConfig {
            dir: dir.path().join("raft"),
            cluster: "lab".into(),
            node_id: 1,
            lineage: Lineage(0),
            profile: Profile::Site,
        };
        let raft =
            RaftHandle::start(config, Arc::new(PeerChannels::new(identity.clone(), mesh.clone()))).await.unwrap();
        raft.initialize(BTreeMap::from([(1, Peer { name: "node-1".into(), address: at.to_string() })])).await.unwrap();
        let desired = Desired::new(&Self::config(dir.path(), at), Source::Raft(raft));
        let (gate, stop) =
            (Gate::new(desired.watch(), &prometheus::Registry::new()).unwrap(), CancellationToken::new());
        let routes = gate.guard(Routes::new(JoinServer::new(JoinService::new(desired.clone(), Some(issuing), keys))));
        let tasks = Tasks::new(&Shutdown::new());
        tasks.spawn_free("api", serve(listener, identity, routes, stop.clone()));
        let mesh = Self { dir, root, at, desired, stop, _tasks: tasks };
        mesh.declare().await;
        mesh
    }

    fn config(dir: &Path, at: SocketAddr) -> Config {
        let coordinator = Coordinator { node: NodeName::new("node-1").unwrap(), api: at, voter: 1 };
        let text = format!(
            "mesh = \"lab\"\nnode = \"node-1\"\nlisten = \"{at}\"\ngossip = \"{at}\"\nadmin = \"{at}\"\nstate_dir = \"{0}\"\nidentity_dir = \"{0}\"\ncoordinators = []\n",
            dir.display()
        );
        Config { coordinators: vec![coordinator], ..toml::from_str(&text).unwrap() }
    }

    async fn declare(&self) {
        let at = self.at.to_string();
        let node = NodeSpec {
            roles: [Role::Coordinator].into(),
            address: "127.0.0.1".into(),
            api: at.clone(),
            gossip: at,
            voter: Some(1),
            ..NodeSpec::default()
        };
        let put = |kind, name: &str, spec| Op::Put {
            key: Key::new(kind, ObjectName::new(name).unwrap()),
            spec,
            expect: Expect::Any,
        };
        let ops = vec![
            put(Kind::Node, "node-1", write(&node)),
            put(Kind::Binding, "ada", write(&BindingSpec { role: OperatorRole::Admin })),
        ];
        let actor = "spiffe://lab/operator/ada".parse().unwrap();
        let command = Command { id: RequestId(7), actor, at: Timestamp(0), level: 1, reason: None, ops };
        let outcome =
            self.desired.propose(command, tokio::time::Instant::now() + Duration::from_secs(20)).await.unwrap();
        assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    }

    async fn token(&self) -> String {
        self.token_for("gpu").await
    }

    async fn token_for(&self, role: &str) -> String {
        let ada = Self::identity(&self.root, &self.dir.path().join("ada"), "spiffe://lab/operator/ada");
        let channel = channel(&ada, self.at, "spiffe://lab/node/node-1".parse().unwrap());
        let request = CreateTokenRequest {
            request_id: RequestId(rand::random()).to_string(),
            nodes: "gpu-*".into(),
            roles: vec![role.into()],
            ttl_ms: 60_000,
            uses: 1,
        };
        JoinClient::new(channel).create_token(request).await.unwrap().into_inner().token
    }

    fn args(&self, token: &str, node: &str) -> JoinArgs {
        let own = Some("127.0.0.1:1".parse().unwrap());
        let (node, root) = (NodeName::new(node).unwrap(), self.dir.path().join("roots").join(node));
        JoinArgs {
            token: token.to_owned(),
            at: self.at.to_string(),
            node,
            root,
            api: own,
            gossip: own,
            admin: own,
            router: RouterArgs::default(),
        }
    }
}

#[tokio::test]
async fn a_host_joins_once_with_a_token() {
    let mesh = Mesh::start().await;
    let token = mesh.token().await;
    let args = mesh.args(&token, "gpu-1");
    let joined = run(&args).await.unwrap();
    assert_eq!((joined.mesh.as_str(), joined.id.to_string().as_str()), ("lab", "spiffe://lab/node/gpu-1"));
    let config: Config = toml::from_str(&std::fs::read_to_string(&joined.config).unwrap()).unwrap();
    assert_eq!((config.coordinators[0].api, config.gossip_seeds[0]), (mesh.at, mesh.at));
    assert_eq!(Identity::load(&config.identity_dir).unwrap().me(), joined.id);
    assert_eq!(KeyRing::load(&config.state_dir.join("gossip.keys")).unwrap().primary().id, 1);
    let store = mesh.desired.store();
    let node = parse::<NodeSpec>(&store.get(&Key::new(Kind::Node, args.node.clone())).unwrap().spec).unwrap();
    assert_eq!((node.incarnation, node.roles), (1, [Role::Gpu].into()));

    let check = async |args: JoinArgs, code: u8, part: &str| {
        let error = run(&args).await.unwrap_err();
        let text = mesh_proto::client::sentence(&error);
        assert!(error.exit_code() == code && text.contains(part), "{}: {text}", error.exit_code());
        assert_eq!(
            args.root.join("etc/mesh/agentd.toml").exists(),
            code == 7,
            "a refused join leaves no configuration"
        );
    };
    check(args, 7, "this host has joined already").await;
    check(mesh.args(&token, "gpu-2"), 6, "was used by `gpu-1` at").await;
    check(mesh.args(&mesh.token().await, "cpu-1"), 6, "for nodes named `gpu-*`, not for `cpu-1`").await;
    check(mesh.args("mesh-join.v1.x", "gpu-3"), 6, "three parts").await;
    let foreign = format!("{}{}", &token[..token.len() - 64], "0".repeat(64));
    check(mesh.args(&foreign, "gpu-3"), 6, "wrong mesh").await;
}

#[tokio::test]
async fn a_join_that_broke_off_goes_on_with_the_same_key() {
    let mesh = Mesh::start().await;
    let args = mesh.args(&mesh.token().await, "gpu-1");
    let first = run(&args).await.unwrap();
    // As if the answer had been lost: only the key had been written.
    let node = args.root.join("etc/mesh/pki/node");
    std::fs::remove_file(node.join(CHAIN_FILE)).unwrap();
    std::fs::remove_file(&first.config).unwrap();
    let key = read_private(&node.join(KEY_FILE)).unwrap();
    let again = run(&args).await.unwrap();
    assert_eq!((again, read_private(&node.join(KEY_FILE)).unwrap()), (first, key));
}

#[tokio::test]
async fn a_host_that_joins_as_a_router_gets_an_identity_for_it() {
    let mesh = Mesh::start().await;
    let listen = Some("127.0.0.1:4711".parse().unwrap());
    let router = RouterArgs { listen, ..RouterArgs::default() };
    let args = JoinArgs { router, ..mesh.args(&mesh.token_for("router").await, "gpu-1") };
    let joined = run(&args).await.unwrap();
    let config = std::fs::read_to_string(joined.router.unwrap()).unwrap();
    let pki = args.root.join("etc/mesh/pki");
    assert!(config.contains("listen = \"127.0.0.1:4711\"") && config.contains("agent = \"127.0.0.1:1\""), "{config}");
    let own = Identity::load(&pki.join("router")).unwrap();
    assert_eq!(own.me().to_string(), "spiffe://lab/router/gpu-1");
    let key = |part: &str| read_private(&pki.join(part).join(KEY_FILE)).unwrap();
    assert_ne!(key("router"), key("node"));

    let gpu = mesh.args(&mesh.token().await, "gpu-2");
    assert_eq!(run(&gpu).await.unwrap().router, None, "a token of a gpu makes no router");
    assert!(!gpu.root.join("etc/mesh/pki/router").exists() && !gpu.root.join("etc/mesh/routerd.toml").exists());
    let open = RouterArgs { listen: Some("0.0.0.0:8080".parse().unwrap()), ..RouterArgs::default() };
    let token = mesh.token_for("router").await;
    let refused = run(&JoinArgs { router: open, ..mesh.args(&token, "gpu-3") }).await.unwrap_err();
    assert_eq!(refused.exit_code(), 2, "{refused}");
    run(&mesh.args(&token, "gpu-3")).await.unwrap();
}
