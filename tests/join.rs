//! Who may come in, and what they may do then: hosts with tokens, people with roles, certificates in the wrong hands.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    io::Write,
    net::{TcpListener, UdpSocket},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use mesh_proto::ca::Issuer;
use mesh_tests::{Mesh, Ran, bin_dir, metric, post, until};

/// A process of this test; dropping it ends it.
struct Running(Child);

impl Running {
    fn start(program: &str, args: &[&str], log: &Path) -> Self {
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let err = log.try_clone().unwrap();
        let mut command = Command::new(bin_dir().join(program));
        Self(command.args(args).stdin(Stdio::null()).stdout(log).stderr(err).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that ended by itself needs no signal.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A host that may join: a directory instead of its disk, and ports of its own.
struct Host {
    dir: tempfile::TempDir,
    args: Vec<String>,
}

impl Host {
    fn new(node: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (api, admin) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let gossip = UdpSocket::bind("127.0.0.1:0").unwrap();
        let args = [
            ("--node", node.to_owned()),
            ("--root", dir.path().display().to_string()),
            ("--api", api.local_addr().unwrap().to_string()),
            ("--admin", admin.local_addr().unwrap().to_string()),
            ("--gossip", gossip.local_addr().unwrap().to_string()),
        ];
        let args = args.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect();
        Self { dir, args }
    }

    /// `mesh-agentd join -`, with the token on its standard input: in no list of processes.
    fn join(&self, mesh: &Mesh, token: &str) -> Ran {
        let at = &mesh.up.nodes[0].api;
        let mut command = Command::new(bin_dir().join("mesh-agentd"));
        command.args(["join", "-", "--at", at]).args(&self.args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{token}").unwrap();
        Ran::from(child.wait_with_output().unwrap())
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("etc/mesh/agentd.toml")
    }

    fn run(&self) -> Running {
        let config = self.config().display().to_string();
        Running::start("mesh-agentd", &["run", "--config", &config], &self.dir.path().join("agentd.log"))
    }
}

fn token(mesh: &Mesh, nodes: &str) -> String {
    let made = mesh.run(&["token", "create", "--nodes", nodes, "--role", "gpu", "-o", "json"]).ok();
    made.json()["token"].as_str().unwrap().to_owned()
}

fn apply(mesh: &Mesh, context: &str, manifest: &str) -> Ran {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), manifest).unwrap();
    mesh.run(&["--context", context, "apply", "-f", file.path().to_str().unwrap()])
}

fn has_phase(mesh: &Mesh, node: &str, phase: &str) -> Option<()> {
    mesh.nodes().iter().any(|it| it["name"] == node && it["status"]["phase"] == phase).then_some(())
}

#[test]
fn a_host_joins_with_a_token_once_and_serves() {
    let mesh = Mesh::start(&[]);
    let token = token(&mesh, "gpu-*");
    let refused = |node: &str, token: &str, parts: &[&str]| {
        let host = Host::new(node);
        let ran = host.join(&mesh, token).exits(6).says(parts);
        assert!(!ran.stderr.contains(token) && !host.config().exists(), "{ran:?}");
    };
    refused("cpu-1", &token, &["for nodes named `gpu-*`, not for `cpu-1`"]);
    refused("gpu-8", &format!("{}{}", &token[..token.len() - 64], "0".repeat(64)), &["wrong mesh", "fingerprint"]);
    refused("gpu-8", "mesh-join.v1.x", &["not a token"]);

    let host = Host::new("gpu-8");
    let joined = host.join(&mesh, &token).ok();
    assert!(joined.stdout.contains("next: mesh-agentd run --config"), "{joined:?}");
    refused("gpu-9", &token, &["was used by `gpu-8` at", "mesh token create"]);
    host.join(&mesh, &token).exits(7).says(&["joined already"]);
    let listed = mesh.run(&["token", "ls"]).ok();
    assert!(listed.stdout.contains("1/1") && !listed.stdout.contains(&token), "{}", listed.stdout);

    let agent = host.run();
    until("gpu-8 is Ready", Duration::from_secs(10), || has_phase(&mesh, "gpu-8", "Ready"));
    let node = mesh.node("gpu-8");
    assert_eq!((&node["spec"]["roles"][0], &node["spec"]["incarnation"]), (&"gpu".into(), &1.into()), "{node}");
    serves(&mesh, &host);

    drop(agent);
    until("gpu-8 is Lost", Duration::from_secs(6), || has_phase(&mesh, "gpu-8", "Lost"));
    let _again = host.run();
    until("gpu-8 is back", Duration::from_secs(10), || has_phase(&mesh, "gpu-8", "Ready"));

    // A token that an admin takes back is worth nothing.
    let other = self::token(&mesh, "*");
    mesh.run(&["token", "revoke", other.split('.').nth(2).unwrap()]).ok();
    refused("gpu-9", &other, &["unknown token"]);
}

#[test]
fn a_host_joins_as_a_router_and_serves() {
    let mesh = Mesh::start(&[]);
    let made = mesh.run(&["token", "create", "--nodes", "edge-*", "--role", "router", "-o", "json"]).ok().json();
    let token = made["token"].as_str().unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (door, admin) = (free(), free());
    let mut host = Host::new("edge-1");
    host.args.extend(["--router-listen", &door, "--router-admin", &admin].map(str::to_owned));
    let joined = host.join(&mesh, token).ok();
    let config = host.dir.path().join("etc/mesh/routerd.toml").display().to_string();
    assert!(joined.stdout.contains(&format!("and then: mesh-routerd --config {config}")), "{joined:?}");
    Host::new("edge-2").join(&mesh, token).exits(6).says(&["was used by `edge-1` at"]);

    let _agent = host.run();
    let _router = Running::start("mesh-routerd", &["--config", &config], &host.dir.path().join("routerd.log"));
    until("its router reports to its agent", Duration::from_secs(15), || {
        let node = mesh.node("edge-1");
        (node["status"]["phase"] == "Ready" && node["status"]["router"]["listen"] == format!("http://{door}"))
            .then_some(())
    });
    let body = format!(r#"{{"model":"{}","max_tokens":4,"messages":[{{"role":"user","content":"x"}}]}}"#, mesh.model());
    until("it serves", Duration::from_secs(10), || {
        let answer = post(&format!("http://{door}/v1/chat/completions"), body.clone());
        (answer.0 == 200 && answer.1.contains("simulated")).then_some(())
    });
    // The mesh counts on it: a drain waits for its word too.
    mesh.run(&["drain", "node-7"]).ok();
    mesh.run(&["uncordon", "node-7"]).ok();
    mesh.run(&["doctor"]).ok();
}

/// An engine that is declared on the new node gets requests through the router.
fn serves(mesh: &Mesh, host: &Host) {
    let listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let args = ["--listen", &listen, "--seed", "8", "--model", "of-gpu-8"];
    let _engine = Running::start("mesh-standin", &args, &host.dir.path().join("standin.log"));
    let spec = format!("{{engines: [{{name: e, kind: standin, url: 'http://{listen}'}}]}}");
    apply(mesh, "local", &format!("kind: node\nname: gpu-8\nspec: {spec}\n")).ok();
    until("the engine is seen", Duration::from_secs(10), || {
        (mesh.node("gpu-8")["status"]["engines"][0]["up"] == true).then_some(())
    });
    let body = r#"{"model":"of-gpu-8","max_tokens":4,"messages":[{"role":"user","content":"x"}]}"#;
    until("the router sends there", Duration::from_secs(5), || {
        (post(&format!("{}/v1/chat/completions", mesh.router()), body).0 == 200).then_some(())
    });
    let arrived = metric(&format!("http://{listen}/metrics"), "mesh_standin_requests_total", &[]);
    assert!(arrived.unwrap() >= 1.0);
    apply(mesh, "local", "kind: node\nname: gpu-8\nspec: {engines: []}\n").ok();
}

/// Where the local mesh keeps its context, its root and its nodes.
fn local(mesh: &Mesh) -> PathBuf {
    mesh.node_dir("node-1").ancestors().nth(2).unwrap().to_owned()
}

/// Adds a context to the configuration that uses other credentials against the same mesh.
fn add_context(mesh: &Mesh, name: &str, identity: &Path) {
    let text = fs::read_to_string(local(mesh).join("context.toml")).unwrap();
    let mut context: toml::Table = text.parse().unwrap();
    context.insert("identity_dir".into(), identity.display().to_string().into());
    let path = local(mesh).ancestors().nth(2).unwrap().join("config/mesh/config.toml");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut config: toml::Table = fs::read_to_string(&path).unwrap_or_default().parse().unwrap();
    let contexts = config.entry("contexts").or_insert_with(|| toml::Table::new().into());
    contexts.as_table_mut().unwrap().insert(name.to_owned(), context.into());
    fs::write(path, config.to_string()).unwrap();
}

/// Gives a second person access, as people do: by a request, a certificate with a role, and the file that makes a context.
fn add_person(mesh: &Mesh, name: &str, role: &str, dir: &Path) {
    let path = |what: &str| dir.join(format!("{name}.{what}")).display().to_string();
    fs::write(path("csr"), mesh.run(&["cert", "request", name]).ok().stdout).unwrap();
    let issue = ["cert", "issue", name, "--role", role, "--csr", &path("csr"), "--out", &path("access")];
    mesh.run(&[&issue[..], &["--dry-run"]].concat()).ok();
    assert!(!Path::new(&path("access")).exists(), "a dry run writes nothing");
    mesh.run(&issue).ok();
    assert_eq!(fs::metadata(path("access")).unwrap().mode() & 0o777, 0o600);
    mesh.run(&["context", "add", &path("access"), "--name", name]).ok();
}

const WASM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../strategy/sdk/prebuilt/hybrid.wasm");

/// Everything that changes something, as the bearer of a context: each is denied with the nearest rule.
///
/// node-6 must be cordoned and a strategy deployed, so that there is something to undo.
fn denied_everything(mesh: &Mesh, context: &str, role: &str, rule: &str) {
    let check = |ran: Ran| {
        ran.exits(7).says(&["denied", role, rule, "who may"]);
    };
    for args in [
        &["cordon", "node-7"] as &[&str],
        &["uncordon", "node-6"],
        &["drain", "node-7", "--no-wait"],
        &["delete", "node", "node-7", "--yes"],
        &["strategy", "deploy", WASM],
        &["strategy", "rollback"],
        &["token", "create"],
        &["logs", "node-4"],
    ] {
        check(mesh.run(&[&["--context", context], args].concat()));
    }
    check(apply(mesh, context, "kind: node\nname: node-6\nspec: {labels: {a: b}}\n"));
    check(apply(mesh, context, "kind: binding\nname: bob\nspec: {role: admin}\n"));
    check(apply(mesh, context, "kind: policy\nname: mesh\nspec: {require_reason: true}\n"));
}

#[test]
fn a_viewer_looks_and_a_node_is_no_operator() {
    let mesh = Mesh::start(&[]);
    let people = tempfile::tempdir().unwrap();
    let objects = |mesh: &Mesh| {
        let read = |kind| mesh.run(&["get", kind, "-o", "json"]).ok().json()["items"].as_array().unwrap().clone();
        ["nodes", "bindings", "policies", "drains", "tokens", "strategies", "activations"].map(|kind| {
            read(kind)
                .iter()
                .map(|it| (it["name"].clone(), it["revision"].clone(), it["spec"].clone()))
                .collect::<Vec<_>>()
        })
    };

    // Without a binding a certificate of the mesh opens nothing.
    add_person(&mesh, "bob", "viewer", people.path());
    mesh.run(&["delete", "binding", "bob", "--yes"]).ok();
    mesh.run(&["--context", "bob", "get", "nodes"]).exits(7).says(&["denied", "no binding"]);

    apply(&mesh, "local", "kind: binding\nname: bob\nspec: {role: viewer}\n").ok();
    mesh.run(&["cordon", "node-6"]).ok();
    mesh.run(&["strategy", "deploy", WASM]).ok();
    let before = objects(&mesh);
    for args in [&["get", "nodes"] as &[&str], &["get", "bindings"], &["describe", "node", "node-7"], &["events"]] {
        mesh.run(&[&["--context", "bob"], args].concat()).ok();
    }
    mesh.run(&["--context", "bob", "strategy", "status"]).ok();
    mesh.run(&["--context", "bob", "cluster", "status"]).ok();
    denied_everything(&mesh, "bob", "(viewer)", "`members-look` is nearest");

    // The certificate of a node in the hands of a person.
    add_context(&mesh, "node", &mesh.node_dir("node-5").join("etc/mesh/pki/node"));
    denied_everything(&mesh, "node", "(node)", "rule `");
    let other = "kind: node\nname: node-6\nspec: {labels: {a: b}}\n";
    apply(&mesh, "node", other).exits(7).says(&["`nodes-write-themselves` is nearest", "own name"]);
    assert_eq!(objects(&mesh), before, "nothing was changed");

    // The daily work of an operator stops where governing begins.
    apply(&mesh, "local", "kind: binding\nname: bob\nspec: {role: operator}\n").ok();
    mesh.run(&["--context", "bob", "cordon", "node-7"]).ok();
    mesh.run(&["--context", "bob", "uncordon", "node-7"]).ok();
    mesh.run(&["--context", "bob", "logs", "node-4"]).ok();
    mesh.run(&["--context", "bob", "token", "create"]).exits(7).says(&["operators-work", "who may: admin"]);
    apply(&mesh, "bob", "kind: binding\nname: bob\nspec: {role: admin}\n").exits(7).says(&["who may: admin"]);

    // A revoked certificate is refused by every agent, whatever its binding says.
    let mesh_name = Issuer::load(&local(&mesh).join("root")).unwrap().mesh().to_string();
    let spec = format!("{{id: 'spiffe://{mesh_name}/operator/bob', reason: left}}");
    apply(&mesh, "local", &format!("kind: revocation\nname: bob\nspec: {spec}\n")).ok();
    until("bob is shut out", Duration::from_secs(5), || {
        (mesh.run(&["--context", "bob", "get", "nodes"]).code == 6).then_some(())
    });
}
