//! llama.cpp's report. Builds of today have no KV gauge; the number of slots is in `/props`.

use serde::Deserialize;

use super::{
    super::prom::{Fold, Want, read},
    Load, count, share,
};

const WANTED: [Want; 3] = [
    Want { names: &["llamacpp:requests_processing"], fold: Fold::Sum },
    Want { names: &["llamacpp:requests_deferred"], fold: Fold::Sum },
    Want { names: &["llamacpp:kv_cache_usage_ratio"], fold: Fold::Max },
];

/// Reads the load out of llama.cpp's `/metrics`.
pub(super) fn load(page: &[u8]) -> Load {
    let [running, waiting, kv_used] = read(page, &WANTED);
    let mut load = Load { running: count(running), waiting: count(waiting), kv_used: share(kv_used), missing: None };
    if load.running.is_none() || load.waiting.is_none() {
        load.missing = Some("its /metrics lacks llamacpp:requests_processing or _deferred");
    }
    load
}

#[derive(Deserialize)]
struct Props {
    total_slots: Option<u32>,
}

/// Reads the number of slots out of `/props`; `None` when it is not told.
pub(super) fn slots(body: &[u8]) -> Option<u32> {
    serde_json::from_slice::<Props>(body).ok()?.total_slots.filter(|slots| *slots > 0)
}
