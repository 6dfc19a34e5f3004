//! `~`, `%tokens` and `${VARIABLES}` in the paths of `ssh_config`.

use std::path::PathBuf;

use super::Here;

/// What the tokens of one connection stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    pub(super) here: &'a Here,
    /// `%n`: the name that was asked for.
    pub(super) given: &'a str,
    /// `%h`: the host that is dialled.
    pub(super) host: &'a str,
    /// `%p`.
    pub(super) port: u16,
    /// `%r`: who logs in.
    pub(super) user: &'a str,
    /// `%k`: the alias of the host key, or the host.
    pub(super) alias: Option<&'a str>,
    /// `%j`: the jump hosts as they are written.
    pub(super) jump: &'a str,
}

impl Tokens<'_> {
    /// The path that is meant.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        tilde(&self.text(text)?, self.here).ok_or_else(|| format!("{text}: the home of another user"))
    }

    fn text(&self, text: &str) -> Result<String, String> {
        let mut all = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            all.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("${") {
                let (name, after) = after.split_once('}').ok_or_else(|| format!("{text}: `${{` without `}}`"))?;
                all.push_str(self.here.var(name).ok_or_else(|| format!("{text}: ${name} is not set"))?);
                rest = after;
            } else if let Some(after) = rest.strip_prefix('%') {
                let token = after.chars().next().ok_or_else(|| format!("{text}: `%` at the end"))?;
                all.push_str(&self.token(token).ok_or_else(|| format!("{text}: token %{token} is not supported"))?);
                rest = &after[token.len_utf8()..];
            } else {
                all.push('$');
                rest = &rest[1..];
            }
        }
        all.push_str(rest);
        Ok(all)
    }

    fn token(&self, token: char) -> Option<String> {
        let here = self.here;
        Some(match token {
            '%' => "%".to_owned(),
            'd' => here.home.to_string_lossy().into_owned(),
            'h' => self.host.to_owned(),
            'i' => here.uid.to_string(),
            'j' => self.jump.to_owned(),
            'k' => self.alias.unwrap_or(self.host).to_owned(),
            'L' => here.hostname.split('.').next().unwrap_or_default().to_owned(),
            'l' => here.hostname.clone(),
            'n' => self.given.to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            'u' => here.user()?.to_owned(),
            _ => return None,
        })
    }
}

/// `~` and `~/...` are under the home directory; the home of another user is not known here.
pub(super) fn tilde(path: &str, here: &Here) -> Option<PathBuf> {
    match path.strip_prefix('~') {
        None => Some(PathBuf::from(path)),
        Some("") => Some(here.home.clone()),
        Some(rest) => rest.strip_prefix('/').map(|rest| here.home.join(rest.trim_start_matches('/'))),
    }
}
