//! What an engine can do wrong, and what the client sees of it.

use std::time::Duration;

use crate::{
    client::{body, error_code, post, raw, read_all, send},
    engine::{Do, Engine, nobody},
    start::{router, router_for},
};

/// Twenty requests at a good engine and one that does `bad`: all succeed, whichever came first.
pub(crate) async fn goes_to_the_other(bad: Do) {
    let (wrong, good) = (Engine::start(bad).await, Engine::start(Do::Json).await);
    let router = router_for(&[&wrong, &good]).await;
    for _ in 0..20 {
        assert_eq!(post(&router, body(false)).await, (200, r#"{"ok":true}"#.to_owned()));
    }
    assert!(wrong.requests() > 0, "the bad engine was never asked");
    assert_eq!(good.requests(), 20);
}

#[tokio::test]
async fn a_refusing_engine_is_left_for_another() {
    goes_to_the_other(Do::Status(503)).await;
    goes_to_the_other(Do::Status(429)).await;
}

#[tokio::test]
async fn a_reset_before_the_first_byte_is_tried_elsewhere() {
    goes_to_the_other(Do::Drop).await;
}

#[tokio::test]
async fn a_dead_engine_is_skipped_and_kept_out() {
    let good = Engine::start(Do::Json).await;
    let router = router(&[nobody().await, good.addr], &[]).await;
    for _ in 0..20 {
        assert_eq!(post(&router, body(false)).await.0, 200);
    }
    let connects = router.metric("mesh_router_upstream_errors_total{engine=\"engine\",kind=\"connect\"").await;
    assert!(connects.is_some_and(|it| (1.0..=3.0).contains(&it)), "the breaker opens at once: {connects:?}");
}

#[tokio::test]
async fn when_all_fail_the_client_is_told_in_openais_words() {
    let router = router(&[nobody().await], &[]).await;
    let (status, text) = post(&router, body(false)).await;
    assert_eq!((status, error_code(&text).as_str()), (502, "upstream_failed"));
    let (status, text) = post(&router, body(false)).await;
    assert_eq!((status, error_code(&text).as_str()), (503, "no_target"));
}

#[tokio::test]
async fn the_last_refusal_is_the_engines_own() {
    let engine = Engine::start(Do::Status(503)).await;
    let router = router_for(&[&engine]).await;
    let (status, text) = post(&router, body(false)).await;
    assert_eq!(status, 503);
    assert!(text.contains("engine says 503"), "{text}");
}

#[tokio::test]
async fn other_errors_of_an_engine_pass_as_they_are() {
    for status in [400, 404, 422, 500] {
        let engine = Engine::start(Do::Status(status)).await;
        let router = router_for(&[&engine]).await;
        let (seen, text) = post(&router, body(false)).await;
        assert_eq!(seen, status);
        assert!(text.contains(&format!("engine says {status}")), "{text}");
        assert_eq!(engine.requests(), 1, "nothing is tried again");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_event_and_no_proper_end() {
    let engine = Engine::start(Do::Die(3)).await;
    let router = router_for(&[&engine]).await;
    let mut stream = send(router.addr, raw(&body(true)).as_bytes()).await;
    let (text, _) = read_all(&mut stream).await;
    for n in 0..3 {
        assert!(text.contains(&format!("data: {{\"n\":{n}}}")), "{text}");
    }
    assert!(text.contains(r#"data: {"error":{"message":"#), "{text}");
    assert!(!text.contains("[DONE]") && !text.ends_with("0\r\n\r\n"), "{text}");
    let client = reqwest::Client::new().post(router.url("/v1/chat/completions")).body(body(true)).send().await.unwrap();
    assert!(client.bytes().await.is_err(), "a proper client sees the break");
    assert_eq!(engine.requests(), 2, "nothing is tried again after the first byte");
}

#[tokio::test]
async fn a_whole_answer_that_breaks_is_an_error_too() {
    let engine = Engine::start(Do::HalfJson).await;
    let router = router_for(&[&engine]).await;
    let sent = reqwest::Client::new().post(router.url("/v1/chat/completions")).body(body(false)).send().await.unwrap();
    assert!(sent.bytes().await.is_err());
}

#[tokio::test]
async fn a_client_of_http_1_0_is_reset_when_a_stream_breaks() {
    let engine = Engine::start(Do::Die(2)).await;
    let router = router_for(&[&engine]).await;
    let request = raw(&body(true)).replace("HTTP/1.1", "HTTP/1.0");
    let mut stream = send(router.addr, request.as_bytes()).await;
    let (text, ended) = read_all(&mut stream).await;
    assert!(ended.is_err(), "a plain close would look like a proper end: {text}");
}

#[tokio::test]
async fn a_kept_connection_that_the_engine_closed_costs_nothing() {
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    for _ in 0..30 {
        assert_eq!(post(&router, body(false)).await.0, 200);
        engine.close_reused(2);
        assert_eq!(post(&router, body(false)).await.0, 200);
    }
    assert_eq!(router.metric("mesh_router_retries_total").await, Some(0.0));
    assert_eq!(router.metric("mesh_router_upstream_errors_total").await, None);
}

#[tokio::test]
async fn connections_are_kept_and_hints_are_not_answers() {
    let engine = Engine::start(Do::EarlyHints).await;
    let router = router_for(&[&engine]).await;
    let client = reqwest::Client::new();
    for _ in 0..20 {
        let sent = client.post(router.url("/v1/completions")).body(body(false)).send().await.unwrap();
        assert_eq!((sent.status().as_u16(), sent.text().await.unwrap()), (200, r#"{"ok":true}"#.to_owned()));
    }
    assert!(engine.connections() <= 2, "{} connections", engine.connections());
}

#[tokio::test]
async fn an_engine_sees_only_what_is_meant_for_it() {
    let engine = Engine::start(Do::Echo).await;
    let router = router_for(&[&engine]).await;
    let request = reqwest::Client::new()
        .post(router.url("/v1/chat/completions?x=1"))
        .header("authorization", "Bearer secret")
        .header("x-forwarded-for", "1.2.3.4")
        .header("connection", "x-mine")
        .header("x-mine", "1")
        .header("x-kept", "2")
        .header("x-request-id", "id-7")
        .body(body(false));
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], "id-7");
    let head: Vec<String> = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(head[0], "POST /v1/chat/completions?x=1 HTTP/1.1");
    let has = |line: &str| head.iter().any(|it| it.eq_ignore_ascii_case(line));
    assert!(has(&format!("host: {}", engine.addr)) && has("x-kept: 2") && has("x-request-id: id-7"), "{head:?}");
    let leaked = ["authorization", "x-forwarded", "x-mine", "connection", "transfer-encoding"];
    assert!(!head.iter().any(|it| leaked.iter().any(|bad| it.to_lowercase().starts_with(bad))), "{head:?}");
}

#[tokio::test]
async fn an_engine_that_does_not_accept_is_given_up_after_a_second() {
    // A listener whose backlog is full answers no further connection.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(addr)).await
    {
        fill.push(stream);
    }
    let router = router(&[addr], &[]).await;
    let before = std::time::Instant::now();
    assert_eq!(post(&router, body(false)).await.0, 502);
    let took = before.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{took:?}");
}
