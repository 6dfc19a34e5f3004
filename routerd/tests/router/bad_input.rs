//! What a client can send wrong, and what it is told. Nothing of it reaches an engine.

use crate::{
    client::{body, error_code, post, raw, read_all, send},
    engine::{Do, Engine},
    start::router_for,
};

#[tokio::test]
async fn bodies_are_refused_with_their_reason() {
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    let check = async |body: &str, status: u16, code: &str| {
        let (seen, text) = post(&router, body.to_owned()).await;
        assert_eq!((seen, error_code(&text).as_str()), (status, code), "{body}");
    };
    check("", 400, "invalid_json").await;
    check("{bad", 400, "invalid_json").await;
    check("[]", 400, "invalid_json").await;
    check("\u{feff}{\"model\":\"m\"}", 400, "invalid_json").await;
    check(r#"{"messages":[]}"#, 400, "missing_model").await;
    check(r#"{"model":7}"#, 400, "invalid_model").await;
    check(r#"{"model":"m","model":"m"}"#, 400, "ambiguous_model").await;
    check(r#"{"model":"m","\u006dodel":"n"}"#, 400, "ambiguous_model").await;
    check(r#"{"model":"nope"}"#, 404, "model_not_found").await;
    check(r#"{"model":"M"}"#, 404, "model_not_found").await;
    assert_eq!(engine.requests(), 0);
}

#[tokio::test]
async fn utf_16_with_a_decoy_is_refused() {
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    let utf16: Vec<u8> = r#"{"model":"m"}"#.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (status, text) = post(&router, utf16).await;
    assert_eq!((status, error_code(&text).as_str()), (400, "invalid_json"));
}

#[tokio::test]
async fn an_oversize_body_is_refused_with_and_without_asking_first() {
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    let big = vec![b' '; 32 * 1024 * 1024 + 1];
    let (status, text) = post(&router, big.clone()).await;
    assert_eq!((status, error_code(&text).as_str()), (413, "request_too_large"));
    let stream = futures_util::stream::iter(
        big.chunks(1 << 20).map(|it| Ok::<_, std::io::Error>(it.to_vec())).collect::<Vec<_>>(),
    );
    let (status, _) = post(&router, reqwest::Body::wrap_stream(stream)).await;
    assert_eq!(status, 413, "chunked");
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        big.len()
    );
    let (text, _) = read_all(&mut send(router.addr, head.as_bytes()).await).await;
    assert!(text.starts_with("HTTP/1.1 413") && !text.contains("100 Continue"), "{text}");
    assert_eq!(engine.requests(), 0);
    let (status, _) = post(&router, body(false)).await;
    assert_eq!(status, 200);
    assert_eq!(router.metric("mesh_router_body_bytes").await, Some(0.0));
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_client_waits_for_that() {
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    let request = raw(&body(false)).replace("\r\nhost", "\r\nexpect: 100-continue\r\nconnection: close\r\nhost");
    let (head, rest) = request.split_once("\r\n\r\n").unwrap();
    let mut stream = send(router.addr, format!("{head}\r\n\r\n").as_bytes()).await;
    crate::client::read_until(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, rest.as_bytes()).await.unwrap();
    let (text, _) = read_all(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[tokio::test]
async fn what_could_be_read_as_two_requests_is_not_served() {
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    let body = body(false);
    let length = body.len();
    let post = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n";
    let smuggled = "GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n";
    for head in [
        format!("{post}content-length: {length}\r\ncontent-length: {}\r\n\r\n", length + 1),
        format!("{post}content-length: {length}, {}\r\n\r\n", length + 1),
        format!("{post}transfer-encoding: xchunked\r\ncontent-length: {length}\r\n\r\n"),
        format!("{post}transfer-encoding: chunked, identity\r\n\r\n"),
        format!("{post}content-length : {length}\r\n\r\n"),
        format!("{post}content-length: +{length}\r\n\r\n"),
        format!("{post}x: a\0b\r\ncontent-length: {length}\r\n\r\n"),
        format!("{post} folded: yes\r\ncontent-length: {length}\r\n\r\n"),
        format!("POST  /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"),
    ] {
        let (text, _) = read_all(&mut send(router.addr, format!("{head}{body}{smuggled}").as_bytes()).await).await;
        assert!(text.starts_with("HTTP/1.1 400"), "{head:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{head:?}: {text}");
    }
    assert_eq!(engine.requests(), 0);
    // Both given: chunked wins, the length must not reach the engine, and the connection must not go on.
    let both = format!(
        "{post}content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n{smuggled}"
    );
    let (text, _) = read_all(&mut send(router.addr, both.as_bytes()).await).await;
    let answers = text.matches("HTTP/1.1 ").count();
    assert!(text.starts_with("HTTP/1.1 400") || answers == 1, "{text}");
}

#[tokio::test]
async fn unknown_paths_and_methods_say_what_there_is() {
    let engine = Engine::start(Do::Json).await;
    let router = router_for(&[&engine]).await;
    let client = reqwest::Client::new();
    let response = client.post(router.url("/v1/nope")).body("{}").send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(error_code(&response.text().await.unwrap()), "unknown_url");
    let response = client.get(router.url("/v1/chat/completions")).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(error_code(&response.text().await.unwrap()), "method_not_allowed");
    let many: String = (0..150).map(|n| format!("x-{n}: 1\r\n")).collect();
    let (text, _) =
        read_all(&mut send(router.addr, format!("GET /v1/models HTTP/1.1\r\n{many}\r\n").as_bytes()).await).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}
