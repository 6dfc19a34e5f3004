//! Hosts that a playbook changes outside of a bootstrap: locked for one run, and looked at once more under the lock.

use std::sync::Arc;

use futures_util::{StreamExt, stream};

use super::{
    journal,
    lock::{self, Lock},
    member::root_prefix,
};
use crate::{
    Code, Exit, Failure, Result,
    context::Dirs,
    host::Host as _,
    hosts::HostEntry,
    playbook::{Controller, HostPlan, Playbook, Vars, examine},
    ssh::SshHost,
};

/// A host that was looked at.
pub(crate) struct Part {
    /// What hosts.yaml says of it.
    pub(crate) entry: HostEntry,
    /// The connection.
    pub(crate) host: Arc<SshHost>,
    /// What the playbook is told of it.
    pub(crate) vars: Vars,
    /// What would be changed.
    pub(crate) plan: HostPlan,
    /// Whether a node of a mesh lives there: a change may interrupt it.
    pub(crate) is_in_service: bool,
}

impl Part {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.entry.name.as_str()
    }

    /// What is to be done on a host now.
    ///
    /// # Errors
    /// When the host cannot be asked, or must not be changed.
    pub(crate) async fn look(
        host: &SshHost,
        playbook: &Playbook,
        vars: &Vars,
        controller: &dyn Controller,
    ) -> Result<HostPlan> {
        examine(host, playbook, vars, controller).await.map_err(|error| error.failure(host.name()))
    }
}

/// The run that locks hosts.
#[derive(Clone, Copy)]
pub(crate) struct Holder<'a> {
    /// Where the runs of this machine are.
    pub(crate) dirs: &'a Dirs,
    /// The run.
    pub(crate) run: &'a str,
    /// How many hosts are locked at once.
    pub(crate) concurrency: usize,
    /// Whether it undoes whatever is there: a host on which more or less is there than before is no surprise.
    pub(crate) undoes: bool,
}

/// What is locked, and what was lost on the way.
pub(crate) struct Held {
    /// The hosts with something to do, each with what is to be done now and its lock.
    pub(crate) parts: Vec<(Part, Lock)>,
    /// Why the others could not be locked.
    pub(crate) lost: Vec<(String, Failure)>,
}

/// Locks hosts and looks at them again: between the look and the lock somebody else may have been there.
///
/// What the operator's own lost connections did until the lock ended them is no surprise: what is left to do is then
/// the plan. The first host is locked before the others: of two who begin at the same instant, one comes through.
///
/// # Errors
/// When somebody else changes one of the hosts, or has changed it since it was looked at: then nothing is begun.
pub(crate) async fn hold(
    parts: Vec<Part>,
    holder: Holder<'_>,
    (playbook, controller): (&Playbook, &dyn Controller),
) -> Result<Held> {
    let mut parts = parts.into_iter();
    let take = async |part: Part| {
        let taken = take(&part, holder, (playbook, controller)).await;
        (part, taken)
    };
    let mut taken = Vec::new();
    if let Some(first) = parts.next() {
        let first = take(first).await;
        if let (_, Err(failure)) = &first
            && failure.exit == Exit::Refused
        {
            return Err(failure.clone());
        }
        taken.push(first);
    }
    taken.extend(stream::iter(parts).map(take).buffered(holder.concurrency.max(1)).collect::<Vec<_>>().await);
    let mut held = Held { parts: Vec::new(), lost: Vec::new() };
    for (part, taken) in taken {
        match taken {
            Ok((plan, lock)) => held.parts.push((Part { plan, ..part }, lock)),
            Err(failure) if failure.exit == Exit::Refused => return Err(failure),
            Err(failure) => held.lost.push((part.name().to_owned(), failure)),
        }
    }
    Ok(held)
}

async fn take(
    part: &Part,
    holder: Holder<'_>,
    (playbook, controller): (&Playbook, &dyn Controller),
) -> Result<(HostPlan, Lock)> {
    let is_abandoned = |run: &str| journal::is_abandoned(holder.dirs, run);
    let lock = lock::take(part.host.as_ref(), &root_prefix(&part.entry), holder.run, &is_abandoned).await?;
    let plan = Part::look(part.host.as_ref(), playbook, &part.vars, controller).await?;
    if holder.undoes || lock.has_ended || plan.digest() == part.plan.digest() {
        return Ok((plan, lock));
    }
    Err(Failure::new(Exit::Refused, "the host has changed while this run was being planned")
        .coded(Code::PlanStale)
        .at(part.name())
        .next("the same command again: it looks at every host first"))
}
