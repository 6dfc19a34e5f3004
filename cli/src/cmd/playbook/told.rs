//! What a run over hosts came to, as a table and as JSON.

use serde::Serialize;
use serde_json::json;

use crate::{
    Exit, Failure, Result,
    cmd::Cx,
    items::SCHEMA,
    output::{Format, Table, note},
    playbook::{HostPlan, Report, Status},
    provision::bootstrap::journal::Journal,
};

/// One host after the run.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) host: String,
    pub(super) result: std::result::Result<Report, Failure>,
}

#[derive(Serialize)]
struct Row<'a> {
    host: &'a str,
    state: &'static str,
    changed: usize,
    ok: usize,
    skipped: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Ended {
    fn exit(&self) -> Exit {
        self.result.as_ref().map_or_else(|failure| failure.exit, |_| Exit::Done)
    }

    fn row(&self) -> Row<'_> {
        match &self.result {
            Ok(report) => Row {
                host: &self.host,
                state: if report.changed.is_empty() { "ok" } else { "changed" },
                changed: report.changed.len(),
                ok: report.unchanged.len(),
                skipped: report.skipped.len(),
                error: None,
            },
            Err(failure) => {
                let error = Some(failure.to_string().trim_start_matches("error: ").to_owned());
                Row { host: &self.host, state: "failed", changed: 0, ok: 0, skipped: 0, error }
            }
        }
    }
}

/// Tells what was done, and gives the exit code of all hosts together; a run with a journal can be gone on with.
pub(super) fn results(cx: &Cx, all: &[Ended], journal: Option<&Journal>) -> Result {
    let exit = Exit::of_many(&all.iter().map(Ended::exit).collect::<Vec<_>>());
    let rows: Vec<Row<'_>> = all.iter().map(Ended::row).collect();
    match cx.out.format {
        Format::Table | Format::Wide => {
            let mut table = Table::new(&["HOST", "STATE", "CHANGED", "OK", "SKIPPED"]);
            for it in &rows {
                let counts = [it.changed, it.ok, it.skipped].map(|it| it.to_string());
                let [changed, ok, skipped] = counts;
                table.row(vec![it.host.to_owned(), it.state.to_owned(), changed, ok, skipped]);
            }
            cx.out.table(&table)?;
            for it in all {
                if let Err(failure) = &it.result {
                    note(&failure.to_string());
                }
            }
        }
        Format::Name => all.iter().try_for_each(|it| cx.out.line(&it.host))?,
        Format::Json | Format::Jsonl | Format::Yaml => {
            let run = journal.map(Journal::id);
            cx.out.value(&json!({ "schema": SCHEMA, "run": run, "exit": exit.code(), "items": rows }))?;
        }
    }
    if let (Some(journal), true) = (journal, exit != Exit::Done) {
        cx.out.say(&format!("next: {}", journal.resume_command()));
    }
    Ok(exit)
}

/// Tells what would be done.
pub(super) fn plans(cx: &Cx, plans: &[&HostPlan], with_diff: bool) -> Result<()> {
    if !cx.out.is_for_people() {
        let digests: Vec<_> = plans.iter().map(|it| json!({ "digest": it.digest(), "plan": it })).collect();
        cx.out.value(&json!({ "schema": SCHEMA, "items": digests }))?;
        return Ok(());
    }
    let mut table = Table::new(&["HOST", "STEP", "WHAT", "BEFORE", "AFTER"]);
    for plan in plans {
        for step in plan.steps.iter().filter(|it| matches!(it.status, Status::Change | Status::Follow)) {
            if step.changes.is_empty() {
                let target =
                    step.module.as_ref().map_or_else(String::new, |it| format!("{} {}", it.kind(), it.target()));
                table.row(vec![plan.host.clone(), step.id.to_string(), target, "-".into(), "run".into()]);
            }
            for change in &step.changes {
                let cells = [&plan.host, &step.id.0, &change.what, &change.before, &change.after];
                table.row(cells.map(Clone::clone).to_vec());
            }
        }
    }
    if plans.iter().all(|it| it.is_done()) {
        cx.out.say("nothing to do");
    } else {
        cx.out.table(&table)?;
    }
    if with_diff {
        diffs(cx, plans)?;
    }
    Ok(())
}

/// The lines of texts that change, told once for hosts where they are the same.
pub(super) fn diffs(cx: &Cx, plans: &[&HostPlan]) -> Result<()> {
    let mut told: Vec<(&str, Vec<&str>)> = Vec::new();
    for plan in plans {
        for diff in plan.changes().flat_map(|it| &it.changes).filter_map(|it| it.diff.as_deref()) {
            match told.iter_mut().find(|(it, _)| *it == diff) {
                Some((_, hosts)) => hosts.push(&plan.host),
                None => told.push((diff, vec![&plan.host])),
            }
        }
    }
    for (diff, hosts) in told {
        cx.out.line(&format!("\n# {}\n{}", hosts.join(", "), diff.trim_end()))?;
    }
    Ok(())
}
