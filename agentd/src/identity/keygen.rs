//! `mesh-agentd keygen`: makes a key that never leaves this host, and prints the request for its certificate.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use mesh_core::id::{MeshName, Principal};
use mesh_proto::{
    ca::new_key_and_csr,
    cert::write_csr_pem,
    files::{create_private_dir, write_private},
    tls::KEY_FILE,
};

/// What `mesh-agentd keygen` is told.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).args(["id", "ca"]))]
pub struct KeygenArgs {
    /// The directory that gets `key.pem`, mode 0600.
    #[arg(long)]
    pub dir: PathBuf,
    /// The identity that the certificate will be of: spiffe://MESH/node/NAME.
    #[arg(long)]
    pub id: Option<Principal>,
    /// The mesh whose intermediate authority the key will be.
    #[arg(long, value_name = "MESH")]
    pub ca: Option<MeshName>,
}

/// Writes the key and returns the certificate request in PEM, for stdout.
///
/// # Errors
/// When the key cannot be made or written.
pub fn run(args: &KeygenArgs) -> Result<String> {
    let subject = match (&args.id, &args.ca) {
        (Some(id), _) => id.to_string(),
        (None, Some(mesh)) => mesh.to_string(),
        (None, None) => anyhow::bail!("say whose key it is: --id or --ca"),
    };
    let (key, csr) = new_key_and_csr(&subject)?;
    create_private_dir(&args.dir).with_context(|| format!("make {}", args.dir.display()))?;
    let path = args.dir.join(KEY_FILE);
    write_private(&path, key.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    Ok(write_csr_pem(&csr))
}
