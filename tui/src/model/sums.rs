//! Sums over the fleet, kept while nodes come, change and go: a second costs what it brought, and not the whole fleet.

use std::collections::BTreeMap;

use mesh_core::{gpu::Verdict, kind::Role, status::Phase};

use super::{
    fleet::{Engine, Gpu, Gpus, Node},
    names::Sym,
};

/// A GPU that does less than this, in percent, has no work.
const IDLE_PERCENT: u8 = 5;

/// A sum of what is known, and how many know it: nothing known is unknown, and never 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    sum: i64,
    pub(crate) count: i64,
}

impl Known {
    fn add(&mut self, value: Option<impl Into<i64>>, sign: i64) {
        if let Some(value) = value {
            self.sum += sign * value.into();
            self.count += sign;
        }
    }

    pub(crate) fn get(&self) -> Option<u64> {
        (self.count > 0).then(|| self.sum.unsigned_abs())
    }

    /// The same where 32 bits are enough; what is larger is as good as the largest.
    pub(crate) fn get32(&self) -> Option<u32> {
        self.get().map(|it| u32::try_from(it).unwrap_or(u32::MAX))
    }
}

/// How often something is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count(i64);

impl Count {
    fn add(&mut self, holds: bool, sign: i64) {
        self.0 += sign * i64::from(holds);
    }

    pub(crate) fn get(self) -> u32 {
        u32::try_from(self.0).unwrap_or(0)
    }
}

/// One model over all engines that list it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ModelSums {
    pub(crate) engines: Count,
    /// Engines that answer on a node in service.
    pub(crate) targets: Count,
    pub(crate) running: Known,
    pub(crate) waiting: Known,
    pub(crate) capacity: Known,
    /// How many engines use how much of their KV cache, in percent.
    kv: BTreeMap<u8, i64>,
}

impl ModelSums {
    pub(crate) fn kv_most(&self) -> Option<u8> {
        self.kv.last_key_value().map(|(percent, _)| *percent)
    }

    fn count(&mut self, engine: &Engine, in_service: bool, sign: i64) {
        self.engines.add(true, sign);
        self.targets.add(engine.up && in_service, sign);
        self.running.add(engine.running, sign);
        self.waiting.add(engine.waiting, sign);
        self.capacity.add(engine.capacity, sign);
        if let Some(percent) = engine.kv_percent {
            let engines = self.kv.entry(percent).or_default();
            *engines += sign;
            if *engines == 0 {
                self.kv.remove(&percent);
            }
        }
    }
}

/// All GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GpuSums {
    pub(crate) all: Count,
    /// Nodes that should have GPUs, and of those the ones that cannot read them.
    pub(crate) hosts: Count,
    pub(crate) blind: Count,
    pub(crate) failing: Count,
    pub(crate) slowed: Count,
    pub(crate) idle: Count,
    pub(crate) util: Known,
    pub(crate) power_w: Known,
    pub(crate) ecc_uncorrected: Known,
    pub(crate) used_mib: Known,
    pub(crate) total_mib: Known,
    /// How many have which temperature, in degrees Celsius.
    pub(crate) temperatures: [u32; 256],
}

impl GpuSums {
    fn count(&mut self, node: &Node, sign: i64) {
        self.hosts.add(should_have_gpus(node), sign);
        self.blind.add(is_blind(node), sign);
        node.gpus.rows().iter().for_each(|it| self.one(it, sign));
    }

    fn one(&mut self, gpu: &Gpu, sign: i64) {
        self.all.add(true, sign);
        self.failing.add(gpu.verdict == Some(Verdict::Critical), sign);
        self.slowed.add(gpu.verdict == Some(Verdict::Warn), sign);
        self.idle.add(gpu.util.is_some_and(|it| it < IDLE_PERCENT), sign);
        self.util.add(gpu.util, sign);
        self.power_w.add(gpu.power_w, sign);
        self.ecc_uncorrected.add(gpu.ecc_uncorrected, sign);
        if let (Some(used), Some(total)) = (gpu.used_mib, gpu.total_mib) {
            self.used_mib.add(Some(used), sign);
            self.total_mib.add(Some(total), sign);
        }
        if let Some(degrees) = gpu.temp_c {
            let gpus = &mut self.temperatures[usize::from(degrees)];
            *gpus = if sign > 0 { *gpus + 1 } else { gpus.saturating_sub(1) };
        }
    }
}

impl Default for GpuSums {
    fn default() -> Self {
        let (count, known) = (Count::default(), Known::default());
        Self {
            all: count,
            hosts: count,
            blind: count,
            failing: count,
            slowed: count,
            idle: count,
            util: known,
            power_w: known,
            ecc_uncorrected: known,
            used_mib: known,
            total_mib: known,
            temperatures: [0; 256],
        }
    }
}

fn should_have_gpus(node: &Node) -> bool {
    node.has(Role::Gpu) || node.has(Role::Trainer)
}

/// Whether a node should have GPUs and says why it cannot read them.
pub(crate) fn is_blind(node: &Node) -> bool {
    should_have_gpus(node) && matches!(node.gpus, Gpus::Unavailable(_))
}

/// All sums that need no clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) nodes: Count,
    pub(crate) ready: Count,
    pub(crate) draining: Count,
    pub(crate) out: Count,
    pub(crate) starting: Count,
    pub(crate) lost: Count,
    pub(crate) routers: Count,
    pub(crate) routers_heard: Count,
    engines: i64,
    engines_up: i64,
    pub(crate) running: Known,
    pub(crate) waiting: Known,
    pub(crate) gpus: GpuSums,
    pub(crate) models: BTreeMap<Sym, ModelSums>,
}

impl Sums {
    pub(crate) fn add(&mut self, node: &Node) {
        self.count(node, 1);
    }

    /// Takes away what [`Self::add`] added of the same node as it was then.
    pub(crate) fn remove(&mut self, node: &Node) {
        self.count(node, -1);
    }

    /// Engines declared, and those that answer.
    pub(crate) fn engines(&self) -> (u32, u32) {
        (u32::try_from(self.engines).unwrap_or(0), u32::try_from(self.engines_up).unwrap_or(0))
    }

    fn count(&mut self, node: &Node, sign: i64) {
        self.nodes.add(true, sign);
        let phase = match node.phase {
            Phase::Ready => &mut self.ready,
            Phase::Draining => &mut self.draining,
            Phase::Cordoned | Phase::Drained => &mut self.out,
            Phase::Joining | Phase::Verifying => &mut self.starting,
            Phase::Lost => &mut self.lost,
        };
        phase.add(true, sign);
        self.routers.add(node.has(Role::Router), sign);
        self.routers_heard.add(node.router.is_some(), sign);
        self.engines += sign * i64::from(node.engines_declared);
        self.engines_up += sign * i64::from(node.engines_up);
        self.running.add(node.running, sign);
        self.waiting.add(node.waiting, sign);
        self.gpus.count(node, sign);
        for engine in &node.engines {
            for model in &engine.models {
                let sums = self.models.entry(*model).or_default();
                sums.count(engine, node.is_in_service(), sign);
                if sums.engines == Count::default() {
                    self.models.remove(model);
                }
            }
        }
    }
}
