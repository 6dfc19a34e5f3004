//! What a host is: one script that only looks, and its answer as a type.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use mesh_core::{id::Digest, time::Timestamp};
use serde::Serialize;

use crate::{
    host::{Host, HostError, Job},
    human,
};

/// The script; POSIX sh, without Python.
const PROBE: &str = include_str!("probe.sh");
/// How long a host may take to say what it is.
const PROBE_MAX: Duration = Duration::from_secs(30);
/// The most lines of one kind that are kept.
const KEPT_MAX: usize = 512;

/// What a host is. What it does not say is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Facts {
    /// The machine, as `uname -m` says.
    pub(crate) arch: Option<String>,
    /// The kernel's release.
    pub(crate) kernel: Option<String>,
    /// The operating system's own name.
    pub(crate) os: Option<String>,
    /// `glibc 2.36`, or `musl`.
    pub(crate) libc: Option<String>,
    /// The host's own name.
    pub(crate) hostname: Option<String>,
    /// Of `/etc/machine-id`.
    pub(crate) machine_id: Option<String>,
    /// Another one after each start of the machine.
    pub(crate) boot_id: Option<String>,
    /// The program that is process 1.
    pub(crate) init: Option<String>,
    /// The version of the systemd that runs the host.
    pub(crate) systemd: Option<u32>,
    /// Whether the script ran as root.
    pub(crate) is_root: bool,
    /// How far its clock is ahead of this machine's, in seconds; the answer's way is half of it counted as zero.
    pub(crate) clock_ahead_s: Option<i64>,
    /// All memory.
    pub(crate) memory_bytes: Option<u64>,
    /// Memory that programs could have.
    pub(crate) memory_available_bytes: Option<u64>,
    /// Where releases will lie.
    pub(crate) disk_opt: Option<Disk>,
    /// Where state will lie.
    pub(crate) disk_var: Option<Disk>,
    /// Mount points in the way that execute nothing.
    pub(crate) noexec: Vec<String>,
    /// Mount points in the way that take no writes.
    pub(crate) readonly: Vec<String>,
    /// Tools that are not there.
    pub(crate) lacks: Vec<String>,
    /// Its network addresses.
    pub(crate) addresses: Vec<Address>,
    /// The address that this machine reached it by, when SSH says.
    pub(crate) ssh_address: Option<IpAddr>,
    /// NVIDIA's driver, as it names itself.
    pub(crate) gpu_driver: Option<String>,
    /// Its GPUs, when there is a driver.
    pub(crate) gpus: Option<u32>,
    /// Sockets on the ports that were asked for.
    pub(crate) listens: Vec<Listener>,
    /// The installed release: VERSION-DIGEST8.
    pub(crate) release: Option<String>,
    /// The mesh that its configuration names.
    pub(crate) mesh: Option<String>,
    /// The node that its configuration names.
    pub(crate) node: Option<String>,
    /// The raft id that its configuration names.
    pub(crate) voter: Option<u64>,
    /// Whether a coordinator's log is there.
    pub(crate) has_raft: bool,
    /// The fingerprint of the root that its node trusts; with it, it has an identity.
    pub(crate) root: Option<Digest>,
    /// The product's processes that run.
    pub(crate) runs: Vec<Process>,
    /// Who holds the lock of this host.
    pub(crate) lock: Option<String>,
    /// Who last ran a script that changes the host, empty when nobody has since it started; it is said before `lock`.
    pub(crate) changer: Option<String>,
}

/// Room on a file system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Disk {
    /// Free bytes.
    pub(crate) free_bytes: Option<u64>,
    /// Free inodes; a file system without a fixed number says none.
    pub(crate) free_inodes: Option<u64>,
    /// Where it is mounted.
    pub(crate) mount: String,
}

/// An address on an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Address {
    /// The interface, when it is known.
    pub(crate) interface: Option<String>,
    /// The address.
    pub(crate) address: IpAddr,
}

/// A socket that somebody holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Listener {
    /// The port.
    pub(crate) port: u16,
    /// Whether it is UDP.
    pub(crate) udp: bool,
    /// Its process, when that can be seen.
    pub(crate) pid: Option<u32>,
    /// The program.
    pub(crate) program: Option<String>,
}

