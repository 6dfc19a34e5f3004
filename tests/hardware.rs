//! The machine below: GPUs through a library that exports NVIDIA's symbols, and a disk that is full.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, process::Command, time::Duration};

use mesh_tests::{Mesh, Ran, bin_dir, until};
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;

#[test]
fn gpus_are_read_and_what_the_driver_refuses_is_a_dash() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("libnvidia-ml.so.1");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../agentd/fixtures/nvml/standin.c");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status().unwrap();
    assert!(status.success(), "cc: {status}");
    let mesh = Mesh::start(&["--nvml-library", library.to_str().unwrap()]);

    let status = until("the GPUs arrive", Duration::from_secs(5), || {
        let status = mesh.node("node-6")["status"].clone();
        status["gpus"].as_array().is_some_and(|it| !it.is_empty()).then_some(status)
    });
    let whole = json!({
        "index": 0,
        "uuid": "GPU-5tandin0-0000",
        "name": "Stand-in H100",
        "utilisation_percent": 73.0,
        "memory_used_bytes": 17_u64 << 30,
        "memory_total_bytes": 80_u64 << 30,
        "temperature_c": 64.0,
        "power_w": 412.5,
        "power_limit_w": 700.0,
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 2619,
        "throttle_reasons": ["SW_POWER_CAP", "HW_SLOWDOWN", "HW_THERMAL_SLOWDOWN"],
        "ecc": {
            "volatile_corrected": 3,
            "volatile_uncorrected": 0,
            "aggregate_corrected": 41,
            "aggregate_uncorrected": 1,
        },
        "pcie_replays": 12,
        "health": {"verdict": "warn", "reason": "too hot: the hardware halves its clocks"},
    });
    // The second refuses most readings and the third is lost: what is unknown is left out, and no number is invented.
    let partly =
        json!({"index": 1, "uuid": "GPU-5tandin0-0001", "memory_used_bytes": 0, "memory_total_bytes": 80_u64 << 30});
    let lost = "device fell off the bus or has otherwise become inacessible";
    let lost = json!({"index": 2, "error": lost, "health": {"verdict": "critical", "reason": lost}});
    assert_eq!(status["gpus"], json!([whole, partly, lost]), "{status}");
    assert!(status["gpus_unavailable"].is_null(), "{status}");

    let described = mesh.run(&["describe", "node", "node-6"]).ok().stdout;
    for line in [
        "GPU 0 Stand-in H100: 73% used, memory 17.0GiB/80.0GiB, 64°C, 412/700 W, 1980/2619 MHz, health warn",
        "    throttled: SW_POWER_CAP, HW_SLOWDOWN, HW_THERMAL_SLOWDOWN",
        "    memory errors since the driver was loaded: 3 corrected, 0 not; ever: 41 corrected, 1 not",
        "GPU 1 -: - used, memory 0B/80.0GiB, -, -/- W, -/- MHz, health -",
        "GPU 2 -: - used, memory -, -, -/- W, -/- MHz, health critical",
    ] {
        assert!(described.contains(line), "no `{line}` in {described}");
    }
    let table = mesh.run(&["get", "nodes"]).ok().stdout;
    let row = |node: &str| table.lines().find(|it| it.starts_with(node)).unwrap();
    assert!(row("node-6").contains("3 (73%)"), "{table}");

    // A node without GPUs was not given the library: its reason is the loader's own, and its readings stay unknown.
    let router = mesh.node("node-4")["status"].clone();
    let why = router["gpus_unavailable"].as_str().unwrap();
    assert!(why.contains("libnvidia-ml.so.1: cannot open shared object file"), "{router}");
    assert!(row("node-4").contains("none: libnvidia-ml.so.1"), "{table}");
}

/// How far into a file a process on the "full disk" may write, in bytes: its log fits, the log of raft does not.
const FULL: u64 = 64 << 10;

