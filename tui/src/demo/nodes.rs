//! The nodes of a demo: what each of them says at a given time.

use mesh_core::{
    gpu::{EccErrors, ThrottleReasons},
    id::{Digest, NodeName, ObjectName, Revision},
    kind::{DrainMode, DrainSpec, EngineKind, EngineSpec, NodeSpec, Role},
    status::{
        DecisionCount, EngineSample, GpuSample, HostSample, InflightSample, LoadedStrategy, NodeStatus, NodeView,
        Phase, Probe, RouterSample,
    },
    time::Timestamp,
    traffic::{AnswerCount, LatencyHistogram, ModelTraffic},
};

use crate::{NodeRow, Severity};

const GPUS: u32 = 8;
const RACK: u32 = 14;
const GIB: u64 = 1024 * 1024 * 1024;
const MODELS: [&str; 5] = ["llama-70b", "mixtral-8x22b", "qwen-72b", "llama-8b", "embed-e5"];
/// One node in so many is a router; the first few are coordinators too.
const ROUTER_EACH: u32 = 1_250;

/// What is wrong with a node for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Lost,
    Hot,
    Engine,
    Silent,
}

/// A fleet of a size.
pub(super) struct Fleet {
    nodes: u32,
    digits: usize,
}

/// A well mixed number out of two (splitmix64).
fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(b.wrapping_mul(0xd1b5_4a32_d192_ed03));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A value from 0 to 1000 that moves slowly and without jumps.
fn wave(seed: u64, t_ms: u64) -> u64 {
    const STEP_MS: u64 = 12_000;
    let (step, part) = (t_ms / STEP_MS, t_ms % STEP_MS);
    let (from, to) = (mix(seed, step) % 1001, mix(seed, step + 1) % 1001);
    (from * (STEP_MS - part) + to * part) / STEP_MS
}

/// A number between 0 and 1000 as a share of `most`.
fn scaled(thousandth: u64, most: f32) -> f32 {
    f32::from(u16::try_from(thousandth.min(1000)).unwrap_or(1000)) / 1000.0 * most
}

impl Fleet {
    pub(super) fn new(nodes: u32) -> Self {
        Self { nodes, digits: nodes.to_string().len().max(3) }
    }

    pub(super) fn len(&self) -> u32 {
        self.nodes
    }

    pub(super) fn voters(&self) -> u32 {
        match self.nodes {
            0..3 => self.nodes.min(1),
            3..5 => 3,
            _ => 5,
        }
    }

    fn routers(&self) -> u32 {
        (self.nodes / ROUTER_EACH).max(2).min(self.nodes)
    }

    /// The first nodes, which are coordinators or routers.
    pub(super) fn special(&self) -> u32 {
        self.voters().max(self.routers())
    }

    pub(super) fn name(&self, id: u32) -> String {
        format!("n-{id:0width$}", width = self.digits)
    }

    /// Which trouble a node has: a few nodes are prone to one, which comes and goes.
    fn trouble(&self, id: u32, t_ms: u64) -> Trouble {
        if id < self.special() {
            return Trouble::None;
        }
        let kind = match mix(u64::from(id), 1) % 1000 {
            0..3 => Trouble::Lost,
            3..9 => Trouble::Hot,
            9..14 => Trouble::Engine,
            14..16 => Trouble::Silent,
            // Every rack of a hundred has bad cooling.
            _ if (id / RACK) % 100 == 37 => Trouble::Hot,
            _ => return Trouble::None,
        };
        let (period, phase) = (240_000, mix(u64::from(id / RACK), 2) % 240_000);
        let lasts = 60_000 + mix(u64::from(id), 3) % 90_000;
        if (t_ms + phase) % period < lasts { kind } else { Trouble::None }
    }

    /// What changed between two times, in words.
    pub(super) fn news(&self, id: u32, before_ms: u64, now_ms: u64) -> Option<(Severity, String)> {
        let (before, now) = (self.trouble(id, before_ms), self.trouble(id, now_ms));
        (before != now).then(|| match now {
            Trouble::None if before == Trouble::Lost => (Severity::Info, "Lost -> Ready".to_owned()),
            Trouble::None => (Severity::Info, "in order again".to_owned()),
            Trouble::Lost => (Severity::Critical, "Ready -> Lost: neither stream nor gossip hears it".to_owned()),
            Trouble::Hot => (Severity::Warning, "GPU 3 above 85 °C".to_owned()),
            Trouble::Engine => (Severity::Warning, "engine e0 does not answer: connection refused".to_owned()),
            Trouble::Silent => (Severity::Warning, "no statement for 10 s".to_owned()),
        })
    }

