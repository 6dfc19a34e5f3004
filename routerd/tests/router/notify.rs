//! What systemd hears of a router: that it is ready, that it lives, that it stops.

use std::{
    os::unix::net::UnixDatagram,
    process::{Child, Command, Stdio},
    time::Duration,
};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hears(socket: &UnixDatagram, expected: &str) {
    let mut buffer = [0; 256];
    for _ in 0..20 {
        let read = socket.recv(&mut buffer).unwrap();
        if buffer[..read].starts_with(expected.as_bytes()) {
            return;
        }
    }
    panic!("{expected} was not said");
}

#[test]
fn a_router_tells_systemd_how_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut router = Command::new(env!("CARGO_BIN_EXE_mesh-routerd"));
    router.args(["--listen", "127.0.0.1:0", "--upstream", "127.0.0.1:9", "--workers", "1"]);
    router.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").stderr(Stdio::null()).stdout(Stdio::null());
    let router = Running(router.spawn().unwrap());
    hears(&socket, "READY=1");
    hears(&socket, "WATCHDOG=1");
    hears(&socket, "WATCHDOG=1");
    let term = Command::new("kill").args(["-TERM", &router.0.id().to_string()]).status().unwrap();
    assert!(term.success());
    hears(&socket, "STOPPING=1");
}
