//! The jobs that take turns: what each runs, and what it needs.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::shell;

/// What is installed somewhere.
const BINARIES: [&str; 3] = ["mesh", "mesh-agentd", "mesh-routerd"];

/// What the host of an index is to have; the bed makes its first three hosts coordinators, and the next the router.
fn needs(index: usize) -> &'static [&'static str] {
    match index {
        0..3 => &["mesh-agentd", "mesh"],
        3 => &["mesh-agentd", "mesh-routerd"],
        _ => &["mesh-agentd"],
    }
}

/// One way to do the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    Mesh,
    MeshAgain,
    /// `mesh playbook run` with a playbook that does what the peers do, and no more.
    MeshPeers,
    /// One connection a host: everything through the stdin of one remote shell.
    SshOne,
    /// Five connections a host: what people type.
    SshScp,
    Ansible,
    AnsibleAgain,
}

impl Job {
    /// What is done on fresh hosts, in the order of the first round; a second run follows its first on the same hosts.
    pub(super) const TURNS: [&[Self]; 5] = [
        &[Self::Mesh, Self::MeshAgain],
        &[Self::SshOne],
        &[Self::MeshPeers],
        &[Self::SshScp],
        &[Self::Ansible, Self::AnsibleAgain],
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mesh => "mesh bootstrap",
            Self::MeshAgain => "mesh bootstrap again",
            Self::MeshPeers => "mesh playbook, what the peers do",
            Self::SshOne => "ssh, one connection",
            Self::SshScp => "ssh and scp",
            Self::Ansible => "Ansible",
            Self::AnsibleAgain => "Ansible again",
        }
    }
}

/// How the hosts of a bed are reached.
#[derive(Debug, Default)]
pub(super) struct Contact {
    pub(super) addresses: Vec<String>,
    key: String,
    known_hosts: String,
    hosts_yaml: String,
}

impl Contact {
    /// Reads what `mesh-bed up` prints, up to its last line.
    pub(super) fn read(out: impl Read) -> Result<Self> {
        let mut contact = Self::default();
        for line in BufReader::new(out).lines() {
            let line = line.context("read what the bed says")?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["key", path] => path.clone_into(&mut contact.key),
                ["host", "keys", path] => path.clone_into(&mut contact.known_hosts),
                ["hosts.yaml", path] => path.clone_into(&mut contact.hosts_yaml),
                [name, address, "up", ..] if name.starts_with('h') => contact.addresses.push(address.to_owned()),
                ["The", "hosts", "go", ..] => break,
                _ => {}
            }
        }
        ensure!(!contact.hosts_yaml.is_empty() && !contact.key.is_empty(), "the bed did not come up");
        Ok(contact)
    }
}

/// All that the jobs of one round need.
pub(super) struct Bench {
    folder: PathBuf,
    binaries: PathBuf,
    bundle: Option<PathBuf>,
    ansible: PathBuf,
    contact: Contact,
}

impl Bench {
    /// Writes the files of a round: a new home for `mesh`, the inventory, the digests.
    pub(super) fn new(
        folder: &Path,
        binaries: &Path,
        bundle: Option<&Path>,
        ansible: &Path,
        contact: Contact,
    ) -> Result<Self> {
        let home = folder.join("home");
        if home.exists() {
            fs::remove_dir_all(&home).context("remove the last round's home")?;
        }
        let config = home.join("config/mesh");
        fs::create_dir_all(&config).context("make a home")?;
        fs::write(folder.join("passphrase"), "bench only, made anew for every run\n")
            .context("write the passphrase")?;
        if let Some(bundle) = bundle {
            let text = fs::read(bundle.join("manifest.sig")).context("read the bundle's signature")?;
            let signature: serde_json::Value = serde_json::from_slice(&text).context("read the bundle's signature")?;
            let key = signature["public_key"].as_str().unwrap_or_default();
            fs::write(config.join("config.toml"), format!("trusted_keys = [\"{key}\"]\n")).context("trust the key")?;
        }
        let sums = shell::output(Command::new("sha256sum").args(BINARIES).current_dir(binaries))?;
        fs::write(folder.join("SHA256SUMS"), sums).context("write the digests")?;
        fs::write(folder.join("agent.conf"), "node = \"bench\"\n").context("write the configuration")?;
        let hosts: Vec<String> = contact
            .addresses
            .iter()
            .enumerate()
            .map(|(i, it)| format!("{it} names={:?}", needs(i).join(",")))
            .collect();
        let inventory = format!(
            "[hosts]\n{}\n[hosts:vars]\nansible_user=root\nansible_ssh_private_key_file={}\nansible_ssh_common_args=-F none -o UserKnownHostsFile={} -o StrictHostKeyChecking=yes\nfiles={}\nsums={}\n",
            hosts.join("\n"),
            contact.key,
            contact.known_hosts,
            binaries.display(),
            folder.display()
        );
        fs::write(folder.join("inventory.ini"), inventory).context("write the inventory")?;
        for (name, text) in
            [("one.sh", ONE), ("scp.sh", SCP), ("site.yml", SITE), ("ansible.cfg", CONFIG), ("peers.yaml", PEERS)]
        {
            fs::write(folder.join(name), text).with_context(|| format!("write {name}"))?;
        }
        let own = |path: &Path| path.to_owned();
        Ok(Self {
            folder: own(folder),
            binaries: own(binaries),
            bundle: bundle.map(own),
            ansible: own(ansible),
            contact,
        })
    }

