//! The kind `strategy`: an uploaded strategy; its bytes are a blob found by digest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Spec, SpecError};
use crate::{
    id::{Digest, ObjectName, Principal},
    time::Timestamp,
};

/// The largest strategy, in bytes.
pub const STRATEGY_BYTES_MAX: u64 = 1024 * 1024;

/// The spec of a strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StrategySpec {
    /// SHA-256 of the module.
    pub digest: Digest,
    /// Size of the module in bytes.
    pub size_bytes: u64,
    /// The version the module states about itself.
    pub version: String,
    /// The Ed25519 signature over the digest as 128 hex digits, when it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Who uploaded it.
    pub by: Principal,
    /// When it was uploaded.
    pub at: Timestamp,
}

impl Spec for StrategySpec {
    const KIND: Kind = Kind::Strategy;

    fn validate(&self, _name: &ObjectName) -> Result<(), SpecError> {
        if self.size_bytes == 0 || self.size_bytes > STRATEGY_BYTES_MAX {
            return Err(Self::field("size_bytes", format!("must be 1 to {STRATEGY_BYTES_MAX}")));
        }
        if self.version.len() > 64 {
            return Err(Self::field("version", "at most 64 bytes"));
        }
        if self.signature.as_ref().is_some_and(|it| it.len() != 128 || !it.bytes().all(|c| c.is_ascii_hexdigit())) {
            return Err(Self::field("signature", "must be 128 hex digits"));
        }
        Ok(())
    }
}
