//! Errors of the wire in the words and exit codes of the command line.

use mesh_proto::{
    client::{ConnectError, sentence},
    reason,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{Exit, Failure, codes};

/// The machine-readable reason an agent gave; none when the call did not reach one that speaks `mesh.v1`.
pub(crate) fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().filter(|it| it.domain == reason::DOMAIN).map(|it| it.reason)
}

/// Whether another endpoint may do better.
pub(crate) fn is_elsewhere(status: &Status) -> bool {
    match reason(status).as_deref() {
        Some(reason::NO_QUORUM | reason::NOT_READY | reason::OUTCOME_UNKNOWN) => true,
        Some(_) => false,
        // Whose certificate is refused by one is refused by all.
        None if is_identity(status) => false,
        None => matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Internal
        ),
    }
}

/// Whether it is certain that nothing was written.
pub(crate) fn is_surely_refused(status: &Status) -> bool {
    match reason(status).as_deref() {
        Some(reason::OUTCOME_UNKNOWN) => false,
        Some(_) => true,
        None => !is_elsewhere(status),
    }
}

/// The exit code of a refusal.
fn exit(status: &Status) -> Exit {
    match reason(status).as_deref() {
        Some(reason::NO_QUORUM | reason::OUTCOME_UNKNOWN | reason::NOT_READY) => return Exit::Unreachable,
        Some(reason::DENIED | reason::CONFLICT | reason::ALREADY) => return Exit::Refused,
        Some(reason::INVALID) => return Exit::Invalid,
        Some(reason::NOT_FOUND) => return Exit::Failed,
        Some(reason::TOKEN | reason::FOREIGN) => return Exit::Authentication,
        Some(reason::UNSIGNED | reason::DIGEST) => return Exit::Mismatch,
        _ => {}
    }
    match status.code() {
        Code::Unauthenticated => Exit::Authentication,
        Code::PermissionDenied | Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => Exit::Refused,
        Code::InvalidArgument | Code::OutOfRange => Exit::Invalid,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Exit::Unreachable,
        Code::DataLoss => Exit::Mismatch,
        Code::Ok | Code::Unknown | Code::NotFound | Code::ResourceExhausted | Code::Unimplemented | Code::Internal => {
            Exit::Failed
        }
    }
}

/// Whether the call never reached the other side because of who one of the two is.
fn is_identity(status: &Status) -> bool {
    ConnectError::of(status).is_some_and(ConnectError::is_identity)
}

/// Whether it was refused because of who asks, or who answers.
pub(crate) fn is_about_identity(status: &Status) -> bool {
    is_identity(status)
        || matches!(exit(status), Exit::Authentication)
        || reason(status).as_deref() == Some(reason::DENIED)
}

/// Whether the call certainly never reached the other side.
pub(crate) fn never_connected(status: &Status) -> bool {
    ConnectError::of(status).is_some()
}

/// What was said, with the causes below it.
pub(crate) fn words(status: &Status) -> String {
    let text = status.message();
    match (text.is_empty(), ConnectError::of(status)) {
        (false, _) => text.to_owned(),
        (true, Some(cause)) => sentence(cause),
        (true, None) => status.code().description().to_owned(),
    }
}

/// A refusal as a failure of the command.
pub(crate) fn failure(what: &str, place: &str, status: &Status) -> Failure {
    let info = status.get_details_error_info();
    let next = info.as_ref().and_then(|it| it.metadata.get("next").cloned());
    let exit = if is_identity(status) { Exit::Authentication } else { exit(status) };
    let mut failure = Failure::new(exit, what).at(place).why(words(status));
    failure.code = code(status);
    failure.next = next.or_else(|| usual_next(status, exit).map(str::to_owned));
    failure
}

/// What `mesh explain` knows a refusal by.
fn code(status: &Status) -> Option<codes::Code> {
    match reason(status) {
        Some(reason) => codes::Code::of_reason(&reason),
        None if ConnectError::of(status).is_some_and(ConnectError::is_foreign) => Some(codes::Code::Foreign),
        None if is_identity(status) => Some(codes::Code::Credentials),
        None if is_elsewhere(status) => Some(codes::Code::NoEndpoint),
        None => None,
    }
}

