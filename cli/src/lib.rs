//! `mesh`: the argument tree, the commands, provisioning, output.

mod access;
mod args;
mod assets;
mod client;
mod cmd;
mod codes;
mod context;
mod doctor;
mod exit;
mod failure;
mod host;
mod hosts;
mod human;
mod items;
mod manifest;
mod output;
mod playbook;
mod provision;
mod refusal;
mod selector;
mod ssh;
mod write;
mod yaml;

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;

pub use self::{
    assets::assets,
    codes::{Code, Explanation},
    exit::Exit,
    failure::{Failure, Result},
};

/// Runs one command line and gives the exit code of the process.
#[must_use]
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match args::Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors to clap, and go to stdout with code 0.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::Usage.code() } else { Exit::Done.code() });
        }
    };
    match cmd::run(cli) {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            if !failure.is_silent() {
                output::note(&failure.to_string());
            }
            ExitCode::from(failure.exit.code())
        }
    }
}
