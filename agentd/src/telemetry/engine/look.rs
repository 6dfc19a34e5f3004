//! The requests that one look at an engine makes, bounded in time and size; what they say becomes one sample.

use std::{error::Error, time::Instant};

use mesh_core::{
    kind::{EngineKind, EngineSpec},
    status::EngineSample,
};
use reqwest::{Client, StatusCode};
use serde::Deserialize;

use super::{super::prom::PAGE_BYTES_MAX, EngineReading, EngineTiming, Load, blank, llamacpp, load, whole};

/// The most models one engine may list.
const MODELS_MAX: usize = 1024;
/// The longest name of a model, in bytes.
const MODEL_BYTES_MAX: usize = 4096;
/// The longest reason kept of a failure, in characters.
const REASON_CHARS_MAX: usize = 300;

/// Makes the client that all engines of a node share.
///
/// # Errors
/// When the resolver of the host cannot be set up.
pub(in crate::telemetry) fn client(timing: EngineTiming) -> Result<Client, reqwest::Error> {
    Client::builder()
        // An engine is reached as declared: no proxy of the environment, no redirection elsewhere.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timing.timeout)
        .connect_timeout(timing.timeout)
        .pool_max_idle_per_host(1)
        .tcp_nodelay(true)
        .build()
}

/// Looks at one engine and remembers what changes slowly.
pub(in crate::telemetry) struct Eye {
    client: Client,
    spec: EngineSpec,
    timing: EngineTiming,
    page: Vec<u8>,
    last: Option<EngineReading>,
    slow: Slow,
}

/// What is asked for now and then only.
#[derive(Default)]
struct Slow {
    asked_at: Option<Instant>,
    health: Option<String>,
    models: Vec<String>,
    models_error: Option<String>,
    slots: Option<u32>,
}

impl Eye {
    pub(in crate::telemetry) fn new(client: Client, spec: EngineSpec, timing: EngineTiming) -> Self {
        let slow = Slow { models: spec.models.clone(), ..Slow::default() };
        Self { client, spec, timing, page: Vec::new(), last: None, slow }
    }

    /// Looks once.
    pub(in crate::telemetry) async fn look(&mut self) -> EngineReading {
        let sample = match self.get("/metrics").await {
            Ok(StatusCode::OK) => {
                let load = load(self.spec.kind, &self.page);
                self.answered(load).await
            }
            Ok(status) => {
                let hint = if self.spec.kind == EngineKind::Llamacpp { " (is it run with --metrics?)" } else { "" };
                let mut sample = self.answered(Load::default()).await;
                sample.error.get_or_insert_with(|| format!("its /metrics answers {status}{hint}"));
                sample
            }
            Err(Failure::Large) => {
                let mut sample = self.answered(Load::default()).await;
                sample.error.get_or_insert_with(|| "its /metrics is larger than 4 MiB".to_owned());
                sample
            }
            Err(Failure::Late) => {
                if let Some(last) =
                    self.last.as_ref().filter(|it| it.sample.up && it.read_at.elapsed() < self.timing.patience)
                {
                    // What it said last still stands, and grows older.
                    return last.clone();
                }
                self.down("no answer in time".to_owned())
            }
            Err(Failure::Broken(reason)) => self.down(reason),
        };
        let reading = EngineReading { sample, read_at: Instant::now() };
        self.last = Some(reading.clone());
        reading
    }

    /// The sample of an engine that is down: its numbers are unknown, what it serves is not forgotten.
    fn down(&self, reason: String) -> EngineSample {
        EngineSample { error: Some(reason), models: self.slow.models.clone(), ..blank(&self.spec) }
    }

    /// The sample of an engine that answered.
    async fn answered(&mut self, load: Load) -> EngineSample {
        let due = self.slow.asked_at.is_none_or(|at| at.elapsed() >= self.timing.slow_interval);
        let was_up = self.last.as_ref().is_some_and(|it| it.sample.up);
        // One that just came, or whose models are not known yet, is asked at every look.
        if due || !was_up || self.slow.models_error.is_some() {
            self.ask().await;
        }
        let told = self.slow.slots.map(whole);
        let mut sample = blank(&self.spec);
        sample.up = self.slow.health.is_none();
        sample.models.clone_from(&self.slow.models);
        sample.capacity = sample.capacity.or(told);
        if sample.up {
            (sample.running, sample.waiting, sample.kv_used) = (load.running, load.waiting, load.kv_used);
        }
        let missing = load.missing.map(str::to_owned);
        sample.error = self.slow.health.clone().or_else(|| self.slow.models_error.clone()).or(missing);
        sample
    }

    async fn ask(&mut self) {
        match self.get("/health").await {
            // An engine without the page is judged by its answers alone.
            Ok(StatusCode::OK | StatusCode::NOT_FOUND) => self.slow.health = None,
            Ok(status) => self.slow.health = Some(format!("its /health answers {status}")),
            // It has just answered; the next look at its metrics decides.
            Err(_) => {}
        }
        if self.spec.models.is_empty() {
            let asked = match self.get("/v1/models").await {
                Ok(StatusCode::OK) => models(&self.page),
                Ok(status) => Err(format!("its /v1/models answers {status}")),
                Err(failure) => Err(failure.of("/v1/models")),
            };
            match asked {
                Ok(models) => (self.slow.models, self.slow.models_error) = (models, None),
                // What it listed before stays: it is still the same server.
                Err(reason) => self.slow.models_error = Some(reason),
            }
        }
        if self.spec.kind == EngineKind::Llamacpp && matches!(self.get("/props").await, Ok(StatusCode::OK)) {
            self.slow.slots = llamacpp::slots(&self.page);
        }
        self.slow.asked_at = Some(Instant::now());
    }

    /// Fetches a page into `self.page`.
    async fn get(&mut self, path: &str) -> Result<StatusCode, Failure> {
        self.page.clear();
        let url = format!("{}{path}", self.spec.url.trim_end_matches('/'));
        let mut answer = self.client.get(url).send().await.map_err(failed)?;
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if self.page.len() + chunk.len() > PAGE_BYTES_MAX {
                return Err(Failure::Large);
            }
            self.page.extend_from_slice(&chunk);
        }
        Ok(answer.status())
    }
}

/// Why there is no page.
enum Failure {
    /// No answer in time.
    Late,
    /// No connection, or half of an answer.
    Broken(String),
    /// More than is read.
    Large,
}

impl Failure {
    fn of(self, path: &str) -> String {
        match self {
            Self::Late => format!("its {path} does not answer in time"),
            Self::Broken(reason) => format!("its {path}: {reason}"),
            Self::Large => format!("its {path} is larger than 4 MiB"),
        }
    }
}

fn failed(error: reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Late;
    }
    // The innermost cause is the one that helps: `Connection refused`.
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Failure::Broken(cause.to_string().chars().take(REASON_CHARS_MAX).collect())
}

#[derive(Deserialize)]
struct List {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
}

fn models(body: &[u8]) -> Result<Vec<String>, String> {
    let list: List =
        serde_json::from_slice(body).map_err(|error| format!("its /v1/models is no model list: {error}"))?;
    if list.data.len() > MODELS_MAX
        || list.data.iter().any(|model| model.id.is_empty() || model.id.len() > MODEL_BYTES_MAX)
    {
        return Err(format!("its /v1/models lists more than {MODELS_MAX} models or an impossible name"));
    }
    let mut models: Vec<String> = list.data.into_iter().map(|model| model.id).collect();
    models.sort_unstable();
    models.dedup();
    Ok(models)
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
