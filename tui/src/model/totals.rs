//! The figures of the whole fleet, computed once a picture.

use std::collections::BTreeMap;

use mesh_core::{
    id::Revision,
    status::{Phase, RouterSample},
    time::Timestamp,
};

use super::{
    Level, STALE_MS,
    fleet::{Fleet, Gpus, Node, sum_known},
    names::{Names, Sym},
    sums::ModelSums,
    traffic::Rate,
};
use crate::text::percent_of;

/// How many nodes are in each state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) all: u32,
    pub(crate) ready: u32,
    pub(crate) draining: u32,
    pub(crate) out: u32,
    pub(crate) starting: u32,
    pub(crate) lost: u32,
}

/// GPUs over the whole fleet.
#[derive(Debug, Clone, Default)]
pub(crate) struct GpuTotals {
    pub(crate) count: u32,
    /// Nodes that should have GPUs, and of those the ones that cannot read them.
    pub(crate) hosts: u32,
    pub(crate) blind: u32,
    /// Why the first of those cannot.
    pub(crate) why: Option<Box<str>>,
    pub(crate) util: Option<u8>,
    pub(crate) temp_most: Option<u8>,
    pub(crate) temp_p50: Option<u8>,
    pub(crate) temp_p99: Option<u8>,
    pub(crate) power_w: Option<u64>,
    pub(crate) used_mib: u64,
    pub(crate) total_mib: u64,
    pub(crate) idle: u32,
    /// GPUs that are failing, that run slower than they should, and that lost memory to errors.
    pub(crate) failing: u32,
    pub(crate) slowed: u32,
    pub(crate) ecc_uncorrected: Option<u64>,
    pub(crate) known_util: u32,
}

/// One model over the whole fleet.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelRow {
    pub(crate) name: Sym,
    /// Engines that list it.
    pub(crate) engines: u32,
    /// Those that answer on a node in service.
    pub(crate) targets: u32,
    pub(crate) running: Option<u32>,
    pub(crate) waiting: Option<u32>,
    pub(crate) capacity: Option<u32>,
    pub(crate) kv_most: Option<u8>,
    pub(crate) in_flight: Option<u32>,
    pub(crate) oldest_ms: Option<u64>,
    /// What went through lately; absent = no router told twice yet.
    pub(crate) rate: Option<Rate>,
}

/// One strategy's decisions over all routers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DecisionRow {
    pub(crate) strategy: String,
    pub(crate) version: String,
    /// Outcomes by name.
    pub(crate) outcomes: BTreeMap<String, u64>,
    pub(crate) all: u64,
}

/// Everything that is summed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    pub(crate) counts: Counts,
    pub(crate) gpus: GpuTotals,
    pub(crate) engines: u32,
    pub(crate) engines_up: u32,
    pub(crate) running: Option<u32>,
    pub(crate) waiting: Option<u32>,
    pub(crate) routers: u32,
    pub(crate) routers_heard: u32,
    pub(crate) in_flight: Option<u32>,
    pub(crate) queued: Option<u32>,
    pub(crate) stale: u32,
    pub(crate) behind: u32,
    pub(crate) models: Vec<ModelRow>,
    pub(crate) decisions: Vec<DecisionRow>,
}

impl Totals {
    /// Puts the figures together, and writes into each node what routers have in flight there.
    pub(crate) fn of(fleet: &mut Fleet, names: &mut Names, revision: Revision, now: Timestamp) -> Self {
        let mut models: BTreeMap<Sym, ModelRow> =
            fleet.sums.models.iter().map(|(name, it)| (*name, model_row(*name, it))).collect();
        let flights = in_flight(fleet, names, &mut models);
        fleet.fly(flights);
        let (fleet, sums) = (&*fleet, &fleet.sums);
        let (mut stale, mut behind) = (0, 0);
        for pulse in &fleet.pulses {
            stale += u32::from(pulse.is_stale(now));
            behind += u32::from(pulse.is_behind(revision));
        }
        let routers = || fleet.routers().filter_map(|it| it.router.as_deref());
        let flight = |it: &RouterSample| it.inflight.iter().fold(0_u32, |sum, it| sum.saturating_add(it.count));
        let mut models: Vec<ModelRow> = models.into_values().collect();
        models.sort_by(|a, b| super::names::natural(names.get(a.name), names.get(b.name)));
        let (engines, engines_up) = sums.engines();
        Self {
            counts: Counts {
                all: sums.nodes.get(),
                ready: sums.ready.get(),
                draining: sums.draining.get(),
                out: sums.out.get(),
                starting: sums.starting.get(),
                lost: sums.lost.get(),
            },
            gpus: gpus(fleet),
            engines,
            engines_up,
            running: sums.running.get32(),
            waiting: sums.waiting.get32(),
            routers: sums.routers.get(),
            routers_heard: sums.routers_heard.get(),
            in_flight: sum_known(routers().map(|it| Some(flight(it)))),
            queued: sum_known(routers().map(|it| Some(it.queued))),
            stale,
            behind,
            models,
            decisions: decisions(routers()),
        }
    }
}

