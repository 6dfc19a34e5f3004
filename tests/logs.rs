//! `mesh logs`: what daemons wrote, through their agents, also while they restart, and without those that are gone.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::Child,
    sync::{Arc, Mutex},
    time::Duration,
};

use mesh_tests::{
    Mesh,
    bed::{Operator, machines},
    post, until,
};
use serde_json::Value;

/// A running `mesh logs -f`; dropping it ends it.
struct Following {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Following {
    fn start(mesh: &Mesh, args: &[&str]) -> Self {
        let mut child = mesh.spawn(&[&["logs", "-f"], args].concat());
        let (out, lines) = (BufReader::new(child.stdout.take().unwrap()), Arc::<Mutex<Vec<String>>>::default());
        let shared = Arc::clone(&lines);
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|it| shared.lock().unwrap().push(it)));
        Self { child, lines }
    }

    fn count(&self, part: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|it| it.contains(part)).count()
    }

    fn until(&self, part: &str, count: usize) {
        until(&format!("{count} x `{part}`"), Duration::from_secs(15), || (self.count(part) >= count).then_some(()));
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // One that ended by itself needs no signal.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn items(mesh: &Mesh, args: &[&str]) -> Vec<Value> {
    let ran = mesh.run(&[&["logs", "-o", "json"], args].concat()).ok();
    ran.json()["items"].as_array().unwrap().clone()
}

#[test]
fn logs_are_read_followed_and_told_without_the_dead() {
    let mesh = Mesh::start(&[]);
    let body = format!(r#"{{"model":"{}","max_tokens":4,"messages":[{{"role":"user","content":"x"}}]}}"#, mesh.model());
    assert_eq!(post(&format!("{}/v1/chat/completions", mesh.router()), body).0, 200);

    let ran = mesh.run(&["logs", "node-4", "-u", "routerd"]).ok();
    let open = ran.stdout.lines().find(|it| it.contains("door open")).unwrap();
    assert!(open.contains("  INFO  ") && !ran.stdout.contains('\u{1b}'), "{open}");
    let all = items(&mesh, &["node-4"]);
    let units = |unit: &str| all.iter().filter(|it| it["unit"] == unit).count();
    assert!(units("agentd") > 0 && units("routerd") > 0 && units("supervisor") > 0, "{all:?}");
    let times = |items: &[Value]| items.iter().map(|it| it["at"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert!(times(&all).is_sorted(), "{all:?}");
    let several = items(&mesh, &["node-1", "node-4", "--since", "1h", "-u", "agentd"]);
    assert!(times(&several).is_sorted());
    for node in ["node-1", "node-4"] {
        assert!(several.iter().any(|it| it["node"] == node), "{several:?}");
    }
    assert_eq!(items(&mesh, &["node-1", "node-4", "--lines", "1"]).len(), 2);
    assert_eq!(items(&mesh, &["node-4", "--grep", "door open"]).len(), 1);
    assert!(items(&mesh, &["node-4", "--since", "1ms", "-u", "routerd"]).is_empty());
    assert!(items(&mesh, &["node-4", "--level", "error"]).is_empty());
    mesh.run(&["logs", "node-4", "--level", "error"]).ok().says(&["no lines"]);
    mesh.run(&["logs", "node-4", "-u", "engine"]).exits(1).says(&["no log of engine", "agentd, routerd, supervisor"]);
    mesh.run(&["logs", "node-9"]).exits(1).says(&["there is no node/node-9"]);

    // What a log holds does nothing to a terminal.
    let log = mesh.node_dir("node-4").join("var/log/routerd.log");
    writeln!(fs::File::options().append(true).open(log).unwrap(), "evil \u{1b}[2J").unwrap();
    let ran = mesh.run(&["logs", "node-4", "-u", "routerd", "--lines", "1"]).ok();
    assert!(ran.stdout.ends_with("evil \\u{1b}[2J\n"), "{:?}", ran.stdout);

    // Followed through the end and the return of the router, and then of the agent that tells it.
    let agents = Following::start(&mesh, &["node-4", "node-5", "-u", "agentd"]);
    agents.until("node-4  ", 1);
    agents.until("node-5  ", 1);
    let up = agents.count("agent is up");
    let router = Following::start(&mesh, &["node-4", "-u", "routerd"]);
    router.until("door open", 1);
    mesh.kill("node-4", "routerd");
    router.until("door open", 2);
    mesh.kill("node-4", "agentd");
    mesh.kill("node-4", "routerd");
    router.until("door open", 3);
    assert_eq!((router.count("door open"), router.count("evil")), (3, 1), "nothing is told twice");
    agents.until("agent is up", up + 1);
    drop((agents, router));

    mesh.run(&["down", "node-7"]).ok();
    mesh.run(&["logs", "node-7"]).exits(5).says(&["cannot read the logs of node-7", "next: mesh doctor"]);
    let ran = mesh.run(&["logs", "node-6", "node-7", "-u", "engine"]).exits(4).says(&["warning: node-7: "]);
    assert!(ran.stdout.lines().all(|it| it.starts_with("node-6  ")) && !ran.stdout.is_empty(), "{}", ran.stdout);
}

#[test]
fn logs_come_out_of_the_journal_under_systemd() {
    let Some(bed) = machines(1) else { return };
    let operator = Operator::new(&bed);
    let hosts = bed.hosts_yaml(|_| {}).unwrap();
    operator.bootstrap(&[hosts.to_str().unwrap()]).finish().ok();
    let items = |args: &[&str]| {
        let ran = operator.run(&[&["logs", "h1", "-o", "json"], args].concat()).ok();
        ran.json()["items"].as_array().unwrap().clone()
    };
    let has = |items: &[Value], part: &str| items.iter().any(|it| it["text"].as_str().unwrap().contains(part));
    let all = items(&[]);
    assert!(has(&all, "agent is up") && has(&all, "Started mesh-agentd.service"), "{all:?}");
    assert!(all.iter().all(|it| it["unit"] == "agentd" && it["at"].is_string()), "{all:?}");
    assert!(items(&["--level", "error"]).is_empty() && items(&["--since", "1ms"]).is_empty());
    assert_eq!(items(&["--grep", "agent is up", "--lines", "1"]).len(), 1);
    let absent = operator.run(&["logs", "h1", "-u", "supervisor"]).exits(1);
    let _ = absent.says(&["no log of supervisor", "agentd, routerd"]);
}
