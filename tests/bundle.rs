//! Signed bundles: `mesh up --bundle` installs what a trusted key signed, and nothing that was changed since.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    process::{Command, Stdio},
};

use mesh_proto::cert::sha256;
use mesh_tests::{
    Mesh, Ran, bin_dir,
    release::{bundle, flip},
};

#[test]
fn only_what_a_trusted_key_signed_is_installed() {
    let here = tempfile::tempdir().unwrap();
    let made = here.path().join("bundle");
    let key = bundle(&made);
    let bundle = made.to_str().unwrap();
    let refused = |config: &str, args: &[&str], parts: &[&str]| {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir_all(state.path().join("mesh")).unwrap();
        fs::write(state.path().join("mesh/config.toml"), config).unwrap();
        let mut command = Command::new(bin_dir().join("mesh"));
        command.env("XDG_STATE_HOME", state.path()).env("XDG_CONFIG_HOME", state.path()).stdin(Stdio::null());
        Ran::from(command.arg("up").args(args).output().unwrap()).exits(11).says(parts);
        assert!(!state.path().join("mesh/local").exists(), "nothing was made");
    };
    let trusting = format!("require_signed = true\ntrusted_keys = ['{key}']\n");
    refused("require_signed = true\n", &[], &["unsigned local build", "--bundle"]);
    refused("require_signed = true\n", &["--bundle", bundle], &["signed by", &key, "trusted_keys does not list"]);
    let without = |file: &str, why: &str| {
        fs::rename(made.join(file), here.path().join(file)).unwrap();
        refused(&trusting, &["--bundle", bundle], &[why]);
        fs::rename(here.path().join(file), made.join(file)).unwrap();
    };
    without("manifest.sig", "unsigned bundle");

    // One byte of one binary; whether anybody asks for signatures or not.
    let router = made.join("bin/mesh-routerd");
    fs::rename(&router, here.path().join("kept")).unwrap();
    fs::copy(here.path().join("kept"), &router).unwrap();
    flip(&router, 5_000);
    refused(&trusting, &["--bundle", bundle], &["bin/mesh-routerd has the digest"]);
    refused("", &["--bundle", bundle], &["bin/mesh-routerd has the digest"]);
    // A manifest that says so is not the one that was signed.
    let manifest = fs::read_to_string(made.join("manifest.json")).unwrap();
    let (is, was) = (sha256(&fs::read(&router).unwrap()), sha256(&fs::read(here.path().join("kept")).unwrap()));
    fs::write(made.join("manifest.json"), manifest.replace(&was.to_string(), &is.to_string())).unwrap();
    refused(&trusting, &["--bundle", bundle], &["manifest.sig does not belong to manifest.json"]);
    fs::write(made.join("manifest.json"), manifest).unwrap();
    fs::rename(here.path().join("kept"), &router).unwrap();

    let mesh = Mesh::configured(&trusting, &["--bundle", bundle]);
    let policies = mesh.run(&["get", "policies", "-o", "json"]).ok().json();
    assert_eq!(policies["items"][0]["spec"]["require_signed"], true, "{policies}");
    let wasm = concat!(env!("CARGO_MANIFEST_DIR"), "/../strategy/sdk/prebuilt/hybrid.wasm");
    mesh.run(&["strategy", "deploy", wasm]).exits(11).says(&["not signed", "require_signed"]);
}
