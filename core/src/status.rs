//! What is observed: samples a node takes of itself, and what others know of it. Unknown is `None`.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use crate::gpu::GpuSample;
use crate::{
    id::{Digest, NodeName, ObjectName, Revision},
    kind::{DrainMode, DrainSpec, EngineKind},
    time::Timestamp,
    traffic::ModelTraffic,
};

/// Where a node stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Listed, and never seen alive.
    Joining,
    /// Alive, and not yet at the mesh's revision or its engines not yet seen.
    Verifying,
    /// In service.
    Ready,
    /// Nothing new is sent to it.
    Cordoned,
    /// Nothing new, and requests in flight finish.
    Draining,
    /// Out of service and empty.
    Drained,
    /// Neither its stream nor gossip hears it.
    Lost,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Joining => "Joining",
            Self::Verifying => "Verifying",
            Self::Ready => "Ready",
            Self::Cordoned => "Cordoned",
            Self::Draining => "Draining",
            Self::Drained => "Drained",
            Self::Lost => "Lost",
        })
    }
}

/// What is seen of a node from outside, as far as it decides its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whether it was ever seen alive by whoever asks.
    pub ever: bool,
    /// Whether it is alive now.
    pub alive: bool,
    /// Whether it has applied desired state and its declared engines have been looked at.
    pub verified: bool,
}

/// The phase of a node out of what is wanted and what is seen.
#[must_use]
pub fn phase(drain: Option<&DrainSpec>, seen: Seen) -> Phase {
    match (seen.alive, seen.ever, drain) {
        (false, true, _) => Phase::Lost,
        (_, _, Some(it)) if it.drained_at.is_some() => Phase::Drained,
        (_, _, Some(it)) if it.mode == DrainMode::Drain => Phase::Draining,
        (_, _, Some(_)) => Phase::Cordoned,
        (false, false, None) => Phase::Joining,
        (true, _, None) if seen.verified => Phase::Ready,
        (true, _, None) => Phase::Verifying,
    }
}

/// A list that may be unreadable, with the reason in the reader's own words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe<T> {
    /// It was read.
    Read(T),
    /// It could not be read; the text is the source's own error.
    Unavailable(String),
}

/// Facts about the host itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostSample {
    /// Logical processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Load average over one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_1m: Option<f32>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Memory that could be had without swapping, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// Kernel release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
}

/// One engine as its agent last read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineSample {
    /// Its name on the node.
    pub name: ObjectName,
    /// Which server it is.
    pub kind: EngineKind,
    /// Where it answers.
    pub url: String,
    /// Whether it answered the last look.
    pub up: bool,
    /// Why it did not, or which part of its report is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The models it lists.
    pub models: Vec<String>,
    /// Requests in its batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<u32>,
    /// Requests waiting in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u32>,
    /// Share of its KV cache in use, 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv_used: Option<f32>,
    /// Requests it runs at once, declared or told by the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<f32>,
    /// Age of these numbers in milliseconds when the status was made.
    pub age_ms: u32,
}

/// Requests a router has in flight at one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InflightSample {
    /// The node.
    pub node: NodeName,
    /// The engine on it.
    pub engine: ObjectName,
    /// The model.
    pub model: String,
    /// How many.
    pub count: u32,
    /// Age of the oldest in milliseconds.
    pub oldest_ms: u64,
}

/// The strategy a router runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedStrategy {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The digest of the module; absent for a built-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The activation it came with.
    pub seq: u64,
    /// Why the wanted one is not running, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Decisions of one strategy with one outcome, since the router started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionCount {
    /// The strategy's name.
    pub strategy: String,
    /// Its version.
    pub version: String,
    /// `ok`, `abstain`, `not_ready`, `trap`, `fuel`, `epoch` or `invalid`.
    pub outcome: String,
    /// How many.
    pub count: u64,
}

/// What a router says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouterSample {
    /// Where clients reach it.
    pub listen: String,
    /// Where its metrics are.
    pub metrics: String,
    /// The revision whose cordons every worker has taken in.
    pub acked: Revision,
    /// What is in flight, by target.
    pub inflight: Vec<InflightSample>,
    /// Requests in line.
    pub queued: u32,
    /// The strategy that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<LoadedStrategy>,
    /// Who decided how often.
    pub decisions: Vec<DecisionCount>,
    /// What went through it, by model.
    #[serde(default)]
    pub traffic: Vec<ModelTraffic>,
    /// Age of this report in milliseconds when the status was made.
    pub age_ms: u32,
}

/// All a node says of itself at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Who speaks.
    pub node: NodeName,
    /// `incarnation << 32 | boot counter`: a higher one replaces a lower one.
    pub generation: u64,
    /// The release.
    pub version: String,
    /// SHA-256 of the running executable.
    pub digest: Digest,
    /// The revision of desired state it has applied.
    pub applied: Revision,
    /// The host.
    pub host: HostSample,
    /// Its GPUs, or why they cannot be read.
    pub gpus: Probe<Vec<GpuSample>>,
    /// Its engines.
    pub engines: Vec<EngineSample>,
    /// Its router, when it has one that has reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<RouterSample>,
    /// Nodes whose stream to this node (a coordinator) is broken.
    pub unreachable: Vec<NodeName>,
}

/// What somebody knows of a node: the newest statement and how fresh it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// The node.
    pub node: NodeName,
    /// Its phase.
    pub phase: Phase,
    /// Since when it has been in this phase, as far as the answering agent saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Its newest statement; absent = never heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<NodeStatus>,
    /// Age of that statement in milliseconds; absent = never heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// What stands in the way of its drain, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<String>,
}
