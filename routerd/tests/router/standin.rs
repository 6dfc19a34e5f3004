//! The same door in front of the stand-in engine, when it was built: real processes, real timing.

use std::{
    io::BufRead as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use futures_util::future::join_all;

use crate::start::{router_to, until};

struct Standin {
    child: Child,
    addr: std::net::SocketAddr,
}

impl Drop for Standin {
    fn drop(&mut self) {
        // Ended with the test; it may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `mesh-standin` beside this test's own executable.
fn binary() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.parent()?.parent()?.join("mesh-standin");
    path.exists().then_some(path)
}

fn standin(path: &PathBuf) -> Standin {
    let mut child = Command::new(path)
        .args(["--listen", "127.0.0.1:0", "--model", "m", "--speed", "10"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    Standin { addr: said["listen"].as_str().unwrap().parse().unwrap(), child }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_of_sixty_four_tokens() {
    let Some(path) = binary() else {
        eprintln!("skipped: build mesh-standin first (cargo build --profile mesh -p mesh-sim)");
        return;
    };
    let engines = [standin(&path), standin(&path), standin(&path)];
    let router = router_to(&engines.iter().map(|it| it.addr).collect::<Vec<_>>()).await;
    until("the model is found", async || {
        reqwest::get(router.url("/v1/models/m")).await.is_ok_and(|it| it.status() == 200)
    })
    .await;
    let body = r#"{"model":"m","stream":true,"max_tokens":64,"messages":[{"role":"user","content":"hi"}]}"#;
    let answers = join_all((0..200).map(|_| crate::client::post(&router, body))).await;
    for (status, text) in answers {
        assert_eq!(status, 200, "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"));
        assert!(text.matches("data: ").count() >= 65, "{text}");
    }
}
