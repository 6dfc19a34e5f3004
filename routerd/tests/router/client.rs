//! Clients: a proper one, and one that sends bytes and looks at bytes.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::start::{MODEL, Running};

pub(crate) fn body(stream: bool) -> String {
    format!(r#"{{"model":"{MODEL}","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#)
}

/// Status and text of an answer.
pub(crate) async fn post(router: &Running, body: impl Into<reqwest::Body>) -> (u16, String) {
    let sent = reqwest::Client::new().post(router.url("/v1/chat/completions")).body(body).send();
    let response = sent.await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The `code` of an error in OpenAI's shape.
pub(crate) fn error_code(text: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    for field in ["message", "type", "code"] {
        assert!(json["error"][field].is_string(), "no {field} in {text}");
    }
    json["error"]["code"].as_str().unwrap().to_owned()
}

/// A request as bytes.
pub(crate) fn raw(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// A connection on which these bytes were sent.
pub(crate) async fn send(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// What comes until the end, and how it ended.
pub(crate) async fn read_all(stream: &mut TcpStream) -> (String, std::io::Result<()>) {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes));
    let ended = read.await.expect("the connection ends").map(drop);
    (String::from_utf8_lossy(&bytes).into_owned(), ended)
}

/// Reads until this text has come.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&bytes).contains(text) {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "ended before {text:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap_or_else(|_| panic!("in vain: {text:?}"));
    String::from_utf8_lossy(&bytes).into_owned()
}
