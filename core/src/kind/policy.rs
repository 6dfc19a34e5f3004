//! The kind `policy`: rules of the whole mesh.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Spec, SpecError};
use crate::id::ObjectName;

/// The name of the only policy of today.
pub const MESH_POLICY: &str = "mesh";

/// The spec of the mesh's policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySpec {
    /// Whether unsigned bundles and strategies are refused.
    pub require_signed: bool,
    /// Whether cordon and drain need a reason.
    pub require_reason: bool,
    /// Ed25519 public keys (64 hex digits) whose signatures on strategies are trusted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_keys: Vec<String>,
}

impl Spec for PolicySpec {
    const KIND: Kind = Kind::Policy;

    fn validate(&self, name: &ObjectName) -> Result<(), SpecError> {
        if name.as_str() != MESH_POLICY {
            return Err(Self::field("name", format!("the only policy is named `{MESH_POLICY}`")));
        }
        let legal = |key: &String| key.len() == 64 && key.bytes().all(|c| c.is_ascii_hexdigit());
        if let Some(i) = self.trusted_keys.iter().position(|key| !legal(key)) {
            return Err(Self::field(format!("trusted_keys[{i}]"), "must be 64 hex digits of an Ed25519 public key"));
        }
        Ok(())
    }
}
