//! Live data for the screen: nodes, cluster, events and the activation, each followed for ever over every failure.

use std::{cell::Cell, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::StreamExt;
use mesh_core::kind::{ACTIVE, ActivationSpec, Kind, parse};
use mesh_proto::v1::{self, fleet_client::FleetClient, objects_client::ObjectsClient};
use mesh_tui::FeedEvent;
use tokio::time::{sleep, timeout};
use tonic::{Streaming, transport::Channel};

use super::{convert, events::Seen, mailbox::Mailbox};
use crate::{Failure, Result, client::Session, cmd::cluster, human, refusal};

/// An agent tells of nodes at least once a second; one that is silent for this long is gone.
const PATIENCE: Duration = Duration::from_secs(4);
/// An agent that has not heard the leader for this long is cut off from it.
const LEADERLESS: Duration = Duration::from_secs(5);
/// How often the cluster is asked for.
const CLUSTER_EVERY: Duration = Duration::from_secs(1);
/// The shortest and the longest wait between two attempts; each is lengthened by chance, so that screens do not come
/// back all at once.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The most bytes of one picture: ten thousand nodes with eight GPUs each fit.
const PICTURE_BYTES_MAX: usize = 64 * 1024 * 1024;

fn waits() -> ExponentialBackoff {
    let policy = ExponentialBuilder::default().with_min_delay(RETRY.0).with_max_delay(RETRY.1);
    policy.without_max_times().with_jitter().build()
}

/// The way to the mesh, which was seen to work once.
pub(super) struct Feed<'a> {
    session: &'a Session,
    first: v1::NodesResponse,
}

impl<'a> Feed<'a> {
    /// Asks for the first picture: a mesh that cannot be reached at all is an error before the screen is taken.
    pub(super) async fn begin(session: &'a Session) -> Result<Self> {
        // Without a quorum nothing is newest: what a coordinator knows is shown at once, and its age with it.
        let call = async |channel| nodes_client(channel).nodes(nodes_request(v1::ReadMode::Any)).await;
        let first = session.ask_until("cannot get nodes", call, |it| !is_leaderless(it)).await?;
        Ok(Self { session, first })
    }

    /// Feeds for ever.
    pub(super) async fn run(self, mailbox: &Mailbox) {
        let session = self.session;
        if let Some(freshness) = &self.first.freshness {
            mailbox.put(FeedEvent::Up { endpoint: freshness.node.clone() });
        }
        mailbox.put(FeedEvent::Nodes(convert::picture(self.first, human::now())));
        let quorum = Cell::new(false);
        tokio::join!(
            Box::pin(follow_nodes(session, mailbox, &quorum)),
            Box::pin(follow_cluster(session, mailbox, &quorum)),
            Box::pin(follow_events(session, mailbox)),
            Box::pin(follow_activation(session, mailbox)),
        );
    }
}

fn nodes_client(channel: Channel) -> FleetClient<Channel> {
    FleetClient::new(channel).max_decoding_message_size(PICTURE_BYTES_MAX)
}

fn nodes_request(mode: v1::ReadMode) -> v1::NodesRequest {
    v1::NodesRequest { names: Vec::new(), mode: mode.into() }
}

/// Whether whoever answered has lost sight of the leader.
fn is_leaderless(answer: &v1::NodesResponse) -> bool {
    let heard_ms = answer.freshness.as_ref().and_then(|it| it.leader_age_ms);
    heard_ms.is_none_or(|ms| ms > human::ms(LEADERLESS))
}

/// Nodes: the stream that also tells whether the session is up.
async fn follow_nodes(session: &Session, mailbox: &Mailbox, quorum: &Cell<bool>) {
    let (mut waits, mut attempt) = (waits(), 0_u32);
    loop {
        let mut spoke = false;
        let why = watch_nodes(session, mailbox, (quorum, &mut spoke)).await;
        if spoke {
            (waits, attempt) = (self::waits(), 0);
        }
        attempt = attempt.saturating_add(1);
        let retry_in = waits.next().unwrap_or(RETRY.1);
        mailbox.put(FeedEvent::Down { why, attempt, retry_in });
        sleep(retry_in).await;
    }
}

/// Watches through one agent to the end of its stream, and says why it ended.
async fn watch_nodes(session: &Session, mailbox: &Mailbox, (quorum, spoke): (&Cell<bool>, &mut bool)) -> String {
    // While somebody has a quorum, an agent that is cut off from it must not be the one that tells.
    let mode = if quorum.get() { v1::ReadMode::Latest } else { v1::ReadMode::Any };
    let call = async |channel| nodes_client(channel).watch_nodes(nodes_request(mode)).await;
    let opened = session.stream("cannot watch nodes", call).await;
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(failure) => return why(&failure),
    };
    loop {
        let answer = match timeout(PATIENCE, stream.next()).await {
            Ok(Some(Ok(answer))) => answer,
            Ok(Some(Err(status))) => return refusal::words(&status),
            Ok(None) => return "the agent closed the stream".to_owned(),
            Err(_) => return format!("the agent has been silent for {}", human::duration(human::ms(PATIENCE))),
        };
        if !*spoke {
            *spoke = true;
            let endpoint = answer.freshness.as_ref().map_or(String::new(), |it| it.node.clone());
            mailbox.put(FeedEvent::Up { endpoint });
        }
        let is_cut_off = is_leaderless(&answer) && quorum.get();
        mailbox.put(FeedEvent::Nodes(convert::picture(answer, human::now())));
        if is_cut_off {
            return "the agent does not hear the leader, and others do".to_owned();
        }
    }
}

