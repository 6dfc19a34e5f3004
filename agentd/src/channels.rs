//! The connections of raft: one for each coordinator and purpose, so that a snapshot delays no heartbeat.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use mesh_core::id::{MeshName, NodeName, Principal};
use mesh_proto::{client, tls::Identity};
use tonic::transport::Channel;

use crate::raft::{Channels, Peer, Purpose};

/// Lazy channels to the other coordinators, kept for as long as name and address stay.
pub(crate) struct PeerChannels {
    identity: Identity,
    mesh: MeshName,
    open: Mutex<BTreeMap<(u64, Purpose), (Peer, Channel)>>,
}

impl PeerChannels {
    /// Makes them for one node's identity.
    #[must_use]
    pub(crate) fn new(identity: Identity, mesh: MeshName) -> Self {
        Self { identity, mesh, open: Mutex::default() }
    }
}

impl Channels for PeerChannels {
    fn channel(&self, node: u64, peer: &Peer, purpose: Purpose) -> Result<Channel, String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, channel)) = open.get(&(node, purpose))
            && known == peer
        {
            return Ok(channel.clone());
        }
        let name: NodeName = peer.name.parse().map_err(|error| format!("voter {node}: {error}"))?;
        let api = peer.address.parse().map_err(|error| format!("voter {node}: address `{}`: {error}", peer.address))?;
        let channel = client::channel(&self.identity, api, Principal::node(&self.mesh, &name));
        open.insert((node, purpose), (peer.clone(), channel.clone()));
        Ok(channel)
    }
}
