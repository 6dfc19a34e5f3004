//! A real local mesh for one test: the installed binaries, their own state directory, gone at the end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Value;

pub mod bed;
pub mod load;
pub mod release;
pub mod screen;

/// What `mesh up -o json` prints.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Up {
    /// `mesh/v1`.
    pub schema: String,
    /// The context's name.
    pub context: String,
    /// Base URLs of the routers.
    pub routers: Vec<String>,
    /// Metrics URLs.
    pub metrics: Vec<String>,
    /// The nodes.
    pub nodes: Vec<UpNode>,
}

/// A node of [`Up`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpNode {
    /// Its name.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Address of its agent's API.
    pub api: String,
    /// URL of its engine.
    pub engine: Option<String>,
}

/// A running local mesh; dropping it stops it.
#[derive(Debug)]
pub struct Mesh {
    state: tempfile::TempDir,
    /// What `mesh up` said.
    pub up: Up,
}

/// The directory of the binaries under test: that of the profile the test was built with.
#[must_use]
pub fn bin_dir() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    // Tests lie one directory further down than binaries do.
    let dir = exe.parent().unwrap();
    if dir.ends_with("deps") { dir.parent().unwrap().to_path_buf() } else { dir.to_path_buf() }
}

impl Mesh {
    /// Starts a mesh with more arguments for `mesh up`, and waits until it served a request.
    #[must_use]
    pub fn start(args: &[&str]) -> Self {
        Self::configured("", args)
    }

    /// The same with a configuration file of the operator.
    #[must_use]
    pub fn configured(config: &str, args: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("config/mesh");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("config.toml"), config).unwrap();
        let output = command(state.path()).args(["up", "-o", "json"]).args(args).output().unwrap();
        assert!(output.status.success(), "mesh up: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        let up = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)));
        Self { state, up }
    }

    /// The `mesh` command with this mesh's state directory.
    #[must_use]
    pub fn command(&self) -> Command {
        command(self.state.path())
    }

    /// Runs `mesh ARGS` to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command().args(args).output().unwrap())
    }

    /// Starts `mesh ARGS` in the background.
    #[must_use]
    pub fn spawn(&self, args: &[&str]) -> std::process::Child {
        self.command().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// `mesh get nodes -o json`, as a list of items.
    #[must_use]
    pub fn nodes(&self) -> Vec<Value> {
        let ran = self.run(&["get", "nodes", "-o", "json"]).ok();
        ran.json()["items"].as_array().unwrap().clone()
    }

    /// One node out of `mesh get nodes -o json`.
    #[must_use]
    pub fn node(&self, name: &str) -> Value {
        self.nodes().into_iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// The base URL of the router.
    #[must_use]
    pub fn router(&self) -> &str {
        &self.up.routers[0]
    }

    /// The base URL of a node's engine.
    #[must_use]
    pub fn engine(&self, node: &str) -> &str {
        let node = self.up.nodes.iter().find(|it| it.name == node).unwrap();
        node.engine.as_deref().unwrap()
    }

    /// The model that the stand-ins serve.
    #[must_use]
    pub fn model(&self) -> String {
        let models = get(&format!("{}/v1/models", self.router()));
        models["data"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The process id of one of a node's processes: `agentd`, `routerd`, `supervise` or an engine; `None` while the
    /// supervisor is about to start it.
    #[must_use]
    pub fn running(&self, node: &str, process: &str) -> Option<rustix::process::Pid> {
        let path = self.node_dir(node).join("run").join(format!("{process}.pid"));
        rustix::process::Pid::from_raw(std::fs::read_to_string(path).ok()?.trim().parse().ok()?)
    }

    /// The process id of a process that runs.
    #[must_use]
    pub fn pid(&self, node: &str, process: &str) -> rustix::process::Pid {
        self.running(node, process).unwrap_or_else(|| panic!("{process} of {node} does not run"))
    }

    /// Kills a process with -9 and waits until its supervisor has started it again.
    pub fn kill(&self, node: &str, process: &str) {
        let before = self.pid(node, process);
        self.signal(node, process, rustix::process::Signal::KILL);
        until(&format!("{process} of {node} is back"), Duration::from_secs(10), || {
            self.running(node, process).filter(|pid| *pid != before)
        });
    }

    /// Sends a signal to one of a node's processes.
    pub fn signal(&self, node: &str, process: &str, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(node, process), signal).unwrap();
    }

    /// Where a node of the local mesh is installed.
    #[must_use]
    pub fn node_dir(&self, node: &str) -> PathBuf {
        self.state.path().join("mesh/local/nodes").join(node)
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_logs(&self.state.path().join("mesh/local/nodes"));
        }
        let output = self.command().args(["down", "--yes"]).output();
        if let (Ok(output), false) = (output, std::thread::panicking()) {
            assert!(output.status.success(), "mesh down: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// The end of every log, so that a failure in CI can be read.
#[allow(clippy::print_stderr, reason = "a failing test explains itself")]
fn print_logs(nodes: &Path) {
    for node in std::fs::read_dir(nodes).into_iter().flatten().flatten() {
        for log in std::fs::read_dir(node.path().join("var/log")).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(log.path()).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(25).collect();
            eprintln!("--- {}", log.path().display());
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

fn command(state: &Path) -> Command {
    command_of(&bin_dir(), state)
}

/// `mesh` out of a directory of binaries.
fn command_of(binaries: &Path, state: &Path) -> Command {
    let mut command = Command::new(binaries.join("mesh"));
    command.env("XDG_STATE_HOME", state).env("XDG_CONFIG_HOME", state.join("config")).env("NO_COLOR", "1");
    command.stdin(Stdio::null());
    command
}

/// The JSON behind a URL.
#[must_use]
pub fn get(url: &str) -> Value {
    serde_json::from_str(&text(url)).unwrap()
}

/// The text behind a URL.
#[must_use]
pub fn text(url: &str) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { reqwest::get(url).await.unwrap().text().await.unwrap() })
}

/// Whether a URL is answered with success; nobody there is a no.
#[must_use]
pub fn answers(url: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { reqwest::get(url).await.is_ok_and(|it| it.status().is_success()) })
}

/// Posts JSON; the status and the answer.
#[must_use]
pub fn post(url: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

/// The sum of a metric's samples whose line holds every one of `labels`; absent = no such series.
#[must_use]
pub fn metric(url: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let text = text(url);
    let lines = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|it| line.contains(it))
    });
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).reduce(|a, b| a + b)
}

/// A command that ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// The same, and fails unless the exit code is 0.
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// The same, and fails unless the exit code is `code`.
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// The same, and fails unless every part is on stderr.
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "no `{part}` in: {}\nstdout: {}", self.stderr, self.stdout);
        }
        self
    }

    /// Standard output as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Asks until the answer is there, for at most `limit`.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
