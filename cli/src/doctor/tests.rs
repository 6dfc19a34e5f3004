//! One healthy picture, and everything that can go wrong with it.

use mesh_core::{
    gpu::GpuSample,
    id::{Digest, MeshName},
    kind::{DrainKind, DrainMode, DrainSpec, EngineKind, EngineSpec, NodeSpec, Role},
    status::{
        DecisionCount, EngineSample, HostSample, LoadedStrategy, NodeStatus, NodeView, Phase, Probe, RouterSample,
    },
};
use mesh_tui::VoterView;

use super::*;
use crate::Exit;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn row(name: &str, roles: &[Role]) -> NodeRow {
    let engine = EngineSample {
        name: "e".parse().unwrap(),
        kind: EngineKind::Vllm,
        url: "http://10.0.0.9:8000".to_owned(),
        up: true,
        error: None,
        models: vec!["m".to_owned()],
        running: None,
        waiting: None,
        kv_used: None,
        capacity: None,
        age_ms: 100,
    };
    let router = RouterSample {
        listen: "127.0.0.1:8080".to_owned(),
        metrics: "127.0.0.1:9444".to_owned(),
        acked: Revision(9),
        inflight: Vec::new(),
        queued: 0,
        strategy: Some(LoadedStrategy {
            name: "hybrid".to_owned(),
            version: "1.0".to_owned(),
            digest: None,
            seq: 1,
            error: None,
        }),
        decisions: vec![decisions("ok", 90)],
        traffic: Vec::new(),
        age_ms: 200,
    };
    let (is_gpu, is_router) = (roles.contains(&Role::Gpu), roles.contains(&Role::Router));
    let declared = EngineSpec {
        name: engine.name.clone(),
        kind: engine.kind,
        url: engine.url.clone(),
        models: Vec::new(),
        capacity: None,
    };
    let status = NodeStatus {
        node: name.parse().unwrap(),
        generation: 1,
        version: "0.1.0".to_owned(),
        digest: Digest::default(),
        applied: Revision(9),
        host: HostSample::default(),
        gpus: Probe::Read(if is_gpu { vec![GpuSample::default()] } else { Vec::new() }),
        engines: if is_gpu { vec![engine] } else { Vec::new() },
        router: is_router.then_some(router),
        unreachable: Vec::new(),
    };
    NodeRow {
        view: NodeView {
            node: name.parse().unwrap(),
            phase: Phase::Ready,
            since: Some(Timestamp(NOW.0 - 3_600_000)),
            status: Some(status),
            age_ms: Some(300),
            blockers: Vec::new(),
        },
        spec: NodeSpec {
            roles: roles.iter().copied().collect(),
            engines: if is_gpu { vec![declared] } else { Vec::new() },
            ..NodeSpec::default()
        },
        drain: None,
    }
}

fn decisions(outcome: &str, count: u64) -> DecisionCount {
    DecisionCount { strategy: "hybrid".to_owned(), version: "1.0".to_owned(), outcome: outcome.to_owned(), count }
}

/// Three coordinators that route as well, and one GPU host.
fn healthy() -> Picture {
    let names = ["node-1", "node-2", "node-3"];
    let voter = |name: &&str| VoterView { node: (*name).to_owned(), heard_ms: Some(50), missing: false };
    let door =
        |name: &&str| DoorView { node: name.parse().unwrap(), api: "10.0.0.1:7443".parse().unwrap(), refusal: None };
    let mut rows: Vec<NodeRow> = names.iter().map(|name| row(name, &[Role::Coordinator, Role::Router])).collect();
    rows.push(row("gpu-1", &[Role::Gpu]));
    Picture {
        now: NOW,
        is_local: true,
        broken: Vec::new(),
        certificate: Some(Certificate {
            me: Principal::operator(&MeshName::new("m").unwrap(), "ada".parse().unwrap()),
            not_before: Timestamp(NOW.0 - 3_600_000),
            not_after: Timestamp(NOW.0 + 11 * 3_600_000),
        }),
        disk: Some(Disk { path: "/h".to_owned(), free_bytes: 50 << 30, total_bytes: 100 << 30 }),
        doors: names.iter().map(door).collect(),
        cluster: Some(ClusterView {
            mesh: None,
            leader: Some("node-1".to_owned()),
            term: 1,
            voters: names.iter().map(voter).collect(),
            quorum: true,
            revision: Revision(9),
        }),
        clocks: Vec::new(),
        settled: Revision(9),
        nodes: Some(rows),
    }
}

