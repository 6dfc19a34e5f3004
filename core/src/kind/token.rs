//! The kind `token`: the right of hosts to join by themselves, once and for a short time.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Role, Spec, SpecError};
use crate::{
    id::{Digest, ObjectName, Principal},
    time::Timestamp,
};

/// One use of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenUse {
    /// Which node joined.
    pub node: ObjectName,
    /// SHA-256 of the joiner's public key: the same key may ask again for ten minutes.
    pub key: Digest,
    /// When.
    pub at: Timestamp,
}

/// The spec of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// SHA-256 of the secret; the secret itself is shown once and kept nowhere.
    pub secret_hash: Digest,
    /// Which node names may use it: a name, or a prefix that ends in `*`.
    pub nodes: String,
    /// The roles a node gets that joins with it.
    pub roles: BTreeSet<Role>,
    /// After this instant it is worthless.
    pub expires: Timestamp,
    /// How often it may be used.
    pub uses_max: u32,
    /// Who used it.
    #[serde(default)]
    pub uses: Vec<TokenUse>,
    /// Who made it.
    pub by: Principal,
    /// When it was made.
    pub at: Timestamp,
}

impl Spec for TokenSpec {
    const KIND: Kind = Kind::Token;

    fn validate(&self, _name: &ObjectName) -> Result<(), SpecError> {
        if self.uses_max == 0 || self.uses_max > 1000 {
            return Err(Self::field("uses_max", "must be 1 to 1000"));
        }
        if self.nodes.is_empty() || self.nodes.len() > 63 {
            return Err(Self::field("nodes", "must be a node name, or a prefix that ends in `*`"));
        }
        if self.roles.is_empty() || self.roles.contains(&Role::Coordinator) {
            return Err(Self::field(
                "roles",
                "one or more of router, gpu, trainer, edge: voters are made by bootstrap",
            ));
        }
        Ok(())
    }
}

/// Whether a node name fits a pattern: the name itself, or a prefix that ends in `*`.
#[must_use]
pub fn name_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}
