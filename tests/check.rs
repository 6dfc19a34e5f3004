//! `mesh init`, `check` and `explain`: what is wrong is named, with its place and the next command.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a test fails by panicking")]

use std::{fs, net::TcpListener, path::Path, process::Command};

use mesh_tests::{
    Ran,
    bed::{Operator, wanted},
    bin_dir,
};
use serde_json::{Value, json};

/// Runs `mesh` where no mesh is known.
fn mesh(home: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(bin_dir().join("mesh"));
    command.env_clear().env("HOME", home).args(args);
    Ran::from(command.output().unwrap())
}

#[test]
fn a_file_is_begun_checked_and_explained_without_any_host() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("hosts.yaml");
    let path = file.to_str().unwrap();
    let begun = mesh(home.path(), &["init", "ada@10.20.0.[1-3]", "--mesh", "lab"]).ok();
    fs::write(&file, &begun.stdout).unwrap();
    mesh(home.path(), &["check", path, "--offline"]).ok().says(&["3 hosts, 3 coordinators, 3 routers"]);
    let told = mesh(home.path(), &["check", path, "--offline", "-o", "json"]).ok().json();
    assert_eq!(told["hosts"][2]["name"], "node-3", "{told}");
    let schema = mesh(home.path(), &["init", "--schema"]).ok().json();
    assert!(schema["properties"]["hosts"].is_object(), "{schema}");

    let bent = begun.stdout.replace("rolling:", "roling:").replace("10.20.0.3", "10.20.0.2");
    fs::write(&file, bent).unwrap();
    mesh(home.path(), &["check", path, "--offline"]).exits(3).says(&[
        "error[E0101]",
        "hosts.yaml:21:31: the address 10.20.0.2 is there already, at 20:31",
        "hosts.yaml:22:1: unknown key `roling`",
        "hint: did you mean `rolling`?",
    ]);
    mesh(home.path(), &["check", "absent.yaml"]).exits(3).says(&["absent.yaml:1:1: cannot be read", "mesh init"]);
    let explained = mesh(home.path(), &["explain", "E0101"]).ok();
    assert!(explained.stdout.contains("mesh check hosts.yaml --offline"), "{}", explained.stdout);
    mesh(home.path(), &["explain", "hosts.shs"]).exits(1).says(&["hosts.ssh"]);
}

#[test]
fn hosts_are_looked_at_and_left_as_they_are() {
    let Some(bed) = wanted(3) else { return };
    let operator = Operator::new(&bed);
    let file = bed.hosts_yaml(|_| {}).unwrap();
    let path = file.to_str().unwrap();
    let states = |ran: &Ran| -> Vec<String> {
        let told = ran.json();
        let of = |it: &Value| it["state"].as_str().unwrap().to_owned();
        told["hosts"].as_array().unwrap().iter().map(of).collect()
    };
    let sound = operator.run(&["check", path, "-o", "json"]).ok();
    assert!(states(&sound).iter().all(|it| it != "failed" && it != "unfit"), "{}", sound.stdout);
    assert_eq!(sound.json()["hosts"][0]["data_address"], bed.hosts()[0].address().to_string());

    let stranger = bed.hosts()[1].in_network(|| TcpListener::bind("0.0.0.0:7443").unwrap()).unwrap();
    let taken = operator.run(&["check", path, "-o", "json"]).exits(4);
    assert_eq!(states(&taken)[1], "unfit", "{}", taken.stdout);
    assert!(taken.stdout.contains("port 7443 is taken"), "{}", taken.stdout);
    drop(stranger);

    bed.hosts()[2].power_off().unwrap();
    let patient = bed.hosts_yaml(|it| it["defaults"]["ssh"]["retries"] = json!(0)).unwrap();
    let ran = operator.run(&["check", patient.to_str().unwrap()]).exits(4);
    assert!(ran.stdout.contains("error[E0201]") && ran.stdout.contains("h3"), "{}", ran.stdout);
    assert!(!bed.hosts()[0].path("/etc/mesh").exists() && !bed.hosts()[0].path("/opt/mesh").exists());
}