/// The findings of the healthy picture after a change, one line each.
fn check(change: impl FnOnce(&mut Picture), expected: &[&str]) {
    let mut picture = healthy();
    change(&mut picture);
    let line = |it: &Finding| {
        let why = it.why.as_deref().map(|why| format!(" [{why}]")).unwrap_or_default();
        format!("{} {}: {}{why} -> {}", it.severity.as_str(), it.subject, it.what, it.next)
    };
    let found: Vec<String> = diagnose(&picture).iter().map(line).collect();
    assert_eq!(found, expected);
}

fn row_of(picture: &mut Picture, at: usize) -> &mut NodeRow {
    &mut picture.nodes.as_mut().unwrap()[at]
}

fn status_of(picture: &mut Picture, at: usize) -> &mut NodeStatus {
    row_of(picture, at).view.status.as_mut().unwrap()
}

fn router_of(picture: &mut Picture) -> &mut RouterSample {
    status_of(picture, 0).router.as_mut().unwrap()
}

fn lose(picture: &mut Picture, at: usize) {
    let view = &mut row_of(picture, at).view;
    (view.phase, view.since, view.age_ms) = (Phase::Lost, Some(Timestamp(NOW.0 - 60_000)), Some(65_000));
}

fn refuse(picture: &mut Picture, at: usize, is_identity: bool) {
    picture.doors[at].refusal = Some(Refused { why: "connection refused".to_owned(), is_identity });
}

fn miss(picture: &mut Picture, at: usize) {
    let voter = &mut picture.cluster.as_mut().unwrap().voters[at];
    (voter.missing, voter.heard_ms) = (true, Some(65_000));
}

#[test]
fn this_machine() {
    check(|_| (), &[]);
    check(
        |it| it.broken.push(Failure::new(Exit::Invalid, "cannot read config.toml").at("config.toml:2").why("what")),
        &["error this machine: cannot read config.toml [config.toml:2: what] -> mesh context ls"],
    );
    let certificate = |it: &mut Picture, begin: u64, end: u64| {
        let old = it.certificate.as_mut().unwrap();
        (old.not_before, old.not_after) = (Timestamp(begin), Timestamp(end));
    };
    check(
        |it| certificate(it, 0, NOW.0 - 120_000),
        &["error credentials: the certificate of ada ended 2m ago -> mesh up"],
    );
    check(
        |it| certificate(it, 0, NOW.0 + 600_000),
        &[
            "warning credentials: the certificate of ada ends in 10m [every command tries to renew it, and that has not \
           worked lately] -> mesh up",
        ],
    );
    check(
        |it| certificate(it, NOW.0 + 600_000, u64::MAX),
        &[
            "error clock: the clock of this machine is behind the one that made the certificate [the certificate of ada \
           begins in 10m] -> timedatectl status",
        ],
    );
    let disk = |free_bytes, total_bytes| Some(Disk { path: "/h".to_owned(), free_bytes, total_bytes });
    let full = diagnose(&Picture { disk: disk(1 << 30, 100 << 30), ..healthy() });
    assert_eq!((full.len(), full[0].severity, full[0].next.as_str()), (1, Severity::Warning, "df -h /h"));
    assert_eq!(diagnose(&Picture { disk: disk(0, 0), ..healthy() }).len(), 1);
}

#[test]
fn a_stopped_coordinator_is_named_once_with_the_command_that_starts_it() {
    check(
        |it| {
            lose(it, 1);
            refuse(it, 1, false);
            miss(it, 1);
        },
        &[
            "error node/node-2: lost for 1m [last heard 1m5s ago] -> mesh up node-2",
            "warning mesh: one voter more that goes missing, and nothing can be changed any more [2 of 3 voters are \
             there, 2 are needed; missing: node-2 (last heard 1m5s ago)] -> mesh up node-2",
        ],
    );
}

