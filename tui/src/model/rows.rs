//! Which rows each table has, and in which order: keys only, so that ten thousand of them are cheap.
#![expect(clippy::wildcard_enum_match_arm, reason = "each table has a few of the many fields and columns")]

use mesh_core::{gpu::Verdict, kind::Role, status::Phase, time::Timestamp};

use super::{
    Model,
    fleet::{Fleet, Gpu, Node},
    names::{Names, Sym, natural},
    totals::ModelRow,
    view::{ScreenId, Table},
};
use crate::{
    EventRow,
    columns::{GpuColumn, ModelColumn, NodeColumn},
    filter::{Asked, Field, Value},
};

/// The key of a node's row.
pub(crate) fn node_key(name: Sym) -> u64 {
    u64::from(name.number())
}

/// The node of a row's key.
pub(crate) fn node_of(key: u64) -> Sym {
    Sym::from_number(u32::try_from(key).unwrap_or(0))
}

/// The key of a GPU's row.
pub(crate) fn gpu_key(node: Sym, index: u16) -> u64 {
    (u64::from(node.number()) << 16) | u64::from(index)
}

/// The node and the index of a GPU's row.
pub(crate) fn gpu_of(key: u64) -> (Sym, u16) {
    (node_of(key >> 16), u16::try_from(key & 0xffff).unwrap_or(0))
}

impl Model {
    /// Rows of the table on the screen, filtered and sorted; the others wait until they are looked at.
    pub(crate) fn arrange(&mut self, now: Timestamp) {
        match self.view.screen {
            ScreenId::Overview => {
                let table = &mut self.view.attention;
                table.rows = self.attention.iter().map(|it| key_of(it.kind, &it.place, it.count)).collect();
                table.all = table.rows.len();
                table.settle();
            }
            ScreenId::Nodes => nodes(&mut self.view.nodes, &self.fleet, &self.names, (self.link.revision.0, now)),
            ScreenId::Gpus => gpus(&mut self.view.gpus, &self.fleet, &self.names, now),
            ScreenId::Routing => models(&mut self.view.models, &self.totals.models, &self.names),
            ScreenId::Events => self.arrange_events(),
        }
    }

    fn arrange_events(&mut self) {
        let table = &mut self.view.events;
        table.all = self.events.len();
        let wanted = self.events.newest().filter(|(_, event)| {
            event.severity >= self.view.severity && table.filter.as_ref().is_none_or(|it| it.passes(&EventAsked(event)))
        });
        let mut rows = std::mem::take(&mut table.rows);
        rows.clear();
        rows.extend(wanted.map(|(key, _)| key));
        table.rows = rows;
        if self.view.follow {
            table.chosen = table.rows.first().copied();
            table.at = 0;
        }
        table.settle();
    }
}

