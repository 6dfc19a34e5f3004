//! The kind `revocation`: an identity that every part refuses, new and open connections alike.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Spec, SpecError};
use crate::id::{ObjectName, Principal};

/// The spec of a revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationSpec {
    /// Who is refused.
    pub id: Principal,
    /// Why.
    pub reason: String,
}

impl Spec for RevocationSpec {
    const KIND: Kind = Kind::Revocation;

    fn validate(&self, _name: &ObjectName) -> Result<(), SpecError> {
        if self.reason.is_empty() || self.reason.len() > 1024 {
            return Err(Self::field("reason", "must have 1 to 1024 bytes"));
        }
        Ok(())
    }
}
