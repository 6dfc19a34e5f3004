//! How a node that does not vote keeps up: it follows one coordinator's stream and changes to another when that ends.
//!
//! Task: `follow` ([`run`]). It owns the replica; what others see of it goes out by two watches.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use bytes::{Bytes, BytesMut};
use mesh_core::{
    id::{Digest, MeshName, NodeName, Principal, Revision},
    store::{Change, Store},
};
use mesh_proto::{
    client,
    tls::Identity,
    v1::{self, follow_event::Event, objects_client::ObjectsClient},
};
use rand::Rng as _;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Coordinator,
    desired::{coordinators, millis},
    raft::FollowEvent,
    replica::Replica,
};

/// A stream without any word for so long is broken: progress comes every second.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// A coordinator without a leader for so long is left for another, and so is the next one, not faster than this.
const CUT_OFF_MAX: Duration = Duration::from_secs(10);
/// How long a coordinator may take to open a stream or to say what is latest.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long the replica may take to reach what is latest.
const CATCH_UP_MAX: Duration = Duration::from_secs(3);
/// The largest base, in bytes: a full store with room for its framing.
const BASE_BYTES_MAX: usize = 288 * 1024 * 1024;
/// The largest message of a stream, in bytes: a little over one command.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Nodes come back spread over so many milliseconds for each node there is, up to [`JITTER_MAX_MS`].
const JITTER_MS_PER_NODE: u64 = 10;
const JITTER_MAX_MS: u64 = 3_000;

/// What the follower knows of the leader.
#[derive(Debug, Clone, Copy)]
struct Heard {
    at: Instant,
    leader_age_ms: u64,
}

/// The handle that others hold on the followed state.
#[derive(Clone)]
pub struct Following {
    identity: Identity,
    mesh: MeshName,
    store: watch::Receiver<Arc<Store>>,
    heard: watch::Sender<Option<Heard>>,
}

impl Following {
    /// Makes the handle on a replica that [`run`] will keep up to date.
    #[must_use]
    pub fn new(identity: Identity, mesh: MeshName, replica: &Replica) -> Self {
        Self { identity, mesh, store: replica.store(), heard: watch::Sender::new(None) }
    }

    /// The replica's state.
    #[must_use]
    pub fn store(&self) -> watch::Receiver<Arc<Store>> {
        self.store.clone()
    }

    /// Milliseconds since the followed coordinator last heard the leader; `None` = never since the start.
    #[must_use]
    pub fn leader_age_ms(&self) -> Option<u64> {
        let heard = *self.heard.borrow();
        heard.map(|it| it.leader_age_ms.saturating_add(millis(it.at.elapsed())))
    }

    /// Asks a coordinator which revision is latest and waits until the replica has it.
    ///
    /// # Errors
    /// Why no coordinator could say, or that the replica did not catch up in time.
    pub async fn latest(&self, coordinators: &[Coordinator]) -> Result<Arc<Store>, String> {
        let mut why = "no coordinator is known".to_owned();
        for coordinator in coordinators {
            match timeout(ANSWER_MAX, self.latest_revision(coordinator)).await {
                Ok(Ok(revision)) => return self.reach(revision).await,
                Ok(Err(status)) => why = format!("{}: {}", coordinator.node, status.message()),
                Err(_) => why = format!("{} at {} does not answer", coordinator.node, coordinator.api),
            }
        }
        Err(why)
    }

    async fn latest_revision(&self, coordinator: &Coordinator) -> Result<Revision, tonic::Status> {
        let mut client = self.client(coordinator);
        let request =
            v1::ListRequest { kind: "policy".to_owned(), names: Vec::new(), mode: v1::ReadMode::Latest.into() };
        let answer = client.list(request).await?.into_inner();
        let freshness = answer.freshness.ok_or_else(|| tonic::Status::internal("an answer without its freshness"))?;
        Ok(Revision(freshness.revision))
    }

    async fn reach(&self, revision: Revision) -> Result<Arc<Store>, String> {
        let mut store = self.store.clone();
        let reached = timeout(CATCH_UP_MAX, store.wait_for(|it| it.revision() >= revision)).await;
        match reached {
            Ok(Ok(store)) => Ok(Arc::clone(&store)),
            Ok(Err(_)) => Err("this node is stopping".to_owned()),
            Err(_) => Err(format!("this node has not reached revision {revision} yet")),
        }
    }

