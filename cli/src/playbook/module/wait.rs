//! `wait`: until the host listens, answers, has a file or runs a process.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, check_path, may,
};

pub(super) const FORM: Form =
    Form { name: "wait", args: &[may("tcp"), may("http"), may("file"), may("process"), may("timeout")] };

/// What is waited for; exactly one of the four.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    /// A port that some process of the host listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tcp: Option<u16>,
    /// A page that answers with 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) http: Option<String>,
    /// A path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// A pid file whose process runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<String>,
    #[serde(default = "timeout_s", rename = "timeout", with = "super::seconds")]
    pub(crate) timeout_s: u64,
}

fn timeout_s() -> u64 {
    30
}

impl Wait {
    fn what(&self) -> Option<(&'static str, String)> {
        let tcp = self.tcp.map(|it| ("tcp", it.to_string()));
        let others = [("http", &self.http), ("file", &self.file), ("process", &self.process)];
        let mut all = tcp.into_iter().chain(others.into_iter().filter_map(|(word, it)| Some((word, it.clone()?))));
        all.next().filter(|_| all.next().is_none())
    }
}

impl Part for Wait {
    fn target(&self) -> String {
        self.what().map(|(word, value)| format!("{word} {value}")).unwrap_or_default()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        let (word, value) = self.what().ok_or("needs exactly one of `tcp`, `http`, `file` and `process`")?;
        match word {
            "http" if !value.starts_with("http://") && !value.starts_with("https://") => {
                Err(format!("http: `{value}` is not a URL"))
            }
            "file" | "process" => check_path(word, &value),
            _ => Ok(()),
        }
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        let (word, value) = self.what().unwrap_or_default();
        Ok(call("q_wait", [step, word, &value]))
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        // What was so before may cease to be so by what was changed.
        Ok(Diff { follow: found.active || found.get("met").is_none(), ..Diff::default() })
    }

    fn way(&self, _cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        let (word, value) = self.what().unwrap_or_default();
        let mut act = Act::new(call("do_wait", [word, &value, &self.timeout_s.to_string()]));
        act.timeout = Duration::from_secs(self.timeout_s + 10);
        Ok(Way::Act(act))
    }
}
