//! Generates what is committed: the gRPC code out of `proto/mesh/v1`, man pages and completions out of the CLI.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use prost::Message;

use crate::{
    root,
    shell::{self, PROFILE},
};

const FILES: &[&str] =
    &["mesh/v1/objects.proto", "mesh/v1/fleet.proto", "mesh/v1/join.proto", "mesh/v1/raft.proto", "mesh/v1/logs.proto"];

/// Writes everything that is generated; with `check` it only compares, and fails when a file is stale.
pub(crate) fn run(check: bool) -> Result<()> {
    proto(check)?;
    assets(check)
}

fn proto(check: bool) -> Result<()> {
    let source = root().join("proto");
    let descriptors = protox::compile(FILES, [&source]).context("compile proto/mesh/v1")?;
    let scratch = tempfile::tempdir().context("make a scratch directory")?;
    tonic_prost_build::configure()
        .out_dir(scratch.path())
        .bytes(".")
        .compile_fds(descriptors.clone())
        .context("generate gRPC code")?;
    fs::write(scratch.path().join("descriptors.bin"), descriptors.encode_to_vec()).context("write descriptors")?;
    take(scratch.path(), &source.join("src/gen"), check)
}

/// Man pages and completions, written by the `mesh` binary itself.
fn assets(check: bool) -> Result<()> {
    let bin = shell::build(PROFILE)?;
    let scratch = tempfile::tempdir().context("make a scratch directory")?;
    let mesh = bin.join("mesh");
    let man = scratch.path().join("man");
    let completions = scratch.path().join("completions");
    fs::create_dir_all(&man).context("make a scratch directory")?;
    fs::create_dir_all(&completions).context("make a scratch directory")?;
    shell::run(Command::new(&mesh).args(["man", "--dir"]).arg(&man))?;
    for (shell_name, file) in [("bash", "mesh.bash"), ("zsh", "_mesh"), ("fish", "mesh.fish")] {
        let script = shell::output(Command::new(&mesh).args(["completion", shell_name]))?;
        fs::write(completions.join(file), script).context("write a completion script")?;
    }
    take(&man, &root().join("man"), check)?;
    take(&completions, &root().join("completions"), check)
}

/// Makes the files of `target` those of `made`, or with `check` fails where they differ.
fn take(made: &Path, target: &Path, check: bool) -> Result<()> {
    fs::create_dir_all(target).with_context(|| format!("make {}", target.display()))?;
    let mut names = Vec::new();
    for entry in fs::read_dir(made).context("list what was generated")? {
        let entry = entry.context("list what was generated")?;
        let (bytes, path) =
            (fs::read(entry.path()).context("read what was generated")?, target.join(entry.file_name()));
        names.push(entry.file_name());
        if !check {
            fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        } else if fs::read(&path).ok().as_deref() != Some(&bytes) {
            bail!("{} is stale: run `cargo xtask gen` and commit it", path.display());
        }
    }
    for entry in fs::read_dir(target).with_context(|| format!("list {}", target.display()))? {
        let entry = entry.context("list generated files")?;
        if !names.contains(&entry.file_name()) {
            ensure!(!check, "{} is no longer generated: run `cargo xtask gen`", entry.path().display());
            fs::remove_file(entry.path()).with_context(|| format!("remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}
