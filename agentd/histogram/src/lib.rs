//! Counts numbers in buckets of four to each power of two: what openraft needs of the crate whose name this one bears.
//!
//! That one builds lookup tables for sixteen widths of buckets with its first histogram and holds them for ever, 26 MiB
//! of which openraft uses one kilobyte. Here a bucket's bounds are computed when somebody asks.

use std::{fmt, marker::PhantomData};

/// Bits of a number that tell its bucket apart within its power of two.
const FINE_BITS: u32 = 2;
const FINE: usize = 1 << FINE_BITS;
/// Numbers below [`FINE`] have a bucket each; then every power of two up to the 64th has [`FINE`].
const BUCKETS: usize = FINE * (u64::BITS - FINE_BITS + 1) as usize;

/// How often numbers of each size were recorded; `T` is there for the callers' signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram<T = ()> {
    buckets: Box<[u64; BUCKETS]>,
    total: u64,
    kind: PhantomData<T>,
}

/// Quantiles of a histogram; each is 0 when nothing was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PercentileStats {
    /// Numbers recorded.
    pub samples: u64,
    /// Not exceeded by 0.1 % of them.
    pub p0_1: u64,
    /// Not exceeded by 1 %.
    pub p1: u64,
    /// Not exceeded by 5 %.
    pub p5: u64,
    /// Not exceeded by 10 %.
    pub p10: u64,
    /// Not exceeded by half of them.
    pub p50: u64,
    /// Not exceeded by 90 %.
    pub p90: u64,
    /// Not exceeded by 99 %.
    pub p99: u64,
    /// Not exceeded by 99.9 %.
    pub p99_9: u64,
}

impl fmt::Display for PercentileStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, p50, p90, p99, .. } = self;
        write!(f, "{samples} samples, p50 {p50}, p90 {p90}, p99 {p99}")
    }
}

impl<T> Default for Histogram<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Histogram<T> {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), total: 0, kind: PhantomData }
    }

    /// Counts one number.
    pub fn record(&mut self, value: u64) {
        self.record_n(value, 1);
    }

    /// Counts one number so many times.
    pub fn record_n(&mut self, value: u64, times: u64) {
        self.buckets[bucket(value)] += times;
        self.total += times;
    }

    /// Returns how many numbers were recorded.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Returns the usual quantiles, each the lowest number of its bucket: at most a quarter too low.
    #[must_use]
    pub fn percentile_stats(&self) -> PercentileStats {
        let at = |per_mille| self.quantile(per_mille);
        PercentileStats {
            samples: self.total,
            p0_1: at(1),
            p1: at(10),
            p5: at(50),
            p10: at(100),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p99_9: at(999),
        }
    }

    fn quantile(&self, per_mille: u128) -> u64 {
        let wanted = (u128::from(self.total) * per_mille).div_ceil(1_000).max(1);
        let mut below = 0_u128;
        let found = self.buckets.iter().position(|count| {
            below += u128::from(*count);
            below >= wanted
        });
        found.map_or(0, lowest)
    }
}

/// Histograms side by side; each is written as one line of quantiles.
#[derive(Clone, Debug)]
pub struct AsciiChart<T = ()> {
    series: Vec<(String, Histogram<T>)>,
}

impl<T> Default for AsciiChart<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> AsciiChart<T> {
    /// Makes one without histograms.
    #[must_use]
    pub const fn new() -> Self {
        Self { series: Vec::new() }
    }

    /// Adds a histogram under a name.
    #[must_use]
    pub fn add(mut self, name: &str, histogram: Histogram<T>) -> Self {
        self.series.push((name.to_owned(), histogram));
        self
    }
}

impl<T> fmt::Display for AsciiChart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, histogram) in &self.series {
            writeln!(f, "{name}: {}", histogram.percentile_stats())?;
        }
        Ok(())
    }
}

/// The bucket of a number: its power of two, and the bits behind the first one.
#[expect(clippy::cast_possible_truncation, reason = "both casts are of numbers below four, or masked to it")]
const fn bucket(value: u64) -> usize {
    if value < FINE as u64 {
        return value as usize;
    }
    let shift = value.ilog2() - FINE_BITS;
    let fine = (value >> shift) as usize & (FINE - 1);
    FINE * (shift as usize + 1) + fine
}

/// The lowest number of a bucket.
const fn lowest(bucket: usize) -> u64 {
    if bucket < FINE {
        return bucket as u64;
    }
    ((FINE + bucket % FINE) as u64) << (bucket / FINE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_cover_every_number() {
        for it in 0..BUCKETS {
            assert_eq!(bucket(lowest(it)), it);
            if it > 0 {
                assert!(lowest(it) > lowest(it - 1));
                assert_eq!(bucket(lowest(it) - 1), it - 1);
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_at_most_a_quarter_too_low() {
        let mut histogram = Histogram::<()>::new();
        assert_eq!(histogram.percentile_stats(), PercentileStats::default());
        for value in 1..=1_000 {
            histogram.record(value);
        }
        let found = histogram.percentile_stats();
        assert_eq!((histogram.total(), found.samples), (1_000, 1_000));
        let each = [(found.p0_1, 1), (found.p1, 10), (found.p5, 50), (found.p10, 100), (found.p50, 500)];
        let chart = AsciiChart::new().add("numbers", histogram).to_string();
        assert_eq!(chart, format!("numbers: {found}\n"));
        for (found, exact) in each.into_iter().chain([(found.p90, 900), (found.p99, 990), (found.p99_9, 999)]) {
            assert!(found <= exact && found * 5 >= exact * 4, "{found} for {exact}");
        }
    }
}
