//! What `ssh -G` prints: one option a line, in lower case, every default filled in.

use std::{collections::BTreeMap, io, path::Path, process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt, process::Command, sync::Semaphore, time::timeout};

use super::ConfigError;

/// How long OpenSSH may think; a `Match exec` may run a command of the user.
const TIME_MAX: Duration = Duration::from_secs(15);
/// The most it may print; a usual answer has 5 kB.
const BYTES_MAX: u64 = 256 * 1024;
/// How many of them run at once: a fleet has hundreds of hosts, this machine a few processors.
const AT_ONCE: usize = 16;
/// How much of its complaint is told.
const COMPLAINT_MAX: usize = 400;

static ASKING: Semaphore = Semaphore::const_new(AT_ONCE);

/// The options in force for one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dump(BTreeMap<String, Vec<String>>);

impl Dump {
    pub(super) fn parse(text: &str) -> Self {
        let mut options: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (key, value) = line.split_once(' ').unwrap_or((line, ""));
            options.entry(key.to_ascii_lowercase()).or_default().push(value.trim().to_owned());
        }
        Self(options)
    }

    /// Every value of an option that may be repeated, without `none`.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        let values = self.0.get(key).map(Vec::as_slice).unwrap_or_default();
        values.iter().map(String::as_str).filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("none"))
    }

    /// The value of an option, unless it is `none`.
    pub(super) fn one(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// The value of an option, `none` too.
    pub(super) fn said(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.first().map(String::as_str)
    }

    /// Whether an option is on.
    pub(super) fn is_on(&self, key: &str) -> bool {
        matches!(self.one(key), Some("yes" | "true"))
    }
}

/// What is asked of OpenSSH; every name has been checked before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) host: &'a str,
    pub(super) port: Option<u16>,
    pub(super) user: Option<&'a str>,
    pub(super) config: Option<&'a Path>,
}

/// Asks OpenSSH for the options of a host; none when there is no `ssh` on this machine.
pub(super) async fn ask(asked: Asked<'_>) -> Result<Option<Dump>, ConfigError> {
    let refused = |why: String| ConfigError::Ssh { host: asked.host.to_owned(), why };
    // It is never closed; if it were, asking without it would do no harm.
    let _turn = ASKING.acquire().await;
    let mut command = Command::new("ssh");
    // -T: no complaint that stdin is no terminal.
    command.arg("-TG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(config) = asked.config {
        command.arg("-F").arg(config);
    }
    if let Some(port) = asked.port {
        command.args(["-p", &port.to_string()]);
    }
    if let Some(user) = asked.user {
        command.args(["-l", user]);
    }
    let mut child = match command.arg("--").arg(asked.host).spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error.to_string())),
    };
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(refused("no pipes".to_owned()));
    };
    let work = async {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (mut stdout, mut stderr) = (stdout.take(BYTES_MAX), stderr.take(BYTES_MAX));
        tokio::try_join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err))?;
        io::Result::Ok((out, err, child.wait().await?))
    };
    let ended = timeout(TIME_MAX, work).await.map_err(|_| refused(format!("nothing for {} s", TIME_MAX.as_secs())))?;
    let (out, err, status) = ended.map_err(|error| refused(error.to_string()))?;
    if !status.success() {
        let complaint = String::from_utf8_lossy(&err);
        return Err(refused(complaint.trim().chars().take(COMPLAINT_MAX).collect()));
    }
    Ok(Some(Dump::parse(&String::from_utf8_lossy(&out))))
}
