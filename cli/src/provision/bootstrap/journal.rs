//! What a run has done, line after line on disk: it can be read, listed and gone on with after any end.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use mesh_core::{id::MeshName, time::Timestamp};
use mesh_proto::files::{create_private_dir, write_private};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Code, Exit, Failure, Result, context::Dirs, human};

/// The longest journal that is read, in bytes.
const JOURNAL_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// How far a host came in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HostState {
    /// It was to be changed; nothing was heard of its end.
    Begun,
    /// All its steps are done.
    Done,
    /// It failed.
    Failed,
}

/// The command that a run is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Deed {
    /// `mesh bootstrap`; also what journals of older versions are of.
    #[default]
    Bootstrap,
    /// `mesh reset`.
    Reset,
    /// `mesh playbook run`.
    Playbook,
}

impl Deed {
    /// The command as it is typed.
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Bootstrap => "mesh bootstrap",
            Self::Reset => "mesh reset",
            Self::Playbook => "mesh playbook run",
        }
    }

    /// What goes on with a run of it.
    pub(crate) fn resume(self, id: &str) -> String {
        format!("{} --resume {id}", self.command())
    }
}

/// What a run was asked to do, so that it can be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The run.
    pub(crate) id: String,
    /// The command.
    #[serde(default)]
    pub(crate) deed: Deed,
    /// The mesh.
    pub(crate) mesh: MeshName,
    /// The file as it was named.
    pub(crate) file: PathBuf,
    /// When it began.
    pub(crate) at: Timestamp,
    /// Who ran it.
    pub(crate) by: String,
    /// The name of the playbook, where the command is for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) playbook: Option<String>,
    /// The hosts that are meant; none stands for all of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hosts: Vec<String>,
    /// What else the command was told, in its own words.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(crate) orders: Value,
}

impl Head {
    /// A run that begins now: its id sorts by time.
    pub(crate) fn new(deed: Deed, mesh: &MeshName, file: &Path) -> Self {
        let at = human::now();
        Self {
            id: format!("{}-{:04x}", stamp(at), rand::random::<u16>()),
            deed,
            mesh: mesh.clone(),
            // Names relative to the file stay meaningful when the copy is gone on with.
            file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
            at,
            by: whoami(),
            playbook: None,
            hosts: Vec::new(),
            orders: Value::Null,
        }
    }
}

/// What the lines of a run come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Story {
    /// What was asked.
    pub(crate) head: Head,
    /// How far each host came.
    pub(crate) hosts: BTreeMap<String, HostState>,
    /// The code it ended with; none when it did not come to an end.
    pub(crate) exit: Option<u64>,
}

/// The journal of the run that goes on.
pub(crate) struct Journal {
    head: Head,
    dir: PathBuf,
    file: Mutex<File>,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let place = path.display().to_string();
    move |error| Failure::new(Exit::Failed, "cannot keep the journal of the run").at(place).why(error)
}

fn runs(dirs: &Dirs) -> PathBuf {
    dirs.state.join("runs")
}

impl Journal {
    /// Begins a run over the hosts of a file with this text.
    pub(crate) fn begin(dirs: &Dirs, head: Head, text: &str) -> Result<Self> {
        let dir = runs(dirs).join(&head.id);
        create_private_dir(&dir).map_err(failed(&dir))?;
        write_private(&dir.join("hosts.yaml"), text.as_bytes()).map_err(failed(&dir))?;
        let journal = Self::open(dir, head)?;
        journal.note("begun", None, json!({ "head": journal.head }));
        Ok(journal)
    }

    /// Takes up a run of this command; as long as nothing is noted, it is as it was.
    pub(crate) fn resume(dirs: &Dirs, deed: Deed, id: &str) -> Result<(Self, Story)> {
        let story = read(dirs, id)?;
        if story.head.deed != deed {
            return Err(Failure::new(Exit::Usage, format!("run {id} is one of {}", story.head.deed.command()))
                .next(story.head.deed.resume(id)));
        }
        Ok((Self::open(runs(dirs).join(id), story.head.clone())?, story))
    }

    /// Notes that the run goes on: it has not ended yet, however it ended before.
    pub(crate) fn go_on(&self) {
        // What a killed run left of a line must not spoil the next one; an empty line says nothing.
        if let Ok(mut file) = self.file.lock() {
            let _ = file.write_all(b"\n");
        }
        self.note("resumed", None, json!({ "by": whoami() }));
    }

