//! `/metrics` beside a page recorded from a real vLLM: same names, types, help, label names and buckets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Standin, chat};

const RECORDED: &str = include_str!("data/vllm-0.32.0-cpu.prom");

/// Holds the comparable part of a page.
#[derive(Default)]
struct Page {
    /// `# TYPE` by family.
    kinds: BTreeMap<String, String>,
    /// Label names by series name.
    labels: BTreeMap<String, BTreeSet<String>>,
    /// `le` values by series name.
    buckets: BTreeMap<String, BTreeSet<String>>,
}

fn read(text: &str) -> Page {
    let mut page = Page::default();
    for line in text.lines() {
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            page.kinds.insert(name.to_owned(), kind.to_owned());
        }
        let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) else { continue };
        let (labels, value) = rest.rsplit_once("} ").unwrap();
        value.parse::<f64>().unwrap();
        for label in labels.split("\",") {
            let (key, value) = label.split_once("=\"").unwrap();
            page.labels.entry(name.to_owned()).or_default().insert(key.to_owned());
            if key == "le" {
                page.buckets.entry(name.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
            }
        }
    }
    page
}

#[tokio::test]
async fn the_page_has_the_shape_of_a_recorded_vllm() {
    let standin = Standin::start(common::fast()).await;
    standin.post("/v1/chat/completions", &chat(4, false)).await;
    let (ours, real) = (read(&standin.metrics().await), read(RECORDED));
    let vllm = ours.kinds.iter().filter(|(name, _)| name.starts_with("vllm:"));
    let mut families = 0;
    for (name, kind) in vllm {
        assert_eq!(Some(kind), real.kinds.get(name), "{name}");
        families += 1;
    }
    assert_eq!(families, real.kinds.len(), "every family of the recording is exported");
    for (name, labels) in ours.labels.iter().filter(|(name, _)| name.starts_with("vllm:")) {
        let known = real.labels.get(name).unwrap_or_else(|| panic!("{name} is not in the recording"));
        let missing: Vec<_> = labels.difference(known).collect();
        assert!(missing.is_empty(), "{name}: {missing:?} are not labels of vLLM");
    }
    assert_eq!(ours.buckets, real.buckets);
}

#[tokio::test]
async fn counters_follow_the_requests() {
    let standin = Standin::start(common::fast()).await;
    for _ in 0..3 {
        standin.post("/v1/chat/completions", &chat(4, false)).await;
    }
    standin.post("/v1/chat/completions", &serde_json::json!({"model": "nobody", "messages": []})).await;
    let check = |page: &str, series: &str, expected: f64| {
        assert_eq!(common::value(page, series), Some(expected), "{series}");
    };
    let page = standin.metrics().await;
    check(&page, "mesh_standin_requests_total", 4.0);
    check(&page, "vllm:generation_tokens_total{engine=\"0\",model_name=\"m\"}", 12.0);
    check(&page, "vllm:time_to_first_token_seconds_count{engine=\"0\",model_name=\"m\"}", 3.0);
    let success = "vllm:request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"m\"}";
    check(&page, success, 3.0);
}
