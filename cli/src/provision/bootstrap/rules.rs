//! What must hold before anything is changed: each rule with who breaks it, why, and the remedy. Pure.

use std::collections::BTreeMap;

use mesh_core::id::{Digest, MeshName};

use super::member::{Member, ports, root_prefix};
use crate::{Exit, Failure, hosts::Service, human};

/// Clocks may differ by this much from the one in the middle, in seconds: certificates begin five minutes early.
const SKEW_MAX_S: i64 = 30;
/// Room for state beside the release, in bytes.
const STATE_ROOM: u64 = 256 * 1024 * 1024;
/// Fewer free inodes than this do not last.
const INODES_MIN: u64 = 1_000;
/// Less memory than this is worth a word.
const MEMORY_LOW: u64 = 512 * 1024 * 1024;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Gravity {
    /// Worth a word.
    Warning,
    /// This host is left alone.
    Host,
    /// Nothing is done on any host.
    All,
}

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Finding {
    /// The host that breaks it.
    pub(crate) host: String,
    /// How grave it is.
    pub(crate) gravity: Gravity,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do.
    pub(crate) next: String,
}

/// What the rules compare with.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    /// The mesh.
    pub(crate) mesh: &'a MeshName,
    /// What the binaries were built for, as `uname -m` says.
    pub(crate) arch: &'a str,
    /// Whether the binaries need glibc.
    pub(crate) needs_glibc: bool,
    /// All binaries together.
    pub(crate) release_bytes: u64,
    /// Whether this mesh was made before, as far as this machine knows.
    pub(crate) is_made: bool,
    /// The root that this machine has; none when it has none.
    pub(crate) root: Option<Digest>,
}

impl Finding {
    fn new(member: &Member, gravity: Gravity, what: impl Into<String>, next: impl Into<String>) -> Self {
        Self { host: member.name().to_owned(), gravity, what: what.into(), next: next.into() }
    }

    /// It as the failure of a host.
    pub(crate) fn failure(&self) -> Failure {
        Failure::new(Exit::Refused, self.what.clone())
            .coded(crate::Code::HostUnfit)
            .at(self.host.clone())
            .next(self.next.clone())
    }
}

/// Every rule over every host.
pub(crate) fn check(members: &[Member], wanted: &Wanted<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for member in members {
        platform(member, wanted, &mut found);
        room(member, wanted, &mut found);
        belonging(member, wanted, &mut found);
        neighbours(member, &mut found);
    }
    clocks(members, &mut found);
    twins(members, &mut found);
    found
}

fn platform(member: &Member, wanted: &Wanted<'_>, found: &mut Vec<Finding>) {
    let facts = &member.facts;
    let mut refuse = |what: String, next: &str| found.push(Finding::new(member, Gravity::Host, what, next));
    if let Some(arch) = facts.arch.as_deref().filter(|it| *it != wanted.arch) {
        refuse(
            format!("it is {arch}, the binaries are for {}", wanted.arch),
            "mesh bootstrap with --bundle DIR made for that architecture, or leave the host out",
        );
    }
    if wanted.needs_glibc && facts.libc.as_deref() == Some("musl") {
        refuse("it has musl, the binaries need glibc".to_owned(), "mesh bootstrap with a --bundle made for musl");
    }
    if !facts.is_root {
        refuse(
            "the login is not root, and nothing in hosts.yaml makes it root".to_owned(),
            "become: {method: sudo, password: prompt} in hosts.yaml",
        );
    }
    if member.entry.service == Service::Systemd && !facts.has_systemd() {
        refuse(
            format!("hosts.yaml says systemd, but {} runs it", facts.init.as_deref().unwrap_or("something else")),
            "service: auto, or supervised, in hosts.yaml",
        );
    }
    for tool in &facts.lacks {
        refuse(format!("it has no {tool}"), &format!("install {tool} there (coreutils, util-linux or busybox)"));
    }
}

