//! A mesh on hosts, under load and under a writer: daemons killed, power cut, the leader cut off, one way too.
#![allow(clippy::unwrap_used, clippy::panic, clippy::unwrap_in_result, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "what was counted is of use when a later look fails")]

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use mesh_tests::{
    answers,
    bed::{Bed, Operator, Writer, wanted},
    load::Load,
    metric, until,
};
use serde_json::json;

/// How long a mesh may take to have a leader again, on a machine that does other things too.
const ELECTION: Duration = Duration::from_secs(30);
/// Where a router listens unless hosts.yaml says otherwise: on loopback of its host.
const DOOR: &str = "http://127.0.0.1:8080";

/// A mesh of seven hosts: three coordinators, routers on h4 and h5, engines on h6 and h7.
struct Fleet {
    operator: Operator,
    bed: Bed,
}

impl Fleet {
    fn raise() -> Option<Self> {
        let bed = wanted(7)?;
        for host in ["h6", "h7"] {
            bed.host(host).start_engine().unwrap();
        }
        let hosts: PathBuf = bed.hosts_yaml(|it| it["hosts"][4]["roles"] = json!(["router"])).unwrap();
        let operator = Operator::new(&bed);
        operator.bootstrap(&[hosts.to_str().unwrap()]).finish().ok();
        let fleet = Self { operator, bed };
        fleet.is_whole();
        Some(fleet)
    }

    /// Waits until every node is Ready and has the same revision, and one leader is known to all voters.
    fn is_whole(&self) {
        until("every node is Ready at one revision", Duration::from_secs(60), || {
            let nodes = self.operator.nodes();
            let revision = &nodes.first()?["status"]["revision"];
            let whole =
                |it: &serde_json::Value| it["status"]["phase"] == "Ready" && it["status"]["revision"] == *revision;
            (nodes.len() == self.bed.hosts().len() && nodes.iter().all(whole)).then_some(())
        });
    }

    fn leader(&self) -> String {
        until("a leader", ELECTION, || Some(self.operator.cluster()?["leader"].as_str()?.to_owned()))
    }

    /// Streams through the router of a host, from that host; one that was just killed has opened its door again.
    fn load(&self, router: &str, clients: u32) -> Load {
        let start = || {
            until("the router is ready", Duration::from_secs(30), || answers(&format!("{DOOR}/readyz")).then_some(()));
            Load::start(DOOR, "simulated-model", clients, 16)
        };
        self.bed.host(router).in_network(start).unwrap()
    }

    /// Kills a daemon with -9 and waits until what keeps it running has started another.
    fn kill(&self, host: &str, command: &str) {
        let host = self.bed.host(host);
        assert_eq!(host.kill(command), 1, "{command} on {}", host.name());
        until(&format!("{command} on {} is back", host.name()), Duration::from_secs(15), || {
            host.processes().iter().any(|it| it.is(command)).then_some(())
        });
    }

    /// The number that the writer's label has.
    fn step(&self) -> u64 {
        let nodes = self.operator.nodes();
        let node = nodes.iter().find(|it| it["name"] == "h6").unwrap();
        node["spec"]["labels"]["step"].as_str().unwrap().trim_start_matches('s').parse().unwrap()
    }
}

/// Waits until three more writes are acknowledged, and tells how long that took.
fn writes_go_on(writer: &Writer, after: &str) {
    let (start, before) = (Instant::now(), writer.acknowledged());
    until(&format!("writes go on after {after}"), ELECTION, || (writer.acknowledged() >= before + 3).then_some(()));
    eprintln!("writes go on after {after}: three in {} ms", start.elapsed().as_millis());
}

#[test]
fn a_mesh_on_hosts_survives_its_daemons_and_its_links() {
    let Some(fleet) = Fleet::raise() else { return };
    let writer = Writer::start(&fleet.operator, "h6");
    writes_go_on(&writer, "the start");
    daemons_are_killed(&fleet, &writer);
    a_leader_is_cut_off(&fleet, &writer);
    power_is_cut(&fleet, &writer);

    let (acknowledged, tried) = writer.finish();
    fleet.is_whole();
    let found = fleet.step();
    eprintln!("{acknowledged} is the last acknowledged write, {tried} the last one tried, {found} is there");
    assert!((acknowledged..=tried).contains(&found), "acknowledged {acknowledged}, tried {tried}, found {found}");
}

/// Agents, coordinators, routers, an engine: nothing that is served notices, but for what the dead engine was serving.
fn daemons_are_killed(fleet: &Fleet, writer: &Writer) {
    let load = fleet.load("h4", 10);
    let leader = fleet.leader();
    let follower = ["h1", "h2", "h3"].into_iter().find(|it| *it != leader).unwrap();
    for host in ["h7", "h4", follower, leader.as_str()] {
        fleet.kill(host, "mesh-agentd run");
        writes_go_on(writer, &format!("the death of the agent of {host}"));
    }
    fleet.kill("h5", "mesh-routerd");
    load.finish().assert_lossless(20);
    fleet.is_whole();

    let load = fleet.load("h5", 10);
    until("every client streams", Duration::from_secs(20), || (load.in_flight() >= 8).then_some(()));
    let engine = fleet.bed.host("h7");
    let metrics = format!("http://{}:9000/metrics", engine.address());
    let in_flight = metric(&metrics, "vllm:num_requests_running", &[]).unwrap();
    assert_eq!(engine.kill("mesh-standin"), 1);
    std::thread::sleep(Duration::from_secs(3));
    engine.start_engine().unwrap();
    let totals = load.finish();
    eprintln!("{in_flight} requests were in flight on the engine that died: {totals:?}");
    // Between the question and the kill one or two more may have come.
    assert!(f64::from(totals.truncated + totals.failed) <= in_flight + 2.0, "{in_flight} were in flight: {totals:?}");
    assert!(totals.whole >= 20, "{totals:?}");
}

/// Both ways, only what it sends, only what it is sent.
fn a_leader_is_cut_off(fleet: &Fleet, writer: &Writer) {
    let others = |leader: &str| -> Vec<String> {
        fleet.bed.hosts().iter().map(|it| it.name().to_owned()).filter(|it| it != leader).collect()
    };
    let load = fleet.load("h4", 10);
    let leader = fleet.leader();
    others(&leader).iter().for_each(|it| fleet.bed.cut(&leader, it).unwrap());
    writes_go_on(writer, &format!("{leader} was cut off"));
    fleet.bed.heal().unwrap();
    fleet.is_whole();

    let leader = fleet.leader();
    others(&leader).iter().for_each(|it| fleet.bed.cut_one_way(&leader, it).unwrap());
    writes_go_on(writer, &format!("nobody heard {leader} any more"));
    fleet.bed.heal().unwrap();
    fleet.is_whole();

    let leader = fleet.leader();
    others(&leader).iter().for_each(|it| fleet.bed.cut_one_way(it, &leader).unwrap());
    writes_go_on(writer, &format!("{leader} heard nobody any more"));
    fleet.bed.heal().unwrap();
    fleet.is_whole();
    load.finish().assert_lossless(20);
}

/// All coordinators at once.
fn power_is_cut(fleet: &Fleet, writer: &Writer) {
    for host in ["h1", "h2", "h3"] {
        assert_eq!(fleet.bed.host(host).kill("mesh-agentd run"), 1);
    }
    writes_go_on(writer, "all coordinators died at once");
    fleet.is_whole();
}
