//! Nodes as people see them: what is declared joined with what is observed.

use mesh_core::{
    gpu::GpuSample,
    kind::{DrainSpec, NodeSpec, parse},
    time::Timestamp,
};
use mesh_proto::v1::{self, fleet_client::FleetClient};

use crate::{
    Result,
    client::Session,
    human::{self, UNKNOWN, bytes, duration},
    output::Table,
    write::missing,
};

/// The longest reason in a plain table, in characters.
const REASON_CHARS: usize = 17;

/// Asks for nodes; names that do not exist are a failure.
pub(crate) async fn fetch(session: &Session, names: &[String]) -> Result<v1::NodesResponse> {
    let found = session
        .read("cannot get nodes", async |channel, mode| {
            let request = v1::NodesRequest { names: names.to_vec(), mode: mode.into() };
            FleetClient::new(channel).nodes(request).await
        })
        .await?;
    missing(mesh_core::kind::Kind::Node, names, |name| found.items.iter().any(|it| name_of(it) == name))?;
    Ok(found)
}

/// The name of a node.
pub(crate) fn name_of(item: &v1::NodeItem) -> &str {
    item.object.as_ref().map_or("", |it| it.name.as_str())
}

/// What is declared of a node.
pub(crate) fn spec_of(item: &v1::NodeItem) -> NodeSpec {
    item.object.as_ref().and_then(|it| parse(&it.spec).ok()).unwrap_or_default()
}

/// The table of `mesh get nodes`.
pub(crate) fn table(items: &[v1::NodeItem]) -> Table {
    let titles = ["NAME", "PHASE", "ROLES", "ENGINES", "RUNNING", "WAITING", "GPUS", "AGE", "REVISION", "VERSION"];
    let mut table = Table::new(&titles).wide(&["API", "LOAD", "MEMORY", "KERNEL", "DIGEST", "NOTE"]);
    for item in items {
        table.row(row(item));
    }
    table
}

fn row(item: &v1::NodeItem) -> Vec<String> {
    let spec = spec_of(item);
    let status = item.status.as_ref();
    let roles: Vec<String> = spec.roles.iter().map(ToString::to_string).collect();
    let host = status.and_then(|it| it.host.as_ref());
    let memory = host.and_then(|it| Some((it.memory_bytes?, it.memory_available_bytes?)));
    vec![
        name_of(item).to_owned(),
        item.phase.clone(),
        roles.join(","),
        engines(&spec, status),
        sum(status, |it| it.running),
        sum(status, |it| it.waiting),
        gpus(status, REASON_CHARS),
        human::or_dash(item.age_ms.map(duration)),
        human::or_dash(status.map(|it| it.applied)),
        human::or_dash(status.map(|it| it.version.clone()).filter(|it| !it.is_empty())),
        spec.api,
        human::or_dash(host.and_then(|it| it.load_1m).map(|it| format!("{it:.2}"))),
        human::or_dash(memory.map(|(all, free)| format!("{}/{}", bytes(all.saturating_sub(free)), bytes(all)))),
        human::or_dash(host.and_then(|it| it.kernel.clone())),
        human::or_dash(status.and_then(|it| it.digest.get(..8))),
        note(item),
    ]
}

/// How many of the declared engines answer.
fn engines(spec: &NodeSpec, status: Option<&v1::NodeStatus>) -> String {
    if spec.engines.is_empty() {
        return UNKNOWN.to_owned();
    }
    let mut kinds: Vec<String> = spec.engines.iter().map(|it| it.kind.to_string()).collect();
    kinds.sort();
    kinds.dedup();
    let up = status.map(|it| it.engines.iter().filter(|engine| engine.up).count());
    format!("{} {}/{}", kinds.join("+"), human::or_dash(up), spec.engines.len())
}

/// A sum over engines; engines that do not say are left out, and nothing said at all stays unknown.
fn sum(status: Option<&v1::NodeStatus>, field: impl Fn(&v1::EngineSample) -> Option<u32>) -> String {
    let told: Vec<u64> = status.iter().flat_map(|it| &it.engines).filter_map(|it| field(it).map(u64::from)).collect();
    if told.is_empty() { UNKNOWN.to_owned() } else { told.iter().sum::<u64>().to_string() }
}

