//! What a run would do to all hosts and to the mesh: data that can be printed, kept and compared.

use std::path::Path;

use mesh_core::id::{Digest, MeshName};
use serde::Serialize;
use serde_json::{Value, json};

use super::rules::Finding;
use crate::{
    Exit, Failure, Result, human,
    items::SCHEMA,
    output::Table,
    playbook::{HostPlan, Status},
};

/// The largest plan file, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// One host of the plan.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct HostPart {
    /// Its name.
    pub(crate) name: String,
    /// Where SSH reaches it.
    pub(crate) address: String,
    /// Its API.
    pub(crate) api: String,
    /// What it is for.
    pub(crate) roles: Vec<String>,
    /// Whether it serves already.
    pub(crate) in_service: bool,
    /// Bytes that will be sent.
    pub(crate) upload_bytes: u64,
    /// What is changed on it.
    pub(crate) plan: HostPlan,
}

/// What happens to a declared object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ObjectPart {
    /// Its name.
    pub(crate) node: String,
    /// `create`, `change` or `unchanged`.
    pub(crate) action: &'static str,
    /// What changes in it.
    pub(crate) detail: String,
    /// What it is then.
    pub(crate) spec: Value,
}

/// Everything a run would do.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FleetPlan {
    /// The mesh.
    pub(crate) mesh: MeshName,
    /// The release that will run.
    pub(crate) release: String,
    /// On whose word it is taken.
    pub(crate) signed: String,
    /// Whether the mesh is made by this run.
    pub(crate) initialize: bool,
    /// The hosts that can be changed.
    pub(crate) hosts: Vec<HostPart>,
    /// The node objects; empty when the mesh cannot be asked.
    pub(crate) objects: Vec<ObjectPart>,
    /// What speaks against it.
    pub(crate) findings: Vec<Finding>,
}

impl HostPart {
    /// How many things change.
    pub(crate) fn changes(&self) -> usize {
        self.plan.changes().map(|it| it.changes.len().max(1)).sum()
    }

    /// What happens to it, in a word.
    pub(crate) fn action(&self) -> &'static str {
        match (self.plan.is_done(), self.in_service) {
            (true, _) => "unchanged",
            (false, true) => "change",
            (false, false) => "install",
        }
    }
}

impl FleetPlan {
    /// Whether nothing is left to do.
    pub(crate) fn is_done(&self) -> bool {
        !self.initialize
            && self.hosts.iter().all(|it| it.plan.is_done())
            && self.objects.iter().all(|it| it.action == "unchanged")
    }

    /// The digest of what it would do; findings and addresses of this machine are of no account.
    pub(crate) fn digest(&self) -> Digest {
        let hosts: Vec<(&str, Digest)> = self.hosts.iter().map(|it| (it.name.as_str(), it.plan.digest())).collect();
        let what = json!({
            "mesh": self.mesh, "release": self.release, "initialize": self.initialize,
            "hosts": hosts, "objects": self.objects,
        });
        mesh_proto::cert::sha256(what.to_string().as_bytes())
    }

    /// It as a document.
    pub(crate) fn document(&self) -> Value {
        json!({
            "schema": SCHEMA,
            "kind": "bootstrap-plan",
            "digest": self.digest(),
            "changes": !self.is_done(),
            "plan": self,
        })
    }

    /// One row a host.
    pub(crate) fn summary(&self) -> Table {
        let mut table = Table::new(&["HOST", "ADDRESS", "ROLES", "ACTION", "CHANGES", "UPLOAD"]).wide(&["API"]);
        for it in &self.hosts {
            table.row(vec![
                it.name.clone(),
                it.address.clone(),
                it.roles.join(","),
                it.action().to_owned(),
                it.changes().to_string(),
                human::bytes(it.upload_bytes),
                it.api.clone(),
            ]);
        }
        table
    }

