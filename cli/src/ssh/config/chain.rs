//! The whole way to a host: itself, and every host to go through.

use std::collections::BTreeSet;

use super::{
    ConfigError, Here, JUMPS_MAX, Target,
    dump::{self, Asked},
    target::{missing, target},
};
use crate::hosts::{HostKeyPolicy, Ssh};

/// Says how to get to a host: what hosts.yaml says of it, then what `ssh_config` says, then the defaults of SSH.
pub(crate) async fn resolve(address: &str, ssh: &Ssh, here: &Here) -> Result<Target, ConfigError> {
    let (mut target, mut ahead) = one(address, ssh, here).await?;
    target.warnings.extend(missing(ssh, here));
    let mut way = Vec::new();
    let mut seen = BTreeSet::from([target.address()]);
    // As in OpenSSH: of a list only the first host is reached by its own configuration, the others through the one
    // before; so its jump hosts come before the list.
    while !ahead.is_empty() {
        let mut leg = Vec::new();
        for (at, written) in std::mem::take(&mut ahead).iter().enumerate() {
            if way.len() + leg.len() == JUMPS_MAX {
                return Err(ConfigError::TooFar(address.to_owned()));
            }
            let (name, hop) = hop(written, ssh, at > 0)?;
            let (hop, before) = one(&name, &hop, here).await?;
            if !seen.insert(hop.address()) {
                return Err(ConfigError::Circle { host: address.to_owned(), way: circle(&hop, &leg, &way) });
            }
            if at == 0 {
                ahead = before;
            }
            leg.push(hop);
        }
        leg.append(&mut way);
        way = leg;
    }
    for hop in &way {
        target.warnings.extend(hop.warnings.iter().cloned());
    }
    target.jump = way;
    Ok(target)
}

fn circle(again: &Target, leg: &[Target], way: &[Target]) -> String {
    let hops = [again].into_iter().chain(leg).chain(way);
    hops.map(Target::address).collect::<Vec<_>>().join(" -> ")
}

/// One host of the way, and the jump hosts that are written for it.
async fn one(given: &str, ssh: &Ssh, here: &Here) -> Result<(Target, Vec<String>), ConfigError> {
    let given = given.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(given);
    checked_host(given)?;
    let user = ssh.user.as_deref();
    user.map_or(Ok(()), checked_user)?;
    if !ssh.use_ssh_config {
        return target(given, ssh, None, here);
    }
    let asked = Asked { host: given, port: ssh.port, user, config: ssh.config.as_deref() };
    let dump = dump::ask(asked).await?;
    let (mut target, jump) = target(given, ssh, dump.as_ref(), here)?;
    if dump.is_none() && (ssh.config.is_some() || here.home.join(".ssh/config").exists()) {
        target.warnings.push(format!("{given}: there is no `ssh` on this machine, so ssh_config is not read"));
    }
    // What comes back is a configuration of this user, but goes into commands and files as well.
    checked_host(&target.host)?;
    checked_user(&target.user)?;
    Ok((target, jump))
}

/// A jump host as it is written, `[user@]host[:port]` or `ssh://...`, with what hosts.yaml says of all hosts.
fn hop(written: &str, ssh: &Ssh, is_through_another: bool) -> Result<(String, Ssh), ConfigError> {
    let wrong = || ConfigError::NoHost(written.to_owned());
    let text = written.strip_prefix("ssh://").map_or(written, |uri| uri.trim_end_matches('/'));
    let (user, place) = match text.rsplit_once('@') {
        Some((user, place)) => (Some(user.to_owned()), place),
        None => (None, text),
    };
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(wrong)?,
        // Two colons are an address of IPv6 without a port.
        None if place.matches(':').count() == 1 => place.split_at(place.find(':').unwrap_or(place.len())),
        None => (place, ""),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?),
        None if port.is_empty() => None,
        None => return Err(wrong()),
    };
    // Who is reached through another needs no way of its own; that one is named keeps `ssh_config` from naming it.
    let jump = if is_through_another { vec![host.to_owned()] } else { Vec::new() };
    // The pin is the destination's. Without one, `pinned` would refuse every jump host: those must be known.
    let policy = ssh.host_key_policy;
    let host_key_policy = if policy == HostKeyPolicy::Pinned { HostKeyPolicy::Strict } else { policy };
    Ok((host.to_owned(), Ssh { user, port, jump, host_key_policy, host_key: None, ..ssh.clone() }))
}

/// A name that can neither be taken for an option nor, in a `Match exec`, for a command.
fn checked_host(host: &str) -> Result<(), ConfigError> {
    let plain = |it: char| it.is_alphanumeric() || ".-_:%".contains(it);
    match !host.is_empty() && host.len() <= 255 && !host.starts_with('-') && host.chars().all(plain) {
        true => Ok(()),
        false => Err(ConfigError::NoHost(host.chars().take(80).collect())),
    }
}

fn checked_user(user: &str) -> Result<(), ConfigError> {
    let plain = |it: char| it.is_alphanumeric() || ".-_@+\\".contains(it);
    match !user.is_empty() && user.len() <= 255 && !user.starts_with('-') && user.chars().all(plain) {
        true => Ok(()),
        false => Err(ConfigError::NoUser(user.chars().take(80).collect())),
    }
}
