//! The router as part of a mesh: views, acknowledgements, signals, strategies, and life without its agent.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use mesh_daemon::Shutdown;
use mesh_proto::v1::RouterSample;
use mesh_routerd::{Args, Config, Router};

use crate::{
    agent::{Agent, Authority, NODE, sample},
    client::{body, post, raw, read_until, send},
    engine::{Do, Engine, STREAM_HEAD},
    start::{Running, until},
};

struct Mesh {
    authority: Authority,
    dir: tempfile::TempDir,
}

impl Mesh {
    fn new() -> Self {
        let mesh = Self { authority: Authority::new(), dir: tempfile::tempdir().unwrap() };
        mesh.authority.write_router(&mesh.dir.path().join("pki"));
        mesh
    }

    /// A router whose agent is there; started again, it finds what it kept.
    async fn router(&self, agent: SocketAddr) -> Running {
        let dir = self.dir.path().display();
        let text = format!(
            "mesh = \"{}\"\nnode = \"{NODE}\"\nlisten = \"127.0.0.1:0\"\nagent = \"{agent}\"\nidentity_dir = \"{dir}/pki\"\nstate_dir = \"{dir}/state\"\nworkers = 2\n",
            self.authority.mesh
        );
        let file = self.dir.path().join("routerd.toml");
        std::fs::write(&file, text).unwrap();
        let args =
            <Args as clap::Parser>::try_parse_from(["mesh-routerd", "--config", file.to_str().unwrap()]).unwrap();
        let shutdown = Shutdown::new();
        let router = Router::start(Config::load(&args).unwrap(), shutdown.clone()).await.unwrap();
        Running::new(router, shutdown, tempfile::tempdir().unwrap())
    }
}

