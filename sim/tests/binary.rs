//! The program `mesh-standin`: what it tells its starter, and how it stops.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mesh-standin");

async fn start(arguments: &[&str]) -> (Child, Value) {
    let mut command = Command::new(PROGRAM);
    command.args(["--listen", "127.0.0.1:0"]).args(arguments).kill_on_drop(true);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

async fn terminate(child: &Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
}

#[tokio::test]
async fn the_first_line_and_the_port_file_name_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("port");
    let (child, line) = start(&["--model", "a", "--model", "b", "--port-file", file.to_str().unwrap()]).await;
    assert_eq!(line["simulated"], true);
    assert_eq!(line["models"], json!(["a", "b"]));
    assert_eq!(line["pid"], child.id().unwrap());
    let port = std::fs::read_to_string(&file).unwrap();
    assert_eq!(line["url"], format!("http://127.0.0.1:{}", port.trim()));
    let health = reqwest::get(format!("{}/health", line["url"].as_str().unwrap())).await.unwrap();
    assert_eq!(health.status(), 200);
}

#[tokio::test]
async fn sigterm_lets_a_short_stream_finish_and_cuts_a_long_one() {
    let (mut child, line) = start(&["--decode-ms", "10"]).await;
    let url = format!("{}/v1/chat/completions", line["url"].as_str().unwrap());
    let client = reqwest::Client::new();
    let stream = |tokens: u32| {
        let body = json!({"messages": [{"role": "user", "content": "x"}], "max_tokens": tokens, "stream": true});
        let request = client.post(&url).json(&body).send();
        async move {
            let mut stream = request.await.unwrap().bytes_stream();
            stream.next().await.unwrap().unwrap();
            stream
        }
    };
    let (short, mut long) = (stream(50).await, stream(10_000).await);
    terminate(&child).await;
    let started = Instant::now();
    let text: Vec<u8> = short.map(Result::unwrap).collect::<Vec<_>>().await.concat();
    assert!(text.ends_with(b"data: [DONE]\n\n"));
    let status = child.wait().await.unwrap();
    assert!(status.success());
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    let mut cut = false;
    while let Some(piece) = long.next().await {
        cut |= piece.is_err();
    }
    assert!(cut);
}

#[tokio::test]
async fn help_says_simulated_and_bad_flags_exit_2() {
    let help = Command::new(PROGRAM).arg("--help").output().await.unwrap();
    assert!(String::from_utf8(help.stdout).unwrap().contains("SIMULATED"));
    for flags in [["--faults", "{\"no\":1}"], ["--slots", "many"]] {
        let refused = Command::new(PROGRAM).args(flags).output().await.unwrap();
        assert_eq!(refused.status.code(), Some(2), "{flags:?}");
    }
    let refused = Command::new(PROGRAM).args(["--listen", "127.0.0.1:0", "--slots", "0"]).output().await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("slots must be at least 1"));
}
