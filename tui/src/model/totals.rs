//! The figures of the whole fleet, computed once a picture.

use std::collections::BTreeMap;

use mesh_core::{kind::Role, status::Phase, time::Timestamp};

use super::{
    Level, STALE_MS,
    fleet::{Fleet, Gpus, Node, sum_known},
    names::{Names, Sym},
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
    pub(crate) heard: u32,
    pub(crate) behind: u32,
    pub(crate) versions: BTreeMap<Sym, u32>,
    pub(crate) models: Vec<ModelRow>,
    pub(crate) decisions: Vec<DecisionRow>,
}

impl Totals {
    /// Sums the fleet up, and writes into each node what routers have in flight there.
    pub(crate) fn of(fleet: &mut Fleet, names: &mut Names, revision: u64, now: Timestamp) -> Self {
        let mut totals = Self::default();
        let mut models = BTreeMap::new();
        in_flight(fleet, names, &mut models);
        for node in &fleet.nodes {
            totals.count(node, revision, now);
            add_models(node, &mut models);
        }
        totals.gpus = gpu_totals(&fleet.nodes);
        totals.running = sum_known(fleet.nodes.iter().map(|it| it.running));
        totals.waiting = sum_known(fleet.nodes.iter().map(|it| it.waiting));
        let routers = || fleet.nodes.iter().filter_map(|it| it.router.as_deref());
        totals.queued = sum_known(routers().map(|it| Some(it.queued)));
        totals.in_flight =
            sum_known(routers().map(|it| sum_known(it.inflight.iter().map(|it| Some(it.count))).or(Some(0))));
        totals.decisions = decisions(&fleet.nodes);
        totals.models = models.into_values().collect();
        totals.models.sort_by(|a, b| super::names::natural(names.get(a.name), names.get(b.name)));
        totals
    }

    fn count(&mut self, node: &Node, revision: u64, now: Timestamp) {
        self.counts.all += 1;
        match node.phase {
            Phase::Ready => self.counts.ready += 1,
            Phase::Draining => self.counts.draining += 1,
            Phase::Cordoned | Phase::Drained => self.counts.out += 1,
            Phase::Joining | Phase::Verifying => self.counts.starting += 1,
            Phase::Lost => self.counts.lost += 1,
        }
        self.engines += u32::from(node.engines_declared);
        self.engines_up += u32::from(node.engines_up);
        self.routers += u32::from(node.has(Role::Router));
        self.routers_heard += u32::from(node.router.is_some());
        if let Some(age) = node.age_ms(now) {
            self.heard += 1;
            self.stale += u32::from(age > STALE_MS);
        }
        if node.phase != Phase::Lost {
            self.behind += u32::from(node.applied.is_some_and(|it| it.0 < revision));
        }
        if let Some(version) = node.version {
            *self.versions.entry(version).or_default() += 1;
        }
    }
}

fn add_models(node: &Node, models: &mut BTreeMap<Sym, ModelRow>) {
    for engine in &node.engines {
        for model in &engine.models {
            let row = models.entry(*model).or_default();
            row.name = *model;
            row.engines += 1;
            row.targets += u32::from(engine.up && node.is_in_service());
            row.running = sum_known([row.running, engine.running].into_iter());
            row.waiting = sum_known([row.waiting, engine.waiting].into_iter());
            row.capacity = sum_known([row.capacity, engine.capacity].into_iter());
            row.kv_most = row.kv_most.max(engine.kv_percent);
        }
    }
}

/// What routers say they have in flight, by node and by model.
fn in_flight(fleet: &mut Fleet, names: &mut Names, models: &mut BTreeMap<Sym, ModelRow>) {
    let mut by_node: BTreeMap<u32, u32> = BTreeMap::new();
    let mut told = false;
    for node in &fleet.nodes {
        let Some(router) = node.router.as_deref() else { continue };
        told = true;
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
    for (id, node) in (0_u32..).zip(&mut fleet.nodes) {
        node.in_flight = told.then(|| by_node.get(&id).copied().unwrap_or(0));
    }
}

fn gpu_totals(nodes: &[Node]) -> GpuTotals {
    let mut it = GpuTotals::default();
    let mut temperatures = [0_u32; 256];
    let (mut util, mut power) = (0_u64, None::<u64>);
    for node in nodes {
        let should = node.has(Role::Gpu) || node.has(Role::Trainer);
        it.hosts += u32::from(should);
        if let (true, Gpus::Unavailable(why)) = (should, &node.gpus) {
            it.blind += 1;
            it.why.get_or_insert_with(|| why.clone());
        }
        for gpu in node.gpus.rows() {
            it.count += 1;
            if let Some(percent) = gpu.util {
                it.known_util += 1;
                util += u64::from(percent);
                it.idle += u32::from(percent < 5);
            }
            if let Some(temp) = gpu.temp_c {
                temperatures[usize::from(temp)] += 1;
            }
            if let Some(w) = gpu.power_w {
                power = Some(power.unwrap_or(0) + u64::from(w));
            }
            if let (Some(used), Some(total)) = (gpu.used_mib, gpu.total_mib) {
                it.used_mib += u64::from(used);
                it.total_mib += u64::from(total);
            }
        }
    }
    it.util = percent_of(util, u64::from(it.known_util) * 100);
    it.power_w = power;
    it.temp_p50 = quantile(&temperatures, 50);
    it.temp_p99 = quantile(&temperatures, 99);
    it.temp_most = quantile(&temperatures, 100);
    it
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

fn decisions(nodes: &[Node]) -> Vec<DecisionRow> {
    let mut rows: BTreeMap<(String, String), DecisionRow> = BTreeMap::new();
    for it in nodes.iter().filter_map(|it| it.router.as_deref()).flat_map(|it| &it.decisions) {
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
