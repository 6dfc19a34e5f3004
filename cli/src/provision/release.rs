//! What is installed on hosts: four binaries with their digests, from a signed bundle or from a local build.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use mesh_core::id::Digest;
use ring::{digest, signature};
use serde::Deserialize;

use super::unhex;
use crate::{Code, Exit, Failure, Result, context::Config};

/// The binaries of a host; the stand-in engine comes along for local meshes.
pub(crate) const BINARIES: [&str; 4] = ["mesh", "mesh-agentd", "mesh-routerd", "mesh-standin"];

/// One binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binary {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
}

/// On whose word a release is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signed {
    /// A key that the operator trusts.
    Trusted,
    /// A key, in hex digits, that the operator did not name.
    Stranger(String),
    /// Nobody's: a bundle without a signature.
    Unsigned,
    /// Nobody's: the binaries lie beside `mesh`.
    LocalBuild,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trusted => f.write_str("bundle signed by a trusted key"),
            Self::Stranger(key) => write!(f, "bundle signed by {key}, which trusted_keys does not list"),
            Self::Unsigned => f.write_str("unsigned bundle"),
            Self::LocalBuild => f.write_str("unsigned local build: the daemons are those beside mesh"),
        }
    }
}

/// A set of binaries that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    pub(crate) version: String,
    pub(crate) binaries: Vec<Binary>,
    pub(crate) signed: Signed,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    schema: String,
    version: String,
    files: Vec<ManifestFile>,
}

#[derive(Debug, Deserialize)]
struct ManifestFile {
    path: String,
    sha256: Digest,
    size_bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Signature {
    algorithm: String,
    public_key: String,
    signature: String,
}

impl Release {
    /// The name of its directory on hosts: VERSION-DIGEST8, the digest being that of all binaries together.
    pub(crate) fn name(&self) -> String {
        let text: String = self.binaries.iter().map(|it| format!("{} {}\n", it.digest, it.name)).collect();
        format!("{}-{}", self.version, sha256(text.as_bytes()).short())
    }

    /// Takes the binaries of a bundle after checking its signature and every digest.
    pub(crate) fn from_bundle(dir: &Path, config: &Config) -> Result<Self> {
        let mismatch = |why: String| {
            Failure::new(Exit::Mismatch, format!("cannot use the bundle {}", dir.display()))
                .coded(Code::Bundle)
                .why(why)
                .next("copy the bundle again from where it was made: it is not as it was signed")
        };
        let absent = |error: io::Error, name: &str| {
            Failure::new(Exit::Invalid, format!("cannot use the bundle {}", dir.display()))
                .at(dir.join(name).display().to_string())
                .why(error)
                .next("--bundle DIR, where DIR has manifest.json, manifest.sig and bin/")
        };
        let text = std::fs::read(dir.join("manifest.json")).map_err(|error| absent(error, "manifest.json"))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| mismatch(format!("manifest.json: {error}")))?;
        if manifest.schema != "mesh/bundle/v1" {
            return Err(mismatch(format!("manifest.json: schema `{}` is not mesh/bundle/v1", manifest.schema)));
        }
        let signed = check_signature(dir, &text, config).map_err(mismatch)?;
        let mut files = Vec::new();
        for name in BINARIES {
            let path = format!("bin/{name}");
            let file = manifest.files.iter().find(|it| it.path == path);
            let file = file.ok_or_else(|| mismatch(format!("manifest.json: {path} is missing")))?;
            let at = dir.join(&path);
            let size = match std::fs::metadata(&at) {
                Ok(meta) => meta.len(),
                Err(error) => return Err(mismatch(format!("{path}, which the manifest lists: {error}"))),
            };
            if size != file.size_bytes {
                return Err(mismatch(format!("{path} has {size} bytes, the manifest says {}", file.size_bytes)));
            }
            files.push((name, at, file));
        }
        let paths: Vec<PathBuf> = files.iter().map(|(_, at, _)| at.clone()).collect();
        let mut binaries = Vec::new();
        for ((name, path, file), digest) in files.into_iter().zip(digests(&paths)) {
            let digest = digest.map_err(|error| absent(error, &file.path))?;
            if digest != file.sha256 {
                return Err(mismatch(format!(
                    "{} has the digest {digest}, the manifest says {}",
                    file.path, file.sha256
                )));
            }
            binaries.push(Binary { name: name.to_owned(), path, digest });
        }
        Ok(Self { version: manifest.version, binaries, signed })
    }

    /// Takes the binaries beside the running `mesh`.
    pub(crate) fn beside(exe: &Path) -> Result<Self> {
        let dir = exe.parent().unwrap_or(Path::new("/"));
        let mut binaries = Vec::new();
        let paths: Vec<PathBuf> = BINARIES.iter().map(|name| dir.join(name)).collect();
        for ((name, path), digest) in BINARIES.into_iter().zip(&paths).zip(digests(&paths)) {
            let digest = digest.map_err(|error| {
                Failure::new(Exit::Invalid, format!("no {name} beside mesh"))
                    .at(path.display().to_string())
                    .why(error)
                    .next("cargo build --workspace --bins, or mesh up --bundle DIR")
            })?;
            binaries.push(Binary { name: name.to_owned(), path: path.clone(), digest });
        }
        Ok(Self { version: env!("CARGO_PKG_VERSION").to_owned(), binaries, signed: Signed::LocalBuild })
    }
}

