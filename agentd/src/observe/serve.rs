//! The two services of observation: this node's statements to whoever is interested, and the reports of its router.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, stream};
use mesh_core::{
    id::{MeshName, NodeName, Principal},
    status::RouterSample,
};
use mesh_proto::{
    server::Peer,
    v1::{self, ReportResponse, Signal, SignalsRequest, router_link_server::RouterLink, signals_server::Signals},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::{
    metrics::ObserveMetrics,
    own::{Own, RouterReport},
};

/// The most streams of statements that are served at once.
pub(super) const STREAMS_MAX: usize = 64;
/// A statement without news is repeated after so many intervals of the caller's, and after a keyframe at the latest.
const REPEAT_AFTER: u32 = 4;
/// The bounds of the interval that a caller may ask for, in milliseconds.
const INTERVAL_MS: std::ops::RangeInclusive<u32> = 50..=10_000;

/// Serves this node's statements.
#[derive(Debug, Clone)]
pub struct SignalsService {
    pub(super) own: Own,
    pub(super) keyframe: Duration,
    pub(super) slots: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
    pub(super) metrics: ObserveMetrics,
}

/// A stream's first statements come sooner one after the other when there is news: a node that has just come has much of
/// it.
const FIRST: u32 = 4;
const FIRST_INTERVAL: Duration = Duration::from_millis(10);

/// One stream of statements; it holds no statement, so a slow reader loses only what is already old.
struct Telling {
    own: Own,
    min_interval: Duration,
    keyframe: Duration,
    last: Option<tokio::time::Instant>,
    /// How many were told.
    told: u32,
    stop: CancellationToken,
    served: prometheus::IntGauge,
    _slot: OwnedSemaphorePermit,
}

impl Telling {
    async fn next(mut self) -> Option<(Result<Signal, Status>, Self)> {
        if let Some(last) = self.last {
            let stop = self.stop.clone();
            let rest = if self.told < FIRST { self.min_interval.min(FIRST_INTERVAL) } else { self.min_interval };
            let due = async {
                tokio::time::sleep_until(last + rest).await;
                // Whether it changed meanwhile or not, it is said at least once a keyframe.
                let _ = tokio::time::timeout_at(last + self.keyframe, self.own.changed()).await;
            };
            stop.run_until_cancelled(due).await?;
        }
        self.last = Some(tokio::time::Instant::now());
        self.told = self.told.saturating_add(1);
        let signal = Signal { status: Some((&self.own.status()).into()) };
        Some((Ok(signal), self))
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.served.dec();
    }
}

#[async_trait]
impl Signals for SignalsService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Signal, Status>> + Send>>;

    async fn watch(&self, request: Request<SignalsRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let interval_ms = request.into_inner().min_interval_ms;
        if !INTERVAL_MS.contains(&interval_ms) {
            let text = format!("field `min_interval_ms`: {interval_ms} is not within 50 to 10000 milliseconds");
            return Err(Status::invalid_argument(text));
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("this agent already serves {STREAMS_MAX} streams of statements"))
        })?;
        self.metrics.served.inc();
        let min_interval = Duration::from_millis(interval_ms.into());
        let telling = Telling {
            own: self.own.clone(),
            min_interval,
            keyframe: self.keyframe.min(min_interval * REPEAT_AFTER),
            last: None,
            told: 0,
            stop: self.stop.clone(),
            served: self.metrics.served.clone(),
            _slot: slot,
        };
        Ok(Response::new(Box::pin(stream::unfold(telling, Telling::next))))
    }
}

/// Takes the reports of this node's router.
#[derive(Debug, Clone)]
pub struct RouterLinkService {
    pub(super) mesh: MeshName,
    pub(super) node: NodeName,
    pub(super) report: Arc<watch::Sender<Option<RouterReport>>>,
    /// Counts the streams: the newest is the router's, whatever is left of older ones.
    pub(super) newest: Arc<watch::Sender<u64>>,
    pub(super) stop: CancellationToken,
}

/// The place of one reporting router; what it said goes with it.
struct Reporting {
    report: Arc<watch::Sender<Option<RouterReport>>>,
    newest: Arc<watch::Sender<u64>>,
    number: u64,
}

impl Reporting {
    fn say(&self, report: Option<RouterReport>) {
        // Held over the write: a newer stream cannot come in between.
        let newest = self.newest.borrow();
        if *newest == self.number {
            // One that says the same again is only younger: nobody is woken for it.
            self.report.send_if_modified(|old| {
                let news = !says_the_same(report.as_ref(), old.as_ref());
                *old = report;
                news
            });
        }
    }
}

/// Whether two reports say the same, whenever they were made.
fn says_the_same(a: Option<&RouterReport>, b: Option<&RouterReport>) -> bool {
    let ageless = |it: &RouterReport| RouterSample { age_ms: 0, ..it.sample.clone() };
    a.map(ageless) == b.map(ageless)
}

impl Drop for Reporting {
    fn drop(&mut self) {
        // What it had in flight ended with its connections.
        self.say(None);
    }
}

#[async_trait]
impl RouterLink for RouterLinkService {
    async fn report(&self, request: Request<Streaming<v1::RouterSample>>) -> Result<Response<ReportResponse>, Status> {
        let caller = request.extensions().get::<Peer>().and_then(|peer| peer.id.clone());
        let wanted = Principal::router(&self.mesh, &self.node);
        if caller.as_ref() != Some(&wanted) {
            return Err(Status::permission_denied(format!("only `{wanted}` reports to this agent")));
        }
        let mut newest = self.newest.subscribe();
        let mut number = 0;
        self.newest.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        let place = Reporting { report: Arc::clone(&self.report), newest: Arc::clone(&self.newest), number };
        let mut samples = request.into_inner();
        loop {
            let sample = tokio::select! {
                sample = samples.message() => sample?,
                _ = newest.wait_for(|count| *count != number) => {
                    return Err(Status::aborted("a newer stream of this router took over"));
                }
                () = self.stop.cancelled() => return Err(Status::unavailable("this agent is stopping")),
            };
            let Some(sample) = sample else {
                return Ok(Response::new(ReportResponse {}));
            };
            let sample = RouterSample::try_from(sample).map_err(|error| Status::invalid_argument(error.to_string()))?;
            place.say(Some(RouterReport { sample, at: Instant::now() }));
        }
    }
}
