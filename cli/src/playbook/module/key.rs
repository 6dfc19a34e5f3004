//! `key`: a private key that is made on the host and never leaves it, with its certificate.

use std::time::Duration;

use mesh_core::id::{MeshName, Principal};
use serde::{Deserialize, Serialize};

use super::{
    super::{
        controller::{KeyRequest, SignedKey},
        plan::PlannedStep,
        sh::call,
    },
    Act, Cx, Diff, Form, Found, Part, Way, check_owner, check_path, may, must,
};

pub(super) const FORM: Form = Form {
    name: "key",
    args: &[
        must("dir"),
        may("id"),
        may("authority"),
        must("tool"),
        may("installed"),
        may("roots_sha256"),
        may("owner"),
    ],
};

/// A key; exactly one of `id` and `authority` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) dir: String,
    /// Whose leaf certificate it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Principal>,
    /// Whose intermediate authority it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) authority: Option<MeshName>,
    /// The `mesh-agentd` that makes it.
    pub(crate) tool: String,
    /// The one that reads a certificate which is there already, while `tool` is still to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) installed: Option<String>,
    /// The roots that it must trust, when they are known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roots_sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
}

/// What `mesh-agentd identity` says of a directory: `id URI FROM_MS TO_MS` or `authority MESH FROM_MS TO_MS`.
struct Shown<'a> {
    subject: &'a str,
    from_ms: u64,
    to_ms: u64,
}

impl<'a> Shown<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        let (_, subject) = (words.next()?, words.next()?);
        Some(Self { subject, from_ms: words.next()?.parse().ok()?, to_ms: words.next()?.parse().ok()? })
    }

    /// Why it must be issued anew.
    fn fault(&self, wanted: &str, now_ms: u64) -> Option<String> {
        if self.subject != wanted {
            return Some(format!("certificate of {}", self.subject));
        }
        let (life, left) = (self.to_ms.saturating_sub(self.from_ms), self.to_ms.saturating_sub(now_ms));
        // What is renewed at a third of its life is in trouble when only a third is left.
        match left {
            0 => Some("certificate that has expired".to_owned()),
            left if left <= life / 3 => Some("certificate with less than a third of its life left".to_owned()),
            _ => None,
        }
    }
}

impl Key {
    fn request(&self) -> Result<KeyRequest, String> {
        match (&self.id, &self.authority) {
            (Some(id), None) => Ok(KeyRequest::Id(id.clone())),
            (None, Some(mesh)) => Ok(KeyRequest::Authority(mesh.clone())),
            _ => Err("needs exactly one of `id` and `authority`".to_owned()),
        }
    }

    fn subject(&self) -> String {
        match (&self.id, &self.authority) {
            (Some(id), _) => id.to_string(),
            (None, Some(mesh)) => mesh.to_string(),
            (None, None) => String::new(),
        }
    }

    /// The script that puts the certificate in place.
    pub(super) fn answer(&self, signed: &SignedKey) -> Act {
        let mut act = Act::new("");
        for (name, text) in [("roots.pem", &signed.roots_pem), ("chain.pem", &signed.chain_pem)] {
            let path = format!("{}.next/{name}", self.dir);
            act.script.push_str(&call("do_stage", [path.as_str(), text]));
        }
        act.script.push_str(&call("do_identity", [self.dir.as_str(), self.owner.as_deref().unwrap_or_default()]));
        act
    }
}

impl Part for Key {
    fn target(&self) -> String {
        self.dir.clone()
    }

    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        check_path("dir", &self.dir)?;
        check_path("tool", &self.tool)?;
        self.installed.iter().try_for_each(|it| check_path("installed", it))?;
        self.owner.as_deref().map_or(Ok(()), check_owner)?;
        self.request().map(|_| ())
    }

    fn query(&self, step: &str, _cx: &Cx<'_>) -> Result<String, String> {
        let tools = [self.dir.as_str(), &self.tool].into_iter().chain(self.installed.as_deref());
        let mut script = call("q_key", [step].into_iter().chain(tools));
        if self.roots_sha256.is_some() {
            script.push_str(&call("q_roots", [step, self.dir.as_str()]));
        }
        Ok(script)
    }

    fn diff(&self, _cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String> {
        let mut diff = Diff::default();
        let wanted = self.subject();
        let before = if found.get("none").is_some() {
            Some("absent".to_owned())
        } else if let Some(shown) = found.get("key").and_then(Shown::read) {
            let roots = self.roots_sha256.as_deref();
            let other_roots = roots.is_some_and(|it| found.get("roots") != Some(it));
            shown
                .fault(&wanted, found.now_s.saturating_mul(1000))
                .or_else(|| other_roots.then(|| "trust in another root".to_owned()))
        } else {
            Some("a certificate that cannot be used".to_owned())
        };
        if let Some(before) = before {
            diff.add(&self.dir, before, format!("key and certificate of {wanted}"));
        }
        Ok(diff)
    }

    fn way(&self, _cx: &Cx<'_>, _step: &PlannedStep) -> Result<Way, String> {
        let flag = if self.id.is_some() { "--id" } else { "--ca" };
        let mut act = Act::new(call("do_keygen", [self.tool.as_str(), &self.dir, flag, &self.subject()]));
        act.timeout = Duration::from_secs(30);
        Ok(Way::Ask { act, request: self.request()? })
    }

    fn makes(&self) -> Vec<String> {
        vec![self.dir.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_left_alone_while_it_has_time() {
        let check = |shown: &str, now_ms: u64, expected: Option<&str>| {
            let found = Shown::read(shown).unwrap().fault("spiffe://lab/node/n", now_ms);
            assert_eq!(found.as_deref(), expected, "{shown} {now_ms}");
        };
        let good = "id spiffe://lab/node/n 1000 4000";
        check(good, 1500, None);
        check(good, 2999, None);
        check(good, 3000, Some("certificate with less than a third of its life left"));
        check(good, 9000, Some("certificate that has expired"));
        check("id spiffe://lab/node/m 1000 4000", 1500, Some("certificate of spiffe://lab/node/m"));
        assert!(Shown::read("nonsense").is_none());
    }
}