/// The GPUs with their highest use, or why they cannot be read.
fn gpus(status: Option<&v1::NodeStatus>, chars: usize) -> String {
    let Some(status) = status else { return UNKNOWN.to_owned() };
    if let Some(why) = &status.gpus_unavailable {
        let short: String = why.chars().take(chars).collect();
        return if short.len() < why.len() { format!("none: {short}…") } else { format!("none: {short}") };
    }
    let most = status.gpus.iter().filter_map(|it| it.utilisation_percent).reduce(f32::max);
    match most {
        Some(percent) => format!("{} ({percent:.0}%)", status.gpus.len()),
        None => status.gpus.len().to_string(),
    }
}

/// Why a node is out of service, and what still blocks it.
fn note(item: &v1::NodeItem) -> String {
    let drain = item.drain.as_ref().and_then(|it| parse::<DrainSpec>(&it.spec).ok());
    let reason = drain.and_then(|it| it.reason);
    let parts: Vec<String> = reason.into_iter().chain(item.blockers.iter().cloned()).collect();
    if parts.is_empty() { UNKNOWN.to_owned() } else { parts.join("; ") }
}

/// All that is known of a node, for people.
pub(crate) fn describe(item: &v1::NodeItem, now: Timestamp) -> String {
    let spec = spec_of(item);
    let mut text = String::new();
    let mut line = |label: &str, value: String| text.push_str(&format!("{label:<12} {value}\n"));
    let roles: Vec<String> = spec.roles.iter().map(ToString::to_string).collect();
    line("Name", name_of(item).to_owned());
    let since = item.since_ms.map(|ms| format!(" for {}", duration(Timestamp(ms).age_ms(now))));
    line("Phase", format!("{}{}", item.phase, since.unwrap_or_default()));
    line("Roles", roles.join(", "));
    line("Address", spec.address.clone());
    line("API", spec.api.clone());
    line("Gossip", spec.gossip.clone());
    line("Zone", human::or_dash(spec.zone.clone()));
    let labels: Vec<String> = spec.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    line("Labels", if labels.is_empty() { UNKNOWN.to_owned() } else { labels.join(", ") });
    line("Revision", human::or_dash(item.object.as_ref().map(|it| it.revision)));
    line("Seen", item.age_ms.map_or("never".to_owned(), |ms| format!("{} ago", duration(ms))));
    if let Some(status) = &item.status {
        line("Applied", status.applied.to_string());
        line("Version", format!("{} ({})", status.version, status.digest.get(..8).unwrap_or(UNKNOWN)));
        line("GPUs", gpus(Some(status), usize::MAX));
        text.push_str(&describe_parts(status));
    }
    if let Some(drain) = item.drain.as_ref().and_then(|it| parse::<DrainSpec>(&it.spec).ok()) {
        let reason = drain.reason.unwrap_or_else(|| "none given".to_owned());
        text.push_str(&format!(
            "{:<12} {reason}, by {}, {} ago\n",
            "Drain",
            drain.by.name,
            duration(drain.at.age_ms(now))
        ));
    }
    for blocker in &item.blockers {
        text.push_str(&format!("{:<12} {blocker}\n", "Blocked by"));
    }
    text
}

fn describe_parts(status: &v1::NodeStatus) -> String {
    let mut text = String::new();
    for gpu in &status.gpus {
        text.push_str(&describe_gpu(&gpu.clone().into()));
    }
    for engine in &status.engines {
        let state =
            if engine.up { "up".to_owned() } else { format!("down: {}", human::or_dash(engine.error.as_deref())) };
        text.push_str(&format!(
            "  Engine {} ({}) {}: {state}, running {}, waiting {}, KV {}, models {}\n",
            engine.name,
            engine.kind,
            engine.url,
            human::or_dash(engine.running),
            human::or_dash(engine.waiting),
            human::or_dash(engine.kv_used.map(|it| format!("{:.0}%", it * 100.0))),
            if engine.models.is_empty() { UNKNOWN.to_owned() } else { engine.models.join(", ") },
        ));
    }
    if let Some(router) = &status.router {
        let strategy = router.strategy.as_ref().map(|it| format!("{} {}", it.name, it.version));
        let inflight: u32 = router.inflight.iter().map(|it| it.count).sum();
        text.push_str(&format!(
            "  Router {}: {inflight} in flight, {} in line, strategy {}, revision {} taken in\n",
            router.listen,
            router.queued,
            human::or_dash(strategy),
            router.acked,
        ));
    }
    text
}