    fn client(&self, coordinator: &Coordinator) -> ObjectsClient<tonic::transport::Channel> {
        let expect = Principal::node(&self.mesh, &coordinator.node);
        ObjectsClient::new(client::channel(&self.identity, coordinator.api, expect))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

/// Whom this node follows, and whom to try next.
struct Choice {
    node: NodeName,
    first: Vec<Coordinator>,
    failures: usize,
}

impl Choice {
    /// The coordinators by rendezvous hash: each node has its own order, and one that goes moves only its own followers.
    fn next(&self, store: &Store) -> Option<Coordinator> {
        let mut all = coordinators(store, &self.first);
        all.sort_by_cached_key(|it| blake3::hash(format!("{}\n{}", self.node, it.node).as_bytes()).to_string());
        let index = self.failures.checked_rem(all.len())?;
        Some(all.swap_remove(index))
    }

    /// How long to wait before the next try: nothing at first, then spread out, with back-off while all fail.
    fn pause(&self, store: &Store) -> Duration {
        if self.failures == 0 {
            return Duration::ZERO;
        }
        let nodes = store.list(mesh_core::kind::Kind::Node).count() as u64;
        let spread = (nodes * JITTER_MS_PER_NODE).clamp(50, JITTER_MAX_MS);
        let rounds = u32::try_from(self.failures / 3).unwrap_or(u32::MAX).min(4);
        let base = 100 * (1_u64 << rounds);
        Duration::from_millis(base + rand::rng().random_range(0..spread))
    }
}

/// Follows until told to stop; the cache is written when it ends.
///
/// # Errors
/// When the replica's cache cannot be written.
pub async fn run(
    following: Following,
    mut replica: Replica,
    node: NodeName,
    first: Vec<Coordinator>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut choice = Choice { node, first, failures: 0 };
    let store = replica.store();
    while !stop.is_cancelled() {
        let now = Arc::clone(&store.borrow());
        let followed = async {
            sleep(choice.pause(&now)).await;
            let coordinator = choice.next(&now).context("no coordinator is known")?;
            follow(&following, &mut replica, &coordinator).await.with_context(|| format!("follow {}", coordinator.node))
        };
        let ended = stop.run_until_cancelled(followed).await;
        match ended {
            None => break,
            Some(Ok(heard)) => choice.failures = if heard { 1 } else { choice.failures + 1 },
            Some(Err(error)) => {
                choice.failures += 1;
                tracing::warn!(error = format!("{error:#}"), failures = choice.failures, "not following");
            }
        }
    }
    replica.flush().await.context("write the replica's cache")
}

/// Follows one coordinator until the stream ends; says whether it ever brought anything.
async fn follow(following: &Following, replica: &mut Replica, coordinator: &Coordinator) -> anyhow::Result<bool> {
    let mut client = following.client(coordinator);
    let resume = replica.resume();
    let request = v1::FollowRequest {
        mesh: following.mesh.to_string(),
        lineage: resume.lineage.0,
        after: resume.revision.0,
        digest: resume.digest.map(|it| Bytes::copy_from_slice(&it.0)).unwrap_or_default(),
    };
    let opened = timeout(ANSWER_MAX, client.follow(request)).await.context("does not answer")?;
    let mut stream = opened.map_err(|status| anyhow::anyhow!("{}", status.message()))?.into_inner();
    tracing::info!(coordinator = %coordinator.node, revision = resume.revision.0, "following");
    let opened_at = Instant::now();
    let mut base = BytesMut::new();
    let mut heard = false;
    loop {
        let next = timeout(SILENCE_MAX, stream.message()).await.context("is silent")?;
        let event = match next {
            Ok(Some(event)) => event.event.context("an empty event")?,
            Ok(None) => return Ok(heard),
            Err(status) => bail!("{}", status.message()),
        };
        if is_cut_off(&event) && opened_at.elapsed() > CUT_OFF_MAX {
            bail!("has not heard of a leader for long: another one may have");
        }
        let Some(event) = decode(event, &mut base)? else {
            continue;
        };
        let Some(event) = event.or_moved(coordinator) else {
            return Ok(heard);
        };
        let progress = if let FollowEvent::Progress { leader_age_ms, .. } = &event { *leader_age_ms } else { None };
        replica.on_event(event).await.context("take the stream's event")?;
        heard = true;
        if let Some(leader_age_ms) = progress {
            following.heard.send_replace(Some(Heard { at: Instant::now(), leader_age_ms }));
        }
    }
}

/// Whether the coordinator itself has no leader.
fn is_cut_off(event: &Event) -> bool {
    matches!(event, Event::Progress(it) if it.leader_age_ms.is_none_or(|age| u128::from(age) > CUT_OFF_MAX.as_millis()))
}

/// An event of the stream, or the wish that this node goes elsewhere.
enum Taken {
    Event(FollowEvent),
    Move,
}

impl Taken {
    fn or_moved(self, coordinator: &Coordinator) -> Option<FollowEvent> {
        match self {
            Self::Event(event) => Some(event),
            Self::Move => {
                tracing::info!(coordinator = %coordinator.node, "asked to follow another coordinator");
                None
            }
        }
    }
}

fn decode(event: Event, base: &mut BytesMut) -> anyhow::Result<Option<Taken>> {
    Ok(Some(Taken::Event(match event {
        Event::Base(chunk) => {
            if base.len() + chunk.data.len() > BASE_BYTES_MAX {
                bail!("a base of more than {BASE_BYTES_MAX} bytes");
            }
            base.extend_from_slice(&chunk.data);
            if !chunk.last {
                return Ok(None);
            }
            FollowEvent::Base(std::mem::take(base).freeze())
        }
        Event::Changes(batch) => FollowEvent::Changes {
            from: Revision(batch.from),
            to: Revision(batch.to),
            changes: batch.commands.iter().map(change).collect::<anyhow::Result<_>>()?,
            digest: digest(&batch.digest)?,
        },
        Event::Progress(it) => {
            FollowEvent::Progress { revision: Revision(it.revision), leader_age_ms: it.leader_age_ms }
        }
        Event::Move(_) => return Ok(Some(Taken::Move)),
    })))
}

fn digest(bytes: &[u8]) -> anyhow::Result<Option<Digest>> {
    match bytes {
        [] => Ok(None),
        bytes => Ok(Some(Digest(bytes.try_into().context("a digest of another length")?))),
    }
}

fn change(bytes: &Bytes) -> anyhow::Result<Arc<Change>> {
    Ok(Arc::new(Change::decode(bytes).context("read a change")?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mesh_core::id::Lineage;

    use super::*;

    fn coordinator(i: u64) -> Coordinator {
        Coordinator { node: format!("ctl-{i}").parse().unwrap(), api: ([127, 0, 0, 1], 7443).into(), voter: i }
    }

    fn chosen(of: &[u64], failures: usize) -> BTreeMap<String, String> {
        let store = Store::new(Lineage(1));
        let first: Vec<Coordinator> = of.iter().map(|i| coordinator(*i)).collect();
        let choose = |i: u32| {
            let node: NodeName = format!("gpu-{i}").parse().unwrap();
            let choice = Choice { node: node.clone(), first: first.clone(), failures };
            (node.to_string(), choice.next(&store).unwrap().node.to_string())
        };
        (0..300).map(choose).collect()
    }

    #[test]
    fn followers_spread_and_only_those_of_a_lost_coordinator_move() {
        let all = chosen(&[1, 2, 3], 0);
        for i in 1..=3 {
            let share = all.values().filter(|it| **it == format!("ctl-{i}")).count();
            assert!((70..=130).contains(&share), "ctl-{i} has {share} of 300");
        }
        let left = chosen(&[1, 3], 0);
        assert!(all.iter().all(|(node, of)| of == "ctl-2" || left[node] == *of));
        let next = chosen(&[1, 2, 3], 1);
        assert!(all.iter().all(|(node, of)| next[node] != *of), "after a failure another one is asked");
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let store = Store::new(Lineage(1));
        let pause =
            |failures| Choice { node: "gpu-1".parse().unwrap(), first: vec![coordinator(1)], failures }.pause(&store);
        assert_eq!(pause(0), Duration::ZERO);
        assert!(pause(1) < Duration::from_millis(200));
        assert!(pause(1000) < Duration::from_secs(5) && pause(1000) >= Duration::from_millis(1600));
    }

    #[test]
    fn a_base_comes_in_pieces_and_changes_are_read_strictly() {
        let mut base = BytesMut::new();
        let piece = |data: &'static [u8], last| Event::Base(v1::BaseChunk { data: Bytes::from_static(data), last });
        assert!(decode(piece(b"ab", false), &mut base).unwrap().is_none());
        let Some(Taken::Event(FollowEvent::Base(whole))) = decode(piece(b"c", true), &mut base).unwrap() else {
            panic!("the last piece makes the base");
        };
        assert_eq!((&whole[..], base.len()), (&b"abc"[..], 0));
        let changes =
            |commands: Vec<Bytes>, digest: Bytes| Event::Changes(v1::Changes { from: 1, to: 1, commands, digest });
        assert!(decode(changes(Vec::new(), Bytes::new()), &mut base).is_ok());
        assert!(decode(changes(Vec::new(), Bytes::from_static(b"short")), &mut base).is_err());
        assert!(decode(changes(vec![Bytes::from_static(b"nonsense")], Bytes::new()), &mut base).is_err());
    }
}
