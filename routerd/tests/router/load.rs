//! Many requests at once: nothing lost, places kept, the line first come first served.

use std::time::Duration;

use futures_util::future::join_all;

use crate::{
    client::{body, error_code, post, raw, send},
    engine::{Do, Engine},
    start::{Running, router, router_for, until},
};

/// A router in front of one engine of this capacity.
pub(crate) async fn router_with_capacity(engine: &Engine, capacity: u32) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("u.yaml");
    std::fs::write(
        &file,
        format!("upstreams: [{{url: \"http://{}\", models: [m], capacity: {capacity}}}]", engine.addr),
    )
    .unwrap();
    crate::start::with_file(&file, dir).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_through_three_engines_lose_nothing() {
    let (a, b, c) = tokio::join!(
        Engine::start(Do::Stream(20, Duration::from_millis(10))),
        Engine::start(Do::Stream(20, Duration::from_millis(10))),
        Engine::start(Do::Stream(20, Duration::from_millis(10))),
    );
    let router = router_for(&[&a, &b, &c]).await;
    let answers = join_all((0..200).map(|_| post(&router, body(true)))).await;
    for (status, text) in answers {
        assert_eq!(status, 200);
        assert_eq!(text.matches("data: {\"n\":").count(), 20);
        assert!(text.ends_with("data: [DONE]\n\n"));
    }
    for engine in [&a, &b, &c] {
        assert!((40..=100).contains(&engine.requests()), "spread: {} {} {}", a.requests(), b.requests(), c.requests());
        assert_eq!(engine.aborted(), 0);
    }
    assert_eq!(router.metric("mesh_router_inflight_requests").await, Some(0.0));
}

#[tokio::test]
async fn a_full_engine_makes_a_line_and_the_line_is_served_in_order() {
    let engine = Engine::start(Do::Stream(5, Duration::from_millis(10))).await;
    let router = router_with_capacity(&engine, 2).await;
    let answers = join_all((0..40).map(|_| post(&router, body(true)))).await;
    assert!(answers.iter().all(|(status, text)| *status == 200 && text.contains("[DONE]")));
    assert_eq!(engine.requests(), 40);
    assert_eq!(router.metric("mesh_router_queued_requests").await, Some(0.0));
}

#[tokio::test]
async fn a_full_line_is_refused_with_a_time_to_come_back() {
    let engine = Engine::start(Do::Hang).await;
    let router = router_with_capacity(&engine, 1).await;
    let mut held = Vec::new();
    for _ in 0..1027 {
        held.push(send(router.addr, raw(&body(false)).as_bytes()).await);
    }
    until("the line is full", async || router.metric("mesh_router_queued_requests").await == Some(1024.0)).await;
    let sent = reqwest::Client::new().post(router.url("/v1/chat/completions")).body(body(false)).send().await.unwrap();
    assert_eq!(sent.status(), 429);
    let after: u32 = sent.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after));
    assert_eq!(error_code(&sent.text().await.unwrap()), "line_full");
    drop(held);
    until("all is free again", async || engine.active() == 0).await;
    until("nobody waits", async || router.metric("mesh_router_queued_requests").await == Some(0.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_stops_nobody_else() {
    let engine = Engine::start(Do::Stream(2000, Duration::ZERO)).await;
    let router = router(&[engine.addr], &[]).await;
    // It asks and never reads.
    let slow = send(router.addr, raw(&body(true)).as_bytes()).await;
    let answers = join_all((0..20).map(|_| post(&router, body(true)))).await;
    assert!(answers.iter().all(|(status, text)| *status == 200 && text.contains("[DONE]")));
    drop(slow);
    until("the engine is free", async || engine.active() == 0).await;
}