fn usual_next(status: &Status, exit: Exit) -> Option<&'static str> {
    match reason(status).as_deref() {
        Some(reason::CONFLICT) => return Some("mesh get KIND NAME -o yaml, then the same command with its revision"),
        Some(reason::NOT_FOUND) => return Some("mesh get nodes"),
        Some(reason::DENIED) => return Some("mesh get bindings"),
        None if ConnectError::of(status).is_some_and(ConnectError::is_foreign) => return Some("mesh context ls"),
        _ => {}
    }
    let table = [
        (Exit::Unreachable, "mesh cluster status"),
        (Exit::Authentication, "mesh up (issues the operator's certificate of a local mesh anew)"),
    ];
    table.iter().find(|(of, _)| *of == exit).map(|(_, next)| *next)
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn reasons_become_exit_codes() {
        let check = |reason: &str, expected: Exit| {
            let details = ErrorDetails::with_error_info(
                reason,
                reason::DOMAIN,
                [("next".to_owned(), "mesh get nodes".to_owned())],
            );
            let status = Status::with_error_details(Code::Unknown, "because", details);
            let failure = failure("cannot", "node-1", &status);
            assert_eq!((failure.exit, failure.next.as_deref()), (expected, Some("mesh get nodes")), "{reason}");
        };
        check(reason::NO_QUORUM, Exit::Unreachable);
        check(reason::OUTCOME_UNKNOWN, Exit::Unreachable);
        check(reason::NOT_READY, Exit::Unreachable);
        check(reason::DENIED, Exit::Refused);
        check(reason::CONFLICT, Exit::Refused);
        check(reason::ALREADY, Exit::Refused);
        check(reason::INVALID, Exit::Invalid);
        check(reason::NOT_FOUND, Exit::Failed);
        check(reason::TOKEN, Exit::Authentication);
        check(reason::FOREIGN, Exit::Authentication);
        check(reason::UNSIGNED, Exit::Mismatch);
        check(reason::DIGEST, Exit::Mismatch);
        check("SOMETHING_NEW", Exit::Failed);
    }

    #[test]
    fn codes_without_a_reason_become_exit_codes() {
        let check =
            |status: Status, expected: Exit| assert_eq!(failure("x", "y", &status).exit, expected, "{status:?}");
        check(Status::unavailable("connection refused"), Exit::Unreachable);
        check(Status::deadline_exceeded("slow"), Exit::Unreachable);
        check(Status::permission_denied("no"), Exit::Refused);
        check(Status::unauthenticated("who"), Exit::Authentication);
        check(Status::invalid_argument("bad"), Exit::Invalid);
        check(Status::not_found("none"), Exit::Failed);
        let api = "127.0.0.1:1".parse().unwrap();
        let foreign = ConnectError::RefusedUs { sentence: "certificate of another mesh".into(), foreign: true, api };
        check(Status::from_error(Box::new(foreign)), Exit::Authentication);
    }

    #[test]
    fn only_what_says_so_is_unknown() {
        let check = |status: Status, elsewhere: bool, refused: bool| {
            assert_eq!((is_elsewhere(&status), is_surely_refused(&status)), (elsewhere, refused), "{status:?}");
        };
        let with = |reason: &str| {
            let details = ErrorDetails::with_error_info(reason, reason::DOMAIN, [("a".to_owned(), "b".to_owned())]);
            Status::with_error_details(Code::Unavailable, "x", details)
        };
        check(with(reason::NO_QUORUM), true, true);
        check(with(reason::OUTCOME_UNKNOWN), true, false);
        check(with(reason::DENIED), false, true);
        check(Status::unavailable("broken pipe"), true, false);
        let api = "127.0.0.1:1".parse().unwrap();
        let foreign = ConnectError::RefusedUs { sentence: "certificate of another mesh".into(), foreign: true, api };
        check(Status::from_error(Box::new(foreign)), false, true);
        check(Status::permission_denied("no"), false, true);
    }
}
