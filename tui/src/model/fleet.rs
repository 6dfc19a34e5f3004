//! The nodes as packed rows with dense ids: ten thousand of them with eight GPUs each fit into a few megabytes.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    num::NonZeroU32,
};

use mesh_core::{
    gpu::{self, ThrottleReasons, Verdict},
    id::Revision,
    kind::{DrainSpec, Role},
    status::{EngineSample, GpuSample, Phase, Probe, RouterSample},
    time::Timestamp,
};

use super::{
    names::{Names, Sym, natural},
    pulse::Pulse,
    series::Trail,
    sums::Sums,
};
use crate::{
    NodeRow, NodesPicture,
    text::{clean, whole},
};

/// The longest text of an error or a blocker that is kept, in characters.
const WORDS_MAX: usize = 200;
/// The most GPUs of one node that are kept.
const GPUS_MAX: usize = 64;

/// One GPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gpu {
    pub(crate) name: Option<Sym>,
    pub(crate) index: u16,
    pub(crate) util: Option<u8>,
    pub(crate) temp_c: Option<u8>,
    pub(crate) power_w: Option<u16>,
    pub(crate) used_mib: Option<u32>,
    pub(crate) total_mib: Option<u32>,
    pub(crate) clock_mhz: Option<u16>,
    pub(crate) power_limit_w: Option<u16>,
    pub(crate) throttle: Option<ThrottleReasons>,
    pub(crate) ecc_corrected: Option<u32>,
    pub(crate) ecc_uncorrected: Option<u32>,
    /// Absent = nothing that could tell is known.
    pub(crate) verdict: Option<Verdict>,
    /// What speaks against it; shared text, since the same few reasons repeat.
    pub(crate) reason: Option<Sym>,
}

impl Gpu {
    /// What holds its clocks down, in a word; idle clocks and an operator's own setting hold nothing.
    pub(crate) fn throttle_word(&self) -> Option<&'static str> {
        const WORDS: [(ThrottleReasons, &str); 6] = [
            (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hw heat"),
            (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "brake"),
            (ThrottleReasons::HW_SLOWDOWN, "hw slow"),
            (ThrottleReasons::SW_THERMAL_SLOWDOWN, "heat"),
            (ThrottleReasons::SW_POWER_CAP, "power"),
            (ThrottleReasons::SYNC_BOOST, "sync"),
        ];
        let reasons = self.throttle?;
        Some(WORDS.iter().find(|(it, _)| reasons.contains(*it)).map_or("none", |(_, word)| word))
    }

    pub(crate) fn vram_percent(&self) -> Option<u8> {
        crate::text::percent_of(u64::from(self.used_mib?), u64::from(self.total_mib?))
    }
}

/// What is known of a node's GPUs.
#[derive(Debug, Clone)]
pub(crate) enum Gpus {
    /// The node was never heard.
    Unknown,
    /// The node says why it cannot read them.
    Unavailable(Box<str>),
    /// One row a GPU.
    Read(Box<[Gpu]>),
}

impl Gpus {
    pub(crate) fn rows(&self) -> &[Gpu] {
        match self {
            Self::Read(rows) => rows,
            Self::Unknown | Self::Unavailable(_) => &[],
        }
    }
}

/// One engine.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(crate) name: Sym,
    pub(crate) kind: &'static str,
    pub(crate) up: bool,
    pub(crate) error: Option<Box<str>>,
    pub(crate) models: Box<[Sym]>,
    pub(crate) running: Option<u32>,
    pub(crate) waiting: Option<u32>,
    pub(crate) kv_percent: Option<u8>,
    pub(crate) capacity: Option<u32>,
}

