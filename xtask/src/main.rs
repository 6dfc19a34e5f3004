//! `cargo xtask`: everything a developer or CI does with this repository.

mod bench;
mod dist;
mod r#gen;
mod shell;
mod test;
mod up;
mod wasm;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use clap::{Parser, Subcommand};

/// Builds, starts, tests and ships mesh.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds and starts a local mesh, sends one request through it and leaves it running.
    Up,
    /// Raises hosts to try mesh on, and takes them away: `bed up 5`, `bed status`, `bed down`.
    Bed {
        /// What to do; `bed help` says what there is.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Runs every test; installs what they need.
    Test {
        /// Only tests whose name holds this text.
        filter: Option<String>,
        /// The tests that want machines with systemd, too; without a filter only those.
        #[arg(long)]
        systemd: bool,
    },
    /// All of CI: formatting, generated files, lints, tests.
    Ci {
        /// Leaves the tests out: `cargo xtask test` runs them.
        #[arg(long)]
        skip_tests: bool,
    },
    /// Regenerates what is committed: gRPC code, man pages, completions.
    Gen {
        /// Changes nothing, and fails when something is stale.
        #[arg(long)]
        check: bool,
    },
    /// Makes the bundle that is shipped: binaries, manifest, signature.
    Dist {
        /// The Ed25519 key (PKCS#8, DER) to sign with; made when absent, and kept outside the repository.
        #[arg(long)]
        key: Option<PathBuf>,
        /// Where the bundle goes.
        #[arg(long, default_value = "dist")]
        out: PathBuf,
    },
    /// Rebuilds the example strategy's module.
    Wasm {
        /// Changes nothing, and fails when the committed module is not what the source gives.
        #[arg(long)]
        check: bool,
    },
    /// Measures what docs/numbers.md publishes.
    Bench(bench::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Up => up::run(),
        Command::Bed { args } => up::bed(&args),
        Command::Test { filter, systemd } => test::run(filter.as_deref(), systemd),
        Command::Ci { skip_tests } => test::ci(skip_tests),
        Command::Gen { check } => r#gen::run(check),
        Command::Dist { key, out } => dist::run(key, &out),
        Command::Wasm { check } => wasm::run(check),
        Command::Bench(args) => bench::run(&args),
    }
}

/// The repository's root: that of the clone which cargo runs now, since clones may share one build cache.
fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).filter(|it| it.ends_with("xtask"));
        let own = own.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
        own.parent().expect("xtask lies in the repository").to_owned()
    })
}
