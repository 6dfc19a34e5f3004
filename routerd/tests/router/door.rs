//! The door itself: pages, models, metrics, and how it closes.

use std::time::Duration;

use crate::{
    client::{body, post, raw, read_all, read_until, send},
    engine::{Do, Engine},
    start::{MODEL, router_for, until},
};

#[tokio::test]
async fn models_are_listed_and_found_by_name() {
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    let list: serde_json::Value = reqwest::get(router.url("/v1/models")).await.unwrap().json().await.unwrap();
    assert_eq!(list["object"], "list");
    assert_eq!(list["data"][0]["id"], MODEL);
    assert_eq!(reqwest::get(router.url("/v1/models/m")).await.unwrap().status(), 200);
    assert_eq!(reqwest::get(router.url("/v1/models/other%2Fm")).await.unwrap().status(), 404);
}

#[tokio::test]
async fn metrics_say_what_happened() {
    let engine = Engine::start(Do::Stream(4, Duration::ZERO)).await;
    let router = router_for(&[&engine]).await;
    for _ in 0..3 {
        assert_eq!(post(&router, body(true)).await.0, 200);
    }
    let metric = async |begins: &str| router.metric(begins).await;
    assert_eq!(metric("mesh_router_requests_total{code=\"200\",model=\"m\"}").await, Some(3.0));
    assert_eq!(metric("mesh_router_ttft_seconds_count{model=\"m\"}").await, Some(3.0));
    assert_eq!(metric("mesh_router_inflight_requests").await, Some(0.0));
    until("least_queue decides", async || {
        post(&router, body(true)).await;
        router
            .metric("strategy_decisions_total{outcome=\"ok\",strategy=\"least_queue\"")
            .await
            .is_some_and(|it| it > 0.0)
    })
    .await;
}

#[tokio::test]
async fn a_stop_lets_answers_finish_and_nobody_in() {
    let engine = Engine::start(Do::Stream(20, Duration::from_millis(20))).await;
    let mut router = router_for(&[&engine]).await;
    let idle = send(router.addr, b"").await;
    let mut stream = send(router.addr, raw(&body(true)).as_bytes()).await;
    read_until(&mut stream, "{\"n\":0}").await;
    router.stop();
    until("nobody is let in", async || tokio::net::TcpStream::connect(router.addr).await.is_err()).await;
    let (text, ended) = read_all(&mut stream).await;
    ended.unwrap();
    assert!(text.contains("[DONE]") && text.ends_with("0\r\n\r\n"), "{text}");
    router.ended().await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_slow_head_is_cut_off_and_an_idle_connection_is_not() {
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    let mut slow = send(router.addr, b"GET /v1/models HTTP/1.1\r\nx: ").await;
    let mut idle = send(router.addr, b"").await;
    let mut byte = [0];
    let cut = tokio::time::timeout(Duration::from_secs(14), tokio::io::AsyncReadExt::read(&mut slow, &mut byte)).await;
    assert!(matches!(cut, Ok(Ok(0) | Err(_))), "cut off after ten seconds: {cut:?}");
    tokio::io::AsyncWriteExt::write_all(&mut idle, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    read_until(&mut idle, "ok\n").await;
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let args = ["mesh-routerd", "--listen", &at, "--upstream", "127.0.0.1:1"];
    let args = <mesh_routerd::Args as clap::Parser>::try_parse_from(args).unwrap();
    let config = mesh_routerd::Config::load(&args).unwrap();
    let started = mesh_routerd::Router::start(config, mesh_daemon::Shutdown::new()).await;
    let error = started.err().map(|it| format!("{it:#}")).unwrap_or_default();
    assert!(error.contains(&at) && error.contains("in use"), "{error}");
}
