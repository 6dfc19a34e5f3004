//! A host over SSH: scripts on channels of one connection, as root when they must be.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{OnceCell, Semaphore, oneshot},
    time::timeout,
};

use super::{
    become_::{self, Password, Trust, Way},
    connect::Shared,
    connection::{Connection, Unopened},
    exec::{Fault, How, Run, Script, Through},
    frame::{CUT_SHORT, Marker, TooMuch},
    pace,
};
use crate::{
    host::{Held, Host, HostError, Job, Output},
    hosts::{Become, BecomeMethod},
};

/// How many scripts run at once on a host: sshd allows ten sessions a connection unless told otherwise.
const SESSIONS_MAX: usize = 8;
/// A shell that waited for so long is not used again: some hosts end those that do nothing.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How long finding out about sudo may take.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// How long stopping a script may take that took too long.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Ends the process group whose shell was started with the marker `$1`; sshd itself signals for no root login.
const STOP: &str = r#"
for file in $(grep -lsF -- "$1" /proc/[0-9]*/cmdline); do
    { read -r _ _ _ _ group _ <"${file%/cmdline}/stat"; } 2>/dev/null && kill -TERM "-$group" 2>/dev/null
done
:
"#;

/// A host over SSH.
pub(crate) struct SshHost {
    name: String,
    connection: Arc<Connection>,
    /// Who has logged in.
    login: String,
    r#become: Become,
    shared: Shared,
    /// How root is got here, once it is known.
    way: OnceCell<Result<Rooted, HostError>>,
    /// A script has started without anybody having read its stdin before it.
    quiet: AtomicBool,
    sessions: Arc<Semaphore>,
    /// Shells that wait for another script: of who has logged in, and of root.
    kept: [Mutex<Option<Kept>>; 2],
}

/// A shell that waits for another script.
struct Kept {
    call: oneshot::Sender<oneshot::Sender<Script>>,
    marker: Marker,
    since: Instant,
}

impl Kept {
    fn new(script: Script, marker: Marker) -> Self {
        let (call, called) = oneshot::channel();
        tokio::spawn(script.idle(called));
        Self { call, marker, since: Instant::now() }
    }

    /// The shell with its marker, unless it has ended.
    async fn back(self) -> Option<(Script, Marker)> {
        let (give, given) = oneshot::channel();
        self.call.send(give).ok()?;
        Some((given.await.ok()?, self.marker))
    }
}

/// How root is got, with the password if one is needed.
#[derive(Clone)]
struct Rooted {
    way: Way,
    password: Option<age::secrecy::SecretString>,
}

impl SshHost {
    /// A host on which `login` has logged in over a connection.
    pub(super) fn new(
        name: &str,
        (connection, login): (Arc<Connection>, String),
        r#become: Become,
        shared: Shared,
    ) -> Self {
        Self {
            name: name.to_owned(),
            connection,
            login,
            r#become,
            shared,
            way: OnceCell::new(),
            quiet: AtomicBool::new(false),
            sessions: Arc::new(Semaphore::new(SESSIONS_MAX)),
            kept: Default::default(),
        }
    }

    /// Runs a script through what makes it the right user.
    async fn talk(&self, job: &Job<'_>, through: &Through) -> Result<Output, HostError> {
        let _turn = self.sessions.acquire().await;
        let quiet = self.quiet.load(Ordering::Relaxed);
        let most_under_way = pace::most_under_way(self.connection.round_trip());
        let run = Run { job, marker: Marker::random(), through, quiet, how: How::Alone, most_under_way };
        let talked = async {
            let mut script = self.start(&run).await?;
            script.go(&run).await.map_err(|fault| self.fault(&run, fault))?;
            script.end().map_err(|fault| self.fault(&run, fault))
        };
        let limit = job.timeout;
        let Ok(talked) = timeout(limit, talked).await else {
            self.stop(&run).await;
            return Err(HostError::Timeout { label: job.label.to_owned(), limit });
        };
        let talk = talked?;
        self.quiet.store(true, Ordering::Relaxed);
        let status = talk.status.unwrap_or(CUT_SHORT);
        let (stdout, stderr) = talk.said();
        Ok(Output { status, stdout, stderr })
    }

