//! The one place where this daemon reads the wall clock for what it writes down or shows.

use std::time::{SystemTime, UNIX_EPOCH};

use mesh_core::time::Timestamp;

/// The present instant; 0 on a host whose clock stands before 1970.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
