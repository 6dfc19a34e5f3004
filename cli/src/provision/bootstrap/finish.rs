//! Installed hosts become a mesh in service: made once, declared, verified, known to the operator's other commands.

use std::{collections::BTreeMap, sync::Arc};

use mesh_core::id::Digest;
use serde_json::json;
use tokio::time::Instant;

use super::{
    change::Outcome,
    form::{Doors, Made, Wish, declare},
    journal::{HostState, Journal},
    member::{Fleet, Member},
    run::{Known, Run, routers},
    verify::{self, Unreached},
};
use crate::{
    Exit, Failure, Result,
    client::Session,
    cmd::nodes::{name_of, spec_of},
    context::{Context, Endpoint},
    human,
    ssh::SshHost,
};

impl Run<'_> {
    /// The digest of the agent that is to run.
    pub(crate) fn agent(&self) -> Option<Digest> {
        self.release.binaries.iter().find(|it| it.name == "mesh-agentd").map(|it| it.digest)
    }

    /// The mesh as a context of the operator.
    fn context(&self, fleet: &Fleet) -> Context {
        let endpoint = |it: &super::member::Coordinator| {
            let node = mesh_core::id::NodeName::new(it.node.as_str()).ok()?;
            Some(Endpoint { node, api: it.api, coordinator: true })
        };
        Context {
            mesh: self.inventory.mesh.clone(),
            endpoints: fleet.coordinators.iter().filter_map(endpoint).collect(),
            identity_dir: self.root.operator(),
            routers: Vec::new(),
        }
    }

    /// A session with the mesh, whoever of its coordinators answers.
    pub(crate) fn session(&self, fleet: &Fleet) -> Result<Session> {
        Session::open(self.context(fleet), None, self.cx.global.timeout)
    }
}

/// Declares the hosts that are installed and not declared yet; the mesh must be made.
///
/// `is_new`: this run has made it.
pub(crate) async fn form(
    run: &Run<'_>,
    known: &Known,
    outcome: &Outcome,
    (journal, is_new): (&Journal, bool),
) -> Result<()> {
    if !is_new && run.made.is_none() {
        if !known.seen.is_made {
            return Err(missing_coordinators(run, known, outcome));
        }
        remember(run, journal)?;
    }
    // A mesh that was made by an earlier, killed run may lack nodes that this one counts as new.
    let nodes: BTreeMap<String, _> = {
        let items = Doors::new(&run.identity()?, &known.fleet)?.nodes().await.unwrap_or_default();
        items.iter().map(|it| (name_of(it).to_owned(), spec_of(it))).collect()
    };
    let ready = known.wishes.iter().filter(|it| outcome.done.contains_key(it.name.as_str()));
    let open: Vec<&Wish> = ready.filter(|it| nodes.get(it.name.as_str()) != Some(&it.spec)).collect();
    if !open.is_empty() {
        run.board.phase(&format!("declaring {} nodes", open.len()));
        declare(&run.session(&known.fleet)?, &open, journal.id()).await?;
        let names: Vec<&str> = open.iter().map(|it| it.name.as_str()).collect();
        journal.note("declared", None, json!({ "nodes": names }));
    }
    Ok(())
}

/// A mesh is made by all of its coordinators: one that comes later could be part of another one already.
fn missing_coordinators(run: &Run<'_>, known: &Known, outcome: &Outcome) -> Failure {
    let missing: Vec<String> = known
        .fleet
        .coordinators
        .iter()
        .filter(|it| !outcome.done.contains_key(&it.node))
        .map(|it| {
            let why = known.failures.get(&it.node).map_or("it was not meant", |failure| failure.what.as_str());
            format!("{}: {why}", it.node)
        })
        .collect();
    let done = outcome.done.len();
    Failure::new(
        Exit::Unreachable,
        format!(
            "mesh {} is not made: {} of {} coordinators are missing",
            run.inventory.mesh,
            missing.len(),
            known.fleet.coordinators.len()
        ),
    )
    .why(format!("{}\n{done} hosts are installed and wait for it", missing.join("\n")))
    .next(format!("bring them up, or leave them out of {}; then mesh bootstrap again", run.inventory.file.display()))
}

