//! `binary`: a file of the release, sent only when it is not there, from where an earlier upload was cut off.

use std::{io::Read, time::Duration};

use ring::digest;
use serde::{Deserialize, Serialize};

use super::{
    super::{controller::Blob, plan::PlannedStep, sh::call},
    Act, Cx, Diff, Form, Found, Input, Part, Way, attributes, check_mode, check_owner, check_path, may, must,
};

pub(super) const FORM: Form = Form { name: "binary", args: &[must("name"), must("to"), may("mode"), may("owner")] };

/// The slowest line that is waited for, in bytes a second.
const RATE_MIN: u64 = 100 * 1024;

/// A binary of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Binary {
    /// Its name in the release.
    pub(crate) name: String,
    /// The path it gets.
    pub(crate) to: String,
    #[serde(default = "mode")]
    pub(crate) mode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
}

fn mode() -> String {
    "0755".to_owned()
}

impl Binary {
    fn blob<'a>(&self, cx: &Cx<'a>) -> Result<&'a Blob, String> {
        cx.controller.blob(&self.name).ok_or_else(|| format!("the release has no binary `{}`", self.name))
    }
}

/// How much of a cut-off upload is the beginning of a file.
fn usable(blob: &Blob, shown: &str) -> u64 {
    let mut words = shown.split(' ');
    let (Some(size), Some(sum)) = (words.next().and_then(|it| it.parse::<u64>().ok()), words.next()) else { return 0 };
    if size == 0 || size > blob.size_bytes {
        return 0;
    }
    match sha256_of_start(blob, size) {
        Ok(found) if found == sum => size,
        _ => 0,
    }
}

fn sha256_of_start(blob: &Blob, bytes: u64) -> std::io::Result<String> {
    let mut file = std::fs::File::open(&blob.path)?.take(bytes);
    let mut context = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0_u8; 256 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(crate::provision::hex(context.finish().as_ref())),
            read => context.update(&piece[..read]),
        }
    }
}

impl Part for Binary {
    fn target(&self) -> String {
        self.to.clone()
    }

    fn check(&self, cx: &Cx<'_>) -> Result<(), String> {
        check_path("to", &self.to)?;
        check_mode(&self.mode)?;
        self.owner.as_deref().map_or(Ok(()), check_owner)?;
        self.blob(cx).map(|_| ())
    }

    fn query(&self, step: &str, cx: &Cx<'_>) -> Result<String, String> {
        let wanted = self.blob(cx)?.sha256.to_string();
        let mut script = call("q_path", [step, &self.to, &wanted, "0"]);
        script.push_str(&call("q_part", [step, &format!("{}.part", self.to)]));
        Ok(script)
    }

    fn diff(&self, cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let blob = self.blob(cx)?;
        let mut diff = Diff::default();
        if found.get("dir").is_some() {
            return Err(format!("{} is there and is a directory", self.to));
        }
        let shown = found.get("file").unwrap_or_default();
        let has = shown.split(' ').nth(3).unwrap_or_default();
        if has == blob.sha256.to_string() {
            attributes(&mut diff, &self.to, shown, Some(&self.mode), self.owner.as_deref());
            if !diff.changes.is_empty() {
                // Only its attributes differ: nothing is sent.
                diff.resume_bytes = blob.size_bytes;
            }
            return Ok(diff);
        }
        let before = has.get(..8).map_or_else(|| "absent".to_owned(), |it| format!("digest {it}"));
        diff.add(&self.to, before, format!("digest {}", blob.sha256.short()));
        diff.resume_bytes = found.get("part").map_or(0, |it| usable(blob, it));
        Ok(diff)
    }

    fn way(&self, cx: &Cx<'_>, step: &PlannedStep) -> Result<Way, String> {
        let blob = self.blob(cx)?;
        let owner = self.owner.as_deref().unwrap_or_default();
        let is_there = step.changes.iter().all(|it| !it.after.starts_with("digest"));
        if is_there {
            return Ok(Way::Act(Act::new(call("do_set", [self.to.as_str(), &self.mode, owner]))));
        }
        let offset = step.resume_bytes.min(blob.size_bytes);
        let bytes = blob.size_bytes - offset;
        let sha = blob.sha256.to_string();
        let (sent, from) = (bytes.to_string(), offset.to_string());
        let script = call("do_binary", [self.to.as_str(), &self.mode, owner, &sha, &sent, &from]);
        Ok(Way::Act(Act {
            script,
            input: vec![Input::File { path: blob.path.clone(), offset, bytes }],
            timeout: Duration::from_secs(60 + bytes / RATE_MIN),
        }))
    }

    fn makes(&self) -> Vec<String> {
        vec![self.to.clone()]
    }
}