    /// The command of a job.
    pub(super) fn command(&self, job: Job) -> Command {
        match job {
            Job::Mesh | Job::MeshAgain => self.mesh(),
            Job::MeshPeers => {
                let mut command = Command::new(self.binaries.join("mesh"));
                command.args(["playbook", "run"]).arg(self.folder.join("peers.yaml"));
                command.args(["-f", &self.contact.hosts_yaml, "--yes", "--no-input"]);
                self.at_home(&mut command);
                command
            }
            Job::SshOne => self.script("one.sh"),
            Job::SshScp => self.script("scp.sh"),
            Job::Ansible | Job::AnsibleAgain => {
                let mut command = Command::new(self.ansible.join("bin/ansible-playbook"));
                let forks = self.contact.addresses.len().to_string();
                command.arg("-i").arg(self.folder.join("inventory.ini")).args(["-f", &forks]);
                command.arg(self.folder.join("site.yml")).env("ANSIBLE_CONFIG", self.folder.join("ansible.cfg"));
                command.env("ANSIBLE_NOCOLOR", "1");
                command
            }
        }
    }

    fn mesh(&self) -> Command {
        let mut command = Command::new(self.binaries.join("mesh"));
        command.args(["bootstrap", &self.contact.hosts_yaml, "--yes", "--no-input", "--root-passphrase-file"]);
        command.arg(self.folder.join("passphrase"));
        self.at_home(&mut command);
        command
    }

    /// The bundle it installs from, and the home of the round.
    fn at_home(&self, command: &mut Command) {
        if let Some(bundle) = &self.bundle {
            command.arg("--bundle").arg(bundle);
        }
        let home = self.folder.join("home");
        command.env("XDG_CONFIG_HOME", home.join("config")).env("XDG_STATE_HOME", home.join("state"));
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new("bash");
        let lines = self.contact.addresses.iter().enumerate().map(|(i, it)| format!("{it} {}\n", needs(i).join(" ")));
        command.arg(self.folder.join(name)).env("HOSTS", lines.collect::<String>());
        command.env("KEY", &self.contact.key).env("KNOWN", &self.contact.known_hosts);
        command.env("FILES", &self.binaries).env("SUMS", &self.folder);
        command
    }
}

/// Ansible from PyPI, in an environment of its own.
pub(super) fn ansible(folder: &Path) -> Result<PathBuf> {
    let venv = folder.join("ansible");
    if !venv.join("bin/ansible-playbook").exists() {
        shell::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        shell::run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "ansible-core==2.19.14"]))?;
    }
    Ok(venv)
}

const ONE: &str = r#"set -eu
export S="-F none -i $KEY -o UserKnownHostsFile=$KNOWN -o StrictHostKeyChecking=yes -o BatchMode=yes -o LogLevel=ERROR"
one() {
  host=$1; shift
  tar -C "$SUMS" -cf - SHA256SUMS agent.conf -C "$FILES" "$@" | ssh $S "root@$host" '
    set -eu; d=/opt/peer-one; mkdir -p $d/bin /etc/peer-one /var/lib/peer-one; cd $d/bin; tar -xf -; sha256sum -c --quiet --ignore-missing SHA256SUMS
    chmod 755 mesh*; mv agent.conf /etc/peer-one/; printf "[Service]\nExecStart=/bin/true\n" > /etc/peer-one/unit
    setsid -f sleep 301 </dev/null >/dev/null 2>&1; pgrep -f "sleep 301" >/dev/null'
}
export -f one
echo "$HOSTS" | xargs -P 16 -I{} bash -c 'one {}'
"#;

