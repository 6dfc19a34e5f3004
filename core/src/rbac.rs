//! Who may do what: one table of rules, one table of RPCs, and a decision that can explain itself.

mod table;

use std::{collections::BTreeSet, fmt};

use bytes::Bytes;

pub use self::table::{RPCS, RULES, Rpc, Rule};
use crate::{
    id::{ObjectName, PartyKind, Principal, Revision},
    kind::{self, BindingSpec, Kind, OperatorRole, RevocationSpec},
    object::Key,
    store::Store,
};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Looks once.
    Read,
    /// Looks on.
    Watch,
    /// Declares or uploads.
    Write,
    /// Removes.
    Delete,
    /// Makes the first coordinators into a mesh.
    Initialize,
    /// Becomes a member with a token.
    Enroll,
    /// Gets a new certificate for itself.
    Renew,
    /// States what it observes of itself.
    Report,
    /// Keeps a replica of desired state.
    Follow,
    /// Takes part in consensus; that the caller is a voter is checked by the handler.
    Vote,
}

impl Verb {
    /// Its name in texts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Watch => "watch",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Initialize => "initialize",
            Self::Enroll => "enroll",
            Self::Renew => "renew",
            Self::Report => "report",
            Self::Follow => "follow",
            Self::Vote => "vote",
        }
    }
}

/// What it is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// Declared objects of any kind. In a question: the kind is not known yet, some kind must be allowed.
    Objects,
    /// Declared objects of one kind.
    Kind(Kind),
    /// Observed state of the fleet, and events.
    Fleet,
    /// The mesh as a whole: who leads, who votes.
    Mesh,
    /// What a node measures.
    Signals,
    /// Content-addressed bytes: strategies.
    Blobs,
    /// Certificates.
    Certificates,
    /// The keys of the gossip transport.
    GossipKeys,
    /// A router's statement to the agent of its host.
    RouterReports,
    /// The raft log.
    Log,
    /// What the daemons of a node wrote.
    Logs,
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Objects => "objects",
            Self::Kind(kind) => kind.plural(),
            Self::Fleet => "fleet",
            Self::Mesh => "mesh",
            Self::Signals => "signals",
            Self::Blobs => "blobs",
            Self::Certificates => "certificates",
            Self::GossipKeys => "gossip keys",
            Self::RouterReports => "router reports",
            Self::Log => "log",
            Self::Logs => "logs",
        })
    }
}

/// What a caller is to the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Showed no certificate.
    Anonymous,
    /// A node or router whose certificate has ended.
    Late,
    /// An operator certificate while the mesh has no state yet.
    Founder,
    /// An operator whom no binding names.
    Unbound,
    /// Looks.
    Viewer,
    /// Does the daily work.
    Operator,
    /// Does everything operators can.
    Admin,
    /// An agent.
    Node,
    /// A router.
    Router,
}

impl Role {
    /// All of them, for tables.
    pub const ALL: &[Self] = &[
        Self::Anonymous,
        Self::Late,
        Self::Founder,
        Self::Unbound,
        Self::Viewer,
        Self::Operator,
        Self::Admin,
        Self::Node,
        Self::Router,
    ];

    /// Its name in texts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Late => "expired certificate",
            Self::Founder => "operator of a mesh without state",
            Self::Unbound => "no binding",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Node => "node",
            Self::Router => "router",
        }
    }
}

/// The entry of an RPC; a path without one must not reach a handler.
#[must_use]
pub fn rpc_of(path: &str) -> Option<&'static Rpc> {
    RPCS.binary_search_by(|it| it.path.cmp(path)).ok().map(|at| &RPCS[at])
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The identity; `None` when no certificate was shown.
    pub id: Option<Principal>,
    /// What it is to the mesh.
    pub role: Role,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What is to be done.
    pub verb: Verb,
    /// To what.
    pub thing: Thing,
    /// To which one; `None` while it is not known.
    pub name: Option<&'a ObjectName>,
}

impl fmt::Display for Ask<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.thing, self.name) {
            (Thing::Kind(kind), Some(name)) => write!(f, "{} {kind}/{name}", self.verb.as_str()),
            (thing, Some(name)) => write!(f, "{} {thing} of {name}", self.verb.as_str()),
            (thing, None) => write!(f, "{} {thing}", self.verb.as_str()),
        }
    }
}

/// The one thing a rule lacks to allow what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// The rule allows it for what carries the caller's own name only.
    Name,
    /// The rule allows the verb, but on other things.
    Thing,
    /// The rule allows other verbs on the thing.
    Verb,
    /// The rule is about other verbs and other things.
    Both,
}