/// Who signed the manifest; a signature that is there and wrong is an error.
fn check_signature(dir: &Path, manifest: &[u8], config: &Config) -> std::result::Result<Signed, String> {
    let Ok(text) = std::fs::read(dir.join("manifest.sig")) else { return Ok(Signed::Unsigned) };
    let it: Signature = serde_json::from_slice(&text).map_err(|error| format!("manifest.sig: {error}"))?;
    if it.algorithm != "ed25519" {
        return Err(format!("manifest.sig: algorithm `{}` is not ed25519", it.algorithm));
    }
    let (Some(key), Some(bytes)) = (unhex(&it.public_key), unhex(&it.signature)) else {
        return Err("manifest.sig: key and signature must be hex digits".to_owned());
    };
    let key = signature::UnparsedPublicKey::new(&signature::ED25519, key);
    key.verify(manifest, &bytes).map_err(|_| "manifest.sig does not belong to manifest.json".to_owned())?;
    // The key in the bundle proves nothing by itself: the operator says which keys count.
    let trusted = config.trusted_keys.iter().any(|trusted| trusted.eq_ignore_ascii_case(&it.public_key));
    Ok(if trusted { Signed::Trusted } else { Signed::Stranger(it.public_key) })
}

/// The digests of files, each taken by a thread of its own.
fn digests(paths: &[PathBuf]) -> Vec<io::Result<Digest>> {
    let panicked = |_| Err(io::Error::other("it could not be read to its end"));
    std::thread::scope(|scope| {
        let taken: Vec<_> = paths.iter().map(|path| scope.spawn(|| sha256_of(path))).collect();
        taken.into_iter().map(|it| it.join().unwrap_or_else(panicked)).collect()
    })
}

fn sha256(bytes: &[u8]) -> Digest {
    mesh_proto::cert::sha256(bytes)
}

/// SHA-256 of a file.
pub(crate) fn sha256_of(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0_u8; 256 * 1024];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        context.update(&piece[..read]);
    }
    let mut found = [0_u8; 32];
    found.copy_from_slice(context.finish().as_ref());
    Ok(Digest(found))
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::{super::hex, *};

    fn bundle(dir: &Path) -> String {
        std::fs::create_dir_all(dir.join("bin")).unwrap();
        let files: Vec<_> = BINARIES
            .iter()
            .map(|name| {
                std::fs::write(dir.join("bin").join(name), name).unwrap();
                serde_json::json!({ "path": format!("bin/{name}"), "sha256": sha256(name.as_bytes()), "size_bytes": name.len() })
            })
            .collect();
        let manifest =
            serde_json::json!({ "schema": "mesh/bundle/v1", "version": "9.9.9", "target": "t", "files": files })
                .to_string();
        std::fs::write(dir.join("manifest.json"), &manifest).unwrap();
        let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let public = hex(key.public_key().as_ref());
        let signature = hex(key.sign(manifest.as_bytes()).as_ref());
        let text =
            serde_json::json!({ "algorithm": "ed25519", "public_key": public, "signature": signature }).to_string();
        std::fs::write(dir.join("manifest.sig"), text).unwrap();
        public
    }

    #[test]
    fn a_bundle_is_what_its_signed_manifest_says() {
        let dir = tempfile::tempdir().unwrap();
        let key = bundle(dir.path());
        let trusting = Config { trusted_keys: vec![key.clone()], ..Config::default() };
        let release = Release::from_bundle(dir.path(), &trusting).unwrap();
        assert!(
            release.signed == Signed::Trusted && release.name().starts_with("9.9.9-") && release.name().len() == 14
        );
        let stranger = Release::from_bundle(dir.path(), &Config::default()).unwrap().signed;
        assert_eq!(stranger, Signed::Stranger(key), "a stranger's key does not count");
        let check = |file: &str, text: &str, exit: Exit, why: &str| {
            let before = std::fs::read(dir.path().join(file)).unwrap();
            std::fs::write(dir.path().join(file), text).unwrap();
            let failure = Release::from_bundle(dir.path(), &trusting).unwrap_err();
            assert!(failure.exit == exit && failure.to_string().contains(why), "{failure}");
            std::fs::write(dir.path().join(file), before).unwrap();
        };
        check("bin/mesh-agentd", "mesh-agenTd", Exit::Mismatch, "bin/mesh-agentd has the digest");
        check("bin/mesh-agentd", "mesh-agent", Exit::Mismatch, "bin/mesh-agentd has 10 bytes, the manifest says 11");
        check(
            "manifest.json",
            "{\"schema\":\"mesh/bundle/v1\",\"version\":\"1\",\"files\":[]}",
            Exit::Mismatch,
            "does not belong",
        );
        check("manifest.sig", "{", Exit::Mismatch, "manifest.sig");
        std::fs::remove_file(dir.path().join("manifest.sig")).unwrap();
        assert_eq!(Release::from_bundle(dir.path(), &trusting).unwrap().signed, Signed::Unsigned);
        std::fs::remove_file(dir.path().join("manifest.json")).unwrap();
        assert_eq!(Release::from_bundle(dir.path(), &trusting).unwrap_err().exit, Exit::Invalid);
    }

    #[test]
    fn a_local_build_needs_all_four_binaries() {
        let dir = tempfile::tempdir().unwrap();
        for name in &BINARIES[..3] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let failure = Release::beside(&dir.path().join("mesh")).unwrap_err();
        assert_eq!((failure.exit, failure.what.as_str()), (Exit::Invalid, "no mesh-standin beside mesh"));
        std::fs::write(dir.path().join("mesh-standin"), "x").unwrap();
        assert_eq!(Release::beside(&dir.path().join("mesh")).unwrap().signed, Signed::LocalBuild);
    }
}
