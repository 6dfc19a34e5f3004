//! What agents answer, as the dashboard takes it; what cannot be read is left out, not guessed.

use mesh_core::{
    id::{MeshName, NodeName, Revision},
    status::{NodeStatus, NodeView},
    time::Timestamp,
};
use mesh_proto::{convert::phase, v1};
use mesh_tui::{ClusterView, EventRow, NodeRow, NodesPicture, Severity, VoterView};

use crate::cmd::{cluster, cordon, nodes};

/// All nodes as one agent answered.
pub(crate) fn picture(answer: v1::NodesResponse, at: Timestamp) -> NodesPicture {
    let freshness = answer.freshness.unwrap_or_default();
    NodesPicture {
        rows: answer.items.into_iter().filter_map(row).collect(),
        whole: true,
        at,
        revision: Revision(freshness.revision),
        latest: freshness.latest,
        leader_age_ms: freshness.leader_age_ms,
    }
}

/// One node; `None` when an agent of another release names it in a way that is none here.
pub(super) fn row(mut item: v1::NodeItem) -> Option<NodeRow> {
    let (spec, drain) = (nodes::spec_of(&item), cordon::drain_of(&item));
    let status = item.status.take();
    let view = NodeView {
        node: NodeName::new(nodes::name_of(&item)).ok()?,
        phase: phase(&item.phase).ok()?,
        since: item.since_ms.map(Timestamp),
        status: status.and_then(|it| NodeStatus::try_from(it).ok()),
        age_ms: item.age_ms,
        blockers: item.blockers,
    };
    Some(NodeRow { view, spec, drain })
}

/// Who leads and who votes.
pub(crate) fn view(answer: &v1::ClusterResponse) -> ClusterView {
    let voter = |it: &v1::Voter| VoterView {
        node: it.node.clone(),
        heard_ms: it.heard_ms,
        missing: cluster::is_missing(answer, it),
    };
    ClusterView {
        mesh: MeshName::new(answer.mesh.as_str()).ok(),
        leader: answer.leader.clone(),
        term: answer.term,
        voters: answer.voters.iter().map(voter).collect(),
        quorum: answer.quorum,
        revision: Revision(answer.revision),
    }
}

/// One event.
pub(super) fn event(it: v1::Event) -> EventRow {
    EventRow {
        seq: it.seq,
        at: Timestamp(it.at_ms),
        severity: Severity::of(&it.severity),
        subject: it.subject,
        actor: it.actor,
        text: it.text,
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::status::Phase;

    use super::*;

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let item = |name: &str, phase: &str| v1::NodeItem {
            object: Some(v1::Object { kind: "node".into(), name: name.into(), ..Default::default() }),
            phase: phase.into(),
            // A status without a node is none.
            status: Some(v1::NodeStatus::default()),
            age_ms: Some(7),
            ..Default::default()
        };
        let answer = v1::NodesResponse {
            items: vec![item("node-1", "Ready"), item("../etc", "Ready"), item("node-2", "Dreaming")],
            freshness: None,
        };
        let picture = picture(answer, Timestamp(5));
        assert_eq!(picture.rows.len(), 1);
        let view = &picture.rows[0].view;
        assert_eq!((view.node.as_str(), view.phase, view.age_ms), ("node-1", Phase::Ready, Some(7)));
        assert_eq!((view.status.is_none(), picture.leader_age_ms, picture.latest), (true, None, false));
    }
}
