//! The local mesh as it lies on disk: its plan, its context, its lock.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

use super::{
    identity::write_secret,
    plan::{Paths, Plan},
    supervisor,
};
use crate::{
    Code, Exit, Failure, Result,
    context::{Context, Dirs, Endpoint, LOCAL},
    items::SCHEMA,
};

/// One of two commands that change the local mesh waits for nobody: the second is refused.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the local mesh.
    pub(crate) fn take(dirs: &Dirs) -> Result<Self> {
        let path = dirs.state.join("local.lock");
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Failed, "cannot lock the local mesh").at(path.display().to_string()).why(error)
        };
        std::fs::create_dir_all(&dirs.state).map_err(failed)?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(Failure::new(Exit::Refused, "another command is changing the local mesh")
                    .coded(Code::LockHeld)
                    .at(path.display().to_string())
                    .next("wait until it is done, then the same command"))
            }
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// The directory of a local mesh.
#[derive(Debug, Clone)]
pub(crate) struct LocalDir {
    pub(crate) dir: PathBuf,
}

impl LocalDir {
    pub(crate) fn new(dirs: &Dirs) -> Self {
        Self { dir: dirs.local() }
    }

    fn plan_file(&self) -> PathBuf {
        self.dir.join("plan.json")
    }

    fn up_file(&self) -> PathBuf {
        self.dir.join("up.json")
    }

    /// The directory of the development root.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// The operator's credentials.
    pub(crate) fn operator(&self) -> PathBuf {
        self.dir.join("operator")
    }

    /// Whether anything is there at all.
    pub(crate) fn exists(&self) -> bool {
        self.dir.exists()
    }

    /// Whether a mesh was made here to its end.
    pub(crate) fn is_whole(&self) -> bool {
        self.up_file().exists()
    }

    /// The plan of the mesh that is here; none when there is none.
    pub(crate) fn plan(&self) -> Result<Option<Plan>> {
        let path = self.plan_file();
        if !path.exists() {
            return Ok(None);
        }
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::new(Exit::Failed, "cannot read the plan of the local mesh")
                .at(path.display().to_string())
                .why(why)
                .next("mesh down")
        };
        let text = std::fs::read(&path).map_err(|error| wrong(&error))?;
        serde_json::from_slice(&text).map(Some).map_err(|error| wrong(&error))
    }

    /// Keeps the plan.
    pub(crate) fn write_plan(&self, plan: &Plan) -> Result<()> {
        write_secret(&self.plan_file(), &json!(plan).to_string())
    }

    /// Writes the context: from now on other commands find the mesh.
    pub(crate) fn write_context(&self, plan: &Plan) -> Result<()> {
        let context = Context {
            mesh: plan.mesh.clone(),
            endpoints: plan
                .nodes
                .iter()
                .map(|it| Endpoint { node: it.name.clone(), api: it.api, coordinator: it.voter.is_some() })
                .collect(),
            identity_dir: self.operator(),
            routers: plan.routers(),
        };
        let text = toml::to_string(&context)
            .map_err(|error| Failure::new(Exit::Failed, "cannot write the context").why(error))?;
        write_secret(&self.dir.join("context.toml"), &text)
    }

    /// Notes that the mesh is whole.
    pub(crate) fn write_up(&self, plan: &Plan) -> Result<()> {
        write_secret(&self.up_file(), &up_object(plan).to_string())
    }

    /// Where every node's files are; also of nodes that the plan does not name any more.
    pub(crate) fn nodes(&self) -> Vec<Paths> {
        let found = std::fs::read_dir(self.dir.join("nodes")).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            found.filter_map(|it| mesh_core::id::NodeName::new(it.file_name().to_string_lossy()).ok()).collect();
        names.sort();
        names.iter().map(|name| Paths::of(&self.dir, name)).collect()
    }

    /// Stops everything here.
    pub(crate) async fn stop(&self) -> Result<()> {
        supervisor::stop(&self.nodes()).await
    }

    /// Keeps the logs of every node in another directory, replacing what was there.
    pub(crate) fn keep_logs(&self, to: &Path) {
        let _ = std::fs::remove_dir_all(to);
        for paths in self.nodes() {
            let Some(name) = paths.name() else { continue };
            let target = to.join(name);
            // What cannot be kept is lost with the rest: the failure itself is what matters.
            for log in std::fs::read_dir(paths.logs()).into_iter().flatten().flatten() {
                let _ = std::fs::create_dir_all(&target);
                let _ = std::fs::copy(log.path(), target.join(log.file_name()));
            }
        }
    }

    /// Removes the directory with all that is in it.
    pub(crate) fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::new(Exit::Failed, "cannot remove the local mesh")
                    .at(self.dir.display().to_string())
                    .why(error))
            }
            _ => Ok(()),
        }
    }
}

/// What `mesh up -o json` prints: exactly one object.
pub(crate) fn up_object(plan: &Plan) -> Value {
    let nodes: Vec<Value> = plan
        .nodes
        .iter()
        .map(|it| {
            json!({
                "name": it.name,
                "roles": it.roles,
                "api": it.api,
                "engine": it.engine.as_ref().map(|engine| &engine.url),
            })
        })
        .collect();
    json!({ "schema": SCHEMA, "context": LOCAL, "routers": plan.routers(), "metrics": plan.metrics(), "nodes": nodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_commands_never_change_one_mesh() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { state: dir.path().to_owned(), config: dir.path().to_owned() };
        let held = Lock::take(&dirs).unwrap();
        assert_eq!(Lock::take(&dirs).err().unwrap().exit, Exit::Refused);
        drop(held);
        assert!(Lock::take(&dirs).is_ok());
    }
}
