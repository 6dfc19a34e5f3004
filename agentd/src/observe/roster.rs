//! The nodes that desired state lists: what gossip, telemetry and the observer check against.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::{
    id::{NodeName, PartyKind, Revision},
    kind::{self, DrainSpec, Kind, NodeSpec, RevocationSpec, Spec},
    store::Store,
};

/// One node as desired state has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// What is declared of it.
    pub spec: NodeSpec,
    /// The revision that wrote it last.
    pub revision: Revision,
    /// How it is taken out of service, when it is.
    pub drain: Option<DrainSpec>,
    /// Whether its identity is refused.
    pub revoked: bool,
}

/// All listed nodes at one revision of desired state.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Roster {
    nodes: BTreeMap<NodeName, Listed>,
}

impl Roster {
    /// Reads the nodes, their drains and the revoked node identities out of a store.
    #[must_use]
    pub fn read(store: &Store) -> Self {
        let revoked: BTreeSet<String> = store
            .list(Kind::Revocation)
            .filter_map(|object| read::<RevocationSpec>(&object.spec))
            .filter(|spec| spec.id.kind == PartyKind::Node)
            .map(|spec| spec.id.name.to_string())
            .collect();
        let mut drains: BTreeMap<String, DrainSpec> = store
            .list(Kind::Drain)
            .filter_map(|object| Some((object.key.name.to_string(), read(&object.spec)?)))
            .collect();
        let nodes = store
            .list(Kind::Node)
            .filter_map(|object| {
                let name = NodeName::new(object.key.name.as_str()).ok()?;
                let listed = Listed {
                    spec: read(&object.spec)?,
                    revision: object.revision,
                    drain: drains.remove(name.as_str()),
                    revoked: revoked.contains(name.as_str()),
                };
                Some((name, listed))
            })
            .collect();
        Self { nodes }
    }

    /// The node of a name.
    #[must_use]
    pub fn get(&self, name: &NodeName) -> Option<&Listed> {
        self.nodes.get(name)
    }

    /// All nodes, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&NodeName, &Listed)> {
        self.nodes.iter()
    }

    /// Makes a roster of nodes that no store holds.
    #[cfg(test)]
    pub(crate) fn of(nodes: impl IntoIterator<Item = (NodeName, Listed)>) -> Self {
        Self { nodes: nodes.into_iter().collect() }
    }
}

fn read<S: Spec>(json: &[u8]) -> Option<S> {
    match kind::parse(json) {
        Ok(spec) => Some(spec),
        Err(error) => {
            // The store holds only checked specs: this one was written by a newer release.
            tracing::warn!(%error, "a stored spec cannot be read and is passed over");
            None
        }
    }
}
