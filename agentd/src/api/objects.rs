//! Objects: desired state read, written, watched and followed.

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use mesh_core::{
    id::{Digest, Lineage, ObjectName, Revision},
    kind::Kind,
    object::{Key, Object},
    store::{Expect, Store},
};
use mesh_proto::{
    convert,
    v1::{self, objects_server::Objects},
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::{
    caller::Caller,
    refuse::{invalid, not_found, not_ready},
    streams,
    write::{Item, Wanted},
    writer::{Write, Writer},
};
use crate::{desired::Desired, raft::Resume};

/// The most objects one request may write.
const ITEMS_MAX: usize = mesh_core::store::COMMAND_OPS_MAX;
/// The most names one request may ask for.
const NAMES_MAX: usize = 10_000;

/// The service `Objects`.
#[derive(Clone)]
pub struct ObjectsApi {
    desired: Desired,
    writer: Writer,
    stop: CancellationToken,
}

impl ObjectsApi {
    /// Joins its parts; `stop` ends its streams.
    #[must_use]
    pub fn new(desired: Desired, writer: Writer, stop: CancellationToken) -> Self {
        Self { desired, writer, stop }
    }
}

/// Reads desired state as a request wants it, and says how fresh that is.
///
/// # Errors
/// A refusal when it must be the latest and no quorum says what that is.
pub async fn read(desired: &Desired, mode: i32) -> Result<(Arc<Store>, v1::Freshness), Status> {
    let latest = match v1::ReadMode::try_from(mode) {
        Ok(v1::ReadMode::Latest) => true,
        Ok(v1::ReadMode::Any) => false,
        Err(_) => return Err(invalid(format!("mode {mode} is none: 0 = latest, 1 = any"))),
    };
    desired.opened().await;
    desired.check_fit()?;
    let store = if latest { desired.latest().await? } else { desired.store() };
    let freshness = v1::Freshness {
        revision: store.revision().0,
        leader_age_ms: desired.leader_age_ms(),
        latest,
        node: desired.node().to_string(),
    };
    Ok((store, freshness))
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Objects for ObjectsApi {
    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let kind: Kind = asked.kind.parse().map_err(invalid)?;
        caller.may_read(kind)?;
        let (store, freshness) = read(&self.desired, asked.mode).await?;
        let items = select(&store, kind, &asked.names)?.into_iter().map(v1::Object::from).collect();
        Ok(Response::new(v1::ListResponse { items, freshness: Some(freshness) }))
    }

    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        if asked.items.is_empty() || asked.items.len() > ITEMS_MAX {
            return Err(invalid(format!("{} objects in one request: 1 to {ITEMS_MAX} are taken", asked.items.len())));
        }
        let items: Vec<Item> = asked.items.into_iter().map(item).collect::<Result<_, _>>()?;
        for item in &items {
            caller.may_write(&item.key)?;
        }
        let write = Write::new(&asked.request_id, items, asked.reason, asked.dry_run)?;
        self.writer.write(&caller.id, write).await.map(Response::new)
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Result<Response<v1::ApplyResponse>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let key = convert::key(&asked.kind, &asked.name).map_err(invalid)?;
        caller.may_delete(&key)?;
        let item = Item { key, change: Wanted::Gone, expect: asked.expect.map(expect) };
        let write = Write::new(&asked.request_id, vec![item], asked.reason, asked.dry_run)?;
        self.writer.write(&caller.id, write).await.map(Response::new)
    }

    type WatchStream = Boxed<v1::WatchEvent>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        let mut kinds =
            asked.kinds.iter().map(|it| it.parse::<Kind>().map_err(invalid)).collect::<Result<Vec<_>, _>>()?;
        if kinds.is_empty() {
            kinds = Kind::ALL.iter().copied().filter(|kind| caller.may_read(*kind).is_ok()).collect();
        }
        kinds.iter().try_for_each(|kind| caller.may_read(*kind))?;
        self.desired.opened().await;
        self.desired.check_fit()?;
        let stream = streams::watch(self.desired.clone(), kinds, Revision(asked.after), self.stop.clone());
        Ok(Response::new(Box::pin(stream)))
    }

    type FollowStream = Boxed<v1::FollowEvent>;

    async fn follow(&self, request: Request<v1::FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        let Some(raft) = self.desired.raft() else {
            return Err(not_ready(format!("{} is no coordinator and cannot be followed", self.desired.node())));
        };
        let asked = request.into_inner();
        if asked.mesh != self.desired.mesh().as_str() {
            return Err(invalid(format!("this is mesh {}, not {}", self.desired.mesh(), asked.mesh)));
        }
        let digest = match asked.digest.as_ref() {
            [] => None,
            bytes => Some(Digest(bytes.try_into().map_err(|_| invalid("digest: must have 32 bytes"))?)),
        };
        self.desired.opened().await;
        let resume = Resume { lineage: Lineage(asked.lineage), revision: Revision(asked.after), digest };
        let others = self.desired.coordinators().into_iter().filter(|it| it.node != *self.desired.node());
        let others = others.map(|it| it.api.to_string()).collect();
        let stream = streams::follow(raft.follow(resume), others, self.stop.clone());
        Ok(Response::new(Box::pin(stream)))
    }
}

fn item(asked: v1::ApplyItem) -> Result<Item, Status> {
    let key = convert::key(&asked.kind, &asked.name).map_err(invalid)?;
    Ok(Item { key, change: Wanted::Spec { json: asked.spec, merge: asked.merge }, expect: asked.expect.map(expect) })
}

fn expect(revision: u64) -> Expect {
    if revision == 0 { Expect::Absent } else { Expect::At(Revision(revision)) }
}

/// Bounds what one request may name.
///
/// # Errors
/// A refusal of more than 10,000 names.
pub fn check_names(names: &[String]) -> Result<(), Status> {
    if names.len() > NAMES_MAX {
        return Err(invalid(format!("{} names: at most {NAMES_MAX} are taken, ask for all instead", names.len())));
    }
    Ok(())
}

fn select<'a>(store: &'a Store, kind: Kind, names: &[String]) -> Result<Vec<&'a Object>, Status> {
    if names.is_empty() {
        return Ok(store.list(kind).map(AsRef::as_ref).collect());
    }
    check_names(names)?;
    let one = |name: &String| {
        let name = ObjectName::new(name.as_str()).map_err(invalid)?;
        let key = Key::new(kind, name);
        store.get(&key).map(AsRef::as_ref).ok_or_else(|| not_found(format!("there is no {key}")))
    };
    names.iter().map(one).collect()
}