    /// A run has one hand: two that go on with it at once would take each other's locks on hosts away.
    fn open(dir: PathBuf, head: Head) -> Result<Self> {
        let path = dir.join("journal.ndjson");
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed(&path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Failure::new(
                Exit::Refused,
                format!("run {} is being carried out by another command", head.id),
            )
            .coded(Code::LockHeld)
            .at(path.display().to_string())
            .next("wait until it is done, then mesh bootstrap --list"));
        }
        Ok(Self { head, dir, file: Mutex::new(file) })
    }

    /// A second hand for the same journal.
    pub(crate) fn again(&self) -> Result<Self> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner).try_clone().map_err(failed(&self.dir))?;
        Ok(Self { head: self.head.clone(), dir: self.dir.clone(), file: Mutex::new(file) })
    }

    /// The run.
    pub(crate) fn id(&self) -> &str {
        &self.head.id
    }

    /// What goes on with it.
    pub(crate) fn resume_command(&self) -> String {
        self.head.deed.resume(&self.head.id)
    }

    /// Keeps the plan beside the journal.
    pub(crate) fn keep_plan(&self, plan: &Value) -> Result<()> {
        let path = self.dir.join("plan.json");
        write_private(&path, plan.to_string().as_bytes()).map_err(failed(&path))
    }

    /// Notes that something happened. One write a line: a run that is killed leaves whole lines, and at most one piece.
    pub(crate) fn note(&self, what: &str, host: Option<&str>, more: Value) {
        let mut line = Map::new();
        line.insert("at".to_owned(), json!(human::now().to_string()));
        line.insert("what".to_owned(), json!(what));
        if let Some(host) = host {
            line.insert("host".to_owned(), json!(host));
        }
        if let Value::Object(more) = more {
            line.extend(more);
        }
        let text = format!("{}\n", Value::Object(line));
        // A full disk of this machine must not stop work on hosts half-way; the next run looks at the hosts themselves.
        if let Ok(mut file) = self.file.lock() {
            let _ = file.write_all(text.as_bytes());
        }
    }

    /// Notes how far a host came.
    pub(crate) fn host(&self, host: &str, state: HostState, why: Option<&str>) {
        self.note("host", Some(host), json!({ "state": state, "why": why }));
    }

    /// Notes the end.
    pub(crate) fn end(&self, exit: Exit) {
        self.note("ended", None, json!({ "exit": exit.code() }));
    }
}

/// The file that a run was made from.
pub(crate) fn hosts_file(dirs: &Dirs, id: &str) -> PathBuf {
    runs(dirs).join(id).join("hosts.yaml")
}

/// Reads one run.
pub(crate) fn read(dirs: &Dirs, id: &str) -> Result<Story> {
    let none = || Failure::new(Exit::Failed, format!("no run `{id}`")).next("mesh bootstrap --list");
    if id.is_empty() || !id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        return Err(none());
    }
    let path = runs(dirs).join(id).join("journal.ndjson");
    let size = fs::metadata(&path).map_err(|_| none())?.len();
    if size > JOURNAL_BYTES_MAX {
        return Err(failed(&path)(io::Error::other(format!("{size} bytes are more than a run can have"))));
    }
    let text = fs::read_to_string(&path).map_err(failed(&path))?;
    story(&text).ok_or_else(|| failed(&path)(io::Error::other("its first line does not say what was asked")))
}

/// Whether a run of this machine is carried out by no command any more.
pub(crate) fn is_abandoned(dirs: &Dirs, id: &str) -> bool {
    let is_name = !id.is_empty() && id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let file = is_name.then(|| File::open(runs(dirs).join(id).join("journal.ndjson")).ok()).flatten();
    file.is_some_and(|it| flock(&it, FlockOperation::NonBlockingLockShared).is_ok())
}

/// Every run there is, the newest first.
pub(crate) fn list(dirs: &Dirs) -> Vec<Story> {
    let entries = fs::read_dir(runs(dirs)).into_iter().flatten().flatten();
    let ids = entries.filter_map(|it| it.file_name().into_string().ok());
    let mut all: Vec<Story> = ids.filter_map(|id| read(dirs, &id).ok()).collect();
    // Their ids tell seconds: of two in the same one, the later is known by its time.
    all.sort_by(|a, b| (b.head.at, &b.head.id).cmp(&(a.head.at, &a.head.id)));
    all
}

/// The newest run of a command over a mesh that came as far as its hosts.
pub(crate) fn last(dirs: &Dirs, deed: Deed, mesh: &MeshName, playbook: Option<&str>) -> Option<Story> {
    let is_meant = |it: &Head| it.deed == deed && it.mesh == *mesh && it.playbook.as_deref() == playbook;
    list(dirs).into_iter().find(|it| is_meant(&it.head) && !it.hosts.is_empty())
}

impl Story {
    /// Whether a host has come to its end in it.
    pub(crate) fn is_done(&self, host: &str) -> bool {
        self.hosts.get(host) == Some(&HostState::Done)
    }
}

/// What lines come to; a piece of a line at the end is of no account.
fn story(text: &str) -> Option<Story> {
    let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let head = serde_json::from_value(lines.next()?.get("head")?.clone()).ok()?;
    let mut story = Story { head, hosts: BTreeMap::new(), exit: None };
    for line in lines {
        match line["what"].as_str() {
            Some("host") => {
                let state = serde_json::from_value(line["state"].clone()).ok();
                if let (Some(host), Some(state)) = (line["host"].as_str(), state) {
                    story.hosts.insert(host.to_owned(), state);
                }
            }
            Some("ended") => story.exit = line["exit"].as_u64(),
            Some("resumed") => story.exit = None,
            _ => {}
        }
    }
    Some(story)
}

