//! The service `mesh.v1.Join`: hosts become members with a token, and members get new certificates.

use std::{path::PathBuf, sync::Arc};

use mesh_core::{
    id::{NodeName, Principal, RequestId},
    kind::{Kind, NodeSpec, Role, Spec as _, TokenSpec, parse, write},
    object::Key,
    rbac::Caller,
    store::{Command, Expect, Op, Outcome},
    time::Timestamp,
};
use mesh_proto::{
    ca::csr_key,
    reason,
    server::Peer,
    v1::{
        Contact, CreateTokenRequest, CreateTokenResponse, EnrollRequest, EnrollResponse, GossipKeysRequest,
        GossipKeysResponse, RenewRequest, RenewResponse, join_server::Join,
    },
};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize as _, de::IntoDeserializer as _};
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use super::{
    issue::{Holder, Issuing, RenewRefusal},
    token::{Enrolment, JoinToken, Joiner, TokenRefusal, enrol},
};
use crate::{
    api::refuse::{invalid, not_ready, of_outcome, refuse},
    clock,
    desired::{Desired, WRITE_DEADLINE},
    gossip::KeyRing,
};

/// The life of a token when none is asked for, and the longest, in milliseconds.
const TOKEN_LIFE_MS: (u64, u64) = (15 * 60 * 1000, 7 * 24 * 3_600 * 1000);
/// So often a join is planned anew because the token or the node moved meanwhile.
const ATTEMPTS_MAX: u32 = 8;

/// The service.
pub struct JoinService {
    desired: Desired,
    /// The authority, on a coordinator.
    issuing: Option<Arc<Issuing>>,
    gossip_keys: PathBuf,
}

impl JoinService {
    /// Joins its parts; `gossip_keys` is the node's own key file.
    #[must_use]
    pub fn new(desired: Desired, issuing: Option<Arc<Issuing>>, gossip_keys: PathBuf) -> Self {
        Self { desired, issuing, gossip_keys }
    }

    fn issuing(&self) -> Result<&Issuing, Status> {
        self.issuing.as_deref().ok_or_else(|| {
            let whom: Vec<String> =
                self.desired.coordinators().iter().map(|it| format!("{} ({})", it.node, it.api)).collect();
            not_ready(format!("{} issues no certificates: ask {}", self.desired.node(), whom.join(" or ")))
        })
    }

    /// Spends the token and lists the node in one write, planned anew as long as somebody else is faster.
    async fn enrol(&self, token: &JoinToken, joiner: &Joiner, addresses: NodeSpec) -> Result<Enrolment, Status> {
        let until = Instant::now() + WRITE_DEADLINE;
        for _ in 0..ATTEMPTS_MAX {
            let store = self.desired.latest().await?;
            let plan = enrol(&store, token, joiner, addresses.clone(), clock::now().max(store.now()))?;
            if plan.ops.is_empty() {
                return Ok(plan);
            }
            let command = Command {
                id: RequestId(rand::random()),
                actor: Principal::node(self.desired.mesh(), &joiner.node),
                at: Timestamp(0),
                level: 1,
                reason: Some(format!("joined with token {} of {}", token.id, plan.by)),
                ops: plan.ops.clone(),
            };
            let outcome = self.desired.propose(command, until).await?;
            match (outcome.first(), of_outcome(&outcome)) {
                (Outcome::Conflict { .. }, _) => {}
                (_, Some(status)) => return Err(status),
                (_, None) => return Ok(plan),
            }
        }
        Err(refuse(Code::Aborted, reason::CONFLICT, "the token kept changing under this join: try again", []))
    }

    fn contacts(&self) -> Vec<Contact> {
        let store = self.desired.store();
        let gossip = |node: &NodeName| {
            let object = store.get(&Key::new(Kind::Node, node.clone()))?;
            Some(parse::<NodeSpec>(&object.spec).ok()?.gossip)
        };
        let contact = |it: crate::config::Coordinator| Contact {
            gossip: gossip(&it.node).unwrap_or_default(),
            node: it.node.to_string(),
            api: it.api.to_string(),
            voter: it.voter,
        };
        self.desired.coordinators().into_iter().map(contact).collect()
    }
}

