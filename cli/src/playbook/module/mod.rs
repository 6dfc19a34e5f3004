//! The modules: what a step can make true, each with its form in YAML, its questions, its differences, its script.

mod absent;
mod binary;
mod command;
mod dir;
mod file;
mod key;
mod link;
mod manifest;
mod process;
mod releases;
mod stop;
mod unit;
mod user;
mod wait;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    absent::Absent, binary::Binary, command::Command, dir::Dir, file::File, key::Key, link::Link, manifest::Manifest,
    process::Process, releases::Releases, stop::Stop, unit::Unit, user::User, wait::Wait,
};
use super::{
    controller::{Controller, KeyRequest, SignedKey},
    plan::{Change, PlannedStep},
    render::Kind,
    sh::{Words, call},
};

/// What a step makes true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Module {
    User(User),
    Dir(Dir),
    Binary(Binary),
    File(File),
    Link(Link),
    Key(Key),
    Unit(Unit),
    Process(Process),
    Command(Command),
    Wait(Wait),
    Absent(Absent),
    Stop(Stop),
    Manifest(Manifest),
    Releases(Releases),
}

/// A key of a module.
pub(super) struct Arg {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
}

/// A module as `lint` knows it.
pub(super) struct Form {
    pub(super) name: &'static str,
    pub(super) args: &'static [Arg],
}

const fn must(name: &'static str) -> Arg {
    Arg { name, kind: Kind::Value, required: true }
}
const fn may(name: &'static str) -> Arg {
    Arg { name, kind: Kind::Value, required: false }
}
const fn text(name: &'static str) -> Arg {
    Arg { name, kind: Kind::Text, required: false }
}
const fn shell(name: &'static str, required: bool) -> Arg {
    Arg { name, kind: Kind::Shell, required }
}

/// Every module.
pub(super) const FORMS: &[Form] = &[
    user::FORM,
    dir::FORM,
    binary::FORM,
    file::FORM,
    link::FORM,
    key::FORM,
    unit::FORM,
    process::FORM,
    command::FORM,
    wait::FORM,
    absent::FORM,
    stop::FORM,
    manifest::FORM,
    releases::FORM,
];

/// What a module knows of the run it is part of.
pub(super) struct Cx<'a> {
    pub(super) host: &'a str,
    pub(super) controller: &'a dyn Controller,
    /// Where the tree of the product hangs: empty on real hosts.
    pub(super) prefix: &'a str,
    /// Every path that the steps of this playbook make here, sorted.
    pub(super) made: &'a [String],
}

/// What was found on the host for one step.
pub(super) struct Found<'a> {
    pub(super) words: &'a Words,
    /// The clock that certificates are signed by.
    pub(super) now_s: u64,
    /// Paths that earlier steps of the plan change.
    pub(super) changed: &'a BTreeSet<String>,
    /// Whether an earlier step of the plan runs anything.
    pub(super) active: bool,
}

impl Found<'_> {
    /// The value of a word.
    pub(super) fn get(&self, word: &str) -> Option<&str> {
        self.words.iter().find(|(it, _)| it == word).map(|(_, value)| value.as_str())
    }

    /// Every value of a word.
    pub(super) fn all<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.words.iter().filter(move |(it, _)| it == word).map(|(_, value)| value.as_str())
    }

    /// Whether an earlier step changes one of these paths, or something below it.
    pub(super) fn touches<'a>(&self, mut paths: impl Iterator<Item = &'a str>) -> bool {
        paths.any(|path| {
            self.changed.iter().any(|it| it == path || it.strip_prefix(path).is_some_and(|it| it.starts_with('/')))
        })
    }
}

/// What a module would do.
#[derive(Debug, Default)]
pub(super) struct Diff {
    pub(super) changes: Vec<Change>,
    /// It runs although it changes nothing by itself.
    pub(super) follow: bool,
    pub(super) resume_bytes: u64,
}

