//! Refusals in the shape that OpenAI's clients read: `{"error": {message, type, param, code}}`.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;

use crate::door::reply::Reply;

/// A refusal before it is written.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// Status of the answer.
    pub(crate) status: StatusCode,
    /// Machine-readable code.
    pub(crate) code: &'static str,
    /// What failed, why, and what to do.
    pub(crate) message: String,
    /// Which parameter is at fault.
    pub(crate) param: Option<&'static str>,
    /// After how many seconds to come again.
    pub(crate) retry_after_s: Option<u32>,
    /// Whether the connection ends with this answer.
    pub(crate) close: bool,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: &'a str,
}

impl Refusal {
    /// A refusal with a status, a code and a message.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), param: None, retry_after_s: None, close: false }
    }

    /// Names the parameter at fault.
    pub(crate) fn param(mut self, param: &'static str) -> Self {
        self.param = Some(param);
        self
    }

    /// Says when to come again.
    pub(crate) fn retry_after(mut self, seconds: Option<u32>) -> Self {
        self.retry_after_s = seconds;
        self
    }

    /// Ends the connection with this answer.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The answer as bytes of JSON.
    pub(crate) fn json(&self) -> Bytes {
        let kind = match self.status.as_u16() {
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            503 => "service_unavailable_error",
            _ => "api_error",
        };
        let inner = Inner { message: &self.message, r#type: kind, param: self.param, code: self.code };
        // Strings only: serialising cannot fail; an empty body would still carry the status.
        serde_json::to_vec(&Envelope { error: inner }).map(Bytes::from).unwrap_or_default()
    }

    /// The answer.
    pub(crate) fn response(&self) -> Response<Reply> {
        let mut response = Response::new(Reply::whole(self.json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The event that ends a stream which the engine broke off.
pub(crate) fn stream_error_event(message: &str) -> Bytes {
    let refusal = Refusal::new(StatusCode::BAD_GATEWAY, "upstream_failed", message);
    Bytes::from([b"data: ", refusal.json().as_ref(), b"\n\n"].concat())
}
