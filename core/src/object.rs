//! What an operator declares: a kind, a name, a revision and a spec.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    id::{ObjectName, Revision},
    kind::Kind,
};

/// Where an object lives in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its name, unique within the kind.
    pub name: ObjectName,
}

impl Key {
    /// Makes the key of an object.
    pub fn new(kind: Kind, name: impl Into<ObjectName>) -> Self {
        Self { kind, name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// One declared object as stored and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Kind and name.
    pub key: Key,
    /// The revision of the command that wrote it last.
    pub revision: Revision,
    /// The spec in canonical JSON, as `kind::canonical` writes it.
    pub spec: Bytes,
}
