//! This machine as a host: the same scripts in a local shell, for the local transport and for tests.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::{Held, Host, HostError, Job, Output, Part, STDERR_KEPT, STDOUT_MAX};

/// This machine, under a name.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    name: String,
}

impl Shell {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }
}

fn spawn(job: &Job<'_>) -> Result<Child, HostError> {
    Command::new("sh")
        .args(["-c", &job.script, "sh"])
        .args(job.args.iter().map(AsRef::as_ref))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| script(job, &error))
}

fn script(job: &Job<'_>, why: &dyn std::fmt::Display) -> HostError {
    HostError::Script { label: job.label.to_owned(), why: why.to_string() }
}

/// Writes every part; a script that reads no more has what it wanted.
async fn feed(mut stdin: ChildStdin, job: &Job<'_>) -> std::io::Result<()> {
    let mut sent = 0;
    let mut piece = vec![0; 64 * 1024];
    for part in &job.input {
        match part {
            Part::Bytes(bytes) => {
                stdin.write_all(bytes).await?;
                sent += bytes.len() as u64;
            }
            Part::File(path, offset) => {
                let mut file = tokio::fs::File::open(path).await?;
                file.seek(std::io::SeekFrom::Start(*offset)).await?;
                loop {
                    let read = file.read(&mut piece).await?;
                    if read == 0 {
                        break;
                    }
                    stdin.write_all(&piece[..read]).await?;
                    sent += read as u64;
                    if let Some(told) = job.sent {
                        told(sent);
                    }
                }
            }
        }
    }
    stdin.shutdown().await
}

fn status(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

impl Host for Shell {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, job: Job<'_>) -> Result<Output, HostError> {
        let mut child = spawn(&job)?;
        let (Some(stdin), Some(stdout), Some(mut stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(script(&job, &"no pipes"));
        };
        let work = async {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            // The pipe is closed when enough was read: a script that prints on is stopped by that, and ends.
            let read = async { stdout.take(STDOUT_MAX as u64 + 1).read_to_end(&mut out).await };
            let (fed, read, _) = tokio::join!(feed(stdin, &job), read, stderr.read_to_end(&mut err));
            read.map_err(|error| script(&job, &error))?;
            match fed {
                Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(script(&job, &error)),
                _ => {}
            }
            if out.len() > STDOUT_MAX {
                return Err(script(&job, &"it prints more than 8 MiB"));
            }
            let ended = child.wait().await.map_err(|error| script(&job, &error))?;
            let kept = err.len().saturating_sub(STDERR_KEPT);
            let stderr = String::from_utf8_lossy(&err[kept..]).into_owned();
            Ok(Output { status: status(ended), stdout: out, stderr })
        };
        timeout(job.timeout, work)
            .await
            .unwrap_or_else(|_| Err(HostError::Timeout { label: job.label.to_owned(), limit: job.timeout }))
    }

    async fn hold(&self, job: Job<'_>) -> Result<Held, HostError> {
        let mut child = spawn(&job)?;
        let Some(stdout) = child.stdout.take() else { return Err(script(&job, &"no pipes")) };
        let (mut lines, mut line) = (BufReader::new(stdout), String::new());
        let read = timeout(job.timeout, lines.read_line(&mut line))
            .await
            .map_err(|_| HostError::Timeout { label: job.label.to_owned(), limit: job.timeout })?;
        read.map_err(|error| script(&job, &error))?;
        let line = line.trim_end().to_owned();
        let ended = if line.is_empty() {
            Some(child.wait().await.map_err(|error| script(&job, &error))?)
        } else {
            child.try_wait().map_err(|error| script(&job, &error))?
        };
        Ok(Held { line, status: ended.map(status), guard: Some(Box::new((child, lines))) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn scripts_are_fed_and_heard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "0123456789").unwrap();
        let host = Shell::new("here");
        let mut job = Job::new("echo", r#"cat; echo "$1" >&2; exit 3"#);
        job.args = vec!["two words".into()];
        job.input = vec![Part::Bytes(b"head ".as_slice().into()), Part::File(&path, 7)];
        let output = host.run(job).await.unwrap();
        assert_eq!((output.status, output.text().as_ref(), output.stderr.as_str()), (3, "head 789", "two words\n"));
        let mut job = Job::new("sleep", "sleep 100");
        job.timeout = Duration::from_millis(50);
        assert!(matches!(host.run(job).await, Err(HostError::Timeout { .. })));
        let big = host.run(Job::new("yes", "yes")).await;
        assert!(matches!(big, Err(HostError::Script { .. })), "{big:?}");
        let output = host.run(Job::new("killed", "kill -9 $$")).await.unwrap();
        assert_eq!(output.status, 137);
    }

    #[tokio::test]
    async fn a_held_script_ends_with_its_guard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ended");
        let script = format!("echo held; cat >/dev/null; touch {}", path.display());
        let held = Shell::new("here").hold(Job::new("lock", script)).await.unwrap();
        assert_eq!((held.line.as_str(), held.status), ("held", None));
        drop(held);
        let refused = Shell::new("here").hold(Job::new("lock", "exit 75")).await.unwrap();
        assert_eq!((refused.line.as_str(), refused.status), ("", Some(75)));
    }
}