#[test]
fn the_mesh() {
    check(
        |it| refuse(it, 0, false),
        &["error node/node-1: its agent does not answer at 10.0.0.1:7443 [connection refused] -> mesh up node-1"],
    );
    check(
        |it| {
            it.is_local = false;
            refuse(it, 0, true);
        },
        &["error node/node-1: its agent does not answer at 10.0.0.1:7443 [connection refused] -> mesh context ls; \
           mesh get bindings"],
    );
    check(
        |it| {
            (0..3).for_each(|at| refuse(it, at, false));
            (it.cluster, it.nodes) = (None, None);
        },
        &["error mesh: none of the 3 agents of the context answers [node-1: connection refused] -> mesh up"],
    );
    check(
        |it| {
            miss(it, 1);
            miss(it, 2);
            it.cluster.as_mut().unwrap().quorum = false;
        },
        &[
            "error mesh: no quorum: nothing can be changed, nodes serve on with what they know [1 of 3 voters are there, \
           2 are needed; missing: node-2 (last heard 1m5s ago), node-3 (last heard 1m5s ago)] -> mesh up node-2",
        ],
    );
    let other = |it: &mut Picture| status_of(it, 3).version = "0.2.0".to_owned();
    let found = diagnose(&{
        let mut it = healthy();
        other(&mut it);
        it
    });
    assert!(found.len() == 1 && found[0].why.as_deref().unwrap().ends_with("on gpu-1"), "{found:?}");
}

#[test]
fn nodes() {
    let next = "mesh logs gpu-1 -u agentd --level warn";
    check(
        |it| status_of(it, 3).applied = Revision(7),
        &[&format!("warning node/gpu-1: behind: it is at revision 7, the mesh is at 9 -> {next}")],
    );
    check(
        |it| row_of(it, 3).view.age_ms = Some(20_000),
        &[&format!("warning node/gpu-1: nothing new of it for 20s -> {next}")],
    );
    check(
        |it| {
            let view = &mut row_of(it, 3).view;
            (view.phase, view.since, view.status) = (Phase::Joining, None, None);
        },
        &["warning node/gpu-1: declared, and never seen -> mesh up gpu-1"],
    );
    let drain = |it: &mut Picture, deadline: u64, blockers: &[&str]| {
        let row = row_of(it, 3);
        row.view.phase = Phase::Draining;
        row.view.blockers = blockers.iter().map(|it| (*it).to_owned()).collect();
        row.drain = Some(DrainSpec {
            mode: DrainMode::Drain,
            reason: None,
            kind: DrainKind::Operator,
            by: Principal::operator(&MeshName::new("m").unwrap(), "ada".parse().unwrap()),
            at: NOW,
            deadline: Some(Timestamp(deadline)),
            force: false,
            drained_at: None,
        });
    };
    let next = "mesh drain status gpu-1; mesh drain gpu-1 --force cuts what is left";
    check(|it| drain(it, NOW.0 + 1, &[]), &[]);
    let blocked = format!("warning node/gpu-1: its drain is blocked [2 requests] -> {next}");
    check(|it| drain(it, NOW.0 + 1, &["2 requests"]), &[&blocked]);
    let late = format!("error node/gpu-1: its drain has passed its deadline [2 requests] -> {next}");
    check(|it| drain(it, NOW.0 - 1, &["2 requests"]), &[&late]);
}

