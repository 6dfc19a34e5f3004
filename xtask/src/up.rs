//! `cargo xtask up`: a local mesh, one served request, and what to type next; `cargo xtask bed`: hosts to try it on.

use std::process::Command;

use anyhow::Result;

use crate::shell::{self, PROFILE};

/// Builds the binaries, starts the mesh, shows its nodes.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run() -> Result<()> {
    let bin = shell::build(PROFILE)?;
    let mesh = bin.join("mesh");
    shell::run(Command::new(&mesh).arg("up"))?;
    println!("\n$ mesh get nodes");
    shell::run(Command::new(&mesh).args(["get", "nodes"]))?;
    println!(
        "\nThe mesh is running. Next, try:\n  export PATH={}:$PATH\n  mesh top                 # the dashboard; ? shows its keys, q leaves\n  mesh drain node-7        # takes a node out without losing a request\n  \
         mesh uncordon node-7     # and brings it back\n  mesh down                # stops everything",
        bin.display()
    );
    Ok(())
}

/// Builds the binaries and has the one of the test bed do what it is told.
pub(crate) fn bed(args: &[String]) -> Result<()> {
    let bin = shell::build(PROFILE)?;
    shell::run(Command::new(bin.join("mesh-bed")).args(args))
}
