//! The process's clock: microseconds and milliseconds since it started.

use std::time::{Duration, Instant};

/// Time since the start of the process, copied to every thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Microseconds since the start.
    pub(crate) fn now_us(self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since the start.
    pub(crate) fn now_ms(self) -> u64 {
        self.now_us() / 1000
    }

    /// The instant that is `us` microseconds after the start.
    pub(crate) fn instant(self, us: u64) -> Instant {
        self.start + Duration::from_micros(us)
    }
}
