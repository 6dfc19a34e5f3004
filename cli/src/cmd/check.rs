//! `mesh check HOSTS.yaml`: the file, and then every host, looked at without changing anything.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};

use clap::Args;
use futures_util::{StreamExt, stream};
use mesh_core::kind::Role;
use serde_json::{Value, json};

use super::{Cx, bootstrap::HowArgs, runs::load};
use crate::{
    Code, Exit, Failure, Result,
    hosts::{HostEntry, Inventory},
    human::{self, or_dash},
    items::SCHEMA,
    output::Table,
    provision::{
        bootstrap::{
            board::Board,
            connect::{How, Reached, connect_all},
            facts::{Facts, probe},
            form::Made,
            member::{Member, ports, root_prefix},
            root::RootDir,
            rules::{self, Finding, Gravity},
            run::member,
            select::select,
        },
        release::BINARIES,
    },
};

/// Arguments of `mesh check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is changed on any host. Exit 3: the file is refused; 4: some hosts are not fit; else their common code.\n\nExamples:\n  mesh check hosts.yaml\n  mesh check hosts.yaml --offline\n  mesh check hosts.yaml --limit 'gpu-*' -o json"
)]
pub(crate) struct CheckArgs {
    /// The hosts and what they shall be
    #[arg(value_name = "HOSTS.yaml")]
    file: PathBuf,
    /// Only the file: no host is connected to
    #[arg(long)]
    offline: bool,
    /// Only these hosts: NAME, NAME*, LABEL=VALUE, role=ROLE, with commas between them
    #[arg(long, value_name = "HOSTS")]
    limit: Option<String>,
    /// Not these hosts
    #[arg(long, value_name = "HOSTS")]
    exclude: Option<String>,
    #[command(flatten)]
    how: HowArgs,
}

/// A host and what was seen of it.
struct Seen {
    entry: HostEntry,
    facts: Option<Facts>,
    address: Option<IpAddr>,
    /// Why it could not be looked at, or cannot be a node.
    failure: Option<Failure>,
    findings: Vec<Finding>,
}

pub(crate) async fn run(cx: &Cx, args: CheckArgs) -> Result {
    let inventory = load(&args.file)?;
    let chosen = select(&inventory.hosts, args.limit.as_deref(), args.exclude.as_deref())?;
    if args.offline {
        show_file(cx, &inventory, &chosen)?;
        return Ok(Exit::Done);
    }
    let seen = look(cx, &args, &inventory, &chosen).await?;
    show(cx, &inventory, &seen)?;
    Ok(Exit::of_many(&seen.iter().map(Seen::exit).collect::<Vec<_>>()))
}

/// Connects to all hosts, asks each what it is, and holds all of them against the rules.
async fn look(cx: &Cx, args: &CheckArgs, inventory: &Inventory, chosen: &[HostEntry]) -> Result<Vec<Seen>> {
    let board = Arc::new(Board::new(args.how.progress, cx.out.quiet));
    board.phase(&format!("connecting to {} hosts", chosen.len()));
    let policy = args.how.host_key_policy;
    let how = How { concurrency: args.how.concurrency, policy, board: Arc::clone(&board) };
    let reached = connect_all(cx, chosen, &how).await?;
    board.phase(&format!("asking {} hosts what they are", reached.len()));
    let asked = stream::iter(reached).map(ask).buffered(args.how.concurrency.max(1));
    let (mut seen, members): (Vec<Seen>, Vec<Option<Member>>) = asked.collect::<Vec<_>>().await.into_iter().unzip();
    board.clear();
    let members: Vec<Member> = members.into_iter().flatten().collect();
    for finding in rules::check(&members, &wanted(cx, inventory)?) {
        // What is wrong with all is told of the first.
        let of = seen.iter().position(|it| it.entry.name.as_str() == finding.host).unwrap_or(0);
        if let Some(host) = seen.get_mut(of) {
            host.findings.push(finding);
        }
    }
    Ok(seen)
}

async fn ask(Reached { entry, host }: Reached) -> (Seen, Option<Member>) {
    let facts = match host {
        Ok(host) => probe(host.as_ref(), &root_prefix(&entry), &ports(&entry))
            .await
            .map_err(|error| Failure::from(error).at(entry.name.as_str())),
        Err(failure) => Err(failure),
    };
    let facts = match facts {
        Ok(facts) => facts,
        Err(failure) => {
            return (Seen { entry, facts: None, address: None, failure: Some(failure), findings: Vec::new() }, None);
        }
    };
    let mut seen =
        Seen { entry: entry.clone(), facts: Some(facts.clone()), address: None, failure: None, findings: Vec::new() };
    match member(entry, Ok(facts)).await {
        Ok(member) => {
            seen.address = Some(member.address);
            (seen, Some(member))
        }
        Err((failure, _)) => {
            seen.failure = Some(failure);
            (seen, None)
        }
    }
}

