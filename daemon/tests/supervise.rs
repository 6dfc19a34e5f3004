//! A real supervisor over real processes: order, restart, a kill, an orderly stop, a supervisor killed itself.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mesh_daemon::{Exit, supervise};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

const CONFIG: &str = "MESH_TEST_SUPERVISE";

/// Not a test of its own: the body of the supervisor's process, started by the tests below.
#[test]
fn supervisor_process() {
    if let Some(path) = std::env::var_os(CONFIG) {
        assert_eq!(supervise::run(Path::new(&path)), Exit::Done);
    }
}

struct Bed {
    dir: tempfile::TempDir,
    child: Child,
}

impl Bed {
    fn start(processes: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display();
        let mut text =
            format!("name = 'n'\npid_file = '{root}/supervise.pid'\nrun_dir = '{root}'\nstop_deadline_s = 1\n");
        for (name, script) in processes {
            text.push_str(&format!(
                "[[process]]\nname = '{name}'\ncommand = ['/bin/sh', '-c', '''{script}''']\nlog = '{root}/{name}.log'\nenv = {{ DIR = '{root}' }}\n"
            ));
        }
        let path = dir.path().join("supervise.toml");
        std::fs::write(&path, text).unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "supervisor_process", "--nocapture"])
            .env(CONFIG, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { dir, child }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    fn pid(&self, name: &str) -> Option<Pid> {
        self.text(&format!("{name}.pid")).strip_suffix('\n')?.parse().ok().and_then(Pid::from_raw)
    }

    fn supervisor(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `what` gives something, looking every 10 ms for 20 s.
fn until<T>(name: &str, mut what: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(it) = what() {
            return it;
        }
        assert!(Instant::now() < end, "never: {name}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn gone(pid: Pid) -> Option<()> {
    test_kill_process(pid).is_err().then_some(())
}

#[test]
fn a_killed_process_comes_back_and_a_stop_goes_in_reverse_order() {
    let script = "trap 'echo $0-stopped >> $DIR/order; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    let first = script.replace("$0", "first");
    let second = script.replace("$0", "second");
    let mut bed = Bed::start(&[("first", &first), ("second", &second)]);
    let before = until("first runs", || bed.text("first.log").contains("up").then(|| bed.pid("first")).flatten());
    until("second runs", || bed.text("second.log").contains("up").then_some(()));
    kill_process(before, Signal::KILL).unwrap();
    let after = until("first runs again", || bed.pid("first").filter(|it| *it != before));
    until("its output is appended", || (bed.text("first.log").matches("up").count() == 2).then_some(()));
    kill_process(bed.supervisor(), Signal::TERM).unwrap();
    assert!(bed.child.wait().unwrap().success());
    assert_eq!(bed.text("order"), "second-stopped\nfirst-stopped\n");
    assert!(gone(after).is_some());
    assert!(!bed.file("supervise.pid").exists() && !bed.file("first.pid").exists());
}

#[test]
fn a_process_that_will_not_stop_is_killed_with_what_it_started() {
    let script = "trap '' TERM; sleep 1000 & echo $! > $DIR/grandchild; echo up; while :; do sleep 0.05; done";
    let mut bed = Bed::start(&[("deaf", script)]);
    let pid = until("it runs", || bed.text("deaf.log").contains("up").then(|| bed.pid("deaf")).flatten());
    let grandchild = Pid::from_raw(bed.text("grandchild").trim().parse().unwrap()).unwrap();
    kill_process(bed.supervisor(), Signal::TERM).unwrap();
    assert!(bed.child.wait().unwrap().success());
    assert!(gone(pid).is_some());
    until("its child is gone too", || gone(grandchild));
}

#[test]
fn a_killed_supervisor_leaves_no_orphans_and_a_second_one_is_refused() {
    let mut bed = Bed::start(&[("one", "echo up; exec sleep 1000")]);
    let pid = until("it runs", || bed.text("one.log").contains("up").then(|| bed.pid("one")).flatten());
    let second = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "supervisor_process"])
        .env(CONFIG, bed.file("supervise.toml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!second.success(), "the pid file is held");
    assert_eq!(bed.pid("one"), Some(pid), "the first one's process is untouched");
    bed.child.kill().unwrap();
    bed.child.wait().unwrap();
    until("the process dies with its supervisor", || gone(pid));
}
