//! What went through the router, by model: read out of its own metrics, so that both tell the same.

use std::collections::BTreeMap;

use mesh_core::traffic::{AnswerCount, LatencyHistogram, ModelTraffic};
use prometheus::proto::{Histogram, Metric, MetricFamily};

use crate::metrics::Metrics;

/// Models that a report tells of; the metrics have all of them.
const MODELS_MAX: usize = 256;

/// What went through since the start, by model.
pub(crate) fn read(metrics: &Metrics) -> Vec<ModelTraffic> {
    let [requests, retries, ttft] = metrics.traffic();
    let mut models: BTreeMap<String, ModelTraffic> = BTreeMap::new();
    each(&requests, |model, metric| {
        if let Some(code) = label(metric, "code").and_then(|it| it.parse().ok()) {
            of(&mut models, model).answers.push(AnswerCount { code, count: whole(metric) });
        }
    });
    each(&retries, |model, metric| of(&mut models, model).retries = whole(metric));
    each(&ttft, |model, metric| of(&mut models, model).ttft = histogram(metric.get_histogram()));
    models.into_values().filter(|it| it.requests() > 0).take(MODELS_MAX).map(sorted).collect()
}

fn each(families: &[MetricFamily], mut see: impl FnMut(&str, &Metric)) {
    for metric in families.iter().flat_map(MetricFamily::get_metric) {
        see(label(metric, "model").unwrap_or_default(), metric);
    }
}

fn label<'a>(metric: &'a Metric, name: &str) -> Option<&'a str> {
    metric.get_label().iter().find(|it| it.name() == name).map(|it| it.value())
}

fn of<'a>(models: &'a mut BTreeMap<String, ModelTraffic>, model: &str) -> &'a mut ModelTraffic {
    models.entry(model.to_owned()).or_insert_with(|| ModelTraffic { model: model.to_owned(), ..<_>::default() })
}

/// A counter of whole things, which the metrics keep as a float.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters count up from zero in ones")]
fn whole(metric: &Metric) -> u64 {
    metric.get_counter().get_value() as u64
}

/// Buckets that count what is below their bound become buckets that count what lies between two bounds.
fn histogram(it: &Histogram) -> LatencyHistogram {
    let bounded = it.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let (mut bounds_s, mut counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in bounded {
        bounds_s.push(bucket.upper_bound());
        // A latency that comes in during the reading may be in one bucket and not yet in the next.
        counts.push(bucket.cumulative_count().saturating_sub(below));
        below = below.max(bucket.cumulative_count());
    }
    counts.push(it.get_sample_count().saturating_sub(below));
    LatencyHistogram { bounds_s, counts }
}

fn sorted(mut it: ModelTraffic) -> ModelTraffic {
    it.answers.sort_by_key(|answer| answer.code);
    it
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn traffic_is_what_the_metrics_say() {
        let metrics = Metrics::new().unwrap();
        assert_eq!(read(&metrics), []);
        metrics.requests("m", 502).inc();
        metrics.requests("m", 200).inc_by(3);
        metrics.refused(404).inc();
        metrics.retries("m").inc_by(2);
        metrics.retries("idle").inc_by(0);
        for seconds in [0.003, 0.02, 0.02, 500.0] {
            metrics.ttft("m").observe(seconds);
        }
        let found = read(&metrics);
        assert_eq!(found.iter().map(|it| it.model.as_str()).collect::<Vec<_>>(), ["", "m"]);
        let model = &found[1];
        let answers = [AnswerCount { code: 200, count: 3 }, AnswerCount { code: 502, count: 1 }];
        assert_eq!((model.answers.as_slice(), model.retries), (answers.as_slice(), 2));
        assert_eq!(model.ttft.counts[..4], [1, 0, 2, 0]);
        assert_eq!((model.ttft.count(), model.ttft.counts.last()), (4, Some(&1)));
        assert_eq!(model.ttft.counts.len(), model.ttft.bounds_s.len() + 1);
    }
}
