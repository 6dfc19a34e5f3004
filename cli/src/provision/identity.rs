//! Who everybody is: the development root, the operator, and certificates for keys that never leave their host.

use std::{path::Path, time::Duration};

use mesh_core::{
    id::{MeshName, Principal},
    time::Timestamp,
};
use mesh_proto::{
    ca::{self, Issuer},
    cert,
    client::sentence,
    files::{create_private_dir, write_private},
    tls::{Identity, write_dir},
};
use ring::rand::{SecureRandom, SystemRandom};

use super::{hex, local::Transport, plan::Paths};
use crate::{Exit, Failure, Result};

/// A certificate with less than this left is issued anew.
const RENEW_LEFT_MS: u64 = 4 * 3600 * 1000;

fn failed(what: &str) -> impl Fn(&dyn std::error::Error) -> Failure {
    let what = what.to_owned();
    move |error| Failure::new(Exit::Failed, what.clone()).why(sentence(error))
}

/// Loads the root of a local mesh, or makes it: a key with mode 0600 in a directory with mode 0700.
pub(crate) fn root(dir: &Path, mesh: &MeshName, now: Timestamp) -> Result<Issuer> {
    let failed = failed("cannot make the development root");
    if dir.join("key.pem").exists() {
        return Issuer::load(dir).map_err(|error| failed(&error).at(dir.display().to_string()));
    }
    let root = Issuer::new_root(mesh, now).map_err(|error| failed(&error))?;
    root.save(dir).map_err(|error| failed(&error).at(dir.display().to_string()))?;
    Ok(root)
}

/// Whether the operator's certificate is there and good for some hours.
pub(crate) fn is_fresh(dir: &Path, who: &Principal, now: Timestamp) -> bool {
    Identity::load(dir).is_ok_and(|it| it.me() == *who && it.not_after() > now.plus_ms(RENEW_LEFT_MS))
}

/// Makes the operator's key and certificate, or a new certificate when the old one ends soon; says whether it did.
pub(crate) fn operator(dir: &Path, root: &Issuer, who: &Principal, now: Timestamp) -> Result<bool> {
    if is_fresh(dir, who, now) {
        return Ok(false);
    }
    let failed = failed("cannot make the operator's certificate");
    let (key, csr) = ca::new_key_and_csr(&who.to_string()).map_err(|error| failed(&error))?;
    let chain = root.sign_leaf(&csr, who, ca::OPERATOR_LIFE, now).map_err(|error| failed(&error))?;
    create_private_dir(dir).map_err(|error| failed(&error))?;
    write_dir(dir, &key, &chain, root.roots()).map_err(|error| failed(&error).at(dir.display().to_string()))?;
    Ok(true)
}

/// What a key on a host is for.
pub(crate) enum Purpose<'a> {
    /// A part with an identity of its own.
    Leaf(&'a Principal),
    /// A coordinator's authority.
    Authority(&'a MeshName),
}

/// Has the host make a key, signs its request, and puts certificate and roots beside the key.
pub(crate) async fn enroll<T: Transport>(
    host: &T,
    paths: &Paths,
    dir: &Path,
    purpose: Purpose<'_>,
    root: &Issuer,
) -> Result<()> {
    let now = crate::human::now();
    let what = format!("cannot make a key in {}", dir.display());
    let dir_text = dir.display().to_string();
    let program = paths.binary("mesh-agentd").display().to_string();
    let subject = match &purpose {
        Purpose::Leaf(id) => ["--id".to_owned(), id.to_string()],
        Purpose::Authority(mesh) => ["--ca".to_owned(), mesh.to_string()],
    };
    let [flag, subject] = &subject;
    let out = host.run(&[&program, "keygen", "--dir", &dir_text, flag, subject]).await?;
    let failed = failed(&what);
    let csr = cert::read_csr_pem(&out).map_err(|why| Failure::new(Exit::Failed, what.clone()).why(why))?;
    let chain = match purpose {
        Purpose::Leaf(id) => root.sign_leaf(&csr, id, ca::LEAF_LIFE, now),
        Purpose::Authority(_) => root.sign_intermediate(&csr, now),
    }
    .map_err(|error| failed(&error))?;
    host.write(&dir.join("roots.pem"), cert::write_pem(root.roots()).as_bytes(), 0o600).await?;
    // Last: with it the directory is complete.
    host.write(&dir.join("chain.pem"), cert::write_pem(&chain).as_bytes(), 0o600).await
}

/// The gossip key of a new mesh, in the form of its file.
pub(crate) fn gossip_keys() -> Result<String> {
    let mut key = [0_u8; 32];
    SystemRandom::new().fill(&mut key).map_err(|_| Failure::new(Exit::Failed, "the system gives no random numbers"))?;
    Ok(format!("1 {} primary\n", hex(&key)))
}

/// Writes a file that only its owner reads.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    write_private(path, text.as_bytes())
        .map_err(|error| Failure::new(Exit::Failed, "cannot write a file").at(path.display().to_string()).why(error))
}

/// How long an operator's certificate lives.
pub(crate) const OPERATOR_LIFE: Duration = ca::OPERATOR_LIFE;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use mesh_core::id::ObjectName;

    use super::*;

    #[test]
    fn the_operator_is_issued_anew_only_when_needed() {
        let dir = tempfile::tempdir().unwrap();
        let (mesh, now) = (MeshName::new("local-0000").unwrap(), crate::human::now());
        let made = root(&dir.path().join("root"), &mesh, now).unwrap();
        let again = root(&dir.path().join("root"), &mesh, now).unwrap();
        assert_eq!(made.fingerprint(), again.fingerprint(), "the root is made once");
        let who = Principal::operator(&mesh, ObjectName::new("ada").unwrap());
        let to = dir.path().join("operator");
        let renewed = |ms: u64| operator(&to, &made, &who, now.plus_ms(ms)).unwrap();
        assert!(renewed(0));
        assert!(!renewed(0));
        assert!(!renewed(7 * 3600 * 1000));
        assert!(renewed(9 * 3600 * 1000), "less than four of twelve hours are left");
        for file in [dir.path().join("root/key.pem"), to.join("key.pem")] {
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
        }
    }
}
