//! The routers that are compared, each started with the smallest sound configuration.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::process::Group;
use crate::shell;

/// Names a way from the load to the upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// No router: the floor of what load and upstream cost.
    Direct,
    Haproxy,
    Nginx,
    Routerd,
}

impl Peer {
    pub(crate) const ALL: [Self; 4] = [Self::Direct, Self::Haproxy, Self::Nginx, Self::Routerd];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Routerd => "mesh-routerd",
        }
    }
}

/// Holds what peers need to start.
pub(crate) struct Peers {
    /// Where binaries of this workspace lie.
    pub(crate) binaries: PathBuf,
    /// Where configuration and logs go.
    pub(crate) folder: PathBuf,
    pub(crate) upstreams: Vec<u16>,
}

/// A peer that answers.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Absent for `Direct`.
    pub(crate) group: Option<Group>,
}

impl Peers {
    /// Starts a peer and waits until a request came through.
    pub(crate) fn start(&self, peer: Peer) -> Result<Running> {
        if peer == Peer::Direct {
            let first = self.upstreams.first().context("no upstream")?;
            return Ok(Running { address: loopback(*first), group: None });
        }
        let port = free_port()?;
        let mut command = match peer {
            Peer::Direct | Peer::Routerd => self.routerd(port),
            Peer::Haproxy => self.haproxy(port)?,
            Peer::Nginx => self.nginx(port)?,
        };
        let log = self.folder.join(format!("{}.log", peer.name()));
        let mut group = Group::start(&mut command, &log)?;
        for _ in 0..200 {
            if serves(loopback(port)) {
                return Ok(Running { address: loopback(port), group: Some(group) });
            }
            if !group.runs() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        bail!("{} does not serve; its log {}: {said}", peer.name(), log.display())
    }

    fn routerd(&self, port: u16) -> Command {
        let mut command = Command::new(self.binaries.join("mesh-routerd"));
        let upstreams: Vec<String> = self.upstreams.iter().map(|p| loopback(*p).to_string()).collect();
        command.args(["--listen", &loopback(port).to_string(), "--upstream", &upstreams.join(",")]);
        command
    }

    fn haproxy(&self, port: u16) -> Result<Command> {
        let servers = self.upstreams.iter().map(|p| format!("    server s{p} 127.0.0.1:{p}\n")).collect::<String>();
        let text = format!(
            "global\n    maxconn 8192\n    nbthread {}\ndefaults\n    mode http\n    timeout connect 5s\n    \
             timeout client 600s\n    timeout server 600s\n    http-reuse always\n    option http-no-delay\n\
             frontend fe\n    bind 127.0.0.1:{port}\n    default_backend be\nbackend be\n    balance leastconn\n{servers}",
            cores()
        );
        let file = self.folder.join("haproxy.cfg");
        fs::write(&file, text).context("write haproxy.cfg")?;
        let mut command = foreign("haproxy")?;
        command.arg("-db").arg("-f").arg(file);
        Ok(command)
    }

    fn nginx(&self, port: u16) -> Result<Command> {
        let folder = self.folder.display();
        let servers = self.upstreams.iter().map(|p| format!("server 127.0.0.1:{p}; ")).collect::<String>();
        let text = format!(
            "worker_processes {};\ndaemon off;\npid {folder}/nginx.pid;\nworker_rlimit_nofile 20000;\n\
             events {{ worker_connections 8000; }}\nhttp {{\n  access_log off;\n  client_body_temp_path {folder}/t1;\n  \
             proxy_temp_path {folder}/t2;\n  fastcgi_temp_path {folder}/t3;\n  uwsgi_temp_path {folder}/t4;\n  \
             scgi_temp_path {folder}/t5;\n  keepalive_requests 1000000000;\n  client_body_buffer_size 64k;\n  \
             proxy_read_timeout 600s;\n  upstream be {{ least_conn; {servers} keepalive 256; \
             keepalive_requests 1000000000; }}\n  server {{ listen 127.0.0.1:{port}; location / {{ \
             proxy_pass http://be; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }} \
             }}\n}}\n",
            cores()
        );
        let file = self.folder.join("nginx.conf");
        fs::write(&file, text).context("write nginx.conf")?;
        let mut command = foreign("nginx")?;
        command.arg("-c").arg(file).arg("-e").arg(self.folder.join("nginx.err"));
        Ok(command)
    }
}

/// Returns the command of a foreign program: the machine's own, else the one `tests/real/setup peers` unpacked.
fn foreign(program: &str) -> Result<Command> {
    if shell::answers(program, "-v") {
        return Ok(Command::new(program));
    }
    let real = crate::root().join("tests/real");
    shell::run(Command::new(real.join("setup")).arg("peers"))?;
    let mut command = Command::new(real.join("deb"));
    command.arg("run").arg(cache()?.join(program)).arg(program);
    Ok(command)
}

/// Returns the version line of a foreign program, as it prints it.
pub(crate) fn version(program: &str) -> Result<String> {
    let output = foreign(program)?.arg("-v").output().with_context(|| format!("run {program} -v"))?;
    // nginx answers on stderr.
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}

/// Returns the folder of `tests/real/setup`.
fn cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("MESH_REAL_HOME") {
        return Ok(folder.into());
    }
    Ok(Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cache/mesh-real"))
}

fn cores() -> usize {
    thread::available_parallelism().map_or(2, usize::from)
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(loopback(0)).context("find a free port")?;
    Ok(listener.local_addr().context("read the free port")?.port())
}

/// Returns whether one chat request comes back with 200.
fn serves(address: SocketAddr) -> bool {
    let body = r#"{"model":"bench","messages":[{"role":"user","content":"hi"}]}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}",
        body.len()
    );
    exchange(address, &format!("{head}\r\n"), body).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Sends a GET and returns the whole answer.
pub(crate) fn get(port: u16, path: &str) -> Result<String> {
    exchange(loopback(port), &format!("GET {path} HTTP/1.1\r\n"), "")
}

fn exchange(address: SocketAddr, head: &str, body: &str) -> Result<String> {
    let limit = Some(Duration::from_secs(5));
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).context("connect")?;
    stream.set_read_timeout(limit).context("set a read limit")?;
    write!(stream, "{head}Host: {address}\r\nConnection: close\r\n\r\n{body}").context("send")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("receive")?;
    Ok(answer)
}
