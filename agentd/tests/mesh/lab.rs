//! Whole agents in this process, on loopback, with real certificates and real disks.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::PathBuf,
    time::Duration,
};

use mesh_agentd::config::{Config, Coordinator};
use mesh_core::{
    id::{MeshName, NodeName, ObjectName, Principal},
    time::Timestamp,
};
use mesh_daemon::Shutdown;
use mesh_proto::{
    ca::{self, Issuer},
    client,
    tls::{self, Identity},
    v1::{self, fleet_client::FleetClient, objects_client::ObjectsClient},
};
use tokio::runtime::Runtime;
use tonic::{Status, transport::Channel};

/// Everything in these tests must come true within this time.
pub(crate) const SOON: Duration = Duration::from_secs(30);

struct Node {
    name: NodeName,
    api: SocketAddr,
    gossip: SocketAddr,
    admin: SocketAddr,
    voter: Option<u64>,
    running: Option<(Runtime, Shutdown, tokio::task::JoinHandle<anyhow::Result<()>>)>,
}

/// A mesh under test: coordinators `node-1` to `node-3`, and `node-4` that follows.
pub(crate) struct Lab {
    dir: tempfile::TempDir,
    mesh: MeshName,
    root: Issuer,
    nodes: BTreeMap<&'static str, Node>,
}

fn free_port() -> SocketAddr {
    // Both protocols: the next one that asks may want the other.
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = tcp.local_addr().unwrap();
        if UdpSocket::bind(addr).is_ok() {
            return addr;
        }
    }
}

fn now() -> Timestamp {
    tls::now()
}

impl Lab {
    /// Makes keys, certificates and configurations; nothing runs yet.
    pub(crate) fn new() -> Self {
        if std::env::var_os("RUST_LOG").is_some() {
            // The second mesh of a process finds logs started.
            drop(mesh_daemon::log::init("info", mesh_daemon::log::Format::Text));
        }
        let mesh: MeshName = "lab".parse().unwrap();
        let root = Issuer::new_root(&mesh, now()).unwrap();
        let mut lab = Self { dir: tempfile::tempdir().unwrap(), mesh, root, nodes: BTreeMap::new() };
        for (name, voter) in [("node-1", Some(1)), ("node-2", Some(2)), ("node-3", Some(3)), ("node-4", None)] {
            let node = Node {
                name: name.parse().unwrap(),
                api: free_port(),
                gossip: free_port(),
                admin: free_port(),
                voter,
                running: None,
            };
            lab.prepare(&node);
            lab.nodes.insert(name, node);
        }
        lab
    }