    /// One row a change.
    pub(crate) fn details(&self) -> Table {
        let mut table = Table::new(&["HOST", "STEP", "WHAT", "CHANGE"]);
        for host in &self.hosts {
            for step in host.plan.steps.iter().filter(|it| matches!(it.status, Status::Change | Status::Follow)) {
                if step.changes.is_empty() {
                    let word =
                        if step.status == Status::Follow { "runs when something before it changes" } else { "runs" };
                    table.row(vec![host.name.clone(), step.id.to_string(), String::new(), word.to_owned()]);
                }
                for change in &step.changes {
                    let what = format!("{} -> {}", or_none(&change.before), change.after);
                    table.row(vec![host.name.clone(), step.id.to_string(), change.what.clone(), what]);
                }
            }
        }
        if self.initialize {
            table.row(vec!["-".into(), "initialize".into(), format!("mesh {}", self.mesh), "none -> made".into()]);
        }
        for it in self.objects.iter().filter(|it| it.action != "unchanged") {
            table.row(vec![
                it.node.clone(),
                "declare".into(),
                format!("node/{}", it.node),
                format!("{}: {}", it.action, it.detail),
            ]);
        }
        table
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// Refuses a plan that was kept when it is not what would be done now.
pub(crate) fn compare(kept: &Path, now: &FleetPlan) -> Result<()> {
    let wrong = |exit: Exit, why: String| {
        Failure::new(exit, "the plan cannot be carried out").at(kept.display().to_string()).why(why)
    };
    let size = std::fs::metadata(kept).map_err(|error| wrong(Exit::Invalid, error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(wrong(Exit::Invalid, format!("{size} bytes are more than a plan has")));
    }
    let text = std::fs::read(kept).map_err(|error| wrong(Exit::Invalid, error.to_string()))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| wrong(Exit::Invalid, error.to_string()))?;
    if value["kind"] != "bootstrap-plan" {
        return Err(wrong(Exit::Invalid, "it is not a plan of mesh bootstrap --plan-out".to_owned()));
    }
    if value["digest"] == json!(now.digest()) {
        return Ok(());
    }
    let then = |name: &str| {
        let hosts = value["plan"]["hosts"].as_array()?;
        hosts.iter().find(|it| it["name"] == name).map(|it| it["plan"].clone())
    };
    let mut moved: Vec<String> =
        now.hosts.iter().filter(|it| then(&it.name) != Some(json!(it.plan))).map(|it| it.name.clone()).collect();
    let declared = value["plan"]["objects"].as_array();
    let is_new = |it: &&ObjectPart| declared.is_none_or(|all| !all.contains(&json!(it)));
    moved.extend(now.objects.iter().filter(is_new).map(|it| format!("what is declared of {}", it.node)));
    let where_ =
        if moved.is_empty() { "the set of hosts, the release or the mesh".to_owned() } else { moved.join(", ") };
    Err(wrong(Exit::Refused, format!("what it was made from has changed since: {where_}"))
        .coded(crate::Code::PlanStale)
        .next("mesh bootstrap with --dry-run --plan-out, and look at it again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbook::{Change, PlannedStep, StepId};

    fn plan(after: &str) -> FleetPlan {
        let step = PlannedStep {
            id: StepId("config".into()),
            status: if after.is_empty() { Status::Unchanged } else { Status::Change },
            changes: vec![Change { what: "/etc/x".into(), before: String::new(), after: after.into(), diff: None }],
            module: None,
            resume_bytes: 0,
            notified_by: Vec::new(),
            changed_when: None,
        };
        let host = HostPart {
            name: "h1".into(),
            address: "10.0.0.1".into(),
            api: "10.0.0.1:7443".into(),
            roles: vec!["gpu".into()],
            in_service: false,
            upload_bytes: 0,
            plan: HostPlan { host: "h1".into(), playbook: "bootstrap".into(), root: true, steps: vec![step] },
        };
        FleetPlan {
            mesh: MeshName::new("lab").unwrap(),
            release: "0.1.0-aa".into(),
            signed: "nobody".into(),
            initialize: false,
            hosts: vec![host],
            objects: vec![ObjectPart {
                node: "h1".into(),
                action: "unchanged",
                detail: String::new(),
                spec: json!({}),
            }],
            findings: Vec::new(),
        }
    }

    #[test]
    fn a_kept_plan_is_carried_out_only_as_long_as_it_is_true() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plan.json");
        std::fs::write(&path, plan("0640").document().to_string()).unwrap();
        compare(&path, &plan("0640")).unwrap();
        let stale = compare(&path, &plan("0600")).unwrap_err();
        assert!(stale.exit == Exit::Refused && stale.why.as_ref().unwrap().ends_with("h1"), "{stale}");
        let mut labelled = plan("0640");
        labelled.objects[0].spec = json!({"labels": {"rack": "r2"}});
        let stale = compare(&path, &labelled).unwrap_err();
        assert!(stale.why.as_ref().unwrap().ends_with("since: what is declared of h1"), "{stale}");
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(compare(&path, &plan("x")).unwrap_err().exit, Exit::Invalid);
        assert_eq!(compare(&dir.path().join("none"), &plan("x")).unwrap_err().exit, Exit::Invalid);
    }

    #[test]
    fn a_plan_says_each_change() {
        assert!(plan("").is_done());
        let it = plan("0640");
        assert!(!it.is_done());
        let text = format!("{}\n{}", it.summary().render(false, true, false), it.details().render(false, true, false));
        insta::assert_snapshot!("fleet-plan", text);
    }
}
