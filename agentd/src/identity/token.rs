//! Join tokens: `mesh-join.v1.ID.SECRET.ROOT-FINGERPRINT`. The store keeps a hash; spending one is one write.

use std::{fmt, str::FromStr};

use mesh_core::{
    id::{Digest, NodeName, ObjectName, Principal},
    kind::{Kind, NodeSpec, Role, Spec as _, SpecError, TokenSpec, name_matches, parse, write},
    object::Key,
    store::{Expect, Op, Store},
    time::Timestamp,
};
use mesh_proto::cert::sha256;
use ring::rand::{SecureRandom as _, SystemRandom};

/// What every token begins with.
const PREFIX: &str = "mesh-join.v1.";
/// For so long the same key gets the same answer again: a connection that broke in the middle of a join costs nothing.
const REPEAT_MS: u64 = 10 * 60 * 1000;

/// A token as its bearer holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The name of the token object.
    pub id: ObjectName,
    secret: Digest,
    /// The fingerprint of the root, by which the bearer knows the mesh.
    pub root: Digest,
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({}, secret)", self.id)
    }
}

/// Why a token does not let a host join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The text is no token.
    #[error("not a token: {0}; it looks like mesh-join.v1.ID.SECRET.FINGERPRINT")]
    Form(&'static str),
    /// No token of this mesh has that name and secret.
    #[error("unknown token `{0}`: it was deleted, mistyped, or made in another mesh")]
    Unknown(ObjectName),
    /// It is too old.
    #[error("token `{id}` expired at {expires}, and it is {now} here: make another with `mesh token create`")]
    Expired {
        /// Which.
        id: ObjectName,
        /// When it expired.
        expires: Timestamp,
        /// The clock here.
        now: Timestamp,
    },
    /// It has been used as often as it may.
    #[error("token `{id}` was used by `{node}` at {at}: make another with `mesh token create`")]
    Used {
        /// Which.
        id: ObjectName,
        /// By whom last.
        node: ObjectName,
        /// When.
        at: Timestamp,
    },
    /// It is for other names.
    #[error("token `{id}` is for nodes named `{pattern}`, not for `{node}`")]
    Name {
        /// Which.
        id: ObjectName,
        /// Whose it is.
        pattern: String,
        /// Who came.
        node: NodeName,
    },
    /// A coordinator is replaced by an operator, not by a token.
    #[error("`{0}` is a coordinator: a token cannot take its place")]
    Coordinator(NodeName),
    /// The node that joins describes itself wrongly.
    #[error(transparent)]
    Node(#[from] SpecError),
}

impl JoinToken {
    /// Makes a new token for the mesh with this root; `None` when the system has no random numbers.
    #[must_use]
    pub fn make(root: Digest) -> Option<Self> {
        let (mut id, mut secret) = ([0_u8; 5], Digest::default());
        SystemRandom::new().fill(&mut id).ok()?;
        SystemRandom::new().fill(&mut secret.0).ok()?;
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { id: ObjectName::new(format!("t-{id}")).ok()?, secret, root })
    }

    /// The whole token as text, secret included: it is shown once.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}.{}.{}", self.id, self.secret, self.root)
    }

    /// What the store keeps instead of the secret.
    #[must_use]
    pub fn secret_hash(&self) -> Digest {
        sha256(&self.secret.0)
    }
}

impl FromStr for JoinToken {
    type Err = TokenRefusal;

    fn from_str(text: &str) -> Result<Self, TokenRefusal> {
        let rest =
            text.trim().strip_prefix(PREFIX).ok_or(TokenRefusal::Form("it does not begin with mesh-join.v1."))?;
        let mut parts = rest.split('.');
        let (Some(id), Some(secret), Some(root), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenRefusal::Form("it does not have three parts after its version"));
        };
        Ok(Self {
            id: id.parse().map_err(|_| TokenRefusal::Form("its id is no name"))?,
            secret: secret.parse().map_err(|_| TokenRefusal::Form("its secret is not 64 hex digits"))?,
            root: root.parse().map_err(|_| TokenRefusal::Form("its fingerprint is not 64 hex digits"))?,
        })
    }
}

