//! Engines whose answers are no HTTP, or too much of it: the client is served by another or told, and the router goes on.

use crate::{
    client::{body, post},
    engine::{Do, Engine},
    faults::goes_to_the_other,
    start::router_for,
};

fn raw(answer: &str) -> Do {
    Do::Raw(answer.as_bytes().to_vec())
}

#[tokio::test]
async fn a_head_that_is_none_is_tried_elsewhere() {
    for head in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        goes_to_the_other(raw(head)).await;
    }
    let many: String = (0..500).map(|n| format!("x-{n}: 1\r\n")).collect();
    goes_to_the_other(raw(&format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n"))).await;
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    goes_to_the_other(Do::Flood("HTTP/1.1 200 OK\r\nx: ", "aaaaaaaaaaaaaaaa")).await;
}

#[tokio::test]
async fn a_body_that_breaks_the_rules_ends_as_an_error() {
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    let check = async |what: Do| {
        engine.always(what.clone());
        let sent = reqwest::Client::new().post(router.url("/v1/completions")).body(body(false)).send().await.unwrap();
        assert_eq!(sent.status(), 200, "{what:?}");
        assert!(sent.bytes().await.is_err(), "{what:?}");
        engine.always(Do::Json);
        assert_eq!(post(&router, body(false)).await.0, 200, "after {what:?}");
    };
    check(raw(&format!("{chunked}zz\r\n{{}}\r\n0\r\n\r\n"))).await;
    check(raw(&format!("{chunked}2\r\n{{}}\r\nfffffffffffffffff\r\n"))).await;
    check(raw(&format!("{chunked}2\r\n{{}}xx0\r\n\r\n"))).await;
    check(raw(&format!("{chunked}-1\r\n"))).await;
    check(Do::Flood("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;", "extensionextension")).await;
    check(Do::Flood("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ", "trailertrailer")).await;
}

#[tokio::test]
async fn a_length_beside_chunks_does_not_cut_the_answer() {
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n";
    let engine = Engine::start(raw(both)).await;
    let router = router_for(&[&engine]).await;
    assert_eq!(post(&router, body(false)).await, (200, "0123456789".to_owned()));
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_reaches_nobody() {
    let two = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nanswer";
    let engine = Engine::start(raw(two)).await;
    let router = router_for(&[&engine]).await;
    for _ in 0..20 {
        assert_eq!(post(&router, body(false)).await, (200, "{}".to_owned()));
    }
}