    /// Runs a script in the shell of the one before it, or in a new one; the shell is kept for the next when all went well.
    ///
    /// A session costs a host its sshd another process, a login shell and the script's: most of what a short script costs.
    async fn talk_on(&self, job: &Job<'_>, through: &Through) -> Result<Output, HostError> {
        let _turn = self.sessions.acquire().await;
        let kept = self.kept(job.root).take();
        let kept = kept.filter(|it| it.since.elapsed() < IDLE_MAX && !self.connection.is_gone());
        let (kept, marker) = match kept {
            Some(it) => it.back().await,
            None => None,
        }
        .map_or_else(|| (None, Marker::random()), |(script, marker)| (Some(script), marker));
        let quiet = self.quiet.load(Ordering::Relaxed);
        let most_under_way = pace::most_under_way(self.connection.round_trip());
        let run = Run { job, marker, through, quiet, how: How::Kept, most_under_way };
        let talked = async {
            let mut script = match kept {
                Some(mut script) => {
                    script.next(&run).map_err(|fault| self.fault(&run, fault))?;
                    script
                }
                None => self.start(&run).await?,
            };
            script.go(&run).await.map_err(|fault| self.fault(&run, fault))?;
            let (output, is_fit) = script.answer().map_err(|fault| self.fault(&run, fault))?;
            Ok::<_, HostError>((output, is_fit.then_some(script)))
        };
        let limit = job.timeout;
        let Ok(talked) = timeout(limit, talked).await else {
            self.stop(&run).await;
            return Err(HostError::Timeout { label: job.label.to_owned(), limit });
        };
        let (output, fit) = talked?;
        self.quiet.store(true, Ordering::Relaxed);
        if let Some(script) = fit {
            *self.kept(job.root) = Some(Kept::new(script, run.marker));
        }
        Ok(output)
    }

    fn kept(&self, root: bool) -> MutexGuard<'_, Option<Kept>> {
        self.kept[usize::from(root)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops what a script that took too long has left on the host, as far as that can be done soon.
    async fn stop(&self, stopped: &Run<'_>) {
        let mut job = Job::new("stop", STOP);
        job.args = vec![stopped.marker.as_str().into()];
        let run = Run {
            job: &job,
            marker: Marker::random(),
            through: stopped.through,
            quiet: stopped.quiet,
            how: How::Alone,
            most_under_way: u64::MAX,
        };
        let stopping = async {
            let mut script = self.start(&run).await?;
            script.go(&run).await.map_err(|fault| self.fault(&run, fault))
        };
        match timeout(STOP_LIMIT, stopping).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(host = self.name, %error, "cannot stop `{}`", stopped.job.label),
            Err(_) => tracing::debug!(host = self.name, "no answer to stopping `{}`", stopped.job.label),
        }
    }

    async fn start(&self, run: &Run<'_>) -> Result<Script, HostError> {
        let label = run.job.label;
        let channel = self.connection.session().await.map_err(|error| match error {
            Unopened::Gone(why) => HostError::Connect {
                address: self.connection.address.clone(),
                why: format!("the connection was lost before `{label}`: {why}"),
            },
            Unopened::Refused(why) | Unopened::Forbidden(why) => HostError::Script { label: label.to_owned(), why },
        })?;
        Script::start(channel, run).await.map_err(|fault| self.fault(run, fault))
    }

    /// What a fault means to who asked for the script.
    fn fault(&self, run: &Run<'_>, fault: Fault) -> HostError {
        let (label, rooted) = (run.job.label.to_owned(), !run.through.words.is_empty());
        let script = |why: String| HostError::Script { label: run.job.label.to_owned(), why };
        match fault {
            Fault::Cut => HostError::Lost { label, why: self.connection.why() },
            Fault::WrongPassword => HostError::Become { why: "sudo does not take the password".to_owned() },
            Fault::NotStarted { said, status: Some(_) } if rooted => HostError::Become { why: not_root(&said) },
            Fault::NotStarted { said, status: Some(status) } => HostError::Login {
                address: self.connection.address.clone(),
                why: format!("the login shell ended with status {status} before it ran anything{}", quoted(&said)),
            },
            Fault::NotStarted { said, status: None } => script(format!(
                "the login shell does not get to it{}: does a start-up file read stdin, or ask something?",
                quoted(&said)
            )),
            Fault::Refused => script("the host runs no commands for this user".to_owned()),
            Fault::TooMuch(TooMuch::Junk) => script(
                "the login shell prints and prints before it starts: a start-up file must be silent without a terminal"
                    .to_owned(),
            ),
            Fault::TooMuch(TooMuch::Stdout) => script("it prints more than 8 MiB".to_owned()),
            Fault::Input(why) => script(why),
        }
    }

