//! What a worker recorded leads to the same actions and the same answers again.

use std::time::Duration;

use futures_util::future::join_all;
use mesh_strategy::{builtin, parse_recording, replay, replay_decisions};

use crate::{
    client::{body, post},
    engine::{Do, Engine, nobody},
    start::{MODEL, router},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_replays_to_identical_actions() {
    let (good, bad) =
        (Engine::start(Do::Stream(3, Duration::from_millis(1))).await, Engine::start(Do::Status(503)).await);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tape");
    let mut router = router(&[good.addr, bad.addr, nobody().await], &["--record", file.to_str().unwrap()]).await;
    for _ in 0..5 {
        join_all((0..20).map(|_| post(&router, body(true)))).await;
    }
    router.stop();
    router.ended().await.unwrap();
    let mut events = 0;
    for worker in 0..2 {
        let tape = std::fs::read(dir.path().join(format!("tape.{worker}"))).unwrap();
        let entries = parse_recording(&tape).unwrap();
        events += replay(&entries).unwrap().compared;
        replay_decisions(&entries, MODEL, |name, _, _| builtin::by_name(name, worker)).unwrap();
    }
    assert!(events > 500, "only {events} events");
}
