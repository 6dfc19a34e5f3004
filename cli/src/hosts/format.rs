//! The texts of hosts.yaml that have a form: how each is read, and how it is published.

use std::{borrow::Cow, net::SocketAddr, time::Duration};

use ipnet::IpNet;
use mesh_core::{id::MeshName, kind::check_url};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};

use super::{SecretRef, Share, range};
use crate::{
    human::parse_duration,
    yaml::{Wrong, quoted},
};

/// The longest path, command or URL.
const TEXT_BYTES_MAX: usize = 4096;

/// A form of text.
pub(crate) trait Format {
    /// The `format` of its schema.
    const NAME: &'static str;
    /// One that is right.
    const EXAMPLE: &'static str;
    /// What it is read to.
    type Value;
    /// Reads it.
    fn parse(text: &str) -> Result<Self::Value, Wrong>;
}

/// A text that has been read.
pub(crate) struct Parsed<F: Format>(pub(crate) F::Value);

impl<'de, F: Format> Deserialize<'de> for Parsed<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        F::parse(&text).map(Self).map_err(|wrong| D::Error::custom(wrong.text))
    }
}

impl<F: Format> JsonSchema for Parsed<F> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        F::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": F::NAME, "examples": [F::EXAMPLE]})
    }
}

macro_rules! formats {
    ($($type:ident, $name:literal, $example:literal, $value:ty, $parse:expr;)*) => {
        $(
            #[doc = concat!("The form `", $name, "`.")]
            pub(crate) struct $type;

            impl Format for $type {
                const NAME: &'static str = $name;
                const EXAMPLE: &'static str = $example;
                type Value = $value;
                fn parse(text: &str) -> Result<$value, Wrong> {
                    let parse: fn(&str) -> Result<$value, Wrong> = $parse;
                    parse(text)
                }
            }
        )*

        /// Checks a text by the name of its form.
        pub(crate) fn check_format(format: &str, text: &str) -> Option<Result<(), Wrong>> {
            match format {
                $($name => Some($type::parse(text).map(drop)),)*
                _ => None,
            }
        }

        /// Every form with its example.
        #[cfg(test)]
        pub(crate) const EXAMPLES: &[(&str, &str)] = &[$(($name, $example),)*];
    };
}

formats! {
    Mesh, "mesh-name", "prod-us", MeshName, mesh;
    Names, "host-names", "node-[1-32]", String, names;
    Addresses, "host-addresses", "10.20.1.[1-32]", String, addresses;
    Word, "word", "use1-a", String, word;
    LabelKey, "label-key", "rack", String, label_key;
    LabelValue, "label-value", "r14", String, label_value;
    User, "user", "ubuntu", String, user;
    File, "file-path", "~/.ssh/id_ed25519", String, |it| bounded(it, "a path");
    Absolute, "absolute-path", "/srv/mesh", String, absolute;
    Jump, "jump", "ops@bastion-1:22", String, jump;
    Fingerprint, "ssh-fingerprint", "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU", String, fingerprint;
    Cidr, "cidr", "10.20.0.0/16", IpNet, cidr;
    Listen, "ip-port", "127.0.0.1:8080", SocketAddr, listen;
    Url, "engine-url", "http://{address}:8000", String, url;
    Model, "model", "meta-llama/Llama-3.1-8B-Instruct", String, |it| bounded(it, "a model");
    Period, "duration", "10s", Duration, period;
    Percent, "percent", "25%", Share, percent;
    Secret, "secret-reference", "prompt", SecretRef, secret;
}

fn bounded(text: &str, what: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        let text = format!("{what} has 1 to {TEXT_BYTES_MAX} bytes and no control characters");
        return Err(Wrong { text, hint: None });
    }
    Ok(text.to_owned())
}

fn mesh(text: &str) -> Result<MeshName, Wrong> {
    MeshName::new(text).map_err(|error| Wrong::new(error.to_string(), "like prod-us"))
}

fn names(text: &str) -> Result<String, Wrong> {
    range::check(text)?;
    Ok(text.to_owned())
}

fn addresses(text: &str) -> Result<String, Wrong> {
    if text.contains('@') {
        return Err(Wrong::new("an address has no user in it", "say the user at `ssh`: {user: NAME}"));
    }
    if text.starts_with("ssh://") {
        return Err(Wrong::new("an address is no URL", "write only the address or the name of the host"));
    }
    range::check(text)?;
    Ok(text.to_owned())
}

fn word(text: &str) -> Result<String, Wrong> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 63 || !text.chars().all(legal) {
        let text = format!("{} is not a name of 1 to 63 letters, digits, `-`, `_` and `.`", quoted(text));
        return Err(Wrong { text, hint: None });
    }
    Ok(text.to_owned())
}

