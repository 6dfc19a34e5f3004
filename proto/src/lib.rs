//! How things travel: the messages of `mesh.v1`, their core types, and channels with mutual TLS.

pub mod ca;
pub mod cert;
pub mod client;
pub mod convert;
pub mod files;
mod live;
pub mod reason;
pub mod refusal;
pub mod server;
pub mod tls;
mod verify;

/// The generated messages, clients and servers of `proto/mesh/v1`; made by `cargo xtask gen`.
#[allow(
    missing_docs,
    unused_qualifications,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    reason = "generated code; which of these it needs changes with the generator"
)]
pub mod v1 {
    include!("gen/mesh.v1.rs");
}

/// The descriptors of every service, for reflection and for the test that no RPC lacks a rule.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
