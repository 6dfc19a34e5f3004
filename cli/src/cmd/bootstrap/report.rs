//! What a bootstrap says at its end.

use serde_json::{Value, json};

use crate::{
    Exit, Result,
    cmd::runs::Source,
    items::SCHEMA,
    output::Table,
    provision::bootstrap::{
        change::Outcome,
        finish::Verified,
        run::{Known, Run},
    },
};

/// What is said at the end.
pub(super) struct Report {
    pub(super) run: Option<String>,
    pub(super) outcome: Outcome,
    pub(super) verified: Verified,
    pub(super) notes: Vec<String>,
}

impl Report {
    /// Prints it, and gives the exit code.
    pub(super) fn end(&self, run: &Run<'_>, known: &Known, source: &Source) -> Result {
        run.board.clear();
        let exit = self.exit(known);
        if run.cx.out.is_for_people() {
            self.print(run, known, exit)?;
        } else {
            run.cx.out.value(&self.document(run, known, exit))?;
        }
        if exit == Exit::Done {
            return Ok(exit);
        }
        for (name, failure) in &known.failures {
            run.cx.out.say(&failure.to_string().replacen("error: ", &format!("error: {name}: "), 1));
        }
        let file = source.inventory.file.display();
        run.cx.out.say(&format!("next: mesh bootstrap {file} --only-failed"));
        Ok(exit)
    }

    fn exit(&self, known: &Known) -> Exit {
        let mut codes: Vec<Exit> = known.failures.values().map(|it| it.exit).collect();
        codes.extend(self.outcome.left.iter().map(|_| Exit::Failed));
        codes.extend(self.verified.unreached.iter().map(|_| Exit::Failed));
        codes.extend(self.outcome.done.iter().map(|_| Exit::Done));
        Exit::of_many(&codes)
    }

    fn rows(&self, known: &Known) -> Vec<(String, &'static str, usize, String)> {
        let done = self.outcome.done.iter().map(|(name, changes)| {
            (name.clone(), if *changes == 0 { "unchanged" } else { "changed" }, *changes, String::new())
        });
        let failed = known.failures.iter().map(|(name, it)| {
            let why = it.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            (name.clone(), "failed", 0, format!("{}{why}", it.what).replace('\n', "; "))
        });
        let left =
            self.outcome.left.iter().map(|name| {
                (name.clone(), "left alone", 0, "too many others failed, or the run was stopped".to_owned())
            });
        let mut rows: Vec<_> = done.chain(failed).chain(left).collect();
        rows.sort();
        rows
    }

    fn print(&self, run: &Run<'_>, known: &Known, exit: Exit) -> Result<()> {
        let out = &run.cx.out;
        let is_idle = exit == Exit::Done && self.outcome.done.values().all(|it| *it == 0);
        if is_idle && self.run.is_none() {
            out.say(&format!(
                "nothing to do: {} hosts are as {} says",
                self.outcome.done.len(),
                run.inventory.file.display()
            ));
        } else {
            let mut table = Table::new(&["HOST", "RESULT", "CHANGES", "NOTE"]);
            for (name, result, changes, note) in self.rows(known) {
                table.row(vec![name, result.to_owned(), changes.to_string(), note]);
            }
            out.table(&table)?;
        }
        for it in &self.verified.unreached {
            out.say(&format!("error: router {} cannot reach {} of {}: {}", it.router, it.url, it.node, it.why));
        }
        for it in &self.verified.warnings {
            out.say(&format!("warning: {it}"));
        }
        self.notes.iter().for_each(|it| out.say(it));
        if exit == Exit::Done {
            out.say(&format!("mesh {} is in service; next: mesh get nodes, mesh top", run.inventory.mesh));
        }
        Ok(())
    }

    fn document(&self, run: &Run<'_>, known: &Known, exit: Exit) -> Value {
        let hosts: Vec<Value> = self
            .rows(known)
            .into_iter()
            .map(|(name, result, changes, note)| json!({ "name": name, "result": result, "changes": changes, "note": note }))
            .collect();
        let unreached: Vec<Value> = self
            .verified
            .unreached
            .iter()
            .map(|it| json!({ "router": it.router, "node": it.node, "engine": it.url, "why": it.why }))
            .collect();
        json!({
            "schema": SCHEMA,
            "kind": "bootstrap",
            "run": self.run,
            "mesh": run.inventory.mesh,
            "release": run.release.name(),
            "exit": exit.code(),
            "hosts": hosts,
            "unreached": unreached,
            "warnings": self.verified.warnings,
        })
    }
}