/// Sets how far into any file a process may write, in bytes; what it starts inherits that. `None` takes it away.
fn limit(mesh: &Mesh, node: &str, process: &str, bytes: Option<u64>) {
    let all = getrlimit(Resource::Fsize).maximum;
    prlimit(Some(mesh.pid(node, process)), Resource::Fsize, Rlimit { current: bytes.or(all), maximum: all }).unwrap();
}

/// Starts a coordinator anew so that a write beyond the limit fails like one on a full disk, instead of killing.
fn restart_without_signal(mesh: &Mesh, node: &str) {
    mesh.run(&["down", node]).ok();
    let mut command = Command::new("env");
    command.arg("--ignore-signal=XFSZ").arg(bin_dir().join("mesh")).args(["up", node]);
    for (name, value) in mesh.command().get_envs() {
        command.env(name, value.unwrap());
    }
    Ran::from(command.output().unwrap()).ok();
}

fn label(mesh: &Mesh, step: u32) -> Ran {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("kind: node\nname: node-6\nspec: {{labels: {{step: s{step}}}}}\n")).unwrap();
    mesh.run(&["apply", "-f", file.path().to_str().unwrap()])
}

fn step(mesh: &Mesh) -> String {
    mesh.node("node-6")["spec"]["labels"]["step"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_full_disk_stops_one_coordinator_and_nothing_is_lost() {
    let mesh = Mesh::start(&[]);
    let coordinators = ["node-1", "node-2", "node-3"];
    coordinators.iter().for_each(|node| restart_without_signal(&mesh, node));
    label(&mesh, 0).ok();
    let leader = || mesh.run(&["cluster", "status", "-o", "json"]).ok().json()["leader"].as_str().map(str::to_owned);
    let full = until("there is a leader", Duration::from_secs(5), leader);
    let log = mesh.node_dir(&full).join("var/lib/mesh/raft/log.redb");
    assert!(fs::metadata(&log).unwrap().len() > FULL, "the next write of the log is beyond the limit");

    // The disk of the leader fills, and stays full however often its agent is started again.
    limit(&mesh, &full, "supervise", Some(FULL));
    limit(&mesh, &full, "agentd", Some(FULL));
    for i in 1..=10 {
        label(&mesh, i).ok();
        assert_eq!(step(&mesh), format!("s{i}"), "the other two go on");
    }
    let ends = || -> Vec<String> {
        let log = fs::read_to_string(mesh.node_dir(&full).join("var/log/supervise.log")).unwrap();
        log.lines()
            .filter_map(|it| it.split_once("process ended process=agentd how="))
            .map(|it| it.1.to_owned())
            .collect()
    };
    let ends = until("it was started again and stopped again", Duration::from_secs(10), || {
        let ends = ends();
        (ends.len() >= 2).then_some(ends)
    });
    assert!(ends.iter().all(|it| it.starts_with("exit status: 70")), "{ends:?}");
    let said = fs::read_to_string(mesh.node_dir(&full).join("var/log/agentd.log")).unwrap();
    assert!(said.contains("the log of desired state has failed: cannot write the log"), "{said}");
    until("it is seen missing", Duration::from_secs(6), || {
        (mesh.node(&full)["status"]["phase"] != "Ready").then_some(())
    });

    // Space is made: it comes back by itself, and with another one gone its vote and its log count.
    limit(&mesh, &full, "supervise", None);
    until("it is Ready again", Duration::from_secs(30), || {
        (mesh.node(&full)["status"]["phase"] == "Ready").then_some(())
    });
    assert_eq!(step(&mesh), "s10", "every acknowledged write is there");
    let other = coordinators.iter().find(|it| **it != full).unwrap();
    mesh.run(&["down", other]).ok();
    until("a write that needs its vote", Duration::from_secs(10), || (label(&mesh, 11).code == 0).then_some(()));
    assert_eq!(step(&mesh), "s11");
}
