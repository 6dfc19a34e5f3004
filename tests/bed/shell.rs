//! Runs the programs that raise a bed, and says which one failed and why.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

/// Where `ip`, `nsenter` and sshd are, also for a user whose PATH leaves them out.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with its arguments and an empty stdin.
pub(super) fn program(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(args).env("PATH", PATH).stdin(Stdio::null());
    command
}

/// Runs a program to its end and takes what it printed.
pub(super) fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    answer(command, &output)
}

/// The same with bytes for its stdin.
pub(super) fn feed(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    // A program that reads no more has what it wanted: its exit status tells.
    let _ = child.stdin.take().context("no stdin")?.write_all(input.as_bytes());
    let output = child.wait_with_output().with_context(|| format!("wait for {command:?}"))?;
    answer(command, &output)
}

fn answer(command: &Command, output: &Output) -> Result<String> {
    if !output.status.success() {
        let args: Vec<_> = command.get_args().map(|it| it.to_string_lossy()).collect();
        let program = command.get_program().to_string_lossy();
        bail!("`{program} {}`: {}: {}", args.join(" "), output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
