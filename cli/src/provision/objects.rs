//! The objects that a mesh begins with.

use mesh_core::{
    id::{MeshName, NodeName, ObjectName, Principal},
    kind::{
        ACTIVE, ActivationSpec, BindingSpec, Brain, Builtin, MESH_POLICY, NodeSpec, OperatorRole, PolicySpec, Spec,
        write,
    },
};
use mesh_proto::v1;

use crate::human;

/// How many objects besides nodes a mesh begins with.
pub(crate) const OTHERS: usize = 3;

/// Nodes, the operator's role, the rules, and what decides where requests go.
pub(crate) fn first(
    mesh: &MeshName,
    operator: &ObjectName,
    nodes: &[(NodeName, NodeSpec)],
    require_signed: bool,
) -> Vec<v1::Object> {
    let mut objects: Vec<v1::Object> = nodes.iter().map(|(name, spec)| object(name.as_str(), spec)).collect();
    objects.push(object(operator.as_str(), &BindingSpec { role: OperatorRole::Admin }));
    objects.push(object(MESH_POLICY, &PolicySpec { require_signed, ..PolicySpec::default() }));
    let brain = Brain::Builtin(Builtin::LeastQueue);
    let by = Principal::operator(mesh, operator.clone());
    objects
        .push(object(ACTIVE, &ActivationSpec { seq: 1, active: brain.clone(), previous: brain, by, at: human::now() }));
    objects
}

fn object<S: Spec>(name: &str, spec: &S) -> v1::Object {
    v1::Object { kind: S::KIND.to_string(), name: name.to_owned(), revision: 0, spec: write(spec) }
}
