//! A new mesh is made as soon as its coordinators are installed, while other hosts are still being changed: whoever comes
//! later finds it there, and is declared when it is done.

use std::collections::BTreeSet;

use mesh_core::kind::Kind;
use serde_json::json;
use tokio::{sync::watch, time::Instant};

use super::{
    change::Stop,
    finish::remember,
    form::{Doors, Wish, declare, first_objects},
    journal::Journal,
    member::Fleet,
    run::{Known, Run},
};
use crate::Result;

/// The names of the hosts that are as they should be.
pub(crate) type Done = BTreeSet<String>;

/// What is needed to make a mesh of hosts that are being changed.
pub(crate) struct Founding<'a> {
    run: &'a Run<'a>,
    fleet: Fleet,
    wishes: Vec<Wish>,
    journal: &'a Journal,
    stop: &'a Stop,
}

impl<'a> Founding<'a> {
    /// Prepares it; none for a mesh that was made before.
    pub(crate) fn of(run: &'a Run<'a>, known: &Known, (journal, stop): (&'a Journal, &'a Stop)) -> Option<Self> {
        let is_made = run.made.is_some() || known.seen.is_made;
        let (fleet, wishes) = (known.fleet.clone(), known.wishes.clone());
        (!is_made).then_some(Self { run, fleet, wishes, journal, stop })
    }

    /// Makes the mesh when all coordinators are done, then declares every host that is, until no more come; says whether
    /// the mesh is made.
    ///
    /// # Errors
    /// Why the mesh cannot be made, or a host not be declared.
    pub(crate) async fn follow(self, mut done: watch::Receiver<Done>) -> Result<bool> {
        let is_complete = |done: &Done| self.fleet.coordinators.iter().all(|it| done.contains(&it.node));
        if done.wait_for(is_complete).await.is_err() || self.stop.is_asked() {
            return Ok(false);
        }
        // The guard goes at once: who tells of a host that is done would wait for it.
        let ready = done.borrow_and_update().clone();
        let mut declared = self.make(&ready).await?;
        while done.changed().await.is_ok() && !self.stop.is_asked() {
            let new: Done = done.borrow_and_update().difference(&declared).cloned().collect();
            let wishes: Vec<&Wish> = self.wishes.iter().filter(|it| new.contains(it.name.as_str())).collect();
            if !wishes.is_empty() {
                declare(&self.run.session(&self.fleet)?, &wishes, self.journal.id()).await?;
                self.journal.note("declared", None, json!({ "nodes": new }));
            }
            declared.extend(new);
        }
        Ok(true)
    }

    /// Makes it with as many of the hosts as one write takes; gives back which.
    async fn make(&self, done: &Done) -> Result<Done> {
        let run = self.run;
        run.board.phase(&format!("making mesh {}", run.inventory.mesh));
        let ready: Vec<Wish> = self.wishes.iter().filter(|it| done.contains(it.name.as_str())).cloned().collect();
        let require_signed = run.cx.dirs.config()?.require_signed;
        let first = first_objects(&run.inventory.mesh, &run.operator, &ready, require_signed);
        let node = Kind::Node.to_string();
        let declared = first.iter().filter(|it| it.kind == node).map(|it| it.name.clone()).collect();
        let doors = Doors::new(&run.identity()?, &self.fleet)?;
        let voters = &self.fleet.coordinators;
        self.journal.note("initialize", None, json!({ "mesh": run.inventory.mesh, "voters": voters }));
        doors.initialize(first, Instant::now() + run.orders.limit, &run.board).await?;
        remember(run, self.journal)?;
        run.board.phase(&format!("changing hosts; mesh {} is made", run.inventory.mesh));
        Ok(declared)
    }
}
