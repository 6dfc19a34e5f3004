//! Tells systemd how it goes: ready, alive, stopping. Where nobody listens, nothing is told.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::Tasks;

/// Says that the daemon serves, and from now on, for as long as its tasks run, that it is alive.
pub fn ready(tasks: &Tasks) {
    tell(NotifyState::Ready);
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    tasks.spawn_until("watchdog", beat(limit));
}

/// Twice in the time after which systemd takes the daemon for hung: a runtime that runs no timers is hung.
async fn beat(limit: Duration) {
    let mut beats = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
    loop {
        beats.tick().await;
        tell(NotifyState::Watchdog);
    }
}

/// Says that an orderly stop has begun.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell systemd how it goes");
    }
}
