//! `user`: a system user that nobody logs in as.

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, check_owner, check_path, may, must,
};

pub(super) const FORM: Form =
    Form { name: "user", args: &[must("name"), may("home"), may("shell"), may("groups"), may("state")] };

/// A system user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct User {
    pub(crate) name: String,
    #[serde(default = "home")]
    pub(crate) home: String,
    #[serde(default = "shell")]
    pub(crate) shell: String,
    /// Groups it is taken into; those that the host does not have are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) groups: Vec<String>,
    #[serde(default)]
    pub(crate) state: State,
}

/// Whether it is to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    #[default]
    Present,
    Absent,
}

fn home() -> String {
    "/nonexistent".to_owned()
}
fn shell() -> String {
    "/usr/sbin/nologin".to_owned()
}

impl User {
    fn missing<'a>(&'a self, found: &'a Found<'_>) -> Vec<&'a str> {
        let has: Vec<&str> = found.get("groups").unwrap_or_default().split(' ').collect();
        let offered: Vec<&str> = found.all("offered").collect();
        self.groups.iter().map(String::as_str).filter(|it| offered.contains(it) && !has.contains(it)).collect()
    }
}

impl Part for User {
    fn target(&self) -> String {
        self.name.clone()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        if self.name == "root" || self.name.contains(':') {
            return Err(format!("`{}` cannot be a user of its own", self.name));
        }
        check_owner(&self.name)?;
        self.groups.iter().try_for_each(|it| check_owner(it))?;
        check_path("home", &self.home)?;
        check_path("shell", &self.shell)
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        let fixed = [step, self.name.as_str()];
        Ok(call("q_user", fixed.into_iter().chain(self.groups.iter().map(String::as_str))))
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        let is_there = found.get("user").is_some();
        match self.state {
            State::Absent if is_there => diff.add(&self.name, "user", "absent"),
            State::Absent => {}
            State::Present => {
                let missing = self.missing(found).join(" ");
                if !is_there {
                    diff.add(&self.name, "absent", "system user");
                } else if !missing.is_empty() {
                    diff.add(&self.name, format!("not in {missing}"), format!("in {missing}"));
                }
            }
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        if self.state == State::Absent {
            return Ok(Way::Act(Act::new(call("do_nouser", [self.name.as_str()]))));
        }
        let fixed = [self.name.as_str(), &self.home, &self.shell];
        let script = call("do_user", fixed.into_iter().chain(self.groups.iter().map(String::as_str)));
        Ok(Way::Act(Act::new(script)))
    }
}
