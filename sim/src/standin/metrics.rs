//! `/metrics`: the names, labels and types of vLLM 0.32, as far as the model has the number behind them.

use std::fmt::Write;

use super::driver::Observed;
use crate::engine::{Config, Histogram};

/// Writes a Prometheus page in which every vLLM series carries `engine="0"` and the model's name.
struct Page {
    text: String,
    labels: String,
}

/// Returns the page of one engine; `requests` counts the requests received.
pub(super) fn render(observed: &Observed, config: &Config, model: &str, requests: u64) -> String {
    let escaped = model.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut page =
        Page { text: String::with_capacity(16 << 10), labels: format!("engine=\"0\",model_name=\"{escaped}\"") };
    gauges(&mut page, observed, config);
    counters(&mut page, observed, &escaped);
    histograms(&mut page, observed);
    page.family("mesh_standin_requests_total", "counter", "Requests received by this simulated engine.");
    page.line("mesh_standin_requests_total", "", count(requests));
    page.text
}

fn gauges(page: &mut Page, observed: &Observed, config: &Config) {
    let load = observed.load;
    let (running, waiting) = (count(load.running as u64), count(load.waiting as u64));
    page.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", running);
    page.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", waiting);
    let name = "vllm:num_requests_waiting_by_reason";
    page.family(name, "gauge", "Number of waiting requests by reason.");
    let labels = page.labels.clone();
    page.line(name, &format!("{labels},reason=\"capacity\""), waiting);
    page.line(name, &format!("{labels},reason=\"deferred\""), 0.0);
    page.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", load.kv_used);
    let name = "vllm:cache_config_info";
    page.family(name, "gauge", "Information of the LLMEngine CacheConfig");
    let blocks = config.kv_tokens / config.block_tokens;
    let info = format!(
        "block_size=\"{}\",enable_prefix_caching=\"False\",engine=\"0\",kv_cache_size_tokens=\"{}\",num_gpu_blocks=\"{blocks}\"",
        config.block_tokens,
        blocks * config.block_tokens
    );
    page.line(name, &info, 1.0);
}

fn counters(page: &mut Page, observed: &Observed, model: &str) {
    let stats = &observed.stats;
    let (prompt, generated) = (count(stats.prompt_tokens), count(stats.generation_tokens));
    page.counter(
        "vllm:num_preemptions_total",
        "Cumulative number of preemption from the engine.",
        count(stats.preemptions),
    );
    page.counter("vllm:prompt_tokens_total", "Number of prefill tokens processed.", prompt);
    page.counter("vllm:generation_tokens_total", "Number of generation tokens processed.", generated);
    let name = "vllm:request_success_total";
    page.family(name, "counter", "Count of successfully processed requests.");
    for (reason, value) in [("stop", stats.stopped), ("length", stats.length), ("abort", stats.aborted)] {
        let labels = format!("engine=\"0\",finished_reason=\"{reason}\",model_name=\"{model}\"");
        page.line(name, &labels, count(value));
    }
    let name = "vllm:admission_rejections_total";
    page.family(name, "counter", "Number of admission attempts rejected by a queue limit, by reason.");
    let labels = format!("model_name=\"{model}\",reason=\"max_num_queued_reqs\"");
    page.line(name, &labels, count(stats.rejected));
}

fn histograms(page: &mut Page, observed: &Observed) {
    let stats = &observed.stats;
    let all: [(&str, &str, &Histogram); 11] = [
        ("time_to_first_token_seconds", "Histogram of time to first token in seconds.", &stats.time_to_first_token),
        ("inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", &stats.inter_token_latency),
        (
            "request_time_per_output_token_seconds",
            "Histogram of time_per_output_token_seconds per request.",
            &stats.time_per_output_token,
        ),
        ("e2e_request_latency_seconds", "Histogram of e2e request latency in seconds.", &stats.e2e_latency),
        ("request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", &stats.queue_time),
        ("request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request.", &stats.prefill_time),
        ("request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.", &stats.decode_time),
        (
            "request_inference_time_seconds",
            "Histogram of time spent in RUNNING phase for request.",
            &stats.inference_time,
        ),
        ("iteration_tokens_total", "Histogram of number of tokens per engine_step.", &stats.iteration_tokens),
        ("request_prompt_tokens", "Number of prefill tokens processed.", &stats.request_prompt_tokens),
        ("request_generation_tokens", "Number of generation tokens processed.", &stats.request_generation_tokens),
    ];
    for (name, help, histogram) in all {
        page.histogram(&format!("vllm:{name}"), help, histogram);
    }
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        let braces = if labels.is_empty() { ("", "") } else { ("{", "}") };
        let _ = writeln!(self.text, "{name}{}{labels}{} {value:?}", braces.0, braces.1);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.one(name, "gauge", help, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.one(name, "counter", help, value);
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        let labels = self.labels.clone();
        self.line(name, &labels, value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        // The client library of Python sorts labels: engine, le, model_name.
        let (engine, model) = self.labels.split_once(',').unwrap_or((self.labels.as_str(), ""));
        let (engine, model) = (engine.to_owned(), model.to_owned());
        let bucket = format!("{name}_bucket");
        for (bound, total) in histogram.cumulative() {
            self.line(&bucket, &format!("{engine},le=\"{bound:?}\",{model}"), count(total));
        }
        self.line(&bucket, &format!("{engine},le=\"+Inf\",{model}"), count(histogram.count()));
        let labels = self.labels.clone();
        self.line(&format!("{name}_count"), &labels, count(histogram.count()));
        self.line(&format!("{name}_sum"), &labels, histogram.sum());
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus values are doubles")]
fn count(value: u64) -> f64 {
    value as f64
}