fn describe_gpu(gpu: &GpuSample) -> String {
    let memory = gpu.memory_used_bytes.zip(gpu.memory_total_bytes);
    let watts = |it: Option<f32>| human::or_dash(it.map(|it| format!("{it:.0}")));
    let health = mesh_core::gpu::health(gpu);
    let mut text = format!(
        "  GPU {} {}: {} used, memory {}, {}, {}/{} W, {}/{} MHz, health {}\n",
        gpu.index,
        gpu.name.as_deref().unwrap_or(UNKNOWN),
        human::or_dash(gpu.utilisation_percent.map(|it| format!("{it:.0}%"))),
        human::or_dash(memory.map(|(used, all)| format!("{}/{}", bytes(used), bytes(all)))),
        human::or_dash(gpu.temperature_c.map(|it| format!("{it:.0}°C"))),
        watts(gpu.power_w),
        watts(gpu.power_limit_w),
        human::or_dash(gpu.sm_clock_mhz),
        human::or_dash(gpu.memory_clock_mhz),
        human::or_dash(health.as_ref().map(|it| it.verdict)),
    );
    if let Some(reason) = health.and_then(|it| it.reason) {
        text.push_str(&format!("    {reason}\n"));
    }
    if let Some(reasons) = gpu.throttle_reasons.filter(|it| it.0 != 0) {
        text.push_str(&format!("    throttled: {}\n", reasons.names().collect::<Vec<_>>().join(", ")));
    }
    if !gpu.ecc.is_unknown() {
        text.push_str(&format!(
            "    memory errors since the driver was loaded: {} corrected, {} not; ever: {} corrected, {} not\n",
            human::or_dash(gpu.ecc.volatile_corrected),
            human::or_dash(gpu.ecc.volatile_uncorrected),
            human::or_dash(gpu.ecc.aggregate_corrected),
            human::or_dash(gpu.ecc.aggregate_uncorrected),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<v1::NodeItem> {
        let node = |name: &str, spec: &'static str, phase: &str| v1::NodeItem {
            object: Some(v1::Object {
                kind: "node".into(),
                name: name.into(),
                revision: 1,
                spec: bytes::Bytes::from_static(spec.as_bytes()),
            }),
            phase: phase.into(),
            ..Default::default()
        };
        let mut gpu = node(
            "node-7",
            r#"{"roles":["gpu"],"api":"127.0.0.1:7001","engines":[{"name":"a","kind":"standin","url":"http://127.0.0.1:1"}]}"#,
            "Draining",
        );
        gpu.age_ms = Some(400);
        gpu.blockers = vec!["3 in flight through node-4 for m, the oldest 2 s old".into()];
        gpu.status = Some(v1::NodeStatus {
            version: "0.1.0".into(),
            digest: "0123456789abcdef".repeat(4),
            applied: 12,
            engines: vec![v1::EngineSample { name: "a".into(), up: true, running: Some(3), ..Default::default() }],
            gpus_unavailable: Some(
                "libnvidia-ml.so.1: cannot open shared object file: No such file or directory".into(),
            ),
            host: Some(v1::HostSample {
                load_1m: Some(0.5),
                memory_bytes: Some(4 << 30),
                memory_available_bytes: Some(3 << 30),
                ..Default::default()
            }),
            ..Default::default()
        });
        vec![node("node-1", r#"{"roles":["coordinator"],"voter":1}"#, "Joining"), gpu]
    }

    #[test]
    fn unknown_is_a_dash_and_reasons_are_told() {
        insta::assert_snapshot!("nodes", table(&items()).render(false, true, false));
        insta::assert_snapshot!("nodes-wide", table(&items()).render(true, true, false));
        insta::assert_snapshot!("describe", describe(&items()[1], Timestamp(0)));
    }
}
