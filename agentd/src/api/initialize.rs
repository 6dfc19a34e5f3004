//! The first act of a mesh: its coordinators become voters and its first objects are written, exactly once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use mesh_core::{
    id::{NodeName, Principal, RequestId},
    kind::{Kind, NodeSpec, parse},
    object::Key,
    store::{COMMAND_OPS_MAX, Command, Expect, Op, Outcome},
    time::Timestamp,
};
use mesh_proto::{
    client, convert, reason,
    tls::Identity,
    v1::{self, fleet_client::FleetClient},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};
use tonic::{Code, Status};

use super::{
    refuse::{invalid, not_ready, of_outcome, refuse},
    write::{Asked, initial},
};
use crate::{
    clock,
    desired::{Desired, WRITE_DEADLINE},
    raft::{InitError, Peer, RaftHandle},
};

/// How long the other coordinators may take to answer: they may have been started a moment ago.
const REACH_MAX: Duration = Duration::from_secs(10);
const REACH_RETRY: Duration = Duration::from_millis(200);
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// How long the first election may take.
const ELECTION_MAX: Duration = Duration::from_secs(5);

/// Makes a mesh out of pristine coordinators.
#[derive(Clone)]
pub struct Initializer {
    desired: Desired,
    identity: Identity,
    /// One at a time.
    lock: Arc<Mutex<()>>,
}

/// A checked request.
struct Plan {
    voters: BTreeMap<u64, Peer>,
    ops: Vec<Op>,
}

impl Initializer {
    /// Joins its parts.
    #[must_use]
    pub fn new(desired: Desired, identity: Identity) -> Self {
        Self { desired, identity, lock: Arc::default() }
    }

    /// Initialises the mesh.
    ///
    /// # Errors
    /// A refusal; `ALREADY` when the mesh has state.
    pub async fn initialize(&self, caller: &Principal, request: v1::InitializeRequest) -> Result<(), Status> {
        let Some(raft) = self.desired.raft() else {
            return Err(not_ready(format!("{} is no coordinator: initialise the mesh on one", self.desired.node())));
        };
        let _one = self.lock.lock().await;
        if self.desired.store().revision().0 > 0 {
            return Err(already());
        }
        let plan = self.check(caller, &request)?;
        if !raft.is_initialized().await.map_err(not_ready)? {
            self.reach_all(&request.voters).await?;
            match raft.initialize(plan.voters).await {
                Ok(()) | Err(InitError::Already) => {}
                Err(error) => return Err(not_ready(format!("cannot initialise: {error}"))),
            }
        }
        self.write(caller, raft, plan.ops).await
    }

    async fn write(&self, caller: &Principal, raft: &RaftHandle, ops: Vec<Op>) -> Result<(), Status> {
        let mut status = raft.status();
        let elected = status.wait_for(|it| it.leader.is_some() && it.leader_age_ms.is_some());
        let elected = timeout(ELECTION_MAX, elected).await.is_ok_and(|it| it.is_ok());
        if !elected {
            return Err(not_ready("the coordinators have not elected a leader yet: ask again"));
        }
        let command =
            Command { id: self.request_id(), actor: caller.clone(), at: Timestamp(0), level: 1, reason: None, ops };
        let outcome = self.desired.propose(command, Instant::now() + WRITE_DEADLINE).await?;
        if matches!(outcome.first(), Outcome::Conflict { .. }) {
            return Err(already());
        }
        of_outcome(&outcome).map_or(Ok(()), Err)
    }

