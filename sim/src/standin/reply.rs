//! Ready-made responses, and what they carry.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use super::answer::ApiError;
use super::stream::{AnswerBody, Events};
use crate::engine::schedule::splitmix64;

/// The response of every endpoint.
pub(super) type Answered = Response<AnswerBody>;

/// Answers with a status and an empty body, as vLLM's `/health` does.
pub(super) fn empty(status: StatusCode) -> Answered {
    whole(status, "text/plain; charset=utf-8", Bytes::new())
}

/// Answers as a fault switch asks.
pub(super) fn fault(status: u16, retry_after_s: Option<u32>) -> Answered {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = error(&ApiError::status(status, "a simulated fault, as asked for".into()));
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Answers with a stream of events.
pub(super) fn events(events: Events) -> Answered {
    let mut response = Response::new(AnswerBody::Events(Box::new(events)));
    let value = HeaderValue::from_static("text/event-stream; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

/// Answers with what went right or wrong.
pub(super) fn settle(result: Result<Answered, ApiError>) -> Answered {
    result.unwrap_or_else(|e| error(&e))
}

/// Answers with an error in vLLM's shape.
pub(super) fn error(error: &ApiError) -> Answered {
    whole(error.status, "application/json", error.body())
}

/// Answers 200 with JSON.
pub(super) fn json(value: &Value) -> Answered {
    whole(StatusCode::OK, "application/json", value.to_string().into())
}

/// Answers with a body in one piece.
pub(super) fn whole(status: StatusCode, content_type: &'static str, body: Bytes) -> Answered {
    let mut response = Response::new(AnswerBody::Whole(Some(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Returns an answer's id: the client's `x-request-id` when it sent one, as vLLM does.
pub(super) fn answer_id(prefix: &str, headers: &HeaderMap, seed: u64) -> String {
    match headers.get("x-request-id").and_then(|v| v.to_str().ok()) {
        Some(id) if id.len() <= 128 => format!("{prefix}-{id}"),
        _ => format!("{prefix}-{seed:016x}{:016x}", splitmix64(seed)),
    }
}

/// Returns the time for the `created` fields of answers.
pub(super) fn unix_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}
