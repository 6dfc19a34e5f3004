//! `unit`: a systemd unit with its text and state; restarted when what it has read is not what is there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Input, Part, Way, check_path,
    file::{sha256, text_change},
    may, must, text,
};

pub(super) const FORM: Form = Form {
    name: "unit",
    args: &[
        must("name"),
        text("content"),
        may("dir"),
        may("enabled"),
        may("state"),
        may("inputs"),
        may("exe"),
        may("stamp"),
        may("timeout"),
    ],
};

/// A systemd unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unit {
    /// NAME.service and the like.
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    #[serde(default = "dir")]
    pub(crate) dir: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<Running>,
    /// Files that it reads when it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) inputs: Vec<String>,
    /// The program that it must be running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exe: Option<String>,
    /// Keeps the digest of the inputs that it was started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stamp: Option<String>,
    /// How long it may take to start.
    #[serde(default = "timeout_s", rename = "timeout", with = "super::seconds")]
    pub(crate) timeout_s: u64,
}

/// Whether something is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Running {
    /// It runs, with what is there now.
    Started,
    /// It is started again: for handlers.
    Restarted,
    /// It does not run.
    Stopped,
    /// It does not run and its text is gone.
    Absent,
}

fn dir() -> String {
    "/etc/systemd/system".to_owned()
}
pub(super) fn timeout_s() -> u64 {
    90
}

/// A unit name that no shell, no path and no option parser can misread.
pub(super) fn check_unit(name: &str) -> Result<(), String> {
    let (stem, suffix) = name.rsplit_once('.').unwrap_or((name, ""));
    let legal = !stem.is_empty()
        && !stem.starts_with('-')
        && stem.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-@.:".contains(&c))
        && ["service", "socket", "timer", "target", "path", "slice"].contains(&suffix);
    if legal { Ok(()) } else { Err(format!("`{name}` is not the name of a unit, like mesh-agentd.service")) }
}

impl Unit {
    fn path(&self) -> String {
        format!("{}/{}", self.dir, self.name)
    }

    /// Everything whose change makes a restart necessary.
    fn watched(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().chain(&self.exe).map(String::as_str)
    }

