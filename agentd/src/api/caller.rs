//! Who asks, as the gate let them in; handlers ask again once they know kind and name.

use mesh_core::{
    id::{ObjectName, Principal},
    kind::Kind,
    object::Key,
    rbac::{self, Ask, Decision, Thing, Verb},
};
use mesh_proto::reason;
use tonic::{Code, Request, Status};

use super::refuse::refuse;

/// The caller of one RPC, which has shown a certificate.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Who.
    pub(crate) id: Principal,
    gate: rbac::Caller,
}

impl Caller {
    /// Takes the caller that the gate found.
    ///
    /// # Errors
    /// A refusal of callers without a certificate.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let gate = request.extensions().get::<rbac::Caller>().cloned();
        let found = gate.and_then(|gate| Some(Self { id: gate.id.clone()?, gate }));
        found.ok_or_else(|| refuse(Code::Unauthenticated, reason::DENIED, "denied: a client certificate is needed", []))
    }

    /// Whether it may read a kind.
    ///
    /// # Errors
    /// The refusal, with the nearest rule.
    pub(crate) fn may_read(&self, kind: Kind) -> Result<(), Status> {
        self.may(Verb::Read, kind, None)
    }

    /// Whether it may declare an object.
    ///
    /// # Errors
    /// The refusal, with the nearest rule.
    pub(crate) fn may_write(&self, key: &Key) -> Result<(), Status> {
        self.may(Verb::Write, key.kind, Some(&key.name))
    }

    /// Whether it may remove an object.
    ///
    /// # Errors
    /// The refusal, with the nearest rule.
    pub(crate) fn may_delete(&self, key: &Key) -> Result<(), Status> {
        self.may(Verb::Delete, key.kind, Some(&key.name))
    }

    fn may(&self, verb: Verb, kind: Kind, name: Option<&ObjectName>) -> Result<(), Status> {
        match rbac::decide(&self.gate, &Ask { verb, thing: Thing::Kind(kind), name }) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(denial) => Err(refuse(Code::PermissionDenied, reason::DENIED, denial.to_string(), [])),
        }
    }
}
