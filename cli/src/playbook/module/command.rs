//! `command`: a script of one's own, for what no module does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, check_path, may, shell,
};

pub(super) const FORM: Form = Form {
    name: "command",
    args: &[
        shell("run", true),
        may("args"),
        may("creates"),
        shell("unless", false),
        may("changed_when"),
        may("timeout"),
    ],
};

/// A script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    pub(crate) run: String,
    /// `$1`, `$2`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) args: Vec<String>,
    /// It is done when this path is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) creates: Option<String>,
    /// It is done when this script ends with 0; it must only look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unless: Option<String>,
    #[serde(default = "timeout_s", rename = "timeout", with = "super::seconds")]
    pub(crate) timeout_s: u64,
}

fn timeout_s() -> u64 {
    60
}

impl Part for Command {
    fn target(&self) -> String {
        let line = self.run.lines().find(|it| !it.trim().is_empty()).unwrap_or_default().trim();
        line.chars().take(60).collect()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        self.creates.as_deref().map_or(Ok(()), |it| check_path("creates", it))
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        let word = |it: &'_ Option<String>| it.clone().unwrap_or_default();
        Ok(call("q_command", [step, &word(&self.creates), &word(&self.unless)]))
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        if found.get("met").is_none() {
            diff.add(&self.target(), "not run", "run");
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        let limit = self.timeout_s.to_string();
        let (creates, unless) =
            (self.creates.as_deref().unwrap_or_default(), self.unless.as_deref().unwrap_or_default());
        let fixed = [self.run.as_str(), &limit, creates, unless];
        let mut act = Act::new(call("do_command", fixed.into_iter().chain(self.args.iter().map(String::as_str))));
        act.timeout = Duration::from_secs(self.timeout_s + 15);
        Ok(Way::Act(act))
    }
}
