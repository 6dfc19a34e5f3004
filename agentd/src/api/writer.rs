//! Writes carried out: plan on what is here, propose, and plan again on newer state when somebody else was faster.

use std::sync::Arc;

use mesh_core::{
    id::{Principal, RequestId, Revision},
    store::{Command, Edit, Outcome, Store},
    time::Timestamp,
};
use mesh_proto::{reason, v1};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{
    refuse::{invalid, of_outcome, refuse},
    write::{Asked, Item, Plan, plan},
};
use crate::{
    blobs::fetch::Fetcher,
    clock,
    desired::{Desired, WRITE_DEADLINE},
};

/// So often a write is planned anew because an object moved meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// One write as it was asked for.
pub struct Write {
    id: RequestId,
    items: Vec<Item>,
    reason: Option<String>,
    dry_run: bool,
}

impl Write {
    /// Reads the request's id; a dry run needs none.
    ///
    /// # Errors
    /// A refusal when the id has another form or the reason is too long.
    pub fn new(id: &str, items: Vec<Item>, reason: String, dry_run: bool) -> Result<Self, Status> {
        let id = if dry_run && id.is_empty() { RequestId(0) } else { id.parse().map_err(invalid)? };
        let reason = Some(reason.trim().to_owned()).filter(|it| !it.is_empty());
        if reason.as_ref().is_some_and(|it| it.len() > mesh_core::store::REASON_BYTES_MAX) {
            return Err(invalid(format!(
                "the reason has more than {} bytes: shorten it",
                mesh_core::store::REASON_BYTES_MAX
            )));
        }
        if reason.as_ref().is_some_and(|it| it.contains(char::is_control)) {
            return Err(invalid("the reason must be one line without control characters"));
        }
        Ok(Self { id, items, reason, dry_run })
    }

    /// The id of one attempt: a plan that met newer state is another command, and a retry of the whole finds it again.
    fn attempt_id(&self, attempt: u32) -> RequestId {
        if attempt == 0 {
            return self.id;
        }
        let hash = blake3::hash(format!("{}/{attempt}", self.id).as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        RequestId(u128::from_le_bytes(id))
    }

    /// Whether the client itself set a condition on an object.
    fn insists_on(&self, key: &mesh_core::object::Key) -> bool {
        self.items.iter().any(|item| item.key == *key && item.expect.is_some())
    }
}

/// Carries out writes on a coordinator.
#[derive(Clone)]
pub struct Writer {
    desired: Desired,
    blobs: Fetcher,
}

/// What one attempt came to.
enum Attempt {
    Answer(v1::ApplyResponse),
    /// Somebody else was faster: plan again on what is latest.
    Again,
}

impl Writer {
    /// Joins its parts.
    #[must_use]
    pub fn new(desired: Desired, blobs: Fetcher) -> Self {
        Self { desired, blobs }
    }

    /// Carries out a write: all of it or nothing.
    ///
    /// # Errors
    /// A refusal that says why; only with reason `OUTCOME_UNKNOWN` it may have been done.
    pub async fn write(&self, caller: &Principal, write: Write) -> Result<v1::ApplyResponse, Status> {
        let until = Instant::now() + WRITE_DEADLINE;
        if self.desired.raft().is_none() {
            self.desired.propose(self.command(caller, &write, 0, Vec::new()), until).await?;
        }
        // What is here is nearly always the latest, and conditions catch the rest; only a refusal needs certainty.
        let here = self.desired.store();
        if !write.dry_run
            && let Ok(plan) = plan(&here, &write.items, asked(caller, &write, &here))
            && !plan.is_noop()
            && let Attempt::Answer(answer) = self.attempt(caller, &write, 0, (plan, until)).await?
        {
            return Ok(answer);
        }
        for attempt in 0..ATTEMPTS_MAX {
            let store = self.desired.latest().await?;
            match store.remembered(write.attempt_id(attempt)) {
                Some(Outcome::Conflict { key, .. }) if !write.insists_on(key) => continue,
                Some(outcome) if !write.dry_run => return repeated(&store, &write, outcome),
                Some(_) | None => {}
            }
            let plan = plan(&store, &write.items, asked(caller, &write, &store))?;
            if write.dry_run || plan.is_noop() {
                return Ok(answer(&plan, store.revision()));
            }
            if let Attempt::Answer(answer) = self.attempt(caller, &write, attempt, (plan, until)).await? {
                return Ok(answer);
            }
        }
        Err(refuse(Code::Aborted, reason::CONFLICT, "the objects kept changing under this write: try again", []))
    }

