//! A client that hangs up frees the engine, whatever the request is doing.

use std::time::Duration;

use crate::{
    client::{body, raw, read_until, send},
    engine::{Do, Engine},
    start::{router, router_for, until},
};

/// The bound of the promise; the usual time is a few milliseconds.
const SOON: Duration = Duration::from_secs(1);

async fn freed(engine: &Engine, aborted: usize) {
    let wait = until("the engine is free", async || engine.active() == 0 && engine.aborted() == aborted);
    tokio::time::timeout(SOON, wait).await.expect("freed within a second");
}

#[tokio::test]
async fn before_the_head() {
    for stream in [false, true] {
        let engine = Engine::start(Do::Hang).await;
        let router = router_for(&[&engine]).await;
        let client = send(router.addr, raw(&body(stream)).as_bytes()).await;
        until("the engine works", async || engine.active() == 1).await;
        drop(client);
        freed(&engine, 1).await;
        until("its place is free", async || router.metric("mesh_router_inflight_requests").await == Some(0.0)).await;
    }
}

#[tokio::test]
async fn within_a_stream() {
    let engine = Engine::start(Do::Stall(2)).await;
    let router = router_for(&[&engine]).await;
    let mut client = send(router.addr, raw(&body(true)).as_bytes()).await;
    read_until(&mut client, "{\"n\":1}").await;
    assert_eq!(engine.active(), 1);
    drop(client);
    freed(&engine, 1).await;
}

#[tokio::test]
async fn within_a_paced_stream_over_http2() {
    let engine = Engine::start(Do::Stream(1000, Duration::from_millis(10))).await;
    let router = router_for(&[&engine]).await;
    let stream = tokio::net::TcpStream::connect(router.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post(router.url("/v1/chat/completions"))
        .body(http_body_util::Full::<bytes::Bytes>::from(body(true)));
    let mut answer: http::Response<hyper::body::Incoming> = client.send_request(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    http_body_util::BodyExt::frame(answer.body_mut()).await.unwrap().unwrap();
    drop(answer);
    freed(&engine, 1).await;
}

#[tokio::test]
async fn in_the_line() {
    let engine = Engine::start(Do::Hang).await;
    let router = crate::load::router_with_capacity(&engine, 1).await;
    let mut held = Vec::new();
    // Three places (capacity 1 and two more), then the line.
    for n in 1..=5 {
        held.push(send(router.addr, raw(&body(false)).as_bytes()).await);
        until("it arrived", async || engine.active() == n.min(3)).await;
    }
    until("two wait", async || router.metric("mesh_router_queued_requests").await == Some(2.0)).await;
    drop(held.pop());
    until("one waits", async || router.metric("mesh_router_queued_requests").await == Some(1.0)).await;
    assert_eq!(engine.aborted(), 0);
    // The place of the first goes to the one that still waits.
    drop(held.remove(0));
    until("nobody waits", async || router.metric("mesh_router_queued_requests").await == Some(0.0)).await;
    until("the engine works on three", async || engine.active() == 3 && engine.requests() == 4).await;
    drop(held);
    until("the engine is free", async || engine.active() == 0).await;
}

#[tokio::test]
async fn while_a_body_is_still_sent() {
    let engine = Engine::start(Do::Json).await;
    let router = router(&[engine.addr], &[]).await;
    let request = raw(&body(false));
    let client = send(router.addr, &request.as_bytes()[..request.len() - 5]).await;
    drop(client);
    assert_eq!(engine.requests(), 0);
    until("no connection is left", async || router.metric("mesh_router_connections").await == Some(1.0)).await;
}
