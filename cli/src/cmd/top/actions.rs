//! Carries out what the operator does on the screen, by the code of the commands of the same name.

use futures_util::{StreamExt, stream::FuturesUnordered};
use mesh_core::{
    id::NodeName,
    kind::{DEADLINE_DEFAULT_MS, DrainMode},
};
use mesh_tui::{Action, BlastRadius, FeedEvent, Request};
use tokio::sync::mpsc;

use super::{blast, convert, mailbox::Mailbox};
use crate::{
    Failure, Result,
    client::Session,
    cmd::{
        cordon::{self, Wish},
        drain, nodes, strategy,
    },
    human,
    write::How,
};

/// What carries out requests.
pub(super) struct Hands<'a> {
    pub(super) session: &'a Session,
    pub(super) mailbox: &'a Mailbox,
}

impl Hands<'_> {
    /// Carries out requests as they come, several at once, until the screen is gone.
    pub(super) async fn run(self, mut requests: mpsc::Receiver<Request>) {
        let mut doing = FuturesUnordered::new();
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => doing.push(Box::pin(self.answer(request))),
                    None => break,
                },
                Some(answer) = doing.next() => self.mailbox.put(answer),
            }
        }
        // What was begun is finished: the screen closes only after its answer or without caring for it.
        while doing.next().await.is_some() {}
    }

    async fn answer(&self, request: Request) -> FeedEvent {
        match request {
            Request::Preview(ticket, action) => {
                FeedEvent::Preview(ticket, self.preview(&action).await.map_err(|it| sentence(&it)))
            }
            Request::Do(ticket, action, reason) => {
                let reason = reason.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
                FeedEvent::Done(ticket, self.perform(&action, reason).await.map_err(|it| sentence(&it)))
            }
        }
    }

    /// What it would hit now, and whether the mesh would agree.
    async fn preview(&self, action: &Action) -> Result<BlastRadius> {
        let found = nodes::fetch(self.session, &[]).await?;
        let mut radius = blast::radius(&convert::picture(found, human::now()).rows, action);
        radius.reason_required =
            matches!(action, Action::Cordon(_) | Action::Drain(_)) && cordon::requires_reason(self.session).await?;
        if *action == Action::StrategyRollback {
            let (now, _) = strategy::activation(self.session).await?;
            radius.warnings.push(format!("from {} back to {}", now.active, now.previous));
        }
        if radius.refused.is_none() {
            // A reason is asked for on the screen; what else speaks against it is known before it is typed.
            let trial = Trial { dry_run: true, reason: Some("preview".to_owned()) };
            radius.refused = self.change(action, &radius.nodes, trial).await.err().map(|it| sentence(&it));
        }
        Ok(radius)
    }

    /// Does it; what changed, in words.
    async fn perform(&self, action: &Action, reason: Option<String>) -> Result<String> {
        let wanted = match action {
            Action::Cordon(names) | Action::Uncordon(names) | Action::Drain(names) => names.as_slice(),
            Action::StrategyRollback => &[],
        };
        let todo = self.todo(action, wanted).await?;
        if todo.is_empty() && !wanted.is_empty() {
            return Ok(format!("{}: nothing to do", list(wanted)));
        }
        self.change(action, &todo, Trial { dry_run: false, reason }).await
    }

    /// The nodes that an action would change now.
    async fn todo(&self, action: &Action, names: &[NodeName]) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut items = nodes::fetch(self.session, &names).await?.items;
        items.retain(|it| match action {
            Action::Cordon(_) => it.drain.is_none(),
            Action::Drain(_) => !drain::is_drained(it),
            Action::Uncordon(_) => it.drain.is_some(),
            Action::StrategyRollback => false,
        });
        Ok(items.iter().map(|it| nodes::name_of(it).to_owned()).collect())
    }

    async fn change(&self, action: &Action, names: &[String], trial: Trial) -> Result<String> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let how = How { dry_run: trial.dry_run, reason: trial.reason.clone().unwrap_or_default() };
        let wish = |mode, deadline_ms| Wish {
            mode,
            reason: trial.reason.clone(),
            deadline_ms,
            force: false,
            dry_run: trial.dry_run,
        };
        match action {
            Action::Cordon(_) => {
                cordon::take_out(self.session, &names, &wish(DrainMode::Cordon, None)).await?;
                Ok(format!("{} cordoned", names.join(", ")))
            }
            Action::Drain(_) => {
                let wish = wish(DrainMode::Drain, Some(DEADLINE_DEFAULT_MS));
                cordon::take_out(self.session, &names, &wish).await?;
                Ok(format!("{} draining", names.join(", ")))
            }
            Action::Uncordon(_) => {
                cordon::delete_drains(self.session, &names, &how).await?;
                Ok(format!("{} uncordoned", names.join(", ")))
            }
            Action::StrategyRollback => {
                let next = strategy::roll_back(self.session, &how).await?;
                Ok(format!("{} decides (activation {})", next.active, next.seq))
            }
        }
    }
}

/// How a change is written.
struct Trial {
    dry_run: bool,
    reason: Option<String>,
}

fn list(names: &[NodeName]) -> String {
    names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(", ")
}

/// A failure in one line, with the next step last.
fn sentence(failure: &Failure) -> String {
    let mut text = failure.what.clone();
    if let Some(why) = &failure.why {
        text.push_str(&format!(": {why}"));
    }
    if let Some(next) = &failure.next {
        text.push_str(&format!("; next: {next}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exit;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::new(Exit::Refused, "cannot drain node-7").why("no quorum").next("mesh cluster status");
        assert_eq!(sentence(&failure), "cannot drain node-7: no quorum; next: mesh cluster status");
    }
}
