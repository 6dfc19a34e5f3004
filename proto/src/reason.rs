//! Machine-readable reasons of refusals; they travel as `ErrorInfo` and become exit codes in the CLI.

/// The domain of every reason.
pub const DOMAIN: &str = "mesh";
/// No quorum: the write was refused and never appended.
pub const NO_QUORUM: &str = "NO_QUORUM";
/// Whether the write happened is not known; ask again with the same request id.
pub const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// The caller may not do this.
pub const DENIED: &str = "DENIED";
/// The object is not at the expected revision.
pub const CONFLICT: &str = "CONFLICT";
/// The request or a spec is wrong.
pub const INVALID: &str = "INVALID";
/// No such object.
pub const NOT_FOUND: &str = "NOT_FOUND";
/// The join token is unknown, expired, used up or for another name.
pub const TOKEN: &str = "TOKEN";
/// The certificate belongs to another mesh.
pub const FOREIGN: &str = "FOREIGN";
/// A signature is missing or not trusted.
pub const UNSIGNED: &str = "UNSIGNED";
/// The bytes do not have the stated digest.
pub const DIGEST: &str = "DIGEST";
/// This agent cannot answer yet.
pub const NOT_READY: &str = "NOT_READY";
/// It has been done already and cannot be done twice.
pub const ALREADY: &str = "ALREADY";
