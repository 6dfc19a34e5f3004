//! What goes wrong on hosts: links that are cut or slow, disks that are full, clocks that are off.

use std::{fs, os::unix::fs::FileExt, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use super::{
    Bed, BedHost,
    ground::Ground,
    shell::{program, run},
};

/// A link address that nobody has: what is sent to it is lost, and nobody is told.
const NOBODY: &str = "02:00:00:00:00:01";
/// What a slowed link holds back before it drops.
const QUEUE_MS: u32 = 400;

impl Bed {
    /// Loses everything that the two hosts send each other, silently.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn cut(&self, one: &str, other: &str) -> Result<()> {
        self.cut_one_way(one, other)?;
        self.cut_one_way(other, one)
    }

    /// Loses everything that `from` sends to `to`; the other direction stays.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn cut_one_way(&self, from: &str, to: &str) -> Result<()> {
        let to = self.host(to).address();
        self.ground.ip(Some(from), &format!("neigh replace {to} lladdr {NOBODY} nud permanent dev eth0\n"))
    }

    /// Loses everything that a host sends or is sent, to and from this machine too.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn cut_off(&self, host: &str) -> Result<()> {
        self.ground.ip(None, &format!("link set to-{host} nomaster\n"))
    }

    /// Repairs every link: none is cut or slow any more.
    ///
    /// # Errors
    /// When a host's link is gone.
    pub fn heal(&self) -> Result<()> {
        for host in self.hosts() {
            self.ground.ip(None, &format!("link set to-{} master br0\n", host.name()))?;
            self.ground.ip(Some(host.name()), "neigh flush dev eth0 nud permanent\n")?;
            for end in host.ends() {
                // There is nothing to remove where nothing was slowed.
                let _ = run(&mut traffic(&self.ground, &["qdisc", "del"], &end, &["root"]));
            }
        }
        Ok(())
    }
}

impl BedHost {
    /// Bounds how much the host can send and be sent, and delays it.
    ///
    /// # Errors
    /// When the kernel has no qdisc for it: `delay` needs netem, which some kernels lack.
    pub fn slow(&self, kbit_per_s: u32, delay: Option<Duration>) -> Result<()> {
        let (rate, queue) = (format!("{kbit_per_s}kbit"), format!("{QUEUE_MS}ms"));
        for end in self.ends() {
            let shape = match delay {
                None => vec!["root", "tbf", "rate", &rate, "burst", "32kbit", "latency", &queue],
                Some(_) => vec!["root", "netem", "rate", &rate, "delay"],
            };
            let half_ms = delay.map(|it| format!("{}ms", it.as_millis() / 2));
            let shape: Vec<&str> = shape.into_iter().chain(half_ms.as_deref()).collect();
            run(&mut traffic(&self.ground, &["qdisc", "replace"], &end, &shape)).context(match delay {
                None => "slow a link: the kernel needs sch_tbf",
                Some(_) => "delay a link: the kernel needs sch_netem",
            })?;
        }
        Ok(())
    }

    /// Fills the disk but for `left_kib`: what wants more meets "no space left on device".
    ///
    /// # Errors
    /// When the disk cannot be resized.
    pub fn fill_disk(&self, left_kib: u64) -> Result<()> {
        let disk = self.ground.inside(&self.disk());
        let stat = rustix::fs::statvfs(&disk).with_context(|| format!("look at the disk of {}", self.name()))?;
        let used_kib = (stat.f_blocks - stat.f_bfree) * stat.f_frsize / 1024;
        self.resize(&format!("{}k", used_kib + left_kib))
    }

    /// Gives the disk its size back.
    ///
    /// # Errors
    /// When the disk cannot be resized.
    pub fn free_disk(&self) -> Result<()> {
        self.resize(&format!("{}m", self.ground.disk_mib))
    }

    /// Shifts the host's wall clock against that of this machine, for running programs too.
    ///
    /// Programs that ask the C library see it (`tests/bed/clock.c` says which do not); monotonic clocks stay right.
    ///
    /// # Errors
    /// When the bed was raised without [`super::BedSpec::clocks`].
    pub fn skew_clock(&self, seconds: i64) -> Result<()> {
        ensure!(self.ground.clocks, "the bed has no clocks of its own: raise it with `clocks: true`");
        let file =
            fs::File::options().write(true).open(self.path("/usr/local/lib/bed-clock")).context("open the clock")?;
        let shift_ns = seconds.checked_mul(1_000_000_000).context("more than 292 years")?;
        file.write_all_at(&shift_ns.to_ne_bytes(), 0).context("set the clock")
    }

    fn resize(&self, size: &str) -> Result<()> {
        let options = format!("remount,size={size}");
        run(&mut self.ground.enter(false, &["mount", "-o", &options, &self.disk()])).map(|_| ())
    }

    /// Both ends of its link: what it sends, and what it is sent.
    fn ends(&self) -> [Vec<String>; 2] {
        let inside = vec!["-n".to_owned(), self.name().to_owned(), "eth0".to_owned()];
        [inside, vec![format!("to-{}", self.name())]]
    }
}

/// `tc` for one end of a link.
fn traffic(ground: &Ground, verb: &[&str], end: &[String], rest: &[&str]) -> Command {
    let (device, namespace) = end.split_last().expect("an end names its device");
    let mut args = vec!["tc"];
    args.extend(namespace.iter().map(String::as_str));
    args.extend(verb);
    args.extend(["dev", device]);
    args.extend(rest);
    ground.enter(false, &args)
}

/// Compiles the library that shifts clocks.
pub(super) fn clock_library(dir: &Path) -> Result<()> {
    const SOURCE: &str = include_str!("clock.c");
    let (source, library) = (dir.join("clock.c"), dir.join("clock.so"));
    fs::write(&source, SOURCE).context("write clock.c")?;
    let mut compiler = program("cc", &["-shared", "-fPIC", "-O1", "-o"]);
    run(compiler.arg(&library).arg(&source)).context("compile the clock, for which a C compiler is needed")?;
    Ok(())
}
