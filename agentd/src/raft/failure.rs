//! The one way a broken log or machine is told to the daemon, which then exits.

use std::sync::Arc;

use tokio::sync::watch;

/// What broke; the daemon logs it and exits with code 70.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Reports a failure; the first one counts.
#[derive(Clone)]
pub(crate) struct FailureSender(Arc<watch::Sender<Option<Failure>>>);

impl FailureSender {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    pub(crate) fn report(&self, what: &str) {
        self.0.send_if_modified(|failure| {
            let first = failure.is_none();
            if first {
                *failure = Some(Failure(what.to_owned()));
            }
            first
        });
    }

    /// Completes with the first failure.
    pub(crate) async fn failed(&self) -> Failure {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(failure) = receiver.borrow_and_update().clone() {
                return failure;
            }
            if receiver.changed().await.is_err() {
                // The sender lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }
}