/// One node.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) name: Sym,
    pub(crate) zone: Option<Sym>,
    pub(crate) rack: Option<Sym>,
    pub(crate) address: Sym,
    pub(crate) version: Option<Sym>,
    pub(crate) kernel: Option<Sym>,
    pub(crate) phase: Phase,
    pub(crate) roles: u8,
    pub(crate) voter: bool,
    pub(crate) incarnation: u32,
    pub(crate) since: Option<Timestamp>,
    /// When its newest statement was made, by the clock of this machine.
    pub(crate) heard: Option<Timestamp>,
    pub(crate) applied: Option<Revision>,
    pub(crate) cpus: Option<u32>,
    pub(crate) load_percent: Option<u32>,
    pub(crate) memory_mib: Option<(u64, u64)>,
    pub(crate) gpus: Gpus,
    pub(crate) engines: Box<[Engine]>,
    pub(crate) engines_declared: u16,
    pub(crate) router: Option<Box<RouterSample>>,
    pub(crate) drain: Option<Box<DrainSpec>>,
    pub(crate) blockers: Box<[Box<str>]>,
    pub(crate) unreachable: u16,
    pub(crate) trail: Trail,
    // What follows is computed from the above.
    pub(crate) util: Option<u8>,
    pub(crate) temp_c: Option<u8>,
    pub(crate) vram: Option<u8>,
    pub(crate) power_w: Option<u32>,
    pub(crate) running: Option<u32>,
    pub(crate) waiting: Option<u32>,
    pub(crate) engines_up: u16,
    /// Requests that routers have in flight there; absent = no router tells.
    pub(crate) in_flight: Option<u32>,
}

impl Node {
    /// Age of the newest statement in milliseconds.
    pub(crate) fn age_ms(&self, now: Timestamp) -> Option<u64> {
        self.heard.map(|it| it.age_ms(now))
    }

    /// Whether new requests may be sent to it.
    pub(crate) fn is_in_service(&self) -> bool {
        self.phase == Phase::Ready
    }

    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles & bit(role) != 0
    }
}

fn bit(role: Role) -> u8 {
    match role {
        Role::Coordinator => 1,
        Role::Router => 2,
        Role::Gpu => 4,
        Role::Trainer => 8,
        Role::Edge => 16,
    }
}

/// All nodes.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    pub(crate) nodes: Vec<Node>,
    /// Ids by the number of the name; names are numbered densely.
    by_name: Vec<Option<NonZeroU32>>,
    /// Node ids in physical order: zone, rack, name. It never depends on a reading, so the eye learns places.
    pub(crate) order: Vec<u32>,
    /// Whether `order` is not right any more: many pictures cost one sorting.
    moved: bool,
    /// The pulse of every node, by its id.
    pub(crate) pulses: Vec<Pulse>,
    pub(crate) sums: Sums,
    /// The ids of nodes whose router reports.
    routers: BTreeSet<u32>,
    /// Requests that routers have in flight, by node id; absent = no router tells.
    flights: Option<BTreeMap<u32, u32>>,
}

impl Fleet {
    pub(crate) fn get(&self, name: Sym) -> Option<&Node> {
        self.id(name).and_then(|id| self.nodes.get(id as usize))
    }

    pub(crate) fn id(&self, name: Sym) -> Option<u32> {
        let place = self.by_name.get(name.number() as usize).copied().flatten()?;
        Some(place.get() - 1)
    }

    fn place(&mut self, name: Sym, id: u32) {
        let at = name.number() as usize;
        if self.by_name.len() <= at {
            self.by_name.resize(at + 1, None);
        }
        self.by_name[at] = NonZeroU32::new(id.saturating_add(1));
    }

    /// Takes in a picture. A node that a whole picture does not hold is gone.
    pub(crate) fn apply(&mut self, picture: NodesPicture, names: &mut Names) {
        let (mut seen, mut next) = (HashSet::new(), None);
        for row in picture.rows {
            // Nodes speak in the same order again and again.
            let name = names.intern_again(row.spec_name(), next.and_then(|id: u32| self.name_of(id)));
            if picture.whole {
                seen.insert(name);
            }
            self.moved |= self.take(name, &row, picture.at, names);
            next = self.id(name).map(|id| id + 1);
        }
        if picture.whole && seen.len() < self.nodes.len() {
            self.nodes.retain(|it| seen.contains(&it.name));
            self.count_anew();
            self.moved = true;
        }
    }

