//! One operator at a time on a host: a lock that ends with the connection that holds it, and scripts that end with it.

use super::{
    facts::{Facts, clean},
    journal::whoami,
};
use crate::{
    Exit, Failure, Result,
    host::{Held, Host, HostError, Job, Output},
    human,
};

/// Takes the lock and keeps it until its stdin ends; what it says about itself is for whoever comes second.
///
/// `flock` is freed by the kernel when its holder dies, however it dies. Scripts that change the host hold a second
/// file while they run, and so does everything they start: sshd may know for hours nothing of a connection that was
/// lost, and what was begun over it runs on, or waits with a half-written file in its hands. Nobody begins beside it.
///
/// `$1` is the root, `$2` says who locks, `$3` is the run whose remains are ended.
const SCRIPT: &str = r#"
umask 077
[ -d "$1/run" ] || mkdir -p "$1/run" || exit 1
lock=$1/run/mesh-bootstrap.lock
work=$1/run/mesh-bootstrap.work
ended=
exec 9>>"$lock" || exit 1
nap() { sleep 0.2 2>/dev/null || sleep 1; }
# left FILE: whether the run that is gone on with has left this behind.
left() { IFS= read -r holder <"$1"; case $holder in *" run $2 pid "*[0-9]) ;; *) return 1;; esac; }
busy() { IFS= read -r holder <"$1"; printf 'busy %s\n' "$holder"; exit 75; }
# end SIGNAL: ends every process that has the second file open.
end() {
  for it in /proc/[0-9]*/fd/8; do
    pid=${it#/proc/}; pid=${pid%%/*}
    [ "$pid" = "$$" ] || ! [ "$it" -ef "$work" ] || kill -s "$1" "$pid"
  done 2>/dev/null
}
if ! flock -n 9; then
  left "$lock" "$3" || busy "$lock"
  kill "${holder##* pid }" 2>/dev/null
  ended=ended
  for round in 1 2 3 4 5 6 7 8 9 10; do
    flock -n 9 && break
    [ "$round" -lt 10 ] || busy "$lock"
    nap
  done
fi
printf '%s pid %s\n' "$2" "$$" >"$lock"
exec 8>>"$work" || exit 1
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  flock -n 8 && break
  if [ "$round" = 20 ]; then : >"$lock"; busy "$work"; fi
  if left "$work" "$3"; then
    ended=ended
    if [ "$round" -lt 10 ]; then end TERM; else end KILL; fi
  fi
  nap
done
exec 8>&-
changer=
IFS= read -r changer <"$work"
printf 'held %s %s %s\n' "$$" "${ended:--}" "$changer"
# What waits must not hold the lock itself when this shell is killed.
cat >/dev/null 9>&-
: >"$lock"
"#;

/// Goes before a script that changes a host: it must be the only one, and of whoever holds the lock now.
///
/// What a lost connection delivers late finds another holder and does nothing.
const FENCE: &str = r#"
fence() {
  exec 8>>"$1/run/mesh-bootstrap.work" || exit 1
  flock -n 8 || { echo "another script is changing this host" >&2; exit 1; }
  IFS= read -r holder <"$1/run/mesh-bootstrap.lock"
  [ "$holder" = "$2" ] || { echo "the lock of this host is lost, to ${holder:-nobody}" >&2; exit 1; }
  printf '%s\n' "$2" >"$1/run/mesh-bootstrap.work"
}
"#;
/// How often another run's remains may turn out to be in the way.
const TRIES: usize = 3;

/// What keeps a host locked.
pub(crate) struct Lock {
    _held: Held,
    root: String,
    /// What the lock says of its holder.
    holder: String,
    /// Something that a lost connection had left was ended: what was seen before may be so no more.
    pub(crate) has_ended: bool,
    /// Whoever ran the last script that changed the host, as in `Facts::changer`.
    changer: String,
}

impl Lock {
    /// Whether nobody can have changed the host by these locks since it said so.
    pub(crate) fn is_as_seen(&self, facts: &Facts) -> bool {
        !self.has_ended && facts.lock.is_none() && facts.changer.as_ref() == Some(&self.changer)
    }
}

/// Locks a host for a run; what this run, or another one that nobody carries out any more, has left there is ended.
///
/// # Errors
/// When somebody else holds it, with who that is; when the host cannot be used.
pub(crate) async fn take<H: Host>(
    host: &H,
    root: &str,
    run: &str,
    is_abandoned: &(dyn Fn(&str) -> bool + Sync),
) -> Result<Lock> {
    let who = format!("{} since {}, run {run}", whoami(), human::now());
    let mut over = run.to_owned();
    for _ in 0..TRIES {
        let mut job = Job::new("lock", SCRIPT);
        job.args = vec![root.into(), who.as_str().into(), over.as_str().into()];
        job.root = true;
        let held = host.hold(job).await?;
        let (word, rest) = held.line.split_once(' ').unwrap_or((&held.line, ""));
        match word {
            "held" if held.status.is_none() => {
                let mut words = rest.splitn(3, ' ');
                let (pid, ended) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let (holder, has_ended) = (format!("{who} pid {pid}"), ended == "ended");
                let changer = clean(words.next().unwrap_or_default());
                return Ok(Lock { _held: held, root: root.to_owned(), holder, has_ended, changer });
            }
            "busy" => match run_of(rest).filter(|it| *it != over && is_abandoned(it)) {
                Some(left) => over = left.to_owned(),
                None => return Err(busy(host.name(), rest)),
            },
            _ => {
                let why = format!("status {:?}: {}", held.status, held.line);
                return Err(HostError::Script { label: "lock".into(), why }.into());
            }
        }
    }
    Err(busy(host.name(), ""))
}

/// The run of a holder.
fn run_of(holder: &str) -> Option<&str> {
    holder.rsplit_once(" run ")?.1.split_once(" pid ").map(|(run, _)| run)
}

fn busy(host: &str, holder: &str) -> Failure {
    let holder: String = holder.chars().filter(|it| !it.is_control()).take(200).collect();
    let holder = if holder.is_empty() { "somebody who has not said who".to_owned() } else { holder };
    Failure::new(Exit::Refused, "another operator is changing this host")
        .coded(crate::Code::LockHeld)
        .at(host)
        .why(format!("the lock is held by {holder}"))
        .next("wait until they are done; when their machine is gone for good, end that pid on the host")
}

/// A locked host: its scripts run only for as long as the lock is held, one after another.
pub(crate) struct Locked<'a, H> {
    host: &'a H,
    lock: &'a Lock,
}