/// Who wants to join with a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joiner {
    /// The name it wants.
    pub node: NodeName,
    /// SHA-256 of its public key.
    pub key: Digest,
}

/// What spending a token comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spent {
    /// It counts one use more.
    Now(TokenSpec),
    /// The same key spent it a moment ago: nothing is written.
    Before,
}

/// Decides whether a token lets somebody join.
///
/// # Errors
/// [`TokenRefusal`], each naming its cause.
pub fn spend(id: &ObjectName, spec: &TokenSpec, joiner: &Joiner, now: Timestamp) -> Result<Spent, TokenRefusal> {
    let node: ObjectName = joiner.node.clone().into();
    if !name_matches(&spec.nodes, joiner.node.as_str()) {
        return Err(TokenRefusal::Name { id: id.clone(), pattern: spec.nodes.clone(), node: joiner.node.clone() });
    }
    if spec.uses.iter().any(|it| it.node == node && it.key == joiner.key && it.at.age_ms(now) <= REPEAT_MS) {
        return Ok(Spent::Before);
    }
    if now >= spec.expires {
        return Err(TokenRefusal::Expired { id: id.clone(), expires: spec.expires, now });
    }
    if let Some(last) = spec.uses.last().filter(|_| spec.uses.len() >= spec.uses_max as usize) {
        return Err(TokenRefusal::Used { id: id.clone(), node: last.node.clone(), at: last.at });
    }
    let mut spent = spec.clone();
    spent.uses.push(mesh_core::kind::TokenUse { node, key: joiner.key, at: now });
    Ok(Spent::Now(spent))
}

/// What one join writes: the token spent and the node listed, both or neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Empty when the same key has joined a moment ago.
    pub ops: Vec<Op>,
    /// Which incarnation of the node this is.
    pub incarnation: u32,
    /// Whether the token makes it a router.
    pub router: bool,
    /// Who made the token: on its word the node is let in.
    pub by: Principal,
}

/// Plans a join on one state of the store; the write it makes holds on that state only.
///
/// # Errors
/// [`TokenRefusal`].
pub fn enrol(
    store: &Store,
    token: &JoinToken,
    joiner: &Joiner,
    addresses: NodeSpec,
    now: Timestamp,
) -> Result<Enrolment, TokenRefusal> {
    let unknown = || TokenRefusal::Unknown(token.id.clone());
    let key = Key::new(Kind::Token, token.id.clone());
    let object = store.get(&key).ok_or_else(unknown)?;
    let spec = parse::<TokenSpec>(&object.spec).map_err(|_| unknown())?;
    if spec.secret_hash != token.secret_hash() {
        return Err(unknown());
    }
    let node_key = Key::new(Kind::Node, joiner.node.clone());
    let before = store.get(&node_key);
    let known = before.and_then(|it| parse::<NodeSpec>(&it.spec).ok()).unwrap_or_default();
    if known.voter.is_some() {
        return Err(TokenRefusal::Coordinator(joiner.node.clone()));
    }
    let (by, router) = (spec.by.clone(), spec.roles.contains(&Role::Router));
    let spent = match spend(&token.id, &spec, joiner, now)? {
        Spent::Before => return Ok(Enrolment { ops: Vec::new(), incarnation: known.incarnation, router, by }),
        Spent::Now(spent) => spent,
    };
    let incarnation = known.incarnation.saturating_add(1);
    let node = NodeSpec {
        roles: spec.roles.iter().copied().filter(|it| *it != Role::Coordinator).collect(),
        address: addresses.address,
        api: addresses.api,
        gossip: addresses.gossip,
        incarnation,
        ..known
    };
    node.validate(&node_key.name)?;
    let expect = before.map_or(Expect::Absent, |it| Expect::At(it.revision));
    let ops = vec![
        Op::Put { key, spec: write(&spent), expect: Expect::At(object.revision) },
        Op::Put { key: node_key, spec: write(&node), expect },
    ];
    Ok(Enrolment { ops, incarnation, router, by })
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
