//! Committed writes and fail-over of three coordinators, beside the disk they stand on in the same run.

use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// Builds and runs agentd's own measurement on a directory of the target's disk; it prints one JSON object.
pub(crate) fn run(seconds: u32) -> Result<()> {
    let program = shell::release_example("raft_bench")?;
    let dir = tempfile::tempdir_in(shell::target_dir("release")).context("make a directory to measure in")?;
    let seconds = seconds.to_string();
    shell::run(Command::new(program).arg("--dir").arg(dir.path()).args(["--secs", &seconds, "--kills", "10"]))
}
