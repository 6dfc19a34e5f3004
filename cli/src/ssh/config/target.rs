//! Puts together what hosts.yaml, `ssh_config` and the defaults say of one host; pure.

use std::{path::PathBuf, time::Duration};

use super::{
    ConfigError, Here, Target,
    dump::Dump,
    expand::{Tokens, tilde},
};
use crate::hosts::{HostKeyPolicy, Ssh};

/// What OpenSSH tries when nothing is configured, of the kinds that can be read here.
const DEFAULT_IDENTITIES: [&str; 3] = ["~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519"];
const DEFAULT_KNOWN_HOSTS: [&str; 2] = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"];
const GLOBAL_KNOWN_HOSTS: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
/// Options that change where a connection goes or whom it trusts, and are not obeyed.
const NOT_OBEYED: [&str; 4] = ["bindaddress", "bindinterface", "knownhostscommand", "pkcs11provider"];

/// One host, and the jump hosts that are written for it.
pub(super) fn target(
    given: &str,
    ssh: &Ssh,
    dump: Option<&Dump>,
    here: &Here,
) -> Result<(Target, Vec<String>), ConfigError> {
    let nothing = Dump::default();
    let options = dump.unwrap_or(&nothing);
    let host = options.one("hostname").unwrap_or(given).to_owned();
    let port = ssh.port.or_else(|| options.one("port")?.parse().ok()).unwrap_or(22);
    let user = ssh.user.as_deref().or_else(|| options.one("user")).or_else(|| here.user());
    let user = user.ok_or_else(|| ConfigError::NobodyLogsIn(given.to_owned()))?.to_owned();
    let jump = jumps(given, ssh, options)?;
    let alias = options.one("hostkeyalias").map(str::to_owned);
    let written = jump.join(",");
    let tokens = Tokens { here, given, host: &host, port, user: &user, alias: alias.as_deref(), jump: &written };
    let mut warnings = warnings(given, options);
    let mut paths = |texts: &mut dyn Iterator<Item = &str>| -> Vec<PathBuf> {
        let mut paths = Vec::new();
        for text in texts {
            match tokens.path(text) {
                Ok(path) if paths.contains(&path) => {}
                Ok(path) => paths.push(path),
                Err(why) => warnings.push(format!("{given}: {why}; it is left out")),
            }
        }
        paths
    };
    let identity = match (ssh.identity.is_empty(), dump) {
        (false, _) => ssh.identity.clone(),
        (true, Some(options)) => paths(&mut options.all("identityfile")),
        (true, None) => paths(&mut DEFAULT_IDENTITIES.into_iter()),
    };
    let certificates = paths(&mut options.all("certificatefile"));
    let revoked = paths(&mut options.all("revokedhostkeys")).pop();
    let known_hosts = known_hosts(ssh, options, here, &mut paths);
    let agent = agent(ssh, options, here, &mut paths);
    let (policy, connect_timeout) = (policy(ssh, options, given, &mut warnings), connect_timeout(ssh, options));
    let target = Target {
        given: given.to_owned(),
        identity,
        certificates,
        identities_only: options.is_on("identitiesonly"),
        agent,
        jump: Vec::new(),
        known_hosts,
        learn_into: here.known_hosts.clone(),
        hash_known_hosts: options.is_on("hashknownhosts"),
        revoked,
        policy,
        pin: ssh.host_key.clone(),
        host_key_algorithms: options.one("hostkeyalgorithms").map(comma_list).unwrap_or_default(),
        connect_timeout,
        retries: ssh.retries,
        warnings,
        host,
        port,
        user,
        alias,
    };
    Ok((target, jump))
}

type Paths<'a> = dyn FnMut(&mut dyn Iterator<Item = &str>) -> Vec<PathBuf> + 'a;

fn comma_list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}

