//! The file by which a person is given access to a mesh, and how it becomes a context.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use mesh_core::{
    id::{MeshName, ObjectName, Principal},
    time::Timestamp,
};
use mesh_proto::{
    ca, cert,
    client::sentence,
    files::{create_private_dir, read_private, write_private},
    tls::{Identity, KEY_FILE, write_dir},
};
use serde::{Deserialize, Serialize};

use crate::{
    Exit, Failure, Result,
    context::{Context, Dirs, Endpoint, LOCAL, read_toml},
};

/// The only version of the file there is.
const VERSION: u32 = 1;
/// The largest file that is read: ten thousand endpoints have about half of it.
const FILE_MAX: u64 = 2 * 1024 * 1024;

/// Everything a person needs to speak to a mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    version: u32,
    /// The mesh.
    pub(crate) mesh: MeshName,
    /// The person.
    pub(crate) operator: ObjectName,
    /// Where clients reach the routers.
    #[serde(default)]
    pub(crate) routers: Vec<String>,
    /// The private key, unless the person has it and sent a request only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_pem: Option<String>,
    /// The certificate.
    pub(crate) chain_pem: String,
    /// Whom to trust.
    pub(crate) roots_pem: String,
    /// Agents that answer commands.
    pub(crate) endpoints: Vec<Endpoint>,
}

/// A context that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Added {
    /// Its name.
    pub(crate) name: String,
    /// When the certificate ends.
    pub(crate) expires: Timestamp,
    /// Whether commands use it without being told.
    pub(crate) is_current: bool,
}

impl Access {
    /// Gives the bearer of a certificate the way to the mesh of a context.
    pub(crate) fn new(context: &Context, operator: &ObjectName, key_pem: Option<String>, pems: [String; 2]) -> Self {
        let [chain_pem, roots_pem] = pems;
        Self {
            version: VERSION,
            mesh: context.mesh.clone(),
            operator: operator.clone(),
            routers: context.routers.clone(),
            key_pem,
            chain_pem,
            roots_pem,
            endpoints: context.endpoints.clone(),
        }
    }

    /// Reads the file.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let refused = |why: String| {
            Failure::new(Exit::Invalid, "cannot take in the access to a mesh").at(file.display().to_string()).why(why)
        };
        let length = fs::metadata(file).map_err(|error| refused(error.to_string()))?.len();
        if length > FILE_MAX {
            return Err(refused(format!("larger than {} MiB", FILE_MAX >> 20)));
        }
        let access: Self = read_toml(file)?;
        match access.version {
            VERSION => Ok(access),
            other => Err(refused(format!("it is of version {other}, this program reads version {VERSION}"))
                .next("use the version of mesh that wrote it")),
        }
    }

    /// Writes the file for its owner only.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let refused =
            |why: String| Failure::new(Exit::Failed, "cannot write a file").at(file.display().to_string()).why(why);
        let text = toml::to_string(self).map_err(|error| refused(error.to_string()))?;
        write_private(file, text.as_bytes()).map_err(|error| refused(error.to_string()))
    }
}

/// Where the key waits that a person made for a request.
fn request_dir(dirs: &Dirs, operator: &ObjectName) -> PathBuf {
    dirs.config.join("requests").join(operator.as_str())
}