/// A refusal that says what is nearest to an allowance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("denied: {caller} ({role}) may not {asked}: {why}", role = role.as_str())]
pub struct Denial {
    /// Who asked.
    pub caller: String,
    /// The role it has.
    pub role: Role,
    /// What it asked.
    pub asked: String,
    /// The nearest rule of that role and what it lacks, and who may.
    pub why: String,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// This rule allows it.
    Allow(&'static Rule),
    /// No rule does.
    Deny(Denial),
}

/// Decides a question by the table.
#[must_use]
pub fn decide(caller: &Caller, ask: &Ask<'_>) -> Decision {
    let mut nearest: Option<(Missing, &Rule)> = None;
    for rule in RULES.iter().filter(|it| it.roles.contains(&caller.role)) {
        match missing(rule, caller, ask) {
            None => return Decision::Allow(rule),
            Some(missing) if nearest.is_none_or(|(known, _)| missing < known) => nearest = Some((missing, rule)),
            Some(_) => {}
        }
    }
    Decision::Deny(deny(caller, ask, nearest))
}

fn missing(rule: &Rule, caller: &Caller, ask: &Ask<'_>) -> Option<Missing> {
    let thing = rule.things.iter().any(|it| covers(*it, ask.thing));
    match (thing, rule.verbs.contains(&ask.verb)) {
        (true, true) if !rule.own || ask.name.is_none() || ask.name == caller.id.as_ref().map(|it| &it.name) => None,
        (true, true) => Some(Missing::Name),
        (false, true) => Some(Missing::Thing),
        (true, false) => Some(Missing::Verb),
        (false, false) => Some(Missing::Both),
    }
}

fn covers(rule: Thing, asked: Thing) -> bool {
    match (rule, asked) {
        (Thing::Objects, Thing::Kind(_)) | (Thing::Kind(_), Thing::Objects) => true,
        (rule, asked) => rule == asked,
    }
}

fn deny(caller: &Caller, ask: &Ask<'_>, nearest: Option<(Missing, &'static Rule)>) -> Denial {
    let lack = match nearest {
        Some((Missing::Name, rule)) => {
            format!("rule `{}` is nearest and allows it for what carries the caller's own name", rule.id)
        }
        Some((Missing::Thing, rule)) => {
            format!("rule `{}` is nearest and allows {} on {}", rule.id, ask.verb.as_str(), list(rule.things))
        }
        Some((Missing::Verb, rule)) => {
            format!("rule `{}` is nearest and lacks the verb {}", rule.id, ask.verb.as_str())
        }
        Some((Missing::Both, rule)) => format!("rule `{}` is nearest and is about other things", rule.id),
        None => "no rule is about this role".to_owned(),
    };
    let able =
        |role: &&Role| RULES.iter().any(|it| !it.own && it.roles.contains(*role) && missing(it, caller, ask).is_none());
    let holders: Vec<&str> =
        Role::ALL.iter().filter(able).map(|it| it.as_str()).filter(|it| *it != caller.role.as_str()).collect();
    let why = if holders.is_empty() { lack } else { format!("{lack}; who may: {}", holders.join(", ")) };
    let name = caller.id.as_ref().map_or_else(|| "a caller without a certificate".to_owned(), |it| format!("`{it}`"));
    Denial { caller: name, role: caller.role, asked: ask.to_string(), why }
}

fn list(things: &[Thing]) -> String {
    things.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The role of an identity in a mesh with this desired state.
#[must_use]
pub fn role_of(id: Option<&Principal>, store: &Store) -> Role {
    let Some(id) = id else {
        return Role::Anonymous;
    };
    match id.kind {
        PartyKind::Node => Role::Node,
        PartyKind::Router => Role::Router,
        PartyKind::Operator => match binding(store, &id.name) {
            Some(OperatorRole::Admin) => Role::Admin,
            Some(OperatorRole::Operator) => Role::Operator,
            Some(OperatorRole::Viewer) => Role::Viewer,
            None if store.revision() == Revision(0) => Role::Founder,
            None => Role::Unbound,
        },
    }
}

fn binding(store: &Store, name: &ObjectName) -> Option<OperatorRole> {
    let object = store.get(&Key::new(Kind::Binding, name.clone()))?;
    kind::parse::<BindingSpec>(&object.spec).ok().map(|it| it.role)
}

/// The identities that are refused everywhere.
#[must_use]
pub fn revoked(store: &Store) -> BTreeSet<Principal> {
    let specs = store.list(Kind::Revocation).filter_map(|it| kind::parse::<RevocationSpec>(&it.spec).ok());
    specs.map(|it| it.id).collect()
}

/// Whether a change leaves an admin who is not revoked, or there was none before. `None` as a spec means removal.
#[must_use]
pub fn keeps_an_admin(store: &Store, changes: &[(Key, Option<Bytes>)]) -> bool {
    let before = admins(store, &[]);
    before == 0 || admins(store, changes) > 0
}

fn admins(store: &Store, changes: &[(Key, Option<Bytes>)]) -> usize {
    let after = |kind: Kind| {
        let kept = store
            .list(kind)
            .filter(|it| changes.iter().all(|(key, _)| *key != it.key))
            .map(|it| (it.key.name.clone(), it.spec.clone()));
        let new = changes.iter().filter(move |(key, _)| key.kind == kind);
        kept.chain(new.filter_map(|(key, spec)| spec.as_ref().map(|spec| (key.name.clone(), spec.clone()))))
            .collect::<Vec<_>>()
    };
    let revoked: BTreeSet<ObjectName> = after(Kind::Revocation)
        .iter()
        .filter_map(|(_, spec)| kind::parse::<RevocationSpec>(spec).ok())
        .filter(|it| it.id.kind == PartyKind::Operator)
        .map(|it| it.id.name)
        .collect();
    let admin = |spec: &Bytes| kind::parse::<BindingSpec>(spec).is_ok_and(|it| it.role == OperatorRole::Admin);
    after(Kind::Binding).iter().filter(|(name, spec)| admin(spec) && !revoked.contains(name)).count()
}

#[cfg(test)]
mod tests;