/// A process of the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: u32,
    /// The executable it was started from.
    pub(crate) path: String,
}

impl Facts {
    /// Whether systemd runs the host.
    pub(crate) fn has_systemd(&self) -> bool {
        self.systemd.is_some()
    }

    /// Reads the script's answer, which took from `asked` to `answered`.
    pub(crate) fn parse(text: &str, asked: Timestamp, answered: Timestamp) -> Result<Self, String> {
        let mut facts = Self::default();
        let mut is_whole = false;
        for (name, value) in text.lines().filter_map(|line| line.split_once('\t')) {
            let value = clean(value);
            if name == "end" {
                is_whole = true;
            } else if !value.is_empty() {
                facts.take(name, &value, midpoint_s(asked, answered));
            }
        }
        if is_whole { Ok(facts) } else { Err("the host's answer to the probe is cut off".to_owned()) }
    }

    fn take(&mut self, name: &str, value: &str, now_s: i64) {
        let text = || Some(value.to_owned());
        let kib = || value.parse::<u64>().ok()?.checked_mul(1024);
        match name {
            "arch" => self.arch = text(),
            "kernel" => self.kernel = text(),
            "os" => self.os = text(),
            "libc" => self.libc = text(),
            "hostname" => self.hostname = text(),
            "machine_id" => self.machine_id = text(),
            "boot_id" => self.boot_id = text(),
            "init" => self.init = text(),
            "systemd" => self.systemd = value.parse().ok(),
            "uid" => self.is_root = value == "0",
            "clock_s" => self.clock_ahead_s = value.parse::<i64>().ok().and_then(|it| it.checked_sub(now_s)),
            "memory_kib" => self.memory_bytes = kib(),
            "memory_available_kib" => self.memory_available_bytes = kib(),
            "disk_opt" => self.disk_opt = Some(Disk::parse(value)),
            "disk_var" => self.disk_var = Some(Disk::parse(value)),
            "ssh" => self.ssh_address = value.split(' ').nth(2).and_then(|it| it.parse().ok()),
            "gpu_driver" => self.gpu_driver = text(),
            "gpus" => self.gpus = value.parse().ok(),
            "release" => self.release = text(),
            "config_mesh" => self.mesh = text(),
            "config_node" => self.node = text(),
            "config_voter" => self.voter = value.parse().ok(),
            "raft" => self.has_raft |= value == "log",
            "root" => self.root = fingerprint(value),
            "lock" => self.lock = text(),
            "changer" => self.changer = value.strip_prefix('-').map(|it| it.trim().to_owned()),
            _ => self.take_listed(name, value),
        }
    }

    /// What may be said more than once.
    fn take_listed(&mut self, name: &str, value: &str) {
        fn keep<T: PartialEq>(list: &mut Vec<T>, item: Option<T>) {
            if let Some(item) = item.filter(|it| list.len() < KEPT_MAX && !list.contains(it)) {
                list.push(item);
            }
        }
        match name {
            "noexec" => keep(&mut self.noexec, Some(value.to_owned())),
            "readonly" => keep(&mut self.readonly, Some(value.to_owned())),
            "lacks" => keep(&mut self.lacks, Some(value.to_owned())),
            "address" => keep(&mut self.addresses, Address::parse(value)),
            "listens" => keep(&mut self.listens, Listener::parse(value)),
            "runs" => keep(&mut self.runs, Process::parse(value)),
            // A newer script may say more than is asked here.
            _ => {}
        }
    }
}

impl Disk {
    /// `FREE_KIB INODES MOUNT`; a part that the host could not say is missing or no number.
    fn parse(value: &str) -> Self {
        let (free, rest) = value.split_once(' ').unwrap_or((value, ""));
        let (inodes, mount) = rest.split_once(' ').unwrap_or(("", rest));
        Self {
            free_bytes: free.parse::<u64>().ok().and_then(|it| it.checked_mul(1024)),
            free_inodes: inodes.parse().ok().filter(|it| *it > 0),
            mount: mount.to_owned(),
        }
    }
}

