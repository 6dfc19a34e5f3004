//! `cargo xtask test` and `ci`: every check, with what it needs installed first.

use std::{fs, process::Command};

use anyhow::Result;

use crate::{
    r#gen, root,
    shell::{self, PROFILE, cargo},
    wasm,
};

/// Runs every test, or those whose name holds `filter`; those on machines with systemd only when they are asked for.
#[expect(clippy::print_stderr, reason = "what was not tested has to be seen")]
pub(crate) fn run(filter: Option<&str>, systemd: bool) -> Result<()> {
    shell::run(&mut Command::new(root().join("tests/real/setup")))?;
    let skipped = shell::build(PROFILE)?.join("skipped-tests.txt");
    let _ = fs::remove_file(&skipped);
    let nextest = shell::answers("cargo-nextest", "--version");
    let mut command = if nextest {
        cargo(&["nextest", "run", "--workspace", "--cargo-profile", PROFILE, "--no-fail-fast"])
    } else {
        // Without nextest there are no test groups, so everything runs one at a time.
        let mut command = cargo(&["test", "--workspace", "--profile", PROFILE, "--no-fail-fast"]);
        command.env("RUST_TEST_THREADS", "1");
        command
    };
    if systemd {
        command.env("MESH_TEST_SYSTEMD", "1");
    }
    if let Some(filter) = filter.or_else(|| systemd.then_some("systemd")) {
        command.arg(filter);
    }
    let ran = shell::run(command.env("INSTA_UPDATE", "no"));
    // A test that cannot run on this machine has said so among thousands of lines.
    eprint!("{}", fs::read_to_string(skipped).unwrap_or_default());
    ran
}

/// All of CI; without the tests when they are run apart.
pub(crate) fn ci(skip_tests: bool) -> Result<()> {
    shell::run(&mut cargo(&["fmt", "--all", "--check"]))?;
    r#gen::run(true)?;
    wasm::run(true)?;
    shell::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--profile", PROFILE, "--", "-D", "warnings"]))?;
    if skip_tests { Ok(()) } else { run(None, false) }
}
