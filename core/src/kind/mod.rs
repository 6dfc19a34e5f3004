//! The declared kinds: one file each, and the one table that names them all.

mod activation;
mod binding;
mod drain;
mod node;
mod policy;
mod revocation;
mod strategy;
mod token;

use std::{fmt, str::FromStr};

use bytes::Bytes;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use self::{
    activation::{ACTIVE, ActivationSpec, Brain, Builtin},
    binding::{BindingSpec, OperatorRole},
    drain::{DEADLINE_DEFAULT_MS, DrainKind, DrainMode, DrainSpec},
    node::{EngineKind, EngineSpec, NodeSpec, Role, check_url},
    policy::{MESH_POLICY, PolicySpec},
    revocation::RevocationSpec,
    strategy::{STRATEGY_BYTES_MAX, StrategySpec},
    token::{TokenSpec, TokenUse, name_matches},
};
use crate::id::ObjectName;

/// The largest spec, in bytes of canonical JSON.
pub const SPEC_BYTES_MAX: usize = 256 * 1024;

/// Why a spec is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The text is not JSON of this kind's form.
    #[error("{kind} spec: {reason}")]
    Form {
        /// The kind that was expected.
        kind: Kind,
        /// What the parser found, with its position.
        reason: String,
    },
    /// A field holds something impossible.
    #[error("{kind} spec, field `{field}`: {reason}")]
    Field {
        /// The kind.
        kind: Kind,
        /// The path of the field.
        field: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The spec is larger than [`SPEC_BYTES_MAX`].
    #[error("{kind} spec has {len} bytes, the limit is {SPEC_BYTES_MAX}")]
    Size {
        /// The kind.
        kind: Kind,
        /// Its size in bytes.
        len: usize,
    },
}

/// A kind of declared object.
pub trait Spec: Serialize + DeserializeOwned + JsonSchema {
    /// Its entry in the table.
    const KIND: Kind;

    /// Checks what types cannot: ranges, references inside the spec, the object's name.
    ///
    /// # Errors
    /// [`SpecError::Field`] naming the first field that is wrong.
    fn validate(&self, name: &ObjectName) -> Result<(), SpecError>;

    /// An error about one field of this kind.
    fn field(field: impl Into<String>, reason: impl Into<String>) -> SpecError {
        SpecError::Field { kind: Self::KIND, field: field.into(), reason: reason.into() }
    }
}

macro_rules! kinds {
    ($($variant:ident, $spec:ty, $name:literal, $plural:literal, $applied:literal, $doc:literal;)*) => {
        /// Every kind there is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Kind {
            $(#[doc = $doc] $variant,)*
        }

        impl Kind {
            /// All kinds, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The singular name, as in a manifest.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The plural name, as in `mesh get nodes`.
            #[must_use]
            pub fn plural(self) -> &'static str {
                match self { $(Self::$variant => $plural,)* }
            }

            /// Whether operators write it with `mesh apply`; the others have verbs of their own.
            #[must_use]
            pub fn is_applied(self) -> bool {
                match self { $(Self::$variant => $applied,)* }
            }

            /// One sentence on what it is.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }

        /// The published JSON Schema of a kind's spec.
        #[must_use]
        pub fn schema(kind: Kind) -> Schema {
            match kind { $(Kind::$variant => schemars::schema_for!($spec),)* }
        }

        /// Parses a spec of any kind, validates it and writes it in canonical form.
        ///
        /// # Errors
        /// [`SpecError`] saying which field is wrong and why.
        pub fn canonical(kind: Kind, name: &ObjectName, json: &[u8]) -> Result<Bytes, SpecError> {
            match kind { $(Kind::$variant => rewrite::<$spec>(name, json),)* }
        }
    };
}

