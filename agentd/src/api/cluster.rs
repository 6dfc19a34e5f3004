//! Who leads, who votes, who is missing, as this node knows it.

use mesh_proto::v1;

use crate::{
    clock,
    desired::Desired,
    raft::{RaftHandle, RaftStatus},
};

/// A node that follows believes in a quorum as long as it heard of a leader within this time, in milliseconds.
const LEADER_AGE_MAX_MS: u64 = 3_000;

/// Describes the coordinators.
#[must_use]
pub(crate) fn describe(desired: &Desired) -> v1::ClusterResponse {
    let store = desired.store();
    let known = match desired.raft() {
        Some(raft) => of_raft(raft),
        None => of_follower(desired),
    };
    v1::ClusterResponse {
        mesh: desired.mesh().to_string(),
        lineage: store.lineage().0,
        revision: store.revision().0,
        node: desired.node().to_string(),
        initialized: store.revision().0 > 0,
        clock_ms: Some(clock::now().0),
        ..known
    }
}

fn of_raft(raft: &RaftHandle) -> v1::ClusterResponse {
    let RaftStatus { term, leader, voters, leader_age_ms, quorum_lost_since, .. } = raft.status().borrow().clone();
    let voters = voters.into_iter().map(|it| v1::Voter { node: it.peer.name, id: it.id, heard_ms: it.contact_age_ms });
    let quorum = leader_age_ms.is_some() && quorum_lost_since.is_none();
    let leader = leader.filter(|_| quorum).map(|(_, peer)| peer.name);
    v1::ClusterResponse { term, leader, voters: voters.collect(), quorum, ..Default::default() }
}

fn of_follower(desired: &Desired) -> v1::ClusterResponse {
    let voters = desired.coordinators().into_iter().map(|it| v1::Voter {
        node: it.node.to_string(),
        id: it.voter,
        heard_ms: None,
    });
    let quorum = desired.leader_age_ms().is_some_and(|age| age <= LEADER_AGE_MAX_MS);
    v1::ClusterResponse { voters: voters.collect(), quorum, ..Default::default() }
}
