//! Each fault switch does what it says, and ends.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::{Standin, chat, events};
use futures_util::StreamExt;
use serde_json::{Value, json};

const CHAT: &str = "/v1/chat/completions";

async fn faulty(faults: Value) -> Standin {
    let standin = Standin::start(common::fast()).await;
    assert_eq!(standin.post("/standin/faults", &faults).await.status(), 200);
    standin
}

#[tokio::test]
async fn a_status_holds_for_its_number_of_requests() {
    let standin = faulty(json!({"status": 503, "retry_after_s": 7, "times": 2})).await;
    for _ in 0..2 {
        let answer = standin.post(CHAT, &chat(1, false)).await;
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "7");
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], 503);
    }
    assert_eq!(standin.post(CHAT, &chat(1, false)).await.status(), 200);
}

#[tokio::test]
async fn health_can_fail_alone_and_faults_can_be_cleared() {
    let standin = faulty(json!({"health_status": 503})).await;
    assert_eq!(standin.get("/health").await.status(), 503);
    assert_eq!(standin.post(CHAT, &chat(1, false)).await.status(), 200);
    standin.client.delete(format!("{}/standin/faults", standin.url)).send().await.unwrap();
    assert_eq!(standin.get("/health").await.status(), 200);
    assert_eq!(standin.get("/standin/faults").await.json::<Value>().await.unwrap(), json!({}));
}

#[tokio::test]
async fn a_stream_dies_after_its_events() {
    let standin = faulty(json!({"die_after_events": 3})).await;
    let mut body = standin.post(CHAT, &chat(10, true)).await.bytes_stream();
    let (mut text, mut failed) = (String::new(), false);
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => text.push_str(std::str::from_utf8(&piece).unwrap()),
            Err(_) => failed = true,
        }
    }
    assert!(failed, "the end is an error, not the end of an answer");
    assert_eq!(events(&text).len(), 3);
    assert!(standin.try_post(CHAT, &chat(10, false)).await.is_err());
}

#[tokio::test]
async fn a_stream_stalls_after_its_events() {
    let standin = faulty(json!({"stall_after_events": 2})).await;
    let mut body = standin.post(CHAT, &chat(10, true)).await.bytes_stream();
    let mut text = String::new();
    while events(&text).len() < 2 {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    let more = tokio::time::timeout(Duration::from_millis(200), body.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn heads_are_late_or_never_come() {
    let standin = faulty(json!({"head_delay_ms": 150})).await;
    let started = Instant::now();
    assert_eq!(standin.post(CHAT, &chat(1, true)).await.status(), 200);
    assert!(started.elapsed() >= Duration::from_millis(150));
    standin.post("/standin/faults", &json!({"hang": true, "times": 1})).await;
    let hung = tokio::time::timeout(Duration::from_millis(200), standin.try_post(CHAT, &chat(1, false))).await;
    assert!(hung.is_err());
    standin.post("/standin/faults", &json!({"drop": true, "times": 1})).await;
    assert!(standin.try_post(CHAT, &chat(1, false)).await.is_err());
    assert_eq!(standin.post(CHAT, &chat(1, false)).await.status(), 200);
}

#[tokio::test]
async fn connects_are_refused_for_a_while_then_the_port_is_back() {
    let standin = faulty(json!({"refuse_connects_ms": 400})).await;
    let address = standin.url.strip_prefix("http://").unwrap().to_owned();
    let started = Instant::now();
    let connect = || tokio::net::TcpStream::connect(&address);
    while connect().await.is_ok() {
        assert!(started.elapsed() < Duration::from_millis(300), "never refused");
        tokio::task::yield_now().await;
    }
    assert_eq!(connect().await.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    while connect().await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(5), "never back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(standin.post(CHAT, &chat(1, false)).await.status(), 200);
}

#[tokio::test]
async fn unknown_or_impossible_switches_are_refused() {
    let standin = Standin::start(common::fast()).await;
    let cases = [
        (json!({"stauts": 500}), "stauts"),
        (json!({"status": 200}), "status must be 400 to 599"),
        (json!({"refuse_connects_ms": 600_001}), "refuse_connects_ms"),
        (json!({"hang": "yes"}), "invalid type"),
    ];
    for (faults, part) in cases {
        let answer = standin.post("/standin/faults", &faults).await;
        assert_eq!(answer.status(), 400, "{faults}");
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{faults}: {answer}");
    }
}
