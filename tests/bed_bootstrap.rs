//! `mesh bootstrap` when things go wrong: cut connections, a dead controller, full disks, noisy shells, new disks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, time::Duration};

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

/// No release is in place and nothing runs; a binary of which only a part has come is gone on with next time.
fn nothing_is_half_there(host: &BedHost) {
    let found = host.exec(
        "ls -d /opt/mesh/current /usr/local/bin/mesh; find / -xdev -name '*.part' ! -path '/opt/mesh/releases/*'",
    );
    assert_eq!(found.stdout, "", "on {}", host.name());
    assert!(!host.processes().iter().any(|it| it.program.starts_with("mesh-")), "something runs on {}", host.name());
}

#[test]
fn connections_that_break_at_any_step_are_gone_on_with() {
    let Some(bed) = wanted(8) else { return };
    let (operator, hosts) = ground(&bed, |it| {
        it["rolling"] = json!({"batch": "100%", "canary": 0, "max_failures": "100%"});
        for (index, host) in it["hosts"].as_array_mut().unwrap().iter_mut().enumerate() {
            let role = ["coordinator", "router", "gpu"][index.min(2)];
            host["roles"] = json!([role]);
        }
    });
    // Each of these hosts is lost at another step of the same run.
    let mut lost_at = BTreeMap::from([
        ("h3", "state directory"),
        ("h4", "binary mesh-agentd"),
        ("h5", "identity of the agent"),
        ("h6", "configuration of the agent"),
        ("h7", "supervisor"),
        ("h8", "the agent answers"),
    ]);
    let mut run = operator.bootstrap(&[&hosts]);
    while let Some(event) = run.event() {
        let (host, step) = (event["host"].as_str().unwrap_or_default(), event["step"].as_str());
        if event["event"] == "step" && lost_at.get(host).copied() == step {
            bed.cut_off(host).unwrap();
            lost_at.remove(host);
        }
    }
    let ended = run.finish().exits(4).says(&["h3", "h4", "h5", "h6", "h7", "h8"]);
    assert!(lost_at.is_empty(), "never came there: {lost_at:?}\n{}", ended.stderr);
    until("the others serve", Duration::from_secs(30), || {
        let ready = operator.ready();
        (ready.contains(&"h1".to_owned()) && ready.contains(&"h2".to_owned())).then_some(())
    });

    bed.heal().unwrap();
    operator.bootstrap(&["--resume", &operator.last_run()]).finish().ok();
    operator.all_are_ready(&bed);
    operator.has_nothing_to_do(&hosts);
}

#[test]
fn a_coordinator_is_one_before_it_has_the_command() {
    let Some(bed) = wanted(2) else { return };
    let (operator, hosts) = ground(&bed, |it| {
        for (host, role) in it["hosts"].as_array_mut().unwrap().iter_mut().zip(["coordinator", "router"]) {
            host["roles"] = json!([role]);
        }
    });
    let mut run = operator.bootstrap(&[&hosts]);
    assert!(run.until("step", Some("h1"), "mesh on the path"), "{}", run.finish().stderr);
    let one = bed.host("h1");
    let _ = one.exec("pkill -f 'sshd: root'");
    run.finish().exits(4).says(&["h1", "step `binary mesh` failed"]);
    operator.all_are_ready(&bed);
    let has = "test -x /usr/local/bin/mesh";
    assert_ne!(one.exec(has).code, 0);
    operator.bootstrap(&["--resume", &operator.last_run()]).finish().ok();
    assert_eq!(one.exec(has).code, 0);
    operator.all_are_ready(&bed);
    operator.has_nothing_to_do(&hosts);
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
        ("step", Some("h1"), "mesh on the path"),
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
    operator.all_are_ready(&bed);
    let lineage = operator.cluster().unwrap()["lineage"].to_string();
    assert_ne!(lineage, "null");
    assert!(made.is_none_or(|it| it == lineage), "another mesh was made");
    operator.has_nothing_to_do(&hosts);
}

/// The run that was interrupted, or one from the start when there is none yet.
fn go_on(operator: &Operator, hosts: &str) -> Bootstrap {
    match operator.last_run() {
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
    assert_eq!(operator.ready(), ["h1", "h2", "h3", "h4"], "a noisy shell and a full disk elsewhere stop nobody");
    full.free_disk().unwrap();
    operator.bootstrap(&[&hosts, "--only-failed"]).finish().ok();
    operator.all_are_ready(&bed);

    full.wipe().unwrap();
    operator.bootstrap(&[&hosts]).finish().exits(4).says(&["h5", "key"]);
    bed.trust().unwrap();
    operator.bootstrap(&[&hosts]).finish().ok();
    operator.all_are_ready(&bed);
    operator.has_nothing_to_do(&hosts);

    // A voter that has forgotten what it promised must not vote again under the same id.
    bed.host("h3").wipe().unwrap();
    bed.trust().unwrap();
    let refused = operator.bootstrap(&[&hosts]).finish();
    assert_ne!(refused.code, 0);
    let _ = refused.says(&["h3", "log is gone"]);
    nothing_is_half_there(bed.host("h3"));
}
