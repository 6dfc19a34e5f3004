//! The kind `binding`: which operator has which role; named as the operator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Spec, SpecError};
use crate::id::ObjectName;

/// What an operator may do; the table is in `rbac.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OperatorRole {
    /// Everything, bindings and tokens included.
    Admin,
    /// Daily work: nodes in and out, apply, deploy.
    Operator,
    /// Looks, and changes nothing.
    Viewer,
}

impl OperatorRole {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }
}

/// The spec of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BindingSpec {
    /// The role.
    pub role: OperatorRole,
}

impl Spec for BindingSpec {
    const KIND: Kind = Kind::Binding;

    fn validate(&self, _name: &ObjectName) -> Result<(), SpecError> {
        Ok(())
    }
}