impl Address {
    /// `eth0 10.20.0.1/16`; `- 10.20.0.1` where the interface is not known.
    fn parse(value: &str) -> Option<Self> {
        let (interface, address) = value.split_once(' ')?;
        let address = address.split('/').next()?.parse().ok()?;
        Some(Self { interface: Some(interface.to_owned()).filter(|it| it != "-"), address })
    }
}

impl Listener {
    /// `7443 tcp 0100007F:1D13 4711 /usr/bin/x`; `-` for a process that cannot be seen.
    fn parse(value: &str) -> Option<Self> {
        let mut words = value.splitn(5, ' ');
        let (port, table, _at) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let pid = words.next().and_then(|it| it.parse().ok());
        let program = words.next().map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned);
        Some(Self { port, udp: table.starts_with("udp"), pid, program })
    }
}

impl Process {
    fn parse(value: &str) -> Option<Self> {
        let (pid, path) = value.split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, path: path.to_owned() })
    }
}

/// Without anything that a terminal would obey; a host's words are shown to people.
pub(super) fn clean(value: &str) -> String {
    value.chars().filter(|it| !it.is_control()).take(4096).collect::<String>().trim().to_owned()
}

/// The fingerprint of a certificate, of its PEM without line ends.
fn fingerprint(value: &str) -> Option<Digest> {
    let body = value.split("-----").nth(2)?;
    Some(mesh_proto::cert::sha256(&BASE64_STANDARD.decode(body.trim()).ok()?))
}

fn midpoint_s(asked: Timestamp, answered: Timestamp) -> i64 {
    let middle = asked.0 + answered.0.saturating_sub(asked.0) / 2;
    i64::try_from(middle / 1000).unwrap_or(i64::MAX)
}

