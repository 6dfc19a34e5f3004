//! Runs over hosts that come to no good end: each has a journal, and is gone on with by its id.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use mesh_tests::bed::{Bed, BedHost, Operator, wanted};
use rustix::process::Signal;
use serde_json::{Value, json};

/// A hosts.yaml by which nobody waits long for a host that does not answer.
fn hosts_of(bed: &Bed, change: impl FnOnce(&mut Value)) -> String {
    let hosts = bed.hosts_yaml(|it| {
        it["defaults"]["ssh"]["connect_timeout"] = json!("2s");
        it["defaults"]["ssh"]["retries"] = json!(0);
        change(it);
    });
    hosts.unwrap().to_str().unwrap().to_owned()
}

/// The newest run as the one list of all has it.
fn newest(operator: &Operator) -> Value {
    let list = operator.run(&["reset", "--list", "-o", "json"]).ok().json();
    assert_eq!(list, operator.run(&["bootstrap", "--list", "-o", "json"]).ok().json(), "there is one list");
    list["items"][0].clone()
}

fn nothing_is_left(host: &BedHost) {
    let left = host.exec("ls -d /opt/mesh /etc/mesh /var/lib/mesh /usr/local/bin/mesh").stdout;
    assert_eq!((left.as_str(), host.kill("mesh-agentd")), ("", 0), "{}", host.name());
}

#[test]
fn a_reset_that_loses_a_host_or_its_operator_is_gone_on_with() {
    let Some(bed) = wanted(3) else { return };
    let (operator, hosts) = (Operator::new(&bed), hosts_of(&bed, |_| {}));
    let reset = ["reset", "--all", "-f", &hosts, "--purge"];
    operator.bootstrap(&[&hosts]).finish().ok();
    operator.all_are_ready(&bed);

    // The connection to h3 breaks while its supervisor is being stopped: what runs there keeps the host locked.
    let mut run = operator.start(&reset);
    assert!(run.until("step", Some("h3"), "stop the supervisor"));
    bed.cut_off("h3").unwrap();
    let ended = run.finish().exits(4);
    let first = newest(&operator);
    let id = first["head"]["id"].as_str().unwrap();
    let _ = ended.says(&["h3", &format!("next: mesh reset --resume {id}")]);
    assert_eq!((&first["head"]["deed"], &first["exit"]), (&json!("reset"), &json!(4)), "{first}");
    assert_eq!(first["hosts"], json!({"h1": "done", "h2": "done", "h3": "failed"}));
    assert_eq!(first["head"]["orders"]["purge"], true, "{first}");
    ["h1", "h2"].into_iter().for_each(|it| nothing_is_left(bed.host(it)));
    bed.heal().unwrap();
    operator.run(&["bootstrap", "--resume", id]).exits(2).says(&["is one of mesh reset", "mesh reset --resume"]);
    operator.start(&["reset", "--resume", id]).finish().ok().says(&["mesh bed is no more"]);
    bed.hosts().iter().for_each(nothing_is_left);
    assert_eq!(newest(&operator)["exit"], 0);
    operator.run(&["reset", "--resume", id, "--yes"]).ok().says(&["nothing to do"]);

    // Whoever resets is gone with the link: sshd of h2 knows of neither, and the next run does not wait for it.
    operator.bootstrap(&[&hosts]).finish().ok();
    let mut run = operator.start(&reset);
    assert!(run.until("step", Some("h2"), "stop the supervisor"));
    bed.cut_off("h2").unwrap();
    run.kill();
    bed.heal().unwrap();
    assert_eq!(newest(&operator)["exit"], Value::Null, "it has not ended");
    let table = operator.run(&["bootstrap", "--list"]).ok().stdout;
    let line = table.lines().nth(1).unwrap();
    assert!(line.contains("reset") && line.contains("unfinished"), "{table}");
    operator.start(&["reset", "--only-failed", "-f", &hosts]).finish().ok();
    bed.hosts().iter().for_each(nothing_is_left);

    // Asked to stop, it finishes the host that has begun, and begins no other.
    operator.bootstrap(&[&hosts]).finish().ok();
    let mut run = operator.start(&[&reset[..], &["--concurrency", "1"]].concat());
    assert!(run.until("step", Some("h1"), "stop the supervisor"));
    run.signal(Signal::INT);
    let id = operator.last_run();
    let _ = run.finish().exits(130).says(&["2 hosts were not begun", &format!("mesh reset --resume {id}")]);
    nothing_is_left(bed.host("h1"));
    assert_eq!((&newest(&operator)["hosts"], &newest(&operator)["exit"]), (&json!({"h1": "done"}), &json!(130)));
    assert_eq!(bed.host("h3").exec("ls -d /opt/mesh").stdout, "/opt/mesh\n");
    let look = operator.run(&["reset", "--resume", &id, "--dry-run"]).ok().stdout;
    assert!(look.contains("h3") && !look.contains("h1"), "{look}");
    assert_eq!(newest(&operator)["exit"], 130, "a look changes nothing");
    operator.start(&["reset", "--resume", &id]).finish().ok();
    bed.hosts().iter().for_each(nothing_is_left);
}

