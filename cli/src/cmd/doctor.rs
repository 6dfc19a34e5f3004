//! `mesh doctor`: looks at everything once, and says what is wrong.

use std::{
    future::ready,
    path::Path,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use mesh_core::{id::Revision, status::Phase};
use mesh_proto::{
    tls::Identity,
    v1::{self, fleet_client::FleetClient},
};
use mesh_tui::{NodeRow, NodesPicture};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::{Cx, cluster, nodes, top::convert};
use crate::{
    Exit, Result,
    client::Session,
    context::Endpoint,
    doctor::{self, Certificate, Clock, Disk, DoorView, Finding, Picture, Refused, Severity},
    human,
    items::SCHEMA,
    provision::mesh::LocalDir,
    refusal,
};

/// What is agreed reaches every node within a second; who is behind after this is behind.
const SETTLE: Duration = Duration::from_millis(1500);
/// So many nodes are asked for their clocks at the same time.
const CLOCKS_AT_ONCE: usize = 32;
/// How long a node may take to tell its clock.
const CLOCK_LIMIT: Duration = Duration::from_secs(3);

pub(crate) async fn run(cx: &Cx) -> Result {
    let picture = look(cx).await;
    let findings = doctor::diagnose(&picture);
    let looked_at = looked_at(&picture);
    if cx.out.is_for_people() {
        for finding in &findings {
            cx.out.raw(text(finding).as_bytes())?;
        }
        let count = |severity| findings.iter().filter(|it| it.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        cx.out.line(&match (errors, warnings) {
            (0, 0) => format!("Nothing is wrong. Looked at: {looked_at}."),
            _ => format!("{errors} errors, {warnings} warnings. Looked at: {looked_at}."),
        })?;
    } else {
        cx.out.value(&json!({ "schema": SCHEMA, "findings": findings, "looked_at": looked_at }))?;
    }
    let is_bad = findings.iter().any(|it| it.severity == Severity::Error);
    Ok(if is_bad { Exit::Failed } else { Exit::Done })
}

fn text(finding: &Finding) -> String {
    let mut text = format!("{}: {}: {}\n", finding.severity.as_str(), finding.subject, finding.what);
    if let Some(why) = &finding.why {
        text.push_str(&format!("  why: {why}\n"));
    }
    text.push_str(&format!("  next: {}\n\n", finding.next));
    text
}

fn looked_at(picture: &Picture) -> String {
    let answered = picture.doors.iter().filter(|door| door.refusal.is_none()).count();
    let nodes = picture.nodes.as_ref().map_or_else(|| "no nodes".to_owned(), |rows| format!("{} nodes", rows.len()));
    let voters = picture.cluster.as_ref().map_or(0, |it| it.voters.len());
    format!("{answered} of {} agents answered, {voters} voters, {nodes}", picture.doors.len())
}

/// Looks at this machine, then at the mesh as far as it can be reached; what fails is part of the picture.
async fn look(cx: &Cx) -> Picture {
    let mut picture = Picture {
        now: human::now(),
        is_local: false,
        broken: Vec::new(),
        certificate: None,
        disk: disk(&cx.dirs.state),
        doors: Vec::new(),
        cluster: None,
        clocks: Vec::new(),
        settled: Revision(0),
        nodes: None,
    };
    let context = match cx.dirs.context(cx.global.context.as_deref()) {
        Ok(context) => context,
        Err(failure) => {
            picture.broken.push(failure.or_next("mesh up, or mesh context add FILE"));
            return picture;
        }
    };
    picture.is_local = context.identity_dir == LocalDir::new(&cx.dirs).operator();
    let mut session = match Session::open(context, cx.global.endpoint.as_deref(), cx.global.timeout) {
        Ok(session) => session,
        Err(failure) => {
            picture.broken.push(failure);
            return picture;
        }
    };
    session.renew_if_due().await;
    picture.certificate = Identity::load(&session.context.identity_dir).ok().map(|it| Certificate {
        me: it.me(),
        not_before: it.not_before(),
        not_after: it.not_after(),
    });
    ask(&session, &mut picture).await;
    picture
}

async fn ask(session: &Session, picture: &mut Picture) {
    let answers =
        session.everybody(async |channel| FleetClient::new(channel).cluster(v1::ClusterRequest {}).await).await;
    let mut best: Option<v1::ClusterResponse> = None;
    for (endpoint, answer) in answers {
        let refusal = match answer {
            Ok(answer) => {
                // Who sees a quorum knows most, and of those the leader; among equals who hears more voters.
                let rank = |it: &v1::ClusterResponse| {
                    (it.quorum, cluster::leads(it), it.leader.is_some(), heard(it), it.revision)
                };
                if best.as_ref().is_none_or(|best| rank(&answer) > rank(best)) {
                    best = Some(answer);
                }
                None
            }
            Err(status) => {
                Some(Refused { why: refusal::words(&status), is_identity: refusal::is_about_identity(&status) })
            }
        };
        picture.doors.push(DoorView { node: endpoint.node, api: endpoint.api, refusal });
    }
    let Some(best) = best else { return };
    picture.settled = Revision(best.revision);
    picture.cluster = Some(convert::view(&best));
    match settled_nodes(session, picture.settled).await {
        Ok(nodes) => {
            picture.clocks = clocks(session, &nodes.rows).await;
            picture.nodes = Some(nodes.rows);
        }
        Err(failure) => picture.broken.push(failure),
    }
    picture.now = human::now();
}

/// Asks every node that lives for its clock.
async fn clocks(session: &Session, rows: &[NodeRow]) -> Vec<Clock> {
    let alive = rows.iter().filter(|it| it.view.phase != Phase::Lost);
    let ways = alive.filter_map(|it| {
        let endpoint = Endpoint { node: it.view.node.clone(), api: it.spec.api_addr()?, coordinator: false };
        Some((endpoint.node.to_string(), FleetClient::new(session.channel_to(&endpoint))))
    });
    let asked = stream::iter(ways).map(|(node, client)| clock(node, client)).buffered(CLOCKS_AT_ONCE);
    asked.filter_map(ready).collect().await
}

/// The clock of a node, of two measurements the better one: the first has made the connection too.
async fn clock(node: String, mut client: FleetClient<Channel>) -> Option<Clock> {
    let mut best: Option<Clock> = None;
    for _ in 0..2 {
        let (at, begun) = (human::now(), Instant::now());
        let answer = timeout(CLOCK_LIMIT, client.cluster(v1::ClusterRequest {})).await.ok()?.ok()?;
        let error_ms = human::ms(begun.elapsed()) / 2;
        let there = i64::try_from(answer.into_inner().clock_ms?).ok()?;
        let here = i64::try_from(at.plus_ms(error_ms).0).ok()?;
        if best.as_ref().is_none_or(|it| error_ms < it.error_ms) {
            best = Some(Clock { node: node.clone(), ahead_ms: there.saturating_sub(here), error_ms });
        }
    }
    best
}

fn heard(it: &v1::ClusterResponse) -> usize {
    it.voters.iter().filter(|voter| !cluster::is_missing(it, voter)).count()
}

/// The nodes; when some are behind the revision they are given a moment, and looked at again.
async fn settled_nodes(session: &Session, settled: Revision) -> Result<NodesPicture> {
    let fetch = async || nodes::fetch(session, &[]).await.map(|found| convert::picture(found, human::now()));
    let first = fetch().await?;
    let is_behind =
        first.rows.iter().filter_map(|row| row.view.status.as_ref()).any(|status| {
            status.applied < settled || status.router.as_ref().is_some_and(|router| router.acked < settled)
        });
    if !is_behind {
        return Ok(first);
    }
    sleep(SETTLE).await;
    fetch().await
}

fn disk(path: &Path) -> Option<Disk> {
    // The directory may not be there yet: the file system it would be on counts.
    let there = path.ancestors().find(|it| it.exists())?;
    let it = rustix::fs::statvfs(there).ok()?;
    Some(Disk {
        path: there.display().to_string(),
        free_bytes: it.f_bavail.saturating_mul(it.f_frsize),
        total_bytes: it.f_blocks.saturating_mul(it.f_frsize),
    })
}
