//! `releases`: of what was installed side by side, the running release and the ones before it stay; older ones go.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    super::{plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Part, Way, check_path, may, must,
};

pub(super) const FORM: Form =
    Form { name: "releases", args: &[must("dir"), must("release"), must("current"), may("previous"), may("keep")] };

/// What only this module calls on a host.
const FUNCTIONS: &str = include_str!("releases.sh");

/// The releases below a directory, each in one of its own that is called VERSION-DIGEST8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Releases {
    /// The directory.
    pub(crate) dir: String,
    /// The name of the one that the steps before make the running one.
    pub(crate) release: String,
    /// The link to the running one.
    pub(crate) current: String,
    /// The link to the one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<String>,
    /// How many stay, the running one among them.
    #[serde(default = "keep")]
    pub(crate) keep: usize,
}

fn keep() -> usize {
    2
}

/// Whether a directory was made by an installation: VERSION-DIGEST8. Others are somebody's own.
fn is_release(name: &str) -> bool {
    let word = |it: &str| !it.is_empty() && it.bytes().all(|c| c.is_ascii_alphanumeric() || b"._+-".contains(&c));
    name.rsplit_once('-').is_some_and(|(version, digest)| {
        word(version) && !version.starts_with('.') && digest.len() == 8 && digest.bytes().all(|c| c.is_ascii_hexdigit())
    })
}

impl Releases {
    /// The name of the release that a link leads to.
    fn target<'a>(&self, link: Option<&'a str>) -> Option<&'a str> {
        let name = link?.strip_prefix(self.dir.trim_end_matches('/'))?.strip_prefix('/')?;
        is_release(name).then_some(name)
    }

    /// The names of those that go, in order.
    fn old<'a>(&self, found: &'a Found<'_>) -> Vec<&'a str> {
        // What a host says is not believed: only names that an installation gives are taken from it.
        let mut all: Vec<(u64, &str)> = found
            .all("release")
            .filter_map(|it| it.split_once(' '))
            .filter_map(|(at, name)| Some((at.parse().ok()?, name)))
            .filter(|(_, name)| is_release(name))
            .collect();
        // The newest first; of the same age, in the order of their names.
        all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| b.1.cmp(a.1)));
        let before = self
            .target(found.get("current"))
            .filter(|it| *it != self.release)
            .or_else(|| self.target(found.get("previous")));
        let mut stay: BTreeSet<&str> = BTreeSet::from([self.release.as_str()]);
        stay.extend(before.filter(|_| self.keep > 1));
        for (_, name) in &all {
            if stay.len() >= self.keep {
                break;
            }
            stay.insert(name);
        }
        stay.extend(found.all("runs"));
        let mut old: Vec<&str> = all.into_iter().map(|(_, name)| name).filter(|it| !stay.contains(it)).collect();
        old.sort_unstable();
        old
    }
}

impl Part for Releases {
    fn target(&self) -> String {
        self.dir.clone()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        check_path("dir", &self.dir)?;
        check_path("current", &self.current)?;
        self.previous.iter().try_for_each(|it| check_path("previous", it))?;
        // One name below the root is a system directory.
        if self.dir.trim_end_matches('/').matches('/').count() < 2 {
            return Err(format!("`{}` holds no releases", self.dir));
        }
        if self.release.is_empty() || self.release.contains('/') {
            return Err(format!("release: `{}` is not the name of a directory", self.release));
        }
        if self.keep == 0 {
            return Err("`keep: 0` would remove the running release".to_owned());
        }
        Ok(())
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        let previous = self.previous.as_deref().unwrap_or_default();
        Ok(format!("{FUNCTIONS}{}", call("q_releases", [step, &self.dir, &self.current, previous])))
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        for name in self.old(found) {
            diff.add(&format!("{}/{name}", self.dir.trim_end_matches('/')), "an old release", "absent");
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, step: &PlannedStep) -> Result<Way, String> {
        let names = step.changes.iter().filter_map(|it| it.what.rsplit_once('/')).map(|(_, name)| name);
        let fixed = [self.dir.as_str(), &self.current, self.previous.as_deref().unwrap_or_default()];
        let mut act = Act::new(format!("{FUNCTIONS}{}", call("do_releases", fixed.into_iter().chain(names))));
        act.timeout = Duration::from_secs(60);
        Ok(Way::Act(act))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_installation_names_is_a_release() {
        for (name, expected) in [
            ("0.1.0-aabbccdd", true),
            ("1.2.3-rc.1-00112233", true),
            ("0.1.0-aabbccd", false),
            ("0.1.0", false),
            ("backup", false),
            ("v2-aabbccdd", true),
            ("..-aabbccdd", false),
            ("0/../x-aabbccdd", false),
            ("-aabbccdd", false),
        ] {
            assert_eq!(is_release(name), expected, "{name}");
        }
    }

    #[test]
    fn the_running_one_and_the_one_before_it_stay() {
        let dir = "/opt/mesh/releases";
        let check = |keep: usize, release: &str, said: &[(&str, &str)], expected: &str| {
            let it = Releases {
                dir: dir.into(),
                release: format!("{release}.0-00000000"),
                current: "/opt/mesh/current".into(),
                previous: Some("/opt/mesh/previous".into()),
                keep,
            };
            let full = |(word, value): &(&str, &str)| {
                let value = match *word {
                    "release" => value.split_once(' ').map(|(at, name)| format!("{at} {name}.0-00000000")).unwrap(),
                    "runs" => format!("{value}.0-00000000"),
                    _ => format!("{dir}/{value}.0-00000000"),
                };
                ((*word).to_owned(), value)
            };
            let words = said.iter().map(full).collect();
            let found = Found { words: &words, now_s: 0, changed: &BTreeSet::new(), active: false };
            let old: Vec<&str> = it.old(&found).into_iter().map(|it| it.trim_end_matches(".0-00000000")).collect();
            assert_eq!(old.join(" "), expected, "{said:?}");
        };
        let three = [("release", "10 1"), ("release", "20 2"), ("release", "30 3")];
        let with = |more: &[(&'static str, &'static str)]| [&three[..], more].concat();
        check(2, "1", &[], "");
        // An upgrade from 3 to 4: 3 will be the one before.
        check(2, "4", &with(&[("current", "3"), ("previous", "2")]), "1 2");
        // Nothing to upgrade: the links say who is who.
        check(2, "3", &with(&[("current", "3"), ("previous", "1")]), "2");
        // Back to 1: 3 was the last.
        check(2, "1", &with(&[("current", "3"), ("previous", "1")]), "2");
        // No link yet to the one before: the newest of the others.
        check(2, "3", &with(&[("current", "3")]), "1");
        check(3, "4", &with(&[("current", "3"), ("previous", "1")]), "1");
        check(1, "3", &with(&[("current", "3"), ("previous", "2")]), "1 2");
        check(2, "4", &with(&[("current", "3"), ("previous", "2"), ("runs", "1")]), "2");
        check(9, "4", &three, "");
    }
}
