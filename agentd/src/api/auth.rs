//! The one gate in front of all services: who calls, whether the table of rules allows it, and for streams whether it still does.
//!
//! Every request passes here before any handler sees it; a path without an entry in the table reaches none. What a
//! handler denies later, once it knows kind and name, is counted and logged here as well.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use mesh_core::{
    rbac::{self, Ask, Caller, Decision, Role, Rpc, Verb},
    store::Store,
};
use mesh_proto::{reason, server::Peer};
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::sync::watch;
use tonic::{Code, Status, service::Routes};

use super::refuse::{not_ready, refuse};

/// The gate; clones share its counters.
#[derive(Clone)]
pub struct Gate {
    store: watch::Receiver<Arc<Store>>,
    denied: IntCounterVec,
}

impl Gate {
    /// Makes the gate over desired state.
    ///
    /// # Errors
    /// When the name of its metric is already registered.
    pub fn new(store: watch::Receiver<Arc<Store>>, registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("mesh_rpc_denied_total", "Calls that were denied, by RPC and role of the caller.");
        let denied = IntCounterVec::new(opts, &["rpc", "role"])?;
        registry.register(Box::new(denied.clone()))?;
        Ok(Self { store, denied })
    }

    /// Puts the gate in front of services.
    #[must_use]
    pub fn guard(&self, routes: Routes) -> Routes {
        Routes::from(routes.into_axum_router().layer(from_fn_with_state(self.clone(), pass)))
    }

    fn caller(&self, peer: Option<&Peer>) -> Caller {
        let id = peer.and_then(|it| it.id.clone());
        let role =
            if peer.is_some_and(|it| it.late) { Role::Late } else { rbac::role_of(id.as_ref(), &self.store.borrow()) };
        Caller { id, role }
    }

    fn note(&self, rpc: &Rpc, caller: &Caller, status: &str) {
        self.denied.with_label_values(&[rpc.path, caller.role.as_str()]).inc();
        tracing::warn!(rpc = rpc.path, reason = status, "call denied");
    }
}

async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let caller = gate.caller(request.extensions().get::<Peer>());
    let Some(rpc) = rbac::rpc_of(request.uri().path()) else {
        let text = format!("no such RPC: {}", request.uri().path().chars().take(120).collect::<String>());
        return Status::unimplemented(text).into_http();
    };
    if let Err(status) = check(&caller, rpc) {
        gate.note(rpc, &caller, status.message());
        return status.into_http();
    }
    request.extensions_mut().insert(caller.clone());
    let response = next.run(request).await;
    if let Some(status) = Status::from_header_map(response.headers()).filter(|it| it.code() == Code::PermissionDenied) {
        gate.note(rpc, &caller, status.message());
        return response;
    }
    match rpc.verb {
        Verb::Watch | Verb::Follow => {
            let revoked = until_denied(gate, caller, rpc);
            response.map(|inner| Body::new(Watched { inner, revoked: Some(Box::pin(revoked)) }))
        }
        Verb::Read
        | Verb::Write
        | Verb::Delete
        | Verb::Initialize
        | Verb::Enroll
        | Verb::Renew
        | Verb::Report
        | Verb::Vote => response,
    }
}

/// Whether a caller may call an RPC at all.
fn check(caller: &Caller, rpc: &Rpc) -> Result<(), Status> {
    match rbac::decide(caller, &Ask { verb: rpc.verb, thing: rpc.thing, name: None }) {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(denial) if caller.role == Role::Founder => Err(not_ready(format!(
            "this agent knows no bindings yet: it is not initialized, or it has not followed the mesh ({denial})"
        ))),
        Decision::Deny(denial) => Err(refuse(Code::PermissionDenied, reason::DENIED, denial.to_string(), [])),
    }
}

/// Waits until desired state takes a right away that a stream was opened with.
async fn until_denied(gate: Gate, mut caller: Caller, rpc: &'static Rpc) -> Status {
    let mut store = gate.store.clone();
    loop {
        let now = Arc::clone(&store.borrow_and_update());
        caller.role = rbac::role_of(caller.id.as_ref(), &now);
        let revoked = caller.id.as_ref().is_some_and(|id| rbac::revoked(&now).contains(id));
        let checked = if revoked {
            Err(refuse(Code::PermissionDenied, reason::DENIED, "denied: this identity is revoked", []))
        } else {
            check(&caller, rpc)
        };
        if let Err(status) = checked {
            gate.note(rpc, &caller, status.message());
            return status;
        }
        if store.changed().await.is_err() {
            // The daemon is stopping: the connection ends by itself.
            std::future::pending::<Infallible>().await;
        }
    }
}

/// The answer of a stream that ends with a status when the right to it is gone.
struct Watched {
    inner: Body,
    /// Absent once it has spoken.
    revoked: Option<Pin<Box<dyn Future<Output = Status> + Send>>>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(revoked) = &mut self.revoked else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(status) = revoked.as_mut().poll(cx) {
            self.revoked = None;
            let mut trailers = http::HeaderMap::new();
            return Poll::Ready(status.add_header(&mut trailers).is_ok().then(|| Ok(Frame::trailers(trailers))));
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.revoked.is_none() || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::id::{Lineage, Principal};
    use tower::ServiceExt as _;

    use super::*;

    /// Calls a path through the gate with nothing behind it: what the gate lets through is not implemented there.
    async fn call(path: &str, who: Option<&str>, late: bool) -> Status {
        let (_, store) = watch::channel(Arc::new(Store::new(Lineage(0))));
        let behind = axum::Router::new().fallback(async || Status::data_loss("reached").into_http::<Body>());
        let gate = Gate::new(store, &Registry::new()).unwrap();
        let mut request = http::Request::post(path).body(Body::empty()).unwrap();
        let id = who.map(|it| it.parse::<Principal>().unwrap());
        request.extensions_mut().insert(Peer { id, key: None, late, addr: ([127, 0, 0, 1], 1).into() });
        let response = gate.guard(Routes::from(behind)).into_axum_router().oneshot(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap()
    }

    #[tokio::test]
    async fn only_what_the_table_allows_reaches_a_handler() {
        const NODE: Option<&str> = Some("spiffe://lab/node/node-1");
        const ADA: Option<&str> = Some("spiffe://lab/operator/ada");
        let check = async |path: &str, who: Option<&str>, late: bool, code: Code, part: &str| {
            let status = call(path, who, late).await;
            assert!(status.code() == code && status.message().contains(part), "{path} by {who:?}: {status}");
        };
        check("/mesh.v1.Raft/Append", NODE, false, Code::DataLoss, "reached").await;
        check("/mesh.v1.Raft/Append", NODE, true, Code::PermissionDenied, "(expired certificate) may not vote log")
            .await;
        check("/mesh.v1.Join/Renew", NODE, true, Code::DataLoss, "reached").await;
        check("/mesh.v1.Join/Enroll", None, false, Code::DataLoss, "reached").await;
        check(
            "/mesh.v1.Objects/List",
            None,
            false,
            Code::PermissionDenied,
            "a caller without a certificate (anonymous) may not read objects",
        )
        .await;
        check("/mesh.v1.Fleet/Initialize", ADA, false, Code::DataLoss, "reached").await;
        check("/mesh.v1.Objects/List", ADA, false, Code::Unavailable, "knows no bindings yet").await;
        check("/mesh.v1.Objects/Format", ADA, false, Code::Unimplemented, "no such RPC: /mesh.v1.Objects/Format").await;
        check("/", NODE, false, Code::Unimplemented, "no such RPC: /").await;
    }
}