    /// Why it must be started (again).
    fn start_reason(&self, found: &Found<'_>, text_changes: bool) -> Option<&'static str> {
        let is_active = found.get("ActiveState") == Some("active");
        if self.state == Some(Running::Restarted) {
            return Some(if is_active { "running" } else { "not running" });
        }
        if !is_active {
            return Some("not running");
        }
        if text_changes || found.touches(self.watched()) {
            return Some("running with what was there before");
        }
        if found.get("exe") == Some("other") {
            return Some("running another program than the installed one");
        }
        if self.stamp.is_some() && found.get("inputs") == Some("other") {
            return Some("running with what was there before");
        }
        None
    }

    fn gone(&self, found: &Found<'_>, mut diff: Diff) -> Diff {
        let is_loaded = !matches!(found.get("LoadState"), None | Some("not-found"));
        let is_running = !matches!(found.get("ActiveState"), None | Some("inactive" | "failed"));
        if is_running {
            diff.add(&self.name, "running", "stopped");
        }
        if self.state == Some(Running::Absent)
            && (found.get("file").is_some() || found.get("link").is_some() || is_loaded)
        {
            diff.add(&self.path(), "unit", "absent");
        }
        diff
    }
}

impl Part for Unit {
    fn target(&self) -> String {
        self.name.clone()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        check_unit(&self.name)?;
        check_path("dir", &self.dir)?;
        self.inputs.iter().try_for_each(|it| check_path("inputs", it))?;
        self.exe.iter().try_for_each(|it| check_path("exe", it))?;
        self.stamp.iter().try_for_each(|it| check_path("stamp", it))?;
        if !self.inputs.is_empty() && self.stamp.is_none() {
            return Err("`inputs` needs a `stamp`, the file that keeps what it was started with".to_owned());
        }
        Ok(())
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        let wanted = self.content.as_ref().map_or_else(|| "-".to_owned(), |it| sha256(it.as_bytes()).to_string());
        let mut script = call("q_unit", [step, &self.name]);
        script.push_str(&call("q_path", [step, &self.path(), &wanted, "65536"]));
        if let Some(exe) = &self.exe {
            let main = format!("\"$(unit_get {} MainPID)\"", call("", [self.name.as_str()]).trim());
            script.push_str(&format!(
                "q_exe {} {main} {}",
                call("", [step]).trim(),
                call("", [exe.as_str()]).trim_start()
            ));
        }
        if let Some(stamp) = &self.stamp {
            let fixed = [step, stamp.as_str()];
            script.push_str(&call("q_inputs", fixed.into_iter().chain(self.inputs.iter().map(String::as_str))));
        }
        Ok(script)
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        if found.get("nosystemd").is_some() {
            return Err(format!("this host has no running systemd for {}", self.name));
        }
        if matches!(self.state, Some(Running::Stopped | Running::Absent)) {
            return Ok(self.gone(found, diff));
        }
        if let Some(content) = &self.content {
            let has = found.get("file").and_then(|it| it.split(' ').nth(3));
            if has != Some(sha256(content.as_bytes()).to_string().as_str()) {
                diff.changes.push(text_change(&self.path(), found, content));
            }
        }
        let text_changes = !diff.changes.is_empty();
        if let Some(wanted) = self.enabled {
            let has = found.get("UnitFileState").unwrap_or_default();
            let has_it = has == "enabled";
            if has_it != wanted && has != "static" {
                let word = |it: bool| if it { "starts at boot" } else { "does not start at boot" };
                diff.add(&self.name, word(has_it), word(wanted));
            }
        }
        if matches!(self.state, Some(Running::Started | Running::Restarted))
            && let Some(before) = self.start_reason(found, text_changes)
        {
            diff.add(&self.name, before, if before == "not running" { "running" } else { "restarted" });
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, step: &PlannedStep) -> Result<Way, String> {
        let limit = self.timeout_s.to_string();
        let mut act = Act::new("");
        act.timeout = Duration::from_secs(self.timeout_s + 30);
        if matches!(self.state, Some(Running::Stopped | Running::Absent)) {
            act.script.push_str(&call("do_stop_unit", [self.name.as_str(), &limit]));
            if self.state == Some(Running::Absent) {
                act.script.push_str(&call("do_nounit", [self.name.as_str(), &self.path()]));
            }
            return Ok(Way::Act(act));
        }
        let changes = |word: &str| step.changes.iter().any(|it| it.after == word);
        if let Some(content) = &self.content
            && step.changes.iter().any(|it| it.what == self.path())
        {
            let (sha, size) = (sha256(content.as_bytes()).to_string(), content.len().to_string());
            act.script.push_str(&call("do_unit_file", [self.path().as_str(), &self.name, &sha, &size]));
            act.input.push(Input::Bytes(content.clone().into_bytes()));
        }
        for (change, verb) in [("starts at boot", "enable"), ("does not start at boot", "disable")] {
            if changes(change) {
                let line = call(&format!("systemctl {verb}"), [self.name.as_str()]);
                act.script.push_str(&format!("{} || die failed 'systemctl {verb} fails'\n", line.trim_end()));
            }
        }
        let runs = changes("running") || changes("restarted") || (step.changes.is_empty() && self.state.is_some());
        if runs {
            let verb = if changes("running") { "start" } else { "restart" };
            let fixed = [self.name.as_str(), verb, &limit, self.stamp.as_deref().unwrap_or_default()];
            act.script.push_str(&call("do_unit", fixed.into_iter().chain(self.inputs.iter().map(String::as_str))));
        }
        Ok(Way::Act(act))
    }

    fn makes(&self) -> Vec<String> {
        let text = self.content.as_ref().map(|_| self.path());
        text.into_iter().chain(self.stamp.clone()).collect()
    }
}
