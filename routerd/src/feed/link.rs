//! Tells the agent of this host what the router does: four times a second, and at once when it matters.

use std::{sync::Arc, time::Duration};

use mesh_core::id::Revision;
use mesh_proto::v1::{self, router_link_client::RouterLinkClient};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::{
    report::{self, Known},
    shared::Shared,
    worker::control::Workers,
};

/// How often a report goes out.
const EVERY: Duration = Duration::from_millis(250);
/// Reports on their way: a slow agent gets the newest, not a backlog.
const REPORTS_MAX: usize = 2;
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What the reporter needs.
pub(crate) struct Reporter {
    /// What all threads share.
    pub(crate) shared: Arc<Shared>,
    /// The workers.
    pub(crate) workers: Workers,
    /// The agent of this host.
    pub(crate) agent: Channel,
    /// Where clients connect, and where the metrics are.
    pub(crate) addresses: (String, String),
    /// The revision every worker has taken in.
    pub(crate) acked: watch::Receiver<Revision>,
    /// Why the wanted strategy is not the one that decides.
    pub(crate) strategy_error: watch::Receiver<Option<String>>,
}

impl Reporter {
    /// Reports for ever.
    pub(crate) async fn run(mut self) {
        let mut client = RouterLinkClient::new(self.agent.clone());
        let mut rest = BACKOFF.0;
        loop {
            let (out, reports) = mpsc::channel(REPORTS_MAX);
            let call = client.report(ReceiverStream::new(reports));
            let mut sent = 0_u64;
            let ended = tokio::select! {
                ended = call => ended.map(drop),
                () = self.feed(&out, &mut sent) => Ok(()),
            };
            if let Err(status) = ended {
                tracing::debug!(error = status.message(), "agent takes no reports");
            }
            // More than fit into the queue: the agent took some, so it was there.
            rest = if sent > 2 * REPORTS_MAX as u64 { BACKOFF.0 } else { (rest * 2).min(BACKOFF.1) };
            tokio::time::sleep(rest).await;
        }
    }

    async fn feed(&mut self, out: &mpsc::Sender<v1::RouterSample>, sent: &mut u64) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            // The acknowledgement is read before the count: what it promises is in the count.
            let acked = *self.acked.borrow_and_update();
            let strategy_error = self.strategy_error.borrow_and_update().clone();
            let held = self.workers.inflight().await;
            let (listen, metrics) = self.addresses.clone();
            let known = Known { listen, metrics, acked, strategy_error };
            let sample = report::sample(&self.shared, &known, &held);
            if out.send(v1::RouterSample::from(&sample)).await.is_err() {
                return;
            }
            *sent += 1;
            let news = tokio::select! {
                _ = tick.tick() => true,
                changed = self.acked.changed() => changed.is_ok(),
                changed = self.strategy_error.changed() => changed.is_ok(),
                () = self.shared.activated.notified() => true,
            };
            if !news {
                return;
            }
        }
    }
}
