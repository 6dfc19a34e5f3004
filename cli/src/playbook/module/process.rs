//! `process`: the supervisor of a host without systemd, and the programs that it keeps running.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, check_owner, check_path, may, must,
    unit::Running,
};

pub(super) const FORM: Form = Form {
    name: "process",
    args: &[
        must("tool"),
        must("config"),
        must("pid_file"),
        must("log"),
        may("run_dir"),
        may("user"),
        may("runs"),
        may("inputs"),
        may("stamp"),
        may("state"),
        may("timeout"),
    ],
};

/// A supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Process {
    /// The `mesh-agentd` that supervises.
    pub(crate) tool: String,
    /// Its configuration.
    pub(crate) config: String,
    /// The pid file that the configuration names.
    pub(crate) pid_file: String,
    /// Where its own log goes.
    pub(crate) log: String,
    /// The directory with the pid files of its processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run_dir: Option<String>,
    /// The user it runs as, unless it is the one who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// The programs that must be running, by the name of their process.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) runs: BTreeMap<String, String>,
    /// Files that are read at its start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inputs: Vec<String>,
    /// Keeps the digest of the inputs it was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stamp: Option<String>,
    #[serde(default = "state")]
    pub(crate) state: Running,
    /// How long its processes may take to stop.
    #[serde(default = "super::unit::timeout_s", rename = "timeout", with = "super::seconds")]
    pub(crate) timeout_s: u64,
}

fn state() -> Running {
    Running::Started
}

impl Process {
    fn watched(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().chain(self.runs.values()).map(String::as_str).chain([self.config.as_str()])
    }

    fn start_reason(&self, found: &Found<'_>) -> Option<&'static str> {
        let is_up = found.get("up").is_some();
        if self.state == Running::Restarted || !is_up {
            return Some(if is_up { "running" } else { "not running" });
        }
        if found.all("exe").any(|it| it == "other") {
            return Some("running another program than the installed one");
        }
        let is_stale = self.stamp.is_some() && found.get("inputs") == Some("other");
        (is_stale || found.touches(self.watched())).then_some("running with what was there before")
    }
}

impl Part for Process {
    fn target(&self) -> String {
        self.config.clone()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        for (name, path) in
            [("tool", &self.tool), ("config", &self.config), ("pid_file", &self.pid_file), ("log", &self.log)]
        {
            check_path(name, path)?;
        }
        self.inputs.iter().chain(self.runs.values()).try_for_each(|it| check_path("inputs", it))?;
        self.stamp.iter().chain(&self.run_dir).try_for_each(|it| check_path("stamp", it))?;
        self.user.as_deref().map_or(Ok(()), check_owner)?;
        self.runs.keys().try_for_each(|it| check_owner(it))?;
        if !self.runs.is_empty() && self.run_dir.is_none() {
            return Err("`runs` needs `run_dir`, where the pid files are".to_owned());
        }
        Ok(())
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        let starts = if self.state == Running::Started { "starts" } else { "" };
        let mut script = call("q_process", [step, &self.pid_file, &self.config, starts]);
        for (name, exe) in &self.runs {
            let pid_file = format!("{}/{name}.pid", self.run_dir.as_deref().unwrap_or_default());
            let words = |it: &str| call("", [it]).trim().to_owned();
            let pid = format!("\"$(number {})\"", words(&pid_file));
            script.push_str(&format!("q_exe {} {pid} {}\n", words(step), words(exe)));
        }
        if let Some(stamp) = &self.stamp {
            let fixed = [step, stamp.as_str()];
            script.push_str(&call("q_inputs", fixed.into_iter().chain(self.inputs.iter().map(String::as_str))));
        }
        Ok(script)
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        if matches!(self.state, Running::Stopped | Running::Absent) {
            if found.get("up").is_some() {
                diff.add(&self.config, "running", "stopped");
            }
        } else if let Some(before) = self.start_reason(found) {
            diff.add(&self.config, before, if before == "not running" { "running" } else { "restarted" });
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        let limit = self.timeout_s.to_string();
        let mut act = Act::new(call("do_stop_process", [self.pid_file.as_str(), &self.config, &limit]));
        act.timeout = Duration::from_secs(self.timeout_s + 40);
        if matches!(self.state, Running::Started | Running::Restarted) {
            let stamp = self.stamp.as_deref().unwrap_or_default();
            let user = self.user.as_deref().unwrap_or_default();
            let fixed = [self.tool.as_str(), &self.config, &self.pid_file, &self.log, user, stamp];
            act.script.push_str(&call("do_process", fixed.into_iter().chain(self.inputs.iter().map(String::as_str))));
        }
        Ok(Way::Act(act))
    }

    fn makes(&self) -> Vec<String> {
        self.stamp.clone().into_iter().chain([self.log.clone()]).collect()
    }
}
