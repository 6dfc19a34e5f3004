//! Carries a request to an engine: connects, sends, tries again, and hands the answer over.

use std::{
    future::Future,
    pin::pin,
    rc::Rc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use mesh_strategy::route::{Event, FailureKind, RefuseCode, TimerId};

use crate::{
    door::{body::Held, errors::Refusal, headers, reply::Reply},
    proxy::{
        back::Back,
        flight::{Due, Flight, Next},
        link::{Link, Whole},
        pool::Endpoint,
    },
    worker::conns::ConnState,
};

/// A request as it goes to whichever engine is chosen.
pub(crate) struct Job {
    /// Path and query.
    pub(crate) uri: Uri,
    /// The client's headers, made fit for an engine but for `Host`.
    pub(crate) headers: HeaderMap,
    /// The body, and its share of the budget.
    pub(crate) body: Held,
    /// The client's connection.
    pub(crate) conn: Rc<ConnState>,
}

/// An engine's answer whose head has come.
pub(crate) struct Answer {
    /// The connection it comes over.
    pub(crate) link: Link,
    /// Where the connection belongs.
    pub(crate) endpoint: Rc<Endpoint>,
    /// Head and body.
    pub(crate) response: Response<Incoming>,
}

/// Why an attempt brought no answer.
enum Stop {
    Failed(FailureKind, bool),
    HeadTimer(TimerId),
}

impl Job {
    fn request(&self, authority: &HeaderValue) -> Request<Whole> {
        let mut request = Request::new(Whole::new(self.body.bytes.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(http::header::HOST, authority.clone());
        request
    }
}

/// Serves one request to its end, or to the head of a streamed answer.
pub(crate) async fn serve(mut flight: Flight, job: Job) -> Response<Reply> {
    flight.step(Event::Arrived);
    loop {
        match flight.take_next() {
            Next::Send(attempt) => match send(&mut flight, attempt, &job).await {
                Ok(answer) => {
                    flight.head(attempt, answer.response.status().as_u16());
                    if flight.forwards() {
                        return forward(flight, attempt, answer, job);
                    }
                    // Another engine was found: dropping the answer closes its connection.
                }
                Err(Stop::Failed(kind, bytes_seen)) => flight.failed(attempt, kind, bytes_seen),
                Err(Stop::HeadTimer(id)) => flight.head_timed_out(attempt, id),
            },
            Next::Wait => flight.wait().await,
            Next::Refuse { status, code, retry_after } => return refuse(&flight, status, code, retry_after),
            // Neither can come before an answer was let through; the client gets an error rather than silence.
            Next::Nothing | Next::Forward(_) | Next::Finished(_) => {
                return Refusal::new(StatusCode::BAD_GATEWAY, "upstream_failed", "the request ended early").response();
            }
        }
    }
}

async fn send(flight: &mut Flight, attempt: u8, job: &Job) -> Result<Answer, Stop> {
    let Some(target) = flight.target(attempt).cloned() else { return Err(Stop::Failed(FailureKind::Connect, false)) };
    let endpoint = flight.model.endpoint(&flight.worker, &target);
    let idle = endpoint.take(flight.worker.shared.clock.now_us()).await;
    if let Some(link) = idle {
        match exchange(flight, link, &endpoint, job).await {
            // The engine closed the idle connection just before: nothing ran, so once more on a fresh one is free.
            Err(Stop::Failed(FailureKind::Reset, false)) => {}
            other => return other,
        }
    }
    let link = connect(flight, &endpoint).await?;
    exchange(flight, link, &endpoint, job).await
}

async fn connect(flight: &mut Flight, endpoint: &Endpoint) -> Result<Link, Stop> {
    flight.arm_connect();
    let connected = or_due(flight, endpoint.connect()).await;
    flight.disarm_own();
    match connected {
        Ok(Ok(link)) => Ok(link),
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot connect to an engine");
            Err(Stop::Failed(FailureKind::Connect, false))
        }
        Err(Due::Own) => Err(Stop::Failed(FailureKind::Connect, false)),
        Err(Due::Machine(id)) => Err(Stop::HeadTimer(id)),
    }
}

async fn exchange(flight: &Flight, mut link: Link, endpoint: &Rc<Endpoint>, job: &Job) -> Result<Answer, Stop> {
    let request = job.request(&endpoint.authority);
    match or_due(flight, link.send(request)).await {
        // Nobody asked for another protocol, and no client may be handed one.
        Ok(Ok(response)) if response.status().is_informational() => Err(Stop::Failed(FailureKind::Reset, true)),
        Ok(Ok(response)) => Ok(Answer { link, endpoint: endpoint.clone(), response }),
        Ok(Err(lost)) => {
            tracing::debug!(error = %lost.error, reused = link.reused, "an engine gave no answer");
            Err(Stop::Failed(FailureKind::Reset, lost.bytes_seen))
        }
        Err(Due::Machine(id)) => Err(Stop::HeadTimer(id)),
        Err(Due::Own) => Err(Stop::Failed(FailureKind::Timeout, false)),
    }
}

/// Waits for `work` or for a time-out, whichever is first.
async fn or_due<T>(flight: &Flight, work: impl Future<Output = T>) -> Result<T, Due> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx: &mut Context<'_>| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(Ok(done));
        }
        flight.poll_due(cx).map(Err)
    })
    .await
}

fn forward(flight: Flight, attempt: u8, answer: Answer, job: Job) -> Response<Reply> {
    let Answer { link, endpoint, response } = answer;
    let (mut parts, body) = response.into_parts();
    headers::strip_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    let back = Back::new(flight, attempt, (link, endpoint), (&parts, body), job.conn);
    Response::from_parts(parts, Reply::engine(back))
}

fn refuse(flight: &Flight, status: u16, code: RefuseCode, retry_after: Option<u16>) -> Response<Reply> {
    let model = &flight.model.table.name;
    let message = match code {
        RefuseCode::LineFull => {
            format!("too many requests wait for an engine with room for `{model}`; try again later")
        }
        RefuseCode::LineTimeout => format!("no engine had room for `{model}` in time; try again later"),
        RefuseCode::NoTarget => {
            format!("no engine can serve `{model}` now: all are cordoned, down, or kept out after failures")
        }
        RefuseCode::UpstreamFailed => format!("every attempt to have `{model}` answered failed"),
        RefuseCode::UpstreamTimeout => format!("the engine that serves `{model}` gave no answer in time"),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    Refusal::new(status, code.as_str(), message).retry_after(retry_after.map(u32::from)).response()
}
