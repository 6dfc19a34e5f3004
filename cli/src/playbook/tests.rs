//! The engine over a local shell, with real files: what it changes, what it leaves alone, what it refuses.

mod bootstrap;
mod digests;
mod engine;
mod lint;
mod quoting;
mod releases;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use super::*;
use crate::host::{Held, Host, HostError, Job, Output, shell::Shell};

/// The operator's side, with what a test needs of it.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) blobs: BTreeMap<String, Blob>,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    pub(super) events: Mutex<Vec<Event>>,
}

impl Desk {
    pub(super) fn with(mut self, name: &str, path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let blob =
            Blob { path: path.to_owned(), sha256: mesh_proto::cert::sha256(&bytes), size_bytes: bytes.len() as u64 };
        self.blobs.insert(name.to_owned(), blob);
        self
    }

    pub(super) fn secret(mut self, name: &str, bytes: &[u8]) -> Self {
        self.secrets.insert(name.to_owned(), bytes.to_vec());
        self
    }
}

impl Controller for Desk {
    fn blob(&self, name: &str) -> Option<&Blob> {
        self.blobs.get(name)
    }
    fn secret(&self, _host: &str, name: &str) -> Option<Vec<u8>> {
        self.secrets.get(name).cloned()
    }
    fn sign(&self, _host: &str, request: &KeyRequest, csr_pem: &str) -> crate::Result<SignedKey> {
        assert!(csr_pem.contains("REQUEST"), "{csr_pem}");
        let now = crate::human::now().0;
        let subject = match request {
            KeyRequest::Id(id) => format!("id {id}"),
            KeyRequest::Authority(mesh) => format!("authority {mesh}"),
        };
        Ok(SignedKey {
            chain_pem: format!("{subject} {} {}\n", now - 1000, now + 9_000_000),
            roots_pem: "roots\n".into(),
        })
    }
    fn event(&self, _host: &str, event: &Event) {
        self.events.lock().unwrap().push(event.clone());
    }
}

/// This machine under one of its shells; it counts the scripts.
pub(super) struct Place {
    shell: Shell,
    command: Vec<String>,
    pub(super) runs: AtomicUsize,
}

impl Place {
    /// The shell that is `sh` here.
    pub(super) fn plain() -> Self {
        Self { shell: Shell::new("h1"), command: Vec::new(), runs: AtomicUsize::new(0) }
    }

    /// Every kind of shell this machine has: dash, and busybox with its own tools first.
    pub(super) fn all(scratch: &Path) -> Vec<Self> {
        let of =
            |command: &[&str]| Self { command: command.iter().map(|it| (*it).to_owned()).collect(), ..Self::plain() };
        let mut all = vec![Self::plain()];
        for shell in ["/usr/bin/dash", "/usr/bin/bash"] {
            if Path::new(shell).exists() {
                all.push(of(&[shell]));
            }
        }
        let tools = scratch.join("busybox");
        fs::create_dir_all(&tools).unwrap();
        let installed = Command::new("busybox").args(["--install", "-s"]).arg(&tools).status();
        if installed.is_ok_and(|it| it.success()) {
            let path = format!("PATH={}", tools.display());
            all.push(of(&["/usr/bin/env", "-i", &path, "/usr/bin/busybox", "sh"]));
        }
        all
    }

    pub(super) fn name(&self) -> &str {
        self.command.last().map_or("sh", String::as_str)
    }

    pub(super) fn counted(&self) -> usize {
        self.runs.swap(0, Ordering::Relaxed)
    }
}

impl Host for Place {
    fn name(&self) -> &str {
        self.shell.name()
    }
    async fn run(&self, job: Job<'_>) -> Result<Output, HostError> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        if self.command.is_empty() {
            return self.shell.run(job).await;
        }
        let fixed = ["-c".to_owned(), job.script.into_owned(), "sh".to_owned()];
        let args = self.command.iter().cloned().chain(fixed).map(Into::into).chain(job.args).collect();
        self.shell.run(Job { script: "exec \"$@\"".into(), args, ..job }).await
    }
    async fn hold(&self, job: Job<'_>) -> Result<Held, HostError> {
        self.shell.hold(job).await
    }
}

/// A playbook of a test; `root` is its only input unless it says otherwise.
pub(super) fn playbook(text: &str) -> Playbook {
    let text = if text.contains("inputs:") { text.to_owned() } else { format!("inputs: {{root: where}}\n{text}") };
    Playbook::parse("t.yaml", &format!("name: t\n{text}")).unwrap()
}

pub(super) fn vars(root: &Path, more: &Value) -> Vars {
    let mut vars = Vars::new(more);
    vars.set("root", json!(root.display().to_string()));
    vars
}

/// Every path below a directory with its mode, its content or its target.
pub(super) fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        let mut entries: Vec<_> = fs::read_dir(&dir).unwrap().map(|it| it.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let mode = meta.permissions().mode() & 0o7777;
            if meta.is_symlink() {
                found.push(format!("{name} -> {}", fs::read_link(&path).unwrap().display()));
            } else if meta.is_dir() {
                found.push(format!("{name}/ {mode:04o}"));
                open.push(path);
            } else {
                found
                    .push(format!("{name} {mode:04o} {}", mesh_proto::cert::sha256(&fs::read(&path).unwrap()).short()));
            }
        }
    }
    found.sort();
    found
}

/// What a plan would change, a line each.
pub(super) fn lines(plan: &HostPlan, root: &Path) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        text.push_str(&format!("{:?} {}\n", step.status, step.id));
        for change in &step.changes {
            text.push_str(&format!("  {}: {} -> {}\n", change.what, change.before, change.after));
        }
    }
    text.replace(&root.display().to_string(), "ROOT")
}