/// What the rules compare with: this machine's binaries, root and memory of the mesh.
fn wanted<'a>(cx: &Cx, inventory: &'a Inventory) -> Result<rules::Wanted<'a>> {
    let beside = std::env::current_exe().ok();
    let folder = beside.as_deref().and_then(std::path::Path::parent);
    let size = |name: &str| Some(std::fs::metadata(folder?.join(name)).ok()?.len());
    Ok(rules::Wanted {
        mesh: &inventory.mesh,
        arch: std::env::consts::ARCH,
        needs_glibc: cfg!(target_env = "gnu"),
        release_bytes: BINARIES.iter().filter(|it| **it != "mesh-standin").filter_map(|it| size(it)).sum(),
        is_made: Made::read(&cx.dirs, &inventory.mesh)?.is_some(),
        root: RootDir::new(&cx.dirs, &inventory.mesh).fingerprint(),
    })
}

impl Seen {
    fn is_refused(&self) -> bool {
        self.findings.iter().any(|it| it.gravity > Gravity::Warning)
    }

    fn state(&self) -> &'static str {
        match (&self.failure, self.is_refused(), self.findings.is_empty()) {
            (Some(_), _, _) => "failed",
            (None, true, _) => "unfit",
            (None, false, false) => "warning",
            (None, false, true) => "ok",
        }
    }

    fn exit(&self) -> Exit {
        match &self.failure {
            Some(failure) => failure.exit,
            None if self.is_refused() => Exit::Refused,
            None => Exit::Done,
        }
    }

    fn json(&self) -> Value {
        let error = self.failure.as_ref().map(|it| {
            json!({
                "code": it.code.map(|code| code.to_string()),
                "exit": it.exit.code(),
                "what": it.what,
                "why": it.why,
                "next": it.next,
            })
        });
        json!({
            "name": self.entry.name,
            "address": self.entry.address,
            "state": self.state(),
            "data_address": self.address,
            "facts": self.facts,
            "findings": self.findings,
            "error": error,
        })
    }
}

