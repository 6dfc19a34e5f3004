//! A coordinator's authority: it renews what desired state lists, from its own replica, without a quorum.

use std::{path::Path, time::Duration};

use mesh_core::{
    id::{Digest, MeshName, PartyKind, Principal, Revision},
    kind::{Kind, NodeSpec, Role, parse},
    object::Key,
    rbac,
    store::Store,
    time::Timestamp,
};
use mesh_proto::ca::{CaError, Issuer, OPERATOR_LIFE, csr_key};
use rustls_pki_types::CertificateDer;

/// Why a certificate is not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewRefusal {
    /// Desired state lists no such node.
    #[error("`{0}` is not listed in this mesh: let it join again with a token")]
    NotListed(Principal),
    /// The node has no router.
    #[error("`{0}` is a router, but its node does not have that role")]
    NoRouter(Principal),
    /// Nobody gave the operator a role.
    #[error("`{0}` has no binding: an admin must apply one")]
    NoBinding(Principal),
    /// It is refused everywhere.
    #[error("`{0}` is revoked")]
    Revoked(Principal),
    /// A certificate that has ended is only renewed for the same key.
    #[error("the certificate of `{0}` has ended: it is renewed for the same key only")]
    OtherKey(Principal),
    /// The authority cannot sign it.
    #[error(transparent)]
    Ca(#[from] CaError),
}

/// Who asks for a new certificate, as its present one says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub id: Principal,
    /// SHA-256 of its present public key.
    pub key: Digest,
    /// Whether the present certificate has ended.
    pub late: bool,
}

/// Whether desired state lets somebody go on as a member.
///
/// # Errors
/// [`RenewRefusal`].
pub fn may_renew(store: &Store, holder: &Holder, new_key: Digest) -> Result<(), RenewRefusal> {
    let id = &holder.id;
    if rbac::revoked(store).contains(id) {
        return Err(RenewRefusal::Revoked(id.clone()));
    }
    if holder.late && holder.key != new_key {
        return Err(RenewRefusal::OtherKey(id.clone()));
    }
    // Before the mesh is initialized nothing is listed, and whoever has a certificate got it from the root.
    if store.revision() == Revision(0) {
        return Ok(());
    }
    match id.kind {
        PartyKind::Operator => match store.get(&Key::new(Kind::Binding, id.name.clone())) {
            Some(_) => Ok(()),
            None => Err(RenewRefusal::NoBinding(id.clone())),
        },
        PartyKind::Node | PartyKind::Router => {
            let object = store.get(&Key::new(Kind::Node, id.name.clone()));
            let spec = object
                .and_then(|it| parse::<NodeSpec>(&it.spec).ok())
                .ok_or_else(|| RenewRefusal::NotListed(id.clone()))?;
            if id.kind == PartyKind::Router && !spec.is(Role::Router) {
                Err(RenewRefusal::NoRouter(id.clone()))
            } else {
                Ok(())
            }
        }
    }
}

/// The authority of a coordinator with the life of what it signs.
#[derive(Debug)]
pub struct Issuing {
    issuer: Issuer,
    life: Duration,
}

impl Issuing {
    /// Loads a coordinator's intermediate.
    ///
    /// # Errors
    /// [`CaError`] naming the file, or that it is of another mesh.
    pub fn load(dir: &Path, mesh: &MeshName, life: Duration) -> Result<Self, CaError> {
        let issuer = Issuer::load(dir)?;
        if issuer.mesh() != mesh {
            return Err(CaError::Scope { mesh: issuer.mesh().clone(), asked: format!("for mesh {mesh}") });
        }
        Ok(Self { issuer, life })
    }

    /// The roots that members must trust.
    #[must_use]
    pub fn roots(&self) -> &[CertificateDer<'static>] {
        self.issuer.roots()
    }

    /// The fingerprint of the root.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        self.issuer.fingerprint()
    }

    /// Renews a member's certificate as far as this replica allows it.
    ///
    /// # Errors
    /// [`RenewRefusal`].
    pub fn renew(
        &self,
        store: &Store,
        holder: &Holder,
        csr: &[u8],
        now: Timestamp,
    ) -> Result<Vec<CertificateDer<'static>>, RenewRefusal> {
        may_renew(store, holder, csr_key(csr)?)?;
        Ok(self.sign(csr, &holder.id, now)?)
    }

    /// Signs a leaf for somebody whose right to it has been checked.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn sign(&self, csr: &[u8], id: &Principal, now: Timestamp) -> Result<Vec<CertificateDer<'static>>, CaError> {
        let life = if id.kind == PartyKind::Operator { OPERATOR_LIFE } else { self.life };
        self.issuer.sign_leaf(csr, id, life, now)
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::{
        id::{Lineage, RequestId},
        kind::canonical,
        store::{Command, Expect, Op, apply},
    };

    use super::*;

    fn store() -> Store {
        let put = |kind: Kind, name: &str, json: &str| {
            let key = Key::new(kind, mesh_core::id::ObjectName::new(name).unwrap());
            Op::Put { spec: canonical(kind, &key.name, json.as_bytes()).unwrap(), key, expect: Expect::Any }
        };
        let node = |roles: &str| {
            format!(r#"{{"roles":[{roles}],"address":"10.0.0.1","api":"10.0.0.1:7443","gossip":"10.0.0.1:7946"}}"#)
        };
        let ops = vec![
            put(Kind::Node, "node-4", &node(r#""router""#)),
            put(Kind::Node, "node-5", &node(r#""gpu""#)),
            put(Kind::Binding, "ada", r#"{"role":"viewer"}"#),
            put(Kind::Revocation, "r", r#"{"id":"spiffe://lab/node/node-6","reason":"stolen"}"#),
        ];
        let mut store = Store::new(Lineage(0));
        let actor = "spiffe://lab/operator/ada".parse().unwrap();
        apply(&mut store, &Command { id: RequestId(1), actor, at: Timestamp(1), level: 1, reason: None, ops });
        store
    }

    #[test]
    fn who_is_listed_and_not_denied_is_renewed() {
        let (full, empty) = (store(), Store::new(Lineage(0)));
        let key = |byte: u8| Digest([byte; 32]);
        let check = |store: &Store, id: &str, late: bool, new_key: Digest, expected: &str| {
            let holder = Holder { id: format!("spiffe://lab/{id}").parse().unwrap(), key: key(1), late };
            let found = may_renew(store, &holder, new_key).map_or_else(|error| error.to_string(), |()| String::new());
            assert!(
                if expected.is_empty() { found.is_empty() } else { found.contains(expected) },
                "{id}: `{found}` lacks `{expected}`"
            );
        };
        check(&full, "node/node-5", false, key(2), "");
        check(&full, "router/node-4", false, key(2), "");
        check(&full, "router/node-5", false, key(2), "does not have that role");
        check(&full, "node/node-9", false, key(2), "not listed");
        check(&full, "node/node-6", false, key(2), "revoked");
        check(&full, "operator/ada", false, key(2), "");
        check(&full, "operator/eve", false, key(2), "no binding");
        check(&full, "node/node-5", true, key(1), "");
        check(&full, "node/node-5", true, key(2), "the same key only");
        check(&empty, "node/node-5", false, key(2), "");
    }
}