/// Why a call failed, in one line.
fn why(failure: &Failure) -> String {
    failure.why.clone().unwrap_or_else(|| failure.what.clone())
}

async fn follow_cluster(session: &Session, mailbox: &Mailbox, quorum: &Cell<bool>) {
    loop {
        // Whether anybody answers is told by the stream of nodes; the last answer stays on the screen until then.
        let answer = cluster::fetch(session).await;
        quorum.set(answer.as_ref().is_ok_and(|it| it.quorum));
        if let Ok(answer) = answer {
            mailbox.put(FeedEvent::Cluster(convert::view(&answer)));
        }
        sleep(CLUSTER_EVERY).await;
    }
}

async fn follow_events(session: &Session, mailbox: &Mailbox) {
    let (mut waits, mut seen) = (waits(), Seen::default());
    loop {
        if let Ok(mut stream) = stream_events(session, true).await {
            waits = self::waits();
            while let Some(Ok(event)) = stream.next().await {
                put_event(mailbox, &mut seen, event);
            }
        }
        sleep(waits.next().unwrap_or(RETRY.1)).await;
    }
}

async fn stream_events(session: &Session, follow: bool) -> Result<Streaming<v1::Event>> {
    let request = v1::EventsRequest { after: 0, follow };
    session.stream("cannot get events", async |channel| FleetClient::new(channel).events(request).await).await
}

fn put_event(mailbox: &Mailbox, seen: &mut Seen, event: v1::Event) {
    let event = convert::event(event);
    if seen.is_new(&event) {
        mailbox.put(FeedEvent::Event(event));
    }
}

async fn follow_activation(session: &Session, mailbox: &Mailbox) {
    let mut waits = waits();
    loop {
        if watch_activation(session, mailbox).await.is_ok() {
            waits = self::waits();
        }
        sleep(waits.next().unwrap_or(RETRY.1)).await;
    }
}

/// Tells what decides now, and again with every change, to the end of the agent's stream.
async fn watch_activation(session: &Session, mailbox: &Mailbox) -> Result<()> {
    let after = put_activation(session, mailbox).await?;
    let mut stream = session
        .stream("cannot watch activations", async |channel| {
            let request = v1::WatchRequest { kinds: vec![Kind::Activation.to_string()], after };
            ObjectsClient::new(channel).watch(request).await
        })
        .await?;
    while let Some(Ok(event)) = stream.next().await {
        let Some(v1::watch_event::Event::Change(change)) = event.event else { continue };
        if let Some(object) = change.object.filter(|it| it.name == ACTIVE) {
            mailbox.put(FeedEvent::Strategy(parse::<ActivationSpec>(&object.spec).ok()));
        }
    }
    Ok(())
}

/// Tells what decides now; the revision of that answer.
async fn put_activation(session: &Session, mailbox: &Mailbox) -> Result<u64> {
    let request = v1::ListRequest {
        kind: Kind::Activation.to_string(),
        names: Vec::new(),
        // What an agent has will do: the changes since then follow.
        mode: v1::ReadMode::Any.into(),
    };
    let call = async |channel| ObjectsClient::new(channel).list(request.clone()).await;
    let found = session.ask("cannot get activations", call).await?;
    let active = found.items.iter().find(|it| it.name == ACTIVE);
    mailbox.put(FeedEvent::Strategy(active.and_then(|it| parse::<ActivationSpec>(&it.spec).ok())));
    Ok(found.freshness.map_or(0, |it| it.revision))
}

/// Puts everything that is known now into the mailbox, once.
pub(super) async fn look(session: &Session, mailbox: &Mailbox) -> Result<()> {
    let Feed { first, .. } = Feed::begin(session).await?;
    if let Some(freshness) = &first.freshness {
        mailbox.put(FeedEvent::Up { endpoint: freshness.node.clone() });
    }
    mailbox.put(FeedEvent::Nodes(convert::picture(first, human::now())));
    mailbox.put(FeedEvent::Cluster(convert::view(&cluster::fetch(session).await?)));
    put_activation(session, mailbox).await?;
    let (mut stream, mut seen) = (stream_events(session, false).await?, Seen::default());
    while let Some(event) = stream.next().await {
        let event = event.map_err(|status| refusal::failure("cannot get events", "the stream of an agent", &status))?;
        put_event(mailbox, &mut seen, event);
    }
    Ok(())
}
