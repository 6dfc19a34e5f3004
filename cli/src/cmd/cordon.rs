//! `mesh cordon` and `mesh uncordon`.

use clap::Args;
use mesh_core::{
    id::ObjectName,
    kind::{DrainKind, DrainMode, DrainSpec, Kind, MESH_POLICY, PolicySpec, parse},
};
use mesh_proto::v1;

use super::{Cx, nodes};
use crate::{
    Exit, Failure, Result,
    client::Session,
    human,
    write::{self, How},
};

/// Arguments of `mesh cordon`.
#[derive(Debug, Args)]
#[command(after_help = "Example: mesh cordon node-7 --reason 'disk is slow'")]
pub(crate) struct CordonArgs {
    /// The nodes
    #[arg(required = true)]
    nodes: Vec<String>,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    /// Only says what would change
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `mesh uncordon`.
#[derive(Debug, Args)]
#[command(after_help = "Example: mesh uncordon node-7")]
pub(crate) struct UncordonArgs {
    /// The nodes
    #[arg(required = true)]
    nodes: Vec<String>,
    /// Why, for the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Only says what would change
    #[arg(long)]
    dry_run: bool,
}

/// What a node is taken out of service with.
pub(crate) struct Wish {
    pub(crate) mode: DrainMode,
    pub(crate) reason: Option<String>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) force: bool,
    pub(crate) dry_run: bool,
}

/// Writes one drain object a node, all in one command.
pub(crate) async fn take_out(session: &Session, names: &[&str], wish: &Wish) -> Result<()> {
    if wish.reason.is_none() && requires_reason(session).await? {
        return Err(Failure::new(Exit::Refused, "a reason is required in this mesh")
            .why("policy/mesh says require_reason")
            .next("the same command with --reason TEXT"));
    }
    let now = human::now();
    let spec = DrainSpec {
        mode: wish.mode,
        reason: wish.reason.clone(),
        kind: DrainKind::Operator,
        by: session.me(),
        at: now,
        deadline: wish.deadline_ms.map(|ms| now.plus_ms(ms)),
        force: wish.force,
        drained_at: None,
    };
    let mut items = Vec::new();
    for name in names {
        items.push(write::item(&object_name(name)?, &spec, None));
    }
    let verb = if wish.mode == DrainMode::Drain { "drain" } else { "cordon" };
    let how = How { dry_run: wish.dry_run, reason: wish.reason.clone().unwrap_or_default() };
    write::apply(session, &format!("cannot {verb} {}", names.join(", ")), items, &how).await?;
    Ok(())
}

/// A name from the command line as the name of an object.
pub(crate) fn object_name(name: &str) -> Result<ObjectName> {
    ObjectName::new(name).map_err(|error| Failure::new(Exit::Usage, format!("`{name}` is no name")).why(error))
}

pub(crate) async fn requires_reason(session: &Session) -> Result<bool> {
    Ok(policy(session).await?.require_reason)
}

/// The rules of the mesh; none written are the default ones.
pub(crate) async fn policy(session: &Session) -> Result<PolicySpec> {
    let found = write::list(session, Kind::Policy, &[]).await?;
    let mesh = found.items.iter().find(|it| it.name == MESH_POLICY);
    Ok(mesh.and_then(|it| parse::<PolicySpec>(&it.spec).ok()).unwrap_or_default())
}

/// The drain of a node.
pub(crate) fn drain_of(item: &v1::NodeItem) -> Option<DrainSpec> {
    item.drain.as_ref().and_then(|it| parse(&it.spec).ok())
}

pub(crate) async fn cordon(cx: &Cx, args: CordonArgs) -> Result {
    let session = cx.session().await?;
    let found = nodes::fetch(&session, &args.nodes).await?;
    let mut fresh = Vec::new();
    for item in &found.items {
        match drain_of(item) {
            None => fresh.push(nodes::name_of(item)),
            Some(_) => cx.out.say(&format!("{} is out of service already ({})", nodes::name_of(item), item.phase)),
        }
    }
    if fresh.is_empty() {
        return Ok(Exit::Done);
    }
    let wish =
        Wish { mode: DrainMode::Cordon, reason: args.reason, deadline_ms: None, force: false, dry_run: args.dry_run };
    take_out(&session, &fresh, &wish).await?;
    told(cx, &fresh, "cordoned", args.dry_run)
}

pub(crate) async fn uncordon(cx: &Cx, args: UncordonArgs) -> Result {
    let session = cx.session().await?;
    put_back(cx, &session, &args.nodes, &How { dry_run: args.dry_run, reason: args.reason }).await
}

/// Takes nodes back into service and says so.
pub(crate) async fn put_back(cx: &Cx, session: &Session, names: &[String], how: &How) -> Result {
    let found = nodes::fetch(session, names).await?;
    let (out, there): (Vec<_>, Vec<_>) = found.items.iter().partition(|it| it.drain.is_some());
    for item in there {
        cx.out.say(&format!("{} is in service already ({})", nodes::name_of(item), item.phase));
    }
    let back: Vec<&str> = out.into_iter().map(nodes::name_of).collect();
    delete_drains(session, &back, how).await?;
    told(cx, &back, "uncordoned", how.dry_run)
}

/// Deletes the drains of nodes that have one.
pub(crate) async fn delete_drains(session: &Session, names: &[&str], how: &How) -> Result<()> {
    for name in names {
        match write::delete(session, Kind::Drain, name, how).await {
            Ok(_) => {}
            // Somebody else was faster: what was wanted is done.
            Err(failure) if failure.exit == Exit::Failed => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

fn told(cx: &Cx, names: &[&str], what: &str, dry_run: bool) -> Result {
    let note = if dry_run { " (dry run)" } else { "" };
    for name in names {
        if cx.out.is_for_people() {
            cx.out.line(&format!("node/{name} {what}{note}"))?;
        } else {
            cx.out.value(&serde_json::json!({ "schema": crate::items::SCHEMA, "node": name, "action": what, "dry_run": dry_run }))?;
        }
    }
    Ok(Exit::Done)
}
