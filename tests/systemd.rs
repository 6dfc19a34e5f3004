//! Machines with real systemd: from nothing to a mesh that serves, comes back by itself, is upgraded, and goes.
//!
//! `cargo xtask test --systemd` runs these; elsewhere they say that they are skipped.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    time::Duration,
};

use mesh_tests::{
    Ran,
    bed::{Bed, BedHost, Operator, machines},
    load::Load,
    until,
};
use serde_json::{Value, json};

const AGENT: &str = "mesh-agentd.service";
const ROUTER: &str = "mesh-routerd.service";
/// How long a daemon, or a machine with its daemons, may take to be in service again.
const BACK: Duration = Duration::from_secs(60);
/// The most that `systemd-analyze security` may find open, of 10.
const EXPOSURE_MAX: f64 = 1.6;

/// Machines, and who makes a mesh of them.
struct Site {
    operator: Operator,
    hosts: String,
    // Dropped last: the others have files in it.
    bed: Bed,
}

impl Site {
    /// Machines as they are delivered; the last of three has an engine that starts at boot.
    fn raise(count: usize, change: impl FnOnce(&mut Value)) -> Option<Self> {
        let bed = machines(count)?;
        bed.start_engines().unwrap();
        let hosts = bed.hosts_yaml(change).unwrap().to_str().unwrap().to_owned();
        Some(Self { operator: Operator::new(&bed), hosts, bed })
    }

    fn host(&self, name: &str) -> &BedHost {
        self.bed.host(name)
    }

    fn bootstrap(&self, operator: &Operator) -> Ran {
        operator.bootstrap(&[&self.hosts]).finish()
    }

    fn nothing_to_do(&self, operator: &Operator) {
        let ran = operator.run(&["bootstrap", &self.hosts, "--dry-run", "--detailed-exitcode"]);
        ran.ok().says(&["nothing to do"]);
    }

    fn reset(&self) -> Ran {
        self.operator.run(&["reset", "--all", "-f", &self.hosts, "--purge", "--yes"])
    }

    /// Phase of every node, by name.
    fn phases(&self) -> BTreeMap<String, String> {
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        self.operator.nodes().iter().map(|it| (text(&it["name"]), text(&it["status"]["phase"]))).collect()
    }

    fn all_are_ready(&self) {
        until("every node is Ready and every engine is up", BACK, || {
            let nodes = self.operator.nodes();
            let up =
                |it: &Value| it["status"]["engines"].as_array().is_none_or(|it| it.iter().all(|it| it["up"] == true));
            let ready = nodes.iter().filter(|it| it["status"]["phase"] == "Ready" && up(it)).count();
            (ready == self.bed.hosts().len()).then_some(())
        });
    }

    /// Streams through the door on h2, which the engine on h3 serves.
    fn load(&self) -> Load {
        let start = || Load::start("http://127.0.0.1:8080", "simulated-model", 4, 8);
        self.host("h2").in_network(start).unwrap()
    }

    /// Some streams end whole, and none another way.
    fn serves(&self) {
        until("an answer", BACK, || {
            let load = self.load();
            let totals = load.finish();
            (totals.whole > 0 && totals.failed + totals.truncated == 0).then_some(())
        });
    }
}

/// One property of a unit.
fn show(host: &BedHost, unit: &str, property: &str) -> String {
    host.exec(&format!("systemctl show --value -p {property} {unit}")).ok().stdout.trim().to_owned()
}

/// How often systemd has started the agent again.
fn restarts(host: &BedHost) -> u32 {
    show(host, AGENT, "NRestarts").parse().unwrap()
}

/// Waits until a unit runs in another process than before.
fn comes_back(host: &BedHost, unit: &str, before: &str) {
    until(&format!("{unit} on {} is back", host.name()), BACK, || {
        let pid = show(host, unit, "MainPID");
        (pid != before && pid != "0" && show(host, unit, "ActiveState") == "active").then_some(())
    });
}

/// Every file that an installation could touch, with its permissions and content.
fn files(host: &BedHost) -> String {
    // Who logs in leaves traces in /var/log and /run.
    host.exec(
        "find /etc /opt /usr/local /home /root /var/lib -xdev -not -path '/var/lib/systemd/*' \
         -printf '%p %M %u:%g %l\\n' -type f -exec sha256sum {} + | sort; getent passwd; getent group",
    )
    .ok()
    .stdout
}

