//! A host as the node it will be: addresses, files, the declared object, what a playbook is told of it. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use mesh_core::{
    id::{MeshName, ObjectName},
    kind::{EngineSpec, NodeSpec, Role},
};
use serde_json::{Value, json};

use super::facts::Facts;
use crate::hosts::{HostEntry, Service};

/// A host whose data address is known.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// What hosts.yaml says.
    pub(crate) entry: HostEntry,
    /// What the host says.
    pub(crate) facts: Facts,
    /// Where other nodes reach it.
    pub(crate) address: IpAddr,
}

/// What is the same for all hosts of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fleet {
    /// The mesh.
    pub(crate) mesh: MeshName,
    /// The release that is installed: VERSION-DIGEST8.
    pub(crate) release: String,
    /// Name, address and raft id of every coordinator.
    pub(crate) coordinators: Vec<Coordinator>,
}

/// A coordinator as others know it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Coordinator {
    /// Its name.
    pub(crate) node: String,
    /// Its API.
    pub(crate) api: SocketAddr,
    /// Its gossip socket.
    pub(crate) gossip: SocketAddr,
    /// Its raft id.
    pub(crate) voter: u64,
}

/// Where other nodes reach a host, or why nobody can know.
///
/// What the file says comes first, then the interface in the file's network, then the address that SSH reached it by;
/// `resolved` is what the name of the host leads to.
pub(crate) fn data_address(entry: &HostEntry, facts: &Facts, resolved: Option<IpAddr>) -> Result<IpAddr, String> {
    if let Some(address) = entry.data_address {
        return Ok(address);
    }
    if let Some(net) = &entry.bind {
        return in_network(net, facts);
    }
    let own = |address: &IpAddr| facts.addresses.iter().any(|it| it.address == *address);
    let literal = entry.address.parse().ok();
    let known = facts.ssh_address.or(literal).or(resolved).filter(|it| facts.addresses.is_empty() || own(it));
    // Behind a translated address the host knows itself by another one; a single other one leaves no doubt.
    known.or_else(|| only_one(facts)).ok_or_else(|| {
        format!(
            "{} has the addresses {}; say `network: {{bind: CIDR}}` or `network: {{address: IP}}`",
            entry.name,
            told(facts)
        )
    })
}

fn in_network(net: &IpNet, facts: &Facts) -> Result<IpAddr, String> {
    let mut found = facts.addresses.iter().map(|it| it.address).filter(|it| net.contains(it));
    match (found.next(), found.next()) {
        (Some(address), None) => Ok(address),
        (Some(one), Some(two)) => Err(format!("both {one} and {two} are in {net}; say `network: {{address: IP}}`")),
        (None, _) => Err(format!("none of its addresses is in {net}: {}", told(facts))),
    }
}

fn only_one(facts: &Facts) -> Option<IpAddr> {
    let mut usable = facts.addresses.iter().map(|it| it.address).filter(|it| is_usable(*it));
    match (usable.next(), usable.next()) {
        (Some(address), None) => Some(address),
        _ => None,
    }
}

fn is_usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(it) => !it.is_loopback() && !it.is_link_local(),
        IpAddr::V6(it) => !it.is_loopback() && !it.is_unicast_link_local(),
    }
}

fn told(facts: &Facts) -> String {
    let all: Vec<String> =
        facts.addresses.iter().map(|it| it.address).filter(|it| is_usable(*it)).map(|it| it.to_string()).collect();
    if all.is_empty() { "none that others could reach".to_owned() } else { all.join(", ") }
}

/// The ports on which a host will listen.
pub(crate) fn ports(entry: &HostEntry) -> Vec<u16> {
    let mut all = vec![entry.ports.api, entry.ports.gossip, entry.ports.admin];
    if let Some(router) = &entry.router {
        all.extend([router.listen.port(), entry.ports.router_admin]);
    }
    all
}

/// The prefix of the product's paths on a host: empty for `/`.
pub(crate) fn root_prefix(entry: &HostEntry) -> String {
    let text = entry.root.as_ref().map(|it| it.display().to_string()).unwrap_or_default();
    text.trim_end_matches('/').to_owned()
}

