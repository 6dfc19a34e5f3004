//! When a certificate is renewed and when its owner is no longer ready: decisions on numbers.

use std::time::Duration;

use mesh_core::time::Timestamp;
use mesh_proto::{ca::SKEW_MS, tls::Identity};

/// The part of its life after which a certificate is renewed.
pub const RENEW_AFTER: f64 = 1.0 / 3.0;
/// How much the moment of renewal varies, so that nodes made together do not renew together.
const JITTER: f64 = 0.1;

/// The time of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it was made: it is valid from a little earlier, since clocks differ.
    pub made: Timestamp,
    /// When it ends.
    pub end: Timestamp,
}

impl Life {
    /// The life of an identity's present certificate.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        Self::new(identity.not_before(), identity.not_after())
    }

    fn new(not_before: Timestamp, not_after: Timestamp) -> Self {
        Self { made: not_before.plus_ms(SKEW_MS), end: not_after }
    }

    /// How long it is, in milliseconds.
    #[must_use]
    pub fn len_ms(self) -> u64 {
        self.end.0.saturating_sub(self.made.0)
    }

    /// When it is renewed: after a part of it, moved by up to a tenth; `dice` is -1 to 1.
    #[must_use]
    pub fn renewal(self, after: f64, dice: f64) -> Timestamp {
        let len = Duration::from_millis(self.len_ms());
        let part = (after * (1.0 + JITTER * dice.clamp(-1.0, 1.0))).clamp(0.0, 1.0);
        self.made.plus_ms(u64::try_from(len.mul_f64(part).as_millis()).unwrap_or(u64::MAX))
    }

    /// Whether its owner may still be called ready: not within the last eighth.
    ///
    /// # Errors
    /// The reason as one sentence.
    pub fn ready(self, now: Timestamp) -> Result<(), String> {
        let left = self.end.0.saturating_sub(now.0);
        match left {
            0 => Err(format!("certificate ended at {}: no coordinator has renewed it", self.end)),
            _ if left <= self.len_ms() / 8 => {
                Err(format!("certificate ends at {}, and no coordinator has renewed it", self.end))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 3_600 * 1000;

    #[test]
    fn a_week_is_renewed_on_the_third_day() {
        let life = Life::new(Timestamp(DAY), Timestamp(DAY + SKEW_MS + 7 * DAY));
        let check = |dice: f64, hours: u64| {
            let after = life.renewal(RENEW_AFTER, dice).0 - life.made.0;
            assert_eq!(after / 3_600_000, hours, "{dice}");
        };
        check(0.0, 56);
        check(-1.0, 50);
        check(1.0, 61);
        check(7.0, 61);
    }

    #[test]
    fn the_last_eighth_is_not_ready() {
        let life = Life::new(Timestamp(0), Timestamp(SKEW_MS + 8_000));
        let check = |at: u64, expected: Option<&str>| match (life.ready(Timestamp(SKEW_MS + at)), expected) {
            (Ok(()), None) => {}
            (Err(text), Some(part)) => assert!(text.contains(part), "{text}"),
            (found, expected) => panic!("{at}: {found:?} instead of {expected:?}"),
        };
        check(0, None);
        check(6_999, None);
        check(7_000, Some("ends at"));
        check(8_000, Some("ended at"));
        check(9_000, Some("ended at"));
    }
}