impl Diff {
    pub(super) fn add(&mut self, what: &str, before: impl Into<String>, after: impl Into<String>) {
        self.changes.push(Change { what: what.to_owned(), before: before.into(), after: after.into(), diff: None });
    }
}

/// A part of a script's stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    Bytes(Vec<u8>),
    /// A file of this machine from an offset, and how many bytes that is.
    File {
        path: PathBuf,
        offset: u64,
        bytes: u64,
    },
}

/// What is run for a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    /// Calls of the functions in `questions.sh` and `changes.sh`.
    pub(super) script: String,
    pub(super) input: Vec<Input>,
    pub(super) timeout: Duration,
}

impl Act {
    /// A script that takes no time and no data.
    pub(super) fn new(script: impl Into<String>) -> Self {
        Self { script: script.into(), input: Vec::new(), timeout: Duration::from_secs(10) }
    }
}

/// A text that is written in the script itself is at most this long.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Puts a small file in place. What is no secret is written by the script itself, which costs the host no program; a
/// secret, or what is long, comes through stdin.
pub(super) fn put((path, mode, owner): (&str, &str, &str), bytes: Vec<u8>, is_secret: bool) -> Act {
    let text = std::str::from_utf8(&bytes).ok().filter(|it| it.len() <= TEXT_BYTES_MAX && !it.contains('\0'));
    if let (Some(text), false) = (text, is_secret) {
        return Act::new(call("do_text", [path, mode, owner, text]));
    }
    let (sha, size) = (file::sha256(&bytes).to_string(), bytes.len().to_string());
    let mut act = Act::new(call("do_put", [path, mode, owner, &sha, &size]));
    act.input.push(Input::Bytes(bytes));
    act
}

/// How a step is carried out.
pub(super) enum Way {
    /// By one script.
    Act(Act),
    /// By a script that prints a request, whose answer another one puts in place.
    Ask { act: Act, request: KeyRequest },
}

/// One module.
pub(super) trait Part {
    /// What it is about, in a table.
    fn target(&self) -> String;
    /// What types cannot say.
    fn check(&self, _cx: &Cx<'_>) -> Result<(), String> {
        Ok(())
    }
    /// The questions, for the step of this number.
    fn query(&self, step: &str, cx: &Cx<'_>) -> Result<String, String>;
    /// What is not as it should be.
    fn diff(&self, cx: &Cx<'_>, found: &Found<'_>) -> Result<Diff, String>;
    /// What makes it so.
    fn way(&self, cx: &Cx<'_>, step: &PlannedStep) -> Result<Way, String>;
    /// The paths it makes.
    fn makes(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Module {
    pub(super) fn part(&self) -> &dyn Part {
        match self {
            Self::User(it) => it,
            Self::Dir(it) => it,
            Self::Binary(it) => it,
            Self::File(it) => it,
            Self::Link(it) => it,
            Self::Key(it) => it,
            Self::Unit(it) => it,
            Self::Process(it) => it,
            Self::Command(it) => it,
            Self::Wait(it) => it,
            Self::Absent(it) => it,
            Self::Stop(it) => it,
            Self::Manifest(it) => it,
            Self::Releases(it) => it,
        }
    }

    /// The word for it in YAML.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Dir(_) => "dir",
            Self::Binary(_) => "binary",
            Self::File(_) => "file",
            Self::Link(_) => "link",
            Self::Key(_) => "key",
            Self::Unit(_) => "unit",
            Self::Process(_) => "process",
            Self::Command(_) => "command",
            Self::Wait(_) => "wait",
            Self::Absent(_) => "absent",
            Self::Stop(_) => "stop",
            Self::Manifest(_) => "manifest",
            Self::Releases(_) => "releases",
        }
    }

    /// What it is about, in a table.
    pub(crate) fn target(&self) -> String {
        self.part().target()
    }

    /// A restart as what it leads to; nothing for what is no restart.
    pub(super) fn settled(&self) -> Option<Self> {
        use unit::Running::{Restarted, Started};
        if let Self::Unit(it) = self
            && it.state == Some(Restarted)
        {
            return Some(Self::Unit(Unit { state: Some(Started), ..it.clone() }));
        }
        if let Self::Process(it) = self
            && it.state == Restarted
        {
            return Some(Self::Process(Process { state: Started, ..it.clone() }));
        }
        None
    }

    /// Without the question what was read at its start: right after it nothing else can have been.
    pub(super) fn just_started(self) -> Self {
        if let Self::Unit(it) = self {
            return Self::Unit(Unit { stamp: None, ..it });
        }
        if let Self::Process(it) = self {
            return Self::Process(Process { stamp: None, ..it });
        }
        self
    }

    /// Whether it installs a program or keeps one running.
    pub(super) fn runs_or_is_run(&self) -> bool {
        use unit::Running::{Restarted, Started};
        let unit = if let Self::Unit(it) = self { it.state } else { None };
        let process = if let Self::Process(it) = self { Some(it.state) } else { None };
        matches!(self, Self::Binary(_)) || matches!(unit.or(process), Some(Started | Restarted))
    }

    /// The script that puts a signed key in place.
    pub(super) fn answer(&self, signed: &SignedKey) -> Option<Act> {
        if let Self::Key(key) = self { Some(key.answer(signed)) } else { None }
    }
}

// ---- what several modules share ----

/// An absolute path without surprises.
pub(super) fn check_path(name: &str, path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("{name}: `{path}` is not an absolute path"));
    }
    if path.chars().any(char::is_control) {
        return Err(format!("{name}: `{}` holds a control character", path.escape_debug()));
    }
    if path.split('/').any(|it| it == ".." || it == ".") {
        return Err(format!("{name}: `{path}` must not hold `.` or `..`"));
    }
    Ok(())
}