/// A key that stays while the same thing is wrong at the same place.
fn key_of(kind: &str, place: &str, count: u32) -> u64 {
    let place = if count > 1 { "" } else { place };
    // FNV-1a: two different lines of one short list do not meet.
    kind.bytes()
        .chain([0])
        .chain(place.bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A sortable form of a reading; what is not known comes last in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(u8, i64);

fn rank(value: Option<impl Into<i64>>, descending: bool) -> Rank {
    value.map_or(Rank(1, 0), |it| {
        let it = it.into();
        Rank(0, if descending { -it } else { it })
    })
}

fn nodes(table: &mut Table, fleet: &Fleet, names: &Names, (revision, now): (u64, Timestamp)) {
    table.all = fleet.nodes.len();
    let passes =
        |node: &Node| table.filter.as_ref().is_none_or(|it| it.passes(&NodeAsked { node, names, revision, now }));
    // Physical order first: a stable sort keeps neighbours together.
    let mut ids: Vec<u32> = fleet.order.iter().copied().filter(|id| passes(&fleet.nodes[*id as usize])).collect();
    let column = NodeColumn::ALL.get(table.sort).copied().unwrap_or(NodeColumn::Name);
    let node = |id: &u32| &fleet.nodes[*id as usize];
    let down = table.descending;
    match column {
        NodeColumn::Name | NodeColumn::Zone | NodeColumn::Rack | NodeColumn::Version => {
            let text = |it: &Node| match column {
                NodeColumn::Zone => names.or_dash(it.zone),
                NodeColumn::Rack => names.or_dash(it.rack),
                NodeColumn::Version => names.or_dash(it.version),
                _ => names.get(it.name),
            };
            ids.sort_by(|a, b| {
                let order = natural(text(node(a)), text(node(b)));
                if down { order.reverse() } else { order }
            });
        }
        _ => ids.sort_by_cached_key(|id| rank(node_number(node(id), column, revision, now), down)),
    }
    table.rows = ids.into_iter().map(|id| node_key(fleet.nodes[id as usize].name)).collect();
    table.settle();
}

fn node_number(node: &Node, column: NodeColumn, revision: u64, now: Timestamp) -> Option<i64> {
    match column {
        NodeColumn::State => Some(super::totals::state(node, now).0 as i64),
        NodeColumn::Gpus => Some(i64::try_from(node.gpus.rows().len()).unwrap_or(0)),
        NodeColumn::Util | NodeColumn::Trail => node.util.map(i64::from),
        NodeColumn::Vram => node.vram.map(i64::from),
        NodeColumn::Temp => node.temp_c.map(i64::from),
        NodeColumn::Power => node.power_w.map(i64::from),
        NodeColumn::Engines => Some(i64::from(node.engines_declared) - i64::from(node.engines_up)),
        NodeColumn::Running => node.running.map(i64::from),
        NodeColumn::Waiting => node.waiting.map(i64::from),
        NodeColumn::Flight => node.in_flight.map(i64::from),
        NodeColumn::Load => node.load_percent.map(i64::from),
        NodeColumn::Behind => node.applied.and_then(|it| i64::try_from(revision.saturating_sub(it.0)).ok()),
        NodeColumn::Age => node.age_ms(now).and_then(|it| i64::try_from(it).ok()),
        NodeColumn::Name | NodeColumn::Zone | NodeColumn::Rack | NodeColumn::Version => None,
    }
}

fn gpus(table: &mut Table, fleet: &Fleet, names: &Names, now: Timestamp) {
    let column = GpuColumn::ALL.get(table.sort).copied().unwrap_or(GpuColumn::Gpu);
    let mut rows = std::mem::take(&mut table.rows);
    rows.clear();
    let mut ranked: Vec<(Rank, u64)> = Vec::new();
    table.all = 0;
    for id in &fleet.order {
        let node = &fleet.nodes[*id as usize];
        for gpu in node.gpus.rows() {
            table.all += 1;
            if table.filter.as_ref().is_some_and(|it| !it.passes(&GpuAsked { node, gpu, names, now })) {
                continue;
            }
            let key = gpu_key(node.name, gpu.index);
            if column == GpuColumn::Gpu {
                rows.push(key);
            } else {
                ranked.push((rank(gpu_number(gpu, column), table.descending), key));
            }
        }
    }
    if column == GpuColumn::Gpu {
        if table.descending {
            rows.reverse();
        }
    } else {
        // Stable: equal readings stay in physical order.
        ranked.sort_by_key(|(rank, _)| *rank);
        rows.extend(ranked.into_iter().map(|(_, key)| key));
    }
    table.rows = rows;
    table.settle();
}

fn gpu_number(gpu: &Gpu, column: GpuColumn) -> Option<i64> {
    match column {
        GpuColumn::Util | GpuColumn::Bar => gpu.util.map(i64::from),
        GpuColumn::Vram => gpu.used_mib.map(i64::from),
        GpuColumn::Temp => gpu.temp_c.map(i64::from),
        GpuColumn::Power => gpu.power_w.map(i64::from),
        GpuColumn::Health => gpu.verdict.map(|it| it as i64),
        GpuColumn::Clock => gpu.clock_mhz.map(i64::from),
        GpuColumn::Throttle => gpu.throttle.map(|it| i64::try_from(it.0).unwrap_or(i64::MAX)),
        GpuColumn::Ecc => gpu.ecc_uncorrected.map(i64::from),
        GpuColumn::Gpu | GpuColumn::Model | GpuColumn::State => None,
    }
}

fn models(table: &mut Table, rows: &[ModelRow], names: &Names) {
    table.all = rows.len();
    let asked = |row: &ModelRow| table.filter.as_ref().is_none_or(|it| it.passes(&ModelAsked { row, names }));
    let mut found: Vec<&ModelRow> = rows.iter().filter(|it| asked(it)).collect();
    let number = |row: &ModelRow| match ModelColumn::ALL.get(table.sort).copied().unwrap_or(ModelColumn::Model) {
        ModelColumn::Model => None,
        ModelColumn::Targets => Some(i64::from(row.targets)),
        ModelColumn::Running => row.running.map(i64::from),
        ModelColumn::Waiting | ModelColumn::Trail => row.waiting.map(i64::from),
        ModelColumn::Flight => row.in_flight.map(i64::from),
        ModelColumn::Oldest => row.oldest_ms.and_then(|it| i64::try_from(it).ok()),
        ModelColumn::Kv => row.kv_most.map(i64::from),
        ModelColumn::Rate => row.rate.and_then(|it| i64::try_from(it.requests_milli_per_s).ok()),
        ModelColumn::Errors => row.rate.and_then(|it| i64::try_from(it.errors_milli_per_s).ok()),
        ModelColumn::Ttft => row.rate.and_then(|it| it.ttft_ms).and_then(|(_, p99)| i64::try_from(p99).ok()),
    };
    found.sort_by_key(|row| rank(number(row), table.descending));
    table.rows = found.iter().map(|row| node_key(row.name)).collect();
    table.settle();
}

struct NodeAsked<'a> {
    node: &'a Node,
    names: &'a Names,
    revision: u64,
    now: Timestamp,
}

impl Asked for NodeAsked<'_> {
    fn any(&self, field: Field, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        if let Some(text) = node_text(self.node, self.names, field) {
            return passes(Value::Text(text));
        }
        let node = self.node;
        match field {
            Field::Health => {
                let known = node.gpus.rows().iter().filter_map(|it| it.verdict);
                known.into_iter().any(|it| passes(Value::Text(verdict_word(it))))
            }
            Field::Role => ROLES.iter().any(|(role, name)| node.has(*role) && passes(Value::Text(name))),
            Field::Model => {
                node.engines.iter().flat_map(|it| &it.models).any(|it| passes(Value::Text(self.names.get(*it))))
            }
            Field::Engine => node
                .engines
                .iter()
                .any(|it| passes(Value::Text(self.names.get(it.name))) || passes(Value::Text(it.kind))),
            _ => self.number(field).is_some_and(|it| passes(Value::Number(it))),
        }
    }

    fn words(&self) -> &'static [Field] {
        &[Field::Name, Field::Zone, Field::Rack, Field::Phase, Field::Model]
    }
}

