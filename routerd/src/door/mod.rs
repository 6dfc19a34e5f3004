//! The door: listeners that share one port, and the threads behind them.

pub(crate) mod body;
pub(crate) mod conn;
pub(crate) mod errors;
pub(crate) mod headers;
pub(crate) mod limit;
pub(crate) mod model;
pub(crate) mod reply;
pub(crate) mod service;

use std::{io, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use mesh_daemon::Shutdown;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::LocalSet,
};

use crate::{
    shared::Shared,
    worker::{
        Worker,
        control::{CONTROL_MAX, Control, Workers},
    },
};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// Rest after an accept that failed, e.g. for want of descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How far the door is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    /// Nobody new comes in; answers finish.
    Draining,
    /// What is left is cut.
    Cut,
}

/// The open door.
pub(crate) struct Door {
    /// Where clients connect.
    pub(crate) addr: SocketAddr,
    /// The threads, as the control side reaches them.
    pub(crate) workers: Workers,
    stage: watch::Sender<Stage>,
    threads: Vec<std::thread::JoinHandle<()>>,
    ended: mpsc::Receiver<()>,
}

/// What a thread is started with.
struct Thread {
    shared: Arc<Shared>,
    index: usize,
    id_prefix: u64,
    listener: std::net::TcpListener,
    control: mpsc::Receiver<Control>,
    stage: watch::Receiver<Stage>,
}

impl Door {
    /// Binds one listener a worker to the same port and starts the threads; one that ends unasked begins the shutdown.
    pub(crate) fn open(at: SocketAddr, shared: &Arc<Shared>, shutdown: &Shutdown) -> io::Result<Self> {
        let first = listener(at)?;
        let addr = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..shared.fleet.workers {
            listeners.push(listener(addr)?);
        }
        let (stage, watched) = watch::channel(Stage::Open);
        let (ends, ended) = mpsc::channel(1);
        let (mut senders, mut threads) = (Vec::new(), Vec::new());
        for (index, listener) in listeners.into_iter().enumerate() {
            let (sender, control) = mpsc::channel(CONTROL_MAX);
            senders.push(sender);
            let id_prefix = rand::random();
            let thread = Thread { shared: shared.clone(), index, id_prefix, listener, control, stage: watched.clone() };
            let guard = EndGuard { shutdown: shutdown.clone(), _ends: ends.clone() };
            let run = move || {
                let _guard = guard;
                if let Err(error) = run(thread) {
                    tracing::error!(%error, worker = index, "worker ended");
                }
            };
            threads.push(std::thread::Builder::new().name(format!("door-{index}")).spawn(run)?);
        }
        Ok(Self { addr, workers: Workers::new(senders), stage, threads, ended })
    }

    /// Lets nobody in, lets answers finish until the deadline, cuts the rest.
    pub(crate) async fn close(mut self, deadline: Duration) {
        self.stage.send_replace(Stage::Draining);
        if tokio::time::timeout(deadline, self.ended.recv()).await.is_err() {
            tracing::warn!(seconds = deadline.as_secs(), "answers were cut at the deadline");
            self.stage.send_replace(Stage::Cut);
            // Threads end as soon as their connections are cut.
            self.ended.recv().await;
        }
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker panicked");
            }
        }
    }
}

/// Dropped when a thread ends, however it ends.
struct EndGuard {
    shutdown: Shutdown,
    _ends: mpsc::Sender<()>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.shutdown.begin();
    }
}

fn listener(at: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(at), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn run(thread: Thread) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, serve(thread))
}

async fn serve(thread: Thread) -> io::Result<()> {
    let Thread { shared, index, id_prefix, listener, control, mut stage } = thread;
    let listener = TcpListener::from_std(listener)?;
    let worker = Worker::new(shared, index, id_prefix);
    let tasks = worker.conns.tasks.clone();
    let grid = tokio::task::spawn_local({
        let grid = worker.grid.clone();
        async move { grid.run().await }
    });
    let slow = tokio::task::spawn_local(look_after(worker.clone(), control));
    tokio::select! {
        () = accept(&worker, listener) => {}
        _ = stage.wait_for(|it| *it >= Stage::Draining) => {}
    }
    worker.conns.drain();
    tasks.close();
    tokio::select! {
        () = tasks.wait() => {}
        _ = stage.wait_for(|it| *it == Stage::Cut) => {
            worker.conns.cut();
            tasks.wait().await;
        }
    }
    grid.abort();
    slow.abort();
    Ok(())
}

async fn accept(worker: &Rc<Worker>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it a first event waits for the client's delayed acknowledgement.
                if stream.set_nodelay(true).is_ok() {
                    worker.conns.tasks.spawn_local(conn::serve(worker.clone(), stream));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Answers the control side, and does once a second what is not urgent.
async fn look_after(worker: Rc<Worker>, mut control: mpsc::Receiver<Control>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => worker.housekeep(),
            question = control.recv() => match question {
                Some(Control::Turn(reply)) => {
                    worker.models().iter().for_each(|model| model.turn(&worker));
                    // The control side may have given up.
                    let _ = reply.send(());
                }
                Some(Control::Cut(node, reply)) => {
                    worker.inflight.timers(&node).into_iter().for_each(|key| worker.grid.expire(key));
                    let _ = reply.send(());
                }
                Some(Control::Inflight(reply)) => {
                    let _ = reply.send(worker.inflight.held());
                }
                None => std::future::pending().await,
            },
        }
    }
}
