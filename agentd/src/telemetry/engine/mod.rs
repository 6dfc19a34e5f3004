//! One engine of this node: looked at again and again by a task of its own, over plain HTTP on the node's network.
//!
//! A series that is missing is unknown, never 0: an engine that seems idle takes everything.

mod llamacpp;
mod look;
mod vllm;

use std::time::{Duration, Instant};

use mesh_core::{
    kind::{EngineKind, EngineSpec},
    status::EngineSample,
};

pub(super) use self::look::{Eye, client};

/// How often engines are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineTiming {
    /// Time between two looks at the load.
    pub interval: Duration,
    /// Time between two looks at health, models and slots.
    pub slow_interval: Duration,
    /// How long one answer may take. Longer than the interval: a busy engine is slow, not dead.
    pub timeout: Duration,
    /// How long an engine that still takes connections may give no answer before it counts as down.
    pub patience: Duration,
}

impl Default for EngineTiming {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(200),
            slow_interval: Duration::from_secs(2),
            timeout: Duration::from_millis(600),
            patience: Duration::from_secs(2),
        }
    }
}

/// An engine as last looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineReading {
    /// What was read; its `age_ms` is 0.
    pub sample: EngineSample,
    /// When.
    pub read_at: Instant,
}

/// The load that an engine's metrics page tells.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Load {
    running: Option<u32>,
    waiting: Option<u32>,
    kv_used: Option<f32>,
    /// What the page lacks and why it may.
    missing: Option<&'static str>,
}

fn load(kind: EngineKind, page: &[u8]) -> Load {
    match kind {
        EngineKind::Vllm | EngineKind::Standin => vllm::load(page),
        EngineKind::Llamacpp => llamacpp::load(page),
    }
}

/// A number of requests; what cannot be one is unknown.
fn count(value: Option<f64>) -> Option<u32> {
    let value = value?.round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies within the range of u32")]
    (0.0..=f64::from(u32::MAX)).contains(&value).then_some(value as u32)
}

/// A share from 0 to 1; what lies a little above is rounding, what lies far above is something else.
fn share(value: Option<f64>) -> Option<f32> {
    let value = value.filter(|it| (0.0..=1.01).contains(it))?;
    #[expect(clippy::cast_possible_truncation, reason = "a share needs no more digits")]
    Some(value.min(1.0) as f32)
}

/// The engine as declared, before anything is known of it.
fn blank(spec: &EngineSpec) -> EngineSample {
    EngineSample {
        name: spec.name.clone(),
        kind: spec.kind,
        url: spec.url.clone(),
        up: false,
        error: None,
        models: spec.models.clone(),
        running: None,
        waiting: None,
        kv_used: None,
        capacity: spec.capacity.map(whole),
        age_ms: 0,
    }
}

/// A count as the float that capacities are; exact up to 16 million.
fn whole(value: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "no engine runs 16 million requests at once")]
    let value = value as f32;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a recorded page must give: running, waiting, KV use; and whether something is said to be missing.
    fn check(kind: EngineKind, fixture: &str, expected: (Option<u32>, Option<u32>, Option<f32>, bool)) {
        let path = format!("{}/fixtures/engines/{fixture}", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let found = load(kind, &page);
        assert_eq!((found.running, found.waiting, found.kv_used, found.missing.is_some()), expected, "{fixture}");
    }

    #[test]
    fn recorded_pages_give_their_numbers() {
        use EngineKind::{Llamacpp, Standin, Vllm};
        check(Vllm, "vllm-v1.prom", (Some(3), Some(1), Some(0.42), false));
        check(Standin, "vllm-v1.prom", (Some(3), Some(1), Some(0.42), false));
        check(Vllm, "vllm-0.32.0-cpu.prom", (Some(0), Some(0), Some(0.0), false));
        check(Vllm, "vllm-v0-aibrix.prom", (None, Some(0), Some(0.0), true));
        check(Llamacpp, "llamacpp-0.7.0.prom", (Some(0), Some(0), None, false));
        check(Llamacpp, "llamacpp-0.7.0-busy.prom", (Some(2), Some(2), None, false));
        check(Llamacpp, "llamacpp-legacy-kv.prom", (Some(3), Some(1), Some(0.42), false));
        check(Vllm, "llamacpp-0.7.0.prom", (None, None, None, true));
        check(Vllm, "hostile.prom", (None, Some(7), None, true));
    }

    #[test]
    fn impossible_numbers_are_unknown() {
        assert_eq!([Some(2.6), Some(4.3e9), None].map(count), [Some(3), None, None]);
        assert_eq!([Some(1.005), Some(42.0), None].map(share), [Some(1.0), None, None]);
    }

    #[test]
    fn slots_are_read_out_of_props() {
        let check = |body: &str, expected| assert_eq!(llamacpp::slots(body.as_bytes()), expected, "{body}");
        check(r#"{"total_slots":2,"model_path":"m.gguf"}"#, Some(2));
        check(r#"{"total_slots":0}"#, None);
        check("{}", None);
        check(r#"{"total_slots":-1}"#, None);
        check("<html>", None);
    }
}
