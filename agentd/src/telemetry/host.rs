//! Facts about the host, out of its /proc; what is absent or not understood is unknown.

use std::{fs, path::Path};

use mesh_core::status::HostSample;

/// Reads the host's facts below `proc` (`/proc`).
pub(super) fn read(proc: &Path) -> HostSample {
    let text = |name: &str| fs::read_to_string(proc.join(name)).ok();
    let memory = text("meminfo");
    let bytes = |name| memory.as_deref().and_then(|text| memory_bytes(text, name));
    HostSample {
        cpus: text("cpuinfo").and_then(|text| cpus(&text)),
        load_1m: text("loadavg")
            .and_then(|text| text.split(' ').next()?.parse().ok())
            .filter(|load: &f32| load.is_finite()),
        memory_bytes: bytes("MemTotal:"),
        memory_available_bytes: bytes("MemAvailable:"),
        kernel: text("sys/kernel/osrelease").map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
    }
}

fn cpus(text: &str) -> Option<u32> {
    let count = text.lines().filter(|line| line.starts_with("processor")).count();
    u32::try_from(count).ok().filter(|count| *count > 0)
}

/// A line of meminfo: `MemTotal:       24689764 kB`.
fn memory_bytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    let mut words = line.split_whitespace().skip(1);
    let kib: u64 = words.next()?.parse().ok()?;
    (words.next() == Some("kB")).then(|| kib.checked_mul(1024))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_and_the_absent_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), HostSample::default());
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("cpuinfo", "processor\t: 0\nmodel name\t: x\nprocessor\t: 1\n");
        put("loadavg", "0.52 0.58 0.59 1/389 12345\n");
        put("meminfo", "MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable:   1024 kB\n");
        put("sys/kernel/osrelease", "6.1.0-18-amd64\n");
        let expected = HostSample {
            cpus: Some(2),
            load_1m: Some(0.52),
            memory_bytes: Some(2048 * 1024),
            memory_available_bytes: Some(1024 * 1024),
            kernel: Some("6.1.0-18-amd64".into()),
        };
        assert_eq!(read(dir.path()), expected);
        put("meminfo", "MemTotal: many kB\nMemAvailable: 5 MB\n");
        put("loadavg", "NaN 0 0");
        let expected = HostSample { load_1m: None, memory_bytes: None, memory_available_bytes: None, ..expected };
        assert_eq!(read(dir.path()), expected);
    }
}
