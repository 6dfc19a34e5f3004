//! The runs of this machine over hosts: the file each was made from, which of its hosts are left, one list of all.

use std::path::Path;

use serde_json::{Value, json};

use super::Cx;
use crate::{
    Exit, Failure, Result,
    hosts::{self, HostEntry, Inventory},
    items::SCHEMA,
    output::Table,
    provision::bootstrap::journal::{self, Deed, Head, HostState, Journal, Story},
};

/// Reads a hosts.yaml, as it is or as it was for a run; all of its problems are one failure.
pub(crate) fn load(path: &Path) -> Result<Inventory> {
    hosts::load(path).map_err(|problems| hosts::refused(&path.display().to_string(), &problems))
}

/// The file of a run, its text and, for a run that is gone on with, its journal.
pub(crate) struct Source {
    /// What the file says.
    pub(crate) inventory: Inventory,
    /// The file as it is written.
    pub(crate) text: String,
    /// The run that is gone on with, and what it has come to so far.
    pub(crate) journal: Option<(Journal, Story)>,
}

impl Source {
    /// Reads the file of a new run.
    ///
    /// # Errors
    /// With all of its problems.
    pub(crate) fn of(file: &Path) -> Result<Self> {
        let inventory = load(file)?;
        Ok(Self { inventory, text: read(file).unwrap_or_default(), journal: None })
    }

    /// Takes up a run of a command, with the file as it was then.
    ///
    /// # Errors
    /// When there is no such run, it is one of another command, or somebody carries it out.
    pub(crate) fn resumed(cx: &Cx, deed: Deed, id: &str) -> Result<Self> {
        let (journal, story) = Journal::resume(&cx.dirs, deed, id)?;
        let kept = journal::hosts_file(&cx.dirs, id);
        let text = read(&kept)?;
        // Where it was: what it names is found beside it. When it has changed since, the run's own copy counts.
        let same = read(&story.head.file).is_ok_and(|it| it == text);
        let inventory = load(if same { &story.head.file } else { &kept })?;
        Ok(Self { inventory, text, journal: Some((journal, story)) })
    }
}

/// The journal to write into: that of the run that is gone on with, or a new one.
///
/// # Errors
/// When it cannot be kept.
pub(crate) fn begin(cx: &Cx, resumed: Option<Journal>, head: Head, text: &str) -> Result<Journal> {
    let Some(journal) = resumed else { return Journal::begin(&cx.dirs, head, text) };
    journal.go_on();
    Ok(journal)
}

/// The run that a command goes on with: the one it was given, or the last one when it takes what failed there.
///
/// # Errors
/// When there was none.
pub(crate) fn gone_on_with(
    cx: &Cx,
    source: &Source,
    only_failed: Option<(Deed, Option<&str>)>,
) -> Result<Option<Story>> {
    match (&source.journal, only_failed) {
        (Some((_, story)), _) => Ok(Some(story.clone())),
        (None, Some((deed, playbook))) => last(cx, deed, &source.inventory, playbook).map(Some),
        (None, None) => Ok(None),
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::Invalid, "cannot read the hosts").at(path.display().to_string()).why(error))
}

/// The last run of a command over a mesh.
///
/// # Errors
/// When there is none.
pub(crate) fn last(cx: &Cx, deed: Deed, inventory: &Inventory, playbook: Option<&str>) -> Result<Story> {
    journal::last(&cx.dirs, deed, &inventory.mesh, playbook).ok_or_else(|| {
        let of = playbook.map(|it| format!(" of {it}")).unwrap_or_default();
        Failure::new(Exit::Failed, format!("{}{of} has not run over mesh {} yet", deed.command(), inventory.mesh))
            .next(format!("{} --list", deed.command()))
    })
}

/// The hosts of a run that have not come to their end in it, in the order of the file.
pub(crate) fn left(inventory: &Inventory, story: &Story) -> Vec<HostEntry> {
    let meant = &story.head.hosts;
    let is_meant = |it: &&HostEntry| meant.is_empty() || meant.iter().any(|name| name == it.name.as_str());
    inventory.hosts.iter().filter(is_meant).filter(|it| !story.is_done(it.name.as_str())).cloned().collect()
}

/// Every run of this machine, the newest first.
pub(crate) fn list(cx: &Cx) -> Result {
    let runs = journal::list(&cx.dirs);
    if !cx.out.is_for_people() {
        let items: Vec<Value> =
            runs.iter().map(|it| json!({ "head": it.head, "hosts": it.hosts, "exit": it.exit })).collect();
        cx.out.value(&json!({ "schema": SCHEMA, "items": items }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["RUN", "WHAT", "MESH", "BY", "HOSTS", "DONE", "EXIT", "FILE"]);
    for it in &runs {
        let done = it.hosts.values().filter(|state| **state == HostState::Done).count();
        table.row(vec![
            it.head.id.clone(),
            what(&it.head),
            it.head.mesh.to_string(),
            it.head.by.clone(),
            it.hosts.len().max(it.head.hosts.len()).to_string(),
            done.to_string(),
            it.exit.map_or("unfinished".to_owned(), |it| it.to_string()),
            it.head.file.display().to_string(),
        ]);
    }
    cx.out.table(&table)?;
    Ok(Exit::Done)
}

/// What a run does, in a word or two.
fn what(head: &Head) -> String {
    match (head.deed, &head.playbook) {
        (Deed::Bootstrap, _) => "bootstrap".to_owned(),
        (Deed::Reset, _) => "reset".to_owned(),
        (Deed::Playbook, Some(name)) => format!("playbook {name}"),
        (Deed::Playbook, None) => "playbook".to_owned(),
    }
}
