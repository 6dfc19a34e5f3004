//! `dir`: a directory with its mode and owner.

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, attributes, check_mode, check_owner, check_path, may, must,
};

pub(super) const FORM: Form = Form { name: "dir", args: &[must("path"), may("mode"), may("owner")] };

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dir {
    pub(crate) path: String,
    #[serde(default = "mode")]
    pub(crate) mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
}

fn mode() -> String {
    "0755".to_owned()
}

impl Part for Dir {
    fn target(&self) -> String {
        self.path.clone()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        check_path("path", &self.path)?;
        check_mode(&self.mode)?;
        self.owner.as_deref().map_or(Ok(()), check_owner)
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        Ok(call("q_path", [step, &self.path, "-", "0"]))
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        if let Some(shown) = found.get("dir") {
            attributes(&mut diff, &self.path, shown, Some(&self.mode), self.owner.as_deref());
        } else if found.get("none").is_some() {
            let owner = self.owner.as_ref().map(|it| format!(" {it}")).unwrap_or_default();
            diff.add(&self.path, "absent", format!("directory {}{owner}", self.mode));
        } else {
            return Err(format!("{} is there and is no directory", self.path));
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        let owner = self.owner.as_deref().unwrap_or_default();
        Ok(Way::Act(Act::new(call("do_dir", [self.path.as_str(), &self.mode, owner]))))
    }

    fn makes(&self) -> Vec<String> {
        vec![self.path.clone()]
    }
}
