//! What a demo does when the operator acts: the same questions and answers as a mesh, on simulated nodes.

use mesh_core::{
    id::NodeName,
    kind::{DEADLINE_DEFAULT_MS, DrainKind, DrainMode, DrainSpec},
    time::Timestamp,
};

use super::{Demo, operator};
use crate::{Action, BlastRadius, EventRow, FeedEvent, Request, Severity, TargetsLeft};

/// How long a simulated drain takes.
const DRAIN_MS: u64 = 15_000;

impl Demo {
    /// Answers a request of the screen.
    pub fn answer(&mut self, request: Request, now: Timestamp) -> Vec<FeedEvent> {
        match request {
            Request::Preview(ticket, action) => vec![FeedEvent::Preview(ticket, Ok(self.blast(&action)))],
            Request::Do(ticket, action, reason) => {
                let what = self.act(&action, reason.as_deref(), now);
                self.revision += 1;
                self.seq += 1;
                let event = EventRow {
                    seq: self.seq,
                    at: now,
                    severity: Severity::Info,
                    subject: subject(&action),
                    actor: operator().name.to_string(),
                    text: reason.map_or_else(|| what.clone(), |why| format!("{what}: {why}")),
                };
                let mut events = vec![FeedEvent::Event(event), FeedEvent::Done(ticket, Ok(what))];
                events.push(FeedEvent::Strategy(Some(self.activation(now))));
                for id in self.ids(&action) {
                    events.push(self.picture(id..id + 1, false, now));
                }
                events
            }
        }
    }

    /// Drains end by themselves after a while.
    pub(super) fn finish_drains(&mut self, now: Timestamp) {
        for drain in self.drains.values_mut() {
            let ends = drain.mode == DrainMode::Drain && drain.drained_at.is_none();
            if ends && drain.at.age_ms(now) >= DRAIN_MS {
                drain.drained_at = Some(now);
            }
        }
    }

    fn ids(&self, action: &Action) -> Vec<u32> {
        let id = |name: &NodeName| name.as_str().strip_prefix("n-").and_then(|it| it.parse().ok());
        nodes(action).iter().filter_map(id).filter(|id| *id < self.fleet.len()).collect()
    }

    fn blast(&self, action: &Action) -> BlastRadius {
        let ids = self.ids(action);
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let (gone, back) = match action {
            Action::Cordon(_) | Action::Drain(_) => (count, 0),
            Action::Uncordon(_) => (0, count),
            Action::StrategyRollback => (0, 0),
        };
        let serving =
            self.fleet.len().saturating_sub(self.fleet.special() + u32::try_from(self.drains.len()).unwrap_or(0));
        let voters = ids.iter().filter(|id| **id < self.fleet.voters()).count();
        let target = TargetsLeft {
            model: "all simulated models".to_owned(),
            before: serving,
            after: serving.saturating_sub(gone).saturating_add(back),
        };
        BlastRadius {
            nodes: nodes(action).iter().map(ToString::to_string).collect(),
            engines: count,
            in_flight: Some(u64::from(count) * 12),
            targets: if count > 0 { vec![target] } else { Vec::new() },
            quorum: (voters > 0).then(|| format!("{voters} voters are among them; they go on voting")),
            warnings: vec!["simulated: no real node is touched".to_owned()],
            refused: None,
            reason_required: false,
        }
    }

    fn act(&mut self, action: &Action, reason: Option<&str>, now: Timestamp) -> String {
        let ids = self.ids(action);
        let mode = match action {
            Action::Cordon(_) => DrainMode::Cordon,
            Action::Drain(_) => DrainMode::Drain,
            Action::Uncordon(_) => {
                self.drains.retain(|id, _| !ids.contains(id));
                return format!("{} node(s) in service again", ids.len());
            }
            Action::StrategyRollback => {
                self.rollbacks += 1;
                return "the previous strategy decides".to_owned();
            }
        };
        for id in &ids {
            let drain = DrainSpec {
                mode,
                reason: reason.map(ToOwned::to_owned),
                kind: DrainKind::Operator,
                by: operator(),
                at: now,
                deadline: (mode == DrainMode::Drain).then(|| now.plus_ms(DEADLINE_DEFAULT_MS)),
                force: false,
                drained_at: None,
            };
            self.drains.insert(*id, drain);
        }
        let verb = if mode == DrainMode::Drain { "draining" } else { "cordoned" };
        format!("{} {verb}", nodes(action).iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }
}

fn nodes(action: &Action) -> &[NodeName] {
    match action {
        Action::Cordon(nodes) | Action::Uncordon(nodes) | Action::Drain(nodes) => nodes,
        Action::StrategyRollback => &[],
    }
}

fn subject(action: &Action) -> String {
    match nodes(action) {
        [] => "activation/active".to_owned(),
        [one, ..] => format!("node/{one}"),
    }
}