    /// One node at a time.
    pub(super) fn row(
        &self,
        id: u32,
        (t_ms, now): (u64, Timestamp),
        revision: u64,
        drain: Option<&DrainSpec>,
    ) -> NodeRow {
        let trouble = self.trouble(id, t_ms);
        let name = NodeName::new(self.name(id)).expect("made of letters and digits");
        let phase = match (trouble, drain) {
            (Trouble::Lost, _) => Phase::Lost,
            (_, Some(it)) if it.drained_at.is_some() => Phase::Drained,
            (_, Some(it)) if it.mode == DrainMode::Drain => Phase::Draining,
            (_, Some(_)) => Phase::Cordoned,
            (_, None) => Phase::Ready,
        };
        let age_ms = match trouble {
            Trouble::Lost => 45_000 + mix(u64::from(id), 4) % 60_000,
            Trouble::Silent => 14_000,
            Trouble::None | Trouble::Hot | Trouble::Engine => 300 + mix(u64::from(id), 5) % 700,
        };
        let blockers = if phase == Phase::Draining { vec!["12 requests in flight".to_owned()] } else { Vec::new() };
        let view = NodeView {
            node: name.clone(),
            phase,
            since: Some(drain.map_or(Timestamp(now.0.saturating_sub(t_ms)), |it| it.at)),
            status: Some(self.status((id, name), (t_ms, trouble), revision)),
            age_ms: Some(age_ms),
            blockers,
        };
        NodeRow { view, spec: self.spec(id), drain: drain.cloned() }
    }

    fn is_gpu(&self, id: u32) -> bool {
        id >= self.special() || self.nodes <= self.special()
    }

    fn spec(&self, id: u32) -> NodeSpec {
        let mut roles = std::collections::BTreeSet::new();
        if id < self.voters() {
            roles.insert(Role::Coordinator);
        }
        if id < self.routers() {
            roles.insert(Role::Router);
        }
        if self.is_gpu(id) {
            roles.insert(Role::Gpu);
        }
        let address = format!("10.{}.{}.{}", id >> 16 & 0xff, id >> 8 & 0xff, id & 0xff);
        let engines = if self.is_gpu(id) { vec![engine_spec()] } else { Vec::new() };
        let quarter = u64::from(id) * 4 / u64::from(self.nodes.max(1));
        let zone = ["a", "b", "c"].get(usize::try_from(quarter).unwrap_or(3)).unwrap_or(&"d");
        NodeSpec {
            roles,
            api: format!("{address}:7443"),
            gossip: format!("{address}:7946"),
            address,
            voter: (id < self.voters()).then(|| u64::from(id) + 1),
            incarnation: 1,
            zone: Some(format!("sim-{zone}")),
            labels: [("rack".to_owned(), format!("r{:02}", id / RACK))].into(),
            engines,
        }
    }

    fn status(&self, (id, node): (u32, NodeName), (t_ms, trouble): (u64, Trouble), revision: u64) -> NodeStatus {
        let load = wave(mix(u64::from(id), 6), t_ms);
        NodeStatus {
            node,
            generation: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digest: Digest::default(),
            applied: Revision(revision),
            host: HostSample {
                cpus: Some(128),
                load_1m: Some(scaled(load, 40.0)),
                memory_bytes: Some(1024 * GIB),
                memory_available_bytes: Some((300 + load / 4) * GIB),
                kernel: None,
            },
            gpus: Probe::Read(if self.is_gpu(id) { gpus(id, t_ms, trouble) } else { Vec::new() }),
            engines: if self.is_gpu(id) { vec![self.engine(id, t_ms, trouble)] } else { Vec::new() },
            router: (id < self.routers()).then(|| self.router(t_ms, revision)),
            unreachable: Vec::new(),
        }
    }

    fn model(&self, id: u32) -> usize {
        [0, 0, 0, 1, 1, 2, 2, 3, 3, 4][usize::try_from(mix(u64::from(id / 4), 8) % 10).unwrap_or(0)]
    }

    fn engine(&self, id: u32, t_ms: u64, trouble: Trouble) -> EngineSample {
        let up = trouble != Trouble::Engine;
        let model = self.model(id);
        let load = wave(mix(u64::from(id), 9), t_ms);
        // The queue of one model grows for a while, four minutes around.
        let surge = if model == 1 { (t_ms % 240_000).saturating_sub(80_000).min(60_000) / 2_000 } else { 0 };
        let known = |n: u64| up.then(|| u32::try_from(n).unwrap_or(u32::MAX));
        EngineSample {
            name: engine_name(),
            kind: EngineKind::Standin,
            url: "http://simulated".to_owned(),
            up,
            error: (!up).then(|| "connection refused".to_owned()),
            models: if up { vec![MODELS[model].to_owned()] } else { Vec::new() },
            running: known(20 + load / 25),
            waiting: known(load / 250 + surge),
            kv_used: up.then(|| 0.35 + scaled(load, 0.5)),
            capacity: Some(64.0),
            age_ms: 200,
        }
    }

