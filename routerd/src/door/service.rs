//! What the door answers: the OpenAI endpoints, the models, and the admin pages.

use std::{convert::Infallible, rc::Rc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request};
use hyper::body::Incoming;
use memchr::memmem;
use mesh_strategy::{Ask, RequestId};
use serde::Serialize;

use crate::{
    door::{
        body,
        errors::Refusal,
        headers, limit,
        model::{self, ModelError},
        reply::Reply,
    },
    proxy::{
        drive::{self, Job},
        flight::Flight,
    },
    worker::{Worker, conns::ConnState},
};

/// Bytes of a prompt's beginning that are hashed to tell conversations apart.
const PREFIX_BYTES: usize = 1024;

/// The request's id: as the machine and as both sides see it.
type Ids = (RequestId, HeaderValue);

/// Answers one request.
pub(crate) async fn handle(
    worker: Rc<Worker>,
    conn: Rc<ConnState>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    let busy = conn.begin();
    conn.http10.set(request.version() == Version::HTTP_10);
    let (parts, body) = request.into_parts();
    let id = worker.next_id();
    let request_id = headers::request_id(&parts.headers, id.get());
    let ids = (id, request_id.clone());
    let answer = route(&worker, conn, parts, (body, ids)).await;
    let mut response = answer.unwrap_or_else(|refusal| {
        worker.shared.metrics.refused(refusal.status.as_u16()).inc();
        refusal.response()
    });
    response.headers_mut().entry(headers::REQUEST_ID).or_insert(request_id);
    response.body_mut().keep(busy);
    Ok(response)
}

async fn route(
    worker: &Rc<Worker>,
    conn: Rc<ConnState>,
    parts: request::Parts,
    (body, ids): (Incoming, Ids),
) -> Result<Response<Reply>, Refusal> {
    let wanted = match parts.uri.path() {
        "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" => Method::POST,
        "/v1/models" | "/healthz" | "/readyz" | "/metrics" => Method::GET,
        path if path.starts_with("/v1/models/") => Method::GET,
        path => {
            let message = format!(
                "unknown request URL: {} {}; see /v1/models, /v1/chat/completions, /v1/completions, /v1/embeddings",
                parts.method,
                clip(path)
            );
            return Err(Refusal::new(StatusCode::NOT_FOUND, "unknown_url", message));
        }
    };
    if parts.method != wanted {
        let message = format!("{} is not allowed on {}; use {wanted}", parts.method, clip(parts.uri.path()));
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message));
    }
    if wanted == Method::GET {
        return page(worker, parts.uri.path());
    }
    infer(worker, conn, parts, (body, ids)).await
}

async fn infer(
    worker: &Rc<Worker>,
    conn: Rc<ConnState>,
    parts: request::Parts,
    (body, ids): (Incoming, Ids),
) -> Result<Response<Reply>, Refusal> {
    let body = body::read(worker, &parts.headers, body).await?;
    let model = {
        let name = model::find(&body.bytes).map_err(|error| bad_model(&error))?;
        worker.model(&name).ok_or_else(|| unknown_model(&name))?
    };
    let ask = ask(&body.bytes, body.len(), &parts.headers);
    let mut headers = parts.headers;
    headers::towards_engine(&mut headers);
    let (id, request_id) = ids;
    headers.insert(headers::REQUEST_ID, request_id);
    let job = Job { uri: origin_form(parts.uri), headers, body, conn };
    let flight = Flight::new(worker.clone(), model, (id, ask));
    Ok(drive::serve(flight, job).await)
}

fn bad_model(error: &ModelError) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, error.code(), error.to_string()).param("model")
}

fn unknown_model(name: &str) -> Refusal {
    let message = format!("the model `{}` does not exist; GET /v1/models lists those that do", clip(name));
    Refusal::new(StatusCode::NOT_FOUND, "model_not_found", message).param("model")
}

/// At most 200 bytes of a client's text, for messages.
fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

/// What a strategy is told of a request: estimates by size, and hashes.
fn ask(body: &[u8], bytes: u64, headers: &HeaderMap) -> Ask {
    let prompt = memmem::find(body, b"\"messages\"").or_else(|| memmem::find(body, b"\"prompt\"")).unwrap_or(0);
    let prefix = &body[prompt..body.len().min(prompt + PREFIX_BYTES)];
    let session = headers.get("x-session-id").map_or(0, |it| xxhash_rust::xxh3::xxh3_64(it.as_bytes()));
    Ask {
        prompt_tokens: u32::try_from(bytes / 4).unwrap_or(u32::MAX),
        max_tokens: limit::max_tokens(body),
        session,
        prefix: xxhash_rust::xxh3::xxh3_64(prefix),
        ..Ask::default()
    }
}

/// The path and query alone, as an engine wants them.
fn origin_form(uri: Uri) -> Uri {
    if uri.scheme().is_none() && uri.authority().is_none() {
        return uri;
    }
    uri.path_and_query().map_or_else(Uri::default, |it| Uri::from(it.clone()))
}

#[derive(Serialize)]
struct ModelCard<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'a> ModelCard<'a> {
    fn new(id: &'a str) -> Self {
        Self { id, object: "model", created: 0, owned_by: "mesh" }
    }
}

#[derive(Serialize)]
struct ModelList<'a> {
    object: &'static str,
    data: Vec<ModelCard<'a>>,
}

fn page(worker: &Rc<Worker>, path: &str) -> Result<Response<Reply>, Refusal> {
    let shared = &worker.shared;
    match path {
        "/healthz" => Ok(text(StatusCode::OK, "ok\n".into())),
        "/readyz" => Ok(match shared.ready() {
            Ok(()) => text(StatusCode::OK, "ready\n".into()),
            Err(reasons) => text(StatusCode::SERVICE_UNAVAILABLE, (reasons.join("\n") + "\n").into()),
        }),
        "/metrics" => Ok(text(StatusCode::OK, shared.metrics.text().into())),
        "/v1/models" => {
            let models = shared.fleet.models();
            let data = models.keys().map(|id| ModelCard::new(id)).collect();
            Ok(json(&ModelList { object: "list", data }))
        }
        _ => {
            let id = percent_decoded(path.strip_prefix("/v1/models/").unwrap_or(path));
            let models = shared.fleet.models();
            let (id, _) = models.get_key_value(&*id).ok_or_else(|| unknown_model(&id))?;
            Ok(json(&ModelCard::new(id)))
        }
    }
}

fn text(status: StatusCode, text: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

fn json(value: &impl Serialize) -> Response<Reply> {
    // Strings and numbers only: serialising cannot fail.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Reply::whole(body.into()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A path segment without its escapes; what is no escape stays as it is.
fn percent_decoded(text: &str) -> String {
    let digit =
        |byte: Option<&u8>| byte.and_then(|it| char::from(*it).to_digit(16)).and_then(|it| u8::try_from(it).ok());
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match (byte, digit(bytes.get(at + 1)), digit(bytes.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high * 16 + low);
                at += 3;
            }
            _ => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_ids_in_paths_may_be_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(percent_decoded(text), expected);
        check("a/b", "a/b");
        check("a%2Fb%20c", "a/b c");
        check("100%", "100%");
        check("%c3%a9%zz", "é%zz");
    }

    #[test]
    fn engines_get_the_path_alone() {
        let check = |uri: &'static str, expected: &str| assert_eq!(origin_form(Uri::from_static(uri)), expected);
        check("/v1/completions?a=b", "/v1/completions?a=b");
        check("http://other/v1/completions?a=b", "/v1/completions?a=b");
    }
}
