//! What an action would hit, out of the newest picture: pure, so that what the operator confirms can be tested.

use std::collections::BTreeMap;

use mesh_core::{id::NodeName, kind::Role, status::Phase};
use mesh_tui::{Action, BlastRadius, NodeRow, TargetsLeft};

/// Which way the nodes of an action go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    Back,
}

/// What `action` would hit in a fleet of these nodes.
pub(super) fn radius(rows: &[NodeRow], action: &Action) -> BlastRadius {
    match action {
        Action::Cordon(names) => nodes(rows, names, Way::Out, |row| row.drain.is_some()),
        Action::Drain(names) => {
            nodes(rows, names, Way::Out, |row| row.drain.as_ref().is_some_and(|it| it.drained_at.is_some()))
        }
        Action::Uncordon(names) => nodes(rows, names, Way::Back, |row| row.drain.is_none()),
        Action::StrategyRollback => rollback(rows),
    }
}

fn nodes(rows: &[NodeRow], names: &[NodeName], way: Way, is_done: impl Fn(&NodeRow) -> bool) -> BlastRadius {
    let mut radius = BlastRadius::default();
    let mut hit: Vec<&NodeRow> = Vec::new();
    for name in names {
        match rows.iter().find(|row| row.view.node == *name) {
            None => radius.warnings.push(format!("{name} is not a node any more")),
            Some(row) if is_done(row) => radius.warnings.push(format!("{name} is {} already", phase(row))),
            Some(row) => hit.push(row),
        }
    }
    for row in hit.iter().filter(|row| row.view.phase == Phase::Lost) {
        radius.warnings.push(format!("{} is Lost: what it still does is not known", row.view.node));
    }
    radius.engines = count(hit.iter().map(|row| row.spec.engines.len()).sum());
    radius.nodes = hit.iter().map(|row| row.view.node.to_string()).collect();
    radius.in_flight = in_flight(rows, &hit);
    radius.targets = targets(rows, &hit, way);
    for left in radius.targets.iter().filter(|it| way == Way::Out && it.after == 0) {
        radius.warnings.push(format!("no engine in service is left for {}", left.model));
    }
    radius.quorum = voters(rows, &hit);
    if radius.nodes.is_empty() {
        radius.refused = Some("nothing would change".to_owned());
    }
    radius
}