fn room(member: &Member, wanted: &Wanted<'_>, found: &mut Vec<Finding>) {
    let facts = &member.facts;
    let mut refuse = |what: String, next: String| found.push(Finding::new(member, Gravity::Host, what, next));
    for mount in &facts.noexec {
        refuse(
            format!("{mount} is mounted noexec: nothing installed there can run"),
            format!("mount -o remount,exec {mount}, or another `root` in hosts.yaml"),
        );
    }
    for mount in &facts.readonly {
        refuse(format!("{mount} is mounted read-only"), format!("mount -o remount,rw {mount}"));
    }
    // The old release stays beside the new one: the way back.
    let needs = [(&facts.disk_opt, wanted.release_bytes, "/opt/mesh"), (&facts.disk_var, STATE_ROOM, "/var/lib/mesh")];
    for (disk, bytes, path) in needs {
        let Some(disk) = disk else { continue };
        let is_installed = facts.release.is_some();
        if let Some(free) = disk.free_bytes.filter(|it| *it < bytes && !(is_installed && path == "/opt/mesh")) {
            refuse(
                format!(
                    "{} of {} has {} free, {path} needs {}",
                    disk.mount,
                    member.name(),
                    human::bytes(free),
                    human::bytes(bytes)
                ),
                format!("make room on {} of {}", disk.mount, member.name()),
            );
        }
        if disk.free_inodes.is_some_and(|it| it < INODES_MIN) {
            refuse(format!("{} has almost no inodes left", disk.mount), format!("remove files on {}", disk.mount));
        }
    }
    if let Some(memory) = facts.memory_bytes.filter(|it| *it < MEMORY_LOW) {
        let what = format!("it has {} of memory in all", human::bytes(memory));
        found.push(Finding::new(member, Gravity::Warning, what, "give it more"));
    }
}

/// A host is of one mesh and of one name, and a coordinator keeps its log.
fn belonging(member: &Member, wanted: &Wanted<'_>, found: &mut Vec<Finding>) {
    let facts = &member.facts;
    let mut refuse = |what: String, next: String| found.push(Finding::new(member, Gravity::Host, what, next));
    let (name, address) = (member.name(), &member.entry.address);
    if let Some(mesh) = facts.mesh.as_deref().filter(|it| *it != wanted.mesh.as_str()) {
        refuse(
            format!("it belongs to mesh {mesh}, not to {}", wanted.mesh),
            format!("look at {address}; to take it over: mesh reset {name} with the hosts.yaml of {mesh}"),
        );
        return;
    }
    if let (Some(found), Some(own)) = (facts.root, wanted.root)
        && found != own
    {
        refuse(
            format!("it belongs to another mesh of the same name: its root is {}, ours {}", found.short(), own.short()),
            format!("mesh reset {name}, or use the configuration of the operator who made that mesh"),
        );
    } else if facts.root.is_some() && wanted.root.is_none() {
        refuse(
            format!("it has certificates of mesh {}, whose root is not on this machine", wanted.mesh),
            "run this where the mesh was made, or bring its directory of $XDG_CONFIG_HOME/mesh here".to_owned(),
        );
    }
    if let Some(node) = facts.node.as_deref().filter(|it| *it != name) {
        refuse(
            format!("it is node {node} already, hosts.yaml calls it {name}"),
            format!("call it {node} in hosts.yaml, or mesh reset it first"),
        );
    } else if facts.node.is_some() && facts.voter != member.entry.voter {
        let word = |it: Option<u64>| it.map_or("no coordinator".to_owned(), |id| format!("coordinator {id}"));
        refuse(
            format!(
                "it is {} and would be {}: who votes is decided when the mesh is made",
                word(facts.voter),
                word(member.entry.voter)
            ),
            "keep the coordinators and their order in hosts.yaml as they were".to_owned(),
        );
    }
    if wanted.is_made && member.entry.voter.is_some() && !facts.has_raft {
        refuse(
            "it is a coordinator whose log is gone: with an empty one it could vote twice and lose writes that were \
             acknowledged"
                .to_owned(),
            "restore /var/lib/mesh/raft from this host's own disk; replacing a coordinator is not possible in this version"
                .to_owned(),
        );
    }
}