/// Makes a key that stays on this machine, or takes the one that waits already; gives a request for its certificate.
pub(crate) fn request(dirs: &Dirs, operator: &ObjectName) -> Result<String> {
    let dir = request_dir(dirs, operator);
    let file = dir.join(KEY_FILE);
    let failed = |why: String| Failure::new(Exit::Failed, "cannot make a key").at(file.display().to_string()).why(why);
    let subject = format!("operator {operator}");
    let csr = match read_private(&file) {
        Ok(key) => ca::csr_of_key(&key, &subject).map_err(|error| failed(sentence(&error)))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (key, csr) = ca::new_key_and_csr(&subject).map_err(|error| failed(sentence(&error)))?;
            create_private_dir(&dir).map_err(|error| failed(error.to_string()))?;
            write_private(&file, key.as_bytes()).map_err(|error| failed(error.to_string()))?;
            csr
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    Ok(cert::write_csr_pem(&csr))
}

/// Makes a context of it, or renews the one of the same mesh and person; another's is left alone.
pub(crate) fn add(dirs: &Dirs, access: &Access, name: Option<&str>) -> Result<Added> {
    let name = name.unwrap_or(access.mesh.as_str());
    let refused = |why: String| Failure::new(Exit::Invalid, format!("cannot add context {name}")).why(why);
    if ObjectName::new(name).is_err() || name == LOCAL {
        return Err(refused("it cannot be called that".to_owned()).next("mesh context add FILE --name NAME"));
    }
    let me = Principal::operator(&access.mesh, access.operator.clone());
    let waiting = request_dir(dirs, &access.operator);
    let key = match &access.key_pem {
        Some(key) => key.clone(),
        None => read_private(&waiting.join(KEY_FILE)).map_err(|error| {
            refused(format!("the key of {} is not on this machine: {error}", access.operator))
                .next("where `mesh cert request` ran: mesh context add FILE")
        })?,
    };
    let certs = |pem: &str| cert::read_pem(pem).map_err(refused);
    let (chain, roots) = (certs(&access.chain_pem)?, certs(&access.roots_pem)?);
    let identity = Identity::from_parts(&key, chain.clone(), roots.clone())
        .map_err(|error| refused(sentence(&error)).next("ask for a new one: mesh cert issue"))?;
    if identity.me() != me {
        return Err(refused(format!("the certificate is of {}, not of {me}", identity.me())));
    }
    let mut config = dirs.config()?;
    let dir = dirs.config.join("credentials").join(name);
    if let Some(old) = config.contexts.get(name) {
        let is_same =
            old.mesh == access.mesh && old.identity_dir == dir && Identity::load(&dir).is_ok_and(|old| old.me() == me);
        if !is_same {
            return Err(Failure::new(Exit::Refused, format!("there is a context {name} already"))
                .why(format!("it is of mesh {} or of another person", old.mesh))
                .next("mesh context add FILE --name NAME"));
        }
    }
    write_dir(&dir, &key, &chain, &roots)
        .map_err(|error| Failure::new(Exit::Failed, "cannot write the credentials").why(sentence(&error)))?;
    let context = Context {
        mesh: access.mesh.clone(),
        endpoints: access.endpoints.clone(),
        identity_dir: dir,
        routers: access.routers.clone(),
    };
    config.contexts.insert(name.to_owned(), context);
    config.current.get_or_insert_with(|| name.to_owned());
    dirs.write_config(&config)?;
    if access.key_pem.is_none() {
        // It has found its place; when it cannot be removed, it only waits in vain.
        let _ = fs::remove_dir_all(&waiting);
    }
    let is_current = dirs.current()?.as_deref() == Some(name);
    Ok(Added { name: name.to_owned(), expires: identity.not_after(), is_current })
}

#[cfg(test)]
mod tests {
    use mesh_proto::ca::Issuer;

    use super::*;

    struct Office {
        dir: tempfile::TempDir,
        root: Issuer,
        dirs: Dirs,
    }

    fn office() -> Office {
        let dir = tempfile::tempdir().unwrap();
        let root = Issuer::new_root(&MeshName::new("prod").unwrap(), crate::human::now()).unwrap();
        let dirs = Dirs { state: dir.path().join("state"), config: dir.path().join("config") };
        Office { dir, root, dirs }
    }

    impl Office {
        fn issue(&self, who: &str, csr: Option<&str>) -> Access {
            let context = Context {
                mesh: self.root.mesh().clone(),
                endpoints: vec![Endpoint {
                    node: "ctl-1".parse().unwrap(),
                    api: "10.0.0.1:7443".parse().unwrap(),
                    coordinator: true,
                }],
                identity_dir: "/elsewhere".into(),
                routers: vec!["http://10.0.0.1:8080".to_owned()],
            };
            let who: ObjectName = who.parse().unwrap();
            let id = Principal::operator(self.root.mesh(), who.clone());
            let (key, der) = match csr {
                Some(csr) => (None, cert::read_csr_pem(csr).unwrap()),
                None => ca::new_key_and_csr("x").map(|(key, csr)| (Some(key), csr)).unwrap(),
            };
            let chain = self.root.sign_leaf(&der, &id, ca::OPERATOR_LIFE, crate::human::now()).unwrap();
            Access::new(&context, &who, key, [cert::write_pem(&chain), cert::write_pem(self.root.roots())])
        }
    }

    #[test]
    fn access_becomes_a_context_that_is_renewed_by_the_same_person_only() {
        let office = office();
        let file = office.dir.path().join("bob.access");
        office.issue("bob", None).write(&file).unwrap();
        let access = Access::read(&file).unwrap();
        let added = add(&office.dirs, &access, None).unwrap();
        assert_eq!((added.name.as_str(), added.is_current), ("prod", true));
        let context = office.dirs.context(None).unwrap();
        assert_eq!((context.endpoints, context.routers), (access.endpoints, access.routers));
        assert_eq!(Identity::load(&context.identity_dir).unwrap().me().to_string(), "spiffe://prod/operator/bob");

        assert!(add(&office.dirs, &office.issue("bob", None), None).is_ok(), "bob gets a new certificate");
        let other = add(&office.dirs, &office.issue("eve", None), None).unwrap_err();
        assert_eq!(other.exit, Exit::Refused);
        let named = add(&office.dirs, &office.issue("eve", None), Some("as-eve")).unwrap();
        assert!(!named.is_current);
        for name in ["local", "a/b", "..", ""] {
            assert_eq!(add(&office.dirs, &office.issue("bob", None), Some(name)).unwrap_err().exit, Exit::Invalid);
        }
    }

    #[test]
    fn a_requested_key_never_travels() {
        let office = office();
        let bob: ObjectName = "bob".parse().unwrap();
        let csr = request(&office.dirs, &bob).unwrap();
        let key = |csr: &str| ca::csr_key(&cert::read_csr_pem(csr).unwrap()).unwrap();
        assert_eq!(key(&request(&office.dirs, &bob).unwrap()), key(&csr), "the key waits");
        let access = office.issue("bob", Some(&csr));
        assert_eq!(access.key_pem, None);
        add(&office.dirs, &access, None).unwrap();
        let gone = add(&office.dirs, &access, Some("again")).unwrap_err();
        assert!(gone.to_string().contains("not on this machine"), "{gone}");
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let office = office();
        let good = office.issue("bob", None);
        let check = |access: Access, why: &str| {
            let error = add(&office.dirs, &access, None).unwrap_err();
            assert!(error.exit == Exit::Invalid && error.to_string().contains(why), "{why}: {error}");
        };
        check(Access { operator: "eve".parse().unwrap(), ..good.clone() }, "the certificate is of");
        check(Access { key_pem: office.issue("bob", None).key_pem, ..good.clone() }, "");
        check(Access { roots_pem: self::office().issue("bob", None).roots_pem, ..good.clone() }, "");
        check(Access { chain_pem: "nonsense".to_owned(), ..good.clone() }, "certificate");
        check(Access { mesh: MeshName::new("other").unwrap(), ..good.clone() }, "the certificate is of");
        let file = office.dir.path().join("x");
        Access { version: 2, ..good }.write(&file).unwrap();
        assert!(Access::read(&file).unwrap_err().to_string().contains("version 2"));
        fs::write(&file, "version = 1\ncolour = 'blue'\n").unwrap();
        assert_eq!(Access::read(&file).unwrap_err().exit, Exit::Invalid);
        fs::write(&file, vec![b' '; 3 << 20]).unwrap();
        assert!(Access::read(&file).unwrap_err().to_string().contains("larger"));
        assert!(!office.dirs.config.join("credentials").exists(), "nothing is written");
    }
}
