//! `mesh completion SHELL`.

use clap::Args;
use clap_complete::Shell;

use super::Cx;
use crate::{Exit, Result, assets::tree};

/// Arguments of `mesh completion`.
#[derive(Debug, Args)]
#[command(after_help = "Example: mesh completion bash > ~/.local/share/bash-completion/completions/mesh")]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(cx: &Cx, args: CompletionArgs) -> Result {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut tree(), "mesh", &mut script);
    cx.out.raw(&script)?;
    Ok(Exit::Done)
}
