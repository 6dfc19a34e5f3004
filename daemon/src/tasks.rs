//! Tasks with a name, an owner and an end. One that ends unasked ends the daemon.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::Display,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::task::AbortHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::Shutdown;

/// What a task may end with: nothing, or a result whose error is told.
pub trait TaskEnd: Send {
    /// The error in words, when there is one.
    fn error(self) -> Option<String>;
}

impl TaskEnd for () {
    fn error(self) -> Option<String> {
        None
    }
}

impl<E: Display + Send> TaskEnd for Result<(), E> {
    fn error(self) -> Option<String> {
        // `{:#}` prints the whole chain of an anyhow error.
        self.err().map(|error| format!("{error:#}"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Ending before the group stops is a fault of the daemon.
    Essential,
    /// It may end when its work is done.
    Free,
}

#[derive(Debug)]
struct Root {
    shutdown: Shutdown,
    failure: OnceLock<String>,
}

/// The tasks that run, by the number of their start.
type Running = BTreeMap<u64, (Cow<'static, str>, Option<AbortHandle>)>;

#[derive(Debug)]
struct Group {
    root: Arc<Root>,
    token: CancellationToken,
    tracker: TaskTracker,
    next: AtomicU64,
    running: Mutex<Running>,
}

/// A group of tasks; clones share it. `child` makes a group that stops with this one or by itself.
#[derive(Debug, Clone)]
pub struct Tasks {
    group: Arc<Group>,
}

impl Tasks {
    /// Makes the daemon's group; it stops when `shutdown` begins.
    #[must_use]
    pub fn new(shutdown: &Shutdown) -> Self {
        let root = Arc::new(Root { shutdown: shutdown.clone(), failure: OnceLock::new() });
        Self::group(root, shutdown.token().child_token())
    }

    fn group(root: Arc<Root>, token: CancellationToken) -> Self {
        let group = Group {
            root,
            token,
            tracker: TaskTracker::new(),
            next: AtomicU64::new(0),
            running: Mutex::new(BTreeMap::new()),
        };
        Self { group: Arc::new(group) }
    }

    /// Makes a group that stops with this one, or earlier by its own `stop`. Its faults are the daemon's faults.
    #[must_use]
    pub fn child(&self) -> Self {
        Self::group(Arc::clone(&self.group.root), self.group.token.child_token())
    }

    /// The token that is cancelled when this group stops.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.group.token.clone()
    }

    /// Starts a task that watches the token itself; ending before the group stops ends the daemon.
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output: TaskEnd> + Send + 'static,
    {
        self.start(name.into(), End::Essential, future);
    }

    /// Starts a task that is dropped when the group stops; ending earlier ends the daemon.
    pub fn spawn_until<F>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output: TaskEnd> + Send + 'static,
    {
        let token = self.token();
        self.start(name.into(), End::Essential, async move {
            match token.run_until_cancelled_owned(future).await {
                Some(end) => end.error().map_or(Ok(()), Err),
                None => Ok(()),
            }
        });
    }

    /// Starts a task that may end when its work is done (one connection, one job); it is dropped when the group stops.
    ///
    /// Its error or panic is logged and ends nothing else.
    pub fn spawn_free<F>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output: TaskEnd> + Send + 'static,
    {
        let token = self.token();
        self.start(name.into(), End::Free, async move {
            match token.run_until_cancelled_owned(future).await {
                Some(end) => end.error().map_or(Ok(()), Err),
                None => Ok(()),
            }
        });
    }

    fn start<F>(&self, name: Cow<'static, str>, end: End, future: F)
    where
        F: Future<Output: TaskEnd> + Send + 'static,
    {
        let id = self.group.next.fetch_add(1, Ordering::Relaxed);
        self.running().insert(id, (name, None));
        let group = Arc::clone(&self.group);
        let guard = Entry { group, id };
        let task = self.group.tracker.spawn(async move {
            let ended = AssertUnwindSafe(future).catch_unwind().await;
            let error = match ended {
                Ok(end) => end.error(),
                Err(panic) => Some(format!("panicked: {}", panic_text(panic.as_ref()))),
            };
            guard.ended(end, error);
        });
        if let Some(entry) = self.running().get_mut(&id) {
            entry.1 = Some(task.abort_handle());
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.group.running()
    }

    /// The names of the tasks that run now, in the order of their start.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.running().values().map(|(name, _)| name.to_string()).collect()
    }

    /// Why the daemon ends, when a task ended unasked.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.group.root.failure.get().cloned()
    }

    /// Stops this group and waits for its tasks; after `deadline` the rest is dropped.
    ///
    /// # Errors
    /// The names of the tasks that did not end by themselves.
    pub async fn stop(&self, deadline: Duration) -> Result<(), Vec<String>> {
        self.group.token.cancel();
        self.join(deadline).await
    }

    /// Waits until the group has been told to stop, then for its tasks; after `deadline` the rest is dropped.
    ///
    /// # Errors
    /// The names of the tasks that did not end by themselves.
    pub async fn join(&self, deadline: Duration) -> Result<(), Vec<String>> {
        self.group.token.cancelled().await;
        self.group.tracker.close();
        if tokio::time::timeout(deadline, self.group.tracker.wait()).await.is_ok() {
            return Ok(());
        }
        let late: Vec<_> = self.running().values().cloned().collect();
        for (name, handle) in &late {
            tracing::warn!(task = %name, "did not stop in time");
            if let Some(handle) = handle {
                handle.abort();
            }
        }
        self.group.tracker.wait().await;
        Err(late.into_iter().map(|(name, _)| name.into_owned()).collect())
    }
}

impl Group {
    fn running(&self) -> MutexGuard<'_, Running> {
        // The map is whole between any two statements that hold the lock.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a task off the list when it ends or is dropped.
struct Entry {
    group: Arc<Group>,
    id: u64,
}

impl Entry {
    fn ended(&self, end: End, error: Option<String>) {
        let name = self.group.running().get(&self.id).map_or(Cow::Borrowed("?"), |(name, _)| name.clone());
        let asked = self.group.token.is_cancelled();
        match (end, asked, error) {
            (End::Essential, false, error) => {
                let why = error.unwrap_or_else(|| "ended unasked".to_owned());
                tracing::error!(task = %name, %why, "task ended: the daemon stops");
                // Only the first fault is the cause; what follows is its consequence.
                let _ = self.group.root.failure.set(format!("{name}: {why}"));
                self.group.root.shutdown.begin();
            }
            (_, _, Some(error)) => tracing::warn!(task = %name, %error, "task ended with an error"),
            (_, _, None) => {}
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.group.running().remove(&self.id);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_task_that_ends_unasked_ends_the_daemon() {
        let check = async |end: Result<(), String>, expected: &str| {
            let shutdown = Shutdown::new();
            let tasks = Tasks::new(&shutdown);
            tasks.spawn_until("other", std::future::pending::<()>());
            tasks.spawn("watch", async { end });
            tokio::time::timeout(SOON, shutdown.begun()).await.unwrap();
            assert_eq!(tasks.join(SOON).await, Ok(()));
            assert_eq!(tasks.failure().as_deref(), Some(expected));
        };
        check(Ok(()), "watch: ended unasked").await;
        check(Err("disk full".into()), "watch: disk full").await;
    }

    #[tokio::test]
    async fn a_panic_names_its_task() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(&shutdown);
        tasks.spawn("bad", async {
            if true {
                panic!("index 7");
            }
        });
        tokio::time::timeout(SOON, shutdown.begun()).await.unwrap();
        assert_eq!(tasks.failure().as_deref(), Some("bad: panicked: index 7"));
    }

    #[tokio::test]
    async fn free_tasks_and_asked_ends_are_no_fault() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(&shutdown);
        tasks.spawn_free("job", async { Err::<(), _>("refused") });
        let token = tasks.token();
        tasks.spawn("loop", async move { token.cancelled().await });
        shutdown.begin();
        assert_eq!(tasks.join(SOON).await, Ok(()));
        assert_eq!((tasks.failure(), tasks.names()), (None, Vec::new()));
    }

    #[tokio::test]
    async fn a_child_group_stops_alone_and_with_its_parent() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(&shutdown);
        let (one, two) = (tasks.child(), tasks.child());
        one.spawn_until("one", std::future::pending::<()>());
        two.spawn_until("two", std::future::pending::<()>());
        assert_eq!(one.stop(SOON).await, Ok(()));
        assert_eq!((shutdown.is_begun(), two.names()), (false, vec!["two".to_owned()]));
        shutdown.begin();
        assert_eq!(two.join(SOON).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_hangs_is_named_and_dropped() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(&shutdown);
        tasks.spawn("stuck", std::future::pending::<()>());
        shutdown.begin();
        assert_eq!(tasks.join(SOON).await, Err(vec!["stuck".to_owned()]));
        assert!(tasks.names().is_empty());
    }
}
