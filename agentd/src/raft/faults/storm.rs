//! One seeded run: clients and followers under crashes, cuts, loss, delay and changes of membership; then everything is checked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use mesh_core::{
    id::{Lineage, MeshName, ObjectName, Principal, RequestId},
    kind::Kind as ObjectKind,
    object::{Key, Object},
    store::{Command, Expect, Op, Outcome, Store, decode_snapshot},
    time::Timestamp,
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{FollowEvent, ProposeError, RaftHandle, Resume},
    wgl::{self, Kind, Operation, Verdict},
    world::{Setting, World, peer},
};

const KEYS: u8 = 3;
const CLIENTS: u64 = 5;
const FOLLOWERS: u64 = 2;
const LENGTH: Duration = Duration::from_secs(15);
/// After healing, everything works again within this.
const HEAL_LIMIT: Duration = Duration::from_secs(30);
const CHECKER_STEPS_MAX: usize = 300_000;

/// What a good run did.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) operations: usize,
    pub(super) gave_up: usize,
    pub(super) heal: Duration,
    pub(super) counts: BTreeMap<&'static str, u64>,
}

/// What clients share.
struct Book {
    history: Mutex<Vec<Operation>>,
    next_value: Mutex<u64>,
}

impl Book {
    fn value(&self) -> u64 {
        let mut next = self.next_value.lock().unwrap();
        *next += 1;
        *next
    }
}

pub(super) fn key(number: u8) -> Key {
    Key::new(ObjectKind::Node, ObjectName::new(format!("k{number}")).unwrap())
}

pub(super) fn value(object: Option<&Arc<Object>>) -> u64 {
    object.map_or(0, |object| std::str::from_utf8(&object.spec).unwrap().parse().unwrap())
}

pub(super) fn put(id: u128, number: u8, value: u64, expect: Expect) -> Command {
    let actor = Principal::operator(&MeshName::new("lab").unwrap(), ObjectName::new("ada").unwrap());
    let op = Op::Put { key: key(number), spec: Bytes::from(value.to_string()), expect };
    Command { id: RequestId(id), actor, at: Timestamp(0), level: 1, reason: None, ops: vec![op] }
}

/// Runs one seed.
pub(super) async fn run(seed: u64, setting: Setting) -> Result<Report, String> {
    let world = World::new(seed, setting);
    let voters = if seed.is_multiple_of(3) { 3 } else { 5 };
    for id in 1..=voters {
        world.start(id).await?;
    }
    let first = world.handle(1).unwrap();
    first.initialize((1..=voters).map(|id| (id, peer(id))).collect()).await.map_err(|error| error.to_string())?;
    drop(first);
    sleep(Duration::from_millis(1_500)).await;

    let book = Arc::new(Book { history: Mutex::default(), next_value: Mutex::default() });
    let end = Instant::now() + LENGTH;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        tasks.spawn(client(Arc::clone(&world), Arc::clone(&book), end));
    }
    let healed = tokio_util::sync::CancellationToken::new();
    let mut followers = tokio::task::JoinSet::new();
    for _ in 0..FOLLOWERS {
        followers.spawn(follower(Arc::clone(&world), healed.clone()));
    }
    tasks.spawn(super::nemesis::run(Arc::clone(&world), end));
    while let Some(task) = tasks.join_next().await {
        task.map_err(|error| format!("the harness itself failed: {error}"))?;
    }
    let heal = mend(&world, &book).await?;
    let state = converge(&world).await?;
    healed.cancel();
    let mut ended = Vec::new();
    while let Some(follower) = followers.join_next().await {
        let store = follower.map_err(|error| format!("a follower failed: {error}"))?;
        ended.push((store.revision(), store.digest()));
    }
    // A write of unknown outcome may land between the two looks: a follower must hold one of the two agreed states.
    let later = converge(&world).await?;
    for end in ended.into_iter().filter(|end| *end != state && *end != later) {
        world.violate(format!("a follower ended at {} instead of {} or {}", end.0, state.0, later.0));
    }
    let mut report = judge(&world, &book)?;
    report.heal = heal;
    for id in world.running() {
        world.kill(id, true);
    }
    world.verdict()?;
    report.counts = std::mem::take(&mut world.counts.lock().unwrap());
    Ok(report)
}

