//! One operator at a time on a host: a lock that ends with the connection that holds it.

use super::journal::whoami;
use crate::{
    Exit, Failure, Result,
    host::{Held, Host, HostError, Job},
    human,
};

/// Takes the lock and keeps it until its stdin ends; what it says about itself is for whoever comes second.
///
/// `flock` is freed by the kernel when its holder dies, however it dies.
const SCRIPT: &str = r#"
umask 077
mkdir -p "$1/run" || exit 1
lock=$1/run/mesh-bootstrap.lock
exec 9>>"$lock" || exit 1
hold() {
  printf '%s pid %s\n' "$2" "$$" >"$lock"
  echo held
  # What waits must not hold the lock itself when this shell is killed.
  cat >/dev/null 9>&-
  : >"$lock"
  exit 0
}
flock -n 9 && hold "$@"
IFS= read -r holder <"$lock"
case $holder in
*" run $3 pid "*[0-9])
  # The same run goes on: what its lost connection left behind here waits for nobody.
  kill "${holder##* pid }" 2>/dev/null
  for _ in 1 2 3 4 5; do
    flock -n 9 && hold "$@"
    sleep 1
  done
  ;;
esac
printf 'busy %s\n' "$holder"
exit 75
"#;

/// What keeps a host locked.
pub(crate) struct Lock {
    _held: Held,
}

/// Locks a host for a run.
pub(crate) async fn take<H: Host>(host: &H, root: &str, run: &str) -> Result<Lock> {
    let mut job = Job::new("lock", SCRIPT);
    let who = format!("{} since {}, run {run}", whoami(), human::now());
    job.args = vec![root.into(), who.into(), run.into()];
    job.root = true;
    let held = host.hold(job).await?;
    match held.line.split_once(' ').unwrap_or((&held.line, "")) {
        ("held", _) if held.status.is_none() => Ok(Lock { _held: held }),
        ("busy", holder) => Err(busy(host.name(), holder)),
        _ => {
            Err(HostError::Script { label: "lock".into(), why: format!("status {:?}: {}", held.status, held.line) }
                .into())
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::shell::Shell;

    #[tokio::test]
    async fn the_second_operator_meets_the_first_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        let (first, second) = (Shell::new("h1"), Shell::new("h1"));
        let held = take(&first, root, "run-1").await.unwrap();
        let refused = take(&second, root, "run-2").await.err().unwrap();
        assert_eq!((refused.exit, refused.place.as_deref()), (Exit::Refused, Some("h1")));
        let why = refused.why.unwrap();
        assert!(why.contains(&whoami()) && why.contains("run run-1 pid "), "{why}");
        // The run itself may go on where a lost connection has left its lock.
        let again = take(&second, root, "run-1").await.unwrap();
        drop((held, again));
        let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while let Err(failure) = take(&second, root, "run-2").await {
            assert!(std::time::Instant::now() < end, "the lock of a dead operator stays: {failure}");
        }
    }
}