    /// Ids are places: when nodes are gone the others have new ones.
    fn count_anew(&mut self) {
        let ids = || 0_u32..;
        self.by_name.clear();
        let places: Vec<(Sym, u32)> = self.nodes.iter().map(|it| it.name).zip(ids()).collect();
        places.into_iter().for_each(|(name, id)| self.place(name, id));
        self.routers = ids().zip(&self.nodes).filter(|(_, it)| it.router.is_some()).map(|(id, _)| id).collect();
        self.pulses = self.nodes.iter().map(Pulse::of).collect();
        self.sums = Sums::default();
        self.nodes.iter().for_each(|it| self.sums.add(it));
        self.flights = None;
        self.nodes.iter_mut().for_each(|it| it.in_flight = None);
    }

    fn name_of(&self, id: u32) -> Option<Sym> {
        self.nodes.get(id as usize).map(|it| it.name)
    }

    /// The nodes whose router reports.
    pub(crate) fn routers(&self) -> impl Iterator<Item = &Node> {
        self.routers.iter().filter_map(|id| self.nodes.get(*id as usize))
    }

    /// Writes into each node what routers have in flight there; only what changed is touched.
    pub(super) fn fly(&mut self, flights: Option<BTreeMap<u32, u32>>) {
        let before = std::mem::replace(&mut self.flights, flights);
        match (before, &self.flights) {
            (None, None) => {}
            (Some(before), Some(now)) => {
                for (id, count) in before.keys().map(|id| (id, &0)).chain(now) {
                    if let Some(node) = self.nodes.get_mut(*id as usize) {
                        node.in_flight = Some(*count);
                    }
                }
            }
            (_, now) => {
                for (id, node) in (0_u32..).zip(&mut self.nodes) {
                    node.in_flight = now.as_ref().map(|it| it.get(&id).copied().unwrap_or(0));
                }
            }
        }
    }

    /// Puts the nodes into physical order, when their places changed since the last time.
    pub(crate) fn settle(&mut self, names: &Names) {
        if std::mem::take(&mut self.moved) {
            self.arrange(names);
        }
    }

    /// Takes in one node; says whether its place changed.
    fn take(&mut self, name: Sym, row: &NodeRow, at: Timestamp, names: &mut Names) -> bool {
        let known = self.id(name);
        let before = known.map(|id| &self.nodes[id as usize]);
        let mut node = packed(name, row, (at, before), names);
        let Some(id) = known else {
            let id = crate::text::u32_of(self.nodes.len());
            node.trail.push(node.util);
            node.in_flight = self.flights.as_ref().map(|_| 0);
            self.place(name, id);
            self.reports(id, node.router.is_some());
            self.sums.add(&node);
            self.pulses.push(Pulse::of(&node));
            self.nodes.push(node);
            return true;
        };
        self.reports(id, node.router.is_some());
        let before = &mut self.nodes[id as usize];
        let moved = before.zone != node.zone || before.rack != node.rack;
        (node.trail, node.in_flight) = (before.trail.clone(), before.in_flight);
        // One sample a statement: a picture that repeats the same statement adds nothing.
        if is_newer(before.heard, node.heard) {
            node.trail.push(node.util);
        }
        self.sums.remove(before);
        self.sums.add(&node);
        self.pulses[id as usize] = Pulse::of(&node);
        *before = node;
        moved
    }

    fn reports(&mut self, id: u32, has_router: bool) {
        if has_router {
            self.routers.insert(id);
        } else {
            self.routers.remove(&id);
        }
    }

