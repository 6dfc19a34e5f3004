//! `absent`: removes what the product has installed, and nothing else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, check_path, may,
};

pub(super) const FORM: Form = Form { name: "absent", args: &[may("path"), may("manifest"), may("keep"), may("force")] };

/// Whatever is below these is the product's own.
const OWN: [&str; 7] = [
    "/opt/mesh",
    "/etc/mesh",
    "/var/lib/mesh",
    "/var/log/mesh",
    "/run/mesh",
    "/usr/local/bin/mesh",
    "/etc/systemd/system/mesh-",
];

/// A removal; exactly one of `path` and `manifest` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Absent {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// A list of paths on the host; those that are not the product's are left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<String>,
    /// What a manifest lists at or below these stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) keep: Vec<String>,
    /// Also outside of the product's own paths.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) force: bool,
}

/// Whether a path is the product's own, below a prefix.
fn is_own(path: &str, prefix: &str) -> bool {
    let Some(path) = path.strip_prefix(prefix) else { return false };
    OWN.iter().any(|own| match path.strip_prefix(own) {
        Some("") => !own.ends_with('-'),
        Some(rest) if own.ends_with('-') => is_unit(rest),
        Some(rest) => rest.starts_with('/'),
        None => false,
    })
}

/// Whether what follows the beginning of our units' names is a unit, its directory of drop-ins, or one of those.
fn is_unit(rest: &str) -> bool {
    match rest.split_once('/') {
        None => true,
        Some((dir, file)) => dir.ends_with(".service.d") && !file.contains('/'),
    }
}

/// The paths of a manifest that may be removed: files before their directories.
fn listed(found: &Found<'_>, prefix: &str, keep: &[String]) -> Vec<String> {
    let is_kept = |path: &str| {
        keep.iter().any(|it| path.strip_prefix(it.as_str()).is_some_and(|it| it.is_empty() || it.starts_with('/')))
    };
    // What a host says is not believed: only paths of the product are taken from it.
    let mut paths: Vec<String> = found
        .all("listed")
        .filter(|it| check_path("path", it).is_ok() && is_own(it, prefix) && !is_kept(it))
        .map(str::to_owned)
        .collect();
    paths.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    paths.dedup();
    paths
}

impl Part for Absent {
    fn target(&self) -> String {
        self.path.clone().or_else(|| self.manifest.clone()).unwrap_or_default()
    }

    fn check(&self, cx: &Cx<'_>) -> Result<(), String> {
        let path = match (&self.path, &self.manifest) {
            (Some(path), None) | (None, Some(path)) => path.trim_end_matches('/'),
            _ => return Err("needs exactly one of `path` and `manifest`".to_owned()),
        };
        check_path("path", path).map_err(|_| format!("`{}` cannot be removed", self.target()))?;
        // One name below the root is a system directory, whatever is forced.
        if path.matches('/').count() < 2 {
            return Err(format!("`{path}` is never removed"));
        }
        if !self.force && !is_own(path, cx.prefix) {
            return Err(format!(
                "`{path}` is not one of the product's own paths; `force: true` removes it all the same"
            ));
        }
        Ok(())
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        Ok(match &self.path {
            Some(path) => call("q_path", [step, path, "-", "0"]),
            None => call("q_listed", [step, self.manifest.as_deref().unwrap_or_default()]),
        })
    }

    fn diff(&self, cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        match &self.path {
            Some(_) if found.get("none").is_some() => {}
            Some(path) => {
                let kind =
                    ["dir", "file", "link"].into_iter().find(|it| found.get(it).is_some()).unwrap_or("something");
                diff.add(path, kind, "absent");
            }
            None => {
                for path in listed(found, cx.prefix, &self.keep) {
                    diff.add(&path, "installed", "absent");
                }
            }
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, step: &PlannedStep) -> Result<Way, String> {
        let mut act = Act::new(match &self.path {
            Some(path) => call("do_absent", [path.as_str()]),
            None => call("do_prune", step.changes.iter().map(|it| it.what.as_str())),
        });
        act.timeout = Duration::from_secs(120);
        Ok(Way::Act(act))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_products_own_paths_are_removed() {
        let check =
            |path: &str, prefix: &str, expected: bool| assert_eq!(is_own(path, prefix), expected, "{prefix} {path}");
        check("/opt/mesh", "", true);
        check("/opt/mesh/releases/1/bin/mesh", "", true);
        check("/opt/meshed", "", false);
        check("/opt", "", false);
        check("/", "", false);
        check("", "", false);
        check("/etc/systemd/system/mesh-agentd.service", "", true);
        check("/etc/systemd/system/mesh-/../../x", "", false);
        check("/etc/systemd/system/mesh-agentd.service.d", "", true);
        check("/etc/systemd/system/mesh-agentd.service.d/gpu.conf", "", true);
        check("/etc/systemd/system/mesh-agentd.service.d/a/b", "", false);
        check("/etc/systemd/system/mesh-x/y", "", false);
        check("/etc/systemd/system/sshd.service.d/y", "", false);
        check("/etc/systemd/system/sshd.service", "", false);
        check("/usr/local/bin/mesh", "", true);
        check("/tmp/r/etc/mesh/a", "/tmp/r", true);
        check("/etc/mesh/a", "/tmp/r", false);
    }
}
