//! The product's own playbooks on a tree of their own: installed, installed again, restarted, undone.

use std::net::TcpListener;

use super::*;

/// Does what `mesh-agentd` is asked by a playbook, without being one: keys, and a supervisor that only waits.
const AGENT: &str = r#"#!/bin/sh
case $1 in
  keygen) mkdir -p "$3"; echo key >"$3/key.pem"; echo REQUEST ;;
  identity) cat "$3/chain.pem" ;;
  supervise)
    pid_file=$(sed -n 's/^pid_file = "\(.*\)"$/\1/p' "$3")
    echo $$ >"$pid_file"
    trap 'rm -f "$pid_file"; exit 0' TERM
    while :; do sleep 0.1; done ;;
esac
"#;

struct Site {
    scratch: tempfile::TempDir,
    root: PathBuf,
    desk: Desk,
    // Held so that the node's port answers.
    _listener: TcpListener,
    vars: Value,
}

impl Site {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        fs::create_dir(&root).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut desk = Desk::default().secret("gossip_keys", b"1 00ff primary\n");
        for name in ["mesh", "mesh-agentd", "mesh-routerd"] {
            let path = scratch.path().join(name);
            fs::write(&path, AGENT).unwrap();
            desk = desk.with(name, &path);
        }
        let api = listener.local_addr().unwrap().to_string();
        let vars = json!({
            "mesh": "lab", "node": "ctl-1", "release": "0.1.0-aabbccdd", "systemd": false, "purge": false,
            "api": api, "gossip": "10.0.0.1:7946", "admin": "127.0.0.1:9443", "voter": 1, "router": null,
            "coordinators": [{"node": "ctl-1", "api": api, "voter": 1}], "gossip_seeds": [],
        });
        Self { scratch, root, desk, _listener: listener, vars }
    }

    async fn plan(&self, name: &str) -> HostPlan {
        let (playbook, _) = find(name).unwrap();
        examine(&Place::plain(), &playbook, &vars(&self.root, &self.vars), &self.desk).await.unwrap()
    }

    async fn run(&self, name: &str) -> Vec<String> {
        let plan = self.plan(name).await;
        let report = apply(&Place::plain(), &plan, &self.desk, None).await.unwrap();
        report.changed.into_iter().map(|it| it.0).collect()
    }

    fn supervisor(&self) -> String {
        fs::read_to_string(self.root.join("run/mesh/supervise.pid")).unwrap().trim().to_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Whatever a failed test has left running.
        let _ = Command::new("sh")
            .args(["-c", "kill -9 $(cat \"$1\")", "sh"])
            .arg(self.root.join("run/mesh/supervise.pid"))
            .output();
    }
}

