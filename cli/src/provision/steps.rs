//! The steps that make a host a node: each checks first, then changes. The same for every transport.

use mesh_core::id::Principal;
use mesh_proto::ca::Issuer;

use super::{
    files,
    identity::{Purpose, enroll},
    local::Transport,
    plan::{NodePlan, Paths, Plan},
    release::Release,
};
use crate::Result;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Directories and binaries.
    Install,
    /// Keys made on the host, certificates for them.
    Identity,
    /// Configuration files and the gossip key.
    Configure,
    /// The supervisor with its processes.
    Start,
}

impl Action {
    /// Every step of a node, in order.
    pub(crate) const ALL: [Self; 4] = [Self::Install, Self::Identity, Self::Configure, Self::Start];

    /// What it does to a node, in words.
    pub(crate) fn detail(self, plan: &Plan, node: &NodePlan) -> String {
        match self {
            Self::Install => format!("release {}: mesh, mesh-agentd, mesh-routerd, mesh-standin", plan.release),
            Self::Identity => {
                let mut ids = vec![Principal::node(&plan.mesh, &node.name).to_string()];
                ids.extend(node.router.as_ref().map(|_| Principal::router(&plan.mesh, &node.name).to_string()));
                ids.extend(node.voter.map(|_| "an intermediate".to_owned()));
                ids.join(", ")
            }
            Self::Configure => format!("API {}, gossip {}, admin {}", node.api, node.gossip, node.admin),
            Self::Start => node.processes().join(", "),
        }
    }

    /// Its name in a table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Identity => "identity",
            Self::Configure => "configure",
            Self::Start => "start",
        }
    }
}

/// What all steps of one mesh share.
pub(crate) struct Job<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) release: &'a Release,
    pub(crate) root: &'a Issuer,
    pub(crate) gossip_keys: &'a str,
    /// A library in the place of the system's NVML.
    pub(crate) nvml_library: Option<&'a str>,
}

/// Makes one step true on one host.
pub(crate) async fn run<T: Transport>(
    action: Action,
    job: &Job<'_>,
    host: &T,
    node: &NodePlan,
    paths: &Paths,
) -> Result<()> {
    match action {
        Action::Install => install(job, host, paths).await,
        Action::Identity => identity(job, host, node, paths).await,
        Action::Configure => configure(job, host, node, paths).await,
        Action::Start => start(host, paths).await,
    }
}

async fn install<T: Transport>(job: &Job<'_>, host: &T, paths: &Paths) -> Result<()> {
    let release = paths.releases().join(&job.plan.release);
    let bin = release.join("bin");
    for (dir, mode) in [
        (bin.clone(), 0o755),
        (paths.config(""), 0o750),
        (paths.pki(""), 0o700),
        (paths.state(), 0o700),
        (paths.logs(), 0o750),
        (paths.run(), 0o755),
    ] {
        host.make_dir(&dir, mode).await?;
    }
    for binary in &job.release.binaries {
        host.install(binary, &bin.join(&binary.name)).await?;
    }
    host.link(&release, &paths.current()).await
}

async fn identity<T: Transport>(job: &Job<'_>, host: &T, node: &NodePlan, paths: &Paths) -> Result<()> {
    let leaf = Principal::node(&job.plan.mesh, &node.name);
    let router = Principal::router(&job.plan.mesh, &node.name);
    let mut wanted = vec![("node", Purpose::Leaf(&leaf))];
    if node.router.is_some() {
        wanted.push(("router", Purpose::Leaf(&router)));
    }
    if node.voter.is_some() {
        wanted.push(("issuer", Purpose::Authority(&job.plan.mesh)));
    }
    for (part, purpose) in wanted {
        let dir = paths.pki(part);
        // The certificate is written last: with it the identity is whole, and is left alone.
        if host.read(&dir.join("chain.pem")).await?.is_none() {
            host.make_dir(&dir, 0o700).await?;
            enroll(host, paths, &dir, purpose, job.root).await?;
        }
    }
    Ok(())
}

async fn configure<T: Transport>(job: &Job<'_>, host: &T, node: &NodePlan, paths: &Paths) -> Result<()> {
    for (name, text) in files::render(job.plan, node, paths, job.nvml_library)? {
        let path = paths.config(name);
        if host.read(&path).await?.as_deref() != Some(&text) {
            host.write(&path, text.as_bytes(), 0o640).await?;
        }
    }
    let keys = paths.state().join("gossip.keys");
    if host.read(&keys).await?.is_none() {
        host.write(&keys, job.gossip_keys.as_bytes(), 0o600).await?;
    }
    Ok(())
}

