//! Hosts for tests: each a network namespace with a real sshd over this machine's root file system; gone when dropped.
//!
//! A bed is one tree of namespaces. Its first process holds a mount, a network and a process namespace; the hosts'
//! own lie inside them. When that process ends, for whatever reason, the kernel ends every process of every host and
//! takes away their mounts and links. It ends when its stdin closes, so a test that is killed leaves nothing running.
//!
//! A host has its own root (an overlay over `/`, the upper layer in a tmpfs which is its disk), `/dev`, `/proc`, `/run`,
//! host key, machine-id, boot id and name. It has no GPU, no systemd, no home of the operator, and no way out of the bed
//! but to the machine that runs it (`.254`). Users: `root`, `op` (sudo asks for `op-secret`), `opfree` (sudo asks
//! nothing), `nosudo`.

mod clock;
mod disk;
mod faults;
mod ground;
mod host;
mod need;
mod operator;
mod process;
mod shell;
mod yaml;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};

use self::ground::Ground;
pub use self::{
    clock::Clock,
    disk::{Disk, files_with},
    host::BedHost,
    need::{machines, systemd_root, wanted, wanted_as},
    operator::{Bootstrap, Operator, Writer},
    process::{Process, Running},
};

/// What is to be raised.
#[derive(Debug, Clone)]
pub struct BedSpec {
    /// How many hosts, at most 200.
    pub hosts: usize,
    /// The size of each host's disk, which is memory as far as it is used.
    pub disk_mib: u32,
    /// Gives every host a wall clock that [`BedHost::skew_clock`] can shift.
    pub clocks: bool,
    /// A root file system for machines with systemd, as [`systemd_root`] makes it; without one, hosts have no systemd.
    pub systemd: Option<PathBuf>,
    /// Keeps the bed, under this name, after the process that raised it.
    pub lasting: Option<String>,
}

impl Default for BedSpec {
    fn default() -> Self {
        Self { hosts: 1, disk_mib: 2048, clocks: false, systemd: None, lasting: None }
    }
}

/// Hosts that are up; dropping it takes everything away, unless it was raised to last.
#[derive(Debug)]
pub struct Bed {
    hosts: Vec<BedHost>,
    ground: Arc<Ground>,
}

impl Bed {
    /// Raises `hosts` hosts.
    #[must_use]
    pub fn new(hosts: usize) -> Self {
        Self::with(BedSpec { hosts, ..BedSpec::default() }).unwrap_or_else(|error| panic!("test bed: {error:#}"))
    }

    /// Raises what `spec` says, and waits until every sshd answers.
    ///
    /// # Errors
    /// When this machine cannot, or a host does not come up: the reason, and the end of the host's log.
    pub fn with(spec: BedSpec) -> Result<Self> {
        Self::available().map_err(anyhow::Error::msg)?;
        let ground = Arc::new(Ground::lay(&spec)?);
        let hosts: Vec<BedHost> = (1..=spec.hosts).map(|number| BedHost::new(&ground, number)).collect();
        let bed = Self { hosts, ground };
        match bed.boot() {
            Ok(()) => Ok(bed),
            Err(error) if bed.ground.lasting => bed.down().and(Err(error)),
            Err(error) => Err(error),
        }
    }

    fn boot(&self) -> Result<()> {
        self.hosts.iter().try_for_each(BedHost::start)?;
        self.hosts.iter().try_for_each(BedHost::wait_for_sshd)?;
        self.trust()
    }

    /// Why this machine can have no bed.
    ///
    /// # Errors
    /// What is missing, and what to do about it.
    pub fn available() -> Result<(), String> {
        need::available()
    }

    /// The hosts: `h1`, `h2`, ...
    #[must_use]
    pub fn hosts(&self) -> &[BedHost] {
        &self.hosts
    }

    /// One host.
    #[must_use]
    pub fn host(&self, name: &str) -> &BedHost {
        self.hosts.iter().find(|it| it.name() == name).unwrap_or_else(|| panic!("no host {name}"))
    }

    /// Where the key, the known hosts and the logs of the hosts are; a scratch directory for the test too.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.ground.dir
    }

    /// The private key that every user of every host lets in.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.dir().join("key")
    }

    /// The hosts' keys as they were when the bed was raised, or at the last [`Bed::trust`].
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.dir().join("known_hosts")
    }

    /// The address of the machine that runs the bed, as the hosts see it.
    #[must_use]
    pub fn controller(&self) -> Ipv4Addr {
        self.ground.address(254)
    }

    /// Writes the hosts' present keys to [`Bed::known_hosts`].
    ///
    /// # Errors
    /// When a host has no key.
    pub fn trust(&self) -> Result<()> {
        let mut lines = String::new();
        for host in &self.hosts {
            let key = std::fs::read_to_string(host.upper().join("etc/ssh/ssh_host_ed25519_key.pub"))
                .with_context(|| format!("read the host key of {}", host.name()))?;
            let key: Vec<&str> = key.split(' ').take(2).collect();
            lines.push_str(&format!("{} {}\n", host.address(), key.join(" ")));
        }
        std::fs::write(self.known_hosts(), lines).context("write known_hosts")
    }

    /// Writes a `hosts.yaml` for this bed, after `change` has changed it, and gives its path.
    ///
    /// As it stands: the first three hosts (one, when there are fewer) are coordinators, the next is a router, the
    /// others have the role `gpu`; every host is reached as root with the bed's key, and its key must be the known one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn hosts_yaml(&self, change: impl FnOnce(&mut serde_json::Value)) -> Result<PathBuf> {
        let mut value = yaml::hosts(self);
        change(&mut value);
        let path = self.dir().join("hosts.yaml");
        std::fs::write(&path, yaml::text(&value)).context("write hosts.yaml")?;
        Ok(path)
    }

    /// Starts a simulated engine on every host that [`Bed::hosts_yaml`] gives the role `gpu`; it names them from then on.
    ///
    /// # Errors
    /// When `mesh-standin` is not built.
    pub fn start_engines(&self) -> Result<()> {
        let gpu = self.hosts.iter().enumerate().filter(|(index, _)| yaml::role(*index, self.hosts.len()) == "gpu");
        gpu.map(|(_, host)| host).try_for_each(BedHost::start_engine)
    }

    /// A lasting bed that was raised under a name.
    ///
    /// # Errors
    /// When there is none, or it is gone.
    pub fn open(name: &str) -> Result<Self> {
        let (ground, count) = Ground::open(name)?;
        let ground = Arc::new(ground);
        let hosts = (1..=count).map(|number| BedHost::new(&ground, number)).collect();
        Ok(Self { hosts, ground })
    }

    /// Takes a bed away, also a lasting one, with everything that belongs to it.
    ///
    /// # Errors
    /// When something stays.
    pub fn down(self) -> Result<()> {
        self.ground.clear()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if self.ground.lasting {
            return;
        }
        if std::thread::panicking() {
            self.hosts.iter().for_each(BedHost::print_log);
        }
        if let (Err(error), false) = (self.ground.clear(), std::thread::panicking()) {
            panic!("test bed: {error:#}");
        }
    }
}
