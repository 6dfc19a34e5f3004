//! Time of one routing decision: runs the strategy crate's own measurement in the release profile.

use anyhow::Result;

use crate::shell;

/// Builds and runs the measurement; it prints its own table.
pub(crate) fn run() -> Result<()> {
    shell::run(&mut shell::cargo(&["run", "--quiet", "--release", "-p", "mesh-strategy", "--example", "decide_bench"]))
}
