//! `mesh bootstrap` when things go wrong: a dead controller, full disks, noisy shells, new disks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use mesh_tests::{
    bed::{Bed, BedHost, Bootstrap, Operator, wanted},
    until,
};
use serde_json::{Value, json};

/// A hosts.yaml for a bed, and somebody who has never run anything.
fn ground(bed: &Bed, change: impl FnOnce(&mut Value)) -> (Operator, String) {
    let hosts = bed.hosts_yaml(|it| {
        change(it);
        // Nobody waits long for a host that does not answer.
        it["defaults"]["ssh"]["connect_timeout"] = json!("2s");
        it["defaults"]["ssh"]["retries"] = json!(0);
    });
    (Operator::new(bed), hosts.unwrap().to_str().unwrap().to_owned())
}

/// Names of the nodes that are Ready.
fn ready(operator: &Operator) -> Vec<String> {
    let nodes = operator.nodes();
    let ready = nodes.iter().filter(|it| it["status"]["phase"] == "Ready");
    ready.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

fn all_are_ready(bed: &Bed, operator: &Operator) {
    until("every node is Ready", Duration::from_secs(30), || {
        (ready(operator).len() == bed.hosts().len()).then_some(())
    });
}

/// The last run of a bootstrap, from `mesh bootstrap --list`; empty when there is none.
fn last_run(operator: &Operator) -> String {
    let list = operator.run(&["bootstrap", "--list", "-o", "json"]).ok().json();
    let ids = list["items"].as_array().unwrap().iter().filter_map(|it| it["head"]["id"].as_str());
    ids.max().unwrap_or_default().to_owned()
}

fn nothing_to_do(operator: &Operator, hosts: &str) {
    let look = operator.run(&["bootstrap", hosts, "--dry-run", "--detailed-exitcode"]);
    let _ = look.ok().says(&["nothing to do"]);
}

/// No release is in place and nothing runs; a binary of which only a part has come is gone on with next time.
fn nothing_is_half_there(host: &BedHost) {
    let found = host.exec(
        "ls -d /opt/mesh/current /usr/local/bin/mesh; find / -xdev -name '*.part' ! -path '/opt/mesh/releases/*'",
    );
    assert_eq!(found.stdout, "", "on {}", host.name());
    assert!(!host.processes().iter().any(|it| it.program.starts_with("mesh-")), "something runs on {}", host.name());
}

#[test]
fn a_controller_that_is_killed_anywhere_is_gone_on_with() {
    let Some(bed) = wanted(3) else { return };
    let (operator, hosts) = ground(&bed, |_| {});
    let mut made = None;
    for (kind, host, words) in [
        ("phase", None, "connecting"),
        ("phase", None, "comparing"),
        ("step", Some("h1"), "binary mesh-agentd"),
        ("step", Some("h1"), "authority of the coordinator"),
        ("step", Some("h1"), "supervisor"),
        ("phase", None, "making mesh"),
        ("phase", None, "waiting for"),
    ] {
        let mut run = go_on(&operator, &hosts);
        assert!(run.until(kind, host, words), "never came to {words}: {}", run.finish().stderr);
        run.kill();
        // Whoever made a mesh must find the same one again: a second one would be another lineage.
        let lineage = operator.cluster().map(|it| it["lineage"].to_string());
        made = made.or(lineage);
    }
    go_on(&operator, &hosts).finish().ok();
    all_are_ready(&bed, &operator);
    let lineage = operator.cluster().unwrap()["lineage"].to_string();
    assert_ne!(lineage, "null");
    assert!(made.is_none_or(|it| it == lineage), "another mesh was made");
    nothing_to_do(&operator, &hosts);
}

/// The run that was interrupted, or one from the start when there is none yet.
fn go_on(operator: &Operator, hosts: &str) -> Bootstrap {
    match last_run(operator) {
        run if run.is_empty() => operator.bootstrap(&[hosts]),
        run => operator.bootstrap(&["--resume", &run]),
    }
}

#[test]
fn full_disks_noisy_shells_and_new_disks_are_told_and_healed() {
    let Some(bed) = wanted(5) else { return };
    let (operator, hosts) = ground(&bed, |_| {});
    let _ = bed.host("h2").exec("echo 'echo you have mail; echo and more >&2' > /root/.bashrc").ok();
    let full = bed.host("h5");

    full.fill_disk(20 * 1024).unwrap();
    operator.bootstrap(&[&hosts]).finish().exits(4).says(&["h5", "20.0MiB free"]);
    nothing_is_half_there(full);
    full.free_disk().unwrap();

    let mut run = operator.bootstrap(&[&hosts]);
    assert!(run.until("step", Some("h5"), "binary mesh-agentd"));
    full.fill_disk(1024).unwrap();
    run.finish().exits(4).says(&["h5", "No space left on device"]);
    nothing_is_half_there(full);
    assert_eq!(ready(&operator), ["h1", "h2", "h3", "h4"], "a noisy shell and a full disk elsewhere stop nobody");
    full.free_disk().unwrap();
    operator.bootstrap(&[&hosts, "--only-failed"]).finish().ok();
    all_are_ready(&bed, &operator);

    full.wipe().unwrap();
    operator.bootstrap(&[&hosts]).finish().exits(4).says(&["h5", "key"]);
    bed.trust().unwrap();
    operator.bootstrap(&[&hosts]).finish().ok();
    all_are_ready(&bed, &operator);
    nothing_to_do(&operator, &hosts);

    // A voter that has forgotten what it promised must not vote again under the same id.
    bed.host("h3").wipe().unwrap();
    bed.trust().unwrap();
    let refused = operator.bootstrap(&[&hosts]).finish();
    assert_ne!(refused.code, 0);
    let _ = refused.says(&["h3", "log is gone"]);
    nothing_is_half_there(bed.host("h3"));
}
