//! The endpoints: what each path answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::answer::{self, Answer, ApiError};
use super::driver::{Handle, Progress, SubmitError};
use super::faults::{Faults, Switches};
use super::metrics;
use super::reply::{self, Answered};
use super::request::{self, Endpoint, Generation};
use super::stream::{Cut, Events};
use super::text;
use crate::engine::schedule::splitmix64;
use crate::engine::{Config, Finish, Refused};

/// Largest body read, in bytes: a context of 32,768 tokens is far below it.
const MAX_BODY_BYTES: usize = 8 << 20;

/// Holds what all connections share.
pub(super) struct Server {
    pub(super) models: Vec<String>,
    pub(super) config: Config,
    /// Tokens of the longest request that fits.
    pub(super) longest: u32,
    pub(super) engine: Handle,
    pub(super) switches: Switches,
    /// Tells the accepting task until when to refuse connections.
    pub(super) refuse_until: watch::Sender<Option<Instant>>,
    pub(super) received: AtomicU64,
    /// Unix seconds at the start.
    pub(super) created: u64,
}

/// Answers one request; an error closes the connection without a byte.
pub(super) async fn handle(server: Arc<Server>, request: Request<Incoming>) -> Result<Answered, Cut> {
    let (head, body) = request.into_parts();
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/health" | "/ping") => Ok(server.health()),
        (&Method::GET, "/version") => {
            let version = env!("CARGO_PKG_VERSION");
            Ok(reply::json(&json!({"version": format!("{version} (simulated: mesh-standin)"), "simulated": true})))
        }
        (&Method::GET, "/v1/models") => {
            Ok(reply::json(&answer::model_list(&server.models, server.created, server.longest)))
        }
        (&Method::GET, "/metrics") => server.metrics().await,
        (&Method::POST, "/v1/chat/completions") => {
            server.faulty(&head.headers, body, Route::Generate(Endpoint::Chat)).await
        }
        (&Method::POST, "/v1/completions") => {
            server.faulty(&head.headers, body, Route::Generate(Endpoint::Completion)).await
        }
        (&Method::POST, "/v1/embeddings") => server.faulty(&head.headers, body, Route::Embed).await,
        (&Method::POST, "/tokenize") => Ok(reply::settle(server.tokenize(body).await)),
        (method, "/standin/faults") => Ok(reply::settle(server.set_faults(method, body).await)),
        (_, path) => Ok(reply::settle(Err(no_route(path)))),
    }
}

fn no_route(path: &str) -> ApiError {
    const KNOWN: [&str; 9] = [
        "/health",
        "/ping",
        "/version",
        "/v1/models",
        "/metrics",
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/embeddings",
        "/tokenize",
    ];
    let status = if KNOWN.contains(&path) { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::NOT_FOUND };
    ApiError::status(status, status.canonical_reason().unwrap_or_default().to_owned())
}

/// Names what a request under `/v1` asks the engine for.
#[derive(Clone, Copy)]
enum Route {
    Generate(Endpoint),
    Embed,
}

/// Holds what belongs to one request for generated text beside its body.
struct Call {
    endpoint: Endpoint,
    id: String,
    /// Draws the text.
    seed: u64,
    faults: Faults,
}

impl Server {
    /// Applies the fault switches around a request for the engine.
    async fn faulty(&self, headers: &HeaderMap, body: Incoming, route: Route) -> Result<Answered, Cut> {
        let number = self.received.fetch_add(1, Ordering::Relaxed);
        let faults = self.switches.take();
        if faults.hang {
            std::future::pending::<()>().await;
        }
        if faults.drop {
            return Err(Cut);
        }
        if let Some(ms) = faults.head_delay_ms {
            tokio::time::sleep(std::time::Duration::from_millis(ms)).await;
        }
        if let Some(status) = faults.status {
            return Ok(reply::fault(status, faults.retry_after_s));
        }
        let body = match read(body).await {
            Ok(body) => body,
            Err(error) => return Ok(reply::error(&error)),
        };
        let seed = splitmix64(self.config.seed ^ splitmix64(number));
        match route {
            Route::Generate(endpoint) => {
                let call = Call { endpoint, id: reply::answer_id(endpoint.id_prefix(), headers, seed), seed, faults };
                self.generate(call, &body).await
            }
            Route::Embed => Ok(reply::settle(self.embed(&body, seed).await)),
        }
    }

    /// Answers a chat or completion request, as a stream or in one piece.
    async fn generate(&self, call: Call, body: &[u8]) -> Result<Answered, Cut> {
        let submitted = self.submit_generation(&call, body).await;
        let (generation, model, mut progress) = match submitted {
            Ok(submitted) => submitted,
            Err(error) => return Ok(reply::error(&error)),
        };
        let answer = Answer {
            endpoint: call.endpoint,
            id: call.id,
            model,
            created: reply::unix_seconds(),
            seed: call.seed,
            prompt_tokens: generation.request.prompt_tokens,
        };
        if generation.stream {
            let events = Events::new(progress, answer, generation.include_usage, &call.faults);
            return Ok(reply::events(events));
        }
        let finish = last(&mut progress).await?;
        if call.faults.die_after_events.is_some() {
            return Err(Cut);
        }
        Ok(reply::json(&answer.whole(generation.request.output_tokens, finish)))
    }

