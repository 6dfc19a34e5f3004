//! Faults that chance does not find, put exactly where they hurt; and mistakes put in on purpose, which must be found.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use mesh_core::store::{Expect, Outcome, Store, encode_snapshot};
use openraft::{
    RaftLogReader,
    entry::RaftEntry,
    raft::{VoteRequest, VoteResponse},
    storage::{IOFlushed, RaftLogStorage, RaftStateMachine},
    type_config::async_runtime::Oneshot,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Envelope, RaftHandle, Rpc, Standing,
        failure::FailureSender,
        journal::RedbJournal,
        log::Log,
        machine::{Health, Machine, MachineConfig},
        types::{Entry, LogId, Membership, Payload, SnapshotMeta, Types, Vote},
        wire::{self, VoteMessage},
    },
    disk::{Host, Plant, SimJournal},
    in_virtual_time,
    storm::{key, put, value},
    world::{CLUSTER, Setting, World, peer},
};

const SECOND: Duration = Duration::from_secs(1);

/// Three voters with a leader.
async fn three(setting: Setting) -> (Arc<World>, u64, RaftHandle) {
    let world = World::new(1, setting);
    for id in 1..=3 {
        world.start(id).await.unwrap();
    }
    world.handle(1).unwrap().initialize((1..=3).map(|id| (id, peer(id))).collect()).await.unwrap();
    let leader = leader(&world).await;
    (world, leader.0, leader.1)
}

