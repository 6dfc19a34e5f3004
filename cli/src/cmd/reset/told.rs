//! What a reset says: what would go, and what has gone.

use serde_json::{Value, json};

use super::{Ends, Learnt, Reset};
use crate::{
    Exit, Result,
    items::SCHEMA,
    output::Table,
    playbook::HostPlan,
    provision::bootstrap::{journal::Journal, root::RootDir},
};

impl Reset<'_> {
    /// Says what would be removed.
    pub(super) fn dry_run(&self, learnt: &Learnt) -> Result {
        let Learnt { parts, failures, .. } = learnt;
        self.board.clear();
        let out = &self.cx.out;
        if out.is_for_people() {
            let mut table = Table::new(&["HOST", "STEP", "WHAT", "CHANGE"]);
            for part in parts {
                for step in part.plan.changes() {
                    for it in &step.changes {
                        let change = format!("{} -> {}", it.before, it.after);
                        table.row(vec![part.name().to_owned(), step.id.to_string(), it.what.clone(), change]);
                    }
                }
            }
            out.table(&table)?;
        } else {
            let plans: Vec<&HostPlan> = parts.iter().map(|it| &it.plan).collect();
            out.value(&json!({ "schema": SCHEMA, "kind": "reset-plan", "hosts": plans }))?;
        }
        for (name, failure) in failures {
            out.say(&format!("cannot: {name}: {}", failure.what));
        }
        let codes: Vec<Exit> = parts.iter().map(|_| Exit::Done).chain(failures.values().map(|it| it.exit)).collect();
        Ok(Exit::of_many(&codes))
    }

    /// Says what came of every host, and gives the exit code.
    pub(super) fn end(
        &self,
        journal: &Journal,
        Ends { done, failures, left, drop_ins }: &Ends,
        is_over: bool,
    ) -> Result {
        self.board.clear();
        let out = &self.cx.out;
        let codes = done.keys().map(|_| Exit::Done).chain(failures.values().map(|it| it.exit));
        let exit = Exit::of_many(&codes.chain((0..*left).map(|_| Exit::Failed)).collect::<Vec<_>>());
        if out.is_for_people() {
            let mut table = Table::new(&["HOST", "RESULT", "NOTE"]);
            for (name, count) in done {
                let (result, note) =
                    if *count == 0 { ("unchanged", "nothing of the product is there") } else { ("reset", "") };
                table.row(vec![name.clone(), result.to_owned(), note.to_owned()]);
            }
            for (name, it) in failures {
                let why = it.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                table.row(vec![name.clone(), "failed".to_owned(), format!("{}{why}", it.what).replace('\n', "; ")]);
            }
            out.table(&table)?;
        } else {
            let row = |name: &String| {
                let stays = drop_ins.get(name).cloned().unwrap_or_default();
                json!({ "name": name, "result": "reset", "stays": stays })
            };
            let mut hosts: Vec<Value> = done.keys().map(row).collect();
            hosts
                .extend(failures.iter().map(|(name, it)| json!({ "name": name, "result": "failed", "note": it.what })));
            out.value(&json!({
                "schema": SCHEMA,
                "kind": "reset",
                "run": journal.id(),
                "mesh": self.inventory.mesh,
                "exit": exit.code(),
                "hosts": hosts,
            }))?;
        }
        for (name, paths) in drop_ins {
            out.say(&format!("{name}: {} stays: it was not installed by mesh", paths.join(", ")));
        }
        if *left > 0 {
            out.say(&format!("{left} hosts were not begun: the run was stopped"));
        }
        if is_over {
            out.say(&format!(
                "mesh {} is no more; its root stays in {}",
                self.inventory.mesh,
                RootDir::new(&self.cx.dirs, &self.inventory.mesh).file().display()
            ));
        }
        for (name, failure) in failures {
            out.say(&failure.to_string().replacen("error: ", &format!("error: {name}: "), 1));
        }
        if exit != Exit::Done {
            out.say(&format!("next: {}", journal.resume_command()));
        }
        Ok(exit)
    }
}
