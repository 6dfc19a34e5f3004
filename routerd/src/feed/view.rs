//! Desired state as far as a router needs it: parsed, and never going back.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::{
    id::{NodeName, ObjectName, Principal, Revision},
    kind::{
        ACTIVE, ActivationSpec, DrainSpec, Kind, MESH_POLICY, NodeSpec, PolicySpec, RevocationSpec, Spec, StrategySpec,
        parse,
    },
    object::{Key, Object},
};

/// The kinds a router reads.
pub(crate) const KINDS: [Kind; 6] =
    [Kind::Node, Kind::Drain, Kind::Strategy, Kind::Activation, Kind::Policy, Kind::Revocation];

/// Objects as they came; the newest of each key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Objects {
    /// Everything up to this revision is in.
    pub(crate) revision: Revision,
    items: BTreeMap<Key, Object>,
}

impl Objects {
    /// Objects as listed at `revision`.
    pub(crate) fn new(revision: Revision, items: impl IntoIterator<Item = Object>) -> Self {
        Self { revision, items: items.into_iter().map(|it| (it.key.clone(), it)).collect() }
    }

    /// All of them, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Object> {
        self.items.values()
    }

    /// Takes one change in; an empty spec removes. What is older than the object that is there does nothing.
    pub(crate) fn change(&mut self, revision: Revision, object: Object) {
        if self.items.get(&object.key).is_some_and(|it| it.revision > revision) {
            return;
        }
        if object.spec.is_empty() {
            self.items.remove(&object.key);
        } else {
            self.items.insert(object.key.clone(), object);
        }
    }

    /// The parsed view.
    pub(crate) fn view(&self) -> View {
        let mut view = View { revision: self.revision, ..View::default() };
        for object in self.items.values() {
            view.add(object);
        }
        view
    }
}

/// What the feed acts on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct View {
    /// Everything up to this revision is in.
    pub(crate) revision: Revision,
    /// The nodes.
    pub(crate) nodes: BTreeMap<NodeName, NodeSpec>,
    /// The nodes out of service.
    pub(crate) drains: BTreeMap<NodeName, DrainSpec>,
    /// The uploaded strategies.
    pub(crate) strategies: BTreeMap<ObjectName, StrategySpec>,
    /// Which strategy decides.
    pub(crate) activation: Option<ActivationSpec>,
    /// The rules.
    pub(crate) policy: PolicySpec,
    /// Who is refused.
    pub(crate) revoked: BTreeSet<Principal>,
}

impl View {
    fn add(&mut self, object: &Object) {
        let name = &object.key.name;
        match object.key.kind {
            Kind::Node => {
                if let (Some(spec), Ok(node)) = (read::<NodeSpec>(object), NodeName::new(name.as_str())) {
                    self.nodes.insert(node, spec);
                }
            }
            Kind::Drain => {
                if let (Some(spec), Ok(node)) = (read::<DrainSpec>(object), NodeName::new(name.as_str())) {
                    self.drains.insert(node, spec);
                }
            }
            Kind::Strategy => {
                if let Some(spec) = read::<StrategySpec>(object) {
                    self.strategies.insert(name.clone(), spec);
                }
            }
            Kind::Activation if name.as_str() == ACTIVE => self.activation = read(object),
            Kind::Policy if name.as_str() == MESH_POLICY => self.policy = read(object).unwrap_or_default(),
            Kind::Revocation => {
                if let Some(spec) = read::<RevocationSpec>(object) {
                    self.revoked.insert(spec.id);
                }
            }
            Kind::Activation | Kind::Policy | Kind::Token | Kind::Binding => {}
        }
    }
}

/// A spec this release cannot read is left out, and said so: the rest still serves.
fn read<S: Spec>(object: &Object) -> Option<S> {
    match parse(&object.spec) {
        Ok(spec) => Some(spec),
        Err(error) => {
            tracing::warn!(object = %object.key, revision = object.revision.0, %error, "object is left out");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    fn object(kind: Kind, name: &str, revision: u64, spec: &str) -> Object {
        let key = Key::new(kind, ObjectName::new(name).unwrap());
        Object { key, revision: Revision(revision), spec: bytes::Bytes::copy_from_slice(spec.as_bytes()) }
    }

    #[test]
    fn changes_replace_and_remove_and_never_go_back() {
        let node = r#"{"roles":["gpu"],"address":"10.0.0.1","api":"10.0.0.1:1","gossip":"10.0.0.1:2"}"#;
        let mut objects =
            Objects::new(Revision(5), [object(Kind::Node, "n1", 3, node), object(Kind::Node, "n2", 5, "{")]);
        assert_eq!(objects.view().nodes.len(), 1, "what cannot be read is left out");
        objects.change(Revision(2), object(Kind::Node, "n1", 2, ""));
        assert_eq!(objects.view().nodes.len(), 1, "an older deletion does nothing");
        let other = node.replace("10.0.0.1:1", "10.0.0.1:9");
        objects.change(Revision(6), object(Kind::Node, "n1", 6, &other));
        assert_eq!(objects.view().nodes[&NodeName::new("n1").unwrap()].api, "10.0.0.1:9");
        objects.change(Revision(7), object(Kind::Node, "n1", 7, ""));
        assert!(objects.view().nodes.is_empty());
    }
}
