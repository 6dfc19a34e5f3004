//! Accepts connections, and stops in order.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::driver::driver;
use super::faults::{Faults, Switches};
use super::http::{Server, handle};
use super::reply::unix_seconds;
use crate::engine::{Config, ConfigError, Engine};

/// How long streams may go on after the stop was asked for.
const GRACE: Duration = Duration::from_secs(2);

/// Holds everything a stand-in is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the engine can do.
    pub engine: Config,
    /// Names the engine answers to, at least one; the first labels its metrics.
    pub models: Vec<String>,
    /// What goes wrong from the start.
    pub faults: Faults,
}

/// Says why a stand-in could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum StandinError {
    /// A flag has a value that cannot be.
    #[error("configure the simulated engine")]
    Config(#[source] ConfigError),
    /// The listener has no address, or its port could not be taken again after a refusal.
    #[error("listen for connections")]
    Listen(#[source] std::io::Error),
}

/// A stand-in that is ready to run.
#[derive(Debug)]
pub struct Standin {
    listener: TcpListener,
    engine: Engine,
    options: Options,
}

impl Standin {
    /// Takes a listening socket; connections are answered once it runs.
    ///
    /// # Errors
    /// The engine's configuration.
    pub fn new(listener: TcpListener, options: Options) -> Result<Self, StandinError> {
        let engine = Engine::new(options.engine.clone()).map_err(StandinError::Config)?;
        Ok(Self { listener, engine, options })
    }

    /// Serves until `stop` is cancelled, then lets running streams finish for up to two seconds.
    ///
    /// # Errors
    /// The listening socket.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StandinError> {
        let Self { listener, engine, options } = self;
        let address = listener.local_addr().map_err(StandinError::Listen)?;
        let longest = engine.longest();
        let (handle, run) = driver(engine);
        let (refuse_until, refusals) = watch::channel(None);
        let server = Arc::new(Server {
            models: options.models,
            config: options.engine,
            longest,
            engine: handle,
            switches: Switches::default(),
            refuse_until,
            received: AtomicU64::new(0),
            created: unix_seconds(),
        });
        server.apply_faults(options.faults);
        let tasks = TaskTracker::new();
        tasks.spawn(run);
        let mut door = Door { address, server, tasks: tasks.clone(), open: CancellationToken::new() };
        let result = door.run(listener, refusals, &stop).await;
        door.open.cancel();
        drop(door);
        tasks.close();
        if tokio::time::timeout(GRACE, tasks.wait()).await.is_err() {
            tracing::warn!(left = tasks.len(), "streams cut at the end of the grace period");
        }
        result
    }
}

/// Accepts connections and owns their tasks.
struct Door {
    address: SocketAddr,
    server: Arc<Server>,
    tasks: TaskTracker,
    /// Cancelled to close the connections opened so far, each after its answer.
    open: CancellationToken,
}

impl Door {
    async fn run(
        &mut self,
        listener: TcpListener,
        mut refusals: watch::Receiver<Option<Instant>>,
        stop: &CancellationToken,
    ) -> Result<(), StandinError> {
        let mut listener = listener;
        loop {
            let refused = *refusals.borrow_and_update();
            if let Some(until) = refused.filter(|until| *until > Instant::now()) {
                drop(listener);
                std::mem::take(&mut self.open).cancel();
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = stop.cancelled() => return Ok(()),
                }
                listener = TcpListener::bind(self.address).await.map_err(StandinError::Listen)?;
            }
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = refusals.changed() => if changed.is_err() { return Ok(()) },
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.spawn(stream),
                    // Out of file descriptors, most likely: waiting is all that can help.
                    Err(error) => {
                        tracing::warn!(%error, "accept failed");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
    }

    fn spawn(&self, stream: TcpStream) {
        // Without it the kernel holds small events back; a failure costs only time.
        drop(stream.set_nodelay(true));
        let server = Arc::clone(&self.server);
        let closing = self.open.clone();
        self.tasks.spawn(async move {
            let service = service_fn(move |request| handle(Arc::clone(&server), request));
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
            let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = closing.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended early");
            }
        });
    }
}
