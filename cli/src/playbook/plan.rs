//! What a run would change on one host: pure data, the same each time the host is the same.

use std::fmt;

use mesh_core::id::Digest;
use serde::{Deserialize, Serialize};

use super::module::Module;

/// The name of one step of a plan, unique in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct StepId(pub(crate) String);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    /// What it is of: a path, a user, a unit.
    pub(crate) what: String,
    pub(crate) before: String,
    pub(crate) after: String,
    /// The lines of a text that change; never of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) diff: Option<String>,
}

/// What a step would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// All is as it should be.
    Unchanged,
    /// It changes something.
    Change,
    /// It runs because something before it changes, and changes nothing by itself: a wait, a notified handler.
    Follow,
    /// Its condition does not hold here.
    Skipped,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlannedStep {
    pub(crate) id: StepId,
    pub(crate) status: Status,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
    /// What is to be true; absent when it is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) module: Option<Module>,
    /// Bytes of its upload that are there already.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) resume_bytes: u64,
    /// The steps whose change makes this one run, for a handler.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notified_by: Vec<StepId>,
    /// Says after a command whether it changed anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) changed_when: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(it: &u64) -> bool {
    *it == 0
}

/// Everything a run would do on one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct HostPlan {
    pub(crate) host: String,
    pub(crate) playbook: String,
    /// Whether the steps need root.
    pub(crate) root: bool,
    pub(crate) steps: Vec<PlannedStep>,
}

impl HostPlan {
    /// The steps that change something.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &PlannedStep> {
        self.steps.iter().filter(|it| it.status == Status::Change)
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.changes().next().is_none()
    }

    /// Bytes that will be sent to the host from files.
    pub(crate) fn upload_bytes(&self, blob_bytes: impl Fn(&str) -> u64) -> u64 {
        let sent = |it: &PlannedStep| match &it.module {
            Some(Module::Binary(binary)) => blob_bytes(&binary.name).saturating_sub(it.resume_bytes),
            _ => 0,
        };
        self.changes().map(sent).sum()
    }

    /// The digest of what it would do: two examinations of an unchanged host agree on it.
    pub(crate) fn digest(&self) -> Digest {
        mesh_proto::cert::sha256(&serde_json::to_vec(self).unwrap_or_default())
    }
}
