//! A strategy that passes every check and then does wrong: each request is answered all the same, and each fault is seen.

use std::time::{Duration, Instant};

use crate::{
    client::post,
    engine::{Do, Engine},
    start::{MODEL, Running, router, until},
};

const FAULTS: &str = include_str!("../../../strategy/fixtures/fault-on-demand.wat");
/// Feedback of a stream with so many tokens makes the fixture trap.
const TOKENS_THAT_TRAP: usize = 79;
/// A strategy's breaker stays open at least so long.
const OPEN: Duration = Duration::from_secs(1);

struct Rig {
    engine: Engine,
    router: Running,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("faults.wasm");
        std::fs::write(&file, wat::parse_str(FAULTS).unwrap()).unwrap();
        let engine = Engine::start(Do::Stream(2, Duration::ZERO)).await;
        let router = router(&[engine.addr], &["--strategy", file.to_str().unwrap()]).await;
        let rig = Self { engine, router, _dir: dir };
        rig.ask_until(0, "ok").await;
        rig
    }

    async fn count(&self, outcome: &str) -> f64 {
        let begins = format!(r#"strategy_decisions_total{{outcome="{outcome}",strategy="fault-on-demand""#);
        self.router.metric(&begins).await.unwrap()
    }

    /// Sends a request; whatever the strategy does, the client gets its whole answer.
    async fn ask(&self, max_tokens: u32) {
        let body = format!(r#"{{"model":"{MODEL}","stream":true,"max_tokens":{max_tokens},"messages":[]}}"#);
        let (status, text) = post(&self.router, body).await;
        assert_eq!(status, 200, "{max_tokens}: {text}");
        assert!(text.contains("data: [DONE]"), "{max_tokens}: {text}");
    }

    /// Asks until this outcome has been counted once more: an instance may be missing for a moment after a fault.
    async fn ask_until(&self, max_tokens: u32, outcome: &str) {
        let before = self.count(outcome).await;
        until(&format!("{max_tokens} is counted as {outcome}"), async || {
            self.ask(max_tokens).await;
            self.count(outcome).await > before
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_answered_by_the_baseline_and_five_open_the_breaker() {
    let rig = Rig::start().await;
    rig.ask_until(7008, "abstain").await;
    for (fault, outcome) in [(7001, "fuel"), (7002, "trap"), (7003, "invalid"), (7004, "invalid")] {
        rig.ask_until(fault, outcome).await;
    }
    rig.ask_until(0, "ok").await;
    let before_the_fifth = Instant::now();
    rig.ask_until(7005, "invalid").await;
    let (ok, not_ready) = (rig.count("ok").await, rig.count("not_ready").await);
    let mut asked = 0.0;
    while before_the_fifth.elapsed() < OPEN * 3 / 4 {
        rig.ask(0).await;
        asked += 1.0;
        let (now_ok, now_not_ready) = (rig.count("ok").await, rig.count("not_ready").await);
        if before_the_fifth.elapsed() < OPEN {
            assert_eq!((now_ok, now_not_ready), (ok, not_ready + asked), "an open breaker keeps the strategy out");
        }
    }
    assert!(asked > 0.0, "too slow to look at an open breaker");
    rig.ask_until(0, "ok").await;
    rig.ask_until(7006, "invalid").await;
    rig.ask_until(7007, "trap").await;
    rig.ask_until(0, "ok").await;
    assert!(rig.count("epoch").await < 1.0, "the fuel stops a loop, not the clock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_in_feedback_is_counted_and_costs_no_request() {
    let rig = Rig::start().await;
    assert!(rig.count("trap").await < 1.0);
    rig.engine.always(Do::Stream(TOKENS_THAT_TRAP, Duration::ZERO));
    rig.ask_until(0, "trap").await;
    rig.engine.always(Do::Stream(2, Duration::ZERO));
    rig.ask_until(0, "ok").await;
}