/// A mode like "0640".
pub(super) fn check_mode(mode: &str) -> Result<u32, String> {
    let legal = (3..=4).contains(&mode.len()) && mode.bytes().all(|it| (b'0'..=b'7').contains(&it));
    u32::from_str_radix(mode, 8)
        .ok()
        .filter(|_| legal)
        .ok_or_else(|| format!("mode: `{mode}` is not three or four octal digits, like \"0640\""))
}

/// A user, or USER:GROUP.
pub(super) fn check_owner(owner: &str) -> Result<(), String> {
    let word = |it: &str| {
        !it.is_empty() && !it.starts_with('-') && it.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
    };
    let legal = owner.split(':').count() <= 2 && owner.split(':').all(word);
    if legal { Ok(()) } else { Err(format!("owner: `{owner}` is not USER or USER:GROUP")) }
}

/// Changes of mode and owner; `shown` is `MODE USER:GROUP ...` as the host says it.
pub(super) fn attributes(diff: &mut Diff, path: &str, shown: &str, mode: Option<&str>, owner: Option<&str>) {
    let mut words = shown.split(' ');
    let (has_mode, has_owner) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if let Some(wanted) = mode.and_then(|it| check_mode(it).ok())
        && u32::from_str_radix(has_mode, 8) != Ok(wanted)
    {
        diff.add(path, format!("mode {has_mode:0>4}"), format!("mode {wanted:04o}"));
    }
    if let Some(wanted) = owner {
        let has = if wanted.contains(':') { has_owner } else { has_owner.split(':').next().unwrap_or_default() };
        if has != wanted {
            diff.add(path, format!("owner {has}"), format!("owner {wanted}"));
        }
    }
}

/// Durations as `30s` in playbooks.
pub(super) mod seconds {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parsed = crate::human::parse_duration(&text).map_err(D::Error::custom)?;
        Ok(parsed.as_secs().max(1))
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(crate) fn serialize<S: Serializer>(it: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{it}s"))
    }
}
