//! Bundles for tests: the binaries under test, signed with a key of the test's own.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
};

use mesh_proto::cert::sha256;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use crate::bin_dir;

const BINARIES: [&str; 4] = ["mesh", "mesh-agentd", "mesh-routerd", "mesh-standin"];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a bundle of the binaries under test, as `cargo xtask dist` does; gives the public key that signed it.
#[must_use]
pub fn bundle(dir: &Path) -> String {
    fs::create_dir_all(dir.join("bin")).unwrap();
    let mut files = Vec::new();
    for name in BINARIES {
        let (from, to) = (bin_dir().join(name), dir.join("bin").join(name));
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(|_| ())).unwrap();
        let bytes = fs::read(&to).unwrap();
        files.push(json!({"path": format!("bin/{name}"), "size_bytes": bytes.len(), "sha256": sha256(&bytes)}));
    }
    let manifest =
        json!({"schema": "mesh/bundle/v1", "version": "0.1.0", "target": "this", "files": files}).to_string();
    sign(dir, &manifest, 5)
}

/// Writes a manifest and its signature by the key of a seed; gives the public key.
pub fn sign(dir: &Path, manifest: &str, seed: u8) -> String {
    let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = hex(key.public_key().as_ref());
    let signature = hex(key.sign(manifest.as_bytes()).as_ref());
    let signature = json!({"algorithm": "ed25519", "public_key": public, "signature": signature});
    fs::write(dir.join("manifest.json"), manifest).unwrap();
    fs::write(dir.join("manifest.sig"), signature.to_string()).unwrap();
    public
}

/// Changes one bit of a file, which must be nobody else's: a link to it would change too.
pub fn flip(path: &Path, offset: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}
