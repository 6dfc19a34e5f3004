//! The log of a supervised process: a file that never grows beyond a bound, with one older one beside it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A log beyond this is copied to `.1` and emptied, in bytes.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Opens a log to append to.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

/// The file that this process's own stderr goes to, when it is one.
pub(super) fn own() -> Option<PathBuf> {
    let path = fs::read_link("/proc/self/fd/2").ok()?;
    path.is_file().then_some(path)
}

/// Bounds a log; a line that is written in the moment between copying and emptying is lost.
pub(super) fn bound(path: &Path) {
    if let Err(error) = bound_to(path, LOG_BYTES_MAX) {
        tracing::warn!(path = %path.display(), %error, "cannot bound a log");
    }
}

/// The process keeps its open file, so the file cannot be moved: it is copied and emptied. What is appended to it goes on
/// at its beginning then.
fn bound_to(path: &Path, max: u64) -> io::Result<()> {
    let length = match fs::metadata(path) {
        Ok(it) => it.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if length <= max {
        return Ok(());
    }
    let log = OpenOptions::new().read(true).write(true).open(path)?;
    let copied = copy(&log, path);
    // Where nothing can be kept, growing on would only fill the disk for everybody else.
    if copied.is_ok() || length > max.saturating_mul(2) {
        log.set_len(0)?;
    }
    copied
}

fn copy(mut log: &File, path: &Path) -> io::Result<()> {
    let beside = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let (part, aside) = (beside(".1.part"), beside(".1"));
    let mut keep = || {
        let mut copy = OpenOptions::new().create(true).truncate(true).write(true).mode(0o640).open(&part)?;
        io::copy(&mut log, &mut copy)?;
        fs::rename(&part, &aside)?;
        // What was written meanwhile.
        while io::copy(&mut log, &mut copy)? > 0 {}
        Ok(())
    };
    let done = keep();
    if done.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&part);
    }
    done
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_log_is_copied_and_emptied_once_it_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agentd.log");
        bound_to(&path, 10).unwrap();
        let mut writer = open(&path).unwrap();
        let mut check = |text: &str, log: &str, aside: Option<&str>| {
            writer.write_all(text.as_bytes()).unwrap();
            bound_to(&path, 10).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), log);
            assert_eq!(fs::read_to_string(dir.path().join("agentd.log.1")).ok().as_deref(), aside);
        };
        check("12345\n", "12345\n", None);
        check("67890\n", "", Some("12345\n67890\n"));
        check("abc\n", "abc\n", Some("12345\n67890\n"));
        check("defghij\n", "", Some("abc\ndefghij\n"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing half done stays");
    }

    #[test]
    fn a_log_that_cannot_be_kept_is_emptied_before_it_fills_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        fs::create_dir(dir.path().join("x.log.1.part")).unwrap();
        fs::write(&path, "x".repeat(15)).unwrap();
        assert!(bound_to(&path, 10).is_err());
        assert_eq!(fs::metadata(&path).unwrap().len(), 15);
        fs::write(&path, "x".repeat(25)).unwrap();
        assert!(bound_to(&path, 10).is_err());
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    }
}
