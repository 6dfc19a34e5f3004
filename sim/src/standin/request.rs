//! Reads request bodies as vLLM does, and says what is wrong with them in vLLM's words.

use serde::Deserialize;

use super::answer::ApiError;
use super::text;
use crate::engine::{Finish, Request};

/// Largest vector an embedding request may ask for.
const MAX_DIMENSIONS: u32 = 4096;
/// Dimensions of an embedding when the request names none.
const DEFAULT_DIMENSIONS: u32 = 64;
/// Inputs one embedding request may hold.
const MAX_INPUTS: usize = 2048;

/// Names the two endpoints that generate text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Completion,
}

/// Holds what a request for generated text comes down to.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) model: Option<String>,
    pub(super) request: Request,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

/// Holds what a request for embeddings comes down to.
#[derive(Debug)]
pub(super) struct Embedding {
    pub(super) model: Option<String>,
    pub(super) inputs: Vec<Vec<u32>>,
    pub(super) dimensions: u32,
    pub(super) base64: bool,
}

/// The fields of both generating endpoints that matter here; OpenAI's many others are accepted and have no effect.
#[derive(Deserialize)]
struct GenerationBody {
    model: Option<String>,
    messages: Option<Vec<Message>>,
    prompt: Option<Input>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    n: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

#[derive(Deserialize)]
struct EmbeddingBody {
    model: Option<String>,
    input: Input,
    dimensions: Option<u32>,
    encoding_format: Option<String>,
}

/// The body of `/tokenize`.
#[derive(Deserialize)]
pub(super) struct TokenizeBody {
    pub(super) model: Option<String>,
    pub(super) prompt: String,
}

/// Parses any body, naming line and field of what is wrong.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| ApiError::bad_request(format!("invalid request body: {e}"), None))
}

/// Reads a chat or completion request; `seed` draws the length of an answer that nobody limited.
pub(super) fn generation(endpoint: Endpoint, body: &[u8], seed: u64) -> Result<Generation, ApiError> {
    let body: GenerationBody = parse(body)?;
    if body.n.is_some_and(|n| n != 1) {
        return Err(ApiError::bad_request("n must be 1: this engine is simulated".into(), Some("n")));
    }
    let prompt_tokens = match endpoint {
        Endpoint::Chat => chat_tokens(body.messages.as_deref())?,
        Endpoint::Completion => prompt_tokens(body.prompt)?,
    };
    let limit = body.max_completion_tokens.or(body.max_tokens);
    let (output_tokens, finish) = match (limit, endpoint) {
        (Some(0), _) => {
            let message = "max_tokens must be at least 1, got 0.".to_owned();
            return Err(ApiError::bad_request(message, Some("max_tokens")));
        }
        (Some(limit), _) => (limit, Finish::Length),
        // OpenAI's default for the older endpoint.
        (None, Endpoint::Completion) => (16, Finish::Length),
        (None, Endpoint::Chat) => (text::natural_length(seed), Finish::Stop),
    };
    Ok(Generation {
        model: body.model,
        request: Request { prompt_tokens, output_tokens, finish },
        stream: body.stream.unwrap_or(false),
        include_usage: body.stream_options.is_some_and(|o| o.include_usage),
    })
}

fn chat_tokens(messages: Option<&[Message]>) -> Result<u32, ApiError> {
    let messages = messages.filter(|m| !m.is_empty());
    let Some(messages) = messages else {
        return Err(ApiError::bad_request(
            "messages: field required, with at least one message".into(),
            Some("messages"),
        ));
    };
    let mut tokens: u32 = 0;
    for message in messages {
        if message.role.is_empty() {
            return Err(ApiError::bad_request("messages: a role must not be empty".into(), Some("messages")));
        }
        let content = match &message.content {
            None => 0,
            Some(Content::Text(text)) => text::count_tokens(text),
            Some(Content::Parts(parts)) => {
                parts.iter().filter_map(|p| p.text.as_deref()).map(text::count_tokens).fold(0, u32::saturating_add)
            }
        };
        // A chat template spends a few tokens on each message.
        tokens = tokens.saturating_add(content).saturating_add(4);
    }
    Ok(tokens)
}

fn prompt_tokens(prompt: Option<Input>) -> Result<u32, ApiError> {
    let mut prompts = prompt.map(Input::into_tokens).unwrap_or_default();
    match (prompts.pop(), prompts.is_empty()) {
        (Some(only), true) => Ok(u32::try_from(only.len()).unwrap_or(u32::MAX)),
        (Some(_), false) => {
            Err(ApiError::bad_request("prompt: this simulated engine takes one prompt".into(), Some("prompt")))
        }
        (None, _) => Err(ApiError::bad_request("prompt: field required".into(), Some("prompt"))),
    }
}

/// Reads an embedding request.
pub(super) fn embedding(body: &[u8]) -> Result<Embedding, ApiError> {
    let body: EmbeddingBody = parse(body)?;
    let base64 = match body.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(other) => {
            let message = format!("encoding_format must be \"float\" or \"base64\", got {other:?}");
            return Err(ApiError::bad_request(message, Some("encoding_format")));
        }
    };
    let dimensions = body.dimensions.unwrap_or(DEFAULT_DIMENSIONS);
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        let message = format!("dimensions must be 1 to {MAX_DIMENSIONS}, got {dimensions}");
        return Err(ApiError::bad_request(message, Some("dimensions")));
    }
    let inputs = body.input.into_tokens();
    if inputs.is_empty() || inputs.len() > MAX_INPUTS {
        let message = format!("input must hold 1 to {MAX_INPUTS} texts, got {}", inputs.len());
        return Err(ApiError::bad_request(message, Some("input")));
    }
    Ok(Embedding { model: body.model, inputs, dimensions, base64 })
}

impl Input {
    /// Returns the tokens of each text; an empty list has none.
    fn into_tokens(self) -> Vec<Vec<u32>> {
        match self {
            Self::Text(text) => vec![text::tokenize(&text)],
            Self::Texts(texts) => texts.iter().map(|text| text::tokenize(text)).collect(),
            Self::Tokens(tokens) => vec![tokens],
            Self::ManyTokens(many) => many,
        }
    }
}