fn model_row(name: Sym, it: &ModelSums) -> ModelRow {
    ModelRow {
        name,
        engines: it.engines.get(),
        targets: it.targets.get(),
        running: it.running.get32(),
        waiting: it.waiting.get32(),
        capacity: it.capacity.get32(),
        kv_most: it.kv_most(),
        ..ModelRow::default()
    }
}

/// What routers say they have in flight, by node and by model; absent when no router reports.
fn in_flight(fleet: &Fleet, names: &mut Names, models: &mut BTreeMap<Sym, ModelRow>) -> Option<BTreeMap<u32, u32>> {
    let mut by_node = None;
    for router in fleet.routers().filter_map(|it| it.router.as_deref()) {
        let by_node: &mut BTreeMap<u32, u32> = by_node.get_or_insert_default();
        for it in &router.inflight {
            if let Some(id) = names.find(it.node.as_str()).and_then(|sym| fleet.id(sym)) {
                *by_node.entry(id).or_default() += it.count;
            }
            let model = names.intern(&it.model);
            let row = models.entry(model).or_default();
            row.name = model;
            row.in_flight = Some(row.in_flight.unwrap_or(0).saturating_add(it.count));
            row.oldest_ms = row.oldest_ms.max(Some(it.oldest_ms));
        }
    }
    by_node
}

fn gpus(fleet: &Fleet) -> GpuTotals {
    let sums = &fleet.sums.gpus;
    let first_blind = || fleet.pulses.iter().position(|it| it.blind).and_then(|id| fleet.nodes.get(id));
    let why = first_blind().and_then(|it| if let Gpus::Unavailable(why) = &it.gpus { Some(why.clone()) } else { None });
    let known_util = u32::try_from(sums.util.count).unwrap_or(0);
    GpuTotals {
        count: sums.all.get(),
        hosts: sums.hosts.get(),
        blind: sums.blind.get(),
        why,
        util: percent_of(sums.util.get().unwrap_or(0), u64::from(known_util) * 100),
        temp_p50: quantile(&sums.temperatures, 50),
        temp_p99: quantile(&sums.temperatures, 99),
        temp_most: quantile(&sums.temperatures, 100),
        power_w: sums.power_w.get(),
        used_mib: sums.used_mib.get().unwrap_or(0),
        total_mib: sums.total_mib.get().unwrap_or(0),
        idle: sums.idle.get(),
        failing: sums.failing.get(),
        slowed: sums.slowed.get(),
        ecc_uncorrected: sums.ecc_uncorrected.get(),
        known_util,
    }
}

/// The smallest value that `percent` of the counted ones do not exceed.
fn quantile(counts: &[u32; 256], percent: u64) -> Option<u8> {
    let all: u64 = counts.iter().map(|it| u64::from(*it)).sum();
    let wanted = (all * percent).div_ceil(100).max(1);
    let mut below = 0;
    (0_u8..=255).zip(counts).find_map(|(value, count)| {
        below += u64::from(*count);
        (all > 0 && below >= wanted).then_some(value)
    })
}

fn decisions<'a>(routers: impl Iterator<Item = &'a RouterSample>) -> Vec<DecisionRow> {
    let mut rows: BTreeMap<(String, String), DecisionRow> = BTreeMap::new();
    for it in routers.flat_map(|it| &it.decisions) {
        let row = rows.entry((it.strategy.clone(), it.version.clone())).or_default();
        row.strategy = crate::text::clean(&it.strategy, 40);
        row.version = crate::text::clean(&it.version, 20);
        *row.outcomes.entry(crate::text::clean(&it.outcome, 16)).or_default() += it.count;
        row.all += it.count;
    }
    let mut rows: Vec<_> = rows.into_values().collect();
    rows.sort_by(|a, b| b.all.cmp(&a.all).then_with(|| a.strategy.cmp(&b.strategy)));
    rows
}

/// How a node looks from afar, and the word for it.
pub(crate) fn state(node: &Node, now: Timestamp) -> (Level, &'static str) {
    let stale = node.age_ms(now).is_some_and(|age| age > STALE_MS);
    match node.phase {
        Phase::Lost => (Level::Crit, "lost"),
        Phase::Joining => (Level::Unknown, "joining"),
        Phase::Verifying => (Level::Unknown, "verify"),
        Phase::Cordoned => (Level::Out, "cordon"),
        Phase::Draining if !node.blockers.is_empty() => (Level::Warn, "drain!"),
        Phase::Draining => (Level::Draining, "drain"),
        Phase::Drained => (Level::Out, "drained"),
        Phase::Ready if stale => (Level::Unknown, "stale"),
        Phase::Ready if node.engines_up < node.engines_declared => (Level::Warn, "engine"),
        Phase::Ready => (Level::Ok, "ready"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_counts() {
        let mut counts = [0_u32; 256];
        assert_eq!(quantile(&counts, 50), None);
        counts[40] = 98;
        counts[90] = 2;
        assert_eq!(
            (quantile(&counts, 50), quantile(&counts, 99), quantile(&counts, 100)),
            (Some(40), Some(90), Some(90))
        );
    }
}