fn judge(world: &World, book: &Book) -> Result<Report, String> {
    let failures = world.failures();
    if !failures.is_empty() {
        world.violate(format!("failed without a fault: {failures:?}"));
    }
    let history = book.history.lock().unwrap();
    let mut report = Report { operations: history.len(), ..Report::default() };
    for number in 0..KEYS {
        let operations: Vec<_> = history.iter().filter(|it| it.key == number).copied().collect();
        match wgl::check(&operations, CHECKER_STEPS_MAX) {
            Verdict::Linearizable => {}
            Verdict::GaveUp => report.gave_up += 1,
            Verdict::Violated => {
                let text: Vec<_> = operations.iter().map(|it| format!("{it:?}")).collect();
                world.violate(format!("key {number} is not linearizable:\n{}", text.join("\n")));
            }
        }
    }
    world.verdict()?;
    Ok(report)
}

async fn client(world: Arc<World>, book: Arc<Book>, end: Instant) {
    let mut favourite = None;
    while Instant::now() < end {
        sleep(Duration::from_millis(world.random(5, 60))).await;
        let running = world.running();
        if running.is_empty() {
            continue;
        }
        let id =
            favourite.filter(|id| running.contains(id) && world.chance(0.8)).unwrap_or_else(|| world.pick(&running));
        let Some(raft) = world.handle(id) else {
            continue;
        };
        let number = u8::try_from(world.random(0, u64::from(KEYS) - 1)).unwrap();
        let answered = match world.random(0, 99) {
            0..45 => read(&world, &book, (id, raft), number).await,
            45..80 => write(&world, &book, (id, raft), number, false).await,
            _ => write(&world, &book, (id, raft), number, true).await,
        };
        favourite = answered.then_some(id);
    }
}

fn since(world: &World) -> u64 {
    u64::try_from(world.begun.elapsed().as_nanos()).unwrap()
}

async fn read(world: &World, book: &Book, (node, raft): (u64, RaftHandle), number: u8) -> bool {
    let (called, epoch) = (since(world), world.epoch(node));
    let store = raft.read_until(Instant::now() + Duration::from_millis(600)).await;
    drop(raft);
    let Ok(store) = store else {
        return false;
    };
    if world.epoch(node) != epoch {
        return false;
    }
    let kind = Kind::Read(value(store.get(&key(number))));
    book.history.lock().unwrap().push(Operation { key: number, node, kind, called, returned: Some(since(world)) });
    true
}

async fn write(world: &World, book: &Book, (node, raft): (u64, RaftHandle), number: u8, swap: bool) -> bool {
    let (called, epoch, new) = (since(world), world.epoch(node), book.value());
    let seen = raft.store().borrow().get(&key(number)).cloned();
    let (expect, kind) = match (&seen, swap) {
        (_, false) => (Expect::Any, Kind::Write(new)),
        (None, true) => (Expect::Absent, Kind::Swap(0, new, true)),
        (Some(object), true) => (Expect::At(object.revision), Kind::Swap(value(Some(object)), new, true)),
    };
    let command = put(world.request_id(), number, new, expect);
    let outcome = raft.propose_until(command, Instant::now() + Duration::from_millis(900)).await;
    drop(raft);
    // An answer of a dead process reaches nobody.
    let outcome = if world.epoch(node) == epoch { Some(outcome) } else { None };
    let (kind, returned) = match (outcome, kind) {
        (Some(Ok(Outcome::Done { .. })), kind) => (kind, Some(since(world))),
        (Some(Ok(Outcome::Conflict { .. })), Kind::Swap(old, new, _)) => {
            (Kind::Swap(old, new, false), Some(since(world)))
        }
        (Some(Ok(other)), kind) => {
            world.violate(format!("{kind:?} came to {other:?}"));
            return false;
        }
        // Refused: the checker would notice if it took effect all the same.
        (Some(Err(ProposeError::NoQuorum { .. } | ProposeError::Stopped(_) | ProposeError::Unfit(_))), _) => {
            return false;
        }
        (Some(Err(ProposeError::OutcomeUnknown { .. })) | None, kind) => (kind, None),
    };
    book.history.lock().unwrap().push(Operation { key: number, node, kind, called, returned });
    returned.is_some()
}

