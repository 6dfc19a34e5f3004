//! `mesh context ls|use|add`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::Cx;
use crate::{
    Exit, Result,
    access::{self, Access},
    context::LOCAL,
    items::SCHEMA,
    output::{Format, Table},
};

/// What `mesh context` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Lists the contexts; the one in use has a star
    Ls,
    /// Chooses the context that is used when none is named and no local mesh runs
    Use {
        /// Its name
        name: String,
    },
    /// Takes in the file with which `mesh cert issue` gives access to a mesh
    #[command(after_help = "Example: mesh context add prod-us.bob.access")]
    Add {
        /// The file
        file: PathBuf,
        /// What to call the mesh here; its own name unless given
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
}

pub(crate) fn run(cx: &Cx, command: ContextCommand) -> Result {
    match command {
        ContextCommand::Ls => ls(cx),
        ContextCommand::Use { name } => choose(cx, name),
        ContextCommand::Add { file, name } => add(cx, &file, name.as_deref()),
    }
}

fn ls(cx: &Cx) -> Result {
    let (contexts, current) = (cx.dirs.contexts()?, cx.dirs.current()?);
    if cx.out.format == Format::Name {
        contexts.keys().try_for_each(|name| cx.out.line(name))?;
    } else if cx.out.is_for_people() {
        let mut table = Table::new(&["CURRENT", "NAME", "MESH", "ENDPOINTS", "ROUTERS"]).wide(&["CREDENTIALS"]);
        for (name, it) in &contexts {
            let star = if current.as_ref() == Some(name) { "*" } else { "" };
            let count = it.endpoints.len().to_string();
            let credentials = it.identity_dir.display().to_string();
            table.row(vec![star.into(), name.clone(), it.mesh.to_string(), count, it.routers.join(","), credentials]);
        }
        cx.out.table(&table)?;
    } else {
        let items: Vec<_> = contexts
            .iter()
            .map(|(name, it)| json!({ "name": name, "current": current.as_ref() == Some(name), "context": it }))
            .collect();
        cx.out.value(&json!({ "schema": SCHEMA, "items": items }))?;
    }
    Ok(Exit::Done)
}

fn choose(cx: &Cx, name: String) -> Result {
    let is_local = cx.dirs.current()?.as_deref() == Some(LOCAL);
    cx.dirs.context(Some(&name))?;
    if name == LOCAL {
        cx.out.say("the local mesh is used whenever it is there: nothing to change");
        return Ok(Exit::Done);
    }
    let mut config = cx.dirs.config()?;
    config.current = Some(name.clone());
    cx.dirs.write_config(&config)?;
    cx.out.say(&format!("context {name} is used from now on"));
    if is_local {
        cx.out.say(&format!(
            "while the local mesh is there it is found first: mesh --context {name} COMMAND, or mesh down"
        ));
    }
    Ok(Exit::Done)
}

fn add(cx: &Cx, file: &Path, name: Option<&str>) -> Result {
    let access = Access::read(file)?;
    let added = access::add(&cx.dirs, &access, name)?;
    if cx.out.is_for_people() {
        cx.out.say(&format!("context {} is {} of mesh {}", added.name, access.operator, access.mesh));
        cx.out
            .say(&format!("the certificate is good until {}, and renewed by every command before that", added.expires));
        if access.key_pem.is_some() {
            cx.out.say(&format!("{} holds a private key: remove it now", file.display()));
        }
        let how = if added.is_current { String::new() } else { format!("--context {} ", added.name) };
        cx.out.say(&format!("  mesh {how}get nodes"));
    } else {
        cx.out.value(&json!({
            "schema": SCHEMA, "name": added.name, "mesh": access.mesh, "operator": access.operator,
            "expires": added.expires, "current": added.is_current,
        }))?;
    }
    Ok(Exit::Done)
}
