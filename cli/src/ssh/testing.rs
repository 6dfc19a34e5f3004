//! A real sshd for tests: own keys and configuration, and own users that the rest of this machine never sees.

use std::{
    fs,
    io::Read,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use age::secrecy::SecretString;

use super::{
    Options, Shared, SshHost,
    config::Target,
    connect,
    secret::{Answers, Question, Unanswered},
};
use crate::{
    host::HostError,
    hosts::{Become, HostKeyPolicy},
};

const SSHD: &str = "/usr/sbin/sshd";
/// The user of [`Spec::shell`].
pub(super) const USER: &str = "tester";
/// Their password, and what `/etc/shadow` says of it.
pub(super) const PASSWORD: &str = "correct horse";
const SHADOW: &str =
    "$6$meshtest$D.CR1DrgJZkviQ4/qQO7RQbFOTramUpONjYa0nwrsCNBGsD77C/lrWibNyc4uOViGi6.G4SlpWB8DKusL8ay//";

/// What a host is like.
#[derive(Default)]
pub(super) struct Spec<'a> {
    /// Lines for sshd_config.
    pub(super) config: &'a str,
    /// The login shell of a user that is made for this sshd alone; none logs in as who runs the test.
    pub(super) shell: Option<&'a str>,
    /// Files in that user's home.
    pub(super) home: &'a [(&'a str, &'a str)],
    /// What sudoers says of that user.
    pub(super) sudoers: &'a str,
}

/// An sshd on this machine's loopback.
pub(super) struct Sshd {
    pub(super) dir: tempfile::TempDir,
    pub(super) port: u16,
    user: String,
    child: Child,
}

impl Sshd {
    /// Starts one, and waits until it answers.
    pub(super) fn start(spec: &Spec<'_>) -> Self {
        assert!(Path::new(SSHD).exists(), "these tests need a real sshd: apt-get install -y openssh-server sudo");
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let is_root = rustix::process::getuid().is_root();
        if is_root {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        keygen(&dir.path().join("host"), &[]);
        keygen(&dir.path().join("id"), &[]);
        fs::copy(dir.path().join("id.pub"), dir.path().join("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = dir.path().display();
        // The first value of an option counts, so the spec's come first.
        let config = format!(
            "{}\nListenAddress 127.0.0.1:{port}\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\nPidFile none\n\
             UsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin yes\nLogLevel VERBOSE\n",
            spec.config
        );
        fs::write(dir.path().join("config"), config).unwrap();
        let mut script = String::new();
        if let Some(shell) = spec.shell {
            assert!(is_root, "a user for one sshd alone needs root here: its /etc/passwd is mounted");
            script = own_user(dir.path(), shell, spec);
        }
        script.push_str(&format!("exec {SSHD} -D -e -f {at}/config"));
        let mut command = Command::new(if spec.shell.is_some() { "unshare" } else { "sh" });
        if spec.shell.is_some() {
            command.args(["--mount", "--propagation", "private", "sh"]);
        }
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = command.args(["-euc", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = child.spawn().unwrap();
        let user = spec.shell.map_or_else(whoami, |_| USER.to_owned());
        let sshd = Self { dir, port, user, child };
        sshd.wait();
        sshd
    }

    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        let mut byte = [0];
        // Its banner, not only its port: then it is done with its keys.
        while TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut it| it.read_exact(&mut byte)).is_err() {
            assert!(Instant::now() < until, "sshd does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What sshd wrote down.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// How to get there, with the key that is let in.
    pub(super) fn target(&self) -> Target {
        Target {
            given: format!("sshd-{}", self.port),
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: self.user.clone(),
            identity: vec![self.path("id")],
            certificates: Vec::new(),
            identities_only: false,
            agent: None,
            jump: Vec::new(),
            known_hosts: vec![self.path("known_hosts")],
            learn_into: self.path("known_hosts"),
            hash_known_hosts: false,
            revoked: None,
            alias: None,
            policy: HostKeyPolicy::AcceptNew,
            pin: None,
            host_key_algorithms: Vec::new(),
            connect_timeout: Duration::from_secs(20),
            retries: 0,
            warnings: Vec::new(),
        }
    }

    /// Kills the processes that serve connections; new ones are still taken.
    pub(super) fn hang_up(&self) {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        for pid in fs::read_to_string(children).unwrap().split_whitespace() {
            let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.hang_up();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("sshd on port {} said:\n{}", self.port, self.log());
        }
    }
}

/// The user database that one sshd is to see, and the commands that show it.
fn own_user(dir: &Path, shell: &str, spec: &Spec<'_>) -> String {
    let home = dir.join("home");
    fs::create_dir(&home).unwrap();
    for (name, text) in spec.home {
        fs::create_dir_all(home.join(name).parent().unwrap()).unwrap();
        fs::write(home.join(name), text).unwrap();
    }
    let at = dir.display();
    let with = |file: &str, line: &str, mode: u32| {
        let own = dir.join(Path::new(file).file_name().unwrap());
        fs::write(&own, format!("{}{line}\n", fs::read_to_string(file).unwrap_or_default())).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(mode)).unwrap();
        format!("mount --bind {} {file}\n", own.display())
    };
    let mut script = format!("chown -R 4242:4242 {at}/home\n");
    script += &with("/etc/passwd", &format!("{USER}:x:4242:4242::{at}/home:{shell}"), 0o644);
    script += &with("/etc/group", &format!("{USER}:x:4242:"), 0o644);
    script += &with("/etc/shadow", &format!("{USER}:{SHADOW}:19000:0:99999:7:::"), 0o600);
    if !spec.sudoers.is_empty() {
        assert!(Path::new("/usr/bin/sudo").exists(), "these tests need sudo: apt-get install -y sudo");
        script += &with("/etc/sudoers", spec.sudoers, 0o440);
    }
    script
}

fn whoami() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

/// Makes a key with `ssh-keygen`.
pub(super) fn keygen(path: &Path, options: &[&str]) {
    let mut command = Command::new("ssh-keygen");
    command.arg("-q").arg("-f").arg(path);
    if !options.contains(&"-t") {
        command.args(["-t", "ed25519"]);
    }
    if !options.contains(&"-N") {
        command.args(["-N", ""]);
    }
    run(command.args(options));
}

/// Runs a command that must succeed.
pub(super) fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A person with one answer to everything, who writes down what was asked; without an answer, nobody.
#[derive(Default)]
pub(super) struct Person {
    pub(super) answer: Option<&'static str>,
    pub(super) asked: Mutex<Vec<String>>,
}

impl Answers for Person {
    fn answer(&self, question: &Question) -> Result<SecretString, Unanswered> {
        if let Ok(mut asked) = self.asked.lock() {
            asked.push(question.to_string());
        }
        let nobody = || Unanswered { why: format!("{question} is needed"), next: "ask somebody".to_owned() };
        self.answer.map(SecretString::from).ok_or_else(nobody)
    }

    fn interactive(&self) -> bool {
        self.answer.is_some()
    }
}

/// What a command shares, with this person at the terminal.
pub(super) fn options(person: &Arc<Person>) -> Options {
    Options { r#become: Become::default(), shared: Shared::new(Arc::clone(person) as Arc<dyn Answers>, 64) }
}

/// Connects with nobody at the terminal.
pub(super) async fn reach(target: &Target) -> Result<SshHost, HostError> {
    connect("h1", target, &options(&Arc::default())).await
}
