//! `mesh down [NODE]`.

use clap::Args;

use super::{Cx, progress::Progress};
use crate::{
    Exit, Failure, Result,
    provision::{
        mesh::{LocalDir, Lock},
        plan::Paths,
        supervisor,
    },
};

/// Arguments of `mesh down`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh down          # everything, and its files\n  mesh down node-2   # one node with all of its processes"
)]
pub(crate) struct DownArgs {
    /// Stops only this node and keeps its files; mesh up NODE starts it again
    node: Option<String>,
    /// Keeps the files: mesh up goes on where it was
    #[arg(long, conflicts_with = "node")]
    keep: bool,
}

pub(crate) async fn run(cx: &Cx, args: DownArgs) -> Result {
    let local = LocalDir::new(&cx.dirs);
    if !local.exists() {
        if args.node.is_some() {
            return Err(Failure::new(Exit::Failed, "no local mesh")
                .at(local.dir.display().to_string())
                .next("mesh up"));
        }
        cx.out.say(&format!("no local mesh in {}: nothing to do", cx.dirs.state.display()));
        return Ok(Exit::Done);
    }
    let lock = Lock::take(&cx.dirs)?;
    let progress = Progress::new(cx.out.quiet);
    if let Some(name) = args.node {
        return one(cx, &local, &name, &progress).await;
    }
    progress.doing("stopping every node");
    local.stop().await?;
    drop(progress);
    if args.keep {
        cx.out.say(&format!("stopped; kept {}", local.dir.display()));
        return Ok(Exit::Done);
    }
    local.remove()?;
    cx.out.say(&format!("stopped; removed {}", local.dir.display()));
    drop(lock);
    let _ = std::fs::remove_dir_all(cx.dirs.failed());
    // The lock file goes too, unless something else lives beside it.
    let _ = std::fs::remove_file(cx.dirs.state.join("local.lock"));
    let _ = std::fs::remove_dir(&cx.dirs.state);
    Ok(Exit::Done)
}

async fn one(cx: &Cx, local: &LocalDir, name: &str, progress: &Progress) -> Result {
    let plan =
        local.plan()?.ok_or_else(|| Failure::new(Exit::Failed, "the local mesh has no plan").next("mesh down"))?;
    let paths = Paths::of(&local.dir, &plan.node(name)?.name);
    if !supervisor::is_running(&paths) {
        progress.say(&format!("{name} is stopped already"));
        return Ok(Exit::Done);
    }
    progress.doing(&format!("stopping {name}"));
    supervisor::stop(std::slice::from_ref(&paths)).await?;
    cx.out.say(&format!("{name} is stopped; start it again with: mesh up {name}"));
    Ok(Exit::Done)
}
