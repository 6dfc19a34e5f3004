//! Bad input: each is refused with its own error, the next step and the right exit code, and changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use mesh_tests::{Mesh, get, post};

fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let mesh = Mesh::start(&[]);
    let here = tempfile::tempdir().unwrap();
    let before = mesh.run(&["get", "nodes", "-o", "json"]).ok().json()["items"].clone();
    let specs = |items: &serde_json::Value| -> Vec<serde_json::Value> {
        items.as_array().unwrap().iter().map(|it| it["spec"].clone()).collect()
    };
    strategies(&mesh, here.path());
    manifests(&mesh, here.path());
    requests(&mesh);
    let after = mesh.run(&["get", "nodes", "-o", "json"]).ok().json()["items"].clone();
    assert_eq!(specs(&before), specs(&after));
    let ls = mesh.run(&["strategy", "status"]).ok();
    assert!(ls.stdout.contains("least_queue"), "{}", ls.stdout);
}

fn strategies(mesh: &Mesh, here: &Path) {
    let good = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../strategy/sdk/prebuilt/hybrid.wasm")).unwrap();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../strategy/fixtures");
    let truncated = write(here, "cut.wasm", &good[..good.len() / 2]);
    mesh.run(&["strategy", "deploy", &truncated]).exits(3);
    for (fixture, part) in [("wasi-import", "WASI"), ("spin", "fuel"), ("slot-9999", "9999")] {
        let module = wat::parse_file(format!("{fixtures}/{fixture}.wat")).unwrap();
        let path = write(here, &format!("{fixture}.wasm"), module);
        let ran = mesh.run(&["strategy", "deploy", &path]).exits(3);
        assert!(ran.stderr.to_lowercase().contains(&part.to_lowercase()), "{fixture}: {}", ran.stderr);
    }
    mesh.run(&["strategy", "deploy", "absent.wasm"]).exits(3).says(&["absent.wasm"]);
}

fn manifests(mesh: &Mesh, here: &Path) {
    let unknown = write(here, "unknown.yaml", "kind: node\nname: node-6\nspec:\n  lables: {a: b}\n");
    mesh.run(&["apply", "-f", &unknown]).exits(3).says(&["unknown.yaml", "lables", "labels"]);
    let twice = write(here, "twice.yaml", "kind: node\nname: node-6\nname: node-7\nspec: {}\n");
    mesh.run(&["apply", "-f", &twice]).exits(3).says(&["twice.yaml"]);
    let stale = write(here, "stale.yaml", "kind: policy\nname: mesh\nrevision: 1\nspec: {require_reason: true}\n");
    let fresh =
        write(here, "fresh.yaml", format!("kind: policy\nname: mesh\nspec: {{trusted_keys: [{}]}}\n", "a1".repeat(32)));
    mesh.run(&["apply", "-f", &fresh]).ok();
    mesh.run(&["apply", "-f", &stale]).exits(7).says(&["revision"]);
    mesh.run(&["apply", "-f", "absent.yaml"]).exits(3).says(&["absent.yaml"]);
    mesh.run(&["get", "pods"]).exits(2).says(&["pods"]);
    mesh.run(&["drain", "node-99"]).exits(1).says(&["node-99"]);
}

fn requests(mesh: &Mesh) {
    let url = format!("{}/v1/chat/completions", mesh.router());
    let model = mesh.model();
    let check = |body: Vec<u8>, status: u16, part: &str| {
        let (found, answer) = post(&url, body);
        assert_eq!(found, status, "{answer}");
        assert!(answer.contains(part), "no {part} in {answer}");
        let error: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert!(error["error"]["message"].is_string() && error["error"]["type"].is_string(), "{answer}");
    };
    check(b"{\"model\":".to_vec(), 400, "JSON");
    check(b"{\"model\":\"none\",\"messages\":[]}".to_vec(), 404, "none");
    check(format!("{{\"model\":\"{model}\",\"model\":\"x\",\"messages\":[]}}").into_bytes(), 400, "model");
    check(vec![b'x'; 33 << 20], 413, "bytes");
    assert!(get(&format!("{}/v1/models", mesh.router()))["data"].is_array());
}

#[test]
fn identities_of_others_are_refused() {
    let mesh = Mesh::start(&[]);
    let other = Mesh::start(&[]);
    // The certificate of one mesh at the door of another.
    let context = |mesh: &Mesh| mesh.node_dir("node-1").ancestors().nth(2).unwrap().join("operator");
    let (mine, theirs) = (context(&mesh), context(&other));
    let kept = tempfile::tempdir().unwrap();
    for file in ["key.pem", "chain.pem", "roots.pem"] {
        fs::copy(mine.join(file), kept.path().join(file)).unwrap();
        fs::copy(theirs.join(file), mine.join(file)).unwrap();
    }
    mesh.run(&["get", "nodes"]).exits(6);
    for file in ["key.pem", "chain.pem", "roots.pem"] {
        fs::copy(kept.path().join(file), mine.join(file)).unwrap();
    }
    mesh.run(&["get", "nodes"]).ok();
}