/// Freezes the agent of a host for as many seconds as the host itself says.
const NAP: &str = r#"
name: nap
about: Freezes an agent
root: true
steps:
  - name: nap
    command:
      run: |
        pid=$(cat /run/mesh/agentd.pid)
        kill -STOP "$pid"
        (sleep "$(cat /etc/nap)"; kill -CONT "$pid") >/dev/null 2>&1 &
        touch /etc/napped
      creates: /etc/napped
"#;

#[test]
fn a_playbook_waits_for_the_mesh_between_waves_and_is_gone_on_with() {
    let Some(bed) = wanted(3) else { return };
    bed.host("h3").start_engine().unwrap();
    let (operator, hosts) = (Operator::new(&bed), hosts_of(&bed, |it| it["rolling"] = json!({"pause": "0s"})));
    operator.bootstrap(&[&hosts]).finish().ok();
    operator.all_are_ready(&bed);
    let file = bed.dir().join("nap.yaml");
    fs::write(&file, NAP).unwrap();
    let nap = |host: &str, seconds: u32| {
        let _ = bed.host(host).exec(&format!("echo {seconds} > /etc/nap")).ok();
    };
    let napped = |host: &str| bed.host(host).exec("test -e /etc/napped").code == 0;

    // The first one in service does not come back: the others are not touched.
    nap("h2", 1000);
    nap("h3", 4);
    let run = ["playbook", "run", file.to_str().unwrap(), "-f", &hosts, "--limit", "h2,h3", "--timeout", "4s"];
    let ended = operator.start(&run).finish();
    assert_ne!(ended.code, 0, "{}", ended.stderr);
    let first = newest(&operator);
    let id = first["head"]["id"].as_str().unwrap().to_owned();
    let next = format!("next: mesh playbook run --resume {id}");
    let _ = ended.says(&["h2: it was changed, and is not in service as it was", "h3: not begun: ", &next]);
    assert!(napped("h2") && !napped("h3"));
    assert_eq!((&first["head"]["playbook"], &first["hosts"]), (&json!("nap"), &json!({"h2": "failed"})), "{first}");

    // What is gone on with must be what was begun.
    fs::write(&file, NAP.replace("Freezes", "Stops")).unwrap();
    operator.run(&["playbook", "run", "--resume", &id]).exits(7).says(&["the playbook has changed since run"]);
    fs::write(&file, NAP).unwrap();
    assert_eq!(bed.host("h2").cont("mesh-agentd run"), 1);
    operator.all_are_ready(&bed);
    let mut again = operator.start(&["playbook", "run", "--resume", &id]);
    assert!(again.until("phase", None, "waiting for 1 nodes: h3: "), "{}", again.finish().stderr);
    again.finish().ok();
    assert!(napped("h3"));
    assert_eq!(operator.ready().len(), 3, "the run ends when the mesh is whole");
    let last = newest(&operator);
    assert_eq!((&last["head"]["id"], &last["exit"]), (&json!(id), &json!(0)));
    assert_eq!(last["hosts"], json!({"h2": "done", "h3": "done"}));
    operator.run(&["playbook", "run", "--resume", &id]).ok().says(&["nothing to do"]);

    // One after another: the next one begins when the one before serves again, its engine too.
    for host in ["h1", "h2", "h3"] {
        nap(host, 4);
        let _ = bed.host(host).exec("rm -f /etc/napped").ok();
    }
    let mut order = Vec::new();
    let mut run = operator.start(&["playbook", "run", file.to_str().unwrap(), "-f", &hosts]);
    while let Some(event) = run.event() {
        match (event["event"].as_str(), event["host"].as_str(), event["text"].as_str()) {
            (Some("step"), Some(host), _) => order.push(host.to_owned()),
            // What is waited for first; the only coordinator answers nobody while its agent sleeps.
            (Some("phase"), _, Some(text)) if text.starts_with("waiting for ") => {
                let name = text.split(' ').nth(4).unwrap().trim_end_matches(':');
                if order.last().is_some_and(|it: &String| !it.starts_with('~')) {
                    order.push(format!("~{name}"));
                }
            }
            _ => {}
        }
    }
    run.finish().ok();
    order.dedup();
    assert_eq!(order, ["h1", "~h1", "h2", "~h2", "h3", "~h3"]);
    assert_eq!(operator.ready().len(), 3);
}
