//! Fleet: desired and observed state joined, events, the coordinators.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, stream};
use mesh_core::{
    id::{NodeName, ObjectName},
    kind::{DrainSpec, Kind, parse},
    object::{Key, Object},
    status::phase,
    store::Store,
};
use mesh_proto::v1::{self, fleet_server::Fleet};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    caller::Caller,
    initialize::Initializer,
    objects::{check_names, read},
    refuse::{invalid, not_found},
};
use crate::{
    control::routers::Routers,
    desired::Desired,
    events::{Event, Events},
    observe::{NodeObserved, Observed},
};

/// Watchers of nodes hear at most this often.
const WATCH_REST: Duration = Duration::from_millis(200);
/// Without a change they hear this often: ages grow.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The service `Fleet`.
#[derive(Clone)]
pub struct FleetApi {
    desired: Desired,
    observed: watch::Receiver<Arc<Observed>>,
    events: Events,
    initializer: Initializer,
    stop: CancellationToken,
}

impl FleetApi {
    /// Joins its parts; `stop` ends its streams.
    #[must_use]
    pub fn new(
        desired: Desired,
        observed: watch::Receiver<Arc<Observed>>,
        events: Events,
        initializer: Initializer,
        stop: CancellationToken,
    ) -> Self {
        Self { desired, observed, events, initializer, stop }
    }

    async fn snapshot(&self, asked: &v1::NodesRequest) -> Result<v1::NodesResponse, Status> {
        let (store, freshness) = read(&self.desired, asked.mode).await?;
        let nodes = wanted(&store, &asked.names)?;
        let observed = Arc::clone(&self.observed.borrow());
        // Other nodes do not hear the routers in full, and must not invent what they wait for.
        let routers = self.desired.raft().map(|_| Routers::read(&store, &observed, Instant::now()));
        let join = Join { store: &store, observed: &observed, routers };
        Ok(v1::NodesResponse { items: nodes.into_iter().map(|it| join.item(it)).collect(), freshness: Some(freshness) })
    }
}

fn wanted<'a>(store: &'a Store, names: &[String]) -> Result<Vec<&'a Object>, Status> {
    if names.is_empty() {
        return Ok(store.list(Kind::Node).map(AsRef::as_ref).collect());
    }
    check_names(names)?;
    let one = |name: &String| {
        let key = Key::new(Kind::Node, ObjectName::new(name.as_str()).map_err(invalid)?);
        store.get(&key).map(AsRef::as_ref).ok_or_else(|| not_found(format!("there is no {key}")))
    };
    names.iter().map(one).collect()
}

struct Join<'a> {
    store: &'a Store,
    observed: &'a Observed,
    routers: Option<Routers>,
}

impl Join<'_> {
    fn item(&self, object: &Object) -> v1::NodeItem {
        let name = NodeName::new(object.key.name.as_str()).ok();
        let seen = name.as_ref().and_then(|it| self.observed.nodes.get(it));
        let drain = self.store.get(&Key::new(Kind::Drain, object.key.name.clone()));
        let spec = drain.and_then(|it| parse::<DrainSpec>(&it.spec).ok());
        // The drain may be newer than what the observer has taken in.
        let now = phase(spec.as_ref(), seen.map_or(NEVER, |it| it.seen));
        let since = seen.filter(|it| it.phase == now).and_then(|it| it.since);
        let blockers = match (&name, drain, &spec) {
            (Some(name), Some(drain), Some(spec)) => self.blockers(name, drain, spec),
            _ => Vec::new(),
        };
        v1::NodeItem {
            object: Some(object.into()),
            phase: now.to_string(),
            since_ms: since.map(|it| it.0),
            status: seen.and_then(|it| it.status.as_deref()).map(v1::NodeStatus::from),
            age_ms: seen.and_then(age_ms),
            drain: drain.map(|it| it.as_ref().into()),
            blockers,
        }
    }

    fn blockers(&self, name: &NodeName, drain: &Object, spec: &DrainSpec) -> Vec<String> {
        if spec.mode != mesh_core::kind::DrainMode::Drain || spec.drained_at.is_some() {
            return Vec::new();
        }
        match &self.routers {
            Some(routers) => routers.blockers(name, drain.revision).iter().map(ToString::to_string).collect(),
            None => vec!["not known here: ask a coordinator".to_owned()],
        }
    }
}

