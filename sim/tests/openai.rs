//! The unmodified `openai` client of Python against the stand-in: it must not notice that nothing is behind it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::Standin;
use serde_json::{Value, json};
use tokio::process::Command;

/// Runs one command of `tests/real/openai` and returns what the client saw.
async fn openai(standin: &Standin, arguments: &[&str]) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/real/openai");
    let output = Command::new(script).arg(&standin.url).args(arguments).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}{said}", String::from_utf8_lossy(&output.stdout));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_client_lists_chats_streams_embeds_and_hangs_up() {
    let standin = Standin::start(common::fast()).await;
    let all = openai(&standin, &["all"]).await;
    assert_eq!(all["models"]["models"], json!(["m", "alias"]));
    assert!(all["chat"]["content"].as_str().unwrap().starts_with("This is a simulated answer"));
    assert_eq!(all["stream"]["completion_tokens"], 16);
    assert_eq!(all["complete"]["finish_reason"], "length");
    assert_eq!(all["errors"]["unknown_model"]["class"], "NotFoundError");
    assert_eq!(all["errors"]["no_messages"]["class"], "BadRequestError");
    assert_eq!(openai(&standin, &["embed"]).await["lengths"], json!([1.0, 1.0]));
    openai(&standin, &["hangup", "--tokens", "20000"]).await;
    standin.until("num_requests_running", |v| v < 0.5).await;
}