/// `20261121T133500`, of an RFC 3339 time.
fn stamp(at: Timestamp) -> String {
    at.to_string().chars().take(19).filter(|it| it.is_ascii_digit() || *it == 'T').collect()
}

/// Who runs this, and where: `ada@desk`.
pub(crate) fn whoami() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{user}@{host}").chars().filter(|it| !it.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_version_wrote_is_a_bootstrap() {
        let line = r#"{"at":"x","what":"begun","head":{"id":"1-2","mesh":"lab","file":"/h","at":"2026-11-21T13:35:00Z","by":"ada@desk"}}"#;
        let head = story(line).unwrap().head;
        assert_eq!((head.deed, head.hosts.len(), head.orders), (Deed::Bootstrap, 0, Value::Null));
    }

    #[test]
    fn a_run_that_was_killed_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { state: dir.path().join("state"), config: dir.path().join("config") };
        let mesh = MeshName::new("lab").unwrap();
        let head = Head::new(Deed::Reset, &mesh, Path::new("hosts.yaml"));
        let asked = Head { hosts: vec!["h1".into()], orders: json!({"purge": true}), ..head };
        let journal = Journal::begin(&dirs, asked.clone(), "version: 1\n").unwrap();
        let id = journal.id().to_owned();
        journal.host("h1", HostState::Begun, None);
        journal.host("h1", HostState::Done, None);
        journal.host("h2", HostState::Begun, None);
        drop(journal);
        let path = runs(&dirs).join(&id).join("journal.ndjson");
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"what\":\"host\",\"ho");
        fs::write(&path, &text).unwrap();
        let found = read(&dirs, &id).unwrap();
        assert_eq!(found.hosts, [("h1".to_owned(), HostState::Done), ("h2".to_owned(), HostState::Begun)].into());
        assert_eq!((found.exit, &found.head), (None, &asked));
        assert!(found.is_done("h1") && !found.is_done("h2") && !found.is_done("h3"));
        assert_eq!(fs::read_to_string(hosts_file(&dirs, &id)).unwrap(), "version: 1\n");
        let other = Journal::resume(&dirs, Deed::Bootstrap, &id).err().unwrap();
        assert_eq!((other.exit, other.next), (Exit::Usage, Some(format!("mesh reset --resume {id}"))));
        let (journal, _) = Journal::resume(&dirs, Deed::Reset, &id).unwrap();
        let second = Journal::resume(&dirs, Deed::Reset, &id).err().unwrap();
        assert_eq!(second.exit, Exit::Refused, "{second}");
        journal.go_on();
        journal.again().unwrap().note("a second hand of the same command", None, json!({}));
        assert!(!is_abandoned(&dirs, &id), "a command carries it out");
        journal.host("h2", HostState::Failed, Some("disk full"));
        journal.end(Exit::Partly);
        let last = |deed, mesh: &str, playbook| last(&dirs, deed, &MeshName::new(mesh).unwrap(), playbook);
        let again = last(Deed::Reset, "lab", None).unwrap();
        assert_eq!((again.hosts["h2"], again.exit), (HostState::Failed, Some(4)));
        assert!(last(Deed::Reset, "other", None).is_none() && last(Deed::Bootstrap, "lab", None).is_none());
        assert!(last(Deed::Reset, "lab", Some("tune")).is_none());
        drop(journal);
        assert!(is_abandoned(&dirs, &id));
        let (journal, _) = Journal::resume(&dirs, Deed::Reset, &id).unwrap();
        assert_eq!(read(&dirs, &id).unwrap().exit, Some(4), "a look changes nothing");
        journal.go_on();
        assert_eq!(read(&dirs, &id).unwrap().exit, None);
        drop(journal);
        for wrong in ["", "../x", "nothing"] {
            assert!(!is_abandoned(&dirs, wrong));
            assert_eq!(read(&dirs, wrong).unwrap_err().what, format!("no run `{wrong}`"));
        }
    }

    #[test]
    fn of_two_runs_in_one_second_the_later_is_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { state: dir.path().join("state"), config: dir.path().join("config") };
        let mesh = MeshName::new("lab").unwrap();
        for (id, after_ms) in [("20261121T133500-bbbb", 0), ("20261121T133500-aaaa", 7), ("20261121T133459-cccc", 0)] {
            let head = Head::new(Deed::Reset, &mesh, Path::new("hosts.yaml"));
            let at = Timestamp(1_795_268_100_000 + after_ms - if id.contains("59") { 1000 } else { 0 });
            let journal = Journal::begin(&dirs, Head { id: id.to_owned(), at, ..head }, "").unwrap();
            journal.host("h1", HostState::Done, None);
        }
        assert_eq!(last(&dirs, Deed::Reset, &mesh, None).unwrap().head.id, "20261121T133500-aaaa");
    }
}
