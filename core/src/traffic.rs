//! What went through a router, as counters since it started; rates and percentiles are differences of two looks.

use serde::{Deserialize, Serialize};

/// The requests of one model through one router, since the router started.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelTraffic {
    /// The model; empty for requests that named none that is served, `other` for models beyond the limit of labels.
    pub model: String,
    /// Requests answered, by status code.
    pub answers: Vec<AnswerCount>,
    /// Attempts after the first.
    pub retries: u64,
    /// Time to the first byte of an event stream.
    pub ttft: LatencyHistogram,
}

/// Requests answered with one status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerCount {
    /// The status code.
    pub code: u16,
    /// How many.
    pub count: u64,
}

/// How many latencies lay between which bounds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LatencyHistogram {
    /// Upper bounds of the buckets in seconds, rising; the last bucket has none.
    pub bounds_s: Vec<f64>,
    /// Latencies in each bucket: one more than there are bounds, or none at all.
    pub counts: Vec<u64>,
}

impl ModelTraffic {
    /// Requests answered, whatever the answer was.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.sum(|_| true)
    }

    /// Requests that failed here or behind: codes of 500 and above.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.sum(|code| code >= 500)
    }

    /// Requests turned away because too many were there: code 429.
    #[must_use]
    pub fn turned_away(&self) -> u64 {
        self.sum(|code| code == 429)
    }

    fn sum(&self, counts: impl Fn(u16) -> bool) -> u64 {
        self.answers.iter().filter(|it| counts(it.code)).fold(0, |sum, it| sum.saturating_add(it.count))
    }

    /// What came since an earlier look; `None` when a counter fell, for then the router started again in between.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut answers = Vec::with_capacity(self.answers.len());
        for it in &self.answers {
            let before = earlier.answers.iter().find(|before| before.code == it.code).map_or(0, |before| before.count);
            answers.push(AnswerCount { code: it.code, count: it.count.checked_sub(before)? });
        }
        let is_whole = earlier.answers.iter().all(|before| self.answers.iter().any(|it| it.code == before.code));
        is_whole.then_some(Self {
            model: self.model.clone(),
            answers,
            retries: self.retries.checked_sub(earlier.retries)?,
            ttft: self.ttft.since(&earlier.ttft)?,
        })
    }
}

impl LatencyHistogram {
    /// How many latencies there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, it| sum.saturating_add(*it))
    }

    /// What came since an earlier look; `None` when a count fell or the bounds are others.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        if earlier.counts.is_empty() {
            return Some(self.clone());
        }
        if self.bounds_s != earlier.bounds_s || self.counts.len() != earlier.counts.len() {
            return None;
        }
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, before)| now.checked_sub(*before));
        Some(Self { bounds_s: self.bounds_s.clone(), counts: counts.collect::<Option<_>>()? })
    }

    /// The same latencies and those of another router; `None` when the bounds are others.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Option<Self> {
        if self.counts.is_empty() || other.counts.is_empty() {
            return Some(if self.counts.is_empty() { other.clone() } else { self.clone() });
        }
        if self.bounds_s != other.bounds_s || self.counts.len() != other.counts.len() {
            return None;
        }
        let counts = self.counts.iter().zip(&other.counts).map(|(a, b)| a.saturating_add(*b)).collect();
        Some(Self { bounds_s: self.bounds_s.clone(), counts })
    }

    /// The latency in seconds below which a share of all lie (0.99 is p99), taking latencies as spread evenly over their
    /// bucket; the greatest bound when it lies above it; `None` without a latency.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
    pub fn quantile_s(&self, share: f64) -> Option<f64> {
        let (total, last) = (self.count(), *self.bounds_s.last()?);
        if total == 0 || !(0.0..=1.0).contains(&share) {
            return None;
        }
        let rank = share * total as f64;
        let (mut below, mut from_s) = (0_u64, 0.0);
        for (count, to_s) in self.counts.iter().zip(&self.bounds_s) {
            let upto = below.saturating_add(*count);
            if *count > 0 && upto as f64 >= rank {
                let part = (rank - below as f64) / *count as f64;
                return Some(from_s + (to_s - from_s) * part.clamp(0.0, 1.0));
            }
            (below, from_s) = (upto, *to_s);
        }
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: &[u64]) -> LatencyHistogram {
        LatencyHistogram { bounds_s: vec![0.1, 0.5, 1.0], counts: counts.to_vec() }
    }

    fn traffic(ok: u64, busy: u64, failed: u64) -> ModelTraffic {
        let answers = [(200, ok), (429, busy), (502, failed)].map(|(code, count)| AnswerCount { code, count });
        ModelTraffic { model: "m".into(), answers: answers.into(), retries: failed, ttft: histogram(&[ok, 0, 0, 0]) }
    }

    #[test]
    fn a_quantile_is_read_out_of_the_buckets() {
        let check = |counts: &[u64], share: f64, expected: Option<f64>| {
            let found = histogram(counts).quantile_s(share);
            let is_near = match (found, expected) {
                (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
                (found, expected) => found == expected,
            };
            assert!(is_near, "{counts:?} {share}: {found:?}, not {expected:?}");
        };
        check(&[0, 0, 0, 0], 0.5, None);
        check(&[10, 0, 0, 0], 0.5, Some(0.05));
        check(&[0, 10, 0, 0], 0.5, Some(0.3));
        check(&[50, 40, 10, 0], 0.99, Some(0.95));
        // Above the greatest bound nothing is known but the bound.
        check(&[0, 0, 0, 3], 0.5, Some(1.0));
        check(&[1, 0, 0, 0], 1.5, None);
        assert_eq!(LatencyHistogram::default().quantile_s(0.5), None);
    }

    #[test]
    fn what_came_since_is_a_difference_and_a_restart_has_none() {
        let (before, now) = (traffic(10, 1, 0), traffic(25, 1, 2));
        let came = now.since(&before).unwrap();
        assert_eq!((came.requests(), came.turned_away(), came.errors(), came.retries), (17, 0, 2, 2));
        assert_eq!(came.ttft.count(), 15);
        assert_eq!(before.since(&now), None);
        assert_eq!(now.since(&ModelTraffic::default()).unwrap(), now);
        assert_eq!(ModelTraffic::default().since(&now), None);
    }

    #[test]
    fn routers_are_added_up_bucket_by_bucket() {
        assert_eq!(histogram(&[1, 2, 3, 4]).merged(&histogram(&[1, 0, 0, 1])), Some(histogram(&[2, 2, 3, 5])));
        assert_eq!(histogram(&[1, 2, 3, 4]).merged(&<_>::default()), Some(histogram(&[1, 2, 3, 4])));
        let other = LatencyHistogram { bounds_s: vec![1.0], counts: vec![1, 1] };
        assert_eq!(histogram(&[1, 2, 3, 4]).merged(&other), None);
    }
}