#[tokio::test]
async fn a_node_is_installed_kept_and_undone() {
    let mut site = Site::new();
    let host = Place::plain();
    let plan = site.plan("bootstrap").await;
    let api = site.vars["api"].as_str().unwrap().to_owned();
    insta::assert_snapshot!("bootstrap-plan", without_digests(&lines(&plan, &site.root)));
    apply(&host, &plan, &site.desk, None).await.unwrap();
    assert!(host.counted() <= 3, "the upload with the requests, the certificates with the rest");
    let shown = tree(&site.root).join("\n");
    insta::assert_snapshot!(
        "bootstrap-agentd",
        fs::read_to_string(site.root.join("etc/mesh/agentd.toml"))
            .unwrap()
            .replace(&site.root.display().to_string(), "ROOT")
            .replace(&api, "API")
    );
    for expected in [
        "etc/mesh/pki/ 0700",
        "etc/mesh/pki/issuer/ 0700",
        "etc/mesh/agentd.toml 0640",
        "var/lib/mesh/gossip.keys 0600",
        "etc/mesh/pki/node/key.pem 0600",
        "opt/mesh/releases/0.1.0-aabbccdd/bin/mesh-agentd 0755",
        "opt/mesh/current -> ",
    ] {
        assert!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    let first = site.supervisor();
    assert!(site.run("bootstrap").await.is_empty(), "nothing to do");
    assert_eq!(site.supervisor(), first);

    site.vars["gossip"] = json!("10.0.0.1:7947");
    assert_eq!(site.run("bootstrap").await, ["configuration of the agent", "supervisor"]);
    let second = site.supervisor();
    assert_ne!(first, second, "what runs has read what is there");
    // A run that ends between the file and the restart leaves it to the next one.
    let file = site.root.join("etc/mesh/agentd.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace("7947", "7948")).unwrap();
    site.vars["gossip"] = json!("10.0.0.1:7948");
    assert_eq!(site.run("bootstrap").await, ["supervisor"]);
    assert_ne!(second, site.supervisor());

    site.vars["release"] = json!("0.2.0-bbccddee");
    let upgrade =
        ["manifest", "release directory", "binary mesh-agentd", "current release", "supervisor", "binary mesh"];
    assert_eq!(site.run("bootstrap").await, upgrade, "keys stay as they are");
    let link = |it: &str| fs::read_link(site.root.join("opt/mesh").join(it)).unwrap().display().to_string();
    assert!(link("current").ends_with("0.2.0-bbccddee") && link("previous").ends_with("0.1.0-aabbccdd"));

    site.vars["release"] = json!("0.3.0-ccddeeff");
    let upgrade = [&upgrade[..], &["old releases"]].concat();
    assert_eq!(site.run("bootstrap").await, upgrade, "the first one is not needed any more");
    let mut kept: Vec<_> =
        fs::read_dir(site.root.join("opt/mesh/releases")).unwrap().map(|it| it.unwrap().file_name()).collect();
    kept.sort();
    assert_eq!(kept, ["0.2.0-bbccddee", "0.3.0-ccddeeff"]);
    assert!(site.run("bootstrap").await.is_empty(), "nothing to do");

    site.run("reset").await;
    let left = tree(&site.root).join("\n");
    insta::assert_snapshot!(
        "reset-tree",
        left.split('\n').map(|it| it.split(' ').next().unwrap()).collect::<Vec<_>>().join("\n")
    );
    assert!(site.run("reset").await.is_empty(), "nothing is left to undo");
    site.vars["purge"] = json!(true);
    site.run("reset").await;
    assert!(!site.root.join("var/lib/mesh").exists());
    assert!(site.scratch.path().exists());
}

/// The texts hold a port and a directory of this run.
fn without_digests(lines: &str) -> String {
    let line = |it: &str| match it.split_once(" -> file ") {
        Some((before, _)) => format!("{before} -> file"),
        None => it.to_owned(),
    };
    lines.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn a_half_made_host_is_undone() {
    let mut site = Site::new();
    site.vars["purge"] = json!(true);
    let plan = site.plan("bootstrap").await;
    // The command is not what it was: the run ends there, and the agent runs.
    fs::write(site.scratch.path().join("mesh"), "x".repeat(AGENT.len())).unwrap();
    let failure = apply(&Place::plain(), &plan, &site.desk, None).await.unwrap_err();
    assert_eq!((failure.exit, failure.step.0.as_str()), (crate::Exit::Mismatch, "binary mesh"));
    site.supervisor();
    assert!(!site.run("reset").await.is_empty());
    let left = tree(&site.root).join("\n");
    assert!(!left.contains("/mesh"), "{left}");
}

#[tokio::test]
async fn units_are_rendered_for_systemd() {
    let site = Site::new();
    let (playbook, _) = find("bootstrap").unwrap();
    let mut vars = Vars::new(&site.vars);
    vars.set("root", json!(""));
    vars.set("systemd", json!(true));
    vars.set("router", json!({"listen": "127.0.0.1:8080", "admin": "127.0.0.1:9444"}));
    let tasks = expand::expand(&playbook, &vars).unwrap();
    let units: Vec<String> = tasks
        .iter()
        .filter_map(|it| match &it.module {
            Some(Module::Unit(unit)) => {
                Some(format!("# {}\n{}", unit.name, unit.content.as_deref().unwrap_or_default()))
            }
            _ => None,
        })
        .collect();
    insta::assert_snapshot!("units", units.join("\n"));
}
