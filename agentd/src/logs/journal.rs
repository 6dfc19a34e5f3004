//! Logs in the journal of the host, read by `journalctl`: a child with bounded output that ends with its reader.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use futures_util::StreamExt as _;
use mesh_core::time::Timestamp;
use serde_json::Value;
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::{
    LINE_BYTES_MAX, LogsError, PAST_BYTES_MAX, Unit,
    filter::Filter,
    line::{Level, Line, split},
    reader::Chunk,
};

/// The longest entry that is read, in bytes of JSON; longer ones are left out.
const ENTRY_BYTES_MAX: usize = 512 * 1024;
/// How much of the journal one search looks at, in entries.
const ENTRIES_MAX: usize = 500_000;
/// How long a search of the past may take.
const PAST_LIMIT: Duration = Duration::from_secs(20);
/// The most lines that one answer holds.
const CHUNK_LINES: usize = 256;
/// The longest complaint of `journalctl` that is told on, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 1024;

/// The journal of some units, from where the past ends.
#[derive(Debug)]
pub(super) struct Journal {
    program: PathBuf,
    units: Vec<Unit>,
    /// The newest entry of the past.
    cursor: Option<String>,
    following: Option<Entries>,
}

impl Journal {
    /// The newest lines that the filter takes, at most `most`, and what reads on.
    pub(super) async fn open(
        program: &Path,
        wanted: &[Unit],
        filter: &Filter,
        most: usize,
    ) -> Result<(Vec<Line>, Self), LogsError> {
        let units = services(wanted)?;
        let mut entries = Entries::start(program, &units, &["--reverse"])?;
        let (mut lines, mut cursor, mut bytes) = (Vec::new(), None, 0);
        let search = async {
            for _ in 0..ENTRIES_MAX {
                if lines.len() >= most || bytes > PAST_BYTES_MAX {
                    break;
                }
                let Some(entry) = entries.next().await? else { break };
                cursor.get_or_insert(entry.cursor);
                if filter.is_too_old(entry.line.at) {
                    break;
                }
                if filter.takes(&entry.line) {
                    bytes += entry.line.text.len();
                    lines.push(entry.line);
                }
            }
            Ok(())
        };
        let searched = timeout(PAST_LIMIT, search).await;
        // What was found until then is told.
        searched.unwrap_or(Ok(())).map_err(LogsError::read("the journal"))?;
        if cursor.is_none()
            && let Some(why) = entries.complaint().await
        {
            return Err(LogsError::read("the journal")(io::Error::other(why)));
        }
        lines.reverse();
        Ok((lines, Self { program: program.to_owned(), units, cursor, following: None }))
    }

    /// Waits for entries; `None` when the journal has ended.
    pub(super) async fn next(&mut self, filter: &Filter) -> Result<Option<Chunk>, LogsError> {
        let entries = match &mut self.following {
            Some(entries) => entries,
            none => {
                let after = self.cursor.as_ref().map(|it| format!("--after-cursor={it}"));
                let from: &[&str] = match &after {
                    Some(after) => &["--follow", "--no-tail", after],
                    None => &["--follow", "--lines=0"],
                };
                none.insert(Entries::start(&self.program, &self.units, from)?)
            }
        };
        loop {
            let mut chunk = Chunk::default();
            let Some(first) = entries.next().await.map_err(LogsError::read("the journal"))? else { return Ok(None) };
            chunk.lines.push(first.line);
            // What is there already comes along.
            while chunk.lines.len() < CHUNK_LINES
                && let Ok(more) = timeout(Duration::ZERO, entries.next()).await
                && let Some(more) = more.map_err(LogsError::read("the journal"))?
            {
                chunk.lines.push(more.line);
            }
            chunk.lines.retain(|it| filter.takes(it));
            if !chunk.lines.is_empty() {
                return Ok(Some(chunk));
            }
        }
    }
}

/// The units that systemd knows.
fn services(wanted: &[Unit]) -> Result<Vec<Unit>, LogsError> {
    let there = [Unit::Agentd, Unit::Routerd];
    match wanted.iter().find(|it| it.service().is_none()) {
        Some(unit) => Err(LogsError::absent(&[*unit], &there)),
        None if wanted.is_empty() => Ok(there.to_vec()),
        None => Ok(wanted.to_vec()),
    }
}

/// One entry.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    cursor: String,
    line: Line,
}

/// A running `journalctl`; dropping it ends it.
#[derive(Debug)]
struct Entries {
    units: Vec<Unit>,
    _child: Child,
    out: FramedRead<ChildStdout, LinesCodec>,
    err: ChildStderr,
}

impl Entries {
    fn start(program: &Path, units: &[Unit], more: &[&str]) -> Result<Self, LogsError> {
        let mut command = Command::new(program);
        command.args(["--no-pager", "--output=json", "--output-fields=MESSAGE,PRIORITY,_SYSTEMD_UNIT,UNIT"]);
        command.args(units.iter().filter_map(|it| it.service()).map(|it| format!("--unit={it}"))).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let failed = |error| {
            let what = "this agent has no log_dir, so it asks the journal: journalctl cannot be started";
            LogsError::read(what)(error)
        };
        let mut child = command.spawn().map_err(failed)?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (out, err) = pipes.ok_or_else(|| failed(io::ErrorKind::BrokenPipe.into()))?;
        let out = FramedRead::new(out, LinesCodec::new_with_max_length(ENTRY_BYTES_MAX));
        Ok(Self { units: units.to_vec(), _child: child, out, err })
    }