/// Somebody else on a port that is needed.
fn neighbours(member: &Member, found: &mut Vec<Finding>) {
    let releases = format!("{}/opt/mesh/releases/", root_prefix(&member.entry));
    for port in ports(&member.entry) {
        let wants_udp = port == member.entry.ports.gossip;
        let holder = member.facts.listens.iter().find(|it| {
            let is_ours = it.program.as_deref().is_some_and(|program| program.starts_with(&releases));
            it.port == port && it.udp == wants_udp && !is_ours
        });
        if let Some(holder) = holder {
            let who = match (holder.pid, holder.program.as_deref()) {
                (Some(pid), Some(program)) => format!("{program} (pid {pid})"),
                (Some(pid), None) => format!("pid {pid}"),
                _ => "a process that cannot be seen".to_owned(),
            };
            let what = format!("port {port} is taken by {who}");
            found.push(Finding::new(
                member,
                Gravity::Host,
                what,
                "stop it, or say another port at `network` in hosts.yaml",
            ));
        }
    }
}

fn clocks(members: &[Member], found: &mut Vec<Finding>) {
    let mut all: Vec<i64> = members.iter().filter_map(|it| it.facts.clock_ahead_s).collect();
    all.sort_unstable();
    let Some(&median) = all.get(all.len() / 2) else { return };
    for member in members {
        let Some(ahead) = member.facts.clock_ahead_s else { continue };
        // One host alone has only this machine to differ from.
        let off = if all.len() < 3 { ahead } else { ahead - median };
        if off.abs() > SKEW_MAX_S {
            let word = if off > 0 { "ahead of" } else { "behind" };
            let whom = if all.len() < 3 { "this machine" } else { "the fleet" };
            let what = format!("its clock is {} s {word} {whom}", off.abs());
            found.push(Finding::new(
                member,
                Gravity::Host,
                what,
                "timedatectl set-ntp true there, or chronyc makestep",
            ));
        }
    }
    let off = median.abs();
    if all.len() >= 3 && off > SKEW_MAX_S {
        let what = format!(
            "the fleet's clocks are {off} s from this machine's: certificates made here may not be valid there"
        );
        if let Some(member) = members.first() {
            found.push(Finding {
                host: "fleet".into(),
                ..Finding::new(member, Gravity::All, what, "set this machine's clock")
            });
        }
    }
}