/// Follows whoever runs, through all faults; every change must come once and in order, and nothing may go back.
async fn follower(world: Arc<World>, healed: tokio_util::sync::CancellationToken) -> Store {
    let mut store = Store::new(Lineage(0));
    let mut begun = false;
    loop {
        sleep(Duration::from_millis(world.random(1, 200))).await;
        let running = world.running();
        if running.is_empty() {
            continue;
        }
        let id = world.pick(&running);
        let (epoch, Some(raft)) = (world.epoch(id), world.handle(id)) else {
            continue;
        };
        let digest = begun.then(|| store.digest());
        let mut stream = raft.follow(Resume { lineage: store.lineage(), revision: store.revision(), digest });
        drop(raft);
        while let Ok(Some(event)) = timeout(Duration::from_secs(2), stream.next()).await {
            if world.epoch(id) != epoch || world.chance(0.02) {
                break;
            }
            begun = true;
            if !take(&world, &mut store, event) {
                break;
            }
            if healed.is_cancelled()
                && world.leader().is_some_and(|(_, raft)| raft.store().borrow().revision() <= store.revision())
            {
                return store;
            }
        }
    }
}

/// Whether the stream may go on.
fn take(world: &World, store: &mut Store, event: FollowEvent) -> bool {
    match event {
        FollowEvent::Base(bytes) => {
            let (header, base) = decode_snapshot(&bytes).unwrap();
            if header.revision < store.revision()
                || (header.revision == store.revision() && store.revision().0 > 0 && header.digest != store.digest())
            {
                world.violate(format!("a follower at {} was given base {}", store.revision(), header.revision));
            }
            *store = base;
            true
        }
        FollowEvent::Changes { from, to, changes, digest } => {
            let followed = from == store.revision()
                && changes.iter().all(|change| store.advance(change).is_ok())
                && to == store.revision();
            if !followed {
                world.violate(format!("changes {from}..{to} do not follow {}", store.revision()));
            }
            if digest.is_some_and(|digest| digest != store.digest()) {
                world.violate(format!("a follower differs at {to}"));
            }
            true
        }
        FollowEvent::Progress { revision, .. } => revision >= store.revision(),
    }
}

/// Ends all faults, starts everything, and waits for service.
async fn mend(world: &Arc<World>, book: &Book) -> Result<Duration, String> {
    world.heal();
    let broken: Vec<_> = world.failures();
    for id in world.all() {
        // A node whose host lost its power in the last moment has failed and is restarted by its supervisor.
        if broken.iter().any(|failure| failure.starts_with(&format!("node {id}:"))) {
            world.kill(id, false);
        }
        if world.handle(id).is_none() {
            world.start(id).await?;
        }
    }
    let begun = Instant::now();
    for number in 0..KEYS {
        loop {
            if begun.elapsed() > HEAL_LIMIT {
                let states: Vec<_> = world
                    .running()
                    .into_iter()
                    .filter_map(|id| world.handle(id))
                    .map(|raft| format!("{:?}", raft.status().borrow()))
                    .collect();
                return Err(format!("no service {HEAL_LIMIT:?} after healing: {}", states.join("\n")));
            }
            if let Some((id, raft)) = world.leader()
                && write(world, book, (id, raft), number, false).await
            {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(begun.elapsed())
}

/// Waits until all voters hold the same bytes.
async fn converge(world: &World) -> Result<(mesh_core::id::Revision, mesh_core::id::Digest), String> {
    let begun = Instant::now();
    loop {
        if let Some((_, leader)) = world.leader() {
            let voters: Vec<u64> = leader.status().borrow().voters.iter().map(|voter| voter.id).collect();
            let states: Vec<_> = voters
                .iter()
                .filter_map(|id| world.handle(*id))
                .map(|raft| {
                    let store = raft.store().borrow().clone();
                    (store.revision(), store.digest(), store.record(store.revision()))
                })
                .collect();
            if let Some(first) = states.first().copied()
                && states.len() == voters.len()
                && states.iter().all(|state| *state == first)
            {
                return Ok((first.0, first.1));
            }
            if begun.elapsed() > HEAL_LIMIT {
                return Err(format!("voters {voters:?} differ {HEAL_LIMIT:?} after healing: {states:?}"));
            }
        }
        if begun.elapsed() > HEAL_LIMIT * 2 {
            return Err("no leader while the voters should converge".to_owned());
        }
        sleep(Duration::from_millis(50)).await;
    }
}
