//! What the machine tells: GPUs through a library that exports NVIDIA's symbols.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{process::Command, time::Duration};

use mesh_tests::{Mesh, until};
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
    });
    // The second refuses most readings and the third is lost: what is unknown is left out, and no number is invented.
    let partly =
        json!({"index": 1, "uuid": "GPU-5tandin0-0001", "memory_used_bytes": 0, "memory_total_bytes": 80_u64 << 30});
    assert_eq!(status["gpus"], json!([whole, partly, { "index": 2 }]), "{status}");
    assert!(status["gpus_unavailable"].is_null(), "{status}");

    let described = mesh.run(&["describe", "node", "node-6"]).ok().stdout;
    for line in [
        "GPU 0 Stand-in H100: 73% used, memory 17.0GiB/80.0GiB, 64°C",
        "GPU 1 -: - used, memory 0B/80.0GiB, -",
        "GPU 2 -: - used, memory -, -",
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
