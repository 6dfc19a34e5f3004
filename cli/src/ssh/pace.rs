//! How far ahead of a host bytes are sent to it: no further than a fast link needs.
//!
//! OpenSSH's sshd offers to take 2 MiB and keeps what the script has not read yet in one buffer, which it copies to a
//! larger one for every 32 KiB more: of a bootstrap of 16 hosts on two cores, that was 1.8 of 7.3 CPU seconds.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

/// Without news for so long, the host does not tell what it has taken: it is sent all that it offers to take.
const SILENCE: Duration = Duration::from_millis(250);
/// How much is sent at once: what OpenSSH takes in one message.
pub(super) const PIECE_BYTES: usize = 32 * 1024;
/// The least that may be under way: OpenSSH tells what was taken only after 96 KiB of it.
const UNDER_WAY_MIN_BYTES: u64 = 256 * 1024;
/// The link that is still filled: 1 Gbit/s to one host, while others are sent as much.
const LINK_BYTES_PER_US: u64 = 125;

/// How many bytes may be under way to a host so near that no link up to 1 Gbit/s waits for them.
pub(super) fn most_under_way(round_trip: Duration) -> u64 {
    let link = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX).saturating_mul(LINK_BYTES_PER_US);
    link.max(UNDER_WAY_MIN_BYTES)
}

/// What has been sent to a script, and what may be sent now.
pub(super) struct Pace {
    most: u64,
    sent: AtomicU64,
    /// The most that the host has ever offered to take.
    offered: AtomicU64,
    /// The byte up to which may be sent.
    limit: watch::Sender<u64>,
}

impl Pace {
    /// At most so many bytes are under way, or what the host offers to take.
    pub(super) fn new(most: u64) -> Self {
        Self { most, sent: AtomicU64::new(0), offered: AtomicU64::new(0), limit: watch::Sender::new(u64::MAX) }
    }

    /// So much has been sent.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The host takes so much more than it has been sent: what was sent before and is missing in it is under way.
    pub(super) fn offered(&self, bytes: u32) {
        let bytes = u64::from(bytes);
        let under_way = self.offered.fetch_max(bytes, Ordering::Relaxed).saturating_sub(bytes);
        let more = self.most.saturating_sub(under_way);
        self.limit.send_replace(self.sent.load(Ordering::Relaxed).saturating_add(more));
    }

    /// Waits until one more piece may be sent.
    pub(super) async fn turn(&self) {
        let end = self.sent.load(Ordering::Relaxed) + PIECE_BYTES as u64;
        if *self.limit.borrow() >= end {
            return;
        }
        let mut limit = self.limit.subscribe();
        if timeout(SILENCE, limit.wait_for(|it| *it >= end)).await.is_err() {
            self.limit.send_replace(u64::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_far_host_is_sent_more_ahead() {
        let check = |micros: u64, expected: u64| assert_eq!(most_under_way(Duration::from_micros(micros)), expected);
        check(0, 262_144);
        check(200, 262_144);
        check(4_000, 500_000);
        check(50_000, 6_250_000);
        assert_eq!(most_under_way(Duration::MAX), u64::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_is_waited_for() {
        let pace = Pace::new(256 * 1024);
        let ahead = || {
            let mut pieces = 0;
            while pieces < 100 && pace.turn().now_or_never().is_some() {
                pace.sent(PIECE_BYTES);
                pieces += 1;
            }
            pieces
        };
        // The window opens; then the host has taken nothing, all, and half of what was sent.
        pace.offered(2 << 20);
        assert_eq!((ahead(), ahead()), (8, 0));
        pace.offered(2 << 20);
        assert_eq!(ahead(), 8);
        pace.offered((2 << 20) - (128 << 10));
        assert_eq!(ahead(), 4);
        // One that says nothing more is sent all that it offers.
        pace.turn().await;
        assert_eq!(ahead(), 100);
        let unpaced = Pace::new(u64::MAX);
        unpaced.offered(1);
        assert!(unpaced.turn().now_or_never().is_some());
    }
}
