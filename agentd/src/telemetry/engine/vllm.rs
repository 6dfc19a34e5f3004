//! vLLM's report, which the stand-in engine speaks too.
//!
//! Names as of vLLM V1; the KV gauge had another name until 0.9, and 0.10 had both. Its batch limit is in no series.

use super::{
    super::prom::{Fold, Want, read},
    Load, count, share,
};

const WANTED: [Want; 3] = [
    Want { names: &["vllm:num_requests_running"], fold: Fold::Sum },
    Want { names: &["vllm:num_requests_waiting"], fold: Fold::Sum },
    Want { names: &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"], fold: Fold::Max },
];

/// Reads the load out of vLLM's `/metrics`.
pub(super) fn load(page: &[u8]) -> Load {
    let [running, waiting, kv_used] = read(page, &WANTED);
    let mut load = Load { running: count(running), waiting: count(waiting), kv_used: share(kv_used), missing: None };
    if load.running.is_none() || load.waiting.is_none() {
        // `--disable-log-stats` leaves the page at 200 with no series.
        load.missing = Some("its /metrics lacks vllm:num_requests_running or _waiting (is --disable-log-stats set?)");
    }
    load
}