    fn home(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn prepare(&self, node: &Node) {
        let home = self.home(node.name.as_str());
        std::fs::create_dir_all(home.join("state")).unwrap();
        let id = Principal::node(&self.mesh, &node.name);
        if node.voter.is_some() {
            let (key, csr) = ca::new_key_and_csr(self.mesh.as_str()).unwrap();
            let chain = self.root.sign_intermediate(&csr, now()).unwrap();
            ca::save_authority(&home.join("issuer"), &key, &chain, self.root.roots()).unwrap();
        }
        let (key, csr) = ca::new_key_and_csr(&id.to_string()).unwrap();
        let chain = self.root.sign_leaf(&csr, &id, ca::LEAF_LIFE, now()).unwrap();
        tls::write_dir(&home.join("pki"), &key, &chain, self.root.roots()).unwrap();
        mesh_proto::files::write_private(
            &home.join("state/gossip.keys"),
            format!("1 {} primary\n", "ab".repeat(32)).as_bytes(),
        )
        .unwrap();
    }

    fn config(&self, node: &Node) -> Config {
        let home = self.home(node.name.as_str());
        let voters = self
            .nodes
            .values()
            .filter_map(|it| Some(Coordinator { node: it.name.clone(), api: it.api, voter: it.voter? }));
        Config {
            mesh: self.mesh.clone(),
            node: node.name.clone(),
            listen: node.api,
            gossip: node.gossip,
            admin: node.admin,
            state_dir: home.join("state"),
            identity_dir: home.join("pki"),
            issuer_dir: node.voter.map(|_| home.join("issuer")),
            voter: node.voter,
            coordinators: voters.collect(),
            gossip_seeds: self.nodes.values().map(|it| it.gossip).collect(),
            leaf_ttl_s: 3600,
            nvml_library: None,
            log_dir: None,
            log: "info".to_owned(),
        }
    }

    /// Starts an agent on threads of its own.
    pub(crate) fn start(&mut self, name: &str) {
        let config = self.config(&self.nodes[name]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let shutdown = Shutdown::new();
        let task = runtime.spawn(mesh_agentd::run(config, shutdown.clone()));
        self.nodes.get_mut(name).unwrap().running = Some((runtime, shutdown, task));
    }

    pub(crate) fn start_all(&mut self) {
        for name in ["node-1", "node-2", "node-3", "node-4"] {
            self.start(name);
        }
    }

    /// Ends an agent without a word: all of its threads stop where they are.
    pub(crate) fn kill(&mut self, name: &str) {
        let (runtime, _, _) = self.nodes.get_mut(name).unwrap().running.take().unwrap();
        // Waiting is not allowed on a thread of the test's own runtime.
        std::thread::spawn(move || runtime.shutdown_timeout(SOON)).join().unwrap();
    }

    /// Ends an agent in order.
    pub(crate) async fn stop(&mut self, name: &str) {
        let (runtime, shutdown, task) = self.nodes.get_mut(name).unwrap().running.take().unwrap();
        shutdown.begin();
        tokio::time::timeout(SOON, task).await.unwrap().unwrap().unwrap();
        runtime.shutdown_background();
    }

    pub(crate) async fn stop_all(&mut self) {
        for name in ["node-4", "node-3", "node-2", "node-1"] {
            if self.nodes[name].running.is_some() {
                self.stop(name).await;
            }
        }
    }

    fn operator(&self, name: &str) -> Identity {
        let id = Principal::operator(&self.mesh, ObjectName::new(name).unwrap());
        let (key, csr) = ca::new_key_and_csr(&id.to_string()).unwrap();
        let chain = self.root.sign_leaf(&csr, &id, ca::OPERATOR_LIFE, now()).unwrap();
        Identity::from_parts(&key, chain, self.root.roots().to_vec()).unwrap()
    }

    /// A connection of an operator to a node.
    pub(crate) fn channel(&self, operator: &str, node: &str) -> Channel {
        let node = &self.nodes[node];
        client::channel(&self.operator(operator), node.api, Principal::node(&self.mesh, &node.name))
    }

    /// An admin page: its status and text.
    pub(crate) async fn admin(&self, node: &str, page: &str) -> (u16, String) {
        let answer = reqwest::get(format!("http://{}/{page}", self.nodes[node].admin)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// A connection of one node's agent to another.
    pub(crate) fn node_channel(&self, from: &str, to: &str) -> Channel {
        let identity = Identity::load(&self.home(from).join("pki")).unwrap();
        client::channel(&identity, self.nodes[to].api, Principal::node(&self.mesh, &self.nodes[to].name))
    }

    /// A connection of somebody without a certificate, who knows the root's fingerprint.
    pub(crate) fn stranger(&self, node: &str) -> Channel {
        client::enroll_channel(self.nodes[node].api, self.root.fingerprint())
    }

    pub(crate) fn objects(&self, node: &str) -> ObjectsClient<Channel> {
        ObjectsClient::new(self.channel("ada", node))
    }

    pub(crate) fn fleet(&self, node: &str) -> FleetClient<Channel> {
        FleetClient::new(self.channel("ada", node))
    }

    /// The first objects: nodes, two operators, policy and activation.
    pub(crate) fn first(&self) -> v1::InitializeRequest {
        let object = |kind: &str, name: &str, spec: String| v1::Object {
            kind: kind.into(),
            name: name.into(),
            revision: 0,
            spec: spec.into(),
        };
        let node = |it: &Node| {
            let (roles, voter) = match it.voter {
                Some(id) => ("coordinator", format!(r#","voter":{id}"#)),
                None => ("gpu", String::new()),
            };
            let spec = format!(
                r#"{{"roles":["{roles}"],"address":"127.0.0.1","api":"{}","gossip":"{}"{voter}}}"#,
                it.api, it.gossip
            );
            object("node", it.name.as_str(), spec)
        };
        let mut objects: Vec<v1::Object> = self.nodes.values().map(node).collect();
        objects.push(object("binding", "ada", r#"{"role":"admin"}"#.into()));
        objects.push(object("binding", "vic", r#"{"role":"viewer"}"#.into()));
        objects.push(object("policy", "mesh", "{}".into()));
        objects.push(object("activation", "active", r#"{"active":{"builtin":"least_queue"}}"#.into()));
        let voter =
            |it: &Node| Some(v1::InitialVoter { id: it.voter?, node: it.name.to_string(), api: it.api.to_string() });
        v1::InitializeRequest { voters: self.nodes.values().filter_map(voter).collect(), objects }
    }

    /// Starts everything and makes it a mesh.
    pub(crate) async fn form() -> Self {
        let mut lab = Self::new();
        lab.start_all();
        let done = soon("the mesh is initialised", async || lab.fleet("node-1").initialize(lab.first()).await).await;
        assert!(done.into_inner().initialized);
        for node in ["node-2", "node-3", "node-4"] {
            soon("the first state has arrived", async || {
                let answer =
                    lab.fleet(node).cluster(v1::ClusterRequest {}).await.map_err(|it| it.to_string())?.into_inner();
                if answer.initialized { Ok(()) } else { Err(format!("{answer:?}")) }
            })
            .await;
        }
        lab
    }

    /// The node that leads, as another one says.
    pub(crate) async fn leader(&self, asked: &str) -> String {
        soon("a leader is known", async || {
            self.fleet(asked)
                .cluster(v1::ClusterRequest {})
                .await
                .map_err(|it| it.to_string())?
                .into_inner()
                .leader
                .ok_or_else(String::new)
        })
        .await
    }
}

/// Asks again until there is an answer; in the end the last refusal is shown.
pub(crate) async fn soon<T, E: std::fmt::Debug>(what: &str, mut ask: impl AsyncFnMut() -> Result<T, E>) -> T {
    let until = tokio::time::Instant::now() + SOON;
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) if tokio::time::Instant::now() > until => panic!("{what}: not within {SOON:?}: {error:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A request to declare one object.
pub(crate) fn apply(id: u128, object: &str, spec: &str) -> v1::ApplyRequest {
    let (kind, name) = object.split_once('/').unwrap();
    let item =
        v1::ApplyItem { kind: kind.into(), name: name.into(), spec: spec.to_owned().into(), merge: true, expect: None };
    v1::ApplyRequest { request_id: format!("{id:032x}"), items: vec![item], dry_run: false, reason: String::new() }
}

/// A request to read one object.
pub(crate) fn list(object: &str, mode: v1::ReadMode) -> v1::ListRequest {
    let (kind, name) = object.split_once('/').unwrap();
    v1::ListRequest { kind: kind.into(), names: vec![name.into()], mode: mode.into() }
}

/// The reason in a refusal.
pub(crate) fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    status.get_error_details().error_info().map(|it| it.reason.clone()).unwrap_or_else(|| format!("none: {status:?}"))
}
