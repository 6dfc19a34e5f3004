//! A stand-in inside the test's own process, on a free port.

#![allow(clippy::unwrap_used, clippy::panic, dead_code, reason = "a test fails by panicking; not every test uses all")]

use std::time::{Duration, Instant};

use mesh_sim::engine::Config;
use mesh_sim::standin::{Faults, Options};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Serves until dropped.
pub(crate) struct Standin {
    pub(crate) url: String,
    pub(crate) client: reqwest::Client,
    stop: DropGuard,
}

/// Returns an engine with iterations of 2 ms.
pub(crate) fn fast() -> Config {
    Config { speed: 10.0, ..Config::default() }
}

/// Returns a chat request for exactly `tokens` tokens.
pub(crate) fn chat(tokens: u32, stream: bool) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": tokens, "stream": stream})
}

impl Standin {
    pub(crate) async fn start(engine: Config) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let options = Options { engine, models: vec!["m".into(), "alias".into()], faults: Faults::default() };
        let stop = CancellationToken::new();
        let standin = mesh_sim::standin::Standin::new(listener, options).unwrap();
        tokio::spawn(standin.run(stop.clone()));
        Self { url, client: reqwest::Client::new(), stop: stop.drop_guard() }
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> reqwest::Result<reqwest::Response> {
        self.client.post(format!("{}{path}", self.url)).json(body).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        self.try_post(path, body).await.unwrap()
    }

    pub(crate) async fn metrics(&self) -> String {
        self.get("/metrics").await.text().await.unwrap()
    }

    /// Returns the value of a vLLM gauge of this engine.
    pub(crate) async fn gauge(&self, name: &str) -> f64 {
        value(&self.metrics().await, &format!("vllm:{name}{{engine=\"0\",model_name=\"m\"}}")).unwrap()
    }

    /// Waits until a gauge is as expected, at most 5 s.
    pub(crate) async fn until(&self, name: &str, expected: impl Fn(f64) -> bool) {
        let started = Instant::now();
        while !expected(self.gauge(name).await) {
            assert!(started.elapsed() < Duration::from_secs(5), "{name} stays at {}", self.gauge(name).await);
            tokio::task::yield_now().await;
        }
    }
}

/// Returns the value of one series of a page.
pub(crate) fn value(page: &str, series: &str) -> Option<f64> {
    let line = page.lines().find_map(|l| l.strip_prefix(series)?.strip_prefix(' '))?;
    line.parse().ok()
}

/// Returns the `data:` payloads of an event stream.
pub(crate) fn events(text: &str) -> Vec<String> {
    text.split("\n\n").filter_map(|e| e.strip_prefix("data: ")).map(str::to_owned).collect()
}
