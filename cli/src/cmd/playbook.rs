//! `mesh playbook ls|show|lint|run`.

mod change;
mod desk;
mod fleet;
mod run;
mod told;

use clap::{Args, Subcommand};
use serde_json::json;

pub(crate) use self::run::RunArgs;
use super::Cx;
use crate::{
    Exit, Failure, Result,
    items::SCHEMA,
    output::{Format, Table, note},
    playbook::{self, EMBEDDED, Playbook},
};

/// What `mesh playbook` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum PlaybookCommand {
    /// Lists the playbooks that are part of mesh
    Ls,
    /// Shows the steps of a playbook, or its text with -o yaml
    Show(ShowArgs),
    /// Checks playbooks: unknown modules, keys, handlers and variables
    Lint(LintArgs),
    /// Makes the steps of a playbook true on hosts
    #[command(
        after_help = "Examples:\n  mesh playbook run tune.yaml -f hosts.yaml --limit 'gpu-*' --check --diff\n  mesh playbook run tune.yaml -f hosts.yaml --var governor=performance\n  mesh playbook run bootstrap --local /tmp/x --check\n  mesh playbook run --resume 20261121T133500-3fa2\n\nHosts are connected to, locked and changed as `mesh bootstrap` does it: those in service a few at a time, by `rolling` of the file, and only while the rest of their mesh is as whole as before. What the file says of a host is in mesh, node, address, roles, labels, pool, zone, root and systemd."
    )]
    Run(Box<RunArgs>),
}

/// Which playbook.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its name, or a file
    #[arg(value_name = "NAME|FILE")]
    playbook: String,
}

/// Which files.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// The playbooks
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

pub(crate) async fn run(cx: &Cx, command: PlaybookCommand) -> Result {
    match command {
        PlaybookCommand::Ls => ls(cx),
        PlaybookCommand::Show(args) => show(cx, &args),
        PlaybookCommand::Lint(args) => lint(cx, &args),
        PlaybookCommand::Run(args) => run::run(cx, &args).await,
    }
}

fn ls(cx: &Cx) -> Result {
    let mut table = Table::new(&["NAME", "STEPS", "ABOUT"]);
    let mut items = Vec::new();
    for (name, _) in EMBEDDED {
        let (playbook, _) = playbook::find(name)?;
        let steps = playbook.rows().len();
        table.row(vec![(*name).to_owned(), steps.to_string(), playbook.about.clone()]);
        items.push(json!({ "name": name, "about": playbook.about, "steps": steps }));
    }
    match cx.out.format {
        Format::Name => EMBEDDED.iter().try_for_each(|(name, _)| cx.out.line(name))?,
        Format::Table | Format::Wide => cx.out.table(&table)?,
        Format::Json | Format::Jsonl | Format::Yaml => cx.out.value(&json!({ "schema": SCHEMA, "items": items }))?,
    }
    Ok(Exit::Done)
}

fn show(cx: &Cx, args: &ShowArgs) -> Result {
    let (playbook, text) = playbook::find(&args.playbook)?;
    match cx.out.format {
        // As it was written: to be kept, changed and passed on.
        Format::Yaml => cx.out.raw(text.as_bytes())?,
        Format::Table | Format::Wide => cx.out.table(&steps(&playbook))?,
        Format::Name => playbook.rows().iter().try_for_each(|[name, ..]| cx.out.line(name))?,
        Format::Json | Format::Jsonl => {
            let row = |[name, module, tags, when]: [String; 4]| {
                let tags: Vec<&str> = tags.split(',').filter(|it| !it.is_empty()).collect();
                json!({ "name": name, "module": module, "tags": tags, "when": when })
            };
            let rows: Vec<_> = playbook.rows().into_iter().map(row).collect();
            cx.out.value(&json!({
                "schema": SCHEMA, "name": playbook.name, "about": playbook.about, "inputs": playbook.inputs, "steps": rows,
            }))?;
        }
    }
    Ok(Exit::Done)
}

fn steps(playbook: &Playbook) -> Table {
    let mut table = Table::new(&["STEP", "MODULE", "WHEN"]).wide(&["TAGS"]);
    for [name, module, tags, when] in playbook.rows() {
        table.row(vec![name, module, when, tags]);
    }
    table
}

fn lint(cx: &Cx, args: &LintArgs) -> Result {
    let mut failures: Vec<Failure> = Vec::new();
    for file in &args.files {
        match playbook::find(file) {
            Ok((playbook, _)) => cx.out.say(&format!("{file}: {} steps, nothing wrong", playbook.rows().len())),
            Err(failure) => failures.push(failure),
        }
    }
    // Each file has its own errors; the last one ends the command.
    let Some(last) = failures.pop() else { return Ok(Exit::Done) };
    failures.iter().for_each(|it| note(&it.to_string()));
    Err(last)
}
