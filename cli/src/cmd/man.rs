//! `mesh man`.

use std::path::PathBuf;

use clap::Args;

use super::Cx;
use crate::{
    Exit, Failure, Result,
    assets::{page, pages, tree},
};

/// Arguments of `mesh man`.
#[derive(Debug, Args)]
#[command(after_help = "Example: mesh man | man -l -")]
pub(crate) struct ManArgs {
    /// Writes one page a command into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(cx: &Cx, args: ManArgs) -> Result {
    let Some(dir) = args.dir else {
        cx.out.raw(&page(&tree(), "mesh")?)?;
        return Ok(Exit::Done);
    };
    let written = pages(&dir).map_err(|error| {
        Failure::new(Exit::Failed, "cannot write the manual").at(dir.display().to_string()).why(error)
    })?;
    cx.out.say(&format!("{} pages in {}", written.len(), dir.display()));
    Ok(Exit::Done)
}
