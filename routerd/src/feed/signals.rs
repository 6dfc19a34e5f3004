//! Streams of what nodes with engines say of themselves: one for each, kept open, straight from their agents.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use mesh_core::{
    id::{NodeName, Principal},
    status::{EngineSample, NodeStatus},
};
use mesh_daemon::Tasks;
use mesh_proto::{
    client,
    tls::Identity,
    v1::{self, signals_client::SignalsClient},
};
use tokio::sync::{mpsc, watch};
use tonic::Status;

use crate::{clock::Clock, feed::view::View};

/// How often a node is asked to speak at most.
const INTERVAL_MS: u32 = 100;
/// A node speaks at least once a second; a silent one is dialled anew.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
const STOP_WAIT: Duration = Duration::from_secs(1);

/// What a node said, and when it was heard.
pub(crate) struct Said {
    /// Who.
    pub(crate) node: NodeName,
    /// Its engines.
    pub(crate) engines: Vec<EngineSample>,
    /// When, in milliseconds of the process's clock.
    pub(crate) received_ms: u64,
}

/// What every stream needs.
#[derive(Clone)]
pub(crate) struct Listener {
    /// Who the router is.
    pub(crate) identity: Identity,
    /// The process's clock.
    pub(crate) clock: Clock,
    /// Where statements go; bounded, so that a slow reader slows streams and not memory.
    pub(crate) out: mpsc::Sender<Said>,
}

/// Keeps one stream to every node that has engines, for ever.
pub(crate) async fn listen(listener: Listener, mut views: watch::Receiver<Arc<View>>, tasks: Tasks) {
    let mut open: BTreeMap<NodeName, (SocketAddr, Tasks)> = BTreeMap::new();
    loop {
        let wanted = wanted(&views.borrow_and_update());
        let gone: Vec<NodeName> = open
            .iter()
            .filter(|(node, (api, _))| wanted.get(*node) != Some(api))
            .map(|(node, _)| node.clone())
            .collect();
        for node in gone {
            if let Some((_, group)) = open.remove(&node) {
                // Who is late is logged by the group.
                let _ = group.stop(STOP_WAIT).await;
            }
        }
        for (node, api) in wanted {
            open.entry(node.clone()).or_insert_with(|| {
                let group = tasks.child();
                group.spawn_until(format!("signals of {node}"), stream(listener.clone(), node, api));
                (api, group)
            });
        }
        if views.changed().await.is_err() {
            return;
        }
    }
}

fn wanted(view: &View) -> BTreeMap<NodeName, SocketAddr> {
    let with_engines = view.nodes.iter().filter(|(_, spec)| !spec.engines.is_empty());
    with_engines.filter_map(|(node, spec)| Some((node.clone(), spec.api_addr()?))).collect()
}

async fn stream(listener: Listener, node: NodeName, api: SocketAddr) {
    let expect = Principal::node(&listener.identity.mesh(), &node);
    let channel = client::channel(&listener.identity, api, expect);
    let mut client = SignalsClient::new(channel);
    let mut rest = BACKOFF.0;
    loop {
        let mut heard = false;
        if let Err(status) = session(&mut client, &listener, &node, &mut heard).await {
            tracing::debug!(%node, error = status.message(), "no signals");
            if heard {
                tracing::warn!(%node, error = status.message(), "signals ended: its numbers age");
            }
        }
        rest = if heard { BACKOFF.0 } else { (rest * 2).min(BACKOFF.1) };
        tokio::time::sleep(rest + rest.mul_f64(rand::random::<f64>() / 4.0)).await;
    }
}

async fn session(
    client: &mut SignalsClient<tonic::transport::Channel>,
    listener: &Listener,
    node: &NodeName,
    heard: &mut bool,
) -> Result<(), Status> {
    let request = v1::SignalsRequest { min_interval_ms: INTERVAL_MS };
    let mut stream = client.watch(request).await?.into_inner();
    loop {
        let next = tokio::time::timeout(SILENCE_MAX, stream.message()).await;
        let Some(signal) = next.map_err(|_| Status::unavailable("silent for 5 s"))?? else { return Ok(()) };
        let received_ms = listener.clock.now_ms();
        let Some(status) = signal.status else { continue };
        let status = NodeStatus::try_from(status).map_err(|error| Status::data_loss(error.to_string()))?;
        if status.node != *node {
            return Err(Status::data_loss(format!("it speaks of {}", status.node)));
        }
        *heard = true;
        let said = Said { node: node.clone(), engines: status.engines, received_ms };
        if listener.out.send(said).await.is_err() {
            return Ok(());
        }
    }
}