#[test]
fn engines_and_gpus() {
    let next = "on the host of gpu-1: curl -sS http://10.0.0.9:8000/v1/models";
    check(
        |it| {
            let engine = &mut status_of(it, 3).engines[0];
            (engine.up, engine.error) = (false, Some("connection refused".to_owned()));
        },
        &[&format!("error engine/gpu-1/e: does not answer at http://10.0.0.9:8000 [connection refused] -> {next}")],
    );
    check(
        |it| status_of(it, 3).engines.clear(),
        &[&format!("warning engine/gpu-1/e: never seen at http://10.0.0.9:8000 -> {next}")],
    );
    check(
        |it| {
            status_of(it, 3).engines.clear();
            row_of(it, 3).spec.engines[0].kind = EngineKind::Standin;
        },
        &["warning engine/gpu-1/e: never seen at http://10.0.0.9:8000 -> mesh logs gpu-1 -u engine"],
    );
    let next = "on the host of gpu-1: nvidia-smi -q";
    check(
        |it| status_of(it, 3).gpus = Probe::Unavailable("no driver".to_owned()),
        &[&format!("warning node/gpu-1: its GPUs cannot be read [no driver] -> {next}")],
    );
    check(
        |it| {
            status_of(it, 3).gpus = Probe::Unavailable("no driver".to_owned());
            row_of(it, 3).spec.engines[0].kind = EngineKind::Standin;
        },
        &[],
    );
    check(
        |it| {
            let gpu = GpuSample { index: 2, error: Some("GPU is lost".to_owned()), ..GpuSample::default() };
            status_of(it, 3).gpus = Probe::Read(vec![gpu]);
        },
        &[&format!("error gpu/gpu-1/2: GPU is lost -> {next}")],
    );
}

#[test]
fn routers() {
    let again = "mesh logs node-1 -u routerd; mesh down node-1 && mesh up node-1";
    check(
        |it| status_of(it, 0).router = None,
        &[&format!("error router/node-1: it has not reported to its agent -> {again}")],
    );
    check(
        |it| router_of(it).age_ms = 30_000,
        &[&format!("error router/node-1: it has not reported to its agent for 30s -> {again}")],
    );
    check(
        |it| router_of(it).acked = Revision(8),
        &[&format!("warning router/node-1: it has not acknowledged revision 9: drains wait for it -> {again}")],
    );
    let next = "mesh strategy status; mesh strategy rollback brings back what decided before";
    check(
        |it| router_of(it).strategy.as_mut().unwrap().error = Some("no such blob".to_owned()),
        &[&format!(
            "error router/node-1: the wanted strategy is not running; hybrid 1.0 decides [no such blob] -> {next}"
        )],
    );
    check(
        |it| router_of(it).decisions.extend([decisions("trap", 4), decisions("fuel", 6), decisions("abstain", 0)]),
        &[&format!(
            "warning router/node-1: strategy hybrid 1.0 faults [of 100 decisions: 6 fuel, 4 trap; the built-in decided \
             those] -> {next}"
        )],
    );
    check(
        |it| router_of(it).strategy.as_mut().unwrap().version = "2.0".to_owned(),
        &[
            "warning mesh: routers decide by different strategies [hybrid 1.0 on node-2, node-3; hybrid 2.0 on node-1] -> \
           mesh strategy status",
        ],
    );
}

#[test]
fn clocks() {
    let set = |it: &mut Picture, ahead: &[i64]| {
        it.is_local = false;
        let clock = |(i, ahead): (usize, &i64)| Clock { node: format!("n{i}"), ahead_ms: *ahead, error_ms: 100 };
        it.clocks = ahead.iter().enumerate().map(clock).collect();
    };
    let why =
        "certificates, tokens and deadlines hold by the clock of who looks at them, and logs are told apart by it";
    let next = "timedatectl set-ntp true, or chronyc makestep";
    check(|it| set(it, &[]), &[]);
    check(|it| set(it, &[2_100, 0, 50]), &[]);
    check(
        |it| set(it, &[0, 30_000, 50, 20]),
        &[&format!("warning node/n1: its clock is 29s ahead of the other nodes [{why}] -> on the host of n1: {next}")],
    );
    check(
        |it| set(it, &[0, 20, -90_000]),
        &[&format!("error node/n2: its clock is 1m30s behind the other nodes [{why}] -> on the host of n2: {next}")],
    );
    check(
        |it| set(it, &[0, 90_000]),
        &[&format!("error node/n1: its clock is 1m30s ahead of this machine [{why}] -> on the host of n1: {next}")],
    );
    check(
        |it| set(it, &[90_000, 90_100, 90_050]),
        &[&format!("error this machine: the clock of this machine is 1m30s behind the nodes [{why}] -> {next}")],
    );
    // What the measurement cannot tell is not claimed.
    check(
        |it| {
            set(it, &[0, 0, 5_000]);
            it.clocks[2].error_ms = 4_000;
        },
        &[],
    );
}