    async fn submit_generation(
        &self,
        call: &Call,
        body: &[u8],
    ) -> Result<(Generation, String, mpsc::Receiver<Progress>), ApiError> {
        let generation = request::generation(call.endpoint, body, call.seed)?;
        let model = self.model(generation.model.as_deref())?;
        let progress = self.submit(generation.request).await?;
        Ok((generation, model, progress))
    }

    async fn submit(&self, request: crate::engine::Request) -> Result<mpsc::Receiver<Progress>, ApiError> {
        self.engine.submit(request).await.map_err(|error| match error {
            SubmitError::Refused(Refused::TooLong { limit, .. }) => {
                let (prompt, output) = (request.prompt_tokens, request.output_tokens);
                let wanted = u64::from(prompt) + u64::from(output);
                let message = format!(
                    "This model's maximum context length is {limit} tokens. However, you requested {wanted} tokens \
                     ({prompt} in the messages, {output} in the completion). Please reduce the length of the messages \
                     or completion."
                );
                ApiError::bad_request(message, None)
            }
            other @ (SubmitError::Refused(Refused::QueueFull(_)) | SubmitError::Stopped) => {
                ApiError::status(StatusCode::SERVICE_UNAVAILABLE, other.to_string())
            }
        })
    }

    /// Answers an embedding request; its inputs pass through the engine one after the other.
    async fn embed(&self, body: &[u8], seed: u64) -> Result<Answered, ApiError> {
        let wanted = request::embedding(body)?;
        let model = self.model(wanted.model.as_deref())?;
        let mut total: u32 = 0;
        let mut vectors = Vec::with_capacity(wanted.inputs.len());
        for tokens in &wanted.inputs {
            let prompt_tokens = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
            let request = crate::engine::Request { prompt_tokens, output_tokens: 0, finish: Finish::Stop };
            let mut progress = self.submit(request).await?;
            let stopped = |_| ApiError::status(StatusCode::SERVICE_UNAVAILABLE, "the engine has stopped".into());
            last(&mut progress).await.map_err(stopped)?;
            total = total.saturating_add(prompt_tokens);
            let vector = text::embedding(tokens, wanted.dimensions);
            vectors.push(answer::vector(vectors.len(), &vector, wanted.base64));
        }
        let id = format!("embd-{seed:016x}");
        Ok(reply::json(&answer::embeddings(&id, &model, reply::unix_seconds(), &vectors, total)))
    }

    async fn tokenize(&self, body: Incoming) -> Result<Answered, ApiError> {
        let body = read(body).await?;
        let body: request::TokenizeBody = request::parse(&body)?;
        self.model(body.model.as_deref())?;
        let tokens = text::tokenize(&body.prompt);
        Ok(reply::json(&json!({
            "count": tokens.len(), "max_model_len": self.longest, "tokens": tokens, "token_strs": null,
        })))
    }

    fn health(&self) -> Answered {
        let status = self.switches.peek().health_status.and_then(|s| StatusCode::from_u16(s).ok());
        reply::empty(status.unwrap_or(StatusCode::OK))
    }

    async fn metrics(&self) -> Result<Answered, Cut> {
        let observed = self.engine.observe().await.ok_or(Cut)?;
        let received = self.received.load(Ordering::Relaxed);
        let model = self.models.first().map_or("", String::as_str);
        let page = metrics::render(&observed, &self.config, model, received);
        Ok(reply::whole(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.into()))
    }

    /// Shows, replaces or clears the fault switches.
    async fn set_faults(&self, method: &Method, body: Incoming) -> Result<Answered, ApiError> {
        let faults = match *method {
            Method::GET => return Ok(reply::json(&json!(self.switches.peek()))),
            Method::DELETE => Faults::default(),
            Method::POST => Faults::parse(&read(body).await?).map_err(|e| ApiError::bad_request(e, None))?,
            _ => return Err(no_route("/health")),
        };
        self.apply_faults(faults);
        Ok(reply::json(&json!(self.switches.peek())))
    }

    /// Puts new switches in place, the one of the accepting task too.
    pub(super) fn apply_faults(&self, mut faults: Faults) {
        let until = faults.refuse().map(|time| Instant::now() + time);
        faults.refuse_connects_ms = None;
        self.switches.set(faults);
        self.refuse_until.send_replace(until);
    }

    /// Returns the name to answer with; a request without one means the first.
    fn model(&self, wanted: Option<&str>) -> Result<String, ApiError> {
        match wanted {
            None => Ok(self.models.first().cloned().unwrap_or_default()),
            Some(name) if self.models.iter().any(|m| m == name) => Ok(name.to_owned()),
            Some(name) => Err(ApiError::unknown_model(name)),
        }
    }
}

/// Waits for the end of a request and returns why it ended.
async fn last(progress: &mut mpsc::Receiver<Progress>) -> Result<Finish, Cut> {
    while let Some(step) = progress.recv().await {
        if let Some(finish) = step.finish {
            return Ok(finish);
        }
    }
    Err(Cut)
}

async fn read(body: Incoming) -> Result<Bytes, ApiError> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than {MAX_BODY_BYTES} bytes");
            Err(ApiError::status(StatusCode::PAYLOAD_TOO_LARGE, message))
        }
        Err(error) => Err(ApiError::bad_request(format!("reading the body failed: {error}"), None)),
    }
}
