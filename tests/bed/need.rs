//! Whether this machine can raise a bed, and what is missing when it cannot.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{
    Bed, BedSpec,
    shell::{PATH, program, run},
};

/// What must be installed, with the Debian package that has it.
const PROGRAMS: &[(&str, &str)] = &[
    ("sshd", "openssh-server"),
    ("ssh-keygen", "openssh-client"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("pivot_root", "util-linux"),
    ("sudo", "sudo"),
];

pub(super) fn available() -> std::result::Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("hosts are namespaces, which only root may make: run as root".to_owned());
    }
    for (name, package) in PROGRAMS {
        if !PATH.split(':').any(|dir| Path::new(dir).join(name).exists()) {
            return Err(format!("`{name}` is not installed: apt-get install {package}"));
        }
    }
    if !fs::read_to_string("/proc/filesystems").unwrap_or_default().contains("overlay") {
        let _ = Command::new("modprobe").arg("overlay").output();
    }
    // What a container without privileges refuses shows only when it is tried.
    const TRY: &str = "mount -t tmpfs try /run && cd /run && mkdir u w m && mknod u/x c 0 0 && \
         mount -t overlay -o lowerdir=/,upperdir=u,workdir=w try m && \
         ip link add try0 type bridge && ip link add try1 type veth peer name try2";
    run(&mut program("unshare", &["--mount", "--net", "--pid", "--fork", "sh", "-c", TRY])).map(|_| ()).map_err(
        |error| format!("namespaces, overlay mounts, bridges and veth links are not all allowed here: {error:#}"),
    )
}

/// The root file system of machines with systemd: made in three minutes, and kept in `~/.cache/mesh-bed`.
///
/// # Errors
/// When this machine cannot make it, and why.
pub fn systemd_root() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).context("HOME is not set")?;
    let target = home.join(".cache/mesh-bed/rootfs");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bed/rootfs.sh");
    let status = program(&script.to_string_lossy(), &[]).arg(&target).status().context("start rootfs.sh")?;
    ensure!(status.success(), "machines with systemd have no root file system: {status}");
    Ok(target)
}

/// A bed for a test; `None` on a machine where nobody is root: then the test is skipped, and `cargo xtask test` says so
/// at its end. Whatever else is missing fails the test.
#[must_use]
pub fn wanted(hosts: usize) -> Option<Bed> {
    wanted_as(BedSpec { hosts, ..BedSpec::default() })
}

/// The same for a bed of another kind.
#[must_use]
pub fn wanted_as(spec: BedSpec) -> Option<Bed> {
    if rustix::process::geteuid().is_root() {
        return Some(Bed::with(spec).unwrap_or_else(|error| panic!("test bed: {error:#}")));
    }
    skip("it needs hosts, which only root may make: run as root");
    None
}

/// Machines with systemd for a test; `None` unless `cargo xtask test --systemd` runs it: they want a root file system
/// that takes minutes to make.
#[must_use]
pub fn machines(hosts: usize) -> Option<Bed> {
    if std::env::var_os("MESH_TEST_SYSTEMD").is_none() {
        skip("it needs machines with systemd: cargo xtask test --systemd");
        return None;
    }
    let systemd = systemd_root().unwrap_or_else(|error| panic!("test bed: {error:#}"));
    wanted_as(BedSpec { hosts, systemd: Some(systemd), ..BedSpec::default() })
}

/// Says that a test is skipped, now and at the end of `cargo xtask test`.
#[allow(clippy::print_stderr, reason = "a skipped test says why")]
fn skip(why: &str) {
    let line = format!("skipped: {}: {why}\n", std::thread::current().name().unwrap_or("a test"));
    eprint!("{line}");
    let list = crate::bin_dir().join("skipped-tests.txt");
    if let Ok(mut file) = fs::File::options().create(true).append(true).open(list) {
        // The line above has said it already.
        let _ = file.write_all(line.as_bytes());
    }
}
