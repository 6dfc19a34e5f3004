//! Shapes of answers and errors, as vLLM's OpenAI server sends them, with "simulated" in each.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::request::Endpoint;
use super::text;
use crate::engine::Finish;

/// What answers carry in place of a model's fingerprint.
pub(super) const FINGERPRINT: &str = "simulated-by-mesh-standin";
/// What the model card names as the owner.
pub(super) const OWNER: &str = "mesh-standin (simulated)";

/// Holds an error as vLLM words it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    kind: &'static str,
    message: String,
    param: Option<&'static str>,
}

impl ApiError {
    pub(super) fn bad_request(message: String, param: Option<&'static str>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "BadRequestError", message, param }
    }

    pub(super) fn unknown_model(model: &str) -> Self {
        let message = format!("The model `{model}` does not exist.");
        Self { status: StatusCode::NOT_FOUND, kind: "NotFoundError", message, param: Some("model") }
    }

    /// Makes the error of a status that says enough by itself.
    pub(super) fn status(status: StatusCode, message: String) -> Self {
        let kind = match status {
            StatusCode::NOT_FOUND => "NotFoundError",
            StatusCode::TOO_MANY_REQUESTS => "RateLimitError",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailableError",
            s if s.is_client_error() => "BadRequestError",
            _ => "InternalServerError",
        };
        Self { status, kind, message, param: None }
    }

    /// Returns the JSON body.
    pub(super) fn body(&self) -> Bytes {
        let error =
            json!({"message": self.message, "type": self.kind, "param": self.param, "code": self.status.as_u16()});
        json!({"error": error}).to_string().into()
    }
}

/// Knows everything about one answer but its tokens.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) endpoint: Endpoint,
    pub(super) id: String,
    pub(super) model: String,
    /// Unix seconds.
    pub(super) created: u64,
    /// Draws the text.
    pub(super) seed: u64,
    pub(super) prompt_tokens: u32,
}

impl Answer {
    /// Returns the whole answer as one JSON object.
    pub(super) fn whole(&self, tokens: u32, finish: Finish) -> Value {
        let content = text::answer(self.seed, tokens);
        let reason = finish_reason(finish);
        let choice = match self.endpoint {
            Endpoint::Chat => json!({
                "index": 0,
                "message": {"role": "assistant", "content": content, "refusal": null},
                "logprobs": null,
                "finish_reason": reason,
                "stop_reason": null,
            }),
            Endpoint::Completion => {
                json!({"index": 0, "text": content, "logprobs": null, "finish_reason": reason, "stop_reason": null})
            }
        };
        json!({
            "id": self.id,
            "object": self.endpoint.object(),
            "created": self.created,
            "model": self.model,
            "choices": [choice],
            "system_fingerprint": FINGERPRINT,
            "usage": usage(self.prompt_tokens, tokens),
        })
    }

    /// Returns the JSON up to the choices, which all events of a stream share.
    pub(super) fn event_prefix(&self) -> String {
        let object = match self.endpoint {
            Endpoint::Chat => "chat.completion.chunk",
            Endpoint::Completion => "text_completion",
        };
        let (id, model) = (Value::from(self.id.as_str()), Value::from(self.model.as_str()));
        format!(
            r#"data: {{"id":{id},"object":"{object}","created":{},"model":{model},"system_fingerprint":"{FINGERPRINT}","choices":"#,
            self.created
        )
    }
}

impl Endpoint {
    fn object(self) -> &'static str {
        match self {
            Self::Chat => "chat.completion",
            Self::Completion => "text_completion",
        }
    }

    /// Returns what ids of this endpoint's answers begin with.
    pub(super) fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl",
            Self::Completion => "cmpl",
        }
    }
}

/// Returns OpenAI's word for the end of an answer.
pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

/// Returns the usage object.
pub(super) fn usage(prompt_tokens: u32, completion_tokens: u32) -> Value {
    json!({
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": u64::from(prompt_tokens) + u64::from(completion_tokens),
        "prompt_tokens_details": null,
    })
}

/// Returns the list of models: every name is a card of its own.
pub(super) fn model_list(models: &[String], created: u64, max_model_len: u32) -> Value {
    let root = models.first();
    let cards: Vec<Value> = models
        .iter()
        .map(|id| {
            json!({
                "id": id,
                "object": "model",
                "created": created,
                "owned_by": OWNER,
                "root": root,
                "parent": null,
                "max_model_len": max_model_len,
                "simulated": true,
            })
        })
        .collect();
    json!({"object": "list", "data": cards})
}

/// Returns one vector of an embedding answer.
pub(super) fn vector(index: usize, vector: &[f32], base64: bool) -> Value {
    let embedding = if base64 { text::base64(vector).into() } else { json!(vector) };
    json!({"index": index, "object": "embedding", "embedding": embedding})
}

/// Returns the answer around the vectors of all inputs.
pub(super) fn embeddings(id: &str, model: &str, created: u64, vectors: &[Value], tokens: u32) -> Value {
    json!({"id": id, "object": "list", "created": created, "model": model, "data": vectors, "usage": usage(tokens, 0)})
}