async fn leader(world: &World) -> (u64, RaftHandle) {
    let found = async {
        loop {
            if let Some(leader) = world.leader() {
                return leader;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(10 * SECOND, found).await.unwrap()
}

async fn write(raft: &RaftHandle, new: u64) -> Outcome {
    raft.propose(put(new.into(), 0, new, Expect::Any)).await.unwrap()
}

/// The value after every node lost its power and all that was not synced.
async fn after_power_loss(plant: Plant) -> u64 {
    let (world, _, raft) = three(Setting { sync_ms_max: 1, plant, ..Setting::default() }).await;
    for new in 1..=20 {
        assert!(matches!(write(&raft, new).await, Outcome::Done { .. }));
    }
    drop(raft);
    for id in 1..=3 {
        world.kill(id, true);
    }
    for id in 1..=3 {
        world.start(id).await.unwrap();
    }
    let (_, raft) = leader(&world).await;
    let store = raft.read_barrier().await.unwrap();
    value(store.get(&key(0)))
}

#[test]
fn an_acknowledged_write_survives_a_power_loss_of_all() {
    assert_eq!(in_virtual_time(after_power_loss(Plant::Nothing)), 20);
    let lost = in_virtual_time(after_power_loss(Plant::EarlyAnswer));
    assert!(lost < 20, "the harness does not notice an answer before the sync");
}

/// Whether a node votes twice in one term when it loses its power in between.
async fn votes_twice(plant: Plant) -> bool {
    let world = World::new(1, Setting { plant, ..Setting::default() });
    world.start(3).await.unwrap().initialize((1..=3).map(|id| (id, peer(id))).collect()).await.unwrap();
    let ask = |candidate: u64| {
        let last_log_id = Some(LogId::new(Vote::new(40, candidate).leader_id, 100));
        let request = VoteRequest { vote: Vote::new(50, candidate), last_log_id, leadership_transfer: false };
        let payload = wire::encode(&VoteMessage::Vote(request));
        let message = Envelope {
            cluster: CLUSTER.to_owned(),
            lineage: mesh_core::id::Lineage(0),
            from: candidate,
            to: 3,
            payload,
        };
        let world = Arc::clone(&world);
        async move {
            let answer = world.handle(3).unwrap().serve(Rpc::Vote, message).await.unwrap();
            let answer: VoteResponse<Types> = wire::decode(&answer).unwrap();
            answer.vote_granted
        }
    };
    sleep(SECOND).await;
    // Ids break ties within a term, so the higher one is asked for first and must be remembered.
    assert!(ask(2).await, "the first candidate of a new term gets the vote");
    world.kill(3, true);
    world.start(3).await.unwrap();
    sleep(SECOND).await;
    ask(1).await
}

#[test]
fn a_vote_survives_a_power_loss() {
    assert!(!in_virtual_time(votes_twice(Plant::Nothing)));
    assert!(in_virtual_time(votes_twice(Plant::LazyVote)), "the harness does not notice a vote before the sync");
}

/// Whether a node starts whose power went right after it installed a snapshot over a conflicting tail of its log.
async fn starts_after_install(plant: Plant) -> Result<(), String> {
    let world = World::new(1, Setting { plant, ..Setting::default() });
    let host = Host::new(1, 1);
    let (journal, image) = RedbJournal::open(host.backend()).unwrap();
    let (mut log, writer) = Log::new(SimJournal::new(journal, Arc::clone(&host), plant), image, FailureSender::new());
    tokio::spawn(writer.run());
    let entry = |index| Entry::new_blank(LogId::new(Vote::new(3, 1).leader_id, index));
    let (flushed, done) = <openraft::impls::TokioRuntime as openraft::AsyncRuntime>::Oneshot::channel();
    log.append((0..=150).map(entry), IOFlushed::signal(flushed)).await.unwrap();
    done.await.unwrap().unwrap();
    log.save_vote(&Vote::new_committed(5, 2)).await.unwrap();

    log.truncate_after(Some(LogId::new(Vote::new(3, 1).leader_id, 99))).await.unwrap();
    let meta = SnapshotMeta {
        last_log_id: Some(LogId::new(Vote::new(5, 2).leader_id, 120)),
        last_membership: Membership::default(),
    };
    let snapshot =
        encode_snapshot(&Store::new(mesh_core::id::Lineage(0)), CLUSTER, &postcard::to_stdvec(&meta).unwrap());
    let config = MachineConfig {
        cluster: CLUSTER.to_owned(),
        lineage: mesh_core::id::Lineage(0),
        files: Arc::new(host.files()),
        stop: CancellationToken::new(),
    };
    Machine::new(config).install_snapshot(&meta, Bytes::from(snapshot)).await.unwrap();
    host.crash(true);
    world.adopt(1, host);
    world.start(1).await.map(drop)
}

#[test]
fn a_truncation_is_durable_before_the_snapshot_that_follows() {
    in_virtual_time(starts_after_install(Plant::Nothing)).unwrap();
    let refused = in_virtual_time(starts_after_install(Plant::LazyTruncate)).unwrap_err();
    assert!(refused.contains("inverted"), "{refused}");
}

/// What a linearizable read sees after a power loss, with only the voter reachable that missed the last writes.
async fn read_after_restart(leader_restore: bool) -> u64 {
    let (world, leader_id, raft) = three(Setting { sync_ms_max: 1, leader_restore, ..Setting::default() }).await;
    let (near, far) = (leader_id % 3 + 1, (leader_id + 1) % 3 + 1);
    for new in 1..=20 {
        if new == 10 {
            world.cut(&[(leader_id, far), (far, leader_id), (near, far), (far, near)]);
        }
        write(&raft, new).await;
    }
    drop(raft);
    for id in 1..=3 {
        world.kill(id, true);
    }
    world.heal();
    world.net.lock().unwrap().delay_ms_max = 10;
    for id in [leader_id, far] {
        world.start(id).await.unwrap();
    }
    let raft = world.handle(leader_id).unwrap();
    let store = raft.read_until(Instant::now() + 10 * SECOND).await.unwrap();
    value(store.get(&key(0)))
}

#[test]
fn a_restarted_leader_serves_no_stale_read() {
    // Whether the read or the catching up is faster is a matter of chance, so it is tried often.
    let values = |leader_restore| (0..20).map(move |_| in_virtual_time(read_after_restart(leader_restore)));
    assert_eq!(values(false).find(|value| *value != 20), None);
    assert!(values(true).any(|value| value < 20), "leader restore is safe by now: see whether it may be switched on");
}

#[test]
fn refusals_are_told_from_unknown_outcomes_and_name_who_is_missing() {
    in_virtual_time(async {
        let (world, leader_id, raft) = three(Setting::default()).await;
        write(&raft, 1).await;
        drop(raft);
        world.kill(leader_id, false);
        let (second, raft) = leader_elsewhere(&world, leader_id).await;
        assert!(matches!(write(&raft, 2).await, Outcome::Done { .. }), "one of three may be gone");
        // The other one learns with the next heartbeat that it is agreed.
        sleep(SECOND).await;
        world.kill(second, false);
        drop(raft);
        let rest = world.running()[0];
        let raft = world.handle(rest).unwrap();
        sleep(3 * SECOND).await;
        let error = raft.propose(put(3, 0, 3, Expect::Any)).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, super::super::ProposeError::NoQuorum { .. }), "{text}");
        for id in [leader_id, second] {
            assert!(text.contains(&format!("node-{id}")), "{text} names not node-{id}");
        }
        // However the deadline falls among the tries.
        for ms in 300..400 {
            let deadline = Instant::now() + Duration::from_millis(ms);
            let error = raft.propose_until(put(3, 0, 3, Expect::Any), deadline).await.unwrap_err();
            assert!(matches!(error, super::super::ProposeError::NoQuorum { .. }), "{ms} ms: {error}");
        }
        assert!(raft.read_until(Instant::now() + SECOND).await.is_err(), "no quorum, no barrier");
        assert_eq!(value(raft.store().borrow().get(&key(0))), 2, "what was agreed is still served");
        world.start(second).await.unwrap();
        assert!(matches!(write(&raft, 4).await, Outcome::Done { .. }), "a quorum is back");
    });
}

async fn leader_elsewhere(world: &World, old: u64) -> (u64, RaftHandle) {
    loop {
        let (id, raft) = leader(world).await;
        if id != old {
            return (id, raft);
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn a_repeated_request_takes_effect_once() {
    in_virtual_time(async {
        let (world, leader_id, raft) = three(Setting::default()).await;
        let first = write(&raft, 7).await;
        assert_eq!(write(&raft, 7).await, Outcome::Repeated(Box::new(first.clone())));
        let other = world.handle(leader_id % 3 + 1).unwrap();
        assert_eq!(write(&other, 7).await, Outcome::Repeated(Box::new(first)), "through a follower too");
        let store = other.read_barrier().await.unwrap();
        assert_eq!(store.revision().0, 1);
    });
}

#[test]
fn an_entry_of_a_newer_build_parks_the_replica_in_front_of_it() {
    in_virtual_time(async {
        let (world, leader_id, raft) = three(Setting::default()).await;
        write(&raft, 1).await;
        let mut newer = put(9, 0, 9, Expect::Any);
        newer.level = 9;
        // A newer build leads: this one only carries the bytes.
        let carried = raft.clone();
        tokio::spawn(async move { drop(carried.node.raft.client_write(Payload(newer.encode())).await) });
        let mut health = raft.node.machine.health();
        timeout(5 * SECOND, health.wait_for(|it| matches!(it, Health::Parked { .. }))).await.unwrap().unwrap();
        assert_eq!(value(raft.store().borrow().get(&key(0))), 1, "the state in front of it is still there");
        let refused = raft.propose(put(10, 0, 10, Expect::Any)).await.unwrap_err().to_string();
        assert!(
            refused.contains("upgrade this node") || refused.contains("unknown") || refused.contains("refused"),
            "{refused}"
        );
        assert_eq!(raft.follow(super::super::Resume::default()).next().await, None, "followers go elsewhere");
        timeout(5 * SECOND, raft.shutdown()).await.unwrap();
        drop(raft);
        world.kill(leader_id, false);
    });
}

#[test]
fn messages_of_others_never_reach_raft() {
    in_virtual_time(async {
        let (world, leader_id, raft) = three(Setting::default()).await;
        let term = raft.status().borrow().term;
        let request = VoteRequest { vote: Vote::new(term + 9, 2), last_log_id: None, leadership_transfer: true };
        let good = Envelope {
            cluster: CLUSTER.to_owned(),
            lineage: mesh_core::id::Lineage(0),
            from: 2,
            to: leader_id,
            payload: wire::encode(&VoteMessage::Vote(request)),
        };
        let check = async |message: Envelope, part: &str| {
            let error = raft.serve(Rpc::Vote, message).await.unwrap_err().to_string();
            assert!(error.contains(part), "{error} lacks {part}");
        };
        check(Envelope { cluster: "other".to_owned(), ..good.clone() }, "message of mesh `other`").await;
        check(Envelope { lineage: mesh_core::id::Lineage(1), ..good.clone() }, "lineage 1").await;
        check(Envelope { to: 77, ..good.clone() }, "for coordinator 77").await;
        check(Envelope { payload: Bytes::from_static(b"\x00\x09x"), ..good.clone() }, "format 9").await;
        check(Envelope { payload: Bytes::from_static(b"\x00\x01\xff\xff"), ..good.clone() }, "cannot be read").await;
        check(Envelope { payload: Bytes::new(), ..good }, "cut short").await;
        let snapshot = Envelope {
            cluster: CLUSTER.to_owned(),
            lineage: mesh_core::id::Lineage(0),
            from: 2,
            to: leader_id,
            payload: wire::encode_with(
                &wire::SnapshotMessage { vote: Vote::new(99, 2), meta: SnapshotMeta::default() },
                &Bytes::from_static(b"no"),
            ),
        };
        assert!(raft.serve(Rpc::Snapshot, snapshot).await.unwrap_err().to_string().contains("not a snapshot"));
        assert_eq!(raft.status().borrow().term, term);
        assert_eq!(raft.status().borrow().standing, Standing::Leader);
        assert!(world.failures().is_empty());
    });
}

#[test]
fn a_hole_in_the_log_is_refused() {
    in_virtual_time(async {
        let host = Host::new(1, 0);
        let (journal, image) = RedbJournal::open(host.backend()).unwrap();
        let (mut log, writer) =
            Log::new(SimJournal::new(journal, Arc::clone(&host), Plant::Nothing), image, FailureSender::new());
        tokio::spawn(writer.run());
        let entry = |index| Entry::new_blank(LogId::new(Vote::new(1, 1).leader_id, index));
        log.append([entry(0), entry(1)], IOFlushed::noop()).await.unwrap();
        assert!(log.append([entry(3)], IOFlushed::noop()).await.unwrap_err().to_string().contains("hole"));
        assert!(log.append([entry(2), entry(4)], IOFlushed::noop()).await.is_err());
        log.append([entry(2)], IOFlushed::noop()).await.unwrap();
        assert_eq!(log.try_get_log_entries(..).await.unwrap().len(), 3);
    });
}

#[test]
fn a_disk_error_ends_the_node_and_answers_errors_for_ever() {
    in_virtual_time(async {
        let (world, leader_id, raft) = three(Setting::default()).await;
        write(&raft, 1).await;
        world.host(leader_id).unwrap().doom(3);
        let failed = {
            let raft = raft.clone();
            tokio::spawn(async move { raft.failed().await })
        };
        // The quorum may still take it without this node's disk.
        drop(raft.propose(put(2, 0, 2, Expect::Any)).await);
        let failure = timeout(5 * SECOND, failed).await.unwrap().unwrap();
        assert!(failure.0.contains("cannot write the log"), "{failure}");
        let mut log = raft.node.log.clone();
        assert!(log.read_vote().await.is_err());
        assert!(log.save_vote(&Vote::new(1_000, 1)).await.is_err());
    });
}

#[test]
fn a_log_of_large_commands_is_cut_short_before_it_has_many_entries() {
    in_virtual_time(async {
        let world = World::new(1, Setting { sync_ms_max: 1, ..Setting::default() });
        let raft = world.start(1).await.unwrap();
        raft.initialize([(1, peer(1))].into()).await.unwrap();
        leader(&world).await;
        let large = |id: u64| {
            let mut command = put(id.into(), 0, id, Expect::Any);
            command.ops = (0..3)
                .map(|number| mesh_core::store::Op::Put {
                    key: key(number),
                    spec: Bytes::from(format!("{id}{}", "x".repeat(250_000))),
                    expect: Expect::Any,
                })
                .collect();
            command
        };
        for id in 1..=50 {
            assert!(matches!(raft.propose(large(id)).await, Ok(Outcome::Done { .. })));
        }
        let shorter = async {
            while raft.node.log.bytes() > 8 * 1024 * 1024 {
                sleep(SECOND).await;
            }
        };
        timeout(60 * SECOND, shorter).await.unwrap();
        // Nothing is written, and nobody calls.
        sleep(60 * SECOND).await;
        let status = raft.status().borrow().clone();
        assert!(status.leader_age_ms.is_some_and(|age| age <= 1000), "{status:?}");
        assert_eq!((status.quorum_lost_since, status.missing), (None, vec![]), "a single voter is its own quorum");
        let mut stream = raft.follow(super::super::Resume::default());
        raft.shutdown().await;
        let ended = async { while stream.next().await.is_some() {} };
        timeout(10 * SECOND, ended).await.expect("followers are sent away by a coordinator that stops");
    });
}
