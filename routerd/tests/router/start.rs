//! Starts routers.

use std::{net::SocketAddr, time::Duration};

use clap::Parser as _;
use mesh_daemon::Shutdown;
use mesh_routerd::{Args, Config, Router};
use tokio::task::JoinHandle;

use crate::engine::Engine;

/// The model that every engine of these tests serves.
pub(crate) const MODEL: &str = "m";

/// A running router; it ends when it is dropped.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    shutdown: Shutdown,
    ended: JoinHandle<anyhow::Result<()>>,
    _dir: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

impl Running {
    pub(crate) fn new(router: Router, shutdown: Shutdown, dir: tempfile::TempDir) -> Self {
        Self { addr: router.addr, shutdown, ended: tokio::spawn(router.finished()), _dir: dir }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Asks it to stop.
    pub(crate) fn stop(&self) {
        self.shutdown.begin();
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        (&mut self.ended).await.unwrap()
    }

    /// The value of a metric line that begins so; `None` when there is none.
    pub(crate) async fn metric(&self, begins: &str) -> Option<f64> {
        let text = reqwest::get(self.url("/metrics")).await.unwrap().text().await.unwrap();
        text.lines().find(|it| it.starts_with(begins)).and_then(|it| it.rsplit(' ').next()?.parse().ok())
    }
}

/// A router in front of these addresses, each serving [`MODEL`].
pub(crate) async fn router(addrs: &[SocketAddr], flags: &[&str]) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let entries: Vec<String> =
        addrs.iter().map(|it| format!("  - {{url: \"http://{it}\", models: [{MODEL}]}}\n")).collect();
    let file = dir.path().join("upstreams.yaml");
    std::fs::write(&file, format!("upstreams:\n{}", entries.concat())).unwrap();
    let mut words = vec!["--upstreams", file.to_str().unwrap()];
    words.extend(flags);
    started(&words, dir).await
}

/// A router in front of what this file lists.
pub(crate) async fn with_file(file: &std::path::Path, dir: tempfile::TempDir) -> Running {
    started(&["--upstreams", file.to_str().unwrap()], dir).await
}

/// A router in front of these addresses, whose models it asks for.
pub(crate) async fn router_to(addrs: &[SocketAddr]) -> Running {
    let list: Vec<String> = addrs.iter().map(ToString::to_string).collect();
    started(&["--upstream", &list.join(",")], tempfile::tempdir().unwrap()).await
}

async fn started(flags: &[&str], dir: tempfile::TempDir) -> Running {
    let mut words = vec!["mesh-routerd", "--listen", "127.0.0.1:0", "--workers", "2"];
    words.extend(flags);
    let config = Config::load(&Args::try_parse_from(words).unwrap()).unwrap();
    let shutdown = Shutdown::new();
    let router = Router::start(config, shutdown.clone()).await.unwrap();
    let running = Running::new(router, shutdown, dir);
    until("the router is ready", async || {
        reqwest::get(running.url("/readyz")).await.is_ok_and(|it| it.status() == 200)
    })
    .await;
    running
}

/// A router in front of these engines.
pub(crate) async fn router_for(engines: &[&Engine]) -> Running {
    let addrs: Vec<SocketAddr> = engines.iter().map(|it| it.addr).collect();
    router(&addrs, &[]).await
}

/// Waits until something is true; panics after ten seconds.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}
