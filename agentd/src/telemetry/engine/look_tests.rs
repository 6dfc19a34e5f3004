//! Looks at engines that answer rightly, wrongly, late or not at all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::State, http::Uri, response::Response};
use mesh_core::id::ObjectName;

use super::*;

type Pages = Arc<Mutex<Vec<(&'static str, u16, String)>>>;

const MODELS: &str = r#"{"object":"list","data":[{"id":"demo"},{"id":"alias"}]}"#;
const BUSY: &str = "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_waiting{engine=\"0\"} 2\n";

async fn page(State(pages): State<Pages>, uri: Uri) -> Response {
    let found = pages.lock().unwrap().iter().find(|(path, _, _)| *path == uri.path()).cloned();
    if uri.path() == "/health" && found.is_none() {
        return Response::new(Body::empty());
    }
    match found {
        Some((_, 0, _)) => std::future::pending().await,
        Some((_, status, body)) => Response::builder().status(status).body(Body::from(body)).unwrap(),
        None => Response::builder().status(404).body(Body::empty()).unwrap(),
    }
}

/// An engine that answers what is put into `pages`; status 0 = never.
async fn engine(pages: Pages) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = Router::new().fallback(page).with_state(pages);
    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

fn timing() -> EngineTiming {
    EngineTiming {
        interval: Duration::from_millis(10),
        slow_interval: Duration::ZERO,
        timeout: Duration::from_millis(500),
        patience: Duration::from_secs(30),
    }
}

fn spec(kind: EngineKind, addr: SocketAddr) -> EngineSpec {
    EngineSpec {
        name: ObjectName::new("e").unwrap(),
        kind,
        url: format!("http://{addr}"),
        models: Vec::new(),
        capacity: None,
    }
}

struct Seen(bool, Option<u32>, Option<u32>, usize, &'static str);

async fn check(kind: EngineKind, pages: &[(&'static str, u16, &str)], expected: Seen) {
    let owned = pages.iter().map(|(path, status, body)| (*path, *status, (*body).to_owned())).collect();
    let addr = engine(Arc::new(Mutex::new(owned))).await;
    let mut eye = Eye::new(client(timing()).unwrap(), spec(kind, addr), timing());
    let sample = eye.look().await.sample;
    let error = sample.error.clone().unwrap_or_default();
    let found = (sample.up, sample.running, sample.waiting, sample.models.len());
    assert_eq!(found, (expected.0, expected.1, expected.2, expected.3), "{error}");
    let right = if expected.4.is_empty() { error.is_empty() } else { error.contains(expected.4) };
    assert!(right, "`{error}` lacks `{}`", expected.4);
}

#[tokio::test]
async fn each_answer_becomes_a_sample() {
    use EngineKind::{Llamacpp, Standin, Vllm};
    let models = ("/v1/models", 200, MODELS);
    let metrics = ("/metrics", 200, BUSY);
    check(Vllm, &[metrics, models], Seen(true, Some(3), Some(2), 2, "")).await;
    check(Standin, &[metrics, models], Seen(true, Some(3), Some(2), 2, "")).await;
    check(Vllm, &[("/metrics", 200, ""), models], Seen(true, None, None, 2, "--disable-log-stats")).await;
    check(Llamacpp, &[("/metrics", 501, ""), models], Seen(true, None, None, 2, "--metrics")).await;
    check(Vllm, &[metrics, models, ("/health", 503, "")], Seen(false, None, None, 2, "/health answers 503")).await;
    check(Vllm, &[metrics], Seen(true, Some(3), Some(2), 0, "/v1/models answers 404")).await;
    check(Vllm, &[metrics, ("/v1/models", 200, "<html>")], Seen(true, Some(3), Some(2), 0, "no model list")).await;
    check(
        Vllm,
        &[metrics, ("/v1/models", 200, r#"{"data":[{"id":""}]}"#)],
        Seen(true, Some(3), Some(2), 0, "impossible"),
    )
    .await;
    check(Vllm, &[("/metrics", 0, ""), models], Seen(false, None, None, 0, "no answer in time")).await;
    let large = "x".repeat(PAGE_BYTES_MAX + 1);
    check(Vllm, &[("/metrics", 200, &large), models], Seen(true, None, None, 2, "larger than 4 MiB")).await;
}

#[tokio::test]
async fn slots_are_the_capacity_unless_one_is_declared() {
    let pages = vec![
        ("/metrics", 200, "llamacpp:requests_processing 1\nllamacpp:requests_deferred 0\n".to_owned()),
        ("/v1/models", 200, MODELS.to_owned()),
        ("/props", 200, r#"{"total_slots":4}"#.to_owned()),
    ];
    let addr = engine(Arc::new(Mutex::new(pages))).await;
    let mut spec = spec(EngineKind::Llamacpp, addr);
    let sample = Eye::new(client(timing()).unwrap(), spec.clone(), timing()).look().await.sample;
    assert_eq!((sample.running, sample.capacity), (Some(1), Some(4.0)));
    spec.capacity = Some(2);
    let sample = Eye::new(client(timing()).unwrap(), spec, timing()).look().await.sample;
    assert_eq!(sample.capacity, Some(2.0));
}

#[tokio::test]
async fn an_engine_that_goes_is_down_at_once_and_its_numbers_unknown() {
    let pages: Pages =
        Arc::new(Mutex::new(vec![("/metrics", 200, BUSY.to_owned()), ("/v1/models", 200, MODELS.to_owned())]));
    let addr = engine(Arc::clone(&pages)).await;
    let mut eye = Eye::new(client(timing()).unwrap(), spec(EngineKind::Vllm, addr), timing());
    assert!(eye.look().await.sample.up);
    // Nobody listens at port 1 of loopback.
    eye.spec.url = "http://127.0.0.1:1".to_owned();
    let sample = eye.look().await.sample;
    assert_eq!((sample.up, sample.running, sample.waiting, sample.models.len()), (false, None, None, 2));
    assert!(sample.error.unwrap().contains("refused"));
    eye.spec.url = format!("http://{addr}");
    assert_eq!(eye.look().await.sample.running, Some(3));
}

#[tokio::test]
async fn a_slow_engine_keeps_its_last_numbers_for_a_while() {
    let pages: Pages =
        Arc::new(Mutex::new(vec![("/metrics", 200, BUSY.to_owned()), ("/v1/models", 200, MODELS.to_owned())]));
    let addr = engine(Arc::clone(&pages)).await;
    let hasty = EngineTiming { timeout: Duration::from_millis(200), ..timing() };
    let mut eye = Eye::new(client(hasty).unwrap(), spec(EngineKind::Vllm, addr), hasty);
    let first = eye.look().await;
    assert_eq!(first.sample.running, Some(3));
    pages.lock().unwrap()[0].1 = 0;
    assert_eq!(eye.look().await, first, "no younger than it is");
    eye.timing.patience = Duration::ZERO;
    let late = eye.look().await.sample;
    assert_eq!((late.up, late.running, late.error.as_deref()), (false, None, Some("no answer in time")));
}
