//! A new mesh is made as soon as its coordinators run, while hosts are still being changed: whoever comes later finds it
//! there, and is declared when it runs.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use mesh_core::kind::Kind;
use serde_json::json;
use tokio::{sync::watch, time::Instant};

use super::{
    change::Stop,
    finish::remember,
    form::{Doors, Wish, declare, first_objects},
    journal::Journal,
    member::Fleet,
    office::Office,
    run::{Known, Run},
};
use crate::{
    Result,
    playbook::{Blob, Controller, Event, KeyRequest, SignedKey},
};

/// The names of the hosts that run what they should: they were asked.
pub(crate) type Proven = BTreeSet<String>;

/// The office, with an ear for who runs by now.
pub(crate) struct Witness<'a> {
    pub(crate) office: &'a Office,
    pub(crate) proven: &'a watch::Sender<Proven>,
}

impl Controller for Witness<'_> {
    fn blob(&self, name: &str) -> Option<&Blob> {
        self.office.blob(name)
    }

    fn secret(&self, host: &str, name: &str) -> Option<Vec<u8>> {
        self.office.secret(host, name)
    }

    fn opened(&self) -> BoxFuture<'_, ()> {
        self.office.opened()
    }

    fn sign(&self, host: &str, request: &KeyRequest, csr_pem: &str) -> Result<SignedKey> {
        self.office.sign(host, request, csr_pem)
    }

    fn event(&self, host: &str, event: &Event) {
        self.office.event(host, event);
        if *event == Event::Proven {
            self.proven.send_if_modified(|it| it.insert(host.to_owned()));
        }
    }
}

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

    /// Makes the mesh when all coordinators run, then declares every host that does, until no more come; says whether the
    /// mesh is made.
    ///
    /// # Errors
    /// Why the mesh cannot be made, or a host not be declared.
    pub(crate) async fn follow(self, mut proven: watch::Receiver<Proven>) -> Result<bool> {
        let is_complete = |proven: &Proven| self.fleet.coordinators.iter().all(|it| proven.contains(&it.node));
        if proven.wait_for(is_complete).await.is_err() || self.stop.is_asked() {
            return Ok(false);
        }
        // The guard goes at once: who tells of a host that runs would wait for it.
        let ready = proven.borrow_and_update().clone();
        let mut declared = self.make(&ready).await?;
        while proven.changed().await.is_ok() && !self.stop.is_asked() {
            let new: Proven = proven.borrow_and_update().difference(&declared).cloned().collect();
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
    async fn make(&self, proven: &Proven) -> Result<Proven> {
        let run = self.run;
        run.board.phase(&format!("making mesh {}", run.inventory.mesh));
        let ready: Vec<Wish> = self.wishes.iter().filter(|it| proven.contains(it.name.as_str())).cloned().collect();
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
