//! SSH agents: one connection each for all hosts, one signature at a time.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use russh::keys::{
    HashAlg,
    agent::{AgentIdentity, client::AgentClient},
};
use tokio::{
    net::UnixStream,
    sync::{Mutex, OnceCell},
    time::timeout,
};

/// How long an agent may take to list its keys.
const LIST_LIMIT: Duration = Duration::from_secs(10);
/// How long a signature may take: a hardware key waits for a finger.
const SIGN_LIMIT: Duration = Duration::from_secs(60);

/// The agents in use, by socket.
#[derive(Default)]
pub(super) struct Agents(std::sync::Mutex<BTreeMap<PathBuf, Arc<OnceCell<Reached>>>>);

/// An agent, or why there is none.
type Reached = Result<Arc<Agent>, String>;

/// One agent.
pub(super) struct Agent {
    socket: PathBuf,
    /// None while somebody is in the middle of a request: one that is given up leaves a reply nobody wants.
    client: Mutex<Option<AgentClient<UnixStream>>>,
    identities: Vec<AgentIdentity>,
}

impl Agents {
    /// The agent at a socket, connected to on first use.
    pub(super) async fn get(&self, socket: &Path) -> Reached {
        let cell = {
            let mut agents = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(agents.entry(socket.to_owned()).or_default())
        };
        cell.get_or_init(|| Agent::connect(socket)).await.clone()
    }
}

impl Agent {
    async fn connect(socket: &Path) -> Reached {
        let connecting = async {
            let mut client = AgentClient::connect_uds(socket).await?;
            let identities = client.request_identities().await?;
            Ok::<_, russh::keys::Error>((client, identities))
        };
        match timeout(LIST_LIMIT, connecting).await {
            Ok(Ok((client, identities))) => {
                Ok(Arc::new(Self { socket: socket.to_owned(), client: Mutex::new(Some(client)), identities }))
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", LIST_LIMIT.as_secs())),
        }
    }

    /// The keys and certificates it holds, in its order.
    pub(super) fn identities(&self) -> &[AgentIdentity] {
        &self.identities
    }

    /// Signs; what is given is extended by the signature.
    pub(super) async fn sign(
        &self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, russh::keys::Error> {
        let mut slot = self.client.lock().await;
        let mut client = match slot.take() {
            Some(client) => client,
            None => AgentClient::connect_uds(&self.socket).await?,
        };
        let signed = timeout(SIGN_LIMIT, client.sign_request(identity, hash, data))
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?;
        *slot = Some(client);
        signed
    }
}
