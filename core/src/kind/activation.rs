//! The kind `activation`: the one object that says which strategy decides.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Spec, SpecError};
use crate::{
    id::{Digest, ObjectName, Principal},
    time::Timestamp,
};

/// The name of the only activation.
pub const ACTIVE: &str = "active";

/// A strategy that is part of the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Round robin: the baseline.
    BaselineRr,
    /// The shortest queue for its capacity.
    LeastQueue,
}

impl Builtin {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BaselineRr => "baseline_rr",
            Self::LeastQueue => "least_queue",
        }
    }
}

/// Which code decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Brain {
    /// A built-in strategy.
    Builtin(Builtin),
    /// An uploaded one.
    Wasm {
        /// The strategy object's name.
        name: ObjectName,
        /// SHA-256 of the module.
        digest: Digest,
        /// The version it states.
        version: String,
    },
}

impl Brain {
    /// The strategy's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Builtin(builtin) => builtin.as_str(),
            Self::Wasm { name, .. } => name.as_str(),
        }
    }

    /// The digest of the module; absent for a built-in.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        match self {
            Self::Builtin(_) => None,
            Self::Wasm { digest, .. } => Some(*digest),
        }
    }

    /// The version; built-ins carry the release's.
    #[must_use]
    pub fn version(&self) -> &str {
        match self {
            Self::Builtin(_) => env!("CARGO_PKG_VERSION"),
            Self::Wasm { version, .. } => version,
        }
    }
}

impl fmt::Display for Brain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin(builtin) => write!(f, "{} (built in)", builtin.as_str()),
            Self::Wasm { name, digest, version } => write!(f, "{name} {version} ({})", digest.short()),
        }
    }
}

/// The spec of the activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivationSpec {
    /// +1 at every deploy and rollback; routers report the one they run.
    pub seq: u64,
    /// What decides now.
    pub active: Brain,
    /// What decided before: where a rollback leads.
    pub previous: Brain,
    /// Who changed it.
    pub by: Principal,
    /// When it was changed.
    pub at: Timestamp,
}

impl Spec for ActivationSpec {
    const KIND: Kind = Kind::Activation;

    fn validate(&self, name: &ObjectName) -> Result<(), SpecError> {
        if name.as_str() != ACTIVE {
            return Err(Self::field("name", format!("the only activation is named `{ACTIVE}`")));
        }
        Ok(())
    }
}
