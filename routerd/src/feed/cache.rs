//! The last view on disk: with it a router serves after a restart though no agent answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use mesh_core::{
    id::{Digest, MeshName, Revision},
    object::Object,
};
use mesh_proto::files;
use serde::{Deserialize, Serialize};

use crate::{brains::sha256, feed::view::Objects};

const FILE: &str = "desired.json";
const STRATEGIES: &str = "strategies";

/// The models last seen at engines, by `node/engine@address`.
pub(crate) type KnownModels = BTreeMap<String, Vec<String>>;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Desired state.
    pub(crate) objects: Objects,
    /// Models of engines that do not declare them.
    pub(crate) models: KnownModels,
}

#[derive(Serialize, Deserialize)]
struct OnDisk {
    mesh: MeshName,
    revision: Revision,
    objects: Vec<ObjectOnDisk>,
    models: KnownModels,
}

#[derive(Serialize, Deserialize)]
struct ObjectOnDisk {
    kind: mesh_core::kind::Kind,
    name: mesh_core::id::ObjectName,
    revision: Revision,
    spec: Box<serde_json::value::RawValue>,
}

/// The state directory of one router.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
    mesh: MeshName,
}

impl Cache {
    /// Opens the directory, and makes it where it is absent.
    pub(crate) fn open(dir: &Path, mesh: &MeshName) -> io::Result<Self> {
        fs::create_dir_all(dir.join(STRATEGIES))?;
        Ok(Self { dir: dir.to_owned(), mesh: mesh.clone() })
    }

    /// The last view; empty when there is none or it cannot be used, which is said.
    pub(crate) fn load(&self) -> Kept {
        let path = self.dir.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Kept::default(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cached view cannot be read");
                return Kept::default();
            }
        };
        match serde_json::from_slice::<OnDisk>(&text) {
            Ok(on_disk) if on_disk.mesh == self.mesh => kept(on_disk),
            Ok(on_disk) => {
                tracing::warn!(path = %path.display(), mesh = %on_disk.mesh, "cached view is of another mesh and is not used");
                Kept::default()
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cached view is damaged and is not used");
                Kept::default()
            }
        }
    }

    /// Keeps a view.
    pub(crate) fn save(&self, kept: &Kept) -> io::Result<()> {
        let mut objects = Vec::new();
        for object in kept.objects.iter() {
            let spec = serde_json::from_slice(&object.spec).map_err(io::Error::other)?;
            let key = object.key.clone();
            objects.push(ObjectOnDisk { kind: key.kind, name: key.name, revision: object.revision, spec });
        }
        let on_disk =
            OnDisk { mesh: self.mesh.clone(), revision: kept.objects.revision, objects, models: kept.models.clone() };
        let text = serde_json::to_vec(&on_disk).map_err(io::Error::other)?;
        files::write_private(&self.dir.join(FILE), &text).map_err(io::Error::other)
    }

    /// A module that is kept and whole.
    pub(crate) fn strategy(&self, digest: Digest) -> Option<Vec<u8>> {
        let bytes = fs::read(self.strategy_path(digest)).ok()?;
        (sha256(&bytes) == digest).then_some(bytes)
    }

    /// Keeps a module.
    pub(crate) fn save_strategy(&self, digest: Digest, bytes: &[u8]) -> io::Result<()> {
        files::write_private(&self.strategy_path(digest), bytes).map_err(io::Error::other)
    }

    /// Forgets modules that nothing names any more.
    pub(crate) fn retain_strategies(&self, named: &BTreeSet<Digest>) -> io::Result<()> {
        for entry in fs::read_dir(self.dir.join(STRATEGIES))? {
            let path = entry?.path();
            let digest = path.file_stem().and_then(|it| it.to_str()?.parse::<Digest>().ok());
            if digest.is_some_and(|it| !named.contains(&it)) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn strategy_path(&self, digest: Digest) -> PathBuf {
        self.dir.join(STRATEGIES).join(format!("{digest}.wasm"))
    }
}

fn kept(on_disk: OnDisk) -> Kept {
    let objects = on_disk.objects.into_iter().map(|it| Object {
        key: mesh_core::object::Key::new(it.kind, it.name),
        revision: it.revision,
        spec: bytes::Bytes::copy_from_slice(it.spec.get().as_bytes()),
    });
    Kept { objects: Objects::new(on_disk.revision, objects), models: on_disk.models }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use mesh_core::{id::ObjectName, kind::Kind, object::Key};

    use super::*;

    #[test]
    fn a_view_comes_back_as_it_was_and_damage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mesh = MeshName::new("m").unwrap();
        let cache = Cache::open(dir.path(), &mesh).unwrap();
        assert_eq!(cache.load(), Kept::default());
        let key = Key::new(Kind::Policy, ObjectName::new("mesh").unwrap());
        let spec = bytes::Bytes::from_static(br#"{"require_signed":true,"require_reason":false}"#);
        let objects = Objects::new(Revision(7), [Object { key, revision: Revision(3), spec }]);
        let kept = Kept { objects, models: [("n/e@a:1".to_owned(), vec!["m".to_owned()])].into() };
        cache.save(&kept).unwrap();
        assert_eq!(cache.load(), kept);
        assert_eq!(Cache::open(dir.path(), &MeshName::new("other").unwrap()).unwrap().load(), Kept::default());
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(cache.load(), Kept::default());
    }

    #[test]
    fn a_module_is_only_given_when_its_digest_fits() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), &MeshName::new("m").unwrap()).unwrap();
        let digest = sha256(b"module");
        assert_eq!(cache.strategy(digest), None);
        cache.save_strategy(digest, b"module").unwrap();
        assert_eq!(cache.strategy(digest).as_deref(), Some(&b"module"[..]));
        let other = sha256(b"other");
        cache.save_strategy(other, b"other").unwrap();
        cache.retain_strategies(&[digest].into()).unwrap();
        assert_eq!((cache.strategy(digest).is_some(), cache.strategy(other)), (true, None));
        fs::write(cache.strategy_path(digest), b"modulf").unwrap();
        assert_eq!(cache.strategy(digest), None);
    }
}
