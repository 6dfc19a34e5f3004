//! `cargo xtask wasm`: rebuilds the committed strategy modules, or says why it cannot.
//!
//! The build is reproducible: the same compiler gives the same bytes in any directory. `--check` therefore compares
//! bytes, and only with the compiler that made the committed ones.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail, ensure};
use ring::digest::{SHA256, digest};

use crate::shell;

const TARGET: &str = "wasm32-unknown-unknown";
/// The package, the file it makes, and the name under which it is committed.
const MODULES: &[(&str, &str, &str)] = &[("mesh-hybrid", "mesh_hybrid.wasm", "hybrid.wasm")];
/// In the folder of the modules: the compiler that made them.
const COMPILER_FILE: &str = "rustc.txt";
/// Set in CI: what cannot be checked is an error there.
const REQUIRED: &str = "MESH_REQUIRE_WASM";

/// Rebuilds the modules in `strategy/sdk/prebuilt`; with `check` it changes nothing and fails when one is stale.
pub(crate) fn run(check: bool) -> anyhow::Result<()> {
    let root = crate::root();
    let folder = root.join("strategy/sdk/prebuilt");
    for (_, _, name) in MODULES {
        digest_matches(&folder, name)?;
    }
    if let Err(reason) = ensure_target() {
        return skip(&format!("{reason}; run `rustup target add {TARGET}`"));
    }
    let compiler = shell::output(Command::new("rustc").arg("--version"))?;
    let made_by = fs::read_to_string(folder.join(COMPILER_FILE)).unwrap_or_default();
    if check && made_by.trim() != compiler.trim() {
        return skip(&format!("the modules were made by `{}`, this is `{}`", made_by.trim(), compiler.trim()));
    }
    for (package, file, name) in MODULES {
        let bytes = build(root, package, file)?;
        let committed = folder.join(name);
        if check {
            let same = fs::read(&committed).is_ok_and(|old| old == bytes);
            ensure!(same, "{} is stale; run `cargo xtask wasm` and commit the result", committed.display());
            say(&format!("{name} is what its source makes ({} bytes)", bytes.len()));
        } else {
            fs::write(&committed, &bytes).with_context(|| format!("write {}", committed.display()))?;
            fs::write(folder.join(format!("{name}.sha256")), digest_line(&bytes, name)).context("write the digest")?;
            fs::write(folder.join(COMPILER_FILE), &compiler).context("write the compiler's version")?;
            say(&format!("{} ({} bytes)", committed.display(), bytes.len()));
        }
    }
    Ok(())
}

/// Checks a committed module against its committed digest; needs no compiler.
fn digest_matches(folder: &Path, name: &str) -> anyhow::Result<()> {
    let path = folder.join(name);
    let Ok(bytes) = fs::read(&path) else { return Ok(()) };
    let digest = fs::read_to_string(folder.join(format!("{name}.sha256"))).unwrap_or_default();
    ensure!(digest == digest_line(&bytes, name), "{} does not have the digest committed beside it", path.display());
    Ok(())
}

/// Builds one module as a small, metered guest likes it: 64 KiB of stack, SIMD, one unit, no paths of this machine.
fn build(root: &Path, package: &str, file: &str) -> anyhow::Result<Vec<u8>> {
    // A target directory of its own, so that these flags never disturb the other builds.
    let target_dir = shell::target_dir("wasm");
    let sysroot = shell::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let mut flags = vec![
        "-Ctarget-feature=+simd128".to_owned(),
        "-Clink-arg=-zstack-size=65536".to_owned(),
        format!("--remap-path-prefix={}=/mesh", root.display()),
        format!("--remap-path-prefix={}=/rust", sysroot.trim()),
    ];
    if let Some(home) = cargo_home {
        flags.push(format!("--remap-path-prefix={}=/cargo", home.display()));
    }
    let args = ["rustc", "--quiet", "--release", "--target", TARGET, "--package", package, "--crate-type", "cdylib"];
    let mut cargo = shell::cargo(&args);
    cargo
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3")
        .env("CARGO_PROFILE_RELEASE_LTO", "fat")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    shell::run(&mut cargo)?;
    let path = target_dir.join(TARGET).join("release").join(file);
    fs::read(&path).with_context(|| format!("read {}", path.display()))
}

/// Makes sure that the standard library for the target is there; asks rustup for it once.
fn ensure_target() -> anyhow::Result<()> {
    let installed = || -> anyhow::Result<bool> {
        let libdir = shell::output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
        Ok(Path::new(libdir.trim()).is_dir())
    };
    if installed()? {
        return Ok(());
    }
    let added = Command::new("rustup").args(["--quiet", "target", "add", TARGET]).output();
    match added {
        Ok(added) if added.status.success() && installed()? => Ok(()),
        Ok(added) => bail!(
            "{TARGET} is not installed, and rustup cannot add it: {}",
            String::from_utf8_lossy(&added.stderr).lines().last().unwrap_or("no reason given").trim()
        ),
        Err(error) => bail!("{TARGET} is not installed, and rustup cannot be started: {error}"),
    }
}

/// Says why nothing was rebuilt; an error where the check is required.
fn skip(reason: &str) -> anyhow::Result<()> {
    if env::var_os(REQUIRED).is_some_and(|value| value == "1") {
        bail!("{reason} ({REQUIRED}=1 makes this an error)");
    }
    say(&format!("skipped: {reason}"));
    Ok(())
}

fn digest_line(bytes: &[u8], name: &str) -> String {
    use std::fmt::Write as _;
    let mut line = String::new();
    for byte in digest(&SHA256, bytes).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(line, "{byte:02x}");
    }
    line + "  " + name + "\n"
}

fn say(line: &str) {
    #[expect(clippy::print_stdout, reason = "printing is this command's job")]
    {
        println!("{line}");
    }
}