impl Member {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        self.entry.name.as_str()
    }

    /// Where its agent answers.
    pub(crate) fn api(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.entry.ports.api)
    }

    /// Where its agent gossips.
    pub(crate) fn gossip(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.entry.ports.gossip)
    }

    /// Whether systemd will keep its daemons running.
    pub(crate) fn is_under_systemd(&self) -> bool {
        match self.entry.service {
            Service::Auto => self.facts.has_systemd(),
            Service::Systemd => true,
            Service::Supervised => false,
        }
    }

    /// It as a coordinator; none when it is not one.
    pub(crate) fn coordinator(&self) -> Option<Coordinator> {
        let voter = self.entry.voter?;
        Some(Coordinator { node: self.name().to_owned(), api: self.api(), gossip: self.gossip(), voter })
    }

    /// Its engines, as declared.
    pub(crate) fn engines(&self) -> Result<Vec<EngineSpec>, String> {
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        let mut all = Vec::new();
        for it in &self.entry.engines {
            let count = seen.entry(it.kind.to_string()).or_default();
            *count += 1;
            let name = if *count == 1 { it.kind.to_string() } else { format!("{}-{count}", it.kind) };
            let name = ObjectName::new(name).map_err(|error| error.to_string())?;
            let url = it.url_at(self.address).trim_end_matches('/').to_owned();
            all.push(EngineSpec { name, kind: it.kind, url, models: it.models.clone(), capacity: it.capacity });
        }
        Ok(all)
    }

    /// What is declared of it.
    pub(crate) fn spec(&self, incarnation: u32) -> Result<NodeSpec, String> {
        let mut labels = self.entry.labels.clone();
        if let Some(pool) = &self.entry.pool {
            labels.entry("pool".to_owned()).or_insert_with(|| pool.clone());
        }
        Ok(NodeSpec {
            roles: self.entry.roles.clone(),
            address: self.address.to_string(),
            api: self.api().to_string(),
            gossip: self.gossip().to_string(),
            voter: self.entry.voter,
            incarnation,
            zone: self.entry.zone.as_ref().map(ToString::to_string),
            labels,
            engines: self.engines()?,
        })
    }

    /// What the playbook is told of it.
    pub(crate) fn vars(&self, fleet: &Fleet) -> Value {
        let seeds: Vec<SocketAddr> =
            fleet.coordinators.iter().filter(|it| it.node != self.name()).map(|it| it.gossip).collect();
        let coordinators: Vec<Value> =
            fleet.coordinators.iter().map(|it| json!({ "node": it.node, "api": it.api, "voter": it.voter })).collect();
        let loopback = |port: u16| format!("127.0.0.1:{port}");
        let router = self.entry.router.as_ref().filter(|_| self.entry.is(Role::Router));
        let router = router
            .map(|it| json!({ "listen": it.listen.to_string(), "admin": loopback(self.entry.ports.router_admin) }));
        json!({
            "mesh": fleet.mesh,
            "node": self.name(),
            "release": fleet.release,
            "root": root_prefix(&self.entry),
            "roles": self.entry.roles,
            "address": self.address,
            "api": self.api().to_string(),
            "gossip": self.gossip().to_string(),
            "admin": loopback(self.entry.ports.admin),
            "voter": self.entry.voter,
            "coordinators": coordinators,
            "gossip_seeds": seeds,
            "router": router,
            "zone": self.entry.zone.as_ref().map(ToString::to_string),
            "pool": self.entry.pool,
            "labels": self.entry.labels,
            "systemd": self.is_under_systemd(),
            "arch": self.facts.arch,
            "gpus": self.facts.gpus,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{super::facts::Address, *};
    use crate::hosts::{Become, Ports, Ssh};

    /// A host as a file would describe it.
    pub(crate) fn entry(name: &str, address: &str, roles: &[Role], voter: Option<u64>) -> HostEntry {
        HostEntry {
            name: mesh_core::id::NodeName::new(name).unwrap(),
            address: address.to_owned(),
            data_address: None,
            bind: None,
            roles: roles.iter().copied().collect(),
            voter,
            zone: None,
            pool: None,
            labels: BTreeMap::new(),
            ssh: Ssh::default(),
            r#become: Become::default(),
            ports: Ports::default(),
            router: roles.contains(&Role::Router).then(Default::default),
            engines: Vec::new(),
            service: Service::Auto,
            root: None,
        }
    }

    fn facts(addresses: &[&str], ssh: Option<&str>) -> Facts {
        let address = |it: &&str| Address { interface: None, address: it.parse().unwrap() };
        Facts {
            addresses: addresses.iter().map(address).collect(),
            ssh_address: ssh.map(|it| it.parse().unwrap()),
            ..Facts::default()
        }
    }

    #[test]
    fn the_data_address_is_what_leaves_no_doubt() {
        let check =
            |said: Option<&str>, bind: Option<&str>, own: &[&str], ssh: Option<&str>, expected: Result<&str, &str>| {
                let mut entry = entry("h1", "host.example", &[Role::Gpu], None);
                entry.data_address = said.map(|it| it.parse().unwrap());
                entry.bind = bind.map(|it| it.parse().unwrap());
                let found = data_address(&entry, &facts(own, ssh), None);
                match (&found, expected) {
                    (Ok(found), Ok(expected)) => assert_eq!(found.to_string(), expected),
                    (Err(why), Err(expected)) => assert!(why.contains(expected), "{why}"),
                    _ => panic!("{found:?} is not {expected:?}"),
                }
            };
        let own = ["127.0.0.1", "10.20.0.1", "192.168.7.1"];
        check(Some("10.9.9.9"), Some("10.20.0.0/16"), &own, None, Ok("10.9.9.9"));
        check(None, Some("10.20.0.0/16"), &own, Some("192.168.7.1"), Ok("10.20.0.1"));
        check(
            None,
            Some("172.16.0.0/12"),
            &own,
            None,
            Err("none of its addresses is in 172.16.0.0/12: 10.20.0.1, 192.168.7.1"),
        );
        check(None, Some("0.0.0.0/0"), &own[1..], None, Err("both 10.20.0.1 and 192.168.7.1"));
        check(None, None, &own, Some("192.168.7.1"), Ok("192.168.7.1"));
        check(None, None, &own, Some("203.0.113.5"), Err("network: {bind: CIDR}"));
        check(None, None, &["127.0.0.1", "10.0.0.5", "fe80::1"], Some("203.0.113.5"), Ok("10.0.0.5"));
        check(None, None, &[], None, Err("none that others could reach"));
    }

    #[test]
    fn a_member_says_the_same_to_the_mesh_and_to_its_playbook() {
        let mut entry = entry("gpu-1", "10.0.0.5", &[Role::Gpu, Role::Router], None);
        entry.pool = Some("h100".to_owned());
        let engine = |url: &str| crate::hosts::EngineTemplate {
            kind: mesh_core::kind::EngineKind::Vllm,
            url: url.to_owned(),
            capacity: None,
            models: vec![],
        };
        entry.engines = vec![engine("http://{address}:8000/"), engine("http://{address}:8001")];
        let member = Member { entry, facts: facts(&["10.0.0.5"], None), address: "10.0.0.5".parse().unwrap() };
        let spec = member.spec(3).unwrap();
        mesh_core::kind::Spec::validate(&spec, &ObjectName::new("gpu-1").unwrap()).unwrap();
        let names: Vec<(&str, &str)> = spec.engines.iter().map(|it| (it.name.as_str(), it.url.as_str())).collect();
        assert_eq!(names, [("vllm", "http://10.0.0.5:8000"), ("vllm-2", "http://10.0.0.5:8001")]);
        assert_eq!(spec.labels["pool"], "h100");
        let coordinator = |node: &str, last: u8| Coordinator {
            node: node.into(),
            api: ([10, 0, 0, last], 7443).into(),
            gossip: ([10, 0, 0, last], 7946).into(),
            voter: last.into(),
        };
        let fleet = Fleet {
            mesh: MeshName::new("lab").unwrap(),
            release: "0.1.0-aabbccdd".into(),
            coordinators: vec![coordinator("c1", 1), coordinator("gpu-1", 5)],
        };
        insta::assert_snapshot!("vars", serde_json::to_string_pretty(&member.vars(&fleet)).unwrap());
    }
}
