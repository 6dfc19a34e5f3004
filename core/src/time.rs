//! Instants as numbers: core reads no clock, it is told the time.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch (UTC); serialised as RFC 3339 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// How long ago `self` was at `now`, in milliseconds; 0 when it lies ahead.
    #[must_use]
    pub fn age_ms(self, now: Self) -> u64 {
        now.0.saturating_sub(self.0)
    }

    /// The instant `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = i64::try_from(self.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        match instant {
            Some(instant) => write!(f, "{instant:.3}"),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// Reads RFC 3339 text; what is finer than a millisecond is left out.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        let wrong = |why: String| TimeError { text: text.chars().take(40).collect(), why };
        let instant: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| wrong(error.to_string()))?;
        u64::try_from(instant.as_millisecond()).map(Self).map_err(|_| wrong("it is before 1970".to_owned()))
    }
}

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a time like 2026-11-21T09:52:03Z: {why}")]
pub struct TimeError {
    /// Its beginning.
    pub text: String,
    /// What the parser says.
    pub why: String,
}

impl JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339_in_json() {
        let at = Timestamp(1_763_718_723_042);
        let json = serde_json::to_string(&at).unwrap();
        assert_eq!(json, "\"2025-11-21T09:52:03.042Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), at);
        let check = |text: &str, expected: Option<Timestamp>| {
            assert_eq!(text.parse::<Timestamp>().ok(), expected, "{text}");
        };
        check("2025-11-21T09:52:03.042987Z", Some(at));
        check("2025-11-21T10:52:03.042+01:00", Some(at));
        check("1960-01-01T00:00:00Z", None);
        check("2025-11-21", None);
        check("yesterday", None);
    }
}
