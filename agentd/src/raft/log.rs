//! The raft log: entries readable from memory at once, durable by one owning thread that syncs once per batch.
//!
//! Votes, entries, truncations, purges and the commit position go through one queue in the order they were asked for,
//! so what survives a power cut is always a prefix of that order.

use std::{
    fmt::Debug,
    io,
    ops::RangeBounds,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use openraft::{
    OptionalSend,
    storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage},
};
use tokio::sync::{Notify, oneshot, watch};

use super::{
    failure::FailureSender,
    journal::{Image, Journal, Record},
    types::{Entry, LogId, Types, Vote},
};

/// What may stay unwritten while nothing urgent comes: the commit position and purges.
const LAZY_MAX: Duration = Duration::from_secs(1);
/// A batch that takes longer than this is worth a line in the log.
const SLOW_SYNC: Duration = Duration::from_millis(500);

/// A handle on the log; clones share it.
#[derive(Clone)]
pub(crate) struct Log {
    shared: Arc<Shared>,
}

/// What handle and writer share.
struct Shared {
    state: Mutex<State>,
    /// Told when something urgent is queued, or the log is closed.
    wake: Notify,
    /// Set when the writer has ended and the journal is closed.
    ended: watch::Sender<bool>,
}

struct State {
    /// The log with everything queued already in it.
    image: Image,
    /// Unbounded: raft itself bounds how many appends it has in flight.
    queue: Vec<(Record, Done)>,
    failed: Option<String>,
    closed: bool,
}

/// Who waits for a record.
enum Done {
    /// Nobody.
    Lazy,
    /// Raft, for entries.
    Flushed(IOFlushed<Types>),
    /// A caller that goes on only afterwards.
    Synced(oneshot::Sender<io::Result<()>>),
}

impl Done {
    fn answer(self, result: Result<(), &str>) {
        let result = result.map_err(|error| io::Error::other(error.to_owned()));
        match self {
            Self::Lazy => {}
            Self::Flushed(callback) => callback.io_completed(result),
            // Its caller may have stopped waiting; the record is written all the same.
            Self::Synced(reply) => drop(reply.send(result)),
        }
    }
}

/// Writes what is queued, batch by batch, until the log is closed.
pub(crate) struct Writer<J> {
    shared: Arc<Shared>,
    journal: J,
    failure: FailureSender,
}

impl Log {
    /// Makes a log of what a journal held; nothing becomes durable until the writer runs.
    pub(crate) fn new<J: Journal>(journal: J, image: Image, failure: FailureSender) -> (Self, Writer<J>) {
        let state = State { image, queue: Vec::new(), failed: None, closed: false };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), wake: Notify::new(), ended: watch::Sender::new(false) });
        (Self { shared: Arc::clone(&shared) }, Writer { shared, journal, failure })
    }

    /// Lets the writer finish what is queued and end; everything asked for later is an error.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
    }

    /// Completes when the writer has ended after [`Self::close`].
    pub(crate) async fn ended(&self) {
        // The sender lives in what is waited with.
        drop(self.shared.ended.subscribe().wait_for(|ended| *ended).await);
    }

    /// The bytes of all commands in the log, which are also in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.lock().image.bytes
    }

    fn push(&self, record: Record, done: Done) -> io::Result<()> {
        let mut state = self.shared.check()?;
        state.image.apply(&record);
        let urgent = !matches!(done, Done::Lazy);
        state.queue.push((record, done));
        drop(state);
        if urgent {
            self.shared.wake.notify_one();
        }
        Ok(())
    }

    async fn push_synced(&self, record: Record) -> io::Result<()> {
        let (reply, done) = oneshot::channel();
        self.push(record, Done::Synced(reply))?;
        done.await.map_err(|_| io::Error::other("the log's writer has ended"))?
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and the state is valid at every step.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        match &state.failed {
            Some(error) => Err(io::Error::other(error.clone())),
            None if state.closed => Err(io::Error::other("the log is closed")),
            None => Ok(state),
        }
    }
}

impl<J: Journal> Writer<J> {
    /// Runs on a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn spawn_thread(self) -> io::Result<std::thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let failure = self.failure.clone();
        std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || {
            let work = std::panic::AssertUnwindSafe(|| runtime.block_on(self.run()));
            if std::panic::catch_unwind(work).is_err() {
                // Raft would wait for ever for what is not answered any more.
                failure.report("the thread of the raft log has panicked");
            }
        })
    }

    /// Writes until the log is closed.
    pub(crate) async fn run(mut self) {
        loop {
            // A purge or commit position alone is written after a while without anything urgent.
            drop(tokio::time::timeout(LAZY_MAX, self.shared.wake.notified()).await);
            if let Some(delay) = self.journal.delay() {
                tokio::time::sleep(delay).await;
            }
            let (queue, failed, closed) = {
                let mut state = self.shared.lock();
                (std::mem::take(&mut state.queue), state.failed.clone(), state.closed)
            };
            let (records, waiting): (Vec<_>, Vec<_>) = queue.into_iter().unzip();
            let result = match failed {
                Some(error) => Err(error),
                None if records.is_empty() => Ok(()),
                None => self.write(&records),
            };
            for done in waiting {
                done.answer(result.as_ref().map_err(String::as_str).copied());
            }
            if closed {
                break;
            }
        }
        drop(self.journal);
        self.shared.ended.send_replace(true);
    }

    fn write(&mut self, records: &[Record]) -> Result<(), String> {
        let begun = std::time::Instant::now();
        let result = self.journal.write(records).map_err(|error| format!("cannot write the log: {error}"));
        if begun.elapsed() > SLOW_SYNC {
            tracing::warn!(
                ms = begun.elapsed().as_millis(),
                records = records.len(),
                "the disk is slow to sync the raft log"
            );
        }
        if let Err(error) = &result {
            // After a failed sync nobody knows what is on the disk: no retry, the process ends.
            self.shared.lock().failed = Some(error.clone());
            self.failure.report(error);
        }
        result
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let state = self.shared.check()?;
        Ok(state.image.entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.shared.check()?.image.vote)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let state = self.shared.check()?;
        Ok(LogState { last_purged_log_id: state.image.purged, last_log_id: state.image.last() })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.push_synced(Record::Vote(*vote)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        // Lazy, which is right only with leader restore off: see the configuration.
        self.push(Record::Committed(committed), Done::Lazy)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.shared.check()?.image.committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut next = self.shared.check()?.image.last().map(|last| last.index + 1);
        for entry in &entries {
            let index = entry.log_id.index;
            if next.is_some_and(|next| next != index) {
                return Err(io::Error::other(format!("entry {index} would leave a hole in the log, {next:?} is next")));
            }
            next = Some(index + 1);
        }
        self.push(Record::Append(entries), Done::Flushed(callback))
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        // Synced: a snapshot installed next is another file and must not become durable before this.
        self.push_synced(Record::Truncate(last.map_or(0, |last| last.index + 1))).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.push(Record::Purge(upto), Done::Lazy)
    }
}