/// Asks a host what it is: one script, nothing is changed. `root` is the prefix of the product's paths, empty on real
/// hosts; `ports` are those that the host will listen on.
pub(crate) async fn probe<H: Host>(host: &H, root: &str, ports: &[u16]) -> Result<Facts, HostError> {
    let mut job = Job::new("probe", PROBE);
    job.args.push(root.into());
    job.args.extend(ports.iter().map(|it| it.to_string().into()));
    job.root = true;
    job.timeout = PROBE_MAX;
    job.keeps_shell = true;
    let (asked, begun) = (human::now(), Instant::now());
    let output = host.run(job).await?;
    let answered = asked.plus_ms(human::ms(begun.elapsed()));
    let wrong = |why: String| HostError::Script { label: "probe".to_owned(), why };
    Facts::parse(&output.text(), asked, answered).map_err(|why| {
        wrong(match output.stderr.trim() {
            "" => why,
            said => format!("{why}: {}", clean(said)),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;
    use crate::host::shell::Shell;

    const SAID: &str = "arch\tx86_64\nkernel\t6.1\nhostname\tgpu-7\nclock_s\t1060\nuid\t0\nssh\t10.9.9.9 5000 10.20.1.7 22\n\
        machine_id\tabc\ninit\tsystemd\nsystemd\t252\nos\tDebian \u{1b}[31m12\nlibc\tglibc 2.36\nmemory_kib\t1024\n\
        disk_opt\t2048 77 /opt disk\ndisk_var\t2048 - /\nnoexec\t/opt\naddress\teth0 10.20.1.7/16\naddress\t- ::1\n\
        address\tnonsense\nlistens\t7443 tcp 0100007F:1D13 4711 /usr/bin/python 3\nlistens\t7946 udp6 0:1F0A -\n\
        gpus\t8\nrelease\t0.1.0-aabbccdd\nconfig_mesh\tlab\nconfig_node\tgpu-7\nraft\tmeta\nruns\t12 /opt/mesh/x\n\
        novelty\tyes\nchanger\t- bob since noon, run r pid 7\nlock\tada from desk\nend\t1\n";

    #[test]
    fn an_answer_is_read_line_by_line() {
        let facts = Facts::parse(SAID, Timestamp(999_000), Timestamp(1_001_000)).unwrap();
        insta::assert_debug_snapshot!("facts", facts);
        let cut = SAID.replace("end\t1\n", "");
        assert!(Facts::parse(&cut, Timestamp(0), Timestamp(0)).unwrap_err().contains("cut off"));
    }

    /// Every shell that a host may have as /bin/sh and that is here.
    fn shells() -> Vec<Vec<&'static str>> {
        let all = [vec!["sh"], vec!["dash"], vec!["busybox", "sh"]];
        let is_here = |it: &Vec<&str>| Command::new(it[0]).arg("--help").output().is_ok();
        all.into_iter().filter(is_here).collect()
    }

    #[test]
    fn the_probe_speaks_to_every_shell_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        for sub in ["etc/mesh", "opt/mesh", "var/lib/mesh/raft"] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let config = "mesh = \"lab\"\nnode = \"n-1\"\n\n[[coordinators]]\nnode = \"n-2\"\nvoter = 2\n";
        fs::write(dir.path().join("etc/mesh/agentd.toml"), config).unwrap();
        fs::write(dir.path().join("var/lib/mesh/raft/log.redb"), "x").unwrap();
        std::os::unix::fs::symlink("releases/0.1.0-aabbccdd", dir.path().join("opt/mesh/current")).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // A program whose path looks like the line of another process.
        let bin = "opt/mesh/releases/0.1.0-aabbccdd/bin";
        let forged = dir.path().join("x\nl /proc/1/exe -> ").join(root.trim_start_matches('/')).join(bin);
        let true_bin = dir.path().join(bin);
        let run = |at: &std::path::Path| {
            fs::create_dir_all(at).unwrap();
            fs::copy("/bin/sleep", at.join("mesh-agentd")).unwrap();
            Command::new(at.join("mesh-agentd")).arg("60").spawn().unwrap()
        };
        let mut processes = [run(&forged), run(&true_bin)];
        // A host without ss, or with one that cannot ask the kernel, has its tables; one without df's columns has two calls.
        let plain = format!(
            "ss() {{ return 1; }}\ndf() {{ case $* in *output*) return 1;; esac; command df \"$@\"; }}\n{PROBE}"
        );
        let shells = shells();
        for (shell, script) in shells.iter().flat_map(|it| [(it, PROBE), (it, plain.as_str())]) {
            let mut command = Command::new(shell[0]);
            command.args(&shell[1..]).args(["-c", script, "sh", root, &port.to_string()]);
            let out = command.output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stderr), "", "{shell:?}");
            let facts = Facts::parse(&String::from_utf8_lossy(&out.stdout), human::now(), human::now())
                .expect("a whole answer");
            let told = (facts.mesh.as_deref(), facts.node.as_deref(), facts.voter, facts.release.as_deref());
            assert_eq!(told, (Some("lab"), Some("n-1"), None, Some("0.1.0-aabbccdd")), "{shell:?}");
            assert!(facts.has_raft && facts.root.is_none() && facts.arch.is_some(), "{shell:?}");
            assert!(facts.clock_ahead_s.is_some_and(|it| it.abs() <= 2), "{shell:?}: {facts:?}");
            assert!(facts.disk_opt.as_ref().and_then(|it| it.free_bytes).is_some(), "{shell:?}");
            let [found] = facts.listens.as_slice() else { panic!("{shell:?}: {:?}", facts.listens) };
            assert_eq!((found.port, found.udp, found.pid), (port, false, Some(std::process::id())), "{shell:?}");
            let pids: Vec<u32> = facts.runs.iter().map(|it| it.pid).collect();
            assert_eq!(pids, [processes[1].id()], "{shell:?}: {:?}", facts.runs);
        }
        for process in &mut processes {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    #[tokio::test]
    async fn a_host_is_asked_once() {
        let facts = probe(&Shell::new("here"), "/nonexistent", &[]).await.unwrap();
        assert_eq!((facts.release, facts.mesh, facts.has_raft), (None, None, false));
        assert!(facts.memory_bytes.is_some_and(|it| it > 1 << 20), "memory is told");
    }
}
