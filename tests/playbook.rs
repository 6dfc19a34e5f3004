//! `mesh playbook run` over SSH: looks, changes, and finds nothing to do; a host that is dead is its own failure.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use mesh_tests::{
    bed::{Operator, wanted},
    until,
};
use serde_json::json;

const PLAYBOOK: &str = r#"
name: greet
about: Says who lives on a host
root: true
inputs:
  greeting: what is said
  node: the name of this host
steps:
  - name: directory
    dir: {path: /etc/greet, mode: "0755"}
  - name: greeting
    file: {path: /etc/greet/text, mode: "0644", content: "{{ greeting }} {{ node }}\n"}
"#;

#[test]
fn a_playbook_runs_on_the_hosts_of_a_file() {
    let Some(bed) = wanted(3) else { return };
    let operator = Operator::new(&bed);
    let hosts = bed.hosts_yaml(|it| {
        it["defaults"]["ssh"]["connect_timeout"] = json!("2s");
        it["defaults"]["ssh"]["retries"] = json!(0);
    });
    let hosts = hosts.unwrap().to_str().unwrap().to_owned();
    let file = bed.dir().join("greet.yaml");
    std::fs::write(&file, PLAYBOOK).unwrap();
    let run = |more: &[&str]| {
        let args = ["playbook", "run", file.to_str().unwrap(), "-f", &hosts, "--yes", "--var", "greeting=hello"];
        operator.run(&[&args[..], more].concat())
    };
    let text = |host: &str| bed.host(host).exec("cat /etc/greet/text 2>/dev/null").stdout;
    let two = ["--limit", "h1,h2"];

    let looked = run(&[&two[..], &["--check", "--diff", "--detailed-exitcode"]].concat()).exits(10);
    for part in ["h1", "h2", "/etc/greet/text", "+hello h1", "+hello h2"] {
        assert!(looked.stdout.contains(part), "no `{part}` in: {}", looked.stdout);
    }
    assert!(!looked.stdout.contains("h3"), "{}", looked.stdout);
    assert_eq!((text("h1"), text("h2")), (String::new(), String::new()), "a look changes nothing");

    let changed = run(&[&two[..], &["--progress", "json", "-o", "json"]].concat()).ok();
    let items = changed.json()["items"].clone();
    for (place, host) in ["h1", "h2"].into_iter().enumerate() {
        assert_eq!((&items[place]["host"], &items[place]["changed"]), (&json!(host), &json!(2)), "{items}");
        assert_eq!(text(host), format!("hello {host}\n"));
    }
    assert!(changed.stderr.contains(r#""event":"step""#), "{}", changed.stderr);
    let again = run(&[&two[..], &["-o", "json"]].concat()).ok().json();
    assert!(again["items"].as_array().unwrap().iter().all(|it| it["state"] == "ok"), "{again}");
    assert_eq!(text("h3"), "");

    // Somebody else changes a host: nothing is begun.
    let holder = "exec 9>>/run/mesh-bootstrap.lock; flock 9; echo eve pid 1 >/run/mesh-bootstrap.lock; touch /run/held; sleep 1000";
    bed.host("h2").daemon("holder", holder);
    until("the lock is held", Duration::from_secs(10), || {
        (bed.host("h2").exec("test -e /run/held").code == 0).then_some(())
    });
    let refused = run(&[&two[..], &["--var", "greeting=bye"]].concat()).exits(7);
    let _ = refused.says(&["another operator is changing this host", "eve"]);
    assert_eq!(text("h1"), "hello h1\n");

    bed.host("h2").power_off().unwrap();
    let partly = run(&["--var", "greeting=bye", "-o", "json"]).exits(4);
    let items = partly.json()["items"].clone();
    let states: Vec<&str> = items.as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["changed", "failed", "changed"], "{items}");
    assert_eq!((text("h1"), text("h3")), ("bye h1\n".to_owned(), "bye h3\n".to_owned()));

    bed.host("h2").reboot().unwrap();
    let _ = bed.host("h1").exec("echo by hand > /etc/greet/text").ok();
    let failed = run(&["--var", "greeting=bye", "--only-failed", "-o", "json"]).ok().json();
    assert_eq!(failed["items"].as_array().map(Vec::len), Some(1), "{failed}");
    assert_eq!((text("h1"), text("h2")), ("by hand\n".to_owned(), "bye h2\n".to_owned()));
    run(&["--only-failed"]).ok().says(&["nothing to do"]);
}
