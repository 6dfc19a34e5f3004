//! The kind `drain`: a node taken out of service, named as the node; deleting it is `uncordon`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Spec, SpecError};
use crate::{
    id::{ObjectName, Principal},
    time::Timestamp,
};

/// The deadline of a drain when none is given: 30 minutes.
pub const DEADLINE_DEFAULT_MS: u64 = 30 * 60 * 1000;

/// How far out of service the node is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DrainMode {
    /// Nothing new is sent to it.
    Cordon,
    /// Nothing new, and what is in flight finishes.
    Drain,
}

/// Who or what asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrainKind {
    /// A person.
    Operator,
    /// A fault of the node.
    NodeProblem,
    /// An upgrade of the mesh.
    Upgrade,
}

/// The spec of a drain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainSpec {
    /// Cordon or drain.
    pub mode: DrainMode,
    /// Why, in the operator's words; absent = none given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What kind of reason.
    pub kind: DrainKind,
    /// Who asked.
    pub by: Principal,
    /// When it was asked for.
    pub at: Timestamp,
    /// When waiting ends; absent for a cordon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Whether requests still in flight are cut now.
    #[serde(default)]
    pub force: bool,
    /// When the leader found the node empty and every router's acknowledgement; absent = not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained_at: Option<Timestamp>,
}

impl Spec for DrainSpec {
    const KIND: Kind = Kind::Drain;

    fn validate(&self, _name: &ObjectName) -> Result<(), SpecError> {
        if self.reason.as_ref().is_some_and(|it| it.len() > 1024) {
            return Err(Self::field("reason", "at most 1024 bytes"));
        }
        if self.mode == DrainMode::Cordon && self.drained_at.is_some() {
            return Err(Self::field("drained_at", "a cordon is never drained"));
        }
        Ok(())
    }
}