fn label_key(text: &str) -> Result<String, Wrong> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if text.len() > 63 || !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || !text.chars().all(legal) {
        let text = format!("the label {} is not a key that can be selected by", quoted(text));
        return Err(Wrong::new(text, "1 to 63 letters, digits, `-`, `_`, `.` and `/`, a letter or digit first"));
    }
    Ok(text.to_owned())
}

fn label_value(text: &str) -> Result<String, Wrong> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '+');
    if text.len() > 128 || !text.chars().all(legal) {
        let text = format!("{} is not a value of a label", quoted(text));
        return Err(Wrong::new(text, "at most 128 letters, digits, `-`, `_`, `.`, `/`, `:` and `+`"));
    }
    Ok(text.to_owned())
}

fn user(text: &str) -> Result<String, Wrong> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | '$' | '\\');
    if text.is_empty() || text.len() > 128 || text.starts_with('-') || !text.chars().all(legal) {
        return Err(Wrong::new("this is not the name of a user", "like ubuntu"));
    }
    Ok(text.to_owned())
}

fn absolute(text: &str) -> Result<String, Wrong> {
    let path = bounded(text, "a path")?;
    let climbs = path.split('/').any(|it| it == "..");
    if !path.starts_with('/') || climbs {
        return Err(Wrong::new(format!("{} is not an absolute path", quoted(text)), "like /srv/mesh, without `..`"));
    }
    Ok(path)
}

fn jump(text: &str) -> Result<String, Wrong> {
    let wrong = |why: &str| Err(Wrong::new(why, "[USER@]HOST[:PORT], like ops@bastion-1:22"));
    let (login, host) = text.rsplit_once('@').map_or((None, text), |(login, host)| (Some(login), host));
    if let Some(login) = login {
        // Never repeated: behind the colon stands a password.
        if login.contains(':') {
            return wrong("a jump host has a secret in it");
        }
        user(login)?;
    }
    let (host, port) = match host.strip_prefix('[').and_then(|it| it.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':').or((!port.is_empty()).then_some("?"))),
        None => host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port))),
    };
    if !is_host(host) {
        return wrong("a jump host is not a host");
    }
    if port.is_some_and(|it| it.parse::<u16>().map_or(true, |port| port == 0)) {
        return wrong("the port of a jump host is not 1 to 65535");
    }
    Ok(text.to_owned())
}

/// Whether a text can be dialled: an IP address, a DNS name or an alias of `ssh_config`.
pub(crate) fn is_host(text: &str) -> bool {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // Digits and dots that are no address would be looked up as a name, and found nowhere.
    let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    !numeric && text.len() <= 253 && !text.starts_with(['-', '.']) && text.chars().all(legal)
}

fn fingerprint(text: &str) -> Result<String, Wrong> {
    use base64::Engine as _;
    let digest = text.strip_prefix("SHA256:").map(|it| it.trim_end_matches('='));
    let decoded = digest.and_then(|it| base64::engine::general_purpose::STANDARD_NO_PAD.decode(it).ok());
    match (decoded, digest) {
        (Some(bytes), Some(digest)) if bytes.len() == 32 => Ok(format!("SHA256:{digest}")),
        _ => Err(Wrong::new(
            format!("{} is not the fingerprint of a host key", quoted(text)),
            "SHA256: and 43 characters, as `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints it on the host",
        )),
    }
}

fn cidr(text: &str) -> Result<IpNet, Wrong> {
    let hint = "like 10.20.0.0/16";
    let net: IpNet = text.parse().map_err(|_| Wrong::new(format!("{} is not a network", quoted(text)), hint))?;
    if net.addr() != net.network() {
        let text = format!("{} has bits behind its prefix", quoted(text));
        return Err(Wrong::new(text, format!("did you mean {}?", net.trunc())));
    }
    Ok(net)
}

fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    let address: Option<SocketAddr> = text.parse().ok();
    address.filter(|it| it.port() > 0).ok_or_else(|| {
        Wrong::new(format!("{} is not an address to listen on", quoted(text)), "IP:PORT, like 127.0.0.1:8080")
    })
}

fn url(text: &str) -> Result<String, Wrong> {
    if text.contains('@') {
        return Err(Wrong::new("the URL of an engine has a login in it", "like http://{address}:8000"));
    }
    let filled = text.replace("{address}", "127.0.0.1");
    if let Some((_, rest)) = filled.split_once('{') {
        let name = rest.split('}').next().unwrap_or(rest);
        let text = format!("{} is not known here", quoted(&format!("{{{name}}}")));
        return Err(Wrong::new(text, "only {address}, the data address of the host, is put in"));
    }
    bounded(text, "a URL")?;
    check_url(&filled).map_err(|_| {
        Wrong::new(
            format!("{} is not the address of an engine", quoted(text)),
            "http://HOST:PORT with nothing after the port, like http://{address}:8000",
        )
    })?;
    Ok(text.to_owned())
}

