//! What comes in (pictures of the mesh, events, answers) and what goes out (requests); `mesh-tui` opens no connection.

use std::time::Duration;

use mesh_core::{
    id::{MeshName, NodeName, Revision},
    kind::{ActivationSpec, DrainSpec, NodeSpec},
    status::NodeView,
    time::Timestamp,
};

/// One node: what is observed of it, what is declared, and whether it is wanted out of service.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRow {
    /// What is observed.
    pub view: NodeView,
    /// What is declared.
    pub spec: NodeSpec,
    /// Its drain, when there is one.
    pub drain: Option<DrainSpec>,
}

/// A voter of the mesh as the answering agent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoterView {
    /// Its node.
    pub node: String,
    /// Milliseconds since the answering agent heard it; absent = never or unknown.
    pub heard_ms: Option<u64>,
    /// Whether the answering agent misses it.
    pub missing: bool,
}

/// Who leads and who votes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterView {
    /// The mesh; absent = not told.
    pub mesh: Option<MeshName>,
    /// The node that leads; absent = none known.
    pub leader: Option<String>,
    /// The term of that leader.
    pub term: u64,
    /// The voters.
    pub voters: Vec<VoterView>,
    /// Whether enough of them answer for a write.
    pub quorum: bool,
    /// The revision of desired state.
    pub revision: Revision,
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Severity {
    /// Part of normal life.
    #[default]
    Info,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity with a name of the wire; an unknown name is a warning, since somebody meant to say something.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "info" => Self::Info,
            "critical" => Self::Critical,
            _ => Self::Warning,
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Its number at the agent that told it.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: `KIND/NAME`.
    pub subject: String,
    /// Who did it; empty when nobody did.
    pub actor: String,
    /// What happened, in words.
    pub text: String,
}

/// A picture of nodes as one agent answered it.
#[derive(Debug, Clone, PartialEq)]
pub struct NodesPicture {
    /// The nodes.
    pub rows: Vec<NodeRow>,
    /// Whether these are all nodes; else they are those that changed, and the others stay as they were.
    pub whole: bool,
    /// When it was received, by the clock of this machine.
    pub at: Timestamp,
    /// The revision of desired state it was made from.
    pub revision: Revision,
    /// Whether it is linearizable.
    pub latest: bool,
    /// Milliseconds since the answering agent heard the leader; absent = never.
    pub leader_age_ms: Option<u64>,
}

/// The id of one question to whoever carries out requests; the answer names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ticket(pub u64);

/// What an operator may do from the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing new is sent to these nodes.
    Cordon(Vec<NodeName>),
    /// These nodes serve again.
    Uncordon(Vec<NodeName>),
    /// Nothing new, and what is in flight finishes.
    Drain(Vec<NodeName>),
    /// The previous strategy decides again.
    StrategyRollback,
}

/// How many targets of a model are left after an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetsLeft {
    /// The model.
    pub model: String,
    /// Engines in service now.
    pub before: u32,
    /// Engines in service afterwards.
    pub after: u32,
}

/// What an action would hit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BlastRadius {
    /// The nodes that would change.
    pub nodes: Vec<String>,
    /// Engines on them.
    pub engines: u32,
    /// Requests in flight there; absent = no router tells.
    pub in_flight: Option<u64>,
    /// Models that lose or win targets.
    pub targets: Vec<TargetsLeft>,
    /// What it means for the voters; absent = no voter is touched.
    pub quorum: Option<String>,
    /// What to know before, one sentence each.
    pub warnings: Vec<String>,
    /// Why the mesh would refuse it; then it cannot be confirmed.
    pub refused: Option<String>,
    /// Whether a reason must be given.
    pub reason_required: bool,
}

/// What the feed tells the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedEvent {
    /// Nodes, all or those that changed.
    Nodes(NodesPicture),
    /// Who leads and votes.
    Cluster(ClusterView),
    /// Something happened.
    Event(EventRow),
    /// Which strategy decides; absent = none was ever activated.
    Strategy(Option<ActivationSpec>),
    /// The session is up.
    Up {
        /// Which agent answers.
        endpoint: String,
    },
    /// The session is down.
    Down {
        /// Why.
        why: String,
        /// How often it was tried since the last success.
        attempt: u32,
        /// When the next attempt is.
        retry_in: Duration,
    },
    /// So many events were dropped because the screen was too slow.
    Dropped(u64),
    /// The blast radius that was asked for, or why there is none.
    Preview(Ticket, Result<BlastRadius, String>),
    /// An action is done (what changed), or failed (why, and what to type next).
    Done(Ticket, Result<String, String>),
}

/// What the screen asks of whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// What would this hit? Answered by [`FeedEvent::Preview`].
    Preview(Ticket, Action),
    /// Do it, for this reason. Answered by [`FeedEvent::Done`].
    Do(Ticket, Action, Option<String>),
}
