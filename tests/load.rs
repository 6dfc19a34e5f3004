//! Clients: many streams at once, each counted as whole, cut or failed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use serde_json::json;

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With `[DONE]` and every token asked for.
    Whole,
    /// It broke off.
    Truncated,
    /// With another status than 200, or no answer.
    Failed,
}

/// What became of a load.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Streams that ended whole.
    pub whole: u32,
    /// Streams that broke off.
    pub truncated: u32,
    /// Streams that were refused or unanswered, with the first reason.
    pub failed: u32,
    /// The first reasons of truncation or failure.
    pub reasons: Vec<String>,
}

/// A load that runs until it is told to stop: `clients` at once, each with one stream after another.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    running: Arc<AtomicU32>,
    runtime: tokio::runtime::Runtime,
    clients: Vec<tokio::task::JoinHandle<Totals>>,
}

impl Load {
    /// Starts the clients against a router.
    #[must_use]
    pub fn start(router: &str, model: &str, clients: u32, tokens: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (stop, running) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let http = client();
        let clients = (0..clients)
            .map(|_| {
                let (router, model, http) = (router.to_owned(), model.to_owned(), http.clone());
                let (stop, running) = (Arc::clone(&stop), Arc::clone(&running));
                runtime.spawn(async move {
                    let mut totals = Totals::default();
                    while !stop.load(Ordering::Relaxed) {
                        let (end, reason) =
                            stream(&http, &Wanted { router: &router, model: &model, tokens }, &running).await;
                        totals.count(end, reason);
                    }
                    totals
                })
            })
            .collect();
        Self { stop, running, runtime, clients }
    }

    /// How many streams have had their first event and not their last.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.running.load(Ordering::Relaxed)
    }

    /// Lets every stream finish and adds up.
    #[must_use]
    pub fn finish(self) -> Totals {
        self.stop.store(true, Ordering::Relaxed);
        let mut totals = Totals::default();
        for client in self.clients {
            let one = self.runtime.block_on(client).unwrap();
            totals.whole += one.whole;
            totals.truncated += one.truncated;
            totals.failed += one.failed;
            totals.reasons.extend(one.reasons);
        }
        totals.reasons.truncate(5);
        totals
    }
}

impl Totals {
    fn count(&mut self, end: End, reason: String) {
        match end {
            End::Whole => self.whole += 1,
            End::Truncated => self.truncated += 1,
            End::Failed => self.failed += 1,
        }
        if end != End::Whole {
            self.reasons.push(reason);
        }
    }

    /// Fails unless at least `least` streams ended whole and no other way.
    pub fn assert_lossless(&self, least: u32) {
        assert!(self.failed == 0 && self.truncated == 0, "{self:?}");
        assert!(self.whole >= least, "only {} streams: {self:?}", self.whole);
    }
}

/// An HTTP client for many streams.
#[must_use]
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap()
}

/// What a stream asks for, and of whom.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Base URL of the router or the engine.
    pub router: &'a str,
    /// The model.
    pub model: &'a str,
    /// How many tokens the answer has.
    pub tokens: u32,
}

/// One streaming chat completion of exactly `tokens` tokens.
pub async fn stream(http: &reqwest::Client, wanted: &Wanted<'_>, running: &AtomicU32) -> (End, String) {
    let Wanted { router, model, tokens } = *wanted;
    let body = json!({
        "model": model,
        "stream": true,
        "max_tokens": tokens,
        "messages": [{"role": "user", "content": "say something"}],
    });
    let answer = http.post(format!("{router}/v1/chat/completions")).json(&body).send().await;
    let answer = match answer {
        Ok(answer) if answer.status().is_success() => answer,
        Ok(answer) => {
            let status = answer.status();
            return (End::Failed, format!("{status}: {}", answer.text().await.unwrap_or_default()));
        }
        Err(error) => return (End::Failed, format!("{error:?}")),
    };
    running.fetch_add(1, Ordering::Relaxed);
    let mut text = Vec::new();
    let mut chunks = answer.bytes_stream();
    let mut broken = None;
    while let Some(chunk) = chunks.next().await {
        match chunk {
            Ok(chunk) => text.extend_from_slice(&chunk),
            Err(error) => broken = Some(format!("{error:?}")),
        }
    }
    running.fetch_sub(1, Ordering::Relaxed);
    let text = String::from_utf8_lossy(&text);
    let events = text.lines().filter(|line| line.starts_with("data:") && line.contains("\"content\"")).count();
    let done = text.lines().any(|line| line.trim_end() == "data: [DONE]");
    if broken.is_none() && done && events >= tokens as usize {
        (End::Whole, String::new())
    } else {
        (End::Truncated, format!("{events} of {tokens} events, done {done}, {broken:?}"))
    }
}
