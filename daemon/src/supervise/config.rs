//! What a supervisor keeps running.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// The configuration of one supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SuperviseConfig {
    /// The node, for logs.
    pub name: String,
    /// The supervisor's own pid file; it holds a lock on it while it lives.
    pub pid_file: PathBuf,
    /// Where the processes' pid files go: `NAME.pid`.
    pub run_dir: PathBuf,
    /// Whether it leaves the session of whoever started it.
    #[serde(default)]
    pub detach: bool,
    /// How long a process may take to stop before it is killed, in seconds.
    #[serde(default = "stop_deadline_s")]
    pub stop_deadline_s: u64,
    /// The processes, in the order they are started.
    pub process: Vec<Process>,
}

fn stop_deadline_s() -> u64 {
    10
}

/// One process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its name, unique here: a-z, 0-9 and `-`.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The file its output is appended to.
    pub log: PathBuf,
    /// Variables added to its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

impl SuperviseConfig {
    /// Checks what the types cannot say.
    pub(super) fn checked(self, path: &Path) -> Result<Self, ConfigError> {
        let wrong = |reason: String| {
            let field = "`process`: ".to_owned();
            Err(ConfigError::Content { path: path.to_owned(), line: 1, column: 1, field, reason })
        };
        let mut names = BTreeSet::new();
        for process in &self.process {
            let legal = process.name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
            if process.name.is_empty() || !legal {
                return wrong(format!("name `{}` may hold only a-z, 0-9 and `-`", process.name));
            }
            if !names.insert(&process.name) {
                return wrong(format!("`{}` is there twice", process.name));
            }
            if process.command.is_empty() {
                return wrong(format!("`{}` has an empty command", process.name));
            }
        }
        Ok(self)
    }
}
