//! Runs programs and says which one failed.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// The cargo profile of `up`, of the tests and of the test bed.
pub(crate) const PROFILE: &str = "mesh";

/// The cargo profile of what is shipped, and of every number.
pub(crate) const SHIPPED: &str = "dist";

/// Cargo, in the repository's root.
///
/// What `cargo run` tells xtask about its own package is taken away again: build scripts that look at it (ring's does)
/// would compile anew whenever a build by hand and one by xtask take turns.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(crate::root());
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|it| name.to_string_lossy().starts_with(it)) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a program and fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {}", name(command)))?;
    ensure!(status.success(), "{} failed: {status}", name(command));
    Ok(())
}

/// Runs a program and takes its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {}", name(command)))?;
    ensure!(
        output.status.success(),
        "{} failed: {}: {}",
        name(command),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).context("read what a program printed")
}

/// Whether a program is there and answers.
pub(crate) fn answers(program: &str, arg: &str) -> bool {
    Command::new(program).arg(arg).output().is_ok_and(|it| it.status.success())
}

/// Where cargo puts the binaries of a profile; honours `CARGO_TARGET_DIR`.
pub(crate) fn target_dir(profile: &str) -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::root().join("target"), PathBuf::from);
    let target = if target.is_absolute() { target } else { crate::root().join(target) };
    target.join(profile)
}

/// Builds every binary of the workspace in a profile, and gives their directory.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    run(&mut cargo(&["build", "--workspace", "--bins", "--profile", profile]))?;
    Ok(target_dir(profile))
}

/// Builds every binary and every measuring program in a profile, and gives their directory.
///
/// The whole workspace at once: a part of it would select other features and compile its dependencies again. So the
/// bundle and the numbers are of one build.
pub(crate) fn build_all(profile: &str) -> Result<PathBuf> {
    run(&mut cargo(&["build", "--workspace", "--bins", "--examples", "--profile", profile]))?;
    Ok(target_dir(profile))
}

/// The path of a measuring program in a directory of binaries.
pub(crate) fn example(binaries: &Path, name: &str) -> PathBuf {
    binaries.join("examples").join(name)
}

fn name(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let args: Vec<_> = command.get_args().map(|it| it.to_string_lossy().into_owned()).collect();
    format!("`{program} {}`", args.join(" "))
}
