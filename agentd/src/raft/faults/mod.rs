//! The fault harness: our own log, machine and network in virtual time, under every fault we know, checked for linearizability.
//!
//! `MESH_RAFT_SEEDS=1000` runs more seeds, `MESH_RAFT_SEED=17` one of them. A failure prints its seed.
#![allow(clippy::disallowed_methods, reason = "tasks of a simulated process end with their simulated world")]
#![allow(clippy::unwrap_in_result, reason = "a test fails by panicking")]

mod directed;
mod disk;
mod loopback;
mod nemesis;
mod storm;
mod suite;
mod wgl;
mod world;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use self::world::Setting;

/// Seeds of an ordinary test run.
const SEEDS: u64 = 60;

/// Runs in virtual time on one thread.
fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// What all seeds came to.
#[derive(Default)]
struct Sum {
    operations: usize,
    gave_up: usize,
    heal: Vec<Duration>,
    counts: BTreeMap<&'static str, u64>,
    broken: Vec<u64>,
}

impl Sum {
    fn add(&mut self, seed: u64, result: Result<storm::Report, String>) {
        match result {
            Ok(report) => {
                self.operations += report.operations;
                self.gave_up += report.gave_up;
                self.heal.push(report.heal);
                for (what, count) in report.counts {
                    *self.counts.entry(what).or_default() += count;
                }
            }
            Err(error) => {
                println!("MESH_RAFT_SEED={seed}: {error}");
                self.broken.push(seed);
            }
        }
        let done = self.heal.len() + self.broken.len();
        if done.is_multiple_of(100) {
            println!("{done} seeds done, {} operations, broken: {:?}", self.operations, self.broken);
        }
    }
}

/// Runs seeds on all cores.
fn run_all(seeds: std::ops::Range<u64>) -> Sum {
    let (next, sum) = (AtomicU64::new(seeds.start), Mutex::new(Sum::default()));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= seeds.end {
            return;
        }
        // Every fourth run has a slow disk.
        let setting = Setting { sync_ms_max: if seed.is_multiple_of(4) { 40 } else { 10 }, ..Setting::default() };
        let result = in_virtual_time(storm::run(seed, setting));
        sum.lock().unwrap().add(seed, result);
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    sum.into_inner().unwrap()
}

#[test]
fn no_fault_breaks_a_promise() {
    let seeds = match setting("MESH_RAFT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..setting("MESH_RAFT_SEEDS").unwrap_or(SEEDS),
    };
    let count = seeds.end - seeds.start;
    let mut sum = run_all(seeds);
    sum.heal.sort_unstable();
    let (median, most) = (sum.heal.get(sum.heal.len() / 2), sum.heal.last());
    println!(
        "{count} seeds, {} operations, {} key histories given up, service back after {median:?} (median), {most:?} (most); {:?}",
        sum.operations, sum.gave_up, sum.counts
    );
    assert!(sum.broken.is_empty(), "broken seeds: {:?}", sum.broken);
    assert!(sum.gave_up as u64 <= count * 3 / 50, "the checker gave up on {} key histories", sum.gave_up);
    assert!(sum.operations as u64 > count * 50, "only {} operations were answered", sum.operations);
    assert!(most.is_none_or(|most| *most < Duration::from_secs(10)), "service came back after {most:?}");
}
