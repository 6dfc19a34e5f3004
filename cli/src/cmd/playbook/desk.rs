//! The operator's side of `mesh playbook run`: binaries of a release, secrets from files, events on stderr.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock},
};

use serde_json::json;

use crate::{
    Exit, Failure, Result,
    output::note,
    playbook::{Blob, Controller, Event, KeyRequest, SignedKey},
    provision::{
        bootstrap::{
            board::{Board, Style},
            journal::Journal,
        },
        release::{BINARIES, sha256_of},
    },
};

/// The largest secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// What a run has at hand.
pub(super) struct Desk {
    blobs: BTreeMap<String, Blob>,
    secrets: BTreeMap<String, Vec<u8>>,
    progress: Style,
    quiet: bool,
    /// Tells of many hosts in the place of lines.
    board: Option<Arc<Board>>,
    /// Keeps what happens.
    journal: OnceLock<Journal>,
    /// The last tenth of an upload that was told, by host.
    tenth: Mutex<BTreeMap<String, u64>>,
}

impl Desk {
    /// Takes the binaries of a bundle's `bin`, or those beside `mesh`, and files as secrets.
    pub(super) fn new(
        bundle: Option<&Path>,
        secrets: &[(String, PathBuf)],
        progress: Style,
        quiet: bool,
    ) -> Result<Self> {
        let exe = std::env::current_exe()?;
        let dir = bundle.map(|it| it.join("bin")).or_else(|| exe.parent().map(Path::to_owned)).unwrap_or_default();
        let mut desk = Self {
            blobs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            progress,
            quiet,
            board: None,
            journal: OnceLock::new(),
            tenth: Mutex::default(),
        };
        for name in BINARIES {
            let path = dir.join(name);
            // A playbook that needs a binary which is not there says so.
            if let Ok(meta) = std::fs::metadata(&path) {
                let sha256 = sha256_of(&path)?;
                desk.blobs.insert(name.to_owned(), Blob { path, sha256, size_bytes: meta.len() });
            }
        }
        for (name, path) in secrets {
            desk.secrets.insert(name.clone(), secret(path)?);
        }
        Ok(desk)
    }

    /// Has the events told on a board.
    pub(super) fn on(mut self, board: Arc<Board>) -> Self {
        self.board = Some(board);
        self
    }

    /// From now on what happens is written down.
    pub(super) fn write_into(&self, journal: Journal) {
        let _ = self.journal.set(journal);
    }

    fn text(host: &str, event: &Event) -> Option<String> {
        match event {
            Event::StepChanged { step, .. } => Some(format!("{host}: {step}: changed")),
            Event::StepFailed { step, why } => Some(format!("{host}: {step}: failed: {why}")),
            Event::StepStarted { .. }
            | Event::StepUnchanged { .. }
            | Event::StepSkipped { .. }
            | Event::Proven
            | Event::Sent { .. } => None,
        }
    }

    /// Whether so much more was sent that it is worth a word.
    fn is_news(&self, host: &str, event: &Event) -> bool {
        let Event::Sent { bytes, total, .. } = event else { return true };
        let tenth = bytes.saturating_mul(10) / (*total).max(1);
        let mut told = self.tenth.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        told.insert(host.to_owned(), tenth) != Some(tenth)
    }
}

fn secret(path: &Path) -> Result<Vec<u8>> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Invalid, "cannot read a secret").at(path.display().to_string()).why(why)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(wrong(&format!("it has more than {SECRET_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

impl Controller for Desk {
    fn blob(&self, name: &str) -> Option<&Blob> {
        self.blobs.get(name)
    }

    fn secret(&self, _host: &str, name: &str) -> Option<Vec<u8>> {
        self.secrets.get(name).cloned()
    }

    fn sign(&self, _host: &str, _request: &KeyRequest, _csr_pem: &str) -> Result<SignedKey> {
        Err(Failure::new(Exit::Refused, "only a bootstrap signs certificates: it holds the root key")
            .next("mesh bootstrap hosts.yaml --playbook FILE"))
    }

    fn event(&self, host: &str, event: &Event) {
        let is_kept = !matches!(event, Event::StepSkipped { .. } | Event::Proven | Event::Sent { .. });
        if let Some(journal) = self.journal.get().filter(|_| is_kept) {
            journal.note("step", Some(host), json!({ "step": event }));
        }
        if let Some(board) = &self.board {
            return match event {
                Event::StepStarted { step } => board.step(host, &step.0),
                Event::Sent { step, bytes, total } => board.sent(host, &step.0, *bytes, *total),
                // The end of the host says them together.
                Event::StepChanged { .. }
                | Event::StepUnchanged { .. }
                | Event::StepSkipped { .. }
                | Event::Proven
                | Event::StepFailed { .. } => {}
            };
        }
        if !self.is_news(host, event) {
            return;
        }
        match self.progress {
            Style::Json => {
                let mut line = json!({ "host": host });
                if let (Some(line), Ok(serde_json::Value::Object(event))) =
                    (line.as_object_mut(), serde_json::to_value(event))
                {
                    line.extend(event);
                }
                note(&line.to_string());
            }
            Style::None => {}
            Style::Auto | Style::Plain => {
                if let Some(text) = Self::text(host, event).filter(|_| !self.quiet) {
                    note(&text);
                }
            }
        }
    }
}
