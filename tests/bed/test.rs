//! The test bed holds what it promises: real hosts, quickly there, and nothing left of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use mesh_tests::{
    Ran,
    bed::{Bed, BedHost, wanted},
    until,
};

/// A command over the real ssh client, which must know the host by the bed's known_hosts.
fn ssh(bed: &Bed, user: &str, host: &BedHost, command: &str) -> Ran {
    let known = format!("UserKnownHostsFile={}", bed.known_hosts().display());
    let to = format!("{user}@{}", host.address());
    let mut ssh = Command::new("ssh");
    ssh.args([
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
    ]);
    ssh.arg(known).arg("-i").arg(bed.key()).args([&to, command]);
    Ran::from(ssh.output().unwrap())
}

#[test]
fn a_host_is_a_machine_of_its_own() {
    let Some(bed) = wanted(2) else { return };
    let [one, two] = bed.hosts() else { panic!("two hosts") };
    let check = |command: &str, expected: &str| assert_eq!(ssh(&bed, "root", one, command).ok().stdout, expected);
    check("hostname", "h1\n");
    check("ls -A /root; ls -A /tmp /opt", ".ssh\n/opt:\n\n/tmp:\n");
    check("ls -d /work /root/.cargo /run/systemd /dev/nvidia* 2>/dev/null; true", "");
    check("getent hosts h2 | cut -d' ' -f1", &format!("{}\n", two.address()));
    check("cat /proc/1/comm; id -un; test -w /etc && echo writable", "sh\nroot\nwritable\n");
    check("ls /sys/class/net | tr '\\n' ' '", "eth0 lo ");
    for file in ["/etc/machine-id", "/proc/sys/kernel/random/boot_id", "/etc/ssh/ssh_host_ed25519_key"] {
        let read = |host: &BedHost| host.exec(&format!("cat {file}")).ok().stdout;
        assert_ne!(read(one), read(two), "{file}");
    }
    let reach = format!("timeout 2 bash -c 'read -n 7 it < /dev/tcp/{}/22; echo $it'", two.address());
    check(&reach, "SSH-2.0\n");

    assert_eq!(ssh(&bed, "opfree", one, "sudo -n id -un").ok().stdout, "root\n");
    ssh(&bed, "op", one, "sudo -n id -un").exits(1).says(&["password is required"]);
    assert_eq!(ssh(&bed, "op", one, "echo op-secret | sudo -S -p '' id -un").ok().stdout, "root\n");
    ssh(&bed, "nosudo", one, "sudo -n id -un").exits(1);
}

#[test]
fn a_reboot_keeps_the_disk_and_a_wipe_does_not() {
    let Some(bed) = wanted(1) else { return };
    let host = bed.host("h1");
    let boot = || host.exec("cat /proc/sys/kernel/random/boot_id").ok().stdout;
    let first = boot();
    let _ = host.exec("echo kept > /var/lib/kept; echo gone > /run/gone").ok();
    host.daemon("sleeper", "sleep 1000");
    until("it runs", Duration::from_secs(5), || (host.cont("sleep") == 1).then_some(()));

    host.reboot().unwrap();
    assert_ne!(boot(), first);
    assert_eq!(ssh(&bed, "root", host, "cat /var/lib/kept; ls /run/gone").exits(2).stdout, "kept\n");
    assert_eq!(host.kill("sleep"), 0, "every process ends with its host");

    host.wipe().unwrap();
    ssh(&bed, "root", host, "true").exits(255).says(&["HOST IDENTIFICATION HAS CHANGED"]);
    bed.trust().unwrap();
    ssh(&bed, "root", host, "cat /var/lib/kept").exits(1);
}

#[test]
fn many_hosts_are_up_at_once_and_leave_nothing() {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let start = Instant::now();
    let Some(bed) = wanted(16) else { return };
    let up = start.elapsed();
    assert!(up < Duration::from_secs(15), "16 hosts took {up:?}");
    let inits: Vec<_> = bed.hosts().iter().map(|it| it.init().unwrap()).collect();
    let dir: PathBuf = bed.dir().to_owned();
    let links = links();
    drop(bed);
    assert!(inits.iter().all(|it| !it.alive()), "a host outlived its bed");
    assert!(!Path::new(&dir).exists(), "{} stays", dir.display());
    assert_eq!(links.len() - 1, self::links().len(), "a link stays");
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts, "a mount stays");
    eprintln!("16 hosts in {up:?}, gone after {:?}", start.elapsed() - up);
}

/// Links of this machine into beds.
fn links() -> Vec<String> {
    let all = fs::read_dir("/sys/class/net").unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    all.filter(|it| it.starts_with("meshbed")).collect()
}
