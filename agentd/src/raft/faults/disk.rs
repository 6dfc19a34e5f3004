//! A disk that forgets: what was not synced when the power went is there, torn, or gone, write by write.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use redb::StorageBackend;

use super::super::{
    files::Files,
    journal::{Journal, Record, RedbJournal},
};

const SECTOR: usize = 512;

/// A host's storage; it outlives the processes that use it.
#[derive(Debug)]
pub(super) struct Host {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rng: StdRng,
    /// Counts power cuts; a handle of an earlier one is dead.
    epoch: u64,
    durable: Vec<u8>,
    /// What a running process reads.
    seen: Vec<u8>,
    unsynced: Vec<Change>,
    /// Operations until the power goes; none when it stays.
    doom: Option<u32>,
    snapshots: BTreeMap<String, Vec<u8>>,
    sync_ms_max: u64,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, image: &mut Vec<u8>, len: usize) {
        match self {
            Self::Length(len) => image.resize(*len, 0),
            Self::Write(offset, bytes) => {
                image.resize(image.len().max(offset + len), 0);
                image[*offset..offset + len].copy_from_slice(&bytes[..len]);
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Length(_) => 0,
            Self::Write(_, bytes) => bytes.len(),
        }
    }
}

impl Host {
    pub(super) fn new(seed: u64, sync_ms_max: u64) -> Arc<Self> {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            epoch: 0,
            durable: Vec::new(),
            seen: Vec::new(),
            unsynced: Vec::new(),
            doom: None,
            snapshots: BTreeMap::new(),
            sync_ms_max,
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    pub(super) fn epoch(&self) -> u64 {
        self.state.lock().unwrap().epoch
    }

    /// Cuts the power: everything not synced is kept or lost at random, or all of it lost.
    pub(super) fn crash(&self, lose_all: bool) {
        let state = &mut *self.state.lock().unwrap();
        for change in std::mem::take(&mut state.unsynced) {
            match state.rng.random_range(0..4) {
                _ if lose_all => {}
                0 | 1 => change.apply(&mut state.durable, change.len()),
                2 => {
                    let sectors = state.rng.random_range(0..=change.len() / SECTOR);
                    change.apply(&mut state.durable, sectors * SECTOR);
                }
                _ => {}
            }
        }
        state.seen = state.durable.clone();
        state.doom = None;
        state.epoch += 1;
    }

    /// Lets the power go after so many more operations on the log.
    pub(super) fn doom(&self, operations: u32) {
        self.state.lock().unwrap().doom = Some(operations);
    }

    /// Opens the log for a process that starts now.
    pub(super) fn backend(self: &Arc<Self>) -> Backend {
        Backend { host: Arc::clone(self), epoch: self.epoch() }
    }

    pub(super) fn files(self: &Arc<Self>) -> SimFiles {
        SimFiles(self.backend())
    }
}

/// The log file as one process has it open.
#[derive(Debug)]
pub(super) struct Backend {
    host: Arc<Host>,
    epoch: u64,
}

impl Backend {
    fn run<T>(&self, work: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        let state = &mut *self.host.state.lock().unwrap();
        if let Some(left) = &mut state.doom {
            *left = left.saturating_sub(1);
        }
        if state.epoch != self.epoch || state.doom == Some(0) {
            return Err(io::Error::other("the power is gone"));
        }
        Ok(work(state))
    }
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.run(|state| state.seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = position(offset);
        self.run(|state| out.copy_from_slice(&state.seen[offset..offset + out.len()]))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let change = Change::Length(position(len));
        self.run(|state| {
            change.apply(&mut state.seen, 0);
            state.unsynced.push(change);
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.run(|state| {
            for change in std::mem::take(&mut state.unsynced) {
                change.apply(&mut state.durable, change.len());
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let change = Change::Write(position(offset), data.to_vec());
        self.run(|state| {
            change.apply(&mut state.seen, data.len());
            state.unsynced.push(change);
        })
    }
}

/// Snapshot files have a fate of their own: durable as soon as they are put.
pub(super) struct SimFiles(Backend);

impl Files for SimFiles {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.run(|state| {
            state.snapshots.insert(name.to_owned(), bytes.to_vec());
            while state.snapshots.len() > 2 {
                state.snapshots.pop_first();
            }
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.run(|state| state.snapshots.keys().cloned().collect())
    }

    fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.run(|state| state.snapshots[name].clone())
    }
}

/// A mistake put in on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plant {
    Nothing,
    /// Everything is acknowledged before it is synced.
    EarlyAnswer,
    /// Votes are answered before they are synced.
    LazyVote,
    /// Truncations are answered before they are synced.
    LazyTruncate,
}

/// Our journal on a simulated disk that takes its time.
pub(super) struct SimJournal {
    inner: RedbJournal,
    host: Arc<Host>,
    plant: Plant,
    /// What is answered and not yet written.
    held: Vec<Record>,
}

impl SimJournal {
    pub(super) fn new(inner: RedbJournal, host: Arc<Host>, plant: Plant) -> Self {
        Self { inner, host, plant, held: Vec::new() }
    }
}

impl Journal for SimJournal {
    fn write(&mut self, batch: &[Record]) -> io::Result<()> {
        let late = |record: &Record| match self.plant {
            Plant::Nothing => false,
            Plant::EarlyAnswer => true,
            Plant::LazyVote => matches!(record, Record::Vote(_)),
            Plant::LazyTruncate => matches!(record, Record::Truncate(_)),
        };
        // From the first late record on everything waits for the next batch, as the order must hold.
        let now = batch.iter().position(late).unwrap_or(batch.len());
        let mut records = std::mem::take(&mut self.held);
        records.extend_from_slice(&batch[..now]);
        self.held = batch[now..].to_vec();
        if records.is_empty() { Ok(()) } else { self.inner.write(&records) }
    }

    fn delay(&mut self) -> Option<Duration> {
        let state = &mut *self.host.state.lock().unwrap();
        let ms = state.rng.random_range(0..=state.sync_ms_max);
        Some(Duration::from_millis(ms))
    }
}
