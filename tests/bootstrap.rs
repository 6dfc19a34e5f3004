//! `mesh bootstrap` on hosts that are namespaces with real sshd: from nothing to a mesh that serves, and back.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use mesh_tests::{
    Ran,
    bed::{BedHost, wanted},
    bin_dir, until,
};
use serde_json::{Value, json};

/// An operator with a home of their own.
struct Operator {
    home: tempfile::TempDir,
}

impl Operator {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("passphrase"), "correct horse battery\n").unwrap();
        Self { home }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(bin_dir().join("mesh"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("USER", "ada").args(args);
        command.stdin(std::process::Stdio::null());
        command
    }

    fn mesh(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().unwrap())
    }

    fn bootstrap(&self, file: &Path, more: &[&str]) -> Ran {
        let (file, passphrase) = (file.to_str().unwrap(), self.home.path().join("passphrase"));
        let mut args = vec!["bootstrap", file, "--root-passphrase-file", passphrase.to_str().unwrap()];
        args.extend(more);
        self.mesh(&args)
    }

    /// Name and phase of every node.
    fn phases(&self) -> BTreeMap<String, String> {
        let nodes = self.mesh(&["get", "nodes", "-o", "json"]).ok().json();
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        nodes["items"].as_array().unwrap().iter().map(|it| (text(&it["name"]), text(&it["status"]["phase"]))).collect()
    }
}

/// Sends one chat completion to a router's door on its own host.
fn ask(router: &BedHost) -> (u16, String) {
    let body =
        json!({ "model": "simulated-model", "max_tokens": 8, "messages": [{ "role": "user", "content": "hi" }] });
    let url = "http://127.0.0.1:8080/v1/chat/completions";
    router.in_network(|| mesh_tests::post(url, body.to_string())).unwrap()
}

#[test]
fn hosts_become_a_mesh_that_serves_and_go_back_to_nothing() {
    let Some(bed) = wanted(5) else { return };
    bed.host("h5").start_engine().unwrap();
    let file = bed.hosts_yaml(|_| {}).unwrap();
    let operator = Operator::new();

    let before = bed.disks();
    let dry = operator.bootstrap(&file, &["--dry-run", "--detailed-exitcode", "-o", "json"]).exits(10).json();
    assert_eq!(dry["plan"]["hosts"].as_array().unwrap().len(), 5, "{dry}");
    assert!(bed.disks() == before, "a dry run has changed a host");
    assert!(!operator.home.path().join(".config/mesh").exists(), "a dry run has made a root");

    let made = operator.bootstrap(&file, &["-o", "json"]).ok().json();
    assert_eq!((made["exit"].as_u64(), made["unreached"].as_array().map(Vec::len)), (Some(0), Some(0)), "{made}");
    let phases = operator.phases();
    assert!(phases.len() == 5 && phases.values().all(|it| it == "Ready"), "{phases:?}");
    let (status, answer) =
        until("a request is served", Duration::from_secs(30), || Some(ask(bed.host("h4"))).filter(|it| it.0 == 200));
    assert!(status == 200 && answer.contains("choices"), "{answer}");

    operator.bootstrap(&file, &[]).ok().says(&["nothing to do: 5 hosts are as"]);
    operator.bootstrap(&file, &["--dry-run", "--detailed-exitcode"]).ok();

    // What somebody changed by hand is put back, and nothing else is.
    let config = bed.host("h5").path("/etc/mesh/agentd.toml");
    let right = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{right}# by hand\n")).unwrap();
    let again = operator.bootstrap(&file, &["-o", "json"]).ok().json();
    let changed: Vec<&str> = again["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["result"] == "changed")
        .filter_map(|it| it["name"].as_str())
        .collect();
    assert_eq!((changed, fs::read_to_string(&config).unwrap()), (vec!["h5"], right));
    assert_eq!(operator.phases()["h5"], "Ready");

    let file = file.to_str().unwrap();
    operator.mesh(&["reset", "h1", "-f", file, "--yes"]).exits(7).says(&["a coordinator cannot leave its mesh so"]);
    operator.mesh(&["reset", "h5", "-f", file, "--yes"]).ok();
    assert_eq!(operator.phases().len(), 4, "the node has left");
    operator.mesh(&["reset", "--all", "-f", file]).exits(9).says(&["--yes"]);
    operator.mesh(&["reset", "--all", "-f", file, "--purge", "--yes"]).ok();
    for host in bed.hosts() {
        let left = host.exec("ls -d /opt/mesh /etc/mesh /var/lib/mesh /usr/local/bin/mesh 2>/dev/null").stdout;
        assert_eq!((left.as_str(), host.kill("mesh-agentd")), ("", 0), "{}", host.name());
    }
}

#[test]
fn a_dead_host_and_a_second_operator_stop_nobody_else() {
    let Some(bed) = wanted(5) else { return };
    let file = bed.hosts_yaml(|_| {}).unwrap();
    let operator = Operator::new();
    bed.host("h5").power_off().unwrap();
    let retries = bed.hosts_yaml(|it| it["defaults"]["ssh"]["retries"] = json!(0)).unwrap();
    let ran = operator.bootstrap(&retries, &[]).exits(4).says(&["h5", "--only-failed"]);
    assert!(ran.stdout.contains("failed"), "{}", ran.stdout);
    let phases = operator.phases();
    assert!(phases.len() == 4 && phases.values().all(|it| it == "Ready"), "{phases:?}");

    bed.host("h5").reboot().unwrap();
    bed.host("h5").daemon(
        "holder",
        "echo 'eve@desk since noon' > /run/mesh-bootstrap.lock; exec flock /run/mesh-bootstrap.lock sleep 1000",
    );
    until("the lock is held", Duration::from_secs(10), || (bed.host("h5").cont("sleep") > 0).then_some(()));
    let second = operator.bootstrap(&file, &["--only-failed"]).exits(7);
    second.says(&["another operator is changing this host", "eve@desk since noon"]);
    bed.host("h5").kill("sleep");
    operator.bootstrap(&file, &["--only-failed"]).ok();
    let phases = operator.phases();
    assert!(phases.len() == 5 && phases.values().all(|it| it == "Ready"), "{phases:?}");
    operator.bootstrap(&file, &["--only-failed"]).ok().says(&["nothing to do"]);

    // A bootstrap for another mesh finds that these hosts are taken.
    let other = bed.hosts_yaml(|it| it["mesh"] = json!("other")).unwrap();
    operator.bootstrap(&other, &[]).exits(7).says(&["it belongs to mesh bed, not to other"]);
}
