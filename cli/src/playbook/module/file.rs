//! `file`: a small file with its text, or a secret that is never shown.

use mesh_core::id::Digest;
use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::{
    super::{
        plan::{Change, PlannedStep},
        sh::{call, unhex},
    },
    Cx, Diff, Form, Found, Part, Way, attributes, check_mode, check_owner, check_path, may, must, put, text,
};

pub(super) const FORM: Form = Form {
    name: "file",
    args: &[must("path"), text("content"), may("template"), may("secret"), may("mode"), may("owner")],
};

/// A larger file is said to differ, not shown.
const TEXT_BYTES_MAX: u64 = 64 * 1024;
/// The longest text a playbook may write.
const CONTENT_BYTES_MAX: usize = 1024 * 1024;

/// A file; exactly one of `content` and `secret` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    /// The name of a secret, which the controller knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
}

impl File {
    fn bytes(&self, cx: &Cx<'_>) -> Result<Vec<u8>, String> {
        match (&self.content, &self.secret) {
            (Some(content), None) => Ok(content.clone().into_bytes()),
            (None, Some(name)) => {
                cx.controller.secret(cx.host, name).ok_or_else(|| format!("there is no secret `{name}`"))
            }
            _ => Err("needs exactly one of `content`, `template` and `secret`".to_owned()),
        }
    }

    fn mode(&self) -> &str {
        self.mode.as_deref().unwrap_or(if self.secret.is_some() { "0600" } else { "0644" })
    }
}

/// The digest of a text.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    mesh_proto::cert::sha256(bytes)
}

/// The change of a text, with the lines that differ.
pub(super) fn text_change(path: &str, found: &Found<'_>, wanted: &str) -> Change {
    let shown = found.get("file");
    let old = match shown {
        None => Some(String::new()),
        Some(_) => found.get("text").and_then(unhex).and_then(|it| String::from_utf8(it).ok()),
    };
    let diff = old.map(|old| {
        let lines = TextDiff::from_lines(old.as_str(), wanted);
        let before = if shown.is_some() { format!("{path} (host)") } else { "/dev/null".to_owned() };
        lines.unified_diff().context_radius(3).header(&before, path).to_string()
    });
    let before = shown.map_or_else(|| "absent".to_owned(), |it| format!("file {}", short(it)));
    let after = format!("file {}", sha256(wanted.as_bytes()).short());
    Change { what: path.to_owned(), before, after, diff }
}

fn short(shown: &str) -> &str {
    shown.split(' ').nth(3).and_then(|it| it.get(..8)).unwrap_or("of another text")
}

impl Part for File {
    fn target(&self) -> String {
        self.path.clone()
    }

    fn check(&self, cx: &Cx<'_>) -> Result<(), String> {
        check_path("path", &self.path)?;
        check_mode(self.mode())?;
        self.owner.as_deref().map_or(Ok(()), check_owner)?;
        let bytes = self.bytes(cx)?;
        if bytes.len() > CONTENT_BYTES_MAX {
            return Err(format!("the text has more than {CONTENT_BYTES_MAX} bytes; `binary` sends large files"));
        }
        Ok(())
    }

    fn query(&self, step: &str, cx: &Cx<'_>) -> Result<String, String> {
        let wanted = sha256(&self.bytes(cx)?).to_string();
        // The host does not send back what must not be seen.
        let most = if self.secret.is_some() { 0 } else { TEXT_BYTES_MAX };
        Ok(call("q_path", [step, &self.path, &wanted, &most.to_string()]))
    }

    fn diff(&self, cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        if found.get("dir").is_some() {
            return Err(format!("{} is there and is a directory", self.path));
        }
        let wanted = self.bytes(cx)?;
        let shown = found.get("file");
        let is_same = shown.and_then(|it| it.split(' ').nth(3)) == Some(sha256(&wanted).to_string().as_str());
        if is_same {
            attributes(&mut diff, &self.path, shown.unwrap_or_default(), Some(self.mode()), self.owner.as_deref());
        } else if let Some(content) = &self.content {
            diff.changes.push(text_change(&self.path, found, content));
        } else {
            let before = if shown.is_some() { "another secret" } else { "absent" };
            diff.add(&self.path, before, format!("secret {}", self.mode()));
        }
        Ok(diff)
    }

    fn way(&self, cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        let owner = self.owner.as_deref().unwrap_or_default();
        Ok(Way::Act(put((&self.path, self.mode(), owner), self.bytes(cx)?, self.secret.is_some())))
    }

    fn makes(&self) -> Vec<String> {
        vec![self.path.clone()]
    }
}
