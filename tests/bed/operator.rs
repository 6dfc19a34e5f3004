//! Who runs `mesh` against a bed: with a home of their own, one command after another, or writing without a pause.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Bed;
use crate::Ran;

/// An operator of the mesh on a bed.
#[derive(Debug, Clone)]
pub struct Operator {
    home: PathBuf,
    passphrase: PathBuf,
    binaries: PathBuf,
}

impl Operator {
    /// One who knows nothing of any mesh yet.
    #[must_use]
    pub fn new(bed: &Bed) -> Self {
        let home = bed.dir().join("operator");
        fs::create_dir_all(&home).unwrap();
        let passphrase = home.join("passphrase");
        fs::write(&passphrase, "correct horse battery staple\n").unwrap();
        Self { home, passphrase, binaries: crate::bin_dir() }
    }

    /// The same operator with `mesh` and the daemons of another directory.
    #[must_use]
    pub fn with_binaries(&self, dir: &Path) -> Self {
        Self { binaries: dir.to_owned(), ..self.clone() }
    }

    /// Where everything that the operator's commands keep lies.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The file with the passphrase of the operator's root.
    #[must_use]
    pub fn passphrase(&self) -> &str {
        self.passphrase.to_str().unwrap()
    }

    /// Writes the operator's own configuration.
    pub fn configure(&self, text: &str) {
        let dir = self.home.join("config/mesh");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.toml"), text).unwrap();
    }

    /// The `mesh` command with the operator's home.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = crate::command_of(&self.binaries, &self.home);
        command.env("HOME", &self.home).args(args);
        command
    }

    /// Runs `mesh ARGS` to its end.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    /// Starts `mesh bootstrap ARGS`, and reads its events one after another.
    #[must_use]
    pub fn bootstrap(&self, args: &[&str]) -> Bootstrap {
        self.start(&[&["bootstrap", "--root-passphrase-file", self.passphrase()], args].concat())
    }

    /// Starts `mesh ARGS`, which is over hosts, and reads its events one after another.
    #[must_use]
    pub fn start(&self, args: &[&str]) -> Bootstrap {
        let mut command = self.command(args);
        command.args(["--yes", "--progress", "json"]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Bootstrap { child, stderr, said: String::new() }
    }

    /// `mesh get nodes -o json`, as a list of items; empty when nobody answers.
    #[must_use]
    pub fn nodes(&self) -> Vec<Value> {
        let ran = self.run(&["get", "nodes", "-o", "json"]);
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        answer["items"].as_array().cloned().unwrap_or_default()
    }

    /// Names of the nodes that are Ready.
    #[must_use]
    pub fn ready(&self) -> Vec<String> {
        let nodes = self.nodes();
        let ready = nodes.iter().filter(|it| it["status"]["phase"] == "Ready");
        ready.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until every host of a bed is a node that is Ready.
    pub fn all_are_ready(&self, bed: &Bed) {
        crate::until("every node is Ready", Duration::from_secs(60), || {
            (self.ready().len() == bed.hosts().len()).then_some(())
        });
    }

    /// Fails unless a bootstrap would find nothing to do.
    pub fn has_nothing_to_do(&self, hosts: &str) {
        let look = self.run(&["bootstrap", hosts, "--dry-run", "--detailed-exitcode"]);
        let _ = look.ok().says(&["nothing to do"]);
    }

    /// The last run over hosts, from `mesh bootstrap --list`; empty when there is none.
    #[must_use]
    pub fn last_run(&self) -> String {
        let list = self.run(&["bootstrap", "--list", "-o", "json"]).ok().json();
        let ids = list["items"].as_array().unwrap().iter().filter_map(|it| it["head"]["id"].as_str());
        ids.max().unwrap_or_default().to_owned()
    }

    /// `mesh cluster status -o json` as one node sees it; `None` when it does not answer.
    #[must_use]
    pub fn cluster(&self) -> Option<Value> {
        serde_json::from_str(&self.run(&["cluster", "status", "-o", "json"]).stdout).ok()
    }
}

/// A bootstrap, or another command over hosts, that runs.
#[derive(Debug)]
pub struct Bootstrap {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    said: String,
}

impl Bootstrap {
    /// The next event; `None` at its end.
    pub fn event(&mut self) -> Option<Value> {
        let mut line = String::new();
        while self.stderr.read_line(&mut line).unwrap() > 0 {
            // What is no event is what a person reads at the end; it is kept.
            match serde_json::from_str(&line) {
                Ok(event @ Value::Object(_)) => return Some(event),
                _ => self.said.push_str(&line),
            }
            line.clear();
        }
        None
    }

    /// Goes on until an event of this kind tells of this host and says these words; `false` when it ended before.
    pub fn until(&mut self, kind: &str, host: Option<&str>, words: &str) -> bool {
        while let Some(event) = self.event() {
            let text = event["text"].as_str().or(event["step"].as_str()).unwrap_or_default();
            if event["event"] == kind && event["host"].as_str() == host && text.contains(words) {
                return true;
            }
        }
        false
    }

    /// Freezes it, or lets it go on; its connections stay.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it with -9.
    pub fn kill(self) {
        drop(self);
    }

    /// Waits for its end.
    #[must_use]
    pub fn finish(mut self) -> Ran {
        while self.event().is_some() {}
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Ran { code, stdout: String::new(), stderr: std::mem::take(&mut self.said) }
    }
}

impl Drop for Bootstrap {
    fn drop(&mut self) {
        // A test that fails must not leave it behind; one that has ended takes no notice.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a label of a node, again and again with a greater number, until it is told to stop.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    thread: Option<JoinHandle<u64>>,
}

impl Writer {
    /// Starts writing to `node`.
    #[must_use]
    pub fn start(operator: &Operator, node: &str) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (operator, node) = (operator.clone(), node.to_owned());
        let (stopped, acked) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || {
            let file = operator.home.join("writer.yaml");
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                fs::write(&file, format!("kind: node\nname: {node}\nspec:\n  labels: {{step: s{number}}}\n")).unwrap();
                if operator.run(&["apply", "-f", &file.to_string_lossy(), "--timeout", "3s"]).code == 0 {
                    acked.store(number, Ordering::Relaxed);
                }
            }
            number
        });
        Self { stop, acknowledged, thread: Some(thread) }
    }

    /// The number of the last write that was acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Stops; the last acknowledged number and the last that was tried.
    #[must_use]
    pub fn finish(mut self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let tried = self.thread.take().map(|it| it.join().unwrap()).unwrap_or_default();
        (self.acknowledged(), tried)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A test that fails must not have it write while the hosts go.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
