//! What the hosts of one bed stand on: its first process, its subnet and bridge, its directory; and what is left of
//! beds whose owner died.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::{
    BedSpec,
    faults::clock_library,
    process::Process,
    shell::{feed, program, run},
};

/// Where beds keep their files.
const HOME: &str = "/run/mesh-bed";
/// The end of every name of a link that this machine has into a bed.
const LINK: &str = "meshbed";

/// What hosts stand on.
#[derive(Debug)]
pub(super) struct Ground {
    /// Files of the bed which everybody may read.
    pub(super) dir: PathBuf,
    /// Whether it outlives its owner.
    pub(super) lasting: bool,
    /// The size of each host's disk.
    pub(super) disk_mib: u32,
    /// Whether the hosts have clocks that can be shifted.
    pub(super) clocks: bool,
    /// The root file system of machines with systemd.
    pub(super) systemd: Option<PathBuf>,
    /// The third byte of every address.
    subnet: u8,
    init: Process,
    /// Held so that the first process lives.
    child: Mutex<Option<Child>>,
}

/// What is known of a bed on disk.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// `None`: it lasts until it is taken down.
    owner: Option<Process>,
    init: Process,
    subnet: u8,
    disk_mib: u32,
    systemd: Option<PathBuf>,
    hosts: usize,
}

impl Ground {
    /// Takes away what dead owners left, takes a free subnet, starts the first process and lays the bridge.
    pub(super) fn lay(spec: &BedSpec) -> Result<Self> {
        ensure!((1..=200).contains(&spec.hosts), "a bed has 1 to 200 hosts, not {}", spec.hosts);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(HOME).with_context(|| format!("create {HOME}"))?;
        let lock = File::create(Path::new(HOME).join("lock")).context("create the lock of the beds")?;
        flock(&lock, FlockOperation::LockExclusive).context("lock the beds")?;
        sweep()?;
        let subnet = (1..=250).find(|it| free(*it)).context("no free subnet in 10.77.0.0/16")?;
        let name = spec.lasting.clone().unwrap_or_else(|| format!("test-{subnet}"));
        let dir = Path::new(HOME).join(&name);
        ensure!(!dir.exists(), "there is a bed named {name} already: `cargo xtask bed down` takes it away");
        fs::create_dir(&dir).with_context(|| format!("create {}", dir.display()))?;
        fs::write(dir.join("host.sh"), include_str!("host.sh")).context("write host.sh")?;
        if spec.clocks {
            clock_library(&dir)?;
        }
        let (child, init) = first_process(&dir, spec.lasting.is_some())?;
        let ground = Self {
            dir,
            lasting: spec.lasting.is_some(),
            disk_mib: spec.disk_mib,
            clocks: spec.clocks,
            systemd: spec.systemd.clone(),
            subnet,
            init,
            child: Mutex::new(Some(child)),
        };
        let laid =
            ground.record(spec.hosts).and_then(|()| ground.link(spec.hosts)).and_then(|()| ground.keys(spec.hosts));
        if let Err(error) = laid {
            ground.clear()?;
            return Err(error);
        }
        Ok(ground)
    }

    /// A bed that lasts, and how many hosts it has.
    pub(super) fn open(name: &str) -> Result<(Self, usize)> {
        let dir = Path::new(HOME).join(name);
        let record = read(&dir).with_context(|| format!("no bed named {name}: `cargo xtask bed up N` raises one"))?;
        let ground = Self {
            lasting: record.owner.is_none(),
            disk_mib: record.disk_mib,
            clocks: dir.join("clock.so").exists(),
            systemd: record.systemd,
            dir,
            subnet: record.subnet,
            init: record.init,
            child: Mutex::new(None),
        };
        Ok((ground, record.hosts))
    }

