//! Whether a mesh is as whole as it was: what served before a change serves after it, heard of since.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mesh_proto::v1;
use tokio::time::Instant;

use super::{
    board::Board,
    form::Doors,
    verify::{is_serving, rest},
};
use crate::{cmd::nodes::name_of, human};

/// Within this time everybody has reported: before it, silence is not worth a word.
const REPORT: Duration = Duration::from_secs(2);
/// What a node said before a change may be heard so much later, by a coordinator that is busy or has slept.
const IN_FLIGHT: Duration = Duration::from_millis(250);

/// The nodes that were in service, each with its engines that were up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Whole(BTreeMap<String, BTreeSet<String>>);

fn up(item: &v1::NodeItem) -> BTreeSet<String> {
    let engines = item.status.iter().flat_map(|it| &it.engines);
    engines.filter(|it| it.up).map(|it| it.name.clone()).collect()
}

impl Whole {
    /// What is in service now. Pure.
    pub(crate) fn of(items: &[v1::NodeItem]) -> Self {
        let serving = items.iter().filter(|it| is_serving(it).is_ok());
        Self(serving.map(|it| (name_of(it).to_owned(), up(it))).collect())
    }

    /// Who is not as it was, and why; what was heard last `since_ms` ago or before tells nothing. Pure.
    pub(crate) fn missing(&self, items: &[v1::NodeItem], since_ms: u64) -> Vec<(String, String)> {
        let open = |(name, engines): (&String, &BTreeSet<String>)| {
            let Some(item) = items.iter().find(|it| name_of(it) == name) else {
                return Some((name.clone(), "the mesh does not list it any more".to_owned()));
            };
            let trouble = || {
                if let Err(why) = is_serving(item) {
                    return Some(why);
                }
                if item.age_ms.is_none_or(|age| age > since_ms) {
                    return Some("it has not reported since".to_owned());
                }
                let up = up(item);
                let down = engines.iter().find(|it| !up.contains(*it))?;
                Some(format!("its engine {down} is down"))
            };
            trouble().map(|why| (name.clone(), why))
        };
        self.0.iter().filter_map(open).collect()
    }

    /// Waits until everybody is as before, by what is said after `since`; gives back who is not by `end`.
    pub(crate) async fn wait(
        &self,
        doors: &Doors,
        (since, end): (Instant, Instant),
        board: &Board,
    ) -> Vec<(String, String)> {
        loop {
            let looked = Instant::now();
            let missing = match doors.nodes().await {
                // Ages are as of the answer: one that is no older than the question was heard of after `since`.
                Ok(items) => self.missing(&items, human::ms(looked.duration_since(since + IN_FLIGHT))),
                Err(why) => self.0.keys().map(|it| (it.clone(), why.clone())).collect(),
            };
            if missing.is_empty() || Instant::now() >= end {
                return missing;
            }
            if let Some((name, why)) = missing.first().filter(|_| since.elapsed() > REPORT) {
                board.phase(&format!("waiting for {} nodes: {name}: {why}", missing.len()));
            }
            rest(looked).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::kind::{NodeSpec, Role, write};

    use super::*;

    fn item(name: &str, phase: &str, age_ms: u64, engine: Option<bool>) -> v1::NodeItem {
        let role = if name.starts_with('r') { Role::Router } else { Role::Gpu };
        let spec = NodeSpec { roles: [role].into(), ..NodeSpec::default() };
        let object = v1::Object { kind: "node".into(), name: name.into(), revision: 1, spec: write(&spec) };
        let sample = |up: bool| v1::EngineSample { name: "vllm".into(), up, ..v1::EngineSample::default() };
        let status = v1::NodeStatus {
            engines: engine.map(sample).into_iter().collect(),
            router: (role == Role::Router).then(v1::RouterSample::default),
            ..v1::NodeStatus::default()
        };
        v1::NodeItem {
            object: Some(object),
            phase: phase.into(),
            status: Some(status),
            age_ms: Some(age_ms),
            ..v1::NodeItem::default()
        }
    }

    #[test]
    fn what_served_before_must_serve_again_and_nothing_else() {
        let before = [
            item("g1", "Ready", 90, Some(true)),
            item("g2", "Ready", 90, Some(false)),
            item("g3", "Lost", 90_000, Some(true)),
            item("g4", "Drained", 90, None),
            item("r1", "Ready", 90, None),
        ];
        let whole = Whole::of(&before);
        assert_eq!(whole.0.keys().collect::<Vec<_>>(), ["g1", "g2", "g4", "r1"]);
        let check = |now: &[v1::NodeItem], expected: &[&str]| {
            let missing: Vec<String> =
                whole.missing(now, 1_000).iter().map(|(name, why)| format!("{name}: {why}")).collect();
            assert_eq!(missing, expected);
        };
        check(&before, &[]);
        let mut now = before.clone();
        now[0] = item("g1", "Ready", 90, Some(false));
        now[1] = item("g2", "Lost", 90, None);
        now[3] = item("g4", "Drained", 1_001, None);
        now[4].status.as_mut().unwrap().router = None;
        check(
            &now,
            &[
                "g1: its engine vllm is down",
                "g2: it is Lost",
                "g4: it has not reported since",
                "r1: its router has not reported",
            ],
        );
        let gone = &before[1..];
        check(gone, &["g1: the mesh does not list it any more"]);
    }
}
