//! Pictures to draw: a small lab of seven nodes as a local mesh reports them, and synthetic fleets.

use std::{collections::BTreeSet, time::Duration};

use mesh_core::{
    id::{Digest, MeshName, NodeName, ObjectName, PartyKind, Principal, Revision},
    kind::{ActivationSpec, Brain, Builtin, DrainKind, DrainMode, DrainSpec, EngineKind, EngineSpec, NodeSpec, Role},
    status::{
        DecisionCount, EngineSample, HostSample, InflightSample, LoadedStrategy, NodeStatus, NodeView, Phase, Probe,
        RouterSample,
    },
    time::Timestamp,
};

use crate::{
    Caps, ClusterView, Colors, EventRow, FeedEvent, NodeRow, NodesPicture, Options, Picture, Severity, VoterView,
};

pub(super) const NOW: Timestamp = Timestamp(1_767_225_600_000);

pub(super) fn options(colors: Colors, utf8: bool) -> Options {
    Options {
        context: "lab".to_owned(),
        operator: "ada".to_owned(),
        read_only: false,
        demo: None,
        caps: Caps { colors, utf8, dumb: false },
        interval: Options::INTERVAL,
    }
}

pub(super) fn plain() -> Options {
    options(Colors::Mono, true)
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

pub(super) fn operator() -> Principal {
    let mesh = MeshName::new("lab").unwrap();
    Principal { mesh, kind: PartyKind::Operator, name: ObjectName::new("ada").unwrap() }
}

fn engine(up: bool, waiting: u32) -> EngineSample {
    EngineSample {
        name: ObjectName::new("e0").unwrap(),
        kind: EngineKind::Standin,
        url: "http://10.0.0.1:8000".to_owned(),
        up,
        error: (!up).then(|| "connection refused".to_owned()),
        models: if up { vec!["tiny".to_owned()] } else { Vec::new() },
        running: up.then_some(3),
        waiting: up.then_some(waiting),
        kv_used: up.then_some(0.41),
        capacity: Some(8.0),
        age_ms: 100,
    }
}

fn router(acked: u64) -> RouterSample {
    RouterSample {
        listen: "127.0.0.1:8080".to_owned(),
        metrics: "127.0.0.1:9444".to_owned(),
        acked: Revision(acked),
        inflight: vec![InflightSample {
            node: name("gpu-1"),
            engine: ObjectName::new("e0").unwrap(),
            model: "tiny".to_owned(),
            count: 3,
            oldest_ms: 1_200,
        }],
        queued: 0,
        strategy: Some(LoadedStrategy {
            name: "least_queue".to_owned(),
            version: "0.1.0".to_owned(),
            digest: None,
            seq: 2,
            error: None,
        }),
        traffic: Vec::new(),
        decisions: vec![DecisionCount {
            strategy: "least_queue".to_owned(),
            version: "0.1.0".to_owned(),
            outcome: "ok".to_owned(),
            count: 1_204,
        }],
        age_ms: 150,
    }
}

/// One node of the lab. The first three coordinate, the next one routes, the last three have GPUs that nobody reads.
fn row(id: usize) -> NodeRow {
    let (node, role) = match id {
        0..3 => (format!("ctl-{}", id + 1), Role::Coordinator),
        3 => ("edge-1".to_owned(), Role::Router),
        _ => (format!("gpu-{}", id - 3), Role::Gpu),
    };
    let gpu = role == Role::Gpu;
    let status = NodeStatus {
        node: name(&node),
        generation: 1,
        version: "0.1.0".to_owned(),
        digest: Digest::default(),
        applied: Revision(42),
        host: HostSample {
            cpus: Some(2),
            load_1m: Some(1.25),
            memory_bytes: Some(8 << 30),
            memory_available_bytes: Some(5 << 30),
            kernel: Some("6.1.0".to_owned()),
        },
        gpus: if gpu {
            Probe::Unavailable("libnvidia-ml.so.1: cannot open shared object file".to_owned())
        } else {
            Probe::Read(Vec::new())
        },
        engines: if gpu { vec![engine(true, 0)] } else { Vec::new() },
        router: (role == Role::Router).then(|| router(42)),
        unreachable: Vec::new(),
    };
    let declared = EngineSpec {
        name: ObjectName::new("e0").unwrap(),
        kind: EngineKind::Standin,
        url: "http://10.0.0.1:8000".to_owned(),
        models: Vec::new(),
        capacity: Some(8),
    };
    let spec = NodeSpec {
        roles: BTreeSet::from([role]),
        address: format!("10.0.0.{}", id + 1),
        api: format!("10.0.0.{}:7443", id + 1),
        gossip: format!("10.0.0.{}:7946", id + 1),
        voter: (role == Role::Coordinator).then_some(1),
        incarnation: 1,
        zone: Some("a".to_owned()),
        engines: if gpu { vec![declared] } else { Vec::new() },
        ..NodeSpec::default()
    };
    let view = NodeView {
        node: name(&node),
        phase: Phase::Ready,
        since: Some(Timestamp(NOW.0 - 600_000)),
        status: Some(status),
        age_ms: Some(400),
        blockers: Vec::new(),
    };
    NodeRow { view, spec, drain: None }
}

pub(super) fn healthy_rows() -> Vec<NodeRow> {
    (0..7).map(row).collect()
}

fn drain(mode: DrainMode) -> DrainSpec {
    DrainSpec {
        mode,
        reason: Some("new disk".to_owned()),
        kind: DrainKind::Operator,
        by: operator(),
        at: Timestamp(NOW.0 - 125_000),
        deadline: Some(Timestamp(NOW.0 + 1_675_000)),
        force: false,
        drained_at: None,
    }
}

/// A lost coordinator, an engine that is down, a blocked drain, a replica behind, a fallback strategy.
pub(super) fn incident_rows() -> Vec<NodeRow> {
    let mut rows = healthy_rows();
    rows[1].view.phase = Phase::Lost;
    rows[1].view.age_ms = Some(47_000);
    rows[1].view.since = Some(Timestamp(NOW.0 - 41_000));
    if let Some(status) = &mut rows[2].view.status {
        status.applied = Revision(38);
    }
    if let Some(status) = &mut rows[3].view.status {
        status.router = Some(RouterSample {
            acked: Revision(40),
            strategy: Some(LoadedStrategy {
                name: "baseline_rr".to_owned(),
                version: "0.1.0".to_owned(),
                digest: None,
                seq: 3,
                error: Some("sha256 of the module does not match".to_owned()),
            }),
            ..router(40)
        });
        if let Some(router) = &mut status.router {
            router.decisions.push(DecisionCount {
                strategy: "sticky".to_owned(),
                version: "1.2.0".to_owned(),
                outcome: "trap".to_owned(),
                count: 40,
            });
        }
    }
    if let Some(status) = &mut rows[4].view.status {
        status.engines = vec![engine(false, 0)];
    }
    rows[5].view.phase = Phase::Draining;
    rows[5].view.blockers = vec!["2 requests in flight, the oldest for 94 s".to_owned()];
    rows[5].drain = Some(drain(DrainMode::Drain));
    rows[6].view.phase = Phase::Cordoned;
    rows[6].drain = Some(drain(DrainMode::Cordon));
    rows
}

pub(super) fn nodes(rows: Vec<NodeRow>, at: Timestamp) -> FeedEvent {
    FeedEvent::Nodes(NodesPicture {
        rows,
        whole: true,
        at,
        revision: Revision(42),
        latest: true,
        leader_age_ms: Some(90),
    })
}

fn cluster(missing: bool) -> FeedEvent {
    let voter = |node: &str, missing| VoterView { node: node.to_owned(), heard_ms: Some(90), missing };
    FeedEvent::Cluster(ClusterView {
        mesh: MeshName::new("lab").ok(),
        leader: Some("ctl-1".to_owned()),
        term: 3,
        voters: vec![voter("ctl-1", false), voter("ctl-2", missing), voter("ctl-3", false)],
        quorum: true,
        revision: Revision(42),
    })
}

fn event(seq: u64, severity: Severity, subject: &str, text: &str) -> FeedEvent {
    let at = Timestamp(NOW.0 - 60_000 + seq * 1_000);
    let (subject, actor) = (subject.to_owned(), if seq.is_multiple_of(3) { "ada".to_owned() } else { String::new() });
    FeedEvent::Event(EventRow { seq, at, severity, subject, actor, text: text.to_owned() })
}

fn strategy() -> FeedEvent {
    FeedEvent::Strategy(Some(ActivationSpec {
        seq: 3,
        active: Brain::Builtin(Builtin::LeastQueue),
        previous: Brain::Builtin(Builtin::BaselineRr),
        by: operator(),
        at: Timestamp(NOW.0 - 3_600_000),
    }))
}

pub(super) fn up(picture: &mut Picture) {
    picture.feed(FeedEvent::Up { endpoint: "10.0.0.1:7443".to_owned() }, NOW);
}

/// The lab in order.
pub(super) fn healthy(options: &Options) -> Picture {
    let mut picture = Picture::new(options);
    up(&mut picture);
    for event in [cluster(false), strategy(), nodes(healthy_rows(), NOW)] {
        picture.feed(event, NOW);
    }
    picture.feed(event(1, Severity::Info, "node/gpu-1", "Verifying -> Ready"), NOW);
    picture
}

/// The lab with much wrong in it.
pub(super) fn incident(options: &Options) -> Picture {
    let mut picture = Picture::new(options);
    up(&mut picture);
    for event in [cluster(true), strategy(), nodes(incident_rows(), NOW)] {
        picture.feed(event, NOW);
    }
    picture.feed(event(1, Severity::Info, "node/gpu-2", "Ready -> Draining"), NOW);
    picture.feed(event(2, Severity::Critical, "node/ctl-2", "Ready -> Lost"), NOW);
    picture.feed(event(3, Severity::Warning, "node/gpu-1", "engine e0 \u{1b}[31mdown\u{7}: connection refused"), NOW);
    picture
}

/// Nothing was told.
pub(super) fn empty(options: &Options) -> Picture {
    Picture::new(options)
}

/// The lab 20 seconds after the last word of it.
pub(super) fn stale(options: &Options) -> (Picture, Timestamp) {
    let mut picture = healthy(options);
    let now = NOW.plus_ms(20_000);
    let retry_in = Duration::from_secs(4);
    picture.feed(FeedEvent::Down { why: "connection refused by 10.0.0.1:7443".to_owned(), attempt: 3, retry_in }, now);
    (picture, now)
}