fn nothing_is_left(host: &BedHost) {
    let found = host.exec(
        "systemctl list-unit-files --no-legend 'mesh-*'; systemctl list-units --all --no-legend 'mesh-*'; \
         ls -d /opt/mesh /etc/mesh /var/lib/mesh /var/log/mesh /run/mesh /usr/local/bin/mesh 2>/dev/null; \
         find /etc/systemd /run/systemd/system -name 'mesh-*'; getent passwd mesh; getent group mesh; true",
    );
    assert_eq!(found.ok().stdout, "", "on {}", host.name());
    assert_eq!(daemons(host).len(), 0, "on {}", host.name());
}

/// What `/proc/PID/status` says of every daemon of mesh, by program.
fn daemons(host: &BedHost) -> Vec<(String, BTreeMap<String, String>)> {
    let ours = host.processes().into_iter().filter(|it| ["mesh-agentd", "mesh-routerd"].contains(&it.program.as_str()));
    ours.map(|it| {
        let text = fs::read_to_string(format!("/proc/{}/status", it.process.pid)).unwrap();
        let fields = text.lines().filter_map(|line| line.split_once(":\t"));
        (it.program, fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    })
    .collect()
}

/// Nobody is root, can become root, or sees more than it needs.
fn daemons_are_confined(host: &BedHost) {
    let uid = host.exec("id -u mesh").ok().stdout.trim().to_owned();
    assert_ne!(uid, "0");
    for (program, status) in daemons(host) {
        let says = |key: &str| status[key].split_whitespace().collect::<BTreeSet<_>>();
        let place = format!("{program} on {}: {status:?}", host.name());
        assert_eq!(says("Uid"), [uid.as_str()].into(), "{place}");
        assert!(!says("Gid").contains("0") && !says("Groups").contains("0"), "{place}");
        assert_eq!((says("NoNewPrivs"), says("Seccomp")), (["1"].into(), ["2"].into()), "{place}");
        assert!(["CapEff", "CapPrm", "CapBnd"].iter().all(|it| says(it) == ["0000000000000000"].into()), "{place}");
        let said = host.exec(&format!("systemd-analyze security --no-pager {program}")).ok().stdout;
        let line = said.lines().last().unwrap();
        let exposure: f64 = line.split(": ").nth(1).and_then(|it| it.split(' ').next()).unwrap().parse().unwrap();
        assert!(exposure <= EXPOSURE_MAX, "{line}");
    }
}

#[test]
fn systemd_hosts_become_a_mesh_that_comes_back_by_itself() {
    // One of them is reached by somebody who is not root.
    let sudo = |it: &mut Value| {
        it["hosts"][2]["ssh"] = json!({"user": "opfree"});
        it["hosts"][2]["become"] = json!({"method": "sudo"});
    };
    let Some(site) = Site::raise(3, sudo) else { return };
    let [one, two, three] = site.bed.hosts() else { panic!("three machines") };
    let before: Vec<String> = site.bed.hosts().iter().map(files).collect();
    let dry = site.operator.run(&["bootstrap", &site.hosts, "--dry-run", "--detailed-exitcode"]).exits(10);
    assert!(dry.stdout.contains("mesh-routerd.service"), "{}", dry.stdout);
    assert!(site.bed.hosts().iter().map(files).eq(before), "a dry run has changed a machine");

    site.bootstrap(&site.operator).ok();
    site.all_are_ready();
    site.serves();
    site.nothing_to_do(&site.operator);
    let running = |host: &BedHost| daemons(host).into_iter().map(|it| it.0).collect::<BTreeSet<_>>().len();
    assert_eq!((running(one), running(two), running(three)), (1, 2, 1));
    site.bed.hosts().iter().for_each(daemons_are_confined);

    daemons_are_killed(&site);
    let drained = site.operator.run(&["drain", "h3", "--timeout", "30s"]).ok();
    assert_eq!(site.phases()["h3"], "Drained", "{}", drained.stderr);
    site.operator.run(&["uncordon", "h3"]).ok();
    site.all_are_ready();
    site.operator.run(&["doctor"]).ok();

    let first = three.init();
    let _ = three.exec("systemctl reboot");
    until("a reboot", BACK, || three.init().filter(|it| Some(*it) != first));
    site.all_are_ready();
    site.serves();
    site.bed.hosts().iter().for_each(|it| it.reboot().unwrap());
    site.all_are_ready();
    site.serves();
    site.nothing_to_do(&site.operator);

    site.reset().ok();
    site.bed.hosts().iter().for_each(nothing_is_left);
}

/// Streams go on while agents are killed, and a router that is killed is there again.
fn daemons_are_killed(site: &Site) {
    let load = site.load();
    for host in [site.host("h3"), site.host("h2")] {
        let before = show(host, AGENT, "MainPID");
        host.exec(&format!("systemctl kill -s KILL {AGENT}")).ok();
        comes_back(host, AGENT, &before);
        assert_eq!(show(host, AGENT, "NRestarts"), "1");
    }
    site.all_are_ready();
    load.finish().assert_lossless(10);
    let before = show(site.host("h2"), ROUTER, "MainPID");
    site.host("h2").exec(&format!("systemctl kill -s KILL {ROUTER}")).ok();
    comes_back(site.host("h2"), ROUTER, &before);
    site.serves();
}

/// Binaries that differ from those under test in their digests only.
fn another_build(site: &Site) -> PathBuf {
    let dir = site.bed.dir().join("build");
    fs::create_dir(&dir).unwrap();
    for name in ["mesh", "mesh-agentd", "mesh-routerd", "mesh-standin"] {
        fs::copy(mesh_tests::bin_dir().join(name), dir.join(name)).unwrap();
    }
    for name in ["mesh-agentd", "mesh-routerd"] {
        let mut bytes = fs::read(dir.join(name)).unwrap();
        bytes.extend(b"another build");
        fs::write(dir.join(name), bytes).unwrap();
    }
    dir
}

/// What an upgrade must leave alone: keys, configuration, units, accounts.
fn settled(host: &BedHost) -> String {
    let not = ["/opt/mesh", "/etc/mesh/.", "/var/lib/mesh"];
    let all = files(host);
    let kept = all.lines().filter(|line| !not.iter().any(|it| line.contains(it)));
    kept.map(|it| format!("{it}\n")).collect()
}

#[test]
fn systemd_upgrades_go_in_waves_and_a_bad_one_ends_at_the_first() {
    let voters = |it: &mut Value| {
        it["hosts"][1]["roles"] = json!(["coordinator", "router"]);
        it["hosts"][2]["roles"] = json!(["coordinator", "gpu"]);
        it["rolling"] = json!({"pause": "1s"});
    };
    let Some(site) = Site::raise(3, voters) else { return };
    site.bootstrap(&site.operator).ok();
    site.all_are_ready();
    let pids = || -> Vec<(String, String)> {
        site.bed.hosts().iter().map(|it| (show(it, AGENT, "MainPID"), show(it, "engine", "MainPID"))).collect()
    };
    let lineage = || site.operator.cluster().unwrap()["lineage"].to_string();
    let (files_before, pids_before, lineage_before) =
        (site.bed.hosts().iter().map(settled).collect::<Vec<_>>(), pids(), lineage());

    let build = another_build(&site);
    let other = site.operator.with_binaries(&build);
    let mut run = other.bootstrap(&[&site.hosts]);
    let mut order: Vec<String> = Vec::new();
    while let Some(event) = run.event() {
        let host = event["host"].as_str().unwrap_or_default();
        if event["event"] == "step" && order.last().is_none_or(|it| it != host) {
            order.push(host.to_owned());
        }
    }
    run.finish().ok();
    assert_eq!(order, ["h1", "h2", "h3"], "one coordinator after another");
    site.all_are_ready();
    site.serves();
    assert_eq!(site.bed.hosts().iter().map(settled).collect::<Vec<_>>(), files_before);
    for (now, before) in pids().iter().zip(&pids_before) {
        assert!(now.0 != before.0 && now.1 == before.1, "the agent and nothing else: {before:?}, {now:?}");
    }
    assert_eq!(lineage(), lineage_before);
    let cluster = site.operator.cluster().unwrap();
    assert!(cluster["voters"].as_array().unwrap().iter().all(|it| it["missing"] == false), "{cluster}");
    site.nothing_to_do(&other);
    site.bed.hosts().iter().for_each(daemons_are_confined);

    let good = pids();
    fs::write(build.join("mesh-agentd"), "#!/bin/sh\necho this build is bad >&2\nexit 3\n").unwrap();
    let mut bad = other.bootstrap(&[&site.hosts]);
    for host in ["h2", "h3"] {
        assert!(bad.until("note", None, &format!("{host} stays as it is: the change fails on h1")));
    }
    bad.finish().exits(1).says(&["mesh-agentd.service does not start: exit-code, status 3: this build is bad"]);
    assert_eq!(pids()[1..], good[1..], "nobody else was touched");
    assert_eq!(site.operator.cluster().unwrap()["quorum"], true);
    site.serves();
    // The build from before is put back.
    site.bootstrap(&site.operator).ok();
    site.all_are_ready();
    assert_eq!(site.bed.hosts().iter().map(settled).collect::<Vec<_>>(), files_before);
}

#[test]
fn systemd_hosts_that_are_half_made_or_half_down_are_undone() {
    let Some(site) = Site::raise(3, |it| it["defaults"]["ssh"]["retries"] = json!(0)) else { return };
    // Whoever makes the mesh is gone when the units of one machine are there, and those of others perhaps.
    let mut run = site.operator.bootstrap(&[&site.hosts]);
    assert!(run.until("step", Some("h2"), "unit of the agent"), "{}", run.finish().stderr);
    run.kill();
    site.reset().ok();
    site.bed.hosts().iter().for_each(nothing_is_left);

    site.bootstrap(&site.operator).ok();
    site.all_are_ready();
    // One crashes again and again, one is frozen, one is off.
    let one = site.host("h1");
    one.exec(&format!("chown root /etc/mesh/pki/node/key.pem; systemctl restart --no-block {AGENT}")).ok();
    until("it crashes again and again", BACK, || (restarts(one) > 1).then_some(()));
    site.host("h2").exec("systemctl kill -s STOP mesh-routerd").ok();
    site.host("h3").power_off().unwrap();
    let half = site.reset().exits(4);
    assert!(half.stdout.lines().any(|it| it.starts_with("h3") && it.contains("failed")), "{}", half.stdout);
    [one, site.host("h2")].into_iter().for_each(nothing_is_left);
    // It comes back with its daemons, which find no mesh any more.
    site.host("h3").reboot().unwrap();
    site.reset().ok();
    site.bed.hosts().iter().for_each(nothing_is_left);
}

#[test]
fn systemd_keeps_the_agent_up_and_its_log() {
    let Some(site) = Site::raise(1, |_| {}) else { return };
    let host = site.host("h1");
    site.bootstrap(&site.operator).ok();
    site.all_are_ready();

    // Frozen: what does not tell that it is alive is started again. What an operator adds stays.
    let dir = format!("/etc/systemd/system/{AGENT}.d");
    host.exec(&format!(
        "mkdir {dir}; printf '[Service]\\nWatchdogSec=2\\n' > {dir}/quick.conf; systemctl daemon-reload"
    ))
    .ok();
    host.exec(&format!("systemctl restart {AGENT}")).ok();
    site.nothing_to_do(&site.operator);
    let before = show(host, AGENT, "MainPID");
    assert_eq!(host.stop("mesh-agentd run"), 1);
    comes_back(host, AGENT, &before);
    assert_eq!(restarts(host), 1);

    // A network that comes late: it is tried for as long as it takes.
    let address = format!("{}/24 dev eth0", host.address());
    host.exec(&format!("ip addr del {address}; systemctl restart --no-block {AGENT}")).ok();
    until("it was tried often", BACK, || (restarts(host) > 5).then_some(()));
    host.exec(&format!("ip addr add {address}")).ok();
    comes_back(host, AGENT, "");
    site.all_are_ready();

    // A configuration that cannot be right: once is enough, and the next bootstrap heals it.
    host.exec(&format!("sed -i 's/^listen = .*/listen = 1/' /etc/mesh/agentd.toml; systemctl restart {AGENT}"))
        .exits(1);
    until("it has failed", BACK, || (show(host, AGENT, "ActiveState") == "failed").then_some(()));
    assert_eq!((show(host, AGENT, "ExecMainStatus").as_str(), restarts(host)), ("64", 0));
    site.bootstrap(&site.operator).ok();
    site.all_are_ready();

    // The journal has times and levels of its own.
    let log =
        |more: &str| host.exec(&format!("journalctl -q --no-pager -o cat _SYSTEMD_UNIT={AGENT} {more}")).ok().stdout;
    let (all, warnings) = (log(""), log("-p warning"));
    assert!(all.contains("INFO mesh_agentd: agent is up") && !all.contains("Z  INFO"), "{all}");
    assert!(warnings.contains("ERROR mesh_agentd: the agent ends") && !warnings.contains(" INFO "), "{warnings}");
    let told = site.operator.run(&["logs", "h1", "-u", "agentd"]).ok().stdout;
    let line = told.lines().rfind(|it| it.contains("mesh_agentd: agent is up")).unwrap_or_else(|| panic!("{told}"));
    assert_eq!(line.matches("INFO").count(), 1, "{line}");

    // What an operator added is theirs: a reset says that it stays.
    site.reset().ok().says(&[&format!("h1: {dir} stays: it was not installed by mesh")]);
    assert_eq!(host.exec(&format!("ls {dir}; rm -r {dir}")).ok().stdout, "quick.conf\n");
    nothing_is_left(host);
}
