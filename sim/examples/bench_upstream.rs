//! The upstream of `cargo xtask bench router`: answers in vLLM's shape as fast as it can, on any number of ports.
//!
//! It computes nothing and keeps nothing, so that what is measured is the router in front of it. The first line on
//! stdout is `{"ports":[...]}`. `GET /set?events=32&gap_ms=0` changes how it streams while it runs.

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http::{Method, Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

const WHOLE: &str = r#"{"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"A fixed answer of about the length that a short chat has, sent as fast as it can be."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":19,"completion_tokens":21,"total_tokens":40}}"#;
const EVENT: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
const LAST: &str = "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
const MODELS: &str = r#"{"object":"list","data":[{"id":"bench","object":"model","created":1700000000,"owned_by":"bench_upstream","root":"bench","parent":null,"max_model_len":4096}]}"#;
const METRICS: &str = "vllm:num_requests_running{engine=\"0\",model_name=\"bench\"} 0.0\nvllm:num_requests_waiting{engine=\"0\",model_name=\"bench\"} 0.0\n";

static EVENTS: AtomicU64 = AtomicU64::new(32);
static GAP_MS: AtomicU64 = AtomicU64::new(0);

/// Serves fixed answers in vLLM's shape for measurements.
#[derive(Parser)]
struct Args {
    /// Number of ports to listen on
    #[arg(long, default_value_t = 4)]
    ports: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut listeners = Vec::new();
    for _ in 0..args.ports {
        listeners.push(TcpListener::bind("127.0.0.1:0").await?);
    }
    let ports = listeners.iter().map(|l| l.local_addr().map(|a| a.port())).collect::<Result<Vec<_>, _>>()?;
    writeln!(std::io::stdout(), "{}", serde_json::json!({ "ports": ports }))?;
    let doors: Vec<_> = listeners.into_iter().map(|listener| tokio::spawn(accept(listener))).collect();
    for door in doors {
        door.await??;
    }
    Ok(())
}

async fn accept(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(stream: TcpStream) {
    // A connection that ends early is the measuring side's business.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handle)).await;
}

async fn handle(request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    let path = request.uri().path().to_owned();
    if *request.method() == Method::POST && path.starts_with("/v1/") {
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let streamed = [&b"\"stream\":true"[..], b"\"stream\": true"].iter().any(|s| contains(&body, s));
        return Ok(if streamed { answer("text/event-stream; charset=utf-8", Answer::events()) } else { json(WHOLE) });
    }
    Ok(match path.as_str() {
        "/v1/models" => json(MODELS),
        "/metrics" => answer("text/plain; version=0.0.4", Answer::whole(METRICS)),
        "/set" => {
            set(request.uri().query().unwrap_or_default());
            json("{}")
        }
        _ => json("{}"),
    })
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

/// Applies `events=N&gap_ms=N`; anything else is ignored.
fn set(query: &str) {
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let Ok(value) = value.parse() else { continue };
        match key {
            "events" => EVENTS.store(value, Relaxed),
            "gap_ms" => GAP_MS.store(value, Relaxed),
            _ => {}
        }
    }
}

fn json(text: &'static str) -> Response<Answer> {
    answer("application/json", Answer::whole(text))
}

fn answer(content_type: &'static str, body: Answer) -> Response<Answer> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// The body of either kind of answer.
enum Answer {
    Whole(Option<&'static str>),
    Events {
        left: u64,
        /// Whether the next event may go: each has its own turn, so that it is written by itself.
        due: bool,
        gap: Option<Pin<Box<Sleep>>>,
    },
}

impl Answer {
    fn whole(text: &'static str) -> Self {
        Self::Whole(Some(text))
    }

    fn events() -> Self {
        Self::Events { left: EVENTS.load(Relaxed) + 1, due: true, gap: None }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = |text: &'static str| Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))));
        let (left, due, gap) = match &mut *self {
            Self::Whole(text) => return text.take().map_or(Poll::Ready(None), frame),
            Self::Events { left: 0, .. } => return Poll::Ready(None),
            Self::Events { left, due, gap } => (left, due, gap),
        };
        if let Some(sleep) = gap {
            std::task::ready!(sleep.as_mut().poll(context));
            *gap = None;
        } else if !std::mem::replace(due, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        *left -= 1;
        let gap_ms = GAP_MS.load(Relaxed);
        if gap_ms > 0 {
            *gap = Some(Box::pin(tokio::time::sleep(Duration::from_millis(gap_ms))));
        } else {
            *due = false;
        }
        frame(if *left == 0 { LAST } else { EVENT })
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(text) => http_body::SizeHint::with_exact(text.map_or(0, |t| t.len() as u64)),
            Self::Events { .. } => http_body::SizeHint::new(),
        }
    }
}
