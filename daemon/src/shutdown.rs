//! One orderly stop: SIGTERM or SIGINT asks for it, a second signal ends the process at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A cheap handle on the wish to stop; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// Makes one that no signal reaches: for tests and for meshes inside one process.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes one that SIGTERM and SIGINT begin; the second signal exits at once with 128 + its number.
    ///
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let token = shutdown.token.clone();
        // Not one of `Tasks`: it must outlive them, and it ends with the process.
        tokio::spawn(async move {
            loop {
                let code = tokio::select! {
                    _ = term.recv() => 143,
                    _ = int.recv() => 130,
                };
                if token.is_cancelled() {
                    tracing::warn!("second signal: ending at once");
                    std::process::exit(code);
                }
                tracing::info!("signal: stopping");
                crate::notify::stopping();
                token.cancel();
            }
        });
        Ok(shutdown)
    }

    /// The token that is cancelled when the stop begins.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Begins the stop.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Whether the stop has begun.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until the stop begins.
    pub async fn begun(&self) {
        self.token.cancelled().await;
    }
}
