//! What only the whole file can tell: what is there twice, what nobody can reach, who decides.

use std::{
    collections::{BTreeMap, btree_map},
    net::IpAddr,
};

use mesh_core::kind::Role;

use super::{
    HostKeyPolicy, Share,
    file::{HostsFile, ShareItem},
    range::HOSTS_MAX,
    read::{Placed, Source},
};
use crate::yaml::{Path, Problems};

/// Judges the file as a whole.
pub(crate) fn judge(source: &Source<'_>, file: &HostsFile, hosts: &[Placed], problems: &mut Problems) {
    let all = Path::default().key("hosts");
    if hosts.len() > HOSTS_MAX {
        source.add(problems, &all, format!("one mesh has at most {HOSTS_MAX} hosts"), None);
    }
    if hosts.is_empty() && source.is_whole() {
        let hint = "hosts: [{name: node-1, address: 10.20.0.1, roles: [coordinator, router, gpu]}]";
        source.add(problems, &all, "there is no host", Some(hint.to_owned()));
        return;
    }
    unique(source, hosts, problems);
    for placed in hosts {
        keys(source, placed, problems);
        ports(source, placed, problems);
        door(source, placed, problems);
    }
    engines(source, hosts, problems);
    rolling(source, file, problems);
    // What seems to be missing may only be misspelt: first things first.
    if source.is_whole() {
        roles(source, file, hosts, problems);
        voters(source, file, hosts, problems);
    }
}

/// Names, addresses and data addresses are there once.
fn unique(source: &Source<'_>, hosts: &[Placed], problems: &mut Problems) {
    let path = |item: usize, key: &str| Path::default().key("hosts").index(item).key(key);
    let mut once = Once { source, seen: BTreeMap::new() };
    for Placed { entry, item } in hosts {
        let hint = "every host is there once";
        once.check(format!("the name {}", entry.name), path(*item, "name"), hint, problems);
    }
    let mut once = Once { source, seen: BTreeMap::new() };
    for Placed { entry, item } in hosts {
        let hint = "two hosts behind one address differ by `ssh`: {port: ...} or {jump: [...]}";
        let port = entry.ssh.port.filter(|it| *it != 22).map(|it| format!(" with port {it}")).unwrap_or_default();
        let way = entry.ssh.jump.last().map(|it| format!(" through {it}")).unwrap_or_default();
        let address = entry.address.to_lowercase();
        once.check(format!("the address {address}{port}{way}"), path(*item, "address"), hint, problems);
    }
    let mut once = Once { source, seen: BTreeMap::new() };
    for Placed { entry, item } in hosts {
        let declared = source.origin(*item, &["network", "address"]);
        if let Some(address) = entry.data_address.filter(|_| source.says(&declared)) {
            let hint = "every node has a data address of its own";
            once.check(format!("the data address {address} {}", entry.ports.api), declared, hint, problems);
        }
    }
}

struct Once<'a> {
    source: &'a Source<'a>,
    seen: BTreeMap<String, Path>,
}

impl Once<'_> {
    fn check(&mut self, what: String, path: Path, hint: &str, problems: &mut Problems) {
        match self.seen.entry(what) {
            btree_map::Entry::Vacant(free) => {
                free.insert(path);
            }
            btree_map::Entry::Occupied(first) => {
                let place = self.source.place(first.get());
                let text = format!("{} is there already, at {place}", first.key());
                self.source.add(problems, &path, text, Some(hint.to_owned()));
            }
        }
    }
}

/// A pinned host has a pin, and a pin is of one host.
fn keys(source: &Source<'_>, Placed { entry, item }: &Placed, problems: &mut Problems) {
    let path = source.origin(*item, &["ssh", "host_key"]);
    if entry.ssh.host_key_policy == HostKeyPolicy::Pinned && entry.ssh.host_key.is_none() {
        let text = format!("{} has no pin, but its host_key_policy is pinned", entry.name);
        let hint = "ssh: {host_key: \"SHA256:...\"} for every host, or another policy";
        source.add(problems, &path, text, Some(hint.to_owned()));
    }
    let own = Path::default().key("hosts").index(*item);
    if entry.ssh.host_key.is_some() && path != own.key("ssh").key("host_key") {
        let text = "a host key is the key of one host, so it cannot be said for many";
        source.add(problems, &path, text, Some("say it at the host".to_owned()));
    }
}

