//! Every RPC of the protocol has an entry in the table of access rules, and every entry is an RPC.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use mesh_core::rbac::RPCS;
use prost::Message as _;
use prost_types::FileDescriptorSet;

#[test]
fn every_rpc_has_an_entry_and_every_entry_is_an_rpc() {
    let files = FileDescriptorSet::decode(mesh_proto::DESCRIPTORS).unwrap().file;
    let mut rpcs = BTreeSet::new();
    for file in files.iter().filter(|it| it.package() == "mesh.v1") {
        for service in &file.service {
            rpcs.extend(service.method.iter().map(|it| format!("/mesh.v1.{}/{}", service.name(), it.name())));
        }
    }
    assert!(rpcs.len() > 20, "the descriptors hold the services");
    let table: BTreeSet<String> = RPCS.iter().map(|it| it.path.to_owned()).collect();
    assert_eq!(
        rpcs.difference(&table).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "RPCs without an entry in core/src/rbac/table.rs"
    );
    assert_eq!(table.difference(&rpcs).collect::<Vec<_>>(), Vec::<&String>::new(), "entries without an RPC");
}