    /// What goes between the login shell and the script.
    async fn through(&self, root: bool) -> Result<Through, HostError> {
        // Who is that user already need not be asked: a question costs the host a shell.
        if !root || self.login == self.r#become.user {
            return Ok(Through::default());
        }
        let finding = || async {
            match self.find_way().await {
                // What the host, or a person, has said is not asked again.
                Err(said @ (HostError::Become { .. } | HostError::Unanswered { .. })) => Ok(Err(said)),
                Err(error) => Err(error),
                Ok(rooted) => Ok(Ok(rooted)),
            }
        };
        let rooted = self.way.get_or_try_init(finding).await?.clone()?;
        self.passage(&rooted)
    }

    fn passage(&self, rooted: &Rooted) -> Result<Through, HostError> {
        become_::through(&rooted.way, &self.r#become.user, rooted.password.as_ref())
            .map_err(|why| HostError::Become { why })
    }

    async fn find_way(&self) -> Result<Rooted, HostError> {
        let method = match self.r#become.method {
            BecomeMethod::None => "none",
            BecomeMethod::Sudo => "sudo",
        };
        let user = self.r#become.user.as_str();
        let mut job = Job::new("become", become_::PROBE);
        (job.args, job.timeout) = (vec![user.into(), method.into()], PROBE_LIMIT);
        let printed = self.talk(&job, &Through::default()).await?;
        let way = become_::way(&printed.text(), user).map_err(|why| HostError::Become { why })?;
        if way != Way::Password {
            return Ok(Rooted { way, password: None });
        }
        let source = &self.r#become.password;
        let password = self.shared.passwords().get(source, user);
        let secret = password.secret(source, user, self.shared.questions()).await;
        let secret = secret.map_err(|it| HostError::Unanswered { why: it.why, next: it.next })?;
        let rooted = Rooted { way, password: Some(secret) };
        self.try_password(&password, &rooted).await?;
        Ok(rooted)
    }

    /// The first host to be given a password is given it alone, so that a wrong one is not tried everywhere at once.
    async fn try_password(&self, password: &Password, rooted: &Rooted) -> Result<(), HostError> {
        let mut trust = password.trust.lock().await;
        trust.allows().map_err(|why| HostError::Become { why })?;
        let guard = if *trust == Trust::Good {
            drop(trust);
            None
        } else {
            Some(&mut trust)
        };
        let mut job = Job::new("become", ":");
        job.timeout = PROBE_LIMIT;
        let tried = self.talk(&job, &self.passage(rooted)?).await;
        match (guard, &tried) {
            (Some(trust), Ok(_)) => **trust = Trust::Good,
            (Some(trust), Err(HostError::Become { .. })) => trust.refused(),
            _ => {}
        }
        tried.map(|_| ())
    }
}

fn quoted(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(" (it says `{said}`)") }
}

fn not_root(said: &str) -> String {
    become_::refusal(said).unwrap_or_else(|| format!("sudo ran nothing{}", quoted(said)))
}

impl Host for SshHost {
    fn name(&self) -> &str {
        &self.name
    }

    async fn run(&self, job: Job<'_>) -> Result<Output, HostError> {
        let through = self.through(job.root).await?;
        if job.keeps_shell { self.talk_on(&job, &through).await } else { self.talk(&job, &through).await }
    }

    async fn hold(&self, job: Job<'_>) -> Result<Held, HostError> {
        let through = self.through(job.root).await?;
        let turn = Arc::clone(&self.sessions).acquire_owned().await;
        let run = Run {
            job: &job,
            marker: Marker::random(),
            through: &through,
            quiet: false,
            how: How::Held,
            most_under_way: u64::MAX,
        };
        let limit = job.timeout;
        let starting = async {
            let mut script = self.start(&run).await?;
            script.go(&run).await.map_err(|fault| self.fault(&run, fault))?;
            Ok(script)
        };
        let script = timeout(limit, starting)
            .await
            .unwrap_or_else(|_| Err(HostError::Timeout { label: job.label.to_owned(), limit }))?;
        let (line, status) = script.heard();
        if status.is_none() && line.is_empty() {
            return Err(self.fault(&run, Fault::Cut));
        }
        let (guard, let_go) = oneshot::channel::<()>();
        let connection = Arc::clone(&self.connection);
        tokio::spawn(async move {
            tokio::select! {
                () = script.stay() => {}
                _ = let_go => {}
            }
            drop((turn, connection));
        });
        Ok(Held { line, status, guard: Some(Box::new(guard)) })
    }
}
