//! Whose line it is: patterns, negations, hashed names.

use base64::{Engine, engine::general_purpose::STANDARD};
use ring::hmac;

/// The port of SSH, with which a name stands alone.
const SSH_PORT: u16 = 22;
/// The longest pattern OpenSSH takes; a list with a longer one speaks of nobody.
const PATTERN_MAX: usize = 1023;
/// Salt and digest of a hashed name are SHA-1.
const HASH_BYTES: usize = 20;

/// The name a host's key is recorded under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostName {
    host: String,
    port: u16,
    alias: Option<String>,
}

impl HostName {
    /// The name of the host that is dialled at `host` and `port`; an alias takes the place of both.
    pub(crate) fn new(host: &str, port: u16, alias: Option<&str>) -> Self {
        Self { host: host.to_ascii_lowercase(), port, alias: alias.map(str::to_ascii_lowercase) }
    }

    /// As it is written: `HOST`, `[HOST]:PORT` or the alias.
    pub(crate) fn recorded(&self) -> String {
        match &self.alias {
            Some(alias) => alias.clone(),
            None if self.port == SSH_PORT => self.host.clone(),
            None => format!("[{}]:{}", self.host, self.port),
        }
    }

    /// The host without its port, under which a key counts too when it is not contradicted.
    pub(crate) fn portless(&self) -> Option<&str> {
        (self.alias.is_none() && self.port != SSH_PORT).then_some(self.host.as_str())
    }

    /// The name a certificate must have been made out to.
    pub(crate) fn principal(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.host)
    }
}

/// The names of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Names {
    /// `|1|SALT|DIGEST`: one name that only who knows it finds.
    Hashed { salt: [u8; HASH_BYTES], digest: [u8; HASH_BYTES] },
    /// `a,b*,!c`, in lower case.
    Patterns(String),
}

impl Names {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(hash) = text.strip_prefix('|') else { return Ok(Self::Patterns(text.to_ascii_lowercase())) };
        let bytes = |text: &str| STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        let parts = hash.strip_prefix("1|").and_then(|rest| rest.split_once('|'));
        match parts.map(|(salt, digest)| (bytes(salt), bytes(digest))) {
            Some((Some(salt), Some(digest))) => Ok(Self::Hashed { salt, digest }),
            _ => Err("the hashed name is not |1|SALT|DIGEST".to_owned()),
        }
    }

    /// The hashed form of a name, under a salt of 20 random bytes.
    pub(super) fn hashed(name: &str, salt: [u8; HASH_BYTES]) -> Self {
        Self::Hashed { salt, digest: digest(name, &salt) }
    }

    /// Whether they speak of a name; the name is in lower case.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Hashed { salt, digest: recorded } => digest(name, salt) == *recorded,
            Self::Patterns(list) => matches_list(name, list),
        }
    }

    /// Whether they may speak of hosts they do not name in full.
    pub(super) fn is_pattern(&self) -> bool {
        matches!(self, Self::Patterns(list) if list.contains(['*', '?', '!']))
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hashed { salt, digest } => write!(f, "|1|{}|{}", STANDARD.encode(salt), STANDARD.encode(digest)),
            Self::Patterns(list) => f.write_str(list),
        }
    }
}

fn digest(name: &str, salt: &[u8; HASH_BYTES]) -> [u8; HASH_BYTES] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
    let mut digest = [0; HASH_BYTES];
    digest.copy_from_slice(hmac::sign(&key, name.as_bytes()).as_ref());
    digest
}

/// Whether one pattern of the list fits, and no negated one does.
fn matches_list(name: &str, list: &str) -> bool {
    let mut fits = false;
    for pattern in list.split(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        if pattern.len() >= PATTERN_MAX {
            return false;
        }
        if glob(name, pattern) {
            if negated {
                return false;
            }
            fits = true;
        }
    }
    fits
}

/// Whether a text fits a pattern of `*` and `?`; no other character is special.
fn glob(text: &str, pattern: &str) -> bool {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let (mut t, mut p) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: one more byte is left to it.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                retry = Some((t + 1, p));
            }
            Some(it) if *it == b'?' || *it == text[t] => {
                t += 1;
                p += 1;
            }
            _ => {
                let Some((next, after)) = retry else { return false };
                (t, p) = (next, after);
                retry = Some((next + 1, after));
            }
        }
    }
    pattern[p..].iter().all(|it| *it == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_as_in_openssh() {
        let check = |name: &str, list: &str, expected: bool| {
            assert_eq!(Names::parse(list).unwrap().matches(name), expected, "{name} in {list}");
        };
        check("a", "a", true);
        check("a", "A", true);
        check("a", "b,a", true);
        check("ab", "a?", true);
        check("abc", "a?", false);
        check("abbbc", "a*b*c", true);
        check("abcd", "a*b*c", false);
        check("a.b", "*,!a.*", false);
        check("a.b", "!a.*", false);
        check("c.b", "*,!a.*", true);
        check("[a]:22", "[*]:22", true);
        check("[10.0.0.1]:2222", "10.0.0.1", false);
        check("a", &format!("a,{}", "x".repeat(1023)), false);
        check("a", "", false);
        let hashed = Names::hashed("host.example", [7; 20]).to_string();
        check("host.example", &hashed, true);
        check("host.example2", &hashed, false);
    }

    #[test]
    fn a_wrong_hash_is_damage() {
        for text in ["|", "|1|", "|1|a|b", "|2|AAAA|AAAA", "|1|AAAA|AAAA"] {
            assert!(Names::parse(text).is_err(), "{text}");
        }
    }
}
