//! What upgrades leave on hosts: the running release and the one before it, and nothing that leads nowhere.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use mesh_tests::{
    bed::{Bed, BedHost, Operator, wanted},
    until,
};

/// The operator with binaries that differ from those under test in the agent's digest only.
fn another_build(bed: &Bed, operator: &Operator, name: &str) -> Operator {
    let dir: PathBuf = bed.dir().join(name);
    fs::create_dir(&dir).unwrap();
    for name in ["mesh", "mesh-agentd", "mesh-routerd", "mesh-standin"] {
        fs::copy(mesh_tests::bin_dir().join(name), dir.join(name)).unwrap();
    }
    let agent = dir.join("mesh-agentd");
    let mut bytes = fs::read(&agent).unwrap();
    bytes.extend(name.as_bytes());
    fs::write(&agent, bytes).unwrap();
    operator.with_binaries(&dir)
}

/// The releases of a host, and the one that runs.
fn releases(host: &BedHost) -> (BTreeSet<String>, String) {
    let all = host.exec("ls /opt/mesh/releases").ok().stdout.lines().map(str::to_owned).collect();
    let current = host.exec("basename \"$(readlink /opt/mesh/current)\"").ok().stdout.trim().to_owned();
    (all, current)
}

#[test]
fn old_releases_go_once_the_new_one_answers_and_none_that_somebody_runs() {
    let Some(bed) = wanted(2) else { return };
    let first = Operator::new(&bed);
    let hosts = bed.hosts_yaml(|it| it["rolling"] = serde_json::json!({"pause": "0s"})).unwrap();
    let hosts = hosts.to_str().unwrap();
    let install = |operator: &Operator| operator.bootstrap(&[hosts]).finish().ok();
    let plan = |operator: &Operator| operator.run(&["bootstrap", hosts, "--dry-run"]).ok().stdout;
    let [one, two] = bed.hosts() else { panic!("two hosts") };

    install(&first);
    let (_, a) = releases(one);
    let second = another_build(&bed, &first, "second");
    install(&second);
    let (all, b) = releases(one);
    assert_eq!(all, [a.clone(), b.clone()].into(), "the way back stays");
    assert!(!plan(&second).contains("an old release"));

    // Somebody runs a program of the first release on h1, and keeps a directory of their own beside it on h2.
    let tool = format!("cp /bin/sleep /opt/mesh/releases/{a}/bin/tool; exec /opt/mesh/releases/{a}/bin/tool 1000");
    one.daemon("tool", &tool);
    until("the tool runs", Duration::from_secs(10), || {
        one.processes().iter().any(|it| it.program == "tool").then_some(())
    });
    let _ = two.exec("mkdir -p /opt/mesh/releases/mine/bin").ok();
    // h2 is no coordinator: a link of an earlier version leads nowhere there.
    let _ = two.exec("ln -s /opt/mesh/current/bin/mesh /usr/local/bin/mesh").ok();
    let third = another_build(&bed, &first, "third");
    let shown = plan(&third);
    let gone = |host: &str| shown.lines().any(|it| it.starts_with(host) && it.contains(&a) && it.contains("absent"));
    assert!(gone("h2") && !gone("h1"), "{shown}");
    assert!(shown.lines().any(|it| it.contains("/usr/local/bin/mesh") && it.contains("absent")), "{shown}");
    install(&third);
    first.all_are_ready(&bed);
    let (on_one, c) = releases(one);
    assert_eq!(on_one, [a.clone(), b.clone(), c.clone()].into(), "what runs stays");
    assert_eq!(releases(two), ([b.clone(), c.clone(), "mine".to_owned()].into(), c.clone()));
    assert_eq!(two.exec("ls -l /usr/local/bin/mesh").stdout, "");
    assert_eq!(one.exec("test -x /usr/local/bin/mesh").code, 0, "a coordinator keeps the command");
    third.has_nothing_to_do(hosts);

    // Nobody runs it any more; a link of somebody's own is not ours to take.
    assert_eq!(one.kill("tool 1000"), 1);
    let _ = two.exec("ln -s /opt/other/mesh /usr/local/bin/mesh").ok();
    install(&third);
    assert_eq!(releases(one), ([b.clone(), c].into(), releases(two).1));
    assert_eq!(two.exec("readlink /usr/local/bin/mesh").stdout, "/opt/other/mesh\n");
    third.has_nothing_to_do(hosts);

    // The way back: nothing is sent but what a release shares with no other.
    install(&second);
    first.all_are_ready(&bed);
    assert_eq!(releases(one).1, b);
    second.has_nothing_to_do(hosts);
    first.run(&["reset", "--all", "-f", hosts, "--purge", "--yes"]).ok();
    assert_eq!(two.exec("readlink /usr/local/bin/mesh").stdout, "/opt/other/mesh\n");
}

/// Steps of an operator's own, put into a copy of the built-in playbook before the agent's unit.
const DROP_IN: &str = r#"
  - name: directory of drop-ins
    dir: {path: /etc/systemd/system/mesh-agentd.service.d, mode: "0755"}

  - name: drop-in
    file: {path: /etc/systemd/system/mesh-agentd.service.d/nice.conf, mode: "0644", content: "[Service]\nNice=5\n"}
"#;

#[test]
fn a_reset_takes_drop_ins_that_were_installed_and_no_others() {
    let Some(bed) = wanted(2) else { return };
    let operator = Operator::new(&bed);
    let hosts = bed.hosts_yaml(|_| {}).unwrap();
    let hosts = hosts.to_str().unwrap();
    let text = operator.run(&["playbook", "show", "bootstrap", "-o", "yaml"]).ok().stdout;
    let place = text.find("\n  - name: unit of the agent").unwrap();
    let own = bed.dir().join("own.yaml");
    fs::write(&own, format!("{}{DROP_IN}{}", &text[..place], &text[place..])).unwrap();
    operator.bootstrap(&[hosts, "--playbook", own.to_str().unwrap()]).finish().ok();
    operator.all_are_ready(&bed);
    let dir = "/etc/systemd/system/mesh-agentd.service.d";
    let listed = |host: &BedHost| host.exec(&format!("ls {dir} 2>&1")).stdout;
    // On h2 somebody has added a file of their own.
    let _ = bed.host("h2").exec(&format!("echo '[Service]' > {dir}/mine.conf")).ok();
    assert_eq!(
        (listed(bed.host("h1")).as_str(), listed(bed.host("h2")).as_str()),
        ("nice.conf\n", "mine.conf\nnice.conf\n")
    );
    operator.run(&["reset", "--all", "-f", hosts, "--purge", "--yes"]).ok();
    assert!(listed(bed.host("h1")).contains("No such file"), "{}", listed(bed.host("h1")));
    assert_eq!(listed(bed.host("h2")), "mine.conf\n");
}
