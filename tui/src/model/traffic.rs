//! What goes through the routers: rates and latencies as the difference of two looks at their counters.

use std::collections::{BTreeMap, VecDeque};

use mesh_core::{
    time::Timestamp,
    traffic::{LatencyHistogram, ModelTraffic},
};

use super::{
    fleet::Fleet,
    names::{Names, Sym},
};

/// Rates are over this long.
const WINDOW_MS: u64 = 15_000;
/// Two looks that are closer are one.
const STEP_MS: u64 = 900;
/// The most models of one router that are looked at.
const MODELS_MAX: usize = 256;

/// What went through lately, of one model over all routers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Thousandths of a request a second.
    pub(crate) requests_milli_per_s: u64,
    /// The same of requests that failed with 500 and above.
    pub(crate) errors_milli_per_s: u64,
    /// Time to the first byte, p50 and p99, when any stream began.
    pub(crate) ttft_ms: Option<(u64, u64)>,
}

/// One look at a router's counters, when they were read.
type Look = (Timestamp, Box<[(Sym, ModelTraffic)]>);

/// The looks at every router within the window.
#[derive(Debug, Default)]
pub(crate) struct Traffic(BTreeMap<Sym, VecDeque<Look>>);

impl Traffic {
    /// Takes in what the routers of a fleet say now.
    pub(crate) fn look(&mut self, fleet: &Fleet, names: &mut Names) {
        for node in fleet.routers() {
            let (Some(router), Some(heard)) = (node.router.as_deref(), node.heard) else { continue };
            let at = Timestamp(heard.0.saturating_sub(u64::from(router.age_ms)));
            let looks = self.0.entry(node.name).or_default();
            if looks.back().is_some_and(|(before, _)| before.age_ms(at) < STEP_MS) {
                continue;
            }
            let models = router.traffic.iter().take(MODELS_MAX);
            looks.push_back((at, models.map(|it| (names.intern(&it.model), it.clone())).collect()));
            while looks.len() > 2 && looks.front().is_some_and(|(first, _)| first.age_ms(at) > WINDOW_MS) {
                looks.pop_front();
            }
        }
        self.0.retain(|name, _| fleet.get(*name).is_some_and(|it| it.router.is_some()));
    }

    /// What went through between the first and the last look, by model.
    pub(crate) fn rates(&self) -> BTreeMap<Sym, Rate> {
        let mut sums: BTreeMap<Sym, (u64, u64, LatencyHistogram)> = BTreeMap::new();
        for looks in self.0.values() {
            let (Some((from, before)), Some((to, now))) = (looks.front(), looks.back()) else { continue };
            let ms = from.age_ms(*to);
            if ms < STEP_MS {
                continue;
            }
            for (name, it) in now {
                let Some((_, earlier)) = before.iter().find(|(model, _)| model == name) else { continue };
                // A router that started again counts from nothing: the next window says more.
                let Some(passed) = it.since(earlier) else { continue };
                let milli = |count: u64| count.saturating_mul(1_000_000) / ms;
                let sum = sums.entry(*name).or_default();
                sum.0 += milli(passed.requests());
                sum.1 += milli(passed.errors());
                if let Some(merged) = sum.2.merged(&passed.ttft) {
                    sum.2 = merged;
                }
            }
        }
        let rate = |(requests, errors, ttft): (u64, u64, LatencyHistogram)| {
            let ms = |share: f64| ttft.quantile_s(share).and_then(millis);
            Rate { requests_milli_per_s: requests, errors_milli_per_s: errors, ttft_ms: ms(0.5).zip(ms(0.99)) }
        };
        sums.into_iter().map(|(name, sum)| (name, rate(sum))).collect()
    }
}

/// Seconds as whole milliseconds.
fn millis(seconds: f64) -> Option<u64> {
    std::time::Duration::try_from_secs_f64(seconds).ok().and_then(|it| u64::try_from(it.as_millis()).ok())
}

/// A rate in at most six cells: `0.25`, `12.5`, `6410`.
pub(crate) fn rate_text(milli: u64) -> crate::text::Scratch {
    match milli {
        0..10_000 => crate::text::text!("{}.{:02}", milli / 1_000, milli % 1_000 / 10),
        10_000..1_000_000 => crate::text::text!("{}.{}", milli / 1_000, milli % 1_000 / 100),
        _ => crate::text::count(milli / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::traffic::AnswerCount;

    use super::*;

    fn traffic(ok: u64, failed: u64, slow: u64) -> ModelTraffic {
        ModelTraffic {
            model: "tiny".to_owned(),
            answers: vec![AnswerCount { code: 200, count: ok }, AnswerCount { code: 502, count: failed }],
            retries: 0,
            ttft: LatencyHistogram { bounds_s: vec![0.1, 1.0], counts: vec![ok - slow, slow, 0] },
        }
    }

    #[test]
    fn rates_are_differences_over_all_routers() {
        let mut names = Names::default();
        let (model, a, b) = (names.intern("tiny"), names.intern("a"), names.intern("b"));
        let looks = |first: ModelTraffic, last: ModelTraffic| {
            let look = |at: u64, it: ModelTraffic| (Timestamp(at), Box::from([(model, it)]));
            VecDeque::from([look(1_000, first), look(11_000, last)])
        };
        let check = |routers: &[(Sym, VecDeque<Look>)], expected: Option<Rate>| {
            let it = Traffic(routers.iter().cloned().collect());
            assert_eq!(it.rates().get(&model).copied(), expected);
        };
        let rate = |requests: u64, errors: u64, ttft_ms| {
            Some(Rate { requests_milli_per_s: requests, errors_milli_per_s: errors, ttft_ms })
        };
        let one = (a, looks(traffic(100, 0, 0), traffic(195, 5, 0)));
        check(&[], None);
        check(std::slice::from_ref(&one), rate(10_000, 500, Some((50, 99))));
        check(&[one, (b, looks(traffic(100, 0, 0), traffic(200, 0, 0)))], rate(20_000, 500, Some((50, 99))));
        // A router that started again tells nothing for one window.
        check(&[(a, looks(traffic(100, 9, 0), traffic(20, 0, 0)))], None);
        // One look alone is no difference.
        check(&[(a, VecDeque::from([(Timestamp(1), Box::from([(model, traffic(1, 0, 0))]) as Box<[_]>)]))], None);
    }

    #[test]
    fn rates_are_short() {
        let check = |milli: u64, expected: &str| assert_eq!(rate_text(milli).as_str(), expected);
        check(250, "0.25");
        check(12_500, "12.5");
        check(6_410_000, "6410");
    }
}
