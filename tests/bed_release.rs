//! What `mesh bootstrap` installs is what was signed: in the bundle, on the way, and on the disks of hosts.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use mesh_tests::{
    bed::{BedHost, Operator, wanted},
    release::{bundle, flip, sign},
    until,
};
use serde_json::json;

/// A change of one file of a bundle.
type Harm<'a> = &'a dyn Fn(&Path);

#[test]
fn only_whole_bundles_of_trusted_keys_come_to_hosts() {
    let Some(bed) = wanted(2) else { return };
    let operator = Operator::new(&bed);
    let hosts = bed.hosts_yaml(|_| {}).unwrap();
    let here = tempfile::tempdir().unwrap();
    let (made, kept) = (here.path().join("bundle"), here.path().join("kept"));
    let key = bundle(&made);
    operator.configure(&format!("require_signed = true\ntrusted_keys = ['{key}']\n"));
    let manifest = fs::read_to_string(made.join("manifest.json")).unwrap();
    let (hosts, dir) = (hosts.to_str().unwrap(), made.to_str().unwrap());

    let before = bed.disks();
    let refused = |args: &[&str], parts: &[&str]| {
        let ran = operator.bootstrap(args).finish().exits(11).says(parts);
        assert!(ran.stderr.contains("\n  next: "), "{}", ran.stderr);
        assert!(bed.disks() == before, "something was changed: {}", ran.stderr);
        for host in bed.hosts() {
            assert!(!host.processes().iter().any(|it| it.program.starts_with("mesh-")), "{}", host.name());
        }
    };
    let harmed = |file: &str, harm: Harm<'_>, parts: &[&str]| {
        let path = made.join(file);
        fs::rename(&path, &kept).unwrap();
        // The binaries are links to those under test.
        fs::copy(&kept, &path).unwrap();
        harm(&path);
        refused(&[hosts, "--bundle", dir], parts);
        fs::rename(&kept, &path).unwrap();
    };
    let halve = |path: &Path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    let remove = |path: &Path| fs::remove_file(path).unwrap();

    refused(&[hosts], &["unsigned local build", "require_signed"]);
    harmed("bin/mesh-agentd", &|it| flip(it, 5_000), &["bin/mesh-agentd has the digest", "the manifest says"]);
    harmed("bin/mesh", &halve, &["bin/mesh has ", " bytes, the manifest says"]);
    harmed("bin/mesh-routerd", &remove, &["bin/mesh-routerd, which the manifest lists"]);
    harmed("manifest.json", &halve, &["manifest.json: EOF"]);
    harmed(
        "manifest.json",
        &|it| fs::write(it, manifest.replace("0.1.0", "0.1.1")).unwrap(),
        &["manifest.sig does not belong to manifest.json"],
    );
    harmed("manifest.sig", &halve, &["manifest.sig: EOF"]);
    harmed("manifest.sig", &remove, &["unsigned bundle"]);
    let stranger = sign(&made, &manifest, 6);
    refused(&[hosts, "--bundle", dir], &["signed by", &stranger, "trusted_keys does not list"]);
    assert_eq!(sign(&made, &manifest, 5), key);

    operator.bootstrap(&[hosts, "--bundle", dir]).finish().ok();
    operator.all_are_ready(&bed);
    operator.run(&["bootstrap", hosts, "--bundle", dir, "--dry-run", "--detailed-exitcode"]).ok();
}

/// Stops the upload that is under way, changes a bit of what has come, and lets it go on.
fn corrupt_on_the_way(host: &BedHost) {
    until("a part of a binary has come", Duration::from_secs(60), || {
        (host.stop("dd") > 0).then_some(())?;
        let found = host.exec("find /opt/mesh/releases -name '*.part' -size +64k");
        let part = found.stdout.lines().next().map(|it| host.path(it));
        if let Some(part) = &part {
            flip(part, 5_000);
        }
        host.cont("dd");
        part
    });
}

/// A copy of a program on a host that differs in one bit, where no program looks.
fn corrupted(host: &BedHost, name: &str) -> PathBuf {
    let copy = host.path(&format!("/opt/{name}"));
    fs::copy(mesh_tests::bin_dir().join(name), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    // The table of sections at the end is for debuggers.
    flip(&copy, fs::metadata(&copy).unwrap().len() - 20);
    copy
}

#[test]
fn what_is_corrupted_on_the_way_or_on_a_disk_is_found_and_healed() {
    let Some(bed) = wanted(2) else { return };
    let operator = Operator::new(&bed);
    let hosts = bed.hosts_yaml(|it| it["hosts"][1]["roles"] = json!(["router"])).unwrap();
    let hosts = hosts.to_str().unwrap();
    let host = bed.host("h2");

    let mut run = operator.bootstrap(&[hosts]);
    assert!(run.until("step", Some("h2"), "binary mesh-agentd"));
    corrupt_on_the_way(host);
    run.finish().exits(4).says(&["h2", "arrived with the digest"]);
    assert_eq!(host.exec("ls -d /opt/mesh/current; find /opt/mesh -name '*.part'").stdout, "");
    assert!(!host.processes().iter().any(|it| it.program.starts_with("mesh-")), "it was started");
    assert_eq!(operator.ready(), ["h1"], "the other host is in service");

    let corrupted = corrupted(host, "mesh-routerd");
    let mut run = operator.bootstrap(&[hosts, "--only-failed"]);
    // It has arrived, and nothing of it runs yet.
    assert!(run.until("step", Some("h2"), "configuration of the agent"));
    let dir = host.exec("echo /opt/mesh/releases/*/bin").ok().stdout;
    fs::rename(corrupted, host.path(dir.trim()).join("mesh-routerd")).unwrap();
    run.finish().exits(11).says(&["h2", "not what was installed", "mesh-routerd: digest "]);

    operator.bootstrap(&[hosts]).finish().ok();
    operator.all_are_ready(&bed);
    let runs = "sha256sum </proc/$(cat /run/mesh/routerd.pid)/exe; sha256sum </opt/mesh/current/bin/mesh-routerd";
    let digests = host.exec(runs).ok().stdout;
    let digests: Vec<&str> = digests.lines().collect();
    let built = mesh_proto::cert::sha256(&fs::read(mesh_tests::bin_dir().join("mesh-routerd")).unwrap()).to_string();
    assert!(digests.len() == 2 && digests.iter().all(|it| it.starts_with(&built)), "{digests:?} are not {built}");
    operator.has_nothing_to_do(hosts);
}
