//! One host: started, entered, restarted, wiped.

use std::{
    fs::{self, File},
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::{fd::AsFd, unix::process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::{
    process::Signal,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

use super::{
    ground::Ground,
    process::{Process, Running, soon},
    shell::{PATH, run},
};
use crate::Ran;

/// How long a host may take to boot, on a machine that does other things too.
const BOOT: Duration = Duration::from_secs(30);

/// Where a simulated engine is put, and where it listens.
pub(super) const STANDIN: &str = "/usr/local/bin/mesh-standin";
pub(super) const ENGINE_PORT: u16 = 9000;
const ENGINE_UNIT: &str = "/etc/systemd/system/engine.service";

/// A host of a bed.
#[derive(Debug)]
pub struct BedHost {
    name: String,
    number: u8,
    pub(super) ground: Arc<Ground>,
    child: Mutex<Option<Child>>,
}

impl BedHost {
    pub(super) fn new(ground: &Arc<Ground>, number: usize) -> Self {
        let number = u8::try_from(number).expect("a bed has at most 200 hosts");
        Self { name: format!("h{number}"), number, ground: Arc::clone(ground), child: Mutex::new(None) }
    }

    /// `h1`, `h2`, ...: its host name, and its network namespace as `ip netns` inside the bed knows it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its sshd listens, on port 22.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.ground.address(self.number)
    }

    /// Everything that the host has and this machine has not: the upper layer of its root. It is there also while the
    /// host is off.
    #[must_use]
    pub fn upper(&self) -> PathBuf {
        self.ground.inside(&self.disk()).join("upper")
    }

    /// What sshd and the boot script said.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.ground.dir.join(format!("{}.log", self.name))
    }

    /// Its first process; `None` while it is off.
    #[must_use]
    pub fn init(&self) -> Option<Process> {
        let boot = self.boot()?;
        if self.ground.systemd.is_some() { boot.machine() } else { Some(boot) }
    }

    /// The boot script: the first process of a host without systemd, and an ancestor of that of a host with it.
    fn boot(&self) -> Option<Process> {
        let text = fs::read_to_string(self.ground.inside(&self.disk()).join("pid")).ok()?;
        Process::of(text.trim().parse().ok()?)
    }

    /// A path of the host as this machine reaches it.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.running().root(path)
    }

    /// A shell on the host for a script, as root, not over SSH.
    #[must_use]
    pub fn command(&self, script: &str) -> Command {
        let target = self.running().pid.to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &target, "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd", "--"]);
        command.args(["env", "-i", "HOME=/root", &format!("PATH={PATH}"), "sh", "-c", script]);
        command.env("PATH", PATH).stdin(Stdio::null());
        command
    }

    /// Runs a script on the host to its end, as root, not over SSH.
    #[must_use]
    pub fn exec(&self, script: &str) -> Ran {
        Ran::from(self.command(script).output().unwrap())
    }

    /// Starts a script that goes on until it ends or the host does; it prints to `/var/log/NAME`.
    pub fn daemon(&self, name: &str, script: &str) {
        let whole = format!("setsid sh -c '{}' > /var/log/{name} 2>&1 < /dev/null &", script.replace('\'', r"'\''"));
        let _ = self.exec(&whole).ok();
    }

    /// Starts a simulated engine: `mesh-standin` on every address, port 9000. On machines with systemd it is a unit,
    /// which starts at boot; on others it ends with the host.
    ///
    /// # Errors
    /// When it is not built, or does not answer.
    pub fn start_engine(&self) -> Result<()> {
        self.put(&crate::bin_dir().join("mesh-standin"), STANDIN)?;
        let command = format!("{STANDIN} --listen 0.0.0.0:{ENGINE_PORT}");
        if self.ground.systemd.is_some() {
            let unit =
                format!("[Service]\nExecStart={command}\nDynamicUser=yes\n[Install]\nWantedBy=multi-user.target\n");
            fs::write(self.path(ENGINE_UNIT), unit).with_context(|| format!("write {ENGINE_UNIT}"))?;
            let started = self.exec("systemctl daemon-reload && systemctl enable --quiet --now engine");
            ensure!(started.code == 0, "the engine of {} does not start: {}", self.name, started.stderr);
        } else {
            self.daemon("mesh-standin", &format!("exec {command}"));
        }
        let address = SocketAddr::from((self.address(), ENGINE_PORT));
        let answers = soon(BOOT, || TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok());
        ensure!(answers.is_some(), "the engine of {} does not answer", self.name);
        Ok(())
    }

    /// Copies a file of this machine to the host, with its permissions.
    ///
    /// # Errors
    /// When it cannot be read, or the host's disk is full.
    pub fn put(&self, from: &Path, to: &str) -> Result<()> {
        let to = self.path(to);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        fs::copy(from, &to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
        Ok(())
    }

    /// Runs a function on a thread in the host's network: sockets that it makes are the host's.
    ///
    /// # Errors
    /// When the network cannot be entered.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let path = format!("/proc/{}/ns/net", self.running().pid);
        let namespace = File::open(&path).with_context(|| format!("open {path}"))?;
        let enter = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).context("enter a network")
        };
        std::thread::scope(|scope| scope.spawn(|| enter().map(|()| work())).join())
            .map_err(|_| anyhow::Error::msg("the function panicked"))?
    }

    /// What runs on the host, its first process left out.
    #[must_use]
    pub fn processes(&self) -> Vec<Running> {
        self.init().map(|it| it.company()).unwrap_or_default()
    }

    /// Sends a signal to every process whose command begins with these words (the name of the file that it executes,
    /// then its arguments), and gives how many there were.
    pub fn signal(&self, words: &str, signal: Signal) -> usize {
        let hit: Vec<Running> = self.processes().into_iter().filter(|it| it.is(words)).collect();
        hit.iter().for_each(|it| it.process.signal(signal));
        hit.len()
    }

    /// Kills a program with -9, wherever it runs on the host, and gives how many processes there were.
    pub fn kill(&self, words: &str) -> usize {
        self.signal(words, Signal::KILL)
    }

    /// Freezes a program; it answers nothing and keeps its connections.
    pub fn stop(&self, words: &str) -> usize {
        self.signal(words, Signal::STOP)
    }

    /// Lets a frozen program go on.
    pub fn cont(&self, words: &str) -> usize {
        self.signal(words, Signal::CONT)
    }

    /// Cuts the power: every process ends at once. The disk stays.
    ///
    /// # Errors
    /// When it does not end.
    pub fn power_off(&self) -> Result<()> {
        let boot = self.boot();
        if let Some(init) = self.init() {
            init.end()?;
        }
        if let Some(boot) = boot {
            let ended = soon(Duration::from_secs(5), || (!boot.alive()).then_some(()));
            ended.map_or_else(|| boot.end(), Ok)?;
        }
        if let Some(mut child) = self.child.lock().ok().and_then(|mut it| it.take()) {
            child.wait().context("wait for a host's end")?;
        }
        Ok(())
    }

    /// Cuts the power and boots again from the same disk.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn reboot(&self) -> Result<()> {
        self.power_off()?;
        self.start()?;
        self.wait_for_sshd()
    }

    /// Gives the host a new disk and boots it: another host key and machine-id under the same name and address.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn wipe(&self) -> Result<()> {
        self.power_off()?;
        run(&mut self.ground.enter(false, &["umount", &self.disk()]))?;
        self.start()?;
        self.wait_for_sshd()
    }

    pub(super) fn disk(&self) -> String {
        format!("/run/bed/{}", self.name)
    }

    fn running(&self) -> Process {
        self.init().unwrap_or_else(|| panic!("{} is off", self.name))
    }

    /// Starts the first process; it goes on by itself.
    pub(super) fn start(&self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log()).context("open a host's log")?;
        let key = fs::read_to_string(self.ground.dir.join("key.pub")).context("read the bed's key")?;
        let disk = format!(
            "set -e; mkdir -p {0}; mountpoint -q {0} || mount -t tmpfs -o size={1}m,mode=755 {2} {0}; rm -f {0}/pid; cd {0}; \
             exec nsenter --net=/run/netns/{2} unshare --mount {3} sh /run/files/host.sh \"$@\"",
            self.disk(),
            self.ground.disk_mib,
            self.name,
            // systemd-nspawn makes the other namespaces itself.
            if self.ground.systemd.is_some() { "" } else { "--pid --uts --ipc --fork --kill-child" },
        );
        let address = format!("{}/24", self.address());
        let clock = if self.ground.clocks { "/run/files/clock.so" } else { "" };
        let root = self.ground.systemd.as_deref().map(Path::to_string_lossy).unwrap_or_default();
        let args = ["sh", "-c", &disk, "boot", &self.name, &address, key.trim(), clock, &root, &self.ground.cgroup()];
        let mut command = self.ground.enter(true, &args);
        command.stdin(File::open(self.ground.dir.join("hosts")).context("open the bed's hosts")?);
        command.stdout(log.try_clone().context("share a host's log")?).stderr(log);
        if self.ground.lasting {
            command.process_group(0);
        }
        let child = command.spawn().with_context(|| format!("start {}", self.name))?;
        if let Ok(mut slot) = self.child.lock() {
            *slot = Some(child);
        }
        Ok(())
    }

    pub(super) fn wait_for_sshd(&self) -> Result<()> {
        let address = SocketAddr::from((self.address(), 22));
        let answers = || {
            let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
            let mut banner = [0; 8];
            stream.read_exact(&mut banner).ok()?;
            (&banner == b"SSH-2.0-").then_some(())
        };
        ensure!(soon(BOOT, answers).is_some(), "{} does not come up: {}", self.name, self.log_end());
        Ok(())
    }

    fn log_end(&self) -> String {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    #[allow(clippy::print_stderr, reason = "a failing test explains itself")]
    pub(super) fn print_log(&self) {
        eprintln!("--- {}\n{}", self.name, self.log_end());
    }
}