fn node(api: SocketAddr, engine: Option<SocketAddr>) -> String {
    let mut engines = String::new();
    if let Some(engine) = engine {
        write!(engines, r#","engines":[{{"name":"engine","kind":"standin","url":"http://{engine}"}}]"#).unwrap();
    }
    format!(r#"{{"roles":["gpu","router"],"address":"127.0.0.1","api":"{api}","gossip":"127.0.0.1:1"{engines}}}"#)
}

fn drain(force: bool) -> String {
    format!(
        r#"{{"mode":"drain","kind":"operator","by":"spiffe://local-test/operator/ada","at":"2026-01-01T00:00:00Z","force":{force}}}"#
    )
}

fn activation(seq: u64, brain: &str) -> String {
    let previous = r#"{"builtin":"least_queue"}"#;
    format!(
        r#"{{"seq":{seq},"active":{brain},"previous":{previous},"by":"spiffe://local-test/operator/ada","at":"2026-01-01T00:00:00Z"}}"#
    )
}

fn url(engine: &Engine) -> String {
    format!("http://{}", engine.addr)
}

async fn reported(agent: &Agent, what: &str, holds: impl Fn(&RouterSample) -> bool) -> RouterSample {
    until(what, async || agent.report().is_some_and(|it| holds(&it))).await;
    agent.report().unwrap()
}

async fn serves(router: &Running) {
    until("the model is served", async || post(router, body(true)).await.0 == 200).await;
}

/// Two nodes with an agent and an engine each, and a router that serves.
struct Two {
    mesh: Mesh,
    agents: [Agent; 2],
    engines: [Engine; 2],
    router: Running,
}

impl Two {
    async fn start(what: Do) -> Self {
        let mesh = Mesh::new();
        let agents =
            [Agent::start(&mesh.authority, NODE, None).await, Agent::start(&mesh.authority, "node-2", None).await];
        let engines = [Engine::start(what.clone()).await, Engine::start(what).await];
        for (n, (agent, engine)) in agents.iter().zip(&engines).enumerate() {
            agent.say(vec![sample(&url(engine), 0)]);
            agents[0].apply("node", &format!("node-{}", n + 1), &node(agent.api, Some(engine.addr)));
        }
        let router = mesh.router(agents[0].api).await;
        serves(&router).await;
        let both = async || {
            router.metric(r#"mesh_router_inflight_requests{engine="engine",model="m",node="node-2"}"#).await.is_some()
        };
        until("both engines are known", both).await;
        // An engine is done a moment after its client.
        until("nothing is left of that", async || engines.iter().all(|it| it.active() == 0)).await;
        Self { mesh, agents, engines, router }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cordon_is_acknowledged_once_nothing_new_can_go_there() {
    let two = Two::start(Do::Stream(30, Duration::from_millis(10))).await;
    let come = || two.engines.iter().map(Engine::requests).sum::<usize>();
    let first = come();
    let streams = tokio::spawn({
        let addr = two.router.addr;
        async move {
            let client = reqwest::Client::new();
            let one = || client.post(format!("http://{addr}/v1/chat/completions")).body(body(true)).send();
            let text = async |sent: reqwest::Result<reqwest::Response>| sent.unwrap().text().await.unwrap();
            join_all((0..50).map(|_| async { text(one().await).await })).await
        }
    });
    // What is on its way to an engine when the cordon comes goes on, so all of it has to be there before it is counted.
    until("all have come", async || come() == first + 50).await;
    assert!(two.engines.iter().all(|it| it.requests() > 5), "both work");
    let revision = two.agents[0].apply("drain", "node-2", &drain(false));
    reported(&two.agents[0], "the drain is acknowledged", |it| it.acked >= revision).await;
    let before = two.engines[1].requests();
    let answers = join_all((0..20).map(|_| post(&two.router, body(true)))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200));
    assert_eq!(two.engines[1].requests(), before, "nothing new goes there");
    let cut = streams.await.unwrap().into_iter().find(|it| !it.contains("[DONE]"));
    assert_eq!(cut, None, "what was in flight ends well");
    let last = reported(&two.agents[0], "it is empty", |it| !it.inflight.iter().any(|one| one.node == "node-2")).await;
    assert_eq!(last.acked, revision);
    two.agents[0].apply("drain", "node-2", "");
    until("it serves again", async || {
        post(&two.router, body(true)).await;
        two.engines[1].requests() > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_drain_cuts_what_is_in_flight() {
    let two = Two::start(Do::Stream(2, Duration::ZERO)).await;
    two.engines.iter().for_each(|it| it.always(Do::Stall(1)));
    let mut streams = Vec::new();
    while two.engines[1].active() == 0 {
        let mut stream = send(two.router.addr, raw(&body(true)).as_bytes()).await;
        read_until(&mut stream, "{\"n\":0}").await;
        streams.push(stream);
    }
    let report =
        reported(&two.agents[0], "it is counted", |it| it.inflight.iter().any(|one| one.node == "node-2")).await;
    let held = report.inflight.iter().find(|it| it.node == "node-2").unwrap();
    assert_eq!((held.engine.as_str(), held.model.as_str(), held.count), ("engine", "m", 1));
    two.agents[0].apply("drain", "node-2", &drain(true));
    let mut last = streams.pop().unwrap();
    read_until(&mut last, r#"{"error":{"message":"#).await;
    until("the engine is free", async || two.engines[1].active() == 0).await;
    assert_eq!(two.engines[0].active(), streams.len(), "the other node's answers go on");
}

/// Waits until no more bytes come although nobody takes any: every buffer on the way is full.
async fn is_full(stream: &tokio::net::TcpStream) {
    let mut buffer = vec![0; 16 * 1024 * 1024];
    let (mut before, mut now) = (0, stream.peek(&mut buffer).await.unwrap());
    while now != before {
        tokio::time::sleep(Duration::from_millis(200)).await;
        (before, now) = (now, stream.peek(&mut buffer).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forced_drain_waits_for_no_client_that_takes_nothing() {
    let two = Two::start(Do::Stream(2, Duration::ZERO)).await;
    let event = "41\r\ndata: 6789012345678901234567890123456789012345678901234567890123\n\r\n";
    two.engines.iter().for_each(|it| it.always(Do::Flood(STREAM_HEAD, event)));
    let mut streams = Vec::new();
    while two.engines[1].active() == 0 {
        let stream = send(two.router.addr, raw(&body(true)).as_bytes()).await;
        is_full(&stream).await;
        streams.push(stream);
    }
    two.agents[0].apply("drain", "node-2", &drain(true));
    until("the engine is free", async || two.engines[1].active() == 0).await;
    reported(&two.agents[0], "it is empty", |it| !it.inflight.iter().any(|one| one.node == "node-2")).await;
    assert_eq!(two.engines[0].active() + 1, streams.len(), "the other node's answers stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_that_others_put_on_an_engine_moves_choices_away() {
    let two = Two::start(Do::Stream(2, Duration::ZERO)).await;
    two.agents[1].say(vec![sample(&url(&two.engines[1]), 60)]);
    let moved = async || {
        let before = two.engines[1].requests();
        for _ in 0..20 {
            post(&two.router, body(true)).await;
        }
        two.engines[1].requests() == before
    };
    until("choices move away", moved).await;
    // Its agent dies: the number ages and the router's own count decides again.
    two.agents[1].crash();
    until("an old number fades", async || {
        let before = two.engines[1].requests();
        for _ in 0..20 {
            post(&two.router, body(true)).await;
        }
        two.engines[1].requests() > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_agent_a_router_serves_on_and_starts_again() {
    let Two { mesh, agents: [first, second], engines, mut router } = Two::start(Do::Stream(2, Duration::ZERO)).await;
    let revision = first.apply("policy", "mesh", "{}");
    reported(&first, "the last revision is in", |it| it.acked >= revision).await;
    first.crash();
    second.crash();
    for _ in 0..20 {
        assert_eq!(post(&router, body(true)).await.0, 200);
    }
    router.stop();
    router.ended().await.unwrap();
    let router = mesh.router(first.api).await;
    serves(&router).await;
    let (before, revision) = (engines[0].requests(), first.apply("policy", "mesh", r#"{"require_reason":true}"#));
    let first = Agent::start(&mesh.authority, NODE, Some(first)).await;
    reported(&first, "it reports again", |it| it.acked >= revision).await;
    serves(&router).await;
    assert!(engines[0].requests() + engines[1].requests() > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strategies_swap_under_load_and_nothing_is_lost() {
    let two = Two::start(Do::Stream(10, Duration::from_millis(5))).await;
    let agent = &two.agents[0];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../strategy/sdk/prebuilt/hybrid.wasm");
    let module = std::fs::read(path).unwrap();
    let checked = mesh_strategy::check(&module).unwrap();
    agent.put(&checked.digest, &module);
    let hybrid = format!(
        r#"{{"wasm":{{"name":"hybrid","digest":"{}","version":"{}"}}}}"#,
        checked.digest, checked.manifest.version
    );
    let load = async {
        let mut failed = 0;
        for _ in 0..30 {
            let answers = join_all((0..20).map(|_| post(&two.router, body(true)))).await;
            failed += answers.iter().filter(|(status, text)| *status != 200 || !text.contains("[DONE]")).count();
        }
        failed
    };
    let swaps = async {
        for seq in 1..=20 {
            let brain = if seq % 2 == 1 { hybrid.as_str() } else { r#"{"builtin":"baseline_rr"}"# };
            agent.apply("activation", "active", &activation(seq, brain));
            let loaded = |it: &RouterSample| it.strategy.as_ref().is_some_and(|it| it.seq == seq && it.error.is_none());
            reported(agent, &format!("activation {seq} is in force"), loaded).await;
        }
    };
    let (failed, ()) = tokio::join!(load, swaps);
    assert_eq!(failed, 0);
    agent.apply("activation", "active", &activation(21, &hybrid));
    let last = reported(agent, "hybrid decides", |it| it.strategy.as_ref().is_some_and(|it| it.seq == 21)).await;
    let strategy = last.strategy.unwrap();
    assert_eq!((strategy.name.as_str(), strategy.digest.as_deref()), ("hybrid", Some(checked.digest.as_str())));
    let decided = async || {
        post(&two.router, body(true)).await;
        let begins = format!(
            "strategy_decisions_total{{outcome=\"ok\",strategy=\"hybrid\",version=\"{}\"}}",
            checked.manifest.version
        );
        two.router.metric(&begins).await.is_some_and(|it| it > 0.0)
    };
    until("its decisions are counted", decided).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strategy_that_cannot_be_loaded_is_reported_and_the_old_one_goes_on() {
    let two = Two::start(Do::Stream(2, Duration::ZERO)).await;
    let agent = &two.agents[0];
    let bad = b"\0asm\x01\0\0\0";
    let digest = sha256(bad);
    agent.put(&digest, bad);
    let brain = format!(r#"{{"wasm":{{"name":"bad","digest":"{digest}","version":"1"}}}}"#);
    agent.apply("activation", "active", &activation(1, &brain));
    let said =
        reported(agent, "the refusal is reported", |it| it.strategy.as_ref().is_some_and(|it| it.error.is_some()))
            .await;
    let strategy = said.strategy.unwrap();
    assert_eq!((strategy.name.as_str(), strategy.seq), ("least_queue", 0));
    assert!(strategy.error.unwrap().contains("activation 1"));
    assert_eq!(post(&two.router, body(true)).await.0, 200);
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|it| format!("{it:02x}")).collect()
}