    async fn attempt(
        &self,
        caller: &Principal,
        write: &Write,
        attempt: u32,
        (plan, until): (Plan, Instant),
    ) -> Result<Attempt, Status> {
        for digest in &plan.blobs {
            self.blobs.ensure(*digest).await?;
        }
        let command = self.command(caller, write, attempt, plan.ops());
        let outcome = self.desired.propose(command, until).await?;
        match outcome.first() {
            Outcome::Done { .. } | Outcome::Unchanged { .. } if matches!(outcome, Outcome::Repeated(_)) => {
                Ok(Attempt::Answer(repeated(&self.desired.store(), write, &outcome)?))
            }
            Outcome::Done { revision } | Outcome::Unchanged { revision } => {
                Ok(Attempt::Answer(answer(&plan, *revision)))
            }
            Outcome::Conflict { key, .. } if !write.insists_on(key) => Ok(Attempt::Again),
            Outcome::Conflict { .. } | Outcome::Refused(_) | Outcome::Repeated(_) => {
                Err(of_outcome(&outcome).unwrap_or_else(|| Status::internal("an outcome without an effect")))
            }
        }
    }

    fn command(&self, caller: &Principal, write: &Write, attempt: u32, ops: Vec<mesh_core::store::Op>) -> Command {
        Command {
            id: write.attempt_id(attempt),
            actor: caller.clone(),
            at: Timestamp(0),
            level: 1,
            reason: write.reason.clone(),
            ops,
        }
    }
}

fn asked<'a>(caller: &'a Principal, write: &'a Write, store: &Store) -> Asked<'a> {
    // Never behind the leader's last word, whatever this host's clock says.
    Asked { by: caller, at: clock::now().max(store.now()), reason: write.reason.as_deref() }
}

fn answer(plan: &Plan, revision: Revision) -> v1::ApplyResponse {
    let results = plan
        .steps
        .iter()
        .map(|step| v1::ApplyResult {
            kind: step.key.kind.to_string(),
            name: step.key.name.to_string(),
            action: step.action().to_owned(),
            before: step.before.as_ref().map(|it| it.spec.clone()).unwrap_or_default(),
            after: step.after.clone().unwrap_or_default(),
        })
        .collect();
    v1::ApplyResponse { revision: revision.0, results, repeated_request: false }
}

/// The answer to a request that was carried out before, out of the history as far as it is kept.
fn repeated(store: &Arc<Store>, write: &Write, outcome: &Outcome) -> Result<v1::ApplyResponse, Status> {
    if let Some(status) = of_outcome(outcome) {
        return Err(status);
    }
    let revision = outcome.revision().unwrap_or_else(|| store.revision());
    let before = Revision(revision.0.saturating_sub(1));
    let change = store.changes(before).ok().and_then(|mut it| it.next().cloned()).filter(|it| it.revision == revision);
    let edits = change.as_ref().map(|it| it.edits.as_slice()).unwrap_or_default();
    let result = |item: &Item| {
        let found = edits.iter().find_map(|edit| match edit {
            Edit::Put(object) if object.key == item.key => Some(("changed", object.spec.clone())),
            Edit::Delete(key) if *key == item.key => Some(("deleted", bytes::Bytes::new())),
            Edit::Put(_) | Edit::Delete(_) | Edit::Level(_) => None,
        });
        let (action, after) = found.unwrap_or(("unchanged", bytes::Bytes::new()));
        v1::ApplyResult {
            kind: item.key.kind.to_string(),
            name: item.key.name.to_string(),
            action: action.to_owned(),
            before: bytes::Bytes::new(),
            after,
        }
    };
    let results = write.items.iter().map(result).collect();
    Ok(v1::ApplyResponse { revision: revision.0, results, repeated_request: true })
}