#[tonic::async_trait]
impl Join for JoinService {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let issuing = self.issuing()?;
        let from = request.extensions().get::<Peer>().map(|it| it.addr);
        let request = request.into_inner();
        let token: JoinToken = request.token.parse()?;
        let node = NodeName::new(request.node).map_err(invalid)?;
        let joiner = Joiner { node: node.clone(), key: csr_key(&request.csr).map_err(invalid)? };
        // Checked before the token is spent.
        let router_key = (!request.router_csr.is_empty()).then(|| csr_key(&request.router_csr)).transpose();
        if router_key.map_err(invalid)? == Some(joiner.key) {
            return Err(invalid("the router needs a key of its own"));
        }
        let addresses =
            NodeSpec { address: request.address, api: request.api, gossip: request.gossip, ..NodeSpec::default() };
        let plan = self.enrol(&token, &joiner, addresses).await.inspect_err(|status| {
            tracing::warn!(%node, ?from, token = %token.id, reason = status.message(), "join refused");
        })?;
        let sign = |csr: &[u8], id: &Principal| {
            issuing.sign(csr, id, clock::now()).map_err(|error| Status::from(RenewRefusal::Ca(error)))
        };
        let chain = sign(&request.csr, &Principal::node(self.desired.mesh(), &node))?;
        let router_chain = match plan.router && !request.router_csr.is_empty() {
            true => sign(&request.router_csr, &Principal::router(self.desired.mesh(), &node))?,
            false => Vec::new(),
        };
        tracing::info!(%node, ?from, token = %token.id, by = %plan.by, incarnation = plan.incarnation, "node joined");
        Ok(Response::new(EnrollResponse {
            chain: wire(&chain),
            roots: wire(issuing.roots()),
            mesh: self.desired.mesh().to_string(),
            incarnation: plan.incarnation,
            coordinators: self.contacts(),
            router_chain: wire(&router_chain),
        }))
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let issuing = self.issuing()?;
        let peer = request.extensions().get::<Peer>();
        let holder = peer.and_then(|it| Some(Holder { id: it.id.clone()?, key: it.key?, late: it.late }));
        let holder = holder.ok_or_else(|| Status::unauthenticated("a certificate is renewed for its holder only"))?;
        let chain = issuing.renew(&self.desired.store(), &holder, &request.get_ref().csr, clock::now())?;
        tracing::info!(id = %holder.id, late = holder.late, "certificate issued");
        Ok(Response::new(RenewResponse { chain: wire(&chain), roots: wire(issuing.roots()) }))
    }

    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let issuing = self.issuing()?;
        let by = request.extensions().get::<Caller>().and_then(|it| it.id.clone());
        let by = by.ok_or_else(|| Status::unauthenticated("a client certificate is needed"))?;
        let request = request.into_inner();
        let token = JoinToken::make(issuing.fingerprint()).ok_or_else(|| Status::internal("no random numbers"))?;
        let now = clock::now().max(self.desired.store().now());
        let spec = token_spec(&request, &token, by.clone(), now)?;
        let key = Key::new(Kind::Token, token.id.clone());
        let command = Command {
            id: request.request_id.parse().map_err(invalid)?,
            actor: by,
            at: Timestamp(0),
            level: 1,
            reason: None,
            ops: vec![Op::Put { key, spec: write(&spec), expect: Expect::Absent }],
        };
        let outcome = self.desired.propose(command, Instant::now() + WRITE_DEADLINE).await?;
        if matches!(outcome, Outcome::Repeated(_)) {
            let text =
                "this request has made a token already, and its secret was in the first answer only: make another";
            return Err(refuse(Code::AlreadyExists, reason::ALREADY, text, []));
        }
        match of_outcome(&outcome) {
            Some(status) => Err(status),
            None => Ok(Response::new(CreateTokenResponse {
                token: token.reveal(),
                name: token.id.to_string(),
                expires_ms: spec.expires.0,
            })),
        }
    }

    async fn gossip_keys(&self, _request: Request<GossipKeysRequest>) -> Result<Response<GossipKeysResponse>, Status> {
        let ring = KeyRing::load(&self.gossip_keys).map_err(|error| {
            tracing::error!(error = mesh_proto::client::sentence(&error), "gossip keys");
            not_ready("this agent cannot read its gossip keys; its log says why")
        })?;
        Ok(Response::new(GossipKeysResponse { keys: ring.to_wire() }))
    }
}

fn token_spec(
    request: &CreateTokenRequest,
    token: &JoinToken,
    by: Principal,
    at: Timestamp,
) -> Result<TokenSpec, Status> {
    let prefix = request.nodes.strip_suffix('*').unwrap_or(&request.nodes);
    if request.nodes != "*" {
        NodeName::new(prefix).map_err(|error| invalid(format!("field `nodes`: {error}")))?;
    }
    let role = |text: &String| -> Result<Role, serde::de::value::Error> {
        Role::deserialize(text.as_str().into_deserializer())
    };
    let roles = request
        .roles
        .iter()
        .map(role)
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("field `roles`: {error}")))?;
    let life = if request.ttl_ms == 0 { TOKEN_LIFE_MS.0 } else { request.ttl_ms };
    if life > TOKEN_LIFE_MS.1 {
        return Err(invalid("field `ttl_ms`: a token lives at most 7 days"));
    }
    let spec = TokenSpec {
        secret_hash: token.secret_hash(),
        nodes: request.nodes.clone(),
        roles,
        expires: at.plus_ms(life),
        uses_max: request.uses.max(1),
        uses: Vec::new(),
        by,
        at,
    };
    spec.validate(&token.id).map_err(invalid)?;
    Ok(spec)
}

fn wire(ders: &[CertificateDer<'_>]) -> Vec<bytes::Bytes> {
    ders.iter().map(|it| bytes::Bytes::copy_from_slice(it)).collect()
}

impl From<TokenRefusal> for Status {
    fn from(refusal: TokenRefusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            TokenRefusal::Node(_) => invalid(text),
            TokenRefusal::Form(_)
            | TokenRefusal::Unknown(_)
            | TokenRefusal::Expired { .. }
            | TokenRefusal::Used { .. }
            | TokenRefusal::Name { .. }
            | TokenRefusal::Coordinator(_) => refuse(Code::Unauthenticated, reason::TOKEN, text, []),
        }
    }
}

impl From<RenewRefusal> for Status {
    fn from(refusal: RenewRefusal) -> Self {
        let text = mesh_proto::client::sentence(&refusal);
        match refusal {
            RenewRefusal::Ca(mesh_proto::ca::CaError::Request(_)) => invalid(text),
            RenewRefusal::Ca(mesh_proto::ca::CaError::Ended(_)) => not_ready(text),
            RenewRefusal::Ca(_) => Self::internal(text),
            RenewRefusal::NotListed(_)
            | RenewRefusal::NoRouter(_)
            | RenewRefusal::NoBinding(_)
            | RenewRefusal::Revoked(_)
            | RenewRefusal::OtherKey(_) => refuse(Code::PermissionDenied, reason::DENIED, text, []),
        }
    }
}
