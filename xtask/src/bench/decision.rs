//! Time of one routing decision: runs the strategy crate's own measurement in the release profile.

use std::process::Command;

use anyhow::Result;

use crate::shell;

/// Builds and runs the measurement; it prints its own table.
pub(crate) fn run() -> Result<()> {
    shell::run(&mut Command::new(shell::release_example("decide_bench")?))
}