    fn arrange(&mut self, names: &Names) {
        self.order = (0..crate::text::u32_of(self.nodes.len())).collect();
        let nodes = &self.nodes;
        let place = |it: Option<Sym>| it.map_or("", |sym| names.get(sym));
        self.order.sort_by(|a, b| {
            let (a, b) = (&nodes[*a as usize], &nodes[*b as usize]);
            natural(place(a.zone), place(b.zone))
                .then_with(|| natural(place(a.rack), place(b.rack)))
                .then_with(|| natural(names.get(a.name), names.get(b.name)))
        });
    }
}

/// Whether a statement is another one than the one before: their times jitter by what the network takes.
fn is_newer(before: Option<Timestamp>, now: Option<Timestamp>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => now.0 > before.0.saturating_add(400),
        (before, now) => before.is_some() != now.is_some(),
    }
}

impl NodeRow {
    fn spec_name(&self) -> &str {
        self.view.node.as_str()
    }
}

fn words(text: &str) -> Box<str> {
    clean(text, WORDS_MAX).into()
}

fn packed(name: Sym, row: &NodeRow, (at, before): (Timestamp, Option<&Node>), names: &mut Names) -> Node {
    let NodeRow { view, spec, drain } = row;
    let status = view.status.as_ref();
    let host = status.map(|it| &it.host);
    let gpus = status.map_or(Gpus::Unknown, |it| match &it.gpus {
        Probe::Unavailable(why) => Gpus::Unavailable(words(why)),
        Probe::Read(list) => {
            let mut like = before.and_then(|it| it.gpus.rows().first()).and_then(|it| it.name);
            Gpus::Read(list.iter().take(GPUS_MAX).map(|it| packed_gpu(it, &mut like, names)).collect())
        }
    });
    let olds = before.iter().flat_map(|it| &it.engines).map(Some).chain(std::iter::repeat(None));
    let engines: Box<[Engine]> = status
        .map(|it| it.engines.iter().zip(olds).map(|(it, old)| engine(it, old, names)).collect())
        .unwrap_or_default();
    let mib = |bytes: u64| bytes / 1024 / 1024;
    let mut node = Node {
        name,
        zone: spec.zone.as_deref().map(|it| names.intern_again(it, before.and_then(|it| it.zone))),
        rack: spec.labels.get("rack").map(|it| names.intern_again(it, before.and_then(|it| it.rack))),
        address: names.intern_again(&spec.address, before.map(|it| it.address)),
        version: status.map(|it| names.intern_again(&it.version, before.and_then(|it| it.version))),
        kernel: host
            .and_then(|it| it.kernel.as_deref())
            .map(|it| names.intern_again(it, before.and_then(|it| it.kernel))),
        phase: view.phase,
        roles: spec.roles.iter().fold(0, |all, role| all | bit(*role)),
        voter: spec.voter.is_some(),
        incarnation: spec.incarnation,
        since: view.since,
        heard: view.age_ms.map(|age| Timestamp(at.0.saturating_sub(age))),
        applied: status.map(|it| it.applied),
        cpus: host.and_then(|it| it.cpus),
        load_percent: host.and_then(|it| whole(it.load_1m? * 100.0, 100_000_000)),
        memory_mib: host.and_then(|it| Some((mib(it.memory_bytes?), mib(it.memory_available_bytes?)))),
        gpus,
        engines,
        engines_declared: crate::text::u16_of(spec.engines.len()),
        router: status.and_then(|it| it.router.clone()).map(Box::new),
        drain: drain.clone().map(Box::new),
        blockers: view.blockers.iter().map(|it| words(it)).collect(),
        unreachable: status.map_or(0, |it| crate::text::u16_of(it.unreachable.len())),
        trail: Trail::new(),
        util: None,
        temp_c: None,
        vram: None,
        power_w: None,
        running: None,
        waiting: None,
        engines_up: 0,
        in_flight: None,
    };
    summarise(&mut node);
    node
}

