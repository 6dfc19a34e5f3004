//! What a coordinator does of its own accord: it keeps its log small; as the leader it also states its digest,
//! lets old history be forgotten, and gives up leadership when it is unfit.

use std::{sync::Weak, time::Duration};

use mesh_core::{
    id::{MeshName, NodeName, Principal, RequestId, Revision},
    store::{Command, Op, Store},
    time::Timestamp,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Node, RaftHandle};

const EVERY: Duration = Duration::from_secs(1);
/// A log with more bytes of commands than this is cut short, however few its entries are.
const LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// A digest is stated after so many revisions,
const CHECKPOINT_REVISIONS: u64 = 1_000;
/// or after so long when anything has changed.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// Runs until raft stops.
pub(crate) async fn run(node: Weak<Node>, stop: CancellationToken) {
    let mut stated = (Revision(0), Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let Some(node) = node.upgrade() else {
            return;
        };
        let handle = RaftHandle { node };
        shorten(&handle).await;
        if handle.node.status.borrow().is_leader() {
            lead(&handle, &mut stated).await;
        }
    }
}

/// Has a log of large commands covered by a snapshot, then cut up to it. Errors mean that raft has stopped.
async fn shorten(handle: &RaftHandle) {
    if handle.node.log.bytes() <= LOG_BYTES_MAX {
        return;
    }
    let covered = handle.node.status.borrow().snapshot_index;
    let trigger = handle.node.raft.trigger();
    if let Some(covered) = covered {
        drop(trigger.purge_log(covered).await);
    }
    drop(trigger.snapshot().await);
}

async fn lead(handle: &RaftHandle, stated: &mut (Revision, Instant)) {
    if handle.unfit().is_some() {
        if let Some(successor) = handle.successor() {
            // Tried again in a second when it does not work.
            drop(handle.transfer_leader(successor).await);
        }
        return;
    }
    let store = std::sync::Arc::clone(&handle.store().borrow());
    let mut ops = Vec::new();
    if let Some(upto) = store.compaction_due() {
        ops.push(Op::Compact { upto });
    }
    let new = store.revision().0.saturating_sub(stated.0.0);
    if new >= CHECKPOINT_REVISIONS || (new > 0 && stated.1.elapsed() >= CHECKPOINT_EVERY) {
        ops.extend(checkpoint(&store));
        *stated = (store.revision(), Instant::now());
    }
    if !ops.is_empty() {
        let command = own_command(handle, ops);
        if let Err(error) = handle.propose(command).await {
            tracing::debug!(%error, "housekeeping of the store did not go through, it is tried again");
        }
    }
}

fn checkpoint(store: &Store) -> Option<Op> {
    let revision = store.revision();
    store.record(revision).map(|record| Op::Checkpoint { revision, record })
}

/// A command of the coordinators' own. It changes no object, so nobody sees whose it is.
fn own_command(handle: &RaftHandle, ops: Vec<Op>) -> Command {
    let mesh = MeshName::new("mesh").expect("a legal name");
    let node = NodeName::new(format!("coordinator-{}", handle.node.network.me)).expect("a legal name");
    Command {
        id: RequestId(rand::random()),
        actor: Principal::node(&mesh, &node),
        at: Timestamp(0),
        level: 1,
        reason: None,
        ops,
    }
}
