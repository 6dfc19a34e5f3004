//! `link`: a symbolic link that is swapped in one step, or taken away when it leads where it is said to.

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, check_path, may, must,
};

pub(super) const FORM: Form = Form { name: "link", args: &[must("path"), must("to"), may("previous"), may("state")] };

/// A symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    pub(crate) path: String,
    pub(crate) to: String,
    /// A second link that keeps where the first one led to before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
    #[serde(default, skip_serializing_if = "Presence::is_there")]
    pub(crate) state: Presence,
}

/// Whether something is to be there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Presence {
    /// It is there.
    #[default]
    Present,
    /// It is gone if it leads to `to` or to something below; any other link, or what is no link, is somebody's own.
    Absent,
}

impl Presence {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_there(&self) -> bool {
        *self == Self::Present
    }
}

impl Part for Link {
    fn target(&self) -> String {
        self.path.clone()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        check_path("path", &self.path)?;
        check_path("to", &self.to)?;
        self.previous.as_deref().map_or(Ok(()), |it| check_path("previous", it))
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        Ok(call("q_path", [step, &self.path, "-", "0"]))
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        if self.state == Presence::Absent {
            let own = |to: &&str| to.strip_prefix(&self.to).is_some_and(|it| it.is_empty() || it.starts_with('/'));
            if let Some(to) = found.get("link").filter(own) {
                diff.add(&self.path, format!("link to {to}"), "absent");
            }
            return Ok(diff);
        }
        match found.get("link") {
            Some(to) if to == self.to => {}
            Some(to) => diff.add(&self.path, format!("link to {to}"), format!("link to {}", self.to)),
            None if found.get("none").is_some() => diff.add(&self.path, "absent", format!("link to {}", self.to)),
            None if found.get("file").is_some() => diff.add(&self.path, "a file", format!("link to {}", self.to)),
            None => return Err(format!("{} is there and is no link", self.path)),
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        if self.state == Presence::Absent {
            return Ok(Way::Act(Act::new(call("do_absent", [self.path.as_str()]))));
        }
        let previous = self.previous.as_deref().unwrap_or_default();
        Ok(Way::Act(Act::new(call("do_link", [self.path.as_str(), &self.to, previous]))))
    }

    fn makes(&self) -> Vec<String> {
        if self.state == Presence::Absent {
            return Vec::new();
        }
        std::iter::once(self.path.clone()).chain(self.previous.clone()).collect()
    }
}