const NEVER: mesh_core::status::Seen = mesh_core::status::Seen { ever: false, alive: false, verified: false };

fn age_ms(seen: &NodeObserved) -> Option<u64> {
    seen.age_ms(Instant::now())
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Fleet for FleetApi {
    async fn nodes(&self, request: Request<v1::NodesRequest>) -> Result<Response<v1::NodesResponse>, Status> {
        self.snapshot(request.get_ref()).await.map(Response::new)
    }

    type WatchNodesStream = Boxed<v1::NodesResponse>;

    async fn watch_nodes(
        &self,
        request: Request<v1::NodesRequest>,
    ) -> Result<Response<Self::WatchNodesStream>, Status> {
        let asked = request.into_inner();
        // Checked once with its mode; what follows is as new as what this agent has.
        let first = self.snapshot(&asked).await?;
        let following = v1::NodesRequest { names: asked.names, mode: v1::ReadMode::Any.into() };
        let watching = Watching {
            api: self.clone(),
            store: self.desired.watch(),
            observed: self.observed.clone(),
            asked: following,
        };
        let rest = stream::unfold(watching, async |mut watching| {
            let next = watching.next().await?;
            Some((next, watching))
        });
        let first = stream::once(std::future::ready(Ok(first)));
        Ok(Response::new(Box::pin(futures_util::StreamExt::chain(first, rest))))
    }

    type EventsStream = Boxed<v1::Event>;

    async fn events(&self, request: Request<v1::EventsRequest>) -> Result<Response<Self::EventsStream>, Status> {
        let asked = request.into_inner();
        let reading = Reading {
            events: self.events.clone(),
            last: self.events.subscribe(),
            after: asked.after,
            stop: self.stop.clone(),
        };
        if !asked.follow {
            let events = self.events.after(asked.after).into_iter().map(|it| Ok(wire(it)));
            return Ok(Response::new(Box::pin(stream::iter(events))));
        }
        let batches = stream::unfold(reading, async |mut reading| {
            let batch = reading.next().await?;
            Some((stream::iter(batch), reading))
        });
        Ok(Response::new(Box::pin(futures_util::StreamExt::flatten(batches))))
    }

    async fn cluster(&self, _: Request<v1::ClusterRequest>) -> Result<Response<v1::ClusterResponse>, Status> {
        Ok(Response::new(super::cluster::describe(&self.desired)))
    }

    async fn initialize(
        &self,
        request: Request<v1::InitializeRequest>,
    ) -> Result<Response<v1::ClusterResponse>, Status> {
        let caller = Caller::of(&request)?;
        self.initializer.initialize(&caller.id, request.into_inner()).await?;
        Ok(Response::new(super::cluster::describe(&self.desired)))
    }
}

struct Watching {
    api: FleetApi,
    store: watch::Receiver<Arc<Store>>,
    observed: watch::Receiver<Arc<Observed>>,
    asked: v1::NodesRequest,
}

impl Watching {
    async fn next(&mut self) -> Option<Result<v1::NodesResponse, Status>> {
        let stop = self.api.stop.clone();
        stop.run_until_cancelled(async {
            sleep(WATCH_REST).await;
            tokio::select! {
                changed = self.store.changed() => changed.ok()?,
                changed = self.observed.changed() => changed.ok()?,
                () = sleep(WATCH_EVERY) => {}
            }
            Some(self.api.snapshot(&self.asked).await)
        })
        .await
        .flatten()
    }
}

struct Reading {
    events: Events,
    last: watch::Receiver<u64>,
    after: u64,
    stop: CancellationToken,
}

impl Reading {
    async fn next(&mut self) -> Option<Vec<Result<v1::Event, Status>>> {
        let after = self.after;
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.last.wait_for(|last| *last > after)).await?.ok()?;
        let batch = self.events.after(after);
        self.after = batch.last().map_or(after, |it| it.seq);
        Some(batch.into_iter().map(|it| Ok(wire(it))).collect())
    }
}

fn wire(event: Event) -> v1::Event {
    v1::Event {
        seq: event.seq,
        at_ms: event.at.0,
        severity: event.severity.as_str().to_owned(),
        subject: event.subject,
        actor: event.actor,
        text: event.text,
    }
}