const SCP: &str = r#"set -eu
export S="-F none -i $KEY -o UserKnownHostsFile=$KNOWN -o StrictHostKeyChecking=yes -o BatchMode=yes -o LogLevel=ERROR"
one() {
  host=$1; shift; d=/opt/peer-scp
  ssh $S "root@$host" "mkdir -p $d/bin /etc/peer-scp /var/lib/peer-scp"
  for f in "$@"; do scp -q $S "$FILES/$f" "root@$host:$d/bin/"; done
  scp -q $S "$SUMS/SHA256SUMS" "$SUMS/agent.conf" "root@$host:$d/bin/"
  ssh $S "root@$host" "set -eu; cd $d/bin; sha256sum -c --quiet --ignore-missing SHA256SUMS; chmod 755 mesh*; mv agent.conf /etc/peer-scp/
    printf '[Service]\nExecStart=/bin/true\n' > /etc/peer-scp/unit
    setsid -f sleep 302 </dev/null >/dev/null 2>&1; pgrep -f 'sleep 302' >/dev/null"
}
export -f one
echo "$HOSTS" | xargs -P 16 -I{} bash -c 'one {}'
"#;

const SITE: &str = r#"- hosts: hosts
  gather_facts: false
  tasks:
    - ansible.builtin.file: { path: "{{ item }}", state: directory, mode: "0755" }
      loop: [/opt/peer-ansible/bin, /etc/peer-ansible, /var/lib/peer-ansible]
    - ansible.builtin.copy: { src: "{{ files }}/{{ item }}", dest: /opt/peer-ansible/bin/, mode: "0755" }
      loop: "{{ names.split(',') }}"
    - ansible.builtin.copy: { src: "{{ sums }}/SHA256SUMS", dest: /opt/peer-ansible/bin/, mode: "0644" }
    - ansible.builtin.command: { cmd: sha256sum -c --quiet --ignore-missing SHA256SUMS, chdir: /opt/peer-ansible/bin }
      changed_when: false
    - ansible.builtin.copy: { src: "{{ sums }}/agent.conf", dest: /etc/peer-ansible/, mode: "0644" }
    - ansible.builtin.copy: { content: "[Service]\nExecStart=/bin/true\n", dest: /etc/peer-ansible/unit, mode: "0644" }
    - ansible.builtin.shell: "pgrep -f '[s]leep 303' >/dev/null || setsid -f sleep 303 </dev/null >/dev/null 2>&1; pgrep -f '[s]leep 303' >/dev/null"
      changed_when: false
"#;

const PEERS: &str = r#"name: peers
about: What the peers of the benchmark do
root: true
inputs:
  node: the name of this host
steps:
  - name: programs
    dir: {path: /opt/peer-mesh/bin, mode: "0755"}
  - name: configuration
    dir: {path: /etc/peer-mesh, mode: "0755"}
  - name: state
    dir: {path: /var/lib/peer-mesh, mode: "0755"}
  - name: agent
    binary: {name: mesh-agentd, to: /opt/peer-mesh/bin/mesh-agentd}
  - name: router
    when: node == 'h4'
    binary: {name: mesh-routerd, to: /opt/peer-mesh/bin/mesh-routerd}
  - name: mesh
    when: node in ['h1', 'h2', 'h3']
    binary: {name: mesh, to: /opt/peer-mesh/bin/mesh}
  - name: its configuration
    file: {path: /etc/peer-mesh/agent.conf, content: "node = \"bench\"\n"}
  - name: its unit
    file: {path: /etc/peer-mesh/unit, content: "[Service]\nExecStart=/bin/true\n"}
  - name: process
    command: {run: "setsid -f sleep 304 </dev/null >/dev/null 2>&1; pgrep -f 'sleep 304' >/dev/null"}
"#;

/// Tuned: pipelining, and no compression of the connection.
const CONFIG: &str = "[defaults]\nhost_key_checking = True\ninterpreter_python = auto_silent\n[ssh_connection]\npipelining = True\nssh_args = -o ControlMaster=auto -o ControlPersist=60s\n";
