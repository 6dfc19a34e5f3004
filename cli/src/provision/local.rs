//! The way to a host. Today this machine itself; SSH will be a second one.

use std::{
    cell::RefCell,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use mesh_core::id::Digest;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use super::{
    release::{Binary, sha256_of},
    supervisor::STOP_LIMIT,
};
use crate::{Exit, Failure, Result};

/// What provisioning needs of a host.
pub(crate) trait Transport {
    /// Makes a directory and those above it.
    async fn make_dir(&self, path: &Path, mode: u32) -> Result<()>;
    /// The text of a file; none when it is not there.
    async fn read(&self, path: &Path) -> Result<Option<String>>;
    /// Replaces a file as a whole.
    async fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()>;
    /// Brings a binary to the host and checks its digest there.
    async fn install(&self, binary: &Binary, to: &Path) -> Result<()>;
    /// Makes a symbolic link point to a path, whatever it pointed to before.
    async fn link(&self, target: &Path, link: &Path) -> Result<()>;
    /// Runs a command and gives its stdout.
    async fn run(&self, command: &[&str]) -> Result<String>;
    /// Starts a command that stays when this one is gone.
    async fn start(&self, command: &[&str], log: &Path) -> Result<()>;
}

/// This machine.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// What was started here: it may be asked to stop before it has told anybody that it runs.
    started: RefCell<Vec<Child>>,
}

