//! Who may speak raft: only the agents of coordinators.

use mesh_core::id::Principal;
use mesh_proto::{reason, server::Peer};
use tonic::{Code, Request, Status, service::Interceptor};

use super::refuse::refuse;
use crate::desired::Desired;

/// Lets coordinators through; the gate before it has let in nodes only.
#[derive(Clone)]
pub struct Voters {
    desired: Desired,
}

impl Voters {
    /// Checks callers against desired state, and against the configuration while there is none.
    #[must_use]
    pub fn new(desired: Desired) -> Self {
        Self { desired }
    }

    fn knows(&self, id: &Principal) -> bool {
        self.desired.coordinators().iter().any(|it| Principal::node(self.desired.mesh(), &it.node) == *id)
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
