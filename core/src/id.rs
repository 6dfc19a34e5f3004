//! Names, ids and counters: newtypes, so that two things of one shape never share a type.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest a name may be, in bytes (one DNS label).
pub const NAME_LEN_MAX: usize = 63;

/// Why a text is not a name or an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty or longer than [`NAME_LEN_MAX`].
    #[error("{what} must have 1 to {NAME_LEN_MAX} characters, has {len}")]
    Length {
        /// What was parsed.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A character is outside the alphabet.
    #[error("{what} `{text}` may hold only a-z, 0-9 and `-`, and must begin with a letter or digit")]
    Alphabet {
        /// What was parsed.
        what: &'static str,
        /// The refused text.
        text: String,
    },
    /// The text is no id of this form.
    #[error("`{text}` is not {what}")]
    Form {
        /// What was parsed.
        what: &'static str,
        /// The refused text.
        text: String,
    },
}

fn check_name(what: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > NAME_LEN_MAX {
        return Err(IdError::Length { what, len: text.len() });
    }
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if !text.bytes().all(legal) || text.starts_with('-') {
        return Err(IdError::Alphabet { what, text: text.chars().take(80).collect() });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Takes a text of 1 to 63 characters out of a-z, 0-9 and `-`.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, too long or holds another character.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check_name($what, &text)?;
                Ok(Self(text))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $type {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }
    };
}

name!(
    /// A node's short name, as in hosts.yaml; also the last part of its identity.
    NodeName, "a node name"
);
name!(
    /// The name of one mesh: the trust domain of its identities.
    MeshName, "a mesh name"
);
name!(
    /// The name of a declared object of any kind.
    ObjectName, "an object name"
);

impl From<NodeName> for ObjectName {
    fn from(name: NodeName) -> Self {
        Self(name.0)
    }
}

/// A count of commands that changed desired state; it never goes down and is never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A count of disaster recoveries of one mesh: histories of different lineages never mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Lineage(pub u32);

/// The id of one write; a client repeats it when it retries, so that nothing is applied twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(pub u128);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for RequestId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let form = || IdError::Form { what: "a request id of 32 hex digits", text: text.chars().take(80).collect() };
        if text.len() != 32 {
            return Err(form());
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| form())
    }
}

/// A 256-bit digest (SHA-256 of files, blake3 of the store), written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The first eight hex digits, for people and directory names.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let form = || IdError::Form { what: "a digest of 64 hex digits", text: text.chars().take(80).collect() };
        let bytes = text.as_bytes();
        if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
            return Err(form());
        }
        let mut digest = [0_u8; 32];
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| form())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| form())?;
        }
        Ok(Self(digest))
    }
}

impl TryFrom<String> for Digest {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// What kind of party an identity belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartyKind {
    /// An agent on a host.
    Node,
    /// A router on a host.
    Router,
    /// A person or a script with an operator certificate.
    Operator,
}

impl PartyKind {
    /// The path segment in a SPIFFE id.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Router => "router",
            Self::Operator => "operator",
        }
    }
}

/// Who somebody is: `spiffe://MESH/{node|router|operator}/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Principal {
    /// The trust domain.
    pub mesh: MeshName,
    /// Node, router or operator.
    pub kind: PartyKind,
    /// The node's or the operator's name.
    pub name: ObjectName,
}

impl Principal {
    /// The principal of a node's agent.
    #[must_use]
    pub fn node(mesh: &MeshName, node: &NodeName) -> Self {
        Self { mesh: mesh.clone(), kind: PartyKind::Node, name: node.clone().into() }
    }

    /// The principal of the router on a node.
    #[must_use]
    pub fn router(mesh: &MeshName, node: &NodeName) -> Self {
        Self { mesh: mesh.clone(), kind: PartyKind::Router, name: node.clone().into() }
    }

    /// The principal of an operator.
    #[must_use]
    pub fn operator(mesh: &MeshName, name: ObjectName) -> Self {
        Self { mesh: mesh.clone(), kind: PartyKind::Operator, name }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/{}/{}", self.mesh, self.kind.as_str(), self.name)
    }
}

impl FromStr for Principal {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let form = || IdError::Form {
            what: "spiffe://MESH/{node|router|operator}/NAME",
            text: text.chars().take(160).collect(),
        };
        let path = text.strip_prefix("spiffe://").ok_or_else(form)?;
        let mut parts = path.split('/');
        let (Some(mesh), Some(kind), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(form());
        };
        let kind = match kind {
            "node" => PartyKind::Node,
            "router" => PartyKind::Router,
            "operator" => PartyKind::Operator,
            _ => return Err(form()),
        };
        Ok(Self { mesh: MeshName::new(mesh)?, kind, name: ObjectName::new(name)? })
    }
}

impl TryFrom<String> for Principal {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> String {
        principal.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_dns_label() {
        let check = |text: &str, legal: bool| assert_eq!(NodeName::new(text).is_ok(), legal, "{text:?}");
        check("node-7", true);
        check("7", true);
        check("", false);
        check("-a", false);
        check("Node", false);
        check("a.b", false);
        check("a/b", false);
        check(&"a".repeat(63), true);
        check(&"a".repeat(64), false);
    }

    #[test]
    fn principals_round_trip() {
        let check = |text: &str, legal: bool| match text.parse::<Principal>() {
            Ok(it) => assert!(legal && it.to_string() == text, "{text}"),
            Err(_) => assert!(!legal, "{text}"),
        };
        check("spiffe://lab/node/node-7", true);
        check("spiffe://lab/operator/ada", true);
        check("spiffe://lab/node/node-7/x", false);
        check("spiffe://lab/root/x", false);
        check("https://lab/node/x", false);
        check("spiffe:///node/x", false);
    }

    #[test]
    fn digests_round_trip_and_refuse_other_forms() {
        let text = "0123456789abcdef".repeat(4);
        let digest: Digest = text.parse().unwrap();
        assert_eq!(digest.to_string(), text);
        assert!("xyz".parse::<Digest>().is_err());
        assert!("é".repeat(32).parse::<Digest>().is_err());
    }
}