impl Local {
    /// Asks everything that was started here to stop, and waits for its end.
    pub(crate) async fn stop_started(&self) {
        let mut open = self.started.take();
        for child in &mut open {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            // A child that was waited for has no number any more; one that was not keeps it.
            if let (Ok(None), Some(pid)) = (child.try_wait(), pid) {
                let _ = kill_process(pid, Signal::TERM);
            }
        }
        let end = Instant::now() + STOP_LIMIT;
        while Instant::now() < end {
            open.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            if open.is_empty() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        for mut child in open {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn failed(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let (what, place) = (what.to_owned(), path.display().to_string());
    move |error| Failure::new(Exit::Failed, what).at(place).why(error)
}

impl Transport for Local {
    async fn make_dir(&self, path: &Path, mode: u32) -> Result<()> {
        fs::create_dir_all(path).map_err(failed("cannot make a directory", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(failed("cannot set the mode of a directory", path))
    }

    async fn read(&self, path: &Path) -> Result<Option<String>> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("cannot read a file", path)(error)),
        }
    }

    async fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
        let replace = || {
            use io::Write;
            let mut part = path.as_os_str().to_owned();
            part.push(".part");
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(&part)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&part, path)
        };
        replace().map_err(failed("cannot write a file", path))
    }

    async fn install(&self, binary: &Binary, to: &Path) -> Result<()> {
        if digest_on_host(to, binary).map_err(failed("cannot read a binary", to))? == Some(binary.digest) {
            return Ok(());
        }
        let put = || {
            let _ = fs::remove_file(to);
            // Another file system has no hard links to this one.
            fs::hard_link(&binary.path, to).or_else(|_| fs::copy(&binary.path, to).map(|_| ()))
        };
        put().map_err(failed("cannot install a binary", to))?;
        match digest_on_host(to, binary).map_err(failed("cannot read a binary", to))? {
            Some(digest) if digest == binary.digest => Ok(()),
            _ => Err(Failure::new(Exit::Mismatch, format!("{} changed while it was installed", binary.name))
                .at(to.display().to_string())
                .next("wait until the build is done, then mesh up")),
        }
    }

    async fn link(&self, target: &Path, link: &Path) -> Result<()> {
        if fs::read_link(link).is_ok_and(|it| it == target) {
            return Ok(());
        }
        let replace = || {
            let mut part = link.as_os_str().to_owned();
            part.push(".part");
            let _ = fs::remove_file(&part);
            symlink(target, &part)?;
            fs::rename(&part, link)
        };
        replace().map_err(failed("cannot make a link", link))
    }

    async fn run(&self, command: &[&str]) -> Result<String> {
        let (program, args) = split(command)?;
        let failure = || Failure::new(Exit::Failed, format!("`{}` failed", command.join(" ")));
        let out =
            Command::new(program).args(args).stdin(Stdio::null()).output().map_err(|error| failure().why(error))?;
        if !out.status.success() {
            return Err(failure().why(format!("{}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim())));
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    async fn start(&self, command: &[&str], log: &Path) -> Result<()> {
        let (program, args) = split(command)?;
        let open = || OpenOptions::new().create(true).append(true).mode(0o640).open(log);
        let out: File = open().map_err(failed("cannot open a log", log))?;
        let err = out.try_clone().map_err(failed("cannot open a log", log))?;
        // It leaves this session itself: a supervisor that is told to detach calls setsid.
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .current_dir("/")
            .spawn()
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot start {program}")).why(error))?;
        self.started.borrow_mut().push(child);
        Ok(())
    }
}

fn split<'a, 'b>(command: &'a [&'b str]) -> Result<(&'b str, &'a [&'b str])> {
    let (program, args) = command.split_first().ok_or_else(|| Failure::new(Exit::Failed, "an empty command"))?;
    Ok((program, args))
}

/// The digest of an installed binary; one that is the very file of the release needs no second reading.
fn digest_on_host(path: &Path, binary: &Binary) -> io::Result<Option<Digest>> {
    let there = match fs::metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let source = fs::metadata(&binary.path)?;
    if (there.dev(), there.ino()) == (source.dev(), source.ino()) {
        return Ok(Some(binary.digest));
    }
    sha256_of(path).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_binary_is_linked_checked_and_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (path, to) = (dir.path().join("agentd"), dir.path().join("installed"));
        fs::write(&path, "one").unwrap();
        let binary = Binary { name: "agentd".into(), digest: sha256_of(&path).unwrap(), path: path.clone() };
        fs::write(&to, "older").unwrap();
        Local::default().install(&binary, &to).await.unwrap();
        assert_eq!(fs::metadata(&to).unwrap().ino(), fs::metadata(&path).unwrap().ino(), "a hard link");
        let wrong = Binary { digest: Digest([1; 32]), ..binary };
        let other = dir.path().join("copy");
        fs::copy(&path, &other).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "two").unwrap();
        fs::remove_file(&to).unwrap();
        fs::copy(&other, &to).unwrap();
        // The same inode as the release is trusted; anything else is read, and must have the digest.
        let failure = Local::default().install(&Binary { path: other.clone(), ..wrong }, &to).await;
        assert!(failure.is_ok(), "the link is the release's own file");
        assert_eq!(fs::metadata(&to).unwrap().ino(), fs::metadata(&other).unwrap().ino());
    }

    #[tokio::test]
    async fn what_was_just_started_is_stopped() {
        let (dir, host) = (tempfile::tempdir().unwrap(), Local::default());
        let log = dir.path().join("log");
        host.start(&["sleep", "1000"], &log).await.unwrap();
        host.start(&["true"], &log).await.unwrap();
        let pids: Vec<u32> = host.started.borrow().iter().map(Child::id).collect();
        host.stop_started().await;
        for pid in pids {
            assert!(!Path::new(&format!("/proc/{pid}/exe")).exists(), "{pid} is gone");
        }
    }

    #[tokio::test]
    async fn commands_and_links_work_twice() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("current");
        Local::default().link(Path::new("a"), &link).await.unwrap();
        Local::default().link(Path::new("b"), &link).await.unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("b"));
        assert_eq!(Local::default().run(&["echo", "hi"]).await.unwrap(), "hi\n");
        let failure = Local::default().run(&["sh", "-c", "echo no space >&2; exit 3"]).await.unwrap_err();
        assert!(failure.to_string().contains("no space"), "{failure}");
        Local::default().write(&dir.path().join("f"), b"x", 0o600).await.unwrap();
        assert_eq!(Local::default().read(&dir.path().join("f")).await.unwrap().as_deref(), Some("x"));
        assert_eq!(Local::default().read(&dir.path().join("g")).await.unwrap(), None);
    }
}