/// Keeps on this machine that the mesh was made, and by which root.
pub(super) fn remember(run: &Run<'_>, journal: &Journal) -> Result<()> {
    let root = run.root.fingerprint().ok_or_else(|| {
        Failure::new(Exit::Failed, "the root of the mesh has no certificate beside it").at(run
            .root
            .file()
            .display()
            .to_string())
    })?;
    let made = Made { mesh: run.inventory.mesh.clone(), root, at: human::now(), run: journal.id().to_owned() };
    made.write(&run.cx.dirs)?;
    journal.note("initialized", None, json!({ "mesh": made.mesh, "root": made.root }));
    Ok(())
}

/// What a run found at its end that a person should read.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// Engines that some router cannot reach although their own agent does.
    pub(crate) unreached: Vec<Unreached>,
    /// What is worth a word.
    pub(crate) warnings: Vec<String>,
}

/// Waits for the nodes, and dials every engine from every router.
pub(crate) async fn verify(
    run: &Run<'_>,
    known: &mut Known,
    outcome: &mut Outcome,
    journal: &Journal,
) -> Result<Verified> {
    let Some(agent) = run.agent() else { return Ok(Verified::default()) };
    let doors = Doors::new(&run.identity()?, &known.fleet)?;
    let names: Vec<String> = outcome.done.keys().cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    run.board.phase(&format!("waiting for {} nodes", names.len()));
    let end = Instant::now() + run.orders.limit;
    for (name, why) in verify::wait(&doors, &names, agent, end, &run.board).await {
        journal.host(&name, HostState::Failed, Some(&why));
        outcome.done.remove(&name);
        known.failures.insert(name.clone(), verify::late(&name, &why));
    }
    run.board.phase("dialling every engine from every router");
    let items = doors.nodes().await.unwrap_or_default();
    let pairs: Vec<(&Member, &SshHost)> = routers(&known.members)
        .filter(|it| outcome.done.contains_key(it.name()))
        .filter_map(|it| Some((it, known.hosts.get(it.name()).map(Arc::as_ref)?)))
        .collect();
    let (all, failed) = verify::dial_all(&pairs, &items).await;
    let mut verified = Verified::default();
    for (host, failure) in failed {
        verified.warnings.push(format!("{host}: {}: {}", failure.what, failure.why.unwrap_or_default()));
    }
    for it in all {
        if it.is_up {
            journal.note("unreached", Some(&it.router), json!({ "engine": it.url, "why": it.why }));
            verified.unreached.push(it);
        } else {
            verified.warnings.push(format!("the engine of {} at {} does not answer yet: {}", it.node, it.url, it.why));
        }
    }
    verified.warnings.sort();
    verified.warnings.dedup();
    Ok(verified)
}

/// Makes other commands find the mesh; says what they will have to know.
pub(crate) async fn write_context(run: &Run<'_>, known: &Known) -> Result<Vec<String>> {
    let mut context = run.context(&known.fleet);
    let items = Doors::new(&run.identity()?, &known.fleet)?.nodes().await.unwrap_or_default();
    for item in &items {
        let spec = spec_of(item);
        let known = context.endpoints.iter().any(|it| it.node.as_str() == name_of(item));
        if let (false, Some(api), Ok(node)) = (known, spec.api_addr(), mesh_core::id::NodeName::new(name_of(item))) {
            context.endpoints.push(Endpoint { node, api, coordinator: spec.voter.is_some() });
        }
    }
    let doors = run.inventory.hosts.iter().filter_map(|it| it.router.as_ref());
    context.routers = doors
        .filter(|it| !it.listen.ip().is_loopback() && !it.listen.ip().is_unspecified())
        .map(|it| format!("http://{}", it.listen))
        .collect();
    let mut config = run.cx.dirs.config()?;
    let name = run.inventory.mesh.to_string();
    let mut notes = Vec::new();
    let is_known = config.current.as_ref().is_some_and(|it| config.contexts.contains_key(it));
    if !is_known {
        config.current = Some(name.clone());
    }
    let is_new = config.contexts.insert(name.clone(), context.clone()).as_ref() != Some(&context);
    if is_new || !is_known {
        run.cx.dirs.write_config(&config)?;
    }
    if run.cx.dirs.current()?.as_deref() != Some(name.as_str()) {
        notes.push(format!("another context is in use: mesh --context {name} COMMAND, or mesh context use {name}"));
    }
    Ok(notes)
}