fn show(cx: &Cx, inventory: &Inventory, seen: &[Seen]) -> Result<()> {
    if !cx.out.is_for_people() {
        let hosts: Vec<Value> = seen.iter().map(Seen::json).collect();
        cx.out.value(&json!({"schema": SCHEMA, "mesh": inventory.mesh, "hosts": hosts}))?;
        return Ok(());
    }
    cx.out.table(&table(seen))?;
    let told = told(seen);
    if !told.is_empty() {
        cx.out.raw(format!("\n{told}").as_bytes())?;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    seen.iter().for_each(|it| *counts.entry(it.state()).or_default() += 1);
    let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
    cx.out.say(&format!("{} hosts: {}", seen.len(), counts.join(", ")));
    Ok(())
}

fn table(seen: &[Seen]) -> Table {
    let titles =
        ["HOST", "STATE", "OS", "ARCH", "LIBC", "INIT", "ROOT", "CLOCK", "FREE", "DATA ADDRESS", "GPUS", "RELEASE"];
    let mut table = Table::new(&titles).wide(&["SSH", "KERNEL", "MEMORY", "HOSTNAME"]);
    let median = median(seen);
    for it in seen {
        let of = |read: &dyn Fn(&Facts) -> Option<String>| or_dash(it.facts.as_ref().and_then(read));
        table.row(vec![
            it.entry.name.to_string(),
            it.state().to_owned(),
            of(&|facts| facts.os.clone()),
            of(&|facts| facts.arch.clone()),
            of(&|facts| facts.libc.clone()),
            of(&|facts| match facts.systemd {
                Some(version) => Some(format!("systemd {version}")),
                None => facts.init.clone(),
            }),
            of(&|facts| Some(if facts.is_root { "yes" } else { "no" }.to_owned())),
            of(&|facts| facts.clock_ahead_s.map(|ahead| format!("{:+}s", ahead - median))),
            of(&|facts| facts.disk_opt.as_ref().and_then(|it| it.free_bytes).map(human::bytes)),
            or_dash(it.address),
            of(&|facts| facts.gpus.map(|it| it.to_string())),
            of(&|facts| facts.release.clone()),
            it.entry.address.clone(),
            of(&|facts| facts.kernel.clone()),
            of(&|facts| facts.memory_bytes.map(human::bytes)),
            of(&|facts| facts.hostname.clone()),
        ]);
    }
    table
}

/// The clock in the middle of the fleet; of one or two hosts this machine's.
fn median(seen: &[Seen]) -> i64 {
    let mut all: Vec<i64> = seen.iter().filter_map(|it| it.facts.as_ref()?.clock_ahead_s).collect();
    all.sort_unstable();
    if all.len() < 3 { 0 } else { all[all.len() / 2] }
}

/// What is wrong, one paragraph each.
fn told(seen: &[Seen]) -> String {
    let mut text = String::new();
    for it in seen {
        if let Some(failure) = &it.failure {
            text.push_str(&format!("{failure}\n"));
        }
        for finding in &it.findings {
            let exit = Exit::Refused;
            let said = Failure::new(exit, format!("{}: {}", finding.host, finding.what)).next(finding.next.clone());
            text.push_str(&match finding.gravity {
                Gravity::Warning => format!("{said}\n").replacen("error:", "warning:", 1),
                Gravity::Host | Gravity::All => format!("{}\n", said.coded(Code::HostUnfit)),
            });
        }
    }
    text
}

fn show_file(cx: &Cx, inventory: &Inventory, chosen: &[HostEntry]) -> Result<()> {
    if !cx.out.is_for_people() {
        let hosts: Vec<Value> = chosen.iter().map(described).collect();
        cx.out.value(&json!({"schema": SCHEMA, "mesh": inventory.mesh, "hosts": hosts}))?;
        return Ok(());
    }
    let mut table =
        Table::new(&["HOST", "ADDRESS", "ROLES", "POOL", "ZONE", "ENGINES"]).wide(&["DATA ADDRESS", "LABELS"]);
    for it in chosen {
        let roles: Vec<String> = it.roles.iter().map(ToString::to_string).collect();
        let engines: Vec<String> = it.engines.iter().map(|engine| format!("{} {}", engine.kind, engine.url)).collect();
        let labels: Vec<String> = it.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let list = |it: Vec<String>| or_dash((!it.is_empty()).then(|| it.join(",")));
        table.row(vec![
            it.name.to_string(),
            it.address.clone(),
            list(roles),
            or_dash(it.pool.clone()),
            or_dash(it.zone.clone()),
            list(engines),
            or_dash(it.data_address),
            list(labels),
        ]);
    }
    cx.out.table(&table)?;
    let count = |role: Role| inventory.hosts.iter().filter(|it| it.is(role)).count();
    cx.out.say(&format!(
        "{} is right: {} hosts, {} coordinators, {} routers",
        inventory.file.display(),
        inventory.hosts.len(),
        count(Role::Coordinator),
        count(Role::Router),
    ));
    Ok(())
}

/// A host as the file says it, without the ways to secrets.
fn described(it: &HostEntry) -> Value {
    let engine = |engine: &crate::hosts::EngineTemplate| json!({"kind": engine.kind, "url": engine.url, "capacity": engine.capacity, "models": engine.models});
    json!({
        "name": it.name,
        "address": it.address,
        "data_address": it.data_address,
        "bind": it.bind,
        "roles": it.roles,
        "voter": it.voter,
        "zone": it.zone,
        "pool": it.pool,
        "labels": it.labels,
        "engines": it.engines.iter().map(engine).collect::<Vec<_>>(),
        "ports": {"api": it.ports.api, "gossip": it.ports.gossip, "admin": it.ports.admin, "router_admin": it.ports.router_admin},
        "router": it.router.map(|door| json!({"listen": door.listen, "auth": "none"})),
        "ssh": {"user": it.ssh.user, "port": it.ssh.port, "jump": it.ssh.jump},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::bootstrap::facts::Disk;

    fn seen() -> Vec<Seen> {
        let text = "version: 1\nmesh: lab\nhosts:\n  - {name: \"h[1-4]\", address: \"10.0.0.[1-4]\", roles: [gpu]}\n  - {name: c, address: 10.0.0.9, roles: [coordinator]}\n";
        let around = crate::hosts::Surroundings { variable: &|_| None, home: None, folder: std::path::Path::new("") };
        let inventory = crate::hosts::read("hosts.yaml", text, &around).unwrap();
        let facts = |ahead: i64| Facts {
            arch: Some("x86_64".to_owned()),
            os: Some("Debian 12".to_owned()),
            libc: Some("glibc 2.36".to_owned()),
            systemd: (ahead == 0).then_some(252),
            init: Some("tini".to_owned()),
            is_root: true,
            clock_ahead_s: Some(ahead),
            disk_opt: Some(Disk { free_bytes: Some(1 << 34), free_inodes: None, mount: "/".to_owned() }),
            ..Facts::default()
        };
        let mut all: Vec<Seen> = inventory
            .hosts
            .into_iter()
            .zip([0, 1, 90, 0, 0])
            .map(|(entry, ahead)| Seen {
                address: entry.data_address,
                entry,
                facts: Some(facts(ahead)),
                failure: None,
                findings: Vec::new(),
            })
            .collect();
        let finding = |host: &str, gravity| Finding {
            host: host.to_owned(),
            gravity,
            what: "something is off".to_owned(),
            next: "mend it".to_owned(),
        };
        all[1].findings.push(finding("h2", Gravity::Warning));
        all[2].findings.push(finding("h3", Gravity::Host));
        all[3].facts = None;
        all[3].address = None;
        all[3].failure =
            Some(Failure::new(Exit::Unreachable, "cannot connect to 10.0.0.4: refused").coded(Code::Connect).at("h4"));
        all
    }

    #[test]
    fn every_host_has_a_row_and_every_trouble_a_next_step() {
        let seen = seen();
        insta::assert_snapshot!("hosts", format!("{}\n{}", table(&seen).render(true, true, false), told(&seen)));
        let exits: Vec<Exit> = seen.iter().map(Seen::exit).collect();
        assert_eq!(exits, [Exit::Done, Exit::Done, Exit::Refused, Exit::Unreachable, Exit::Done]);
        assert_eq!(seen[3].json()["error"]["code"], "E0201");
    }
}
