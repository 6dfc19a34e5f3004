//! Everything that goes wrong, one thing after the other, chosen by the seed.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::world::{World, peer};

const VOTERS_MAX: usize = 5;

pub(super) async fn run(world: Arc<World>, end: Instant) {
    while Instant::now() < end {
        sleep(Duration::from_millis(world.random(50, 700))).await;
        match world.random(0, 19) {
            0..4 => partition(&world),
            4..7 => {
                world.heal();
                world.note("heal", "");
            }
            7 => {
                let loss = world.random(0, 20);
                world.net.lock().unwrap().loss = f64::from(u32::try_from(loss).unwrap()) / 100.0;
                world.note("loss", format_args!("{loss} %"));
            }
            8 => {
                let delay = world.random(1, 120);
                world.net.lock().unwrap().delay_ms_max = delay;
                world.note("delay", format_args!("{delay} ms"));
            }
            9 => crash(&world),
            10 => torn_write(&world).await,
            11 | 12 => restart(&world).await,
            13 => transfer(&world).await,
            14 => disturb(&world).await,
            15 => grow(&world),
            16 => shrink(&world),
            _ => power_loss(&world).await,
        }
    }
}

fn partition(world: &World) {
    let mut all = world.all();
    let leader = world.leader().map(|(id, _)| id);
    match (world.random(0, 3), leader) {
        (0, _) => {
            for at in 0..all.len() {
                let other = usize::try_from(world.random(0, all.len() as u64 - 1)).unwrap();
                all.swap(at, other);
            }
            let (one, other) = all.split_at(all.len() / 2);
            let pairs: Vec<_> = one.iter().flat_map(|a| other.iter().flat_map(|b| [(*a, *b), (*b, *a)])).collect();
            world.cut(&pairs);
            world.note("cut in halves", format_args!("{one:?} {other:?}"));
        }
        (1, Some(leader)) => {
            let pairs: Vec<_> =
                all.iter().filter(|id| **id != leader).flat_map(|id| [(leader, *id), (*id, leader)]).collect();
            world.cut(&pairs);
            world.note("leader cut off", leader);
        }
        (2, Some(leader)) => {
            let pairs: Vec<_> = all.iter().filter(|id| **id != leader).map(|id| (*id, leader)).collect();
            world.cut(&pairs);
            world.note("leader deaf", leader);
        }
        _ => {
            let (a, b) = (world.pick(&all), world.pick(&all));
            world.cut(&[(a, b)]);
            world.note("one way cut", format_args!("{a} to {b}"));
        }
    }
}

fn crash(world: &World) {
    let running = world.running();
    if running.len() * 2 > world.all().len() || (!running.is_empty() && world.chance(0.2)) {
        let leader = world.leader().map(|(id, _)| id).filter(|_| world.chance(0.5));
        world.kill(leader.unwrap_or_else(|| world.pick(&running)), false);
    }
}

/// The power goes in the middle of a write to the log.
async fn torn_write(world: &World) {
    let running = world.running();
    if running.is_empty() {
        return;
    }
    let id = world.pick(&running);
    if let Some(host) = world.host(id) {
        host.doom(u32::try_from(world.random(1, 14)).unwrap());
        sleep(Duration::from_millis(world.random(10, 150))).await;
        world.kill(id, false);
        world.note("torn write", id);
    }
}

async fn start(world: &Arc<World>, id: u64) {
    if let Err(error) = world.start(id).await {
        world.violate(error);
    }
}

async fn restart(world: &Arc<World>) {
    let running = world.running();
    let down: Vec<_> = world.all().into_iter().filter(|id| !running.contains(id)).collect();
    if !down.is_empty() {
        start(world, world.pick(&down)).await;
    }
}

async fn transfer(world: &World) {
    if let Some((_, raft)) = world.leader() {
        let to = world.pick(&world.all());
        // Not every node can take over; what matters is that nothing breaks.
        drop(timeout(Duration::from_millis(200), raft.transfer_leader(to)).await);
        world.note("transfer", to);
    }
}

async fn disturb(world: &World) {
    let running = world.running();
    if let Some(raft) = (!running.is_empty()).then(|| world.handle(world.pick(&running))).flatten() {
        let pre_vote = world.chance(0.5);
        drop(raft.node.raft.trigger().snapshot().await);
        drop(raft.node.raft.trigger().elect(pre_vote).await);
        world.note("snapshot and election", raft.node.network.me);
    }
}

fn grow(world: &Arc<World>) {
    let Some((_, raft)) = world.leader() else {
        return;
    };
    if raft.status().borrow().voters.len() >= VOTERS_MAX {
        return;
    }
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let Ok(Ok(id)) = timeout(Duration::from_millis(1_500), raft.allocate_id()).await else {
            return;
        };
        if world.host(id).is_some() {
            world.violate(format!("id {id} was given out twice"));
        }
        start(&world, id).await;
        let added = timeout(Duration::from_secs(4), raft.add_voter(id, peer(id))).await;
        if matches!(added, Ok(Ok(()))) {
            world.note("voter added", id);
        }
    });
}

fn shrink(world: &Arc<World>) {
    let Some((_, raft)) = world.leader() else {
        return;
    };
    let voters: Vec<_> = raft.status().borrow().voters.iter().map(|voter| voter.id).collect();
    if voters.len() < 4 {
        return;
    }
    let (world, id) = (Arc::clone(world), world.pick(&voters));
    tokio::spawn(async move {
        let removed = timeout(Duration::from_secs(4), raft.remove_voter(id)).await;
        if matches!(removed, Ok(Ok(()))) {
            world.note("voter removed", id);
        }
    });
}

async fn power_loss(world: &Arc<World>) {
    let whole = world.chance(0.5);
    let gone: Vec<_> = world.running().into_iter().filter(|_| whole || world.chance(0.7)).collect();
    for id in &gone {
        world.kill(*id, false);
    }
    world.note("power loss", format_args!("{gone:?}"));
    sleep(Duration::from_millis(world.random(20, 300))).await;
    for id in gone {
        if world.handle(id).is_none() {
            start(world, id).await;
        }
    }
}