/// The jump hosts as they are written: those of hosts.yaml, else those of `ssh_config`.
fn jumps(given: &str, ssh: &Ssh, options: &Dump) -> Result<Vec<String>, ConfigError> {
    if !ssh.jump.is_empty() {
        return Ok(ssh.jump.clone());
    }
    if let Some(command) = options.one("proxycommand") {
        return Err(ConfigError::ProxyCommand { host: given.to_owned(), command: command.to_owned() });
    }
    Ok(options.one("proxyjump").map(comma_list).unwrap_or_default())
}

/// The files of hosts.yaml in place of the user's; those of the machine, and ours, always.
fn known_hosts(ssh: &Ssh, options: &Dump, here: &Here, paths: &mut Paths<'_>) -> Vec<PathBuf> {
    // Several files stand on one line, apart by spaces that are not quoted.
    let mut listed = |key: &str, default: [&str; 2]| match options.said(key) {
        Some(files) => paths(&mut files.split(' ').filter(|file| !file.is_empty() && *file != "none")),
        None => paths(&mut default.into_iter()),
    };
    let mut files = match ssh.known_hosts.is_empty() {
        true => listed("userknownhostsfile", DEFAULT_KNOWN_HOSTS),
        false => ssh.known_hosts.clone(),
    };
    files.extend(listed("globalknownhostsfile", GLOBAL_KNOWN_HOSTS));
    files.push(here.known_hosts.clone());
    let mut seen = std::collections::BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    files
}

fn agent(ssh: &Ssh, options: &Dump, here: &Here, paths: &mut Paths<'_>) -> Option<PathBuf> {
    if !ssh.agent {
        return None;
    }
    match options.said("identityagent") {
        Some("none") => None,
        None | Some("" | "SSH_AUTH_SOCK") => here.var("SSH_AUTH_SOCK").map(PathBuf::from),
        Some(it) => match it.strip_prefix('$').filter(|name| !name.starts_with('{')) {
            Some(name) => here.var(name).map(PathBuf::from),
            None => paths(&mut [it].into_iter()).pop(),
        },
    }
}

/// The policy of hosts.yaml; a `yes` in `ssh_config` makes its `ask` strict, nothing there makes it weaker.
fn policy(ssh: &Ssh, options: &Dump, given: &str, warnings: &mut Vec<String>) -> HostKeyPolicy {
    match options.one("stricthostkeychecking") {
        Some("yes" | "true") if ssh.host_key_policy == HostKeyPolicy::Ask => HostKeyPolicy::Strict,
        Some("no" | "false" | "off") => {
            warnings.push(format!(
                "{given}: ssh_config says `StrictHostKeyChecking no`; a changed host key is refused all the same"
            ));
            ssh.host_key_policy
        }
        _ => ssh.host_key_policy,
    }
}

/// The time of hosts.yaml; where that says nothing else than the default, the one of `ssh_config`.
fn connect_timeout(ssh: &Ssh, options: &Dump) -> Duration {
    let configured = options.one("connecttimeout").and_then(|it| it.parse().ok()).filter(|it| *it > 0);
    match configured {
        Some(seconds) if ssh.connect_timeout == Ssh::default().connect_timeout => Duration::from_secs(seconds),
        _ => ssh.connect_timeout,
    }
}

fn warnings(given: &str, options: &Dump) -> Vec<String> {
    let set = NOT_OBEYED.iter().filter_map(|key| Some((key, options.one(key)?)));
    set.map(|(key, value)| format!("{given}: ssh_config sets `{key} {value}`, which is not obeyed")).collect()
}

/// Files of hosts.yaml that were named and are not there.
pub(super) fn missing(ssh: &Ssh, here: &Here) -> Vec<String> {
    let gone = |path: &&PathBuf| {
        let path = path.to_str().and_then(|text| tilde(text, here)).unwrap_or_else(|| path.to_path_buf());
        !path.exists()
    };
    ssh.identity.iter().filter(gone).map(|path| format!("identity {} does not exist", path.display())).collect()
}
