//! Refusals on the wire: a gRPC code, a sentence, and a reason that programs read.

use std::collections::HashMap;

use mesh_core::store::Outcome;
use mesh_proto::reason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::write::Refusal;
use crate::{
    blobs::BlobError,
    desired::{LatestError, WriteError},
};

/// A refusal with its reason and the facts of it.
pub fn refuse<const N: usize>(
    code: Code,
    reason: &str,
    message: impl Into<String>,
    facts: [(&str, String); N],
) -> Status {
    let facts: HashMap<String, String> = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, reason::DOMAIN, facts))
}

/// The request is wrong.
pub fn invalid(message: impl std::fmt::Display) -> Status {
    refuse(Code::InvalidArgument, reason::INVALID, message.to_string(), [])
}

/// This agent cannot answer yet.
pub fn not_ready(message: impl Into<String>) -> Status {
    refuse(Code::Unavailable, reason::NOT_READY, message, [])
}

/// There is no such object.
pub fn not_found(message: impl Into<String>) -> Status {
    refuse(Code::NotFound, reason::NOT_FOUND, message, [])
}

fn missing(nodes: &[String]) -> (&'static str, String) {
    ("missing", nodes.join(","))
}

impl From<LatestError> for Status {
    fn from(error: LatestError) -> Self {
        let message = error.to_string();
        match error {
            LatestError::NoQuorum { missing: nodes } => {
                refuse(Code::Unavailable, reason::NO_QUORUM, message, [missing(&nodes)])
            }
            LatestError::NotReady(_) => not_ready(message),
        }
    }
}

impl From<WriteError> for Status {
    fn from(error: WriteError) -> Self {
        let message = error.to_string();
        match error {
            WriteError::NoQuorum { missing: nodes } => {
                refuse(Code::Unavailable, reason::NO_QUORUM, message, [missing(&nodes)])
            }
            WriteError::OutcomeUnknown { id, missing: nodes } => refuse(
                Code::DeadlineExceeded,
                reason::OUTCOME_UNKNOWN,
                message,
                [("request_id", id.to_string()), missing(&nodes)],
            ),
            WriteError::NotReady(_) => not_ready(message),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Spec { .. } | Refusal::Json { .. } | Refusal::Invalid { .. } => invalid(message),
            Refusal::NotFound(_) => not_found(message),
            Refusal::Rule { .. } => refuse(Code::FailedPrecondition, reason::DENIED, message, []),
            Refusal::Unsigned { .. } => refuse(Code::FailedPrecondition, reason::UNSIGNED, message, []),
            Refusal::Conflict { key, found, .. } => {
                let found = found.map_or("absent".to_owned(), |it| it.to_string());
                refuse(Code::Aborted, reason::CONFLICT, message, [("object", key.to_string()), ("found", found)])
            }
        }
    }
}

/// The refusal that an outcome is; `None` for one that took effect.
pub fn of_outcome(outcome: &Outcome) -> Option<Status> {
    match outcome.first() {
        Outcome::Done { .. } | Outcome::Unchanged { .. } | Outcome::Repeated(_) => None,
        Outcome::Refused(why) => Some(invalid(why)),
        Outcome::Conflict { key, found } => {
            let expected = mesh_core::store::Expect::Any;
            let (key, found) = (key.clone(), *found);
            Some(match found {
                Some(_) => Refusal::Conflict { key, expected, found }.into(),
                None => not_found(format!("{key} is not there any more")),
            })
        }
    }
}

impl From<BlobError> for Status {
    fn from(error: BlobError) -> Self {
        let message = error.to_string();
        match error {
            BlobError::TooLarge => invalid(message),
            BlobError::Digest { .. } => refuse(Code::InvalidArgument, reason::DIGEST, message, []),
            BlobError::Full { .. } => refuse(Code::ResourceExhausted, reason::DENIED, message, []),
            BlobError::Disk { operation, source } => {
                tracing::error!(operation, error = %source, "blob store");
                Self::internal(format!("{operation}: {source}"))
            }
        }
    }
}