fn phase(row: &NodeRow) -> String {
    if row.drain.is_none() { "in service".to_owned() } else { row.view.phase.to_string() }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Requests that routers have in flight at nodes; `None` when no router tells.
fn in_flight(rows: &[NodeRow], hit: &[&NodeRow]) -> Option<u64> {
    let mut routers = rows.iter().filter_map(|row| row.view.status.as_ref()?.router.as_ref()).peekable();
    routers.peek()?;
    let at = |node: &NodeName| hit.iter().any(|row| row.view.node == *node);
    Some(routers.flat_map(|it| &it.inflight).filter(|it| at(&it.node)).map(|it| u64::from(it.count)).sum())
}

/// Engines in service by model, before and after, of the models that the nodes serve.
fn targets(rows: &[NodeRow], hit: &[&NodeRow], way: Way) -> Vec<TargetsLeft> {
    let mut left: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for row in rows {
        let is_hit = hit.iter().any(|it| it.view.node == row.view.node);
        let is_alive = row.view.phase != Phase::Lost;
        let before = row.drain.is_none() && is_alive;
        let after = if is_hit { way == Way::Back && is_alive } else { before };
        let engines = row.view.status.iter().flat_map(|it| &it.engines).filter(|it| it.up);
        for model in engines.flat_map(|it| &it.models) {
            let (was, will) = left.entry(model).or_default();
            *was += u32::from(before);
            *will += u32::from(after);
        }
    }
    let changed = left.into_iter().filter(|(_, (before, after))| before != after);
    changed.map(|(model, (before, after))| TargetsLeft { model: model.to_owned(), before, after }).collect()
}

/// What it means for the coordinators among the nodes.
fn voters(rows: &[NodeRow], hit: &[&NodeRow]) -> Option<String> {
    let of = |rows: &mut dyn Iterator<Item = &NodeRow>| -> Vec<String> {
        rows.filter(|row| row.spec.is(Role::Coordinator)).map(|row| row.view.node.to_string()).collect()
    };
    let (all, touched) = (of(&mut rows.iter()), of(&mut hit.iter().copied()));
    (!touched.is_empty()).then(|| {
        format!(
            "{} of {} voters: {} keep voting, only requests go elsewhere",
            touched.len(),
            all.len(),
            touched.join(", ")
        )
    })
}

/// A rollback touches every router and no engine.
fn rollback(rows: &[NodeRow]) -> BlastRadius {
    let routers: Vec<&NodeRow> = rows.iter().filter(|row| row.spec.is(Role::Router)).collect();
    let mut radius =
        BlastRadius { nodes: routers.iter().map(|it| it.view.node.to_string()).collect(), ..<_>::default() };
    for row in routers.iter().filter(|row| row.view.phase == Phase::Lost) {
        radius.warnings.push(format!("router {} is Lost: it follows when it is back", row.view.node));
    }
    let reports = routers.iter().filter_map(|row| row.view.status.as_ref()?.router.as_ref());
    let sums: Vec<u64> = reports.map(|it| it.inflight.iter().map(|it| u64::from(it.count)).sum()).collect();
    radius.in_flight = (!sums.is_empty()).then(|| sums.iter().sum());
    radius
}

#[cfg(test)]
mod tests {
    use mesh_core::{
        id::{MeshName, ObjectName, Principal},
        kind::{DrainKind, DrainMode, DrainSpec, EngineKind, EngineSpec, NodeSpec},
        status::{EngineSample, InflightSample, NodeStatus, NodeView, Probe, RouterSample},
        time::Timestamp,
    };

    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::new(text).unwrap()
    }

    fn engine() -> ObjectName {
        ObjectName::new("sim").unwrap()
    }

    fn node(text: &str, role: Role) -> NodeRow {
        let status = NodeStatus {
            node: name(text),
            generation: 1,
            version: String::new(),
            digest: mesh_core::id::Digest([0; 32]),
            applied: <_>::default(),
            host: <_>::default(),
            gpus: Probe::Unavailable("none".into()),
            engines: Vec::new(),
            router: None,
            unreachable: Vec::new(),
        };
        let view = NodeView {
            node: name(text),
            phase: Phase::Ready,
            since: None,
            status: Some(status),
            age_ms: Some(1),
            blockers: Vec::new(),
        };
        NodeRow { view, spec: NodeSpec { roles: [role].into(), ..NodeSpec::default() }, drain: None }
    }

    fn gpu(text: &str, model: &str) -> NodeRow {
        let mut row = node(text, Role::Gpu);
        let (kind, url, capacity) = (EngineKind::Standin, String::new(), None);
        row.spec.engines = vec![EngineSpec { name: engine(), kind, url, models: Vec::new(), capacity }];
        let sample = EngineSample {
            name: engine(),
            kind: EngineKind::Standin,
            url: String::new(),
            up: true,
            error: None,
            models: vec![model.into()],
            running: None,
            waiting: None,
            kv_used: None,
            capacity: None,
            age_ms: 0,
        };
        row.view.status.as_mut().unwrap().engines = vec![sample];
        row
    }

    fn router(text: &str, node_in_flight: &str, in_flight: u32) -> NodeRow {
        let mut row = node(text, Role::Router);
        let inflight = InflightSample {
            node: name(node_in_flight),
            engine: engine(),
            model: "m".into(),
            count: in_flight,
            oldest_ms: 1,
        };
        let sample = RouterSample {
            listen: String::new(),
            metrics: String::new(),
            acked: <_>::default(),
            inflight: vec![inflight],
            queued: 0,
            strategy: None,
            decisions: Vec::new(),
            traffic: Vec::new(),
            age_ms: 0,
        };
        row.view.status.as_mut().unwrap().router = Some(sample);
        row
    }

    fn out_of_service(mut row: NodeRow) -> NodeRow {
        let mesh = MeshName::new("lab").unwrap();
        row.view.phase = Phase::Cordoned;
        row.drain = Some(DrainSpec {
            mode: DrainMode::Cordon,
            reason: None,
            kind: DrainKind::Operator,
            by: Principal::operator(&mesh, engine()),
            at: Timestamp(1),
            deadline: None,
            force: false,
            drained_at: None,
        });
        row
    }

    fn left(model: &str, before: u32, after: u32) -> TargetsLeft {
        TargetsLeft { model: model.into(), before, after }
    }

    #[test]
    fn a_drain_takes_engines_and_what_is_in_flight_there() {
        let rows =
            [node("n1", Role::Coordinator), router("n4", "n5", 3), gpu("n5", "a"), gpu("n6", "a"), gpu("n7", "b")];
        let found = radius(&rows, &Action::Drain(vec![name("n5"), name("n7"), name("gone")]));
        assert_eq!((found.nodes, found.engines, found.in_flight), (vec!["n5".to_owned(), "n7".to_owned()], 2, Some(3)));
        assert_eq!(found.targets, [left("a", 2, 1), left("b", 1, 0)]);
        assert_eq!(found.warnings, ["gone is not a node any more", "no engine in service is left for b"]);
        assert_eq!((found.quorum, found.refused), (None, None));
    }

    #[test]
    fn what_is_done_already_changes_nothing() {
        let rows = [out_of_service(gpu("n5", "a")), gpu("n6", "a")];
        let found = radius(&rows, &Action::Cordon(vec![name("n5")]));
        assert_eq!(found.refused.as_deref(), Some("nothing would change"));
        assert_eq!(found.warnings, ["n5 is Cordoned already"]);
        // A cordoned node can still be drained, and taken back.
        assert_eq!(radius(&rows, &Action::Drain(vec![name("n5")])).nodes, ["n5"]);
        let back = radius(&rows, &Action::Uncordon(vec![name("n5"), name("n6")]));
        assert_eq!((back.nodes, back.targets), (vec!["n5".to_owned()], vec![left("a", 1, 2)]));
        assert_eq!(back.warnings, ["n6 is in service already"]);
        assert_eq!(back.in_flight, None, "no router tells");
    }

    #[test]
    fn coordinators_and_routers_are_named() {
        let rows = [node("n1", Role::Coordinator), node("n2", Role::Coordinator), router("n4", "n5", 7)];
        let found = radius(&rows, &Action::Drain(vec![name("n1")]));
        let said = "1 of 2 voters: n1 keep voting, only requests go elsewhere";
        assert_eq!(found.quorum.as_deref(), Some(said));
        let found = radius(&rows, &Action::StrategyRollback);
        assert_eq!((found.nodes, found.in_flight), (vec!["n4".to_owned()], Some(7)));
    }
}
