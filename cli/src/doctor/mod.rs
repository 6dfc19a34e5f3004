//! What is wrong with a mesh, why, and the next command: decided out of one picture, without asking anybody.

mod clocks;
mod here;
mod mesh;
mod nodes;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use mesh_core::{
    id::{NodeName, Principal, Revision},
    time::Timestamp,
};
use mesh_tui::{ClusterView, NodeRow};
use serde::Serialize;

pub(crate) use self::clocks::Clock;
use crate::Failure;

/// Everything that is looked at.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The time of this machine.
    pub(crate) now: Timestamp,
    /// Whether `mesh up` made the mesh on this machine.
    pub(crate) is_local: bool,
    /// What on this machine could not be used at all.
    pub(crate) broken: Vec<Failure>,
    /// The operator's certificate.
    pub(crate) certificate: Option<Certificate>,
    /// The file system that holds the operator's files, and a local mesh.
    pub(crate) disk: Option<Disk>,
    /// The agents of the context, asked one by one.
    pub(crate) doors: Vec<DoorView>,
    /// The coordinators, as the best informed agent sees them.
    pub(crate) cluster: Option<ClusterView>,
    /// The clocks of the nodes that answered.
    pub(crate) clocks: Vec<Clock>,
    /// A revision that was agreed more than a second before the nodes were looked at.
    pub(crate) settled: Revision,
    /// The nodes; none when nobody told.
    pub(crate) nodes: Option<Vec<NodeRow>>,
}

/// The operator's certificate.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// Whose it is.
    pub(crate) me: Principal,
    /// Since when it holds.
    pub(crate) not_before: Timestamp,
    /// Until when.
    pub(crate) not_after: Timestamp,
}

/// A file system.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    /// A directory on it.
    pub(crate) path: String,
    /// What may still be written, in bytes.
    pub(crate) free_bytes: u64,
    /// All of it, in bytes.
    pub(crate) total_bytes: u64,
}

/// An agent of the context, asked by itself.
#[derive(Debug, Clone)]
pub(crate) struct DoorView {
    /// Its node.
    pub(crate) node: NodeName,
    /// Where it should answer.
    pub(crate) api: SocketAddr,
    /// Why it did not; none when it answered.
    pub(crate) refusal: Option<Refused>,
}

/// Why an agent did not answer.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// In its words, or those of the network.
    pub(crate) why: String,
    /// Whether one of the two was not who the other expected, or may not ask.
    pub(crate) is_identity: bool,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Something does not work.
    Error,
    /// Something will not work, or works less well than it should.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// How much it matters.
    pub(crate) severity: Severity,
    /// What it is about: `node/node-2`, `mesh`, `credentials`.
    pub(crate) subject: String,
    /// What is wrong.
    pub(crate) what: String,
    /// Why, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// The next command to type.
    pub(crate) next: String,
}

impl Severity {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Finding {
    fn new(severity: Severity, subject: impl Into<String>, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { severity, subject: subject.into(), what: what.into(), why: None, next: next.into() }
    }

    fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }
}

/// Everything that is wrong, the worst first; among equals what causes others comes before what it causes.
pub(crate) fn diagnose(picture: &Picture) -> Vec<Finding> {
    let mut findings = here::findings(picture);
    findings.extend(mesh::findings(picture));
    findings.extend(clocks::findings(picture));
    if let Some(rows) = &picture.nodes {
        findings.extend(nodes::findings(picture, rows));
    }
    // Stable: causes were found first.
    findings.sort_by_key(|finding| finding.severity);
    findings
}

/// The command that starts a node of this mesh again, or says what is wrong with it.
fn revive(picture: &Picture, node: &str) -> String {
    match picture.is_local {
        true => format!("mesh up {node}"),
        false => format!("mesh describe node {node}; on its host: systemctl status mesh-agentd"),
    }
}
