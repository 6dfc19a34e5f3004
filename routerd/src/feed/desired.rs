//! Follows desired state from the agent of this host. When it dies the last view stays.

use std::time::Duration;

use mesh_core::{
    id::{ObjectName, Revision},
    kind::Kind,
    object::Object,
};
use mesh_proto::v1::{self, objects_client::ObjectsClient, watch_event};
use tokio::sync::watch;
use tonic::{Code, Status, transport::Channel};

use crate::feed::view::{KINDS, Objects};

/// An agent says at least once a second how far it is; a silent one is dialled anew.
const SILENCE_MAX: Duration = Duration::from_secs(5);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Follows for ever; whole revisions go into `out`.
pub(crate) async fn follow(channel: Channel, out: watch::Sender<Objects>) {
    let mut client = ObjectsClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let mut rest = BACKOFF.0;
    let (mut listed, mut told) = (false, false);
    loop {
        let before = out.borrow().revision;
        let ended = session(&mut client, &out, &mut listed).await;
        let progressed = out.borrow().revision > before;
        match ended {
            Ok(()) => tracing::debug!("the agent ended the stream of desired state"),
            Err(status) if status.code() == Code::OutOfRange => {
                // Our revision is no longer in its history: take the whole state again.
                listed = false;
                tracing::info!("desired state is listed anew");
            }
            Err(status) if told && !progressed => {
                tracing::debug!(error = status.message(), "agent still does not answer");
            }
            Err(status) => {
                told = true;
                tracing::warn!(error = status.message(), "agent does not answer: the last view stays");
            }
        }
        rest = if progressed { BACKOFF.0 } else { (rest * 2).min(BACKOFF.1) };
        tokio::time::sleep(rest).await;
    }
}

async fn session(
    client: &mut ObjectsClient<Channel>,
    out: &watch::Sender<Objects>,
    listed: &mut bool,
) -> Result<(), Status> {
    let mut objects = out.borrow().clone();
    if !*listed {
        let found = list(client).await?;
        // A router never goes back: an agent that is behind is waited for.
        if found.revision >= objects.revision {
            objects = found;
            publish(out, &objects);
            *listed = true;
        } else {
            tracing::warn!(agent = found.revision.0, own = objects.revision.0, "agent is behind the own view");
        }
    }
    let request =
        v1::WatchRequest { kinds: KINDS.iter().map(|it| it.as_str().to_owned()).collect(), after: objects.revision.0 };
    let mut stream = client.watch(request).await?.into_inner();
    loop {
        let next = tokio::time::timeout(SILENCE_MAX, stream.message()).await;
        let Some(event) = next.map_err(|_| Status::unavailable("the agent has been silent for 5 s"))?? else {
            return Ok(());
        };
        match event.event {
            Some(watch_event::Event::Change(change)) => {
                let Some(object) = change.object else { continue };
                objects.change(Revision(change.revision), object_of(object)?);
            }
            Some(watch_event::Event::Progress(progress)) if progress.revision > objects.revision.0 => {
                objects.revision = Revision(progress.revision);
                publish(out, &objects);
            }
            Some(watch_event::Event::Progress(_)) | None => {}
        }
    }
}

fn publish(out: &watch::Sender<Objects>, objects: &Objects) {
    out.send_if_modified(|it| {
        let changed = it != objects;
        if changed {
            it.clone_from(objects);
        }
        changed
    });
}

/// All objects; the revision is the lowest of the answers, and what is newer comes again by `Watch`.
async fn list(client: &mut ObjectsClient<Channel>) -> Result<Objects, Status> {
    let (mut revision, mut items) = (u64::MAX, Vec::new());
    for kind in KINDS {
        let mode = i32::from(v1::ReadMode::Any);
        let request = v1::ListRequest { kind: kind.as_str().to_owned(), names: Vec::new(), mode };
        let answer = tokio::time::timeout(SILENCE_MAX, client.list(request)).await;
        let answer = answer.map_err(|_| Status::unavailable("the agent does not answer within 5 s"))??.into_inner();
        revision = revision.min(answer.freshness.map_or(0, |it| it.revision));
        for item in answer.items {
            items.push(object_of(item)?);
        }
    }
    Ok(Objects::new(Revision(revision), items))
}

/// A deletion has an empty spec, which is not JSON: it is taken over as it is.
fn object_of(object: v1::Object) -> Result<Object, Status> {
    let bad = |reason: String| Status::data_loss(format!("the agent sent a malformed object: {reason}"));
    let kind: Kind = object.kind.parse().map_err(|error: mesh_core::kind::UnknownKind| bad(error.to_string()))?;
    let name = ObjectName::new(object.name).map_err(|error| bad(error.to_string()))?;
    let key = mesh_core::object::Key::new(kind, name);
    Ok(Object { key, revision: Revision(object.revision), spec: object.spec })
}