impl NodeAsked<'_> {
    fn number(&self, field: Field) -> Option<f64> {
        let node = self.node;
        match field {
            Field::Gpus => Some(f64::from(crate::text::u16_of(node.gpus.rows().len()))),
            Field::Util => node.util.map(f64::from),
            Field::Temp => node.temp_c.map(f64::from),
            Field::Vram => node.vram.map(f64::from),
            Field::Power => node.power_w.map(f64::from),
            Field::Age => node.age_ms(self.now).map(|it| std::time::Duration::from_millis(it).as_secs_f64()),
            Field::Waiting => node.waiting.map(f64::from),
            Field::Running => node.running.map(f64::from),
            Field::Flight => node.in_flight.map(f64::from),
            Field::Load => node.load_percent.map(|it| f64::from(it) / 100.0),
            Field::Kv => node.engines.iter().filter_map(|it| it.kv_percent).max().map(f64::from),
            Field::Down => Some(f64::from(crate::text::u16_of(node.engines.iter().filter(|it| !it.up).count()))),
            Field::Behind => {
                let behind = self.revision.saturating_sub(node.applied?.0);
                u32::try_from(behind).ok().map(f64::from)
            }
            _ => None,
        }
    }
}

const ROLES: [(Role, &str); 5] = [
    (Role::Coordinator, "coordinator"),
    (Role::Router, "router"),
    (Role::Gpu, "gpu"),
    (Role::Trainer, "trainer"),
    (Role::Edge, "edge"),
];