fn period(text: &str) -> Result<Duration, Wrong> {
    parse_duration(text).map_err(|error| Wrong { text: error, hint: None })
}

fn percent(text: &str) -> Result<Share, Wrong> {
    let number: Option<u8> = text.strip_suffix('%').and_then(|it| it.trim_end().parse().ok());
    let share = number.filter(|it| *it <= 100).map(Share::Percent);
    share.ok_or_else(|| Wrong::new(format!("{} is not a part of the hosts", quoted(text)), "a number, or 0% to 100%"))
}

/// What is here may be the secret itself, so it is never repeated.
fn secret(text: &str) -> Result<SecretRef, Wrong> {
    let hint = "say where it is: none, prompt, env:NAME, file:PATH or cmd:COMMAND";
    let wrong = |why: &str| Err(Wrong::new(why, hint));
    match (text, text.split_once(':')) {
        ("none", _) => Ok(SecretRef::None),
        ("prompt", _) => Ok(SecretRef::Prompt),
        (_, Some(("env" | "file" | "cmd", rest))) if rest.trim().is_empty() || rest.contains('\0') => {
            wrong("the place of the secret is not said")
        }
        (_, Some(("env", name))) => {
            let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if !name.chars().all(legal) {
                return wrong("`env:` is followed by the name of a variable");
            }
            Ok(SecretRef::Env(name.to_owned()))
        }
        (_, Some(("file", path))) => Ok(SecretRef::File(path.into())),
        (_, Some(("cmd", command))) => Ok(SecretRef::Command(command.to_owned())),
        _ => wrong("a secret stands in the file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_right() {
        for (name, example) in EXAMPLES {
            assert_eq!(check_format(name, example), Some(Ok(())), "{name}");
        }
        assert_eq!(check_format("date", "x"), None);
    }

    #[test]
    fn forms_refuse_what_is_not_theirs() {
        let check = |format: &str, text: &str, legal: bool| {
            assert_eq!(check_format(format, text).unwrap().is_ok(), legal, "{format} {text:?}");
        };
        check("cidr", "10.20.0.1/16", false);
        check("cidr", "fd00::/8", true);
        check("cidr", "10.20.0.0", false);
        check("ip-port", "127.0.0.1:0", false);
        check("ip-port", "[::]:8080", true);
        check("ip-port", "localhost:8080", false);
        check("engine-url", "http://{host}:8000", false);
        check("engine-url", "https://a:1", false);
        check("engine-url", "http://a:1/v1", false);
        check("engine-url", "http://u:p@a:1", false);
        check("jump", "bastion", true);
        check("jump", "ops@[fd00::1]:22", true);
        check("jump", "ops@bastion:0", false);
        check("jump", "ops:pw@bastion", false);
        check("jump", "-oProxyCommand=x", false);
        check("jump", "ops@", false);
        check("ssh-fingerprint", "SHA256:short", false);
        check("ssh-fingerprint", "MD5:aa:bb", false);
        check("percent", "101%", false);
        check("percent", "-1%", false);
        check("label-key", "a b", false);
        check("label-key", "", false);
        check("label-value", "", true);
        check("label-value", "a,b", false);
        check("absolute-path", "/a/../b", false);
        check("absolute-path", "a", false);
        check("host-addresses", "ops@10.0.0.1", false);
        check("user", "-l", false);
        check("duration", "soon", false);
    }

    #[test]
    fn a_secret_is_only_pointed_at_and_never_repeated() {
        let check = |text: &str, expected: Option<SecretRef>| match (secret(text), expected) {
            (Ok(found), Some(expected)) => assert_eq!(found, expected),
            (Err(wrong), None) => {
                let said = format!("{} {}", wrong.text, wrong.hint.unwrap_or_default());
                assert!(!said.contains("hunter2"), "{said}");
            }
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        };
        check("none", Some(SecretRef::None));
        check("env:SUDO_PW", Some(SecretRef::Env("SUDO_PW".to_owned())));
        check("file:/run/pw", Some(SecretRef::File("/run/pw".into())));
        check("cmd:pass show sudo", Some(SecretRef::Command("pass show sudo".to_owned())));
        check("hunter2", None);
        check("pass:hunter2", None);
        check("env:hunter2!", None);
        check("env:", None);
        let wrong = jump("ops:hunter2@bastion").unwrap_err();
        assert!(!format!("{wrong:?}").contains("hunter2"));
    }
}
