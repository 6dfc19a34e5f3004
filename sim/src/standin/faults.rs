//! Fault switches: what a test may ask the stand-in to do wrong.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Says what goes wrong; the JSON of `--faults` and of `POST /standin/faults`. Everything absent is "works".
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Answers `POST /v1/*` with this HTTP status, 400 to 599.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Sends `Retry-After` with `status`, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
    /// Waits before the head of an answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_delay_ms: Option<u64>,
    /// Never answers; the connection stays open.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hang: bool,
    /// Closes the connection without a byte.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop: bool,
    /// Cuts a stream after this many events; an answer in one piece is not sent at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub die_after_events: Option<u32>,
    /// Sends nothing more after this many events, the connection stays open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall_after_events: Option<u32>,
    /// Refuses connections for this long, in milliseconds, at most 10 minutes; open ones are closed when idle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse_connects_ms: Option<u64>,
    /// Answers `/health` and `/ping` with this HTTP status, 400 to 599.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_status: Option<u16>,
    /// Ends after this many requests; absent: stays until cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl Faults {
    /// Reads the switches from JSON.
    ///
    /// # Errors
    /// What is wrong, in words that name the field.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let faults: Self = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        for (field, status) in [("status", faults.status), ("health_status", faults.health_status)] {
            if status.is_some_and(|s| !(400..600).contains(&s)) {
                return Err(format!("{field} must be 400 to 599"));
            }
        }
        if faults.refuse_connects_ms.is_some_and(|ms| ms > 600_000) {
            return Err("refuse_connects_ms must be at most 600000".into());
        }
        Ok(faults)
    }

    /// Returns how long connections are to be refused, if at all.
    pub(super) fn refuse(&self) -> Option<Duration> {
        self.refuse_connects_ms.map(Duration::from_millis)
    }
}

/// Holds the switches of a running server.
#[derive(Debug, Default)]
pub(super) struct Switches(Mutex<Faults>);

impl Switches {
    pub(super) fn set(&self, faults: Faults) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Returns the switches without using one up.
    pub(super) fn peek(&self) -> Faults {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the switches for one request and counts it.
    pub(super) fn take(&self) -> Faults {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = faults.clone();
        match &mut faults.times {
            Some(0 | 1) => *faults = Faults::default(),
            Some(times) => *times -= 1,
            None => {}
        }
        taken
    }
}
