//! What an engine counts over its life, with the bucket bounds of vLLM 0.32.

use super::{Finish, Sequence, schedule::seconds};

/// Counts observations in buckets, as a Prometheus histogram does.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One count per bound and one beyond the last; not cumulative.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub(super) fn observe(&mut self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts[at] += 1;
        self.sum += value;
    }

    /// Returns the upper bounds with the number of observations up to each, without the last bucket (+Inf).
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        self.bounds.iter().zip(&self.counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((*bound, *total))
        })
    }

    /// Returns the number of observations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the sum of the observations.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

/// Counts everything an engine did since it started; times in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// Prompt tokens computed, those computed again after a preemption too.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub generation_tokens: u64,
    /// Sequences sent back to the queue because the KV cache was full.
    pub preemptions: u64,
    /// Requests refused because the queue was full.
    pub rejected: u64,
    /// Requests that ended by themselves.
    pub stopped: u64,
    /// Requests that reached their limit of output tokens.
    pub length: u64,
    /// Requests whose client went away.
    pub aborted: u64,
    /// Submission to first token.
    pub time_to_first_token: Histogram,
    /// Token to next token.
    pub inter_token_latency: Histogram,
    /// Mean time between the tokens of one request.
    pub time_per_output_token: Histogram,
    /// Submission to last token.
    pub e2e_latency: Histogram,
    /// Submission to first iteration.
    pub queue_time: Histogram,
    /// First iteration to first token.
    pub prefill_time: Histogram,
    /// First token to last token.
    pub decode_time: Histogram,
    /// First iteration to last token.
    pub inference_time: Histogram,
    /// Tokens computed per iteration.
    pub iteration_tokens: Histogram,
    /// Prompt tokens of each finished request.
    pub request_prompt_tokens: Histogram,
    /// Generated tokens of each finished request.
    pub request_generation_tokens: Histogram,
}

const FIRST_TOKEN_S: &[f64] = &[
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
];
const TOKEN_S: &[f64] =
    &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0];
const REQUEST_S: &[f64] = &[
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
];
const ITERATION_TOKENS: &[f64] =
    &[1.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0];
const REQUEST_TOKENS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            prompt_tokens: 0,
            generation_tokens: 0,
            preemptions: 0,
            rejected: 0,
            stopped: 0,
            length: 0,
            aborted: 0,
            time_to_first_token: Histogram::new(FIRST_TOKEN_S),
            inter_token_latency: Histogram::new(TOKEN_S),
            time_per_output_token: Histogram::new(TOKEN_S),
            e2e_latency: Histogram::new(REQUEST_S),
            queue_time: Histogram::new(REQUEST_S),
            prefill_time: Histogram::new(REQUEST_S),
            decode_time: Histogram::new(REQUEST_S),
            inference_time: Histogram::new(REQUEST_S),
            iteration_tokens: Histogram::new(ITERATION_TOKENS),
            request_prompt_tokens: Histogram::new(REQUEST_TOKENS),
            request_generation_tokens: Histogram::new(REQUEST_TOKENS),
        }
    }

    /// Counts a request that ended at `now_us`.
    pub(super) fn finished(&mut self, now_us: u64, sequence: &Sequence, finish: Finish) {
        match finish {
            Finish::Stop => self.stopped += 1,
            Finish::Length => self.length += 1,
        }
        let admitted_us = sequence.admitted_us.unwrap_or(sequence.submitted_us);
        let first_us = sequence.first_token_us.unwrap_or(now_us);
        let decode_s = seconds(now_us, first_us);
        self.e2e_latency.observe(seconds(now_us, sequence.submitted_us));
        self.prefill_time.observe(seconds(first_us, admitted_us));
        self.decode_time.observe(decode_s);
        self.inference_time.observe(seconds(now_us, admitted_us));
        if sequence.generated > 1 {
            self.time_per_output_token.observe(decode_s / f64::from(sequence.generated - 1));
        }
        self.request_prompt_tokens.observe(f64::from(sequence.request.prompt_tokens));
        self.request_generation_tokens.observe(f64::from(sequence.generated));
    }
}
