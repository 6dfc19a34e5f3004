//! The figures of the whole fleet, computed once a picture.

use std::collections::BTreeMap;

use mesh_core::{
    gpu::Verdict,
    kind::Role,
    status::{Phase, RouterSample},
    time::Timestamp,
};

use super::{
    Level, STALE_MS,
    fleet::{Fleet, Gpus, Node, sum_known},
    names::{Names, Sym},
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
    pub(crate) heard: u32,
    pub(crate) behind: u32,
    pub(crate) models: Vec<ModelRow>,
    pub(crate) decisions: Vec<DecisionRow>,
}

impl Totals {
    /// Sums the fleet up, and writes into each node what routers have in flight there.
    pub(crate) fn of(fleet: &mut Fleet, names: &mut Names, revision: u64, now: Timestamp) -> Self {
        let mut totals = Self::default();
        let mut models = BTreeMap::new();
        let mut gpus = GpuSums::default();
        let mut routers = Vec::new();
        // One walk over the fleet, since it is large; routers are few, and are looked at again.
        for (id, node) in (0_u32..).zip(&mut fleet.nodes) {
            node.in_flight = None;
            totals.count(node, revision, now);
            gpus.add(node);
            add_models(node, &mut models);
            totals.running = sum_known([totals.running, node.running].into_iter());
            totals.waiting = sum_known([totals.waiting, node.waiting].into_iter());
            if node.router.is_some() {
                routers.push(id);
            }
        }
        totals.gpus = gpus.totals();
        in_flight(fleet, names, &routers, &mut models);
        let routers = || routers.iter().filter_map(|id| fleet.nodes[*id as usize].router.as_deref());
        totals.queued = sum_known(routers().map(|it| Some(it.queued)));
        let flight = |it: &RouterSample| it.inflight.iter().fold(0_u32, |sum, it| sum.saturating_add(it.count));
        totals.in_flight = sum_known(routers().map(|it| Some(flight(it))));
        totals.decisions = decisions(routers());
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
fn in_flight(fleet: &mut Fleet, names: &mut Names, routers: &[u32], models: &mut BTreeMap<Sym, ModelRow>) {
    if routers.is_empty() {
        return;
    }
    let mut by_node: BTreeMap<u32, u32> = BTreeMap::new();
    for router in routers.iter().filter_map(|id| fleet.nodes[*id as usize].router.as_deref()) {
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
        node.in_flight = Some(by_node.get(&id).copied().unwrap_or(0));
    }
}

/// What is counted while walking over GPUs.
struct GpuSums {
    it: GpuTotals,
    temperatures: [u32; 256],
    util: u64,
}

impl Default for GpuSums {
    fn default() -> Self {
        Self { it: GpuTotals::default(), temperatures: [0; 256], util: 0 }
    }
}

impl GpuSums {
    fn add(&mut self, node: &Node) {
        let it = &mut self.it;
        let should = node.has(Role::Gpu) || node.has(Role::Trainer);
        it.hosts += u32::from(should);
        if let (true, Gpus::Unavailable(why)) = (should, &node.gpus) {
            it.blind += 1;
            it.why.get_or_insert_with(|| why.clone());
        }
        for gpu in node.gpus.rows() {
            it.count += 1;
            it.failing += u32::from(gpu.verdict == Some(Verdict::Critical));
            it.slowed += u32::from(gpu.verdict == Some(Verdict::Warn));
            if let Some(errors) = gpu.ecc_uncorrected {
                it.ecc_uncorrected = Some(it.ecc_uncorrected.unwrap_or(0) + u64::from(errors));
            }
            if let Some(percent) = gpu.util {
                it.known_util += 1;
                self.util += u64::from(percent);
                it.idle += u32::from(percent < 5);
            }
            if let Some(temp) = gpu.temp_c {
                self.temperatures[usize::from(temp)] += 1;
            }
            if let Some(w) = gpu.power_w {
                it.power_w = Some(it.power_w.unwrap_or(0) + u64::from(w));
            }
            if let (Some(used), Some(total)) = (gpu.used_mib, gpu.total_mib) {
                it.used_mib += u64::from(used);
                it.total_mib += u64::from(total);
            }
        }
    }

    fn totals(self) -> GpuTotals {
        GpuTotals {
            util: percent_of(self.util, u64::from(self.it.known_util) * 100),
            temp_p50: quantile(&self.temperatures, 50),
            temp_p99: quantile(&self.temperatures, 99),
            temp_most: quantile(&self.temperatures, 100),
            ..self.it
        }
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