    fn router(&self, t_ms: u64, revision: u64) -> RouterSample {
        let share = u64::from(self.nodes / self.routers().max(1));
        let inflight = (0..64_u32.min(self.nodes)).filter(|id| self.is_gpu(*id + self.special())).map(|id| {
            let id = (id + self.special()).min(self.nodes.saturating_sub(1));
            InflightSample {
                node: NodeName::new(self.name(id)).expect("made of letters and digits"),
                engine: engine_name(),
                model: MODELS[self.model(id)].to_owned(),
                count: u32::try_from(4 + wave(mix(u64::from(id), 10), t_ms) / 50).unwrap_or(0),
                oldest_ms: 800 + wave(mix(u64::from(id), 11), t_ms) * 9,
            }
        });
        let decided = |outcome: &str, each_s: u64| DecisionCount {
            strategy: "least_queue".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            outcome: outcome.to_owned(),
            count: t_ms / 1_000 * each_s,
        };
        RouterSample {
            listen: "127.0.0.1:8080".to_owned(),
            metrics: "127.0.0.1:9444".to_owned(),
            acked: Revision(revision),
            inflight: inflight.collect(),
            queued: u32::try_from(wave(12, t_ms) / 60).unwrap_or(0),
            strategy: Some(LoadedStrategy {
                name: "least_queue".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                digest: None,
                seq: 7,
                error: None,
            }),
            decisions: vec![decided("ok", 3 * share.max(1)), decided("abstain", 1)],
            traffic: MODELS.iter().map(|model| traffic(model, t_ms / 1_000, share.max(1))).collect(),
            age_ms: 150,
        }
    }
}

fn gpus(id: u32, t_ms: u64, trouble: Trouble) -> Vec<GpuSample> {
    let seed = u64::from(id);
    let base = wave(mix(seed, 7), t_ms);
    let corrected = mix(seed, 13) % 4;
    // One GPU in thousands has lost something.
    let has_lost = mix(seed, 14).is_multiple_of(900);
    let gpu = |index: u32| {
        let own = wave(mix(seed, 100 + u64::from(index)), t_ms);
        let busy = (450 + base * 2 / 5 + own / 6).min(1000);
        // One GPU in fifty has no work.
        let busy = if mix(seed, u64::from(index)).is_multiple_of(50) { 0 } else { busy };
        let heat = if trouble == Trouble::Hot && index == 3 { 28.0 } else { 0.0 };
        GpuSample {
            index,
            name: Some("SIM-80G".to_owned()),
            utilisation_percent: Some(scaled(busy, 100.0)),
            memory_used_bytes: Some((40 + own * 38 / 1000) * GIB),
            memory_total_bytes: Some(80 * GIB),
            temperature_c: Some(42.0 + scaled(busy, 24.0) + heat),
            power_w: Some(90.0 + scaled(busy, 560.0)),
            power_limit_w: Some(700.0),
            sm_clock_mhz: Some(if heat > 0.0 { 1_095 } else { 1_980 }),
            throttle_reasons: Some(if heat > 0.0 {
                ThrottleReasons::HW_THERMAL_SLOWDOWN
            } else if busy > 900 {
                ThrottleReasons::SW_POWER_CAP
            } else {
                ThrottleReasons::default()
            }),
            ecc: EccErrors {
                volatile_corrected: Some(corrected),
                volatile_uncorrected: Some(u64::from(index == 5 && has_lost)),
                ..EccErrors::default()
            },
            ..GpuSample::default()
        }
    };
    (0..GPUS).map(gpu).collect()
}

/// What went through in so many seconds, at a steady rate.
fn traffic(model: &str, seconds: u64, each_s: u64) -> ModelTraffic {
    let answers = [(200, seconds * each_s), (429, seconds / 7), (502, seconds / 31)];
    let counts = [5, 60, 25, 9, 1].map(|percent| seconds * each_s * percent / 100);
    ModelTraffic {
        model: model.to_owned(),
        answers: answers.map(|(code, count)| AnswerCount { code, count }).to_vec(),
        retries: seconds / 13,
        ttft: LatencyHistogram { bounds_s: vec![0.05, 0.25, 0.5, 1.0], counts: counts.to_vec() },
    }
}

fn engine_name() -> ObjectName {
    ObjectName::new("e0").expect("`e0` is a legal name")
}

fn engine_spec() -> EngineSpec {
    EngineSpec {
        name: engine_name(),
        kind: EngineKind::Standin,
        url: "http://simulated:8000".to_owned(),
        models: Vec::new(),
        capacity: Some(64),
    }
}
