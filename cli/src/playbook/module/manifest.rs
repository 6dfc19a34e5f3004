//! `manifest`: the list of all that was ever installed, written before it is: what a half-made host is undone by.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, check_path, must,
};

pub(super) const FORM: Form = Form { name: "manifest", args: &[must("path")] };

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) path: String,
}

impl Part for Manifest {
    fn target(&self) -> String {
        self.path.clone()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        check_path("path", &self.path)
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        Ok(call("q_manifest", [step, &self.path]))
    }

    fn diff(&self, cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        let mut paths: BTreeSet<&str> = found.all("path").filter(|it| !it.is_empty()).collect();
        let before = paths.len();
        paths.extend(cx.made.iter().map(String::as_str));
        if paths.len() != before {
            diff.add(&self.path, format!("{before} paths"), format!("{} paths", paths.len()));
        }
        Ok(diff)
    }

    fn way(&self, cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        // Appended to what is there: older releases stay known.
        let mut text = cx.made.join("\n");
        text.push('\n');
        Ok(Way::Act(Act::new(call("do_manifest", [self.path.as_str(), &text]))))
    }
}
