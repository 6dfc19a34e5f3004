//! What is kept from one second to the next is what a walk over the whole fleet would find.

use std::collections::BTreeMap;

use mesh_core::{
    kind::{DrainKind, DrainMode, DrainSpec, Role},
    status::{Phase, Probe},
    time::Timestamp,
};
use proptest::prelude::*;

use super::fixture::{NOW, operator, plain};
use crate::{
    FeedEvent, NodeRow, Picture,
    demo::Demo,
    model::{Model, attention, fleet::Node, pulse::Pulse, sums::Sums, totals},
};

const NODES: u32 = 300;

/// What a picture does to the fleet.
#[derive(Debug, Clone)]
struct Step {
    later_ms: u64,
    /// Which nodes speak, and what is strange about some of them.
    seed: u32,
    /// Nodes that do not speak are gone.
    whole: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..20_000_u64, any::<u32>(), prop::bool::weighted(0.2));
    prop::collection::vec(step.prop_map(|(later_ms, seed, whole)| Step { later_ms, seed, whole }), 1..8)
}

/// A number for a node at a step.
fn dice(row: &NodeRow, seed: u32) -> u32 {
    row.view.node.as_str().bytes().fold(seed, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

fn strange(mut row: NodeRow, dice: u32, now: Timestamp) -> NodeRow {
    let Some(status) = row.view.status.as_mut() else { return row };
    match dice % 16 {
        0 => row.view.phase = Phase::Lost,
        1 => {
            row.view.phase = Phase::Draining;
            row.view.blockers = vec!["12 requests in flight".to_owned()];
            let at = Timestamp(now.0 - 90_000);
            row.drain = Some(DrainSpec {
                mode: DrainMode::Drain,
                reason: None,
                kind: DrainKind::Operator,
                by: operator(),
                at,
                deadline: Some(at.plus_ms(u64::from(dice >> 8) % 180_000)),
                force: false,
                drained_at: None,
            });
        }
        2 => row.view.age_ms = Some(u64::from(dice >> 8) % 20_000),
        3 => status.engines.iter_mut().for_each(|it| it.up = false),
        4 => status.engines.iter_mut().for_each(|it| it.kv_used = Some(0.97)),
        5 => status.gpus = Probe::Unavailable("no driver".to_owned()),
        6 => status.applied.0 -= 1,
        7 => status.router = None,
        8 => row.spec.roles = [Role::Trainer].into(),
        9 => row.view.phase = Phase::Cordoned,
        10 => {
            if let Probe::Read(gpus) = &mut status.gpus {
                gpus.iter_mut().for_each(|it| it.temperature_c = Some(93.0));
            }
        }
        11 => (row.view.status, row.view.age_ms) = (None, None),
        12 => row.spec.zone = None,
        _ => {}
    }
    row
}

/// What routers have in flight at each node, looked up anew.
fn flights(model: &Model) -> Vec<Option<u32>> {
    let routers: Vec<_> = model.fleet.nodes.iter().filter_map(|it| it.router.as_deref()).collect();
    let mut sums: BTreeMap<&str, u32> = BTreeMap::new();
    for it in routers.iter().flat_map(|it| &it.inflight) {
        *sums.entry(it.node.as_str()).or_default() += it.count;
    }
    let of = |node: &Node| sums.get(model.names.get(node.name)).copied().unwrap_or(0);
    model.fleet.nodes.iter().map(|it| (!routers.is_empty()).then(|| of(it))).collect()
}

fn check(model: &Model, now: Timestamp) {
    let fleet = &model.fleet;
    let mut sums = Sums::default();
    fleet.nodes.iter().for_each(|it| sums.add(it));
    assert_eq!(fleet.sums, sums);
    assert_eq!(fleet.pulses, fleet.nodes.iter().map(Pulse::of).collect::<Vec<_>>());
    for (node, pulse) in fleet.nodes.iter().zip(&fleet.pulses) {
        assert_eq!(pulse.level(now), totals::state(node, now).0, "{node:?}");
        let calm = pulse.calm && !attention::notes(model, node, now).is_empty();
        assert!(!calm || pulse.is_stale(now) || pulse.is_behind(model.link.revision), "{node:?}");
    }
    assert_eq!(fleet.nodes.iter().map(|it| it.in_flight).collect::<Vec<_>>(), flights(model));
    // Every finding of every node is counted in exactly one line.
    let found: usize = fleet.nodes.iter().map(|it| attention::notes(model, it, now).len()).sum();
    let of_nodes = model.attention.iter().filter(|it| it.go.node.is_some());
    assert_eq!(of_nodes.map(|it| it.count as usize).sum::<usize>(), found);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_kept_is_what_a_walk_finds(steps in steps()) {
        let mut demo = Demo::new(NODES, NOW);
        let mut picture = Picture::new(&plain());
        let mut now = NOW.plus_ms(90_000);
        for Step { later_ms, seed, whole } in steps {
            now = now.plus_ms(later_ms);
            let (mut rows, mut last) = (Vec::new(), None);
            for event in demo.first(now) {
                if let FeedEvent::Nodes(mut it) = event {
                    rows.append(&mut it.rows);
                    last = Some(it);
                } else {
                    picture.feed(event, now);
                }
            }
            rows.retain(|it| !dice(it, seed).is_multiple_of(3));
            let mut it = last.unwrap();
            it.whole = whole;
            it.rows = rows.into_iter().map(|row| { let dice = dice(&row, !seed); strange(row, dice, now) }).collect();
            picture.feed(FeedEvent::Nodes(it), now);
            picture.model.prepare(now);
            check(&picture.model, now);
        }
    }
}
