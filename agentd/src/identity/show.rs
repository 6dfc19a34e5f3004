//! `mesh-agentd identity`: says whose key and certificate are in a directory and until when. It changes nothing.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use mesh_proto::{
    ca::Issuer,
    cert,
    tls::{CHAIN_FILE, Identity},
};

/// What `mesh-agentd identity` is told.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The directory with `key.pem`, `chain.pem` and `roots.pem`.
    #[arg(long)]
    pub dir: PathBuf,
}

/// One line for programs: `id URI FROM_MS TO_MS` or `authority MESH FROM_MS TO_MS`, in milliseconds since 1970.
///
/// # Errors
/// When a file is missing, or key and certificate do not belong together.
pub fn run(args: &ShowArgs) -> Result<String> {
    let path = args.dir.join(CHAIN_FILE);
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let chain =
        cert::read_pem(&text).map_err(anyhow::Error::msg).with_context(|| format!("read {}", path.display()))?;
    let own = chain.first().context("the chain is empty")?;
    if cert::read_authority(own).is_ok() {
        let issuer = Issuer::load(&args.dir)?;
        let from = cert::not_before(own).map_err(anyhow::Error::msg)?;
        return Ok(format!("authority {} {} {}", issuer.mesh(), from.0, issuer.not_after().0));
    }
    let identity = Identity::load(&args.dir)?;
    Ok(format!("id {} {} {}", identity.me(), identity.not_before().0, identity.not_after().0))
}

#[cfg(test)]
mod tests {
    use mesh_core::{
        id::{MeshName, NodeName, Principal},
        time::Timestamp,
    };
    use mesh_proto::{
        ca::{self, Issuer},
        tls::{self, write_dir},
    };

    use super::*;

    #[test]
    fn both_kinds_of_identities_are_told_and_a_broken_one_is_not() {
        let (dir, mesh, now) = (tempfile::tempdir().unwrap(), MeshName::new("lab").unwrap(), tls::now());
        let root = Issuer::new_root(&mesh, now).unwrap();
        root.save(&dir.path().join("root")).unwrap();
        let show = |name: &str| run(&ShowArgs { dir: dir.path().join(name) });
        let shown = show("root").unwrap();
        assert!(shown.starts_with("authority lab ") && shown.ends_with(&root.not_after().0.to_string()), "{shown}");
        let id = Principal::node(&mesh, &NodeName::new("n").unwrap());
        let (key, csr) = ca::new_key_and_csr(&id.to_string()).unwrap();
        let chain = root.sign_leaf(&csr, &id, ca::LEAF_LIFE, now).unwrap();
        write_dir(&dir.path().join("node"), &key, &chain, root.roots()).unwrap();
        let shown = show("node").unwrap();
        let words: Vec<&str> = shown.split(' ').collect();
        assert_eq!(words[..2], ["id", "spiffe://lab/node/n"]);
        let end = Timestamp(words[3].parse().unwrap());
        assert!(end > now && words[2].parse::<u64>().unwrap() <= now.0, "{shown}");
        std::fs::copy(dir.path().join("root/key.pem"), dir.path().join("node/key.pem")).unwrap();
        assert!(show("node").is_err(), "the key is another one's");
        assert!(show("none").is_err());
    }
}
