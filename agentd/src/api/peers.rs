//! Who may speak raft: only the agents of coordinators.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use mesh_core::{id::Principal, store::Store};
use mesh_proto::{reason, server::Peer};
use tokio::sync::watch;
use tonic::{Code, Request, Status, service::Interceptor};

use super::refuse::refuse;
use crate::desired::Desired;

/// Lets coordinators through; the gate before it has let in nodes only.
#[derive(Clone)]
pub struct Voters {
    desired: Desired,
    known: Arc<Mutex<Known>>,
}

/// The identities of the coordinators at one state of the store: heartbeats ask many times a second, and who
/// coordinates is in the specs of all nodes.
struct Known {
    store: watch::Receiver<Arc<Store>>,
    ids: BTreeSet<Principal>,
}

impl Voters {
    /// Checks callers against desired state, and against the configuration while there is none.
    #[must_use]
    pub fn new(desired: Desired) -> Self {
        let mut store = desired.watch();
        // Nothing is read yet.
        store.mark_changed();
        let known = Known { store, ids: BTreeSet::new() };
        Self { desired, known: Arc::new(Mutex::new(known)) }
    }

    fn knows(&self, id: &Principal) -> bool {
        // No code panics while it holds the lock, and the set is valid at every step.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // When nobody writes the store any more the daemon stops, and the last state counts.
        if known.store.has_changed().unwrap_or(false) {
            let store = Arc::clone(&known.store.borrow_and_update());
            let coordinators = self.desired.coordinators_in(&store);
            known.ids = coordinators.iter().map(|it| Principal::node(self.desired.mesh(), &it.node)).collect();
        }
        known.ids.contains(id)
    }
}

impl Interceptor for Voters {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let id = request.extensions().get::<Peer>().and_then(|it| it.id.clone());
        if id.as_ref().is_some_and(|id| self.knows(id)) {
            return Ok(request);
        }
        let who = id.map_or_else(|| "an anonymous caller".to_owned(), |it| it.to_string());
        Err(refuse(
            Code::PermissionDenied,
            reason::DENIED,
            format!("denied: {who} is not the agent of a coordinator"),
            [],
        ))
    }
}