/// Two entries that are one machine, or two machines that were cloned.
fn twins(members: &[Member], found: &mut Vec<Finding>) {
    type Key = (&'static str, fn(&Member) -> Option<String>, Gravity, &'static str);
    let keys: [Key; 3] = [
        (
            "machine id",
            |it| it.facts.machine_id.clone(),
            Gravity::Host,
            "one machine listed twice? else, on a clone: rm /etc/machine-id; systemd-machine-id-setup",
        ),
        (
            "data address",
            |it| Some(it.api().to_string()),
            Gravity::Host,
            "say `network: {address: IP}`, or other ports there, in hosts.yaml",
        ),
        ("hostname", |it| it.facts.hostname.clone(), Gravity::Warning, "hostnamectl set-hostname NAME there"),
    ];
    for (what, key, gravity, next) in keys {
        let mut by: BTreeMap<String, Vec<&Member>> = BTreeMap::new();
        for member in members {
            if let Some(key) = key(member) {
                by.entry(key).or_default().push(member);
            }
        }
        for (value, twins) in by.iter().filter(|(_, it)| it.len() > 1) {
            let names: Vec<&str> = twins.iter().map(|it| it.name()).collect();
            for twin in twins {
                let what = format!("{} have the same {what} {value}", names.join(" and "));
                found.push(Finding::new(twin, gravity, what, next));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::kind::Role;

    use super::{
        super::{
            facts::{Disk, Facts, Listener},
            member::tests::entry,
        },
        *,
    };

    const GIB: u64 = 1 << 30;

    fn facts(number: u8) -> Facts {
        let disk = Some(Disk { free_bytes: Some(10 * GIB), free_inodes: Some(100_000), mount: "/".into() });
        Facts {
            arch: Some("x86_64".into()),
            libc: Some("glibc 2.36".into()),
            is_root: true,
            hostname: Some(format!("host-{number}")),
            machine_id: Some(format!("id-{number}")),
            clock_ahead_s: Some(0),
            memory_bytes: Some(GIB),
            disk_opt: disk.clone(),
            disk_var: disk,
            ..Facts::default()
        }
    }

    fn fleet() -> Vec<Member> {
        let member = |number: u8| Member {
            entry: entry(&format!("h{number}"), &format!("10.0.0.{number}"), &[Role::Coordinator], Some(number.into())),
            facts: facts(number),
            address: [10, 0, 0, number].into(),
        };
        (1..=3).map(member).collect()
    }

    fn found(change: impl FnOnce(&mut Vec<Member>), is_made: bool) -> String {
        let mesh = MeshName::new("lab").unwrap();
        let mut members = fleet();
        change(&mut members);
        let wanted = Wanted {
            mesh: &mesh,
            arch: "x86_64",
            needs_glibc: true,
            release_bytes: GIB,
            is_made,
            root: Some(Digest([1; 32])),
        };
        let lines: Vec<String> = check(&members, &wanted)
            .iter()
            .map(|it| format!("{} {:?}: {} -> {}", it.host, it.gravity, it.what, it.next))
            .collect();
        lines.join("\n")
    }

    #[test]
    fn a_sound_fleet_breaks_no_rule() {
        assert_eq!(found(|_| {}, false), "");
    }

    #[test]
    fn each_rule_names_the_host_and_the_remedy() {
        type Break = Box<dyn FnOnce(&mut Vec<Member>)>;
        let rows: Vec<(&str, Break)> = vec![
            ("arch", Box::new(|it| it[0].facts.arch = Some("aarch64".into()))),
            ("musl", Box::new(|it| it[0].facts.libc = Some("musl".into()))),
            ("not root", Box::new(|it| it[1].facts.is_root = false)),
            ("no systemd", Box::new(|it| it[1].entry.service = Service::Systemd)),
            ("lacks", Box::new(|it| it[1].facts.lacks = vec!["flock".into()])),
            ("noexec", Box::new(|it| it[0].facts.noexec = vec!["/opt".into()])),
            ("disk", Box::new(|it| it[2].facts.disk_opt.as_mut().unwrap().free_bytes = Some(1000))),
            ("inodes", Box::new(|it| it[2].facts.disk_var.as_mut().unwrap().free_inodes = Some(3))),
            ("memory", Box::new(|it| it[2].facts.memory_bytes = Some(1000))),
            ("foreign mesh", Box::new(|it| it[0].facts.mesh = Some("prod".into()))),
            ("foreign root", Box::new(|it| it[0].facts.root = Some(Digest([2; 32])))),
            (
                "other name",
                Box::new(|it| {
                    it[0].facts.node = Some("h9".into());
                    it[0].facts.voter = Some(9);
                }),
            ),
            ("other voter", Box::new(|it| it[0].facts.node = Some("h1".into()))),
            ("clock", Box::new(|it| it[1].facts.clock_ahead_s = Some(-312))),
            ("own clock", Box::new(|it| it.iter_mut().for_each(|it| it.facts.clock_ahead_s = Some(90)))),
            ("twins", Box::new(|it| it[1].facts.machine_id = Some("id-1".into()))),
            ("same address", Box::new(|it| it[1].address = [10, 0, 0, 1].into())),
            ("same hostname", Box::new(|it| it[1].facts.hostname = Some("host-1".into()))),
            (
                "port taken",
                Box::new(|it| {
                    let of =
                        |port, udp, program: &str| Listener { port, udp, pid: Some(7), program: Some(program.into()) };
                    let own = "/opt/mesh/releases/0.1.0-aa/bin/mesh-agentd";
                    it[0].facts.listens =
                        vec![of(7443, false, "/usr/bin/nginx"), of(9443, false, own), of(7946, false, "/usr/bin/tcp")];
                }),
            ),
        ];
        let lines: Vec<String> =
            rows.into_iter().map(|(name, change)| format!("== {name}\n{}", found(change, false))).collect();
        insta::assert_snapshot!("findings", lines.join("\n"));
    }

    #[test]
    fn a_coordinator_never_comes_back_without_its_log() {
        let with_logs = |it: &mut Vec<Member>| it.iter_mut().for_each(|it| it.facts.has_raft = true);
        assert_eq!(found(with_logs, true), "");
        let lost = found(
            |it| {
                with_logs(it);
                it[1].facts.has_raft = false;
            },
            true,
        );
        assert!(lost.starts_with("h2 Host: it is a coordinator whose log is gone"), "{lost}");
    }
}
