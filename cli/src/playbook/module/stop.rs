//! `stop`: ends a unit or a supervisor, also one that is started again and again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, check_path, may,
    unit::check_unit,
};

pub(super) const FORM: Form =
    Form { name: "stop", args: &[may("unit"), may("pid_file"), may("config"), may("deadline")] };

/// What is ended: a unit, or the supervisor of a pid file and a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pid_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<String>,
    #[serde(default = "deadline_s", rename = "deadline", with = "super::seconds")]
    pub(crate) deadline_s: u64,
}

fn deadline_s() -> u64 {
    30
}

impl Part for Stop {
    fn target(&self) -> String {
        self.unit.clone().or_else(|| self.config.clone()).unwrap_or_default()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        match (&self.unit, &self.pid_file, &self.config) {
            (Some(unit), None, None) => check_unit(unit),
            (None, Some(pid_file), Some(config)) => {
                check_path("pid_file", pid_file)?;
                check_path("config", config)
            }
            _ => Err("needs `unit`, or `pid_file` and `config`".to_owned()),
        }
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        let word = |it: &'_ Option<String>| it.clone().unwrap_or_default();
        Ok(match &self.unit {
            Some(unit) => call("q_unit", [step, unit]),
            None => call("q_process", [step, &word(&self.pid_file), &word(&self.config)]),
        })
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        // `activating` is what a unit says between two starts that fail.
        let unit_runs = found.get("ActiveState").filter(|it| !matches!(*it, "inactive" | "failed" | ""));
        if let Some(state) = unit_runs {
            diff.add(&self.target(), state, "stopped");
        } else if found.get("up").is_some() {
            diff.add(&self.target(), "running", "stopped");
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        let limit = self.deadline_s.to_string();
        let mut act = Act::new(match (&self.unit, &self.pid_file, &self.config) {
            (None, Some(pid_file), Some(config)) => call("do_stop_process", [pid_file.as_str(), config, &limit]),
            (unit, _, _) => call("do_stop_unit", [unit.as_deref().unwrap_or_default(), &limit]),
        });
        act.timeout = Duration::from_secs(self.deadline_s + 20);
        Ok(Way::Act(act))
    }
}
