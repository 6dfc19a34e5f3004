//! The stand-in over HTTP: shapes of answers and errors, load, hang-ups, faults.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::time::{Duration, Instant};

use common::{Standin, chat, events};
use futures_util::StreamExt;
use futures_util::future::join_all;
use mesh_sim::engine::Config;
use serde_json::{Value, json};

#[tokio::test]
async fn models_version_and_answers_say_simulated() {
    let standin = Standin::start(common::fast()).await;
    let models: Value = standin.get("/v1/models").await.json().await.unwrap();
    assert_eq!(models["data"][0]["id"], "m");
    assert_eq!(models["data"][1]["id"], "alias");
    assert_eq!(models["data"][0]["owned_by"], "mesh-standin (simulated)");
    let version: Value = standin.get("/version").await.json().await.unwrap();
    assert!(version["version"].as_str().unwrap().contains("simulated"));
    let answer: Value = standin.post("/v1/chat/completions", &chat(8, false)).await.json().await.unwrap();
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().starts_with("This is a simulated answer"));
    assert!(answer["system_fingerprint"].as_str().unwrap().contains("simulated"));
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 8);
    assert_eq!(standin.get("/health").await.status(), 200);
    assert_eq!(standin.get("/ping").await.status(), 200);
}

#[tokio::test]
async fn a_stream_has_one_event_per_token_then_usage_then_done() {
    let standin = Standin::start(common::fast()).await;
    let mut body = chat(5, true);
    body["stream_options"] = json!({"include_usage": true});
    let answer = standin.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
    let events = events(&answer.text().await.unwrap());
    assert_eq!(events.len(), 1 + 5 + 1 + 1, "{events:?}");
    let parsed: Vec<Value> = events[..7].iter().map(|e| serde_json::from_str(e).unwrap()).collect();
    assert_eq!(parsed[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = parsed[1..6].iter().map(|e| e["choices"][0]["delta"]["content"].as_str().unwrap()).collect();
    assert_eq!(text, "This is a simulated answer");
    assert_eq!(parsed[4]["choices"][0]["finish_reason"], Value::Null);
    assert_eq!(parsed[5]["choices"][0]["finish_reason"], "length");
    assert_eq!(parsed[6]["choices"], json!([]));
    assert_eq!(parsed[6]["usage"]["completion_tokens"], 5);
    assert_eq!(events[7], "[DONE]");
}

#[tokio::test]
async fn completions_and_natural_ends_work() {
    let standin = Standin::start(common::fast()).await;
    let answer: Value = standin.post("/v1/completions", &json!({"prompt": "once"})).await.json().await.unwrap();
    assert_eq!(answer["object"], "text_completion");
    assert_eq!(answer["usage"]["completion_tokens"], 16);
    let streamed =
        standin.post("/v1/completions", &json!({"model": "alias", "prompt": [1, 2, 3], "stream": true})).await;
    let events = events(&streamed.text().await.unwrap());
    assert_eq!(events.len(), 17);
    let natural = json!({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]});
    let answer: Value = standin.post("/v1/chat/completions", &natural).await.json().await.unwrap();
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert!((16..=64).contains(&answer["usage"]["completion_tokens"].as_u64().unwrap()));
}

#[tokio::test]
async fn embeddings_are_repeatable_vectors_of_the_wanted_size() {
    let standin = Standin::start(common::fast()).await;
    let body = json!({"model": "m", "input": ["north", "south"], "dimensions": 8});
    let one: Value = standin.post("/v1/embeddings", &body).await.json().await.unwrap();
    let two: Value = standin.post("/v1/embeddings", &body).await.json().await.unwrap();
    assert_eq!(one["data"], two["data"]);
    assert_eq!(one["data"][0]["embedding"].as_array().unwrap().len(), 8);
    assert_ne!(one["data"][0]["embedding"], one["data"][1]["embedding"]);
    assert_eq!(one["usage"]["prompt_tokens"], 4);
    let tokens: Value = standin.post("/tokenize", &json!({"prompt": "north"})).await.json().await.unwrap();
    assert_eq!(tokens["count"], 2);
}

#[tokio::test]
async fn errors_have_vllms_shape() {
    let standin = Standin::start(Config { max_model_len: 100, ..common::fast() }).await;
    let user = json!([{"role": "user", "content": "x"}]);
    let cases = [
        ("/v1/chat/completions", json!({"model": "nobody", "messages": user}), 404, "NotFoundError", "`nobody`"),
        ("/v1/chat/completions", json!({"model": "m"}), 400, "BadRequestError", "messages"),
        ("/v1/chat/completions", json!({"messages": user, "max_tokens": 0}), 400, "BadRequestError", "max_tokens"),
        (
            "/v1/chat/completions",
            json!({"messages": user, "max_tokens": 200}),
            400,
            "BadRequestError",
            "context length",
        ),
        ("/v1/chat/completions", json!({"messages": user, "n": 2}), 400, "BadRequestError", "n must be 1"),
        ("/v1/chat/completions", json!([1]), 400, "BadRequestError", "invalid request body"),
        ("/v1/completions", json!({"prompt": ["a", "b"]}), 400, "BadRequestError", "one prompt"),
        ("/v1/embeddings", json!({"input": "a", "dimensions": 0}), 400, "BadRequestError", "dimensions"),
        ("/v1/nothing", json!({}), 404, "NotFoundError", "Not Found"),
        ("/health", json!({}), 405, "BadRequestError", "Method Not Allowed"),
    ];
    for (path, body, status, kind, part) in cases {
        let answer = standin.post(path, &body).await;
        assert_eq!(answer.status(), status, "{path} {body}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["error"]["type"], kind, "{path} {body}");
        assert_eq!(answer["error"]["code"], status, "{path} {body}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{path} {body}: {answer}");
    }
    let twice = r#"{"model":"m","model":"m","messages":[]}"#;
    let answer = standin.client.post(format!("{}/v1/chat/completions", standin.url)).body(twice).send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

/// Returns the mean time to the first event of `requests` streams sent at once, and the largest queue seen behind a full batch.
async fn first_event(standin: &Standin, requests: usize) -> (Duration, f64) {
    let streams = join_all((0..requests).map(|_| async {
        let started = Instant::now();
        let mut body = standin.post("/v1/chat/completions", &chat(32, true)).await.bytes_stream();
        body.next().await.unwrap().unwrap();
        let first = started.elapsed();
        while let Some(piece) = body.next().await {
            piece.unwrap();
        }
        first
    }));
    let queue = async {
        let mut most = 0.0_f64;
        for _ in 0..20 {
            let page = standin.metrics().await;
            let gauge = |name| common::value(&page, &format!("vllm:{name}{{engine=\"0\",model_name=\"m\"}}")).unwrap();
            // While slots are free, requests wait for nothing but the next iteration.
            if gauge("num_requests_running") > 7.5 {
                most = most.max(gauge("num_requests_waiting"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        most
    };
    let (firsts, most) = tokio::join!(streams, queue);
    (firsts.iter().sum::<Duration>() / u32::try_from(requests).unwrap(), most)
}

#[tokio::test]
async fn at_twice_the_slots_waiting_shows_and_first_events_come_later() {
    let standin = Standin::start(Config { slots: 8, speed: 4.0, ..Config::default() }).await;
    let (first_at_slots, waiting_at_slots) = first_event(&standin, 8).await;
    let (first_at_twice, waiting_at_twice) = first_event(&standin, 16).await;
    assert!(waiting_at_slots < 1.0 && waiting_at_twice > 0.0, "{waiting_at_slots} and {waiting_at_twice} waiting");
    assert!(first_at_twice > first_at_slots * 2, "{first_at_twice:?} against {first_at_slots:?}");
}

#[tokio::test]
async fn two_hundred_streams_of_64_tokens_run_at_once() {
    let standin = Standin::start(Config::default()).await;
    let texts = join_all((0..200).map(|_| async {
        let answer = standin.post("/v1/chat/completions", &chat(64, true)).await;
        assert_eq!(answer.status(), 200);
        events(&answer.text().await.unwrap())
    }))
    .await;
    assert!(texts.iter().all(|e| e.len() == 66 && e[65] == "[DONE]"));
    let success = "vllm:request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"m\"}";
    assert_eq!(common::value(&standin.metrics().await, success), Some(200.0));
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_slot_in_every_phase() {
    let standin = Standin::start(Config { slots: 1, ..common::fast() }).await;
    let long = chat(20_000, true);
    let mut running = standin.post("/v1/chat/completions", &long).await.bytes_stream();
    running.next().await.unwrap().unwrap();
    let waiting = standin.post("/v1/chat/completions", &long).await;
    let (client, url) = (standin.client.clone(), format!("{}/v1/chat/completions", standin.url));
    let whole = tokio::spawn(client.post(url).json(&chat(20_000, false)).send());
    standin.until("num_requests_waiting", |v| v > 1.5).await;
    whole.abort();
    standin.until("num_requests_waiting", |v| v < 1.5).await;
    drop(waiting);
    standin.until("num_requests_waiting", |v| v < 0.5).await;
    assert!(standin.gauge("num_requests_running").await > 0.5);
    drop(running);
    standin.until("num_requests_running", |v| v < 0.5).await;
    let aborted = "vllm:request_success_total{engine=\"0\",finished_reason=\"abort\",model_name=\"m\"}";
    assert_eq!(common::value(&standin.metrics().await, aborted), Some(3.0));
}

#[tokio::test]
async fn a_full_queue_answers_503() {
    let standin = Standin::start(Config { slots: 1, queue: 1, ..common::fast() }).await;
    let long = chat(20_000, true);
    let _running = standin.post("/v1/chat/completions", &long).await;
    standin.until("num_requests_running", |v| v > 0.5).await;
    let _waiting = standin.post("/v1/chat/completions", &long).await;
    let refused = standin.post("/v1/chat/completions", &long).await;
    assert_eq!(refused.status(), 503);
    let refused: Value = refused.json().await.unwrap();
    assert!(refused["error"]["message"].as_str().unwrap().contains("queue of 1"));
}