    /// The same for every try: whichever comes first counts, and the others find it.
    fn request_id(&self) -> RequestId {
        let hash = blake3::hash(format!("initialize {}", self.desired.mesh()).as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        RequestId(u128::from_le_bytes(id))
    }

    fn check(&self, caller: &Principal, request: &v1::InitializeRequest) -> Result<Plan, Status> {
        let mut voters = BTreeMap::new();
        for voter in &request.voters {
            let node: NodeName = voter.node.parse().map_err(invalid)?;
            let peer = Peer { name: node.to_string(), address: voter.api.clone() };
            if voter.id == 0
                || voter.api.parse::<std::net::SocketAddr>().is_err()
                || voters.insert(voter.id, peer).is_some()
            {
                return Err(invalid(format!("voter {node}: ids are unique and at least 1, and `api` is IP:PORT")));
            }
        }
        let me = self.desired.node().as_str();
        if !voters.values().any(|it| it.name == me) {
            return Err(invalid(format!("{me} itself must be one of the voters")));
        }
        let asked = Asked { by: caller, at: clock::now(), reason: None };
        let ops = request.objects.iter().map(|it| op(it, asked)).collect::<Result<Vec<_>, _>>()?;
        if ops.is_empty() || ops.len() > COMMAND_OPS_MAX {
            return Err(invalid(format!(
                "{} first objects: 1 to {COMMAND_OPS_MAX} are taken, apply the rest afterwards",
                ops.len()
            )));
        }
        check_voters(&voters, &ops)?;
        Ok(Plan { voters, ops })
    }

    async fn reach_all(&self, voters: &[v1::InitialVoter]) -> Result<(), Status> {
        let until = Instant::now() + REACH_MAX;
        for voter in voters.iter().filter(|it| it.node != self.desired.node().as_str()) {
            loop {
                let why = match timeout(ANSWER_MAX, self.reach(voter)).await {
                    Ok(Ok(answer)) if answer.mesh != self.desired.mesh().as_str() => {
                        return Err(invalid(format!("{} belongs to mesh {}", voter.node, answer.mesh)));
                    }
                    Ok(Ok(answer)) if answer.initialized || !answer.voters.is_empty() => return Err(already()),
                    Ok(Ok(_)) => break,
                    Ok(Err(status)) => status.message().to_owned(),
                    Err(_) => "does not answer".to_owned(),
                };
                if Instant::now() >= until {
                    return Err(not_ready(format!(
                        "coordinator {} at {} cannot be reached, nothing was changed: {why}",
                        voter.node, voter.api
                    )));
                }
                sleep(REACH_RETRY).await;
            }
        }
        Ok(())
    }

    async fn reach(&self, voter: &v1::InitialVoter) -> Result<v1::ClusterResponse, Status> {
        let (node, api) = (voter.node.parse().map_err(invalid)?, voter.api.parse().map_err(invalid)?);
        let channel = client::channel(&self.identity, api, Principal::node(self.desired.mesh(), &node));
        Ok(FleetClient::new(channel).cluster(v1::ClusterRequest {}).await?.into_inner())
    }
}

fn already() -> Status {
    refuse(Code::AlreadyExists, reason::ALREADY, "the mesh is initialised already", [])
}

fn op(object: &v1::Object, asked: Asked<'_>) -> Result<Op, Status> {
    let key = convert::key(&object.kind, &object.name).map_err(invalid)?;
    let spec = initial(&key, &object.spec, asked)?;
    Ok(Op::Put { key, spec, expect: Expect::Absent })
}

/// The declared coordinators and the voters must be the same: nothing else would ever make them so.
fn check_voters(voters: &BTreeMap<u64, Peer>, ops: &[Op]) -> Result<(), Status> {
    let declared = ops.iter().filter_map(|op| {
        let Op::Put { key: Key { kind: Kind::Node, name }, spec, .. } = op else {
            return None;
        };
        let spec = parse::<NodeSpec>(spec).ok()?;
        Some((spec.voter?, name.to_string(), spec.api))
    });
    let declared: BTreeSet<_> = declared.collect();
    let wanted: BTreeSet<_> = voters.iter().map(|(id, peer)| (*id, peer.name.clone(), peer.address.clone())).collect();
    if declared == wanted {
        return Ok(());
    }
    Err(invalid("the voters and the node objects with a `voter` differ: each needs the same id, name and api in both"))
}