/// The word for a verdict, as filters take it.
fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Critical => "critical",
    }
}

/// The word for a phase, as filters take it.
pub(crate) fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Joining => "joining",
        Phase::Verifying => "verifying",
        Phase::Ready => "ready",
        Phase::Cordoned => "cordoned",
        Phase::Draining => "draining",
        Phase::Drained => "drained",
        Phase::Lost => "lost",
    }
}

fn node_text<'a>(node: &Node, names: &'a Names, field: Field) -> Option<&'a str> {
    match field {
        Field::Name => Some(names.get(node.name)),
        Field::Zone => node.zone.map(|it| names.get(it)),
        Field::Rack => node.rack.map(|it| names.get(it)),
        Field::Version => node.version.map(|it| names.get(it)),
        Field::Phase => Some(phase_word(node.phase)),
        _ => None,
    }
}

struct GpuAsked<'a> {
    node: &'a Node,
    gpu: &'a Gpu,
    names: &'a Names,
    now: Timestamp,
}

impl Asked for GpuAsked<'_> {
    fn any(&self, field: Field, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let (node, gpu) = (self.node, self.gpu);
        let number = match field {
            Field::Model => return gpu.name.is_some_and(|it| passes(Value::Text(self.names.get(it)))),
            Field::Gpu => Some(f64::from(gpu.index)),
            Field::Util => gpu.util.map(f64::from),
            Field::Temp => gpu.temp_c.map(f64::from),
            Field::Power => gpu.power_w.map(f64::from),
            Field::Vram => gpu.vram_percent().map(f64::from),
            Field::Ecc => gpu.ecc_uncorrected.map(f64::from),
            Field::Clock => gpu.clock_mhz.map(f64::from),
            Field::Health => return gpu.verdict.is_some_and(|it| passes(Value::Text(verdict_word(it)))),
            Field::Throttle => return gpu.throttle_word().is_some_and(|it| passes(Value::Text(it))),
            Field::Age => node.age_ms(self.now).map(|it| std::time::Duration::from_millis(it).as_secs_f64()),
            _ => return node_text(node, self.names, field).is_some_and(|it| passes(Value::Text(it))),
        };
        number.is_some_and(|it| passes(Value::Number(it)))
    }

    fn words(&self) -> &'static [Field] {
        &[Field::Name, Field::Zone, Field::Rack, Field::Model]
    }
}

struct ModelAsked<'a> {
    row: &'a ModelRow,
    names: &'a Names,
}

impl Asked for ModelAsked<'_> {
    fn any(&self, field: Field, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let row = self.row;
        let number = match field {
            Field::Name | Field::Model => return passes(Value::Text(self.names.get(row.name))),
            Field::Waiting => row.waiting,
            Field::Running => row.running,
            Field::Flight => row.in_flight,
            Field::Kv => row.kv_most.map(u32::from),
            _ => None,
        };
        number.is_some_and(|it| passes(Value::Number(f64::from(it))))
    }

    fn words(&self) -> &'static [Field] {
        &[Field::Model]
    }
}

struct EventAsked<'a>(&'a EventRow);

impl Asked for EventAsked<'_> {
    fn any(&self, field: Field, passes: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let text = match field {
            Field::Severity => self.0.severity.as_str(),
            Field::Subject => &self.0.subject,
            Field::Actor => &self.0.actor,
            Field::Text => &self.0.text,
            // An event about `node/NAME` is about that node.
            Field::Name => self.0.subject.rsplit('/').next().unwrap_or_default(),
            _ => return false,
        };
        passes(Value::Text(text))
    }

    fn words(&self) -> &'static [Field] {
        &[Field::Subject, Field::Text, Field::Actor]
    }
}