kinds! {
    Node, NodeSpec, "node", "nodes", true, "A host that is a member: roles, addresses, labels, engines.";
    Drain, DrainSpec, "drain", "drains", false, "A node taken out of service, with reason, author and deadline.";
    Strategy, StrategySpec, "strategy", "strategies", false, "An uploaded strategy: digest, size, version.";
    Activation, ActivationSpec, "activation", "activations", false, "Which strategy decides, and which decided before.";
    Token, TokenSpec, "token", "tokens", false, "A short-lived right to join; only a hash of its secret is stored.";
    Policy, PolicySpec, "policy", "policies", true, "Rules of the mesh: signatures, reasons.";
    Binding, BindingSpec, "binding", "bindings", true, "Which operator has which role.";
    Revocation, RevocationSpec, "revocation", "revocations", true, "An identity that is refused from now on.";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text names no kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kind `{0}`; there are: {list}", list = Kind::ALL.iter().map(|it| it.plural()).collect::<Vec<_>>().join(", "))]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text || kind.plural() == text);
        found.copied().ok_or_else(|| UnknownKind(text.chars().take(80).collect()))
    }
}

/// Reads a spec that is already stored, or comes from elsewhere.
///
/// # Errors
/// [`SpecError::Form`] when the JSON is not of this kind's form.
pub fn parse<S: Spec>(json: &[u8]) -> Result<S, SpecError> {
    serde_json::from_slice(json).map_err(|error| SpecError::Form { kind: S::KIND, reason: error.to_string() })
}

/// Writes a spec in canonical JSON: fields in the order of the type, no spaces.
///
/// # Panics
/// Never: specs hold only what JSON can hold.
#[must_use]
pub fn write<S: Spec>(spec: &S) -> Bytes {
    Bytes::from(serde_json::to_vec(spec).expect("specs hold only strings, numbers, lists and maps with text keys"))
}

fn rewrite<S: Spec>(name: &ObjectName, json: &[u8]) -> Result<Bytes, SpecError> {
    if json.len() > SPEC_BYTES_MAX {
        return Err(SpecError::Size { kind: S::KIND, len: json.len() });
    }
    let spec: S = parse(json)?;
    spec.validate(name)?;
    Ok(write(&spec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_are_checked_with_the_field_named() {
        let check = |kind: &str, name: &str, json: &str, expected: Result<&str, &str>| {
            let kind: Kind = kind.parse().unwrap();
            let name = ObjectName::new(name).unwrap();
            match (canonical(kind, &name, json.as_bytes()), expected) {
                (Ok(text), Ok(expected)) => assert_eq!(std::str::from_utf8(&text).unwrap(), expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error} lacks {part}"),
                (found, expected) => panic!("{json}: {found:?} instead of {expected:?}"),
            }
        };
        check("nodes", "node-1", r#"{"roles":["gpu"],"wheels":4}"#, Err("unknown field `wheels`"));
        check("node", "node-1", r#"{"roles":[]}"#, Err("field `roles`"));
        check("node", "node-1", r#"{"roles":["gpu"],"address":"a","api":"x"}"#, Err("field `api`"));
        let engine = r#"{"roles":["gpu"],"address":"10.0.0.1","api":"10.0.0.1:7443","gossip":"10.0.0.1:7946","engines":[{"name":"e","kind":"vllm","url":"ftp://x"}]}"#;
        check("node", "node-1", engine, Err("field `engines[0].url`"));
        check("policy", "mesh", r#"{"require_signed":true}"#, Ok(r#"{"require_signed":true,"require_reason":false}"#));
        check("policy", "other", "{}", Err("name"));
        check("binding", "ada", r#"{"role":"emperor"}"#, Err("unknown variant `emperor`"));
    }

    #[test]
    fn kinds_are_known_by_both_names() {
        for kind in Kind::ALL {
            assert_eq!(kind.as_str().parse::<Kind>().unwrap(), *kind);
            assert_eq!(kind.plural().parse::<Kind>().unwrap(), *kind);
        }
        assert!("pods".parse::<Kind>().unwrap_err().to_string().contains("nodes, drains"));
    }
}
