//! `mesh apply`, `mesh diff`, `mesh delete`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use mesh_core::kind::Kind;
use mesh_proto::v1;
use serde_json::{Value, json};
use similar::TextDiff;
use tokio::time::{Instant, sleep};

use super::{Cx, nodes};
use crate::{
    Exit, Failure, Result,
    client::Session,
    items::SCHEMA,
    manifest::{self, Manifest},
    output::Format,
    write::{self, How},
};

/// How long `--wait` waits for every node, unless `--timeout` says otherwise.
const WAIT_LIMIT: Duration = Duration::from_secs(60);

/// Arguments of `mesh apply`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh apply -f node-5.yaml --wait\n  mesh get node node-5 -o yaml | mesh apply -f -\n\nA field that a manifest leaves out keeps what it has; null removes it."
)]
pub(crate) struct ApplyArgs {
    /// The manifest: YAML or JSON documents of {kind, name, spec}; - is stdin
    #[arg(long, short = 'f', value_name = "FILE")]
    file: PathBuf,
    /// Only says what would change
    #[arg(long)]
    dry_run: bool,
    /// Waits until every node has taken the change in
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Returns when the change is agreed (the default)
    #[arg(long)]
    no_wait: bool,
    /// Why, for the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Arguments of `mesh diff`.
#[derive(Debug, Args)]
#[command(after_help = "Example: mesh diff -f node-5.yaml --detailed-exitcode")]
pub(crate) struct DiffArgs {
    /// The manifest; - is stdin
    #[arg(long, short = 'f', value_name = "FILE")]
    file: PathBuf,
    /// Exits with 10 when something would change
    #[arg(long)]
    detailed_exitcode: bool,
}

/// Arguments of `mesh delete`.
#[derive(Debug, Args)]
#[command(after_help = "Example: mesh delete binding ada --yes")]
pub(crate) struct DeleteArgs {
    /// The kind
    kind: Kind,
    /// The object
    name: String,
    /// Only says what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Why, for the history
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

fn item(manifest: &Manifest) -> v1::ApplyItem {
    v1::ApplyItem {
        kind: manifest.kind.to_string(),
        name: manifest.name.to_string(),
        spec: manifest.spec.to_string().into_bytes().into(),
        merge: true,
        expect: manifest.revision,
    }
}

async fn send(
    session: &Session,
    file: &std::path::Path,
    manifests: &[Manifest],
    how: &How,
) -> Result<v1::ApplyResponse> {
    let what = match manifests {
        [one] => format!("cannot apply {}/{}", one.kind, one.name),
        many => format!("cannot apply {} objects", many.len()),
    };
    let place = manifests.first().map_or_else(|| file.display().to_string(), |it| it.place.clone());
    write::apply(session, &what, manifests.iter().map(item).collect(), how)
        .await
        .map_err(|failure| if failure.exit == Exit::Invalid { failure.at(place) } else { failure })
}

pub(crate) async fn run(cx: &Cx, args: ApplyArgs) -> Result {
    let manifests = manifest::read(&args.file)?;
    let session = cx.session().await?;
    let how = How { dry_run: args.dry_run, reason: args.reason };
    let answer = send(&session, &args.file, &manifests, &how).await?;
    report(cx, &answer, args.dry_run)?;
    if args.wait && !args.dry_run {
        return wait(cx, &session, answer.revision).await;
    }
    Ok(Exit::Done)
}

fn report(cx: &Cx, answer: &v1::ApplyResponse, dry_run: bool) -> Result<()> {
    if cx.out.format == Format::Name {
        answer.results.iter().try_for_each(|it| cx.out.line(&format!("{}/{}", it.kind, it.name)))?;
    } else if cx.out.is_for_people() {
        let note = if dry_run { " (dry run)" } else { "" };
        answer
            .results
            .iter()
            .try_for_each(|it| cx.out.line(&format!("{}/{} {}{note}", it.kind, it.name, it.action)))?;
    } else {
        let results: Vec<Value> =
            answer.results.iter().map(|it| json!({ "kind": it.kind, "name": it.name, "action": it.action })).collect();
        cx.out
            .value(&json!({ "schema": SCHEMA, "revision": answer.revision, "dry_run": dry_run, "results": results }))?;
    }
    Ok(())
}

/// Waits until every node has applied a revision; lost nodes are waited for too, and named at the end.
async fn wait(cx: &Cx, session: &Session, revision: u64) -> Result {
    let end = Instant::now() + session.limit().unwrap_or(WAIT_LIMIT);
    loop {
        let found = nodes::fetch(session, &[]).await?;
        let behind: Vec<&str> = found
            .items
            .iter()
            .filter(|it| it.status.as_ref().is_none_or(|status| status.applied < revision) || it.phase == "Lost")
            .map(nodes::name_of)
            .collect();
        let all = found.items.len();
        if behind.is_empty() {
            cx.out.say(&format!("revision {revision} on {all} of {all} nodes"));
            return Ok(Exit::Done);
        }
        if Instant::now() >= end {
            return Err(Failure::new(
                Exit::Deadline,
                format!("revision {revision} on {} of {all} nodes", all - behind.len()),
            )
            .why(format!("not yet on {}", behind.join(", ")))
            .next("mesh get nodes"));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

pub(crate) async fn diff(cx: &Cx, args: DiffArgs) -> Result {
    let manifests = manifest::read(&args.file)?;
    let session = cx.session().await?;
    let how = How { dry_run: true, reason: String::new() };
    let answer = send(&session, &args.file, &manifests, &how).await?;
    let mut changes = 0_usize;
    for result in &answer.results {
        let text = difference(result);
        if !text.is_empty() {
            changes += 1;
            cx.out.raw(text.as_bytes())?;
        }
    }
    if changes == 0 {
        cx.out.say("nothing would change");
    }
    Ok(if changes > 0 && args.detailed_exitcode { Exit::Pending } else { Exit::Done })
}

/// The change of one object as a unified diff of its YAML.
fn difference(result: &v1::ApplyResult) -> String {
    let yaml = |spec: &[u8]| {
        let value = serde_json::from_slice::<Value>(spec).ok();
        value.and_then(|it| crate::output::yaml(&it).ok()).unwrap_or_default()
    };
    let (before, after) = (yaml(&result.before), yaml(&result.after));
    if before == after {
        return String::new();
    }
    let name = format!("{}/{}", result.kind, result.name);
    let (old, new) = (format!("{name} (now)"), format!("{name} (wanted)"));
    TextDiff::from_lines(&before, &after).unified_diff().header(&old, &new).to_string()
}

pub(crate) async fn delete(cx: &Cx, args: DeleteArgs) -> Result {
    let session = cx.session().await?;
    if !args.dry_run {
        cx.confirm(&format!("delete {}/{} in mesh {}?", args.kind, args.name, session.context.mesh))?;
    }
    let how = How { dry_run: args.dry_run, reason: args.reason };
    let answer = write::delete(&session, args.kind, &args.name, &how).await?;
    report(cx, &answer, args.dry_run)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_a_unified_diff() {
        let result = v1::ApplyResult {
            kind: "binding".into(),
            name: "ada".into(),
            action: "changed".into(),
            before: br#"{"role":"viewer"}"#.as_slice().into(),
            after: br#"{"role":"admin"}"#.as_slice().into(),
        };
        let text = difference(&result);
        assert_eq!(text, "--- binding/ada (now)\n+++ binding/ada (wanted)\n@@ -1 +1 @@\n-role: viewer\n+role: admin\n");
        assert!(difference(&v1::ApplyResult { before: result.after.clone(), ..result }).is_empty());
    }
}
