//! One test per story of the design: each drives the installed binaries as an operator and a client would.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test fails by panicking")]

use std::{
    process::{Command, Stdio},
    sync::atomic::AtomicU32,
    time::{Duration, Instant},
};

use mesh_tests::{
    Mesh, bin_dir, get,
    load::{End, Load, Wanted, client, stream},
    metric, post, text, until,
};
use serde_json::Value;

/// Requests that arrived at a stand-in.
fn arrived(engine: &str) -> f64 {
    metric(&format!("{engine}/metrics"), "mesh_standin_requests_total", &[]).unwrap()
}

/// Requests in a stand-in's batch and queue.
fn busy(engine: &str) -> f64 {
    let url = format!("{engine}/metrics");
    let read = |name| metric(&url, name, &[]).unwrap();
    read("vllm:num_requests_running") + read("vllm:num_requests_waiting")
}

/// The real `openai` client, unchanged, against a base URL.
fn openai(base: &str, args: &[&str]) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/real/openai");
    let output = Command::new(script).arg(base).args(args).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn request() {
    let mesh = Mesh::start(&[]);
    let (router, model) = (mesh.router().to_owned(), mesh.model());
    let seen = openai(&router, &["all", "--model", &model]);
    assert_eq!(seen["models"]["models"][0], model.as_str(), "{seen}");
    assert_eq!(seen["stream"]["completion_tokens"], 16, "{seen}");
    assert!(seen["stream"]["content"].as_str().unwrap().contains("simulated"), "{seen}");
    assert_eq!(seen["errors"]["unknown_model"]["status"], 404, "{seen}");
    assert_eq!(openai(&router, &["embed", "--model", &model])["vectors"], 2);
    let decided = metric(&mesh.up.metrics[0], "strategy_decisions_total", &["least_queue", "outcome=\"ok\""]);
    assert!(decided.unwrap() >= 1.0);

    // Who hangs up gives the engine's slot back.
    let engines = ["node-5", "node-6", "node-7"].map(|node| mesh.engine(node).to_owned());
    let child = Command::new("curl")
        .args(["-sN", "-m", "30", "-H", "content-type: application/json", "-d"])
        .arg(format!(
            r#"{{"model":"{model}","stream":true,"max_tokens":1500,"messages":[{{"role":"user","content":"x"}}]}}"#
        ))
        .arg(format!("{router}/v1/chat/completions"))
        .stdout(Stdio::null())
        .spawn();
    let mut child = child.unwrap();
    until("the stream runs", Duration::from_secs(5), || engines.iter().any(|it| busy(it) > 0.0).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    until("the slot is free", Duration::from_secs(1), || engines.iter().all(|it| busy(it) < 0.5).then_some(()));

    // A second `mesh up` finds the first; a second mesh runs beside it.
    let again = mesh.run(&["up", "-o", "json"]).ok();
    assert_eq!(again.json()["routers"][0], router.as_str());
    let other = Mesh::start(&[]);
    assert_ne!(other.router(), router);
}

#[test]
fn sample_and_a_real_engine() {
    let llama = Llama::start();
    let mesh = Mesh::start(&["--engine", &format!("node-5=llamacpp,{}", llama.url)]);
    let node = until("llama.cpp's numbers arrive", Duration::from_secs(10), || {
        let node = mesh.node("node-5");
        (node["status"]["engines"][0]["running"] == 0).then_some(node)
    });
    assert_eq!(node["status"]["engines"][0]["kind"], "llamacpp", "{node}");
    assert_eq!(node["status"]["engines"][0]["up"], true, "{node}");
    assert!(node["status"]["engines"][0]["kv_used"].is_null(), "llama.cpp reports no KV use: {node}");
    let model = node["status"]["engines"][0]["models"][0].as_str().unwrap().to_owned();
    let seen = openai(mesh.router(), &["stream", "--model", &model, "--tokens", "16"]);
    assert_eq!(seen["completion_tokens"], 16, "{seen}");
    let listed = openai(mesh.router(), &["models"]);
    assert!(listed["models"].as_array().unwrap().len() >= 2, "the stand-ins' model and llama.cpp's: {listed}");

    // A hung-up client frees the real engine's slot.
    let body = format!(
        r#"{{"model":"{model}","stream":true,"max_tokens":4000,"ignore_eos":true,"messages":[{{"role":"user","content":"x"}}]}}"#
    );
    let mut child = Command::new("curl")
        .args(["-sN", "-m", "60", "-H", "content-type: application/json", "-d", &body])
        .arg(format!("{}/v1/chat/completions", mesh.router()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let processing = || metric(&format!("{}/metrics", llama.url), "llamacpp:requests_processing", &[]).unwrap();
    until("llama.cpp works", Duration::from_secs(10), || (processing() > 0.0).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    until("llama.cpp's slot is free", Duration::from_secs(1), || (processing() < 0.5).then_some(()));

    // Without a driver, the reason is the loader's own words, and no number is invented.
    let unavailable = node["status"]["gpus_unavailable"].as_str().unwrap_or_default().to_owned();
    assert!(unavailable.contains("libnvidia-ml"), "{node}");
}

#[test]
fn policy_write() {
    let mesh = Mesh::start(&[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "kind: node\nname: node-6\nspec:\n  labels: {rack: r14}\n").unwrap();
    let path = file.path().to_str().unwrap();
    let diff = mesh.run(&["diff", "-f", path]);
    assert!(diff.stdout.contains("r14"), "{diff:?}");
    let applied = mesh.run(&["apply", "-f", path, "--wait"]).ok();
    let said = format!("{}{}", applied.stdout, applied.stderr);
    assert!(said.contains("on 7 of 7 nodes"), "{said}");
    assert_eq!(mesh.node("node-6")["spec"]["labels"]["rack"], "r14");
    assert!(!mesh.node("node-6")["spec"]["engines"].as_array().unwrap().is_empty(), "other fields keep what they had");
    let events = mesh.run(&["events"]).ok();
    assert!(events.stdout.contains("node/node-6"), "{}", events.stdout);

    // A node leaves and comes back with its supervisor.
    mesh.run(&["down", "node-6"]).ok();
    until("node-6 is lost", Duration::from_secs(6), || {
        (mesh.node("node-6")["status"]["phase"] == "Lost").then_some(())
    });
    mesh.run(&["up", "node-6"]).ok();
    until("node-6 is back", Duration::from_secs(15), || {
        (mesh.node("node-6")["status"]["phase"] == "Ready").then_some(())
    });
}

#[test]
fn drain() {
    let mesh = Mesh::start(&[]);
    let engine = mesh.engine("node-7").to_owned();
    let load = Load::start(mesh.router(), &mesh.model(), 200, 64);
    until("all clients stream", Duration::from_secs(20), || {
        (load.in_flight() >= 150 && busy(&engine) > 10.0).then_some(())
    });
    // A router that does not heed drains fails this in a minute, not at the default deadline of half an hour.
    mesh.run(&["drain", "node-7", "--deadline", "60s"]).ok();
    assert_eq!(mesh.node("node-7")["status"]["phase"], "Drained");
    assert!(busy(&engine) < 0.5, "the drained engine still runs something");
    let before = arrived(&engine);
    until("others carry the load", Duration::from_secs(10), || (busy(mesh.engine("node-5")) > 10.0).then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    assert!((arrived(&engine) - before).abs() < 0.5, "a drained node got requests");
    mesh.run(&["uncordon", "node-7"]).ok();
    until("node-7 serves again", Duration::from_secs(10), || (arrived(&engine) > before).then_some(()));
    load.finish().assert_lossless(200);
}

#[test]
fn a_stopped_router_holds_a_drain_back() {
    use rustix::process::Signal;
    let mesh = Mesh::start(&[]);
    mesh.signal("node-4", "routerd", Signal::STOP);
    let ran = mesh.run(&["drain", "node-7", "--deadline", "5s"]).exits(8);
    assert!(format!("{}{}", ran.stdout, ran.stderr).contains("node-4"), "{ran:?}");
    assert_eq!(mesh.node("node-7")["status"]["phase"], "Draining");
    mesh.signal("node-4", "routerd", Signal::CONT);
    until("the drain ends when the router is back", Duration::from_secs(10), || {
        (mesh.node("node-7")["status"]["phase"] == "Drained").then_some(())
    });
}

#[test]
fn strategy() {
    let mesh = Mesh::start(&[]);
    let wasm = concat!(env!("CARGO_MANIFEST_DIR"), "/../strategy/sdk/prebuilt/hybrid.wasm");
    let here = tempfile::tempdir().unwrap();
    std::fs::copy(wasm, here.path().join("hybrid.wasm")).unwrap();
    let load = Load::start(mesh.router(), &mesh.model(), 100, 32);
    for _ in 0..10 {
        let output =
            mesh.command().current_dir(here.path()).args(["strategy", "deploy", "hybrid.wasm"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let status = mesh.run(&["strategy", "status"]).ok();
        assert!(status.stdout.contains("hybrid"), "{}", status.stdout);
        mesh.run(&["strategy", "rollback"]).ok();
        let status = mesh.run(&["strategy", "status"]).ok();
        assert!(status.stdout.contains("least_queue"), "{}", status.stdout);
    }
    load.finish().assert_lossless(100);
    let metrics = &mesh.up.metrics[0];
    assert!(metric(metrics, "strategy_decisions_total", &["hybrid", "outcome=\"ok\""]).unwrap() > 0.0);
    assert!(metric(metrics, "strategy_decisions_total", &["least_queue", "outcome=\"ok\""]).unwrap() > 0.0);
    for fault in ["trap", "fuel", "epoch", "invalid"] {
        let label = format!("outcome=\"{fault}\"");
        assert!(metric(metrics, "strategy_decisions_total", &[&label]).unwrap_or(0.0) < 0.5, "{}", text(metrics));
    }
}

#[test]
fn least_queue_moves_away_from_load_behind_its_back() {
    let mesh = Mesh::start(&[]);
    let model = mesh.model();
    let engine = mesh.engine("node-5").to_owned();
    let others = ["node-6", "node-7"].map(|node| mesh.engine(node).to_owned());
    let behind = Load::start(&engine, &model, 48, 400);
    until("the load is there", Duration::from_secs(10), || (busy(&engine) >= 40.0).then_some(()));
    let start = Instant::now();
    until("the router's agent knows", Duration::from_secs(2), || {
        let running = mesh.node("node-5")["status"]["engines"][0]["running"].as_f64()?;
        (running >= 40.0).then_some(())
    });
    std::thread::sleep(Duration::from_secs(2).saturating_sub(start.elapsed()));
    let count = || [arrived(&engine), arrived(&others[0]) + arrived(&others[1])];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (before, http, running) = (count(), client(), AtomicU32::new(0));
    for _ in 0..40 {
        let wanted = Wanted { router: mesh.router(), model: &model, tokens: 2 };
        let (end, reason) = runtime.block_on(stream(&http, &wanted, &running));
        assert_eq!(end, End::Whole, "{reason}");
    }
    let after = count();
    // The load's own streams arrive at node-5 too; what counts is that the router's forty went elsewhere. On a busy
    // machine a report may now and then be older than the second for which it counts: chance alone would send 27.
    assert!(after[1] - before[1] >= 36.0, "{before:?} {after:?}");
    drop(behind);
}

#[test]
fn overload_shows_in_the_stand_in_and_in_the_mesh() {
    let standin = Standin::start(&["--slots", "4", "--model", "small"]);
    let load = Load::start(&standin.url, "small", 8, 64);
    until("requests wait", Duration::from_secs(5), || {
        let waiting = metric(&format!("{}/metrics", standin.url), "vllm:num_requests_waiting", &[])?;
        (waiting > 0.5).then_some(())
    });
    load.finish().assert_lossless(8);
}

/// A stand-in engine beside the mesh.
struct Standin {
    child: std::process::Child,
    url: String,
}

impl Standin {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(bin_dir().join("mesh-standin"))
            .args(["--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { child, url: ready["url"].as_str().unwrap().to_owned() }
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The real llama.cpp server.
struct Llama {
    child: std::process::Child,
    url: String,
}

impl Llama {
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/real/llamacpp");
        let mut child = Command::new(script).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ready") {
            line.clear();
            assert!(std::io::BufRead::read_line(&mut reader, &mut line).unwrap() > 0, "llama.cpp did not start");
        }
        let url = line.split_whitespace().find(|it| it.starts_with("http")).unwrap().trim_end_matches('/').to_owned();
        assert!(!get(&format!("{url}/v1/models"))["data"].as_array().unwrap().is_empty());
        assert_eq!(post(&format!("{url}/v1/nothing"), "{}").0, 404);
        Self { child, url }
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}