    /// The address of a host by its number; 254 is the machine that runs the bed.
    pub(super) fn address(&self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.subnet, number)
    }

    /// A path in the bed's own mount namespace.
    pub(super) fn inside(&self, path: &str) -> PathBuf {
        self.init.root(path)
    }

    /// A program in the bed's mount and network namespaces; in its process namespace too when it is to end with it.
    pub(super) fn enter(&self, ends_with_it: bool, args: &[&str]) -> Command {
        let target = self.init.pid.to_string();
        let mut all = vec!["--target", &target, "--mount", "--net"];
        all.extend(ends_with_it.then_some("--pid"));
        all.push("--");
        all.extend(args);
        program("nsenter", &all)
    }

    /// Runs lines of `ip -batch` in the bed, or in the network namespace of one host.
    pub(super) fn ip(&self, host: Option<&str>, lines: &str) -> Result<()> {
        let args: &[&str] = match &host {
            Some(host) => &["ip", "-n", host, "-batch", "-"],
            None => &["ip", "-batch", "-"],
        };
        feed(&mut self.enter(false, args), lines).map(|_| ())
    }

    /// Ends every process and takes every trace away.
    pub(super) fn clear(&self) -> Result<()> {
        self.init.end()?;
        if let Some(mut child) = self.child.lock().ok().and_then(|mut it| it.take()) {
            drop(child.stdin.take());
            child.wait().context("wait for the bed's first process")?;
        }
        unlink(self.subnet)?;
        remove_cgroups(self.subnet);
        fs::remove_dir_all(&self.dir).with_context(|| format!("remove {}", self.dir.display()))
    }

    /// The cgroup of machines with systemd.
    pub(super) fn cgroup(&self) -> String {
        name(self.subnet)
    }

    fn record(&self, hosts: usize) -> Result<()> {
        let owner = if self.lasting { None } else { Process::own() };
        let systemd = self.systemd.clone();
        let (init, subnet, disk_mib) = (self.init, self.subnet, self.disk_mib);
        let record = Record { owner, init, subnet, disk_mib, systemd, hosts };
        fs::write(self.dir.join("bed.json"), serde_json::to_vec(&record)?).context("write bed.json")
    }

    /// A veth from this machine to a bridge in the bed, and from the bridge to every host.
    fn link(&self, hosts: usize) -> Result<()> {
        let (link, address) = (name(self.subnet), self.address(254));
        let outside = format!(
            "link add {link} type veth peer name uplink netns {}\naddr add {address}/24 dev {link}\nlink set {link} up\n",
            self.init.pid
        );
        feed(&mut program("ip", &["-batch", "-"]), &outside)?;
        let mut inside = "link add br0 type bridge\nlink set br0 up\nlink set uplink master br0 up\n".to_owned();
        for number in 1..=hosts {
            inside.push_str(&format!(
                "netns add h{number}\nlink add to-h{number} type veth peer name eth0 netns h{number}\n\
                 link set to-h{number} master br0 up\n"
            ));
        }
        self.ip(None, &inside)
    }

    /// One key that opens every host, and the names by which they know each other.
    fn keys(&self, hosts: usize) -> Result<()> {
        let mut names = "127.0.0.1 localhost\n".to_owned();
        for number in 1..=u8::try_from(hosts).unwrap_or(u8::MAX) {
            names.push_str(&format!("{} h{number}\n", self.address(number)));
        }
        fs::write(self.dir.join("hosts"), names).context("write the bed's hosts")?;
        let key = self.dir.join("key").to_string_lossy().into_owned();
        run(&mut program("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "mesh-bed", "-f", &key])).map(|_| ())
    }
}

/// Starts the process that everything in the bed ends with, and learns its id.
fn first_process(dir: &Path, lasting: bool) -> Result<(Child, Process)> {
    const INIT: &str = include_str!("init.sh");
    let mode = if lasting { "lasting" } else { "held" };
    let mut command = program("unshare", &["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", INIT]);
    let log = File::create(dir.join("bed.log")).context("create bed.log")?;
    command.args(["bed", mode]).arg(dir).stdout(Stdio::piped()).stderr(log);
    if lasting {
        // A signal that the terminal sends to whoever raised it is not for the bed.
        command.process_group(0);
    } else {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().context("start unshare")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no stdout")?)
        .read_line(&mut line)
        .context("read the bed's first line")?;
    let init = line.trim().parse().ok().and_then(Process::of);
    match init {
        Some(init) => Ok((child, init)),
        None => {
            let said = fs::read_to_string(dir.join("bed.log")).unwrap_or_default();
            bail!("the bed's first process: {}: {}", child.wait().context("wait for unshare")?, said.trim());
        }
    }
}

fn name(subnet: u8) -> String {
    format!("{LINK}{subnet}")
}

/// Whether nobody on this machine has an address or a route in a subnet.
fn free(subnet: u8) -> bool {
    let range = format!("10.77.{subnet}.0/24");
    let routes = run(&mut program("ip", &["-o", "-4", "route", "show", "root", &range]));
    let link = Path::new("/sys/class/net").join(name(subnet));
    let dir = Path::new(HOME).join(format!("test-{subnet}"));
    !link.exists() && !dir.exists() && routes.is_ok_and(|it| it.trim().is_empty())
}

/// Takes this machine's end of the link away; the kernel does it too, but later.
fn unlink(subnet: u8) -> Result<()> {
    let link = name(subnet);
    let there = || Path::new("/sys/class/net").join(&link).exists();
    if there() && run(&mut program("ip", &["link", "del", &link])).is_err() {
        ensure!(!there(), "the link {link} stays");
    }
    Ok(())
}

/// Takes the cgroups of machines away; nothing is in them any more.
fn remove_cgroups(subnet: u8) {
    for hierarchy in ["", "systemd", "unified"] {
        remove_tree(&Path::new("/sys/fs/cgroup").join(hierarchy).join(name(subnet)));
    }
}

/// Removes directories from the leaves up. What the kernel shows in them as files goes with them.
fn remove_tree(dir: &Path) {
    let below = fs::read_dir(dir).into_iter().flatten().flatten().map(|it| it.path());
    below.filter(|it| it.is_dir()).for_each(|it| remove_tree(&it));
    // One that is not there, or that somebody still uses, harms nobody.
    let _ = fs::remove_dir(dir);
}

fn read(dir: &Path) -> Result<Record> {
    let text = fs::read(dir.join("bed.json")).context("read bed.json")?;
    serde_json::from_slice(&text).context("understand bed.json")
}

/// Takes away the beds of owners that are dead. Whoever calls has the lock, so a bed without a record is one of those.
fn sweep() -> Result<()> {
    for entry in fs::read_dir(HOME).with_context(|| format!("list {HOME}"))?.flatten() {
        let dir = entry.path();
        if !dir.is_dir() {
            continue;
        }
        match read(&dir) {
            Ok(record) if record.owner.is_some_and(|it| !it.alive()) => {
                record.init.end()?;
                unlink(record.subnet)?;
                remove_cgroups(record.subnet);
            }
            Ok(_) => continue,
            Err(_) => {}
        }
        fs::remove_dir_all(&dir).with_context(|| format!("remove {}", dir.display()))?;
    }
    Ok(())
}
