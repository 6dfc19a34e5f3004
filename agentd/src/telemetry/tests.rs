//! Telemetry as a whole: engines follow what is declared, GPUs come out of the library, nothing is left running.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use axum::{Router, routing::get};
use mesh_core::{
    id::{Lineage, MeshName, Principal, RequestId},
    kind::{self, EngineKind, Kind, NodeSpec, Role},
    object::Key,
    store::{Command, Expect, Op, apply},
    time::Timestamp,
};
use mesh_daemon::Shutdown;
use prometheus::Registry;

use super::*;

const SOON: Duration = Duration::from_secs(20);

async fn engine(running: u32) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let page = format!("vllm:num_requests_running {running}\nvllm:num_requests_waiting 0\n");
    let router = Router::new()
        .route("/metrics", get(async move || page))
        .route("/health", get(async || ""))
        .route("/v1/models", get(async || r#"{"data":[{"id":"demo"}]}"#));
    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn declare(store: &mut Store, engines: &[(&str, &str)]) {
    let engine = |(name, url): &(&str, &str)| EngineSpec {
        name: ObjectName::new(*name).unwrap(),
        kind: EngineKind::Vllm,
        url: (*url).to_owned(),
        models: Vec::new(),
        capacity: None,
    };
    let spec = NodeSpec {
        roles: BTreeSet::from([Role::Gpu]),
        address: "127.0.0.1".into(),
        api: "127.0.0.1:1".into(),
        gossip: "127.0.0.1:1".into(),
        engines: engines.iter().map(engine).collect(),
        ..NodeSpec::default()
    };
    let command = Command {
        id: RequestId(u128::from(store.revision().0) + 1),
        actor: Principal::operator(&MeshName::new("lab").unwrap(), ObjectName::new("ada").unwrap()),
        at: Timestamp(1),
        level: 1,
        reason: None,
        ops: vec![Op::Put {
            key: Key::new(Kind::Node, ObjectName::new("node-5").unwrap()),
            spec: kind::write(&spec),
            expect: Expect::Any,
        }],
    };
    apply(store, &command);
}

#[tokio::test]
async fn the_sample_follows_what_is_declared_and_everything_ends() {
    let dir = tempfile::tempdir().unwrap();
    let library = nvml::tests::standin(dir.path());
    let mut desired = Store::new(Lineage(1));
    let (store, rx) = watch::channel(Arc::new(desired.clone()));
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(&shutdown);
    let config = TelemetryConfig {
        node: NodeName::new("node-5").unwrap(),
        nvml_library: Some(library),
        timing: TelemetryTiming::default(),
    };
    let metrics = TelemetryMetrics::register(&Registry::new()).unwrap();
    let mut sample = start(config, rx, metrics, &tasks).unwrap();
    let mut until = async |wanted: &dyn Fn(&LocalSample) -> bool| {
        let found = tokio::time::timeout(SOON, sample.wait_for(|it| wanted(it))).await.is_ok();
        assert!(found, "the sample stays at {:?}", sample.borrow());
    };
    let loads = |it: &LocalSample| {
        it.engines.iter().map(|it| (it.sample.name.to_string(), it.sample.running)).collect::<Vec<_>>()
    };
    until(&|it| it.host.cpus.is_some() && it.host.memory_bytes.is_some() && it.host.kernel.is_some()).await;
    until(&|it| matches!(&it.gpus, Probe::Read(gpus) if gpus[0].utilisation_percent == Some(73.0))).await;
    let (one, two) = (engine(3).await, engine(5).await);
    declare(&mut desired, &[("b", &one), ("a", &two)]);
    store.send_replace(Arc::new(desired.clone()));
    until(&|it| loads(it) == [("b".to_owned(), Some(3)), ("a".to_owned(), Some(5))]).await;
    // The same name at another place is another engine.
    declare(&mut desired, &[("a", &one)]);
    store.send_replace(Arc::new(desired.clone()));
    until(&|it| loads(it) == [("a".to_owned(), Some(3))]).await;
    declare(&mut desired, &[]);
    store.send_replace(Arc::new(desired));
    until(&|it| it.engines.is_empty()).await;
    shutdown.begin();
    tasks.join(SOON).await.unwrap();
    assert_eq!(tasks.failure(), None);
}