/// What listens on one host listens on ports of its own.
fn ports(source: &Source<'_>, Placed { entry, item }: &Placed, problems: &mut Problems) {
    let ports = entry.ports;
    let network = |key: &'static str| source.origin(*item, &["network", key]);
    let mut listeners = vec![(ports.api, "the agent's RPCs", network("api_port"))];
    listeners.push((ports.admin, "the agent's page", network("admin_port")));
    if let Some(door) = entry.router {
        listeners.push((ports.router_admin, "the router's page", network("router_admin_port")));
        listeners.push((door.listen.port(), "the router's door", source.origin(*item, &["router", "listen"])));
    }
    for (i, (port, what, path)) in listeners.iter().enumerate() {
        if let Some((_, other, _)) = listeners[..i].iter().find(|(other, _, _)| other == port) {
            let text = format!("port {port} is for {other} already, so it cannot be for {what}");
            source.add(problems, path, text, Some("give each a port of its own".to_owned()));
        }
    }
}

/// A door without locks is open to this host only, unless the file says so in so many words.
fn door(source: &Source<'_>, Placed { entry, item }: &Placed, problems: &mut Problems) {
    if let Some(door) = entry.router.filter(|it| !it.listen.ip().is_loopback() && !it.explicit) {
        let path = source.origin(*item, &["router", "listen"]);
        let text = format!("{} is open to the network, and nothing says who is let in", door.listen);
        let hint = format!("if everybody may use the engines: router: {{listen: \"{}\", auth: none}}", door.listen);
        source.add(problems, &path, text, Some(hint));
    }
    let own = Path::default().key("hosts").index(*item).key("router");
    if entry.router.is_none() && source.says(&own) && source.is_whole() {
        let hint = "add router to its roles, or leave `router` out";
        source.add(problems, &own, "a host without the role router has no door", Some(hint.to_owned()));
    }
}

/// An engine that only its own host can reach is of use when that host is the only router.
fn engines(source: &Source<'_>, hosts: &[Placed], problems: &mut Problems) {
    let routers = hosts.iter().filter(|it| it.entry.is(Role::Router)).count();
    for Placed { entry, item } in hosts {
        if routers == 1 && entry.is(Role::Router) {
            continue;
        }
        let list = source.origin(*item, &["engines"]);
        for (i, engine) in entry.engines.iter().enumerate().filter(|(_, it)| is_local(&it.url)) {
            let text = format!("{} is reached from its own host only, and routers run on others", engine.url);
            let hint = "write http://{address}:PORT, and let the engine listen on the data address";
            source.add(problems, &list.index(i).key("url"), text, Some(hint.to_owned()));
        }
    }
}

/// Whether a URL leads nowhere but to the host itself.
fn is_local(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|it| it.rsplit_once(':')).map_or(url, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.to_lowercase().ends_with(".localhost"),
    }
}

fn rolling(source: &Source<'_>, file: &HostsFile, problems: &mut Problems) {
    let batch = file.rolling.as_ref().and_then(|it| it.batch.as_ref()).map(ShareItem::share);
    if matches!(batch, Some(Share::Count(0) | Share::Percent(0))) {
        let path = Path::default().key("rolling").key("batch");
        source.add(problems, &path, "a batch of no host never ends", Some("like 25%, or 4".to_owned()));
    }
}

fn roles(source: &Source<'_>, file: &HostsFile, hosts: &[Placed], problems: &mut Problems) {
    for item in 0..file.hosts.as_ref().map_or(0, Vec::len) {
        let of_item = hosts.iter().find(|it| it.item == item);
        if of_item.is_some_and(|it| it.entry.roles.is_empty()) {
            let path = source.origin(item, &["roles"]);
            let hint = "roles: [gpu], or some of coordinator, router, gpu, trainer, edge";
            source.add(problems, &path, "a host has at least one role", Some(hint.to_owned()));
        }
    }
}

fn voters(source: &Source<'_>, file: &HostsFile, hosts: &[Placed], problems: &mut Problems) {
    let voters: Vec<&Placed> = hosts.iter().filter(|it| it.entry.is(Role::Coordinator)).collect();
    match voters.last() {
        None => {
            let text = "no host has the role coordinator, so nobody keeps the state of the mesh";
            let hint = "give it to 1, 3 or 5 hosts: roles: [coordinator, ...]";
            source.add(problems, &Path::default().key("hosts"), text, Some(hint.to_owned()));
        }
        Some(last) if voters.len().is_multiple_of(2) && !file.allow_even_voters => {
            let text = format!("{} coordinators survive no more losses than {} do", voters.len(), voters.len() - 1);
            let hint = "take one out or add one; if it is meant: allow_even_voters: true";
            source.add(problems, &source.origin(last.item, &["roles"]), text, Some(hint.to_owned()));
        }
        Some(_) => {}
    }
}