    async fn next(&mut self) -> io::Result<Option<Entry>> {
        while let Some(line) = self.out.next().await {
            match line {
                Ok(json) => {
                    if let Some(entry) = entry(&json, &self.units) {
                        return Ok(Some(entry));
                    }
                }
                Err(LinesCodecError::MaxLineLengthExceeded) => {}
                Err(LinesCodecError::Io(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// What it says on stderr, after its output has ended.
    async fn complaint(mut self) -> Option<String> {
        let mut said = Vec::new();
        let mut said_at_most = (&mut self.err).take(COMPLAINT_BYTES_MAX);
        timeout(Duration::from_secs(1), said_at_most.read_to_end(&mut said)).await.ok()?.ok()?;
        let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
        (!said.is_empty()).then_some(said)
    }
}

/// Reads one line of `journalctl --output=json`; `None` for what is no entry of these units.
fn entry(json: &str, units: &[Unit]) -> Option<Entry> {
    let entry: Value = serde_json::from_str(json).ok()?;
    let text = |field: &str| entry.get(field)?.as_str();
    let of = |it: &&Unit| it.service().is_some_and(|name| text("UNIT").or(text("_SYSTEMD_UNIT")) == Some(name));
    let unit = *units.iter().find(of)?;
    let message = message(entry.get("MESSAGE")?)?;
    let at = text("__REALTIME_TIMESTAMP")?.parse::<u64>().ok().map(|us| Timestamp(us / 1000));
    let (head, rest) = split(&message);
    let priority = text("PRIORITY").and_then(|it| it.parse().ok()).map_or(Level::Info, Level::of_priority);
    let kept = rest.floor_char_boundary(LINE_BYTES_MAX);
    let line = Line {
        unit,
        at: head.and_then(|it| it.at).or(at),
        level: head.and_then(|it| it.level).unwrap_or(priority),
        text: rest[..kept].to_owned(),
        cut_bytes: u32::try_from(rest.len() - kept).unwrap_or(u32::MAX),
    };
    Some(Entry { cursor: text("__CURSOR")?.to_owned(), line })
}

/// A message is text, or bytes where it is no clean text.
fn message(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let bytes: Option<Vec<u8>> =
        value.as_array()?.iter().map(|it| it.as_u64().and_then(|it| it.try_into().ok())).collect();
    bytes.map(|it| String::from_utf8_lossy(&it).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_others_are_left_out() {
        let units = [Unit::Agentd, Unit::Routerd];
        let check = |fields: &str, expected: Option<(Unit, u64, Level, &str)>| {
            let json = format!("{{\"__CURSOR\":\"s=1\",\"__REALTIME_TIMESTAMP\":\"1763718723042987\",{fields}}}");
            let found =
                entry(&json, &units).map(|it| (it.line.unit, it.line.at.unwrap().0, it.line.level, it.line.text));
            assert_eq!(found, expected.map(|it| (it.0, it.1, it.2, it.3.to_owned())), "{fields}");
        };
        check(
            r#""_SYSTEMD_UNIT":"mesh-agentd.service","PRIORITY":"6","MESSAGE":"2025-11-21T09:52:04.000000Z  WARN mesh_agentd::x: slow"#,
            None,
        );
        check(
            r#""_SYSTEMD_UNIT":"mesh-agentd.service","PRIORITY":"6","MESSAGE":"2025-11-21T09:52:04.000000Z  WARN mesh_agentd::x: slow""#,
            Some((Unit::Agentd, 1_763_718_724_000, Level::Warn, "mesh_agentd::x: slow")),
        );
        check(
            r#""_SYSTEMD_UNIT":"mesh-agentd.service","PRIORITY":"4","MESSAGE":" WARN mesh_agentd::x: slow""#,
            Some((Unit::Agentd, 1_763_718_723_042, Level::Warn, "mesh_agentd::x: slow")),
        );
        check(
            r#""_SYSTEMD_UNIT":"init.scope","UNIT":"mesh-routerd.service","PRIORITY":"4","MESSAGE":"Main process exited""#,
            Some((Unit::Routerd, 1_763_718_723_042, Level::Warn, "Main process exited")),
        );
        check(
            r#""_SYSTEMD_UNIT":"mesh-routerd.service","PRIORITY":"6","MESSAGE":"mesh-routerd: /etc/mesh/routerd.toml: no""#,
            Some((Unit::Routerd, 1_763_718_723_042, Level::Error, "mesh-routerd: /etc/mesh/routerd.toml: no")),
        );
        check(
            r#""_SYSTEMD_UNIT":"mesh-agentd.service","MESSAGE":[27,91,255]"#,
            Some((Unit::Agentd, 1_763_718_723_042, Level::Info, "\u{1b}[\u{fffd}")),
        );
        check(r#""_SYSTEMD_UNIT":"sshd.service","MESSAGE":"secret""#, None);
        check(r#""_SYSTEMD_UNIT":"mesh-agentd.service","MESSAGE":null"#, None);
        check(r#""_SYSTEMD_UNIT":"mesh-agentd.service","MESSAGE":[300]"#, None);
    }
}
