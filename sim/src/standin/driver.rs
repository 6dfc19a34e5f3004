//! Owns the engine and gives it time: one task for all requests.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::engine::{Engine, Finish, Load, Refused, Request, RequestId, Stats};

/// Commands waiting for the driver; senders wait when it is full, which slows the accepting side down as it should.
const COMMANDS: usize = 1024;

/// Reports one token, or the end of an embedding, to whoever writes the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Position of the new token, from 0; `None` for an embedding.
    pub(super) token: Option<u32>,
    /// Present with the last report.
    pub(super) finish: Option<Finish>,
}

/// Shows the engine as `/metrics` reports it.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) load: Load,
    pub(super) stats: Stats,
}

/// Says why the engine did not take a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum SubmitError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the engine has stopped")]
    Stopped,
}

enum Command {
    Submit { request: Request, reply: oneshot::Sender<Result<mpsc::Receiver<Progress>, Refused>> },
    Observe(oneshot::Sender<Observed>),
}

/// Talks to the driver; cheap to clone.
#[derive(Clone)]
pub(super) struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Submits a request; dropping the receiver cancels it at the next iteration.
    pub(super) async fn submit(&self, request: Request) -> Result<mpsc::Receiver<Progress>, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(Command::Submit { request, reply }).await;
        sent.map_err(|_| SubmitError::Stopped)?;
        Ok(answer.await.map_err(|_| SubmitError::Stopped)??)
    }

    /// Returns the engine's load and counters, or `None` once it has stopped.
    pub(super) async fn observe(&self) -> Option<Observed> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Observe(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// Returns a handle and the loop behind it, which ends when the last handle is gone.
pub(super) fn driver(engine: Engine) -> (Handle, impl Future<Output = ()> + Send) {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let driver = Driver { engine, clients: HashMap::new(), started: Instant::now() };
    (Handle { commands }, driver.run(inbox))
}

struct Driver {
    engine: Engine,
    clients: HashMap<RequestId, mpsc::Sender<Progress>>,
    started: Instant,
}

impl Driver {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut events = Vec::new();
        loop {
            let ends = self.engine.next_at().map(|us| self.started + std::time::Duration::from_micros(us));
            let tick = async {
                match ends {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.handle(command),
                    None => return,
                },
                () = tick => self.drop_gone_clients(),
            }
            self.engine.step(self.now_us(), &mut events);
            for event in events.drain(..) {
                self.deliver(event.request, Progress { token: event.token, finish: event.finish });
            }
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn handle(&mut self, command: Command) {
        match command {
            Command::Submit { request, reply } => {
                let taken = self.engine.submit(self.now_us(), request).map(|id| {
                    // The bound is the answer's own length, so the driver never waits for a slow client.
                    let (progress, receiver) = mpsc::channel(request.output_tokens as usize + 1);
                    self.clients.insert(id, progress);
                    receiver
                });
                // A client that went meanwhile has dropped its receiver with the reply.
                drop(reply.send(taken));
            }
            Command::Observe(reply) => {
                drop(reply.send(Observed { load: self.engine.load(), stats: self.engine.stats().clone() }));
            }
        }
    }

    fn drop_gone_clients(&mut self) {
        let engine = &mut self.engine;
        self.clients.retain(|id, client| {
            let gone = client.is_closed();
            if gone {
                engine.cancel(*id);
            }
            !gone
        });
    }

    fn deliver(&mut self, request: RequestId, progress: Progress) {
        if let Some(client) = self.clients.get(&request) {
            // Fails only when the client is gone, which the next tick sees.
            let _ = client.try_send(progress);
        }
        if progress.finish.is_some() {
            self.clients.remove(&request);
        }
    }
}