impl<'a, H: Host> Locked<'a, H> {
    pub(crate) fn new(host: &'a H, lock: &'a Lock) -> Self {
        Self { host, lock }
    }

    fn fenced<'j>(&self, mut job: Job<'j>) -> std::result::Result<Job<'j>, HostError> {
        let words = shlex::try_join([self.lock.root.as_str(), self.lock.holder.as_str()]);
        let words = words.map_err(|error| HostError::Script { label: job.label.to_owned(), why: error.to_string() })?;
        job.script = format!("{FENCE}fence {words}\n{}", job.script).into();
        Ok(job)
    }
}

impl<H: Host> Host for Locked<'_, H> {
    fn name(&self) -> &str {
        self.host.name()
    }

    async fn run(&self, job: Job<'_>) -> std::result::Result<Output, HostError> {
        self.host.run(self.fenced(job)?).await
    }

    async fn hold(&self, job: Job<'_>) -> std::result::Result<Held, HostError> {
        self.host.hold(self.fenced(job)?).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{super::facts::probe, *};
    use crate::host::shell::Shell;

    const NO_RUN: &(dyn Fn(&str) -> bool + Sync) = &|_| false;

    #[tokio::test]
    async fn the_second_operator_meets_the_first_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let (first, second) = (Shell::new("h1"), Shell::new("h1"));
        let held = take(&first, root, "run-1", NO_RUN).await.unwrap();
        let refused = take(&second, root, "run-2", NO_RUN).await.err().unwrap();
        assert_eq!((refused.exit, refused.place.as_deref()), (Exit::Refused, Some("h1")));
        let why = refused.why.unwrap();
        assert!(why.contains(&whoami()) && why.contains("run run-1 pid "), "{why}");
        // The run itself may go on where a lost connection has left its lock, and so may one that knows it abandoned.
        let again = take(&second, root, "run-1", NO_RUN).await.unwrap();
        assert!(again.has_ended && !held.has_ended);
        let over = take(&first, root, "run-3", &|run| run == "run-1").await.unwrap();
        assert!(over.has_ended);
        drop((held, again, over));
        let end = Instant::now() + Duration::from_secs(10);
        while let Err(failure) = take(&second, root, "run-2", NO_RUN).await {
            assert!(Instant::now() < end, "the lock of a dead operator stays: {failure}");
        }
    }

    #[tokio::test]
    async fn who_was_there_between_the_look_and_the_lock_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, host) = (dir.path().to_str().unwrap(), Shell::new("h1"));
        let look = async || probe(&host, root, &[]).await.unwrap();
        let untouched = look().await;
        let held = take(&host, root, "run-1", NO_RUN).await.unwrap();
        assert!(held.is_as_seen(&untouched), "nobody was there");
        let during = look().await;
        Locked::new(&host, &held).run(Job::new("change", ":")).await.unwrap();
        drop(held);
        let end = Instant::now() + Duration::from_secs(10);
        let mut after = look().await;
        while after.lock.is_some() {
            assert!(Instant::now() < end, "the lock stays");
            after = look().await;
        }
        let next = take(&host, root, "run-2", NO_RUN).await.unwrap();
        // Who held the lock at the look may have gone on afterwards, whether anything shows it or not.
        let seen = [&untouched, &during, &after].map(|it| next.is_as_seen(it));
        assert_eq!(seen, [false, false, true]);
        let silent = Facts { changer: None, ..after };
        assert!(!next.is_as_seen(&silent), "a host that does not say is not believed");
    }

    /// A script and all that it has started, as a lost connection leaves them.
    #[tokio::test]
    async fn nothing_of_a_lost_connection_runs_on_beside_the_run_that_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (root, host) = (dir.path().to_str().unwrap(), Shell::new("h1"));
        let lost = take(&host, root, "run-1", NO_RUN).await.unwrap();
        let locked = Locked::new(&host, &lost);
        let began = dir.path().join("began");
        let upload = format!("touch {}; sleep 1000 >>{}", began.display(), dir.path().join("part").display());
        let go_on = async {
            while !began.exists() {
                tokio::task::yield_now().await;
            }
            // Whoever comes while it is at work must wait, also when nobody holds the lock itself any more.
            let beside = Locked::new(&host, &lost).run(Job::new("beside", "echo beside")).await.unwrap();
            assert!(beside.status == 1 && beside.stderr.contains("another script"), "{beside:?}");
            take(&host, root, "run-1", NO_RUN).await.unwrap()
        };
        let (ended, again) = tokio::join!(locked.run(Job::new("upload", upload)), go_on);
        assert!(ended.unwrap().status != 0 && again.has_ended);
        let late = locked.run(Job::new("late", "echo late")).await.unwrap();
        assert!(late.status == 1 && late.stdout.is_empty() && late.stderr.contains("is lost, to"), "{late:?}");
        let next = Locked::new(&host, &again).run(Job::new("next", "echo next; cat")).await.unwrap();
        assert_eq!((next.status, next.text().as_ref()), (0, "next\n"));
    }
}
