//! The test bed holds what it promises: real hosts, quickly there, and nothing left of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mesh_tests::{
    Ran,
    bed::{Bed, BedHost, BedSpec, machines, wanted, wanted_as},
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

#[test]
fn hosts_of_a_killed_owner_are_gone() {
    // Raised first, so that the other's subnet and directory differ from it.
    let Some(bed) = wanted(1) else { return };
    let mut owner = Command::new(mesh_tests::bin_dir().join("mesh-bed"));
    let mut owner = owner.args(["up", "2", "--hold"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok);
    let key = lines.find_map(|it| Some(PathBuf::from(it.strip_prefix("key")?.trim()))).unwrap();
    let theirs = key.parent().unwrap();
    let name = theirs.file_name().unwrap().to_str().unwrap();
    let inits: Vec<_> = Bed::open(name).unwrap().hosts().iter().map(|it| it.init().unwrap()).collect();
    owner.kill().unwrap();
    owner.wait().unwrap();
    until("its hosts are gone", Duration::from_secs(5), || inits.iter().all(|it| !it.alive()).then_some(()));

    drop(Bed::new(1));
    assert!(!theirs.exists(), "what it left is swept when the next bed is raised");
    assert!(bed.host("h1").init().is_some(), "a bed whose owner lives is not");
}

#[test]
fn faults_hit_what_they_name_and_nothing_else() {
    let Some(bed) = wanted_as(BedSpec { hosts: 3, clocks: true, disk_mib: 64, ..BedSpec::default() }) else { return };
    links_are_cut(&bed);
    let host = bed.host("h1");
    host.slow(800, None).unwrap();
    let start = Instant::now();
    ssh(&bed, "root", host, "head -c 300000 /dev/urandom").ok();
    assert!(start.elapsed() > Duration::from_secs(2), "2.4 Mbit at 0.8 Mbit/s took {:?}", start.elapsed());
    if let Err(error) = host.slow(800, Some(Duration::from_millis(100))) {
        assert!(format!("{error:#}").contains("sch_netem"), "{error:#}");
    }
    bed.heal().unwrap();
    disks_are_full(host);
    clocks_are_off(&bed);
}

fn links_are_cut(bed: &Bed) {
    // A datagram needs one direction only, so it tells which one is open.
    let reaches = |from: &str, to: &str| {
        let to = bed.host(to);
        let inbox = to.in_network(|| UdpSocket::bind("0.0.0.0:7000").unwrap()).unwrap();
        inbox.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let outbox = bed.host(from).in_network(|| UdpSocket::bind("0.0.0.0:0").unwrap()).unwrap();
        outbox.send_to(b"hello", (to.address(), 7000)).unwrap();
        inbox.recv(&mut [0; 8]).is_ok()
    };
    assert!(reaches("h1", "h2") && reaches("h2", "h1"));
    bed.cut("h1", "h2").unwrap();
    assert!(!reaches("h1", "h2") && !reaches("h2", "h1") && reaches("h1", "h3") && reaches("h3", "h2"));
    bed.heal().unwrap();
    bed.cut_one_way("h1", "h2").unwrap();
    assert!(!reaches("h1", "h2") && reaches("h2", "h1") && reaches("h1", "h3"));
    bed.heal().unwrap();
    assert!(reaches("h1", "h2"));
    bed.cut_off("h3").unwrap();
    assert!(!reaches("h3", "h1") && !reaches("h1", "h3") && reaches("h2", "h1"));
    bed.heal().unwrap();
    assert!(reaches("h3", "h1"));
}

fn disks_are_full(host: &BedHost) {
    let write = |kib: u32| host.exec(&format!("head -c {kib}K /dev/zero > /var/lib/file"));
    write(4096).ok();
    host.fill_disk(1024).unwrap();
    let _ = host.exec("rm /var/lib/file").ok();
    write(9000).exits(1).says(&["No space left on device"]);
    host.free_disk().unwrap();
    write(9000).ok();
}

fn clocks_are_off(bed: &Bed) {
    let host = bed.host("h2");
    let off_s = |there: Ran| {
        let there: i64 = there.ok().stdout.lines().last().unwrap().parse().unwrap();
        let here = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        there - i64::try_from(here.as_secs()).unwrap()
    };
    host.daemon("ticks", "exec bash -c \"while :; do printf '%(%s)T\\n'; read -t 0.1 < /dev/ptmx; done\"");
    let tick = || {
        until("a tick", Duration::from_secs(5), || {
            Some(host.exec("cat /var/log/ticks")).filter(|it| !it.stdout.is_empty())
        })
    };
    assert!(off_s(tick()).abs() < 3);
    host.skew_clock(-7200).unwrap();
    let is_off = |off_s: i64| (-7203..-7195).contains(&off_s);
    assert!(is_off(off_s(host.exec("date +%s"))));
    assert!(is_off(off_s(ssh(bed, "opfree", host, "sudo -n date +%s"))));
    until("a running program sees it too", Duration::from_secs(5), || is_off(off_s(tick())).then_some(()));
    assert!(off_s(bed.host("h1").exec("date +%s")).abs() < 3, "another host's clock is right");
    host.skew_clock(0).unwrap();
    assert!(off_s(host.exec("date +%s")).abs() < 3);
}

#[test]
fn systemd_machines_boot_reboot_and_leave_nothing() {
    let cgroups =
        || Ran::from(Command::new("find").args(["/sys/fs/cgroup", "-name", "meshbed*"]).output().unwrap()).stdout;
    let Some(bed) = machines(2) else { return };
    let host = bed.host("h1");
    let running = |host: &BedHost| ssh(&bed, "root", host, "systemctl is-system-running --wait").stdout;
    assert_eq!((running(host), running(bed.host("h2"))), ("running\n".to_owned(), "running\n".to_owned()));
    assert_eq!(
        ssh(&bed, "opfree", host, "hostname; cat /proc/1/comm; sudo -n id -un").ok().stdout,
        "h1\nsystemd\nroot\n"
    );
    let boot =
        || Some(ssh(&bed, "root", host, "cat /proc/sys/kernel/random/boot_id").stdout).filter(|it| !it.is_empty());
    let first = boot().unwrap();
    let _ = ssh(&bed, "root", host, "echo kept > /var/lib/kept; systemctl reboot");
    until("a reboot", Duration::from_secs(30), || boot().filter(|it| *it != first));
    assert_eq!(ssh(&bed, "root", host, "cat /var/lib/kept").ok().stdout, "kept\n");
    host.wipe().unwrap();
    assert_eq!(host.exec("ls /var/lib/kept").exits(2).stdout, "");
    assert!(!cgroups().is_empty());
    drop(bed);
    assert_eq!(cgroups(), "");
}

/// Links of this machine into beds.
fn links() -> Vec<String> {
    let all = fs::read_dir("/sys/class/net").unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    all.filter(|it| it.starts_with("meshbed")).collect()
}
