//! `cargo xtask dist`: the bundle, with the SHA-256 of each file and an Ed25519 signature over the manifest.

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::json;

use crate::shell;

const BINARIES: &[&str] = &["mesh", "mesh-agentd", "mesh-routerd", "mesh-standin"];

/// Builds with the `dist` profile and writes `bin/*`, `manifest.json` and `manifest.sig` into `out`.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(key: Option<PathBuf>, out: &Path) -> Result<()> {
    let bin = shell::build_all(shell::SHIPPED)?;
    let key = load_key(&key.map_or_else(default_key, Ok)?)?;
    fs::create_dir_all(out.join("bin")).context("make the bundle's directory")?;
    let mut files = Vec::new();
    for name in BINARIES {
        let bytes = fs::read(bin.join(name)).with_context(|| format!("read {name}"))?;
        let path = out.join("bin").join(name);
        fs::write(&path, &bytes).with_context(|| format!("write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("make a binary executable")?;
        files.push(json!({"path": format!("bin/{name}"), "size_bytes": bytes.len(), "sha256": hex(digest::digest(&digest::SHA256, &bytes).as_ref())}));
    }
    let manifest = json!({
        "schema": "mesh/bundle/v1",
        "version": env!("CARGO_PKG_VERSION"),
        "target": "x86_64-unknown-linux-gnu",
        "files": files,
    });
    let manifest = serde_json::to_vec_pretty(&manifest).context("write the manifest")?;
    let signature = json!({
        "algorithm": "ed25519",
        "public_key": hex(key.public_key().as_ref()),
        "signature": hex(key.sign(&manifest).as_ref()),
    });
    fs::write(out.join("manifest.json"), &manifest).context("write manifest.json")?;
    fs::write(out.join("manifest.sig"), serde_json::to_vec_pretty(&signature)?).context("write manifest.sig")?;
    println!("{} binaries in {}, signed by {}", BINARIES.len(), out.display(), hex(key.public_key().as_ref()));
    Ok(())
}

/// The developer's key lives with the user, never in the repository.
fn default_key() -> Result<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let config = config.or(home).ok_or_else(|| anyhow!("neither XDG_CONFIG_HOME nor HOME is set: pass --key FILE"))?;
    Ok(config.join("mesh/developer.ed25519"))
}

fn load_key(path: &Path) -> Result<Ed25519KeyPair> {
    if !path.exists() {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).context("make the key's directory")?;
        }
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| anyhow!("make a key"))?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        std::io::Write::write_all(&mut file, pkcs8.as_ref()).context("write the key")?;
    }
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ed25519KeyPair::from_pkcs8(&bytes).map_err(|error| anyhow!("{} is no Ed25519 key: {error}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
