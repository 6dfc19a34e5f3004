//! Whether this machine can raise a bed, and what is missing when it cannot.

use std::{fs, path::Path, process::Command};

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

pub(super) fn available() -> Result<(), String> {
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

/// A bed for a test; `None` on a machine where nobody is root: then the test is skipped, and `cargo xtask test` says so
/// at its end. Whatever else is missing fails the test.
#[must_use]
pub fn wanted(hosts: usize) -> Option<Bed> {
    wanted_as(BedSpec { hosts, ..BedSpec::default() })
}

/// The same for a bed of another kind.
#[must_use]
#[allow(clippy::print_stderr, reason = "a skipped test says why")]
pub fn wanted_as(spec: BedSpec) -> Option<Bed> {
    if rustix::process::geteuid().is_root() {
        return Some(Bed::with(spec).unwrap_or_else(|error| panic!("test bed: {error:#}")));
    }
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("skipped: {test}: it needs hosts, which only root may make: run as root\n");
    eprint!("{line}");
    let list = crate::bin_dir().join("skipped-tests.txt");
    let file = fs::File::options().create(true).append(true).open(list);
    if let Ok(mut file) = file {
        let _ = std::io::Write::write_all(&mut file, line.as_bytes());
    }
    None
}
