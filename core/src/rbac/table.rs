//! The two tables: rules by role, and every RPC with what it does.

use super::{
    Role::{self, Admin, Anonymous, Founder, Late, Node, Operator, Router, Viewer},
    Thing::{self, Blobs, Certificates, Fleet, GossipKeys, Log, Logs, Mesh, Objects, RouterReports, Signals},
    Verb::{self, Delete, Enroll, Follow, Initialize, Read, Renew, Report, Vote, Watch, Write},
};
use crate::kind::Kind;

/// One line of the table: these roles may do these verbs to these things.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name in texts.
    pub id: &'static str,
    pub(super) roles: &'static [Role],
    pub(super) verbs: &'static [Verb],
    pub(super) things: &'static [Thing],
    /// Whether only what carries the caller's own name.
    pub(super) own: bool,
}

const fn rule(id: &'static str, roles: &'static [Role], verbs: &'static [Verb], things: &'static [Thing]) -> Rule {
    Rule { id, roles, verbs, things, own: false }
}

/// Every rule. What no rule allows is denied.
pub const RULES: &[Rule] = &[
    rule(
        "members-look",
        &[Viewer, Operator, Admin, Node, Router],
        &[Read, Watch],
        &[Objects, Fleet, Mesh, Signals, Blobs],
    ),
    rule(
        "operators-work",
        &[Operator, Admin],
        &[Write, Delete],
        &[
            Thing::Kind(Kind::Node),
            Thing::Kind(Kind::Drain),
            Thing::Kind(Kind::Strategy),
            Thing::Kind(Kind::Activation),
            Blobs,
        ],
    ),
    // Logs name people, addresses and paths: more than who only looks must know.
    rule("operators-read-logs", &[Operator, Admin], &[Watch], &[Logs]),
    rule("admins-govern", &[Admin], &[Write, Delete], &[Objects]),
    rule("founders-initialize", &[Founder, Admin], &[Initialize], &[Mesh]),
    rule("founders-look", &[Founder], &[Read], &[Mesh]),
    Rule {
        id: "nodes-write-themselves",
        roles: &[Node],
        verbs: &[Write],
        things: &[Thing::Kind(Kind::Node)],
        own: true,
    },
    rule("nodes-follow", &[Node], &[Follow], &[Objects]),
    rule("coordinators-agree", &[Node], &[Vote], &[Log]),
    // That the node is a coordinator is checked by the handler.
    rule("coordinators-copy", &[Node], &[Write], &[Blobs]),
    rule("nodes-gossip", &[Node], &[Read], &[GossipKeys]),
    Rule { id: "routers-report", roles: &[Router], verbs: &[Report], things: &[RouterReports], own: true },
    rule("members-renew", &[Viewer, Operator, Admin, Node, Router, Late], &[Renew], &[Certificates]),
    rule("strangers-enroll", &[Anonymous], &[Enroll], &[Certificates]),
];

/// One RPC and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rpc {
    /// Its path on the wire.
    pub path: &'static str,
    /// What it does.
    pub verb: Verb,
    /// To what; handlers that learn kind and name only from the request ask again with them.
    pub thing: Thing,
}

const fn rpc(path: &'static str, verb: Verb, thing: Thing) -> Rpc {
    Rpc { path, verb, thing }
}

/// Every RPC of `mesh.v1`; a test holds it against the descriptors in both directions.
pub const RPCS: &[Rpc] = &[
    rpc("/mesh.v1.Blobs/Get", Read, Blobs),
    rpc("/mesh.v1.Blobs/Put", Write, Blobs),
    rpc("/mesh.v1.Blobs/Stat", Read, Blobs),
    rpc("/mesh.v1.Fleet/Cluster", Read, Mesh),
    rpc("/mesh.v1.Fleet/Events", Watch, Fleet),
    rpc("/mesh.v1.Fleet/Initialize", Initialize, Mesh),
    rpc("/mesh.v1.Fleet/Nodes", Read, Fleet),
    rpc("/mesh.v1.Fleet/WatchNodes", Watch, Fleet),
    rpc("/mesh.v1.Join/CreateToken", Write, Thing::Kind(Kind::Token)),
    rpc("/mesh.v1.Join/Enroll", Enroll, Certificates),
    rpc("/mesh.v1.Join/GossipKeys", Read, GossipKeys),
    rpc("/mesh.v1.Join/Renew", Renew, Certificates),
    rpc("/mesh.v1.Logs/Read", Watch, Logs),
    rpc("/mesh.v1.Objects/Apply", Write, Objects),
    rpc("/mesh.v1.Objects/Delete", Delete, Objects),
    rpc("/mesh.v1.Objects/Follow", Follow, Objects),
    rpc("/mesh.v1.Objects/List", Read, Objects),
    rpc("/mesh.v1.Objects/Watch", Watch, Objects),
    rpc("/mesh.v1.Raft/Append", Vote, Log),
    rpc("/mesh.v1.Raft/Forward", Vote, Log),
    rpc("/mesh.v1.Raft/ReadIndex", Vote, Log),
    rpc("/mesh.v1.Raft/Snapshot", Vote, Log),
    rpc("/mesh.v1.Raft/TransferLeader", Vote, Log),
    rpc("/mesh.v1.Raft/Vote", Vote, Log),
    rpc("/mesh.v1.RouterLink/Report", Report, RouterReports),
    rpc("/mesh.v1.Signals/Watch", Watch, Signals),
];
