//! A coordinator's stream from one node: opened again and again, broken as soon as nothing comes any more.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use backon::BackoffBuilder;
use mesh_core::{id::NodeName, status::NodeStatus};
use mesh_proto::v1::{SignalsRequest, signals_client::SignalsClient};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, timeout, timeout_at},
};
use tonic::Streaming;

use super::{Dial, ObserveTiming};

/// What a stream tells the observer.
#[derive(Debug)]
pub(super) struct Heard {
    /// From whom.
    pub(super) node: NodeName,
    /// Which of the streams that were kept from it.
    pub(super) epoch: u64,
    /// A statement, or why there is none any more.
    pub(super) said: Result<Box<NodeStatus>, String>,
}

/// One stream and where its statements go.
pub(super) struct Peer {
    pub(super) node: NodeName,
    pub(super) epoch: u64,
    pub(super) api: SocketAddr,
    pub(super) dial: Dial,
    pub(super) timing: ObserveTiming,
    /// Somebody else says that the node is gone: it has to speak up soon.
    pub(super) doubt: Arc<Notify>,
    pub(super) tx: mpsc::Sender<Heard>,
}

impl Peer {
    /// Keeps the stream for ever.
    pub(super) async fn run(self) {
        let policy = backon::ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(self.timing.reconnect_max)
            .without_max_times()
            .with_jitter();
        let mut waits = policy.build();
        loop {
            let mut spoke = false;
            let reason = self.follow(&mut spoke).await;
            if self.tell(Err(reason)).await.is_err() {
                return;
            }
            if spoke {
                waits = policy.build();
            }
            tokio::time::sleep(waits.next().unwrap_or(self.timing.reconnect_max)).await;
        }
    }

    /// Follows one stream to its end and says why it ended.
    async fn follow(&self, spoke: &mut bool) -> String {
        // Each attempt has a connection of its own: one that hangs must not hold up the next.
        let mut client = SignalsClient::new((self.dial)(&self.node, self.api));
        let min_interval_ms = u32::try_from(self.timing.min_interval.as_millis()).unwrap_or(u32::MAX);
        let opening = timeout(self.timing.patience, client.watch(SignalsRequest { min_interval_ms }));
        let mut stream = match opening.await {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => return status.message().to_owned(),
            Err(_) => return "it does not answer".to_owned(),
        };
        loop {
            let status = match self.next(&mut stream).await {
                Ok(status) => status,
                Err(reason) => return reason,
            };
            *spoke = true;
            if self.tell(Ok(status)).await.is_err() {
                return "the observer ended".to_owned();
            }
        }
    }

    /// The next statement, which must come before patience ends.
    async fn next(&self, stream: &mut Streaming<mesh_proto::v1::Signal>) -> Result<Box<NodeStatus>, String> {
        let mut deadline = Instant::now() + self.timing.patience;
        let signal = loop {
            tokio::select! {
                message = timeout_at(deadline, stream.message()) => break match message {
                    Ok(Ok(Some(signal))) => signal,
                    Ok(Ok(None)) => return Err("it closed its stream".to_owned()),
                    Ok(Err(status)) => return Err(status.message().to_owned()),
                    Err(_) => return Err("it has gone silent".to_owned()),
                },
                () = self.doubt.notified() => deadline = deadline.min(Instant::now() + self.timing.doubt),
            }
        };
        let status = signal.status.ok_or("it sent an empty statement")?;
        let status =
            NodeStatus::try_from(status).map_err(|error| format!("it sent a statement that is none: {error}"))?;
        if status.node != self.node {
            return Err(format!("it speaks as `{}`", status.node));
        }
        Ok(Box::new(status))
    }

    async fn tell(&self, said: Result<Box<NodeStatus>, String>) -> Result<(), mpsc::error::SendError<Heard>> {
        self.tx.send(Heard { node: self.node.clone(), epoch: self.epoch, said }).await
    }
}