/// Packs one GPU; `like` is the product of the one before, which is most likely its own.
fn packed_gpu(it: &GpuSample, like: &mut Option<Sym>, names: &mut Names) -> Gpu {
    let small = |value: Option<f32>, most: u32| value.and_then(|it| whole(it, most));
    let byte = |value: Option<u32>| value.and_then(|it| u8::try_from(it).ok());
    let mib = |bytes: Option<u64>| bytes.map(|it| u32::try_from(it / 1024 / 1024).unwrap_or(u32::MAX));
    let health = gpu::health(it);
    let name = it.name.as_deref().map(|it| names.intern_again(it, *like));
    *like = name.or(*like);
    Gpu {
        name,
        index: u16::try_from(it.index).unwrap_or(u16::MAX),
        util: byte(small(it.utilisation_percent, 100)),
        temp_c: byte(small(it.temperature_c, 250)),
        power_w: small(it.power_w, 60_000).and_then(|it| u16::try_from(it).ok()),
        used_mib: mib(it.memory_used_bytes),
        total_mib: mib(it.memory_total_bytes),
        clock_mhz: it.sm_clock_mhz.and_then(|it| u16::try_from(it).ok()),
        power_limit_w: small(it.power_limit_w, 60_000).and_then(|it| u16::try_from(it).ok()),
        throttle: it.throttle_reasons,
        ecc_corrected: it.ecc.volatile_corrected.map(|it| u32::try_from(it).unwrap_or(u32::MAX)),
        ecc_uncorrected: it.ecc.volatile_uncorrected.map(|it| u32::try_from(it).unwrap_or(u32::MAX)),
        verdict: health.as_ref().map(|it| it.verdict),
        reason: health.and_then(|it| it.reason).map(|it| names.intern(&it)),
    }
}

fn engine(it: &EngineSample, before: Option<&Engine>, names: &mut Names) -> Engine {
    let old = |at: usize| before.and_then(|it| it.models.get(at)).copied();
    let kind = match it.kind {
        mesh_core::kind::EngineKind::Vllm => "vllm",
        mesh_core::kind::EngineKind::Llamacpp => "llamacpp",
        mesh_core::kind::EngineKind::Standin => "standin",
    };
    Engine {
        name: names.intern_again(it.name.as_str(), before.map(|it| it.name)),
        kind,
        up: it.up,
        error: it.error.as_deref().map(words),
        models: it.models.iter().zip(0..).map(|(model, at)| names.intern_again(model, old(at))).collect(),
        running: it.running,
        waiting: it.waiting,
        kv_percent: it.kv_used.and_then(|it| whole(it * 100.0, 100)).and_then(|it| u8::try_from(it).ok()),
        capacity: it.capacity.and_then(|it| whole(it, 1_000_000)),
    }
}

/// The figures of a node out of its GPUs and engines; the mean of nothing known is unknown.
fn summarise(node: &mut Node) {
    let rows = node.gpus.rows();
    let (sum, known) =
        rows.iter().filter_map(|it| it.util).fold((0_u32, 0_u32), |(sum, known), it| (sum + u32::from(it), known + 1));
    node.util = sum.checked_div(known).and_then(|it| u8::try_from(it).ok());
    node.temp_c = rows.iter().filter_map(|it| it.temp_c).max();
    let memory = rows.iter().filter_map(|it| Some((u64::from(it.used_mib?), u64::from(it.total_mib?))));
    let (used, total) = memory.fold((0, 0), |(used, total), it| (used + it.0, total + it.1));
    node.vram = crate::text::percent_of(used, total);
    node.power_w = sum_known(rows.iter().map(|it| it.power_w.map(u32::from)));
    node.running = sum_known(node.engines.iter().map(|it| it.running));
    node.waiting = sum_known(node.engines.iter().map(|it| it.waiting));
    node.engines_up = crate::text::u16_of(node.engines.iter().filter(|it| it.up).count());
}

/// The sum of what is known; nothing known is unknown, and never 0.
pub(crate) fn sum_known(values: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    values.flatten().fold(None, |sum: Option<u32>, it| Some(sum.unwrap_or(0).saturating_add(it)))
}