/// Starts the supervisor of an installed node; a running one holds its pid file and the second one ends at once.
pub(crate) async fn start<T: Transport>(host: &T, paths: &Paths) -> Result<()> {
    let program = paths.binary("mesh-agentd").display().to_string();
    let config = paths.config("supervise.toml").display().to_string();
    host.start(&[&program, "supervise", "--config", &config], &paths.logs().join("supervise.log")).await
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        collections::BTreeMap,
        path::{Path, PathBuf},
    };

    use mesh_core::id::{MeshName, ObjectName};
    use mesh_proto::{ca, cert};

    use super::{
        super::{
            plan::{NODES_DEFAULT, Wanted},
            ports::PortBlock,
            release::{Binary, Signed},
        },
        *,
    };

    /// A host in memory that counts what is changed on it.
    #[derive(Default)]
    struct Fake {
        files: RefCell<BTreeMap<PathBuf, String>>,
        changes: RefCell<Vec<String>>,
    }

    impl Fake {
        fn changed(&self, what: &str, path: &Path) {
            self.changes.borrow_mut().push(format!("{what} {}", path.display()));
        }
    }

    impl Transport for Fake {
        async fn make_dir(&self, _path: &Path, _mode: u32) -> Result<()> {
            Ok(())
        }
        async fn read(&self, path: &Path) -> Result<Option<String>> {
            Ok(self.files.borrow().get(path).cloned())
        }
        async fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
            self.changed(&format!("{mode:o}"), path);
            self.files.borrow_mut().insert(path.to_owned(), String::from_utf8_lossy(bytes).into_owned());
            Ok(())
        }
        async fn install(&self, _binary: &Binary, _to: &Path) -> Result<()> {
            Ok(())
        }
        async fn link(&self, _target: &Path, _link: &Path) -> Result<()> {
            Ok(())
        }
        async fn run(&self, command: &[&str]) -> Result<String> {
            assert_eq!(command[1], "keygen", "nothing else is run");
            let (_, csr) = ca::new_key_and_csr(command[5]).unwrap();
            Ok(cert::write_csr_pem(&csr))
        }
        async fn start(&self, command: &[&str], _log: &Path) -> Result<()> {
            self.changed("start", Path::new(command[3]));
            Ok(())
        }
    }

    #[tokio::test]
    async fn steps_change_a_fresh_host_once() {
        let mesh = MeshName::new("local-0000").unwrap();
        let wanted = Wanted {
            mesh: mesh.clone(),
            operator: ObjectName::new("ada").unwrap(),
            release: "0.1.0-00000000".into(),
            signed: false,
            nodes: NODES_DEFAULT,
            engines: &[],
        };
        let plan = Plan::local(wanted, &mut PortBlock::claim(Path::new("/steps")).unwrap()).unwrap();
        let root = Issuer::new_root(&mesh, crate::human::now()).unwrap();
        let release = Release { version: "0.1.0".into(), binaries: Vec::new(), signed: Signed::LocalBuild };
        let job =
            Job { plan: &plan, release: &release, root: &root, gossip_keys: "1 00 primary\n", nvml_library: None };
        let check = async |name: &str, expected: &[&str]| {
            let (host, node) = (Fake::default(), plan.node(name).unwrap());
            let paths = Paths::of(Path::new("/l"), &node.name);
            for action in [Action::Install, Action::Identity, Action::Configure] {
                run(action, &job, &host, node, &paths).await.unwrap();
            }
            let prefix = format!("/l/nodes/{name}/");
            let found: Vec<String> = host.changes.borrow().iter().map(|it| it.replace(&prefix, "")).collect();
            assert_eq!(found, expected);
            host.changes.borrow_mut().clear();
            for action in [Action::Install, Action::Identity, Action::Configure] {
                run(action, &job, &host, node, &paths).await.unwrap();
            }
            assert!(host.changes.borrow().is_empty(), "the second time nothing is left to do");
        };
        check(
            "node-1",
            &[
                "600 etc/mesh/pki/node/roots.pem",
                "600 etc/mesh/pki/node/chain.pem",
                "600 etc/mesh/pki/issuer/roots.pem",
                "600 etc/mesh/pki/issuer/chain.pem",
                "640 etc/mesh/agentd.toml",
                "640 etc/mesh/supervise.toml",
                "600 var/lib/mesh/gossip.keys",
            ],
        )
        .await;
        check(
            "node-4",
            &[
                "600 etc/mesh/pki/node/roots.pem",
                "600 etc/mesh/pki/node/chain.pem",
                "600 etc/mesh/pki/router/roots.pem",
                "600 etc/mesh/pki/router/chain.pem",
                "640 etc/mesh/agentd.toml",
                "640 etc/mesh/routerd.toml",
                "640 etc/mesh/supervise.toml",
                "600 var/lib/mesh/gossip.keys",
            ],
        )
        .await;
    }
}
