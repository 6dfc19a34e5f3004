//! `mesh cluster status`.

use clap::Subcommand;
use mesh_proto::v1::{self, fleet_client::FleetClient};
use serde_json::json;

use super::Cx;
use crate::{
    Exit, Result,
    client::Session,
    human::{self, duration},
    items::SCHEMA,
    output::Table,
};

/// A voter that was not heard for this long counts as missing: two election timeouts.
const MISSING_MS: u64 = 4_000;

/// What `mesh cluster` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Shows who leads, who votes and who is missing; exit 5 without quorum
    Status,
}

pub(crate) async fn run(cx: &Cx, command: ClusterCommand) -> Result {
    match command {
        ClusterCommand::Status => status(cx).await,
    }
}

/// Asks who leads and who votes: the leader, if it can be reached, else a coordinator that sees a quorum.
pub(crate) async fn fetch(session: &Session) -> Result<v1::ClusterResponse> {
    let answer = ask(session, leads).await?;
    if answer.quorum { Ok(answer) } else { ask(session, |it| it.quorum).await }
}

async fn ask(session: &Session, is_good: impl Fn(&v1::ClusterResponse) -> bool) -> Result<v1::ClusterResponse> {
    let call = async |channel| FleetClient::new(channel).cluster(v1::ClusterRequest {}).await;
    session.ask_until("cannot get the status of the cluster", call, is_good).await
}

/// Whether the agent that answers is the leader: it hears from every voter.
pub(crate) fn leads(it: &v1::ClusterResponse) -> bool {
    it.quorum && it.leader.as_ref() == Some(&it.node)
}

async fn status(cx: &Cx) -> Result {
    let it = fetch(&cx.session().await?).await?;
    if cx.out.is_for_people() {
        let leader = it.leader.clone().unwrap_or_else(|| "none known".to_owned());
        cx.out.line(&format!("Mesh       {}", it.mesh))?;
        cx.out.line(&format!(
            "Quorum     {}",
            if it.quorum { "yes" } else { "NO: writes are refused, nodes keep serving" }
        ))?;
        cx.out.line(&format!("Leader     {leader} (term {})", it.term))?;
        cx.out.line(&format!("Revision   {}", it.revision))?;
        cx.out.line(&format!("Answered   {}", it.node))?;
        cx.out.line("")?;
        cx.out.table(&voters(&it))?;
    } else {
        cx.out.value(&json!({
            "schema": SCHEMA,
            "mesh": it.mesh,
            "lineage": it.lineage,
            "term": it.term,
            "leader": it.leader,
            "quorum": it.quorum,
            "revision": it.revision,
            "answered_by": it.node,
            "initialized": it.initialized,
            "voters": it.voters.iter().map(|voter| json!({
                "node": voter.node,
                "id": voter.id,
                "heard_s": voter.heard_ms.map(|ms| std::time::Duration::from_millis(ms).as_secs_f64()),
                "missing": is_missing(&it, voter),
            })).collect::<Vec<_>>(),
        }))?;
    }
    Ok(if it.quorum { Exit::Done } else { Exit::Unreachable })
}

/// Whether the answering agent misses a voter. Who follows a leader hears from nobody else, and misses nobody.
pub(crate) fn is_missing(it: &v1::ClusterResponse, voter: &v1::Voter) -> bool {
    (leads(it) || !it.quorum) && voter.node != it.node && voter.heard_ms.is_none_or(|ms| ms > MISSING_MS)
}

fn voters(it: &v1::ClusterResponse) -> Table {
    let mut table = Table::new(&["VOTER", "ID", "STATE", "HEARD"]);
    for voter in &it.voters {
        let state = match (it.leader.as_ref() == Some(&voter.node), is_missing(it, voter)) {
            (true, _) => "leader",
            (false, true) => "missing",
            (false, false) => "follower",
        };
        let heard =
            if voter.node == it.node { "itself".to_owned() } else { human::or_dash(voter.heard_ms.map(duration)) };
        table.row(vec![voter.node.clone(), voter.id.to_string(), state.to_owned(), heard]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_voters_are_seen() {
        let voter = |node: &str, id, heard_ms| v1::Voter { node: node.into(), id, heard_ms };
        let mut it = v1::ClusterResponse {
            node: "node-1".into(),
            leader: Some("node-1".into()),
            quorum: true,
            voters: vec![voter("node-1", 1, None), voter("node-2", 2, Some(120)), voter("node-3", 3, Some(60_000))],
            ..Default::default()
        };
        let text = voters(&it).render(false, false, false);
        assert_eq!(text, "node-1   1   leader     itself\nnode-2   2   follower   120ms\nnode-3   3   missing    1m\n");
        let missing = |it: &v1::ClusterResponse| it.voters.iter().filter(|voter| is_missing(it, voter)).count();
        it.leader = Some("node-2".into());
        assert_eq!(missing(&it), 0, "who follows node-2 has not heard of node-3 since the election");
        (it.leader, it.quorum) = (None, false);
        assert_eq!(missing(&it), 1);
    }
}
