//! The facts of the screens as one stable JSON object: units in the names, times in RFC 3339, unknown is `null`.

use mesh_core::time::Timestamp;
use serde_json::{Value, json};

use crate::model::{
    Level, Model,
    fleet::{Gpus, Node},
    link::Session,
    totals,
};

/// The version of the form.
const SCHEMA: &str = "mesh/v1";

pub(crate) fn json(model: &Model, now: Timestamp) -> Value {
    let nodes: Vec<&Node> = model.fleet.order.iter().filter_map(|id| model.fleet.nodes.get(*id as usize)).collect();
    json!({
        "schema": SCHEMA,
        "context": model.options.context,
        "simulated": model.options.demo.is_some(),
        "at": now,
        "fleet": fleet(model, now),
        "nodes": nodes.iter().map(|it| node(model, it, now)).collect::<Vec<_>>(),
        "gpus": nodes.iter().flat_map(|it| gpus(model, it)).collect::<Vec<_>>(),
        "routing": routing(model),
        "attention": model.attention.iter().map(|it| json!({
            "level": it.level.as_str(),
            "kind": it.kind,
            "what": it.what,
            "where": it.place,
            "count": it.count,
            "since": it.since,
        })).collect::<Vec<_>>(),
    })
}

fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

/// Thousandths a second as a number a second.
fn per_second(milli: u64) -> f64 {
    seconds(milli)
}

fn fleet(model: &Model, now: Timestamp) -> Value {
    let (totals, link) = (&model.totals, &model.link);
    let (counts, gpus) = (&totals.counts, &totals.gpus);
    let cluster = link.cluster.as_ref();
    let endpoint = if let Session::Up(endpoint) = &link.session { Some(endpoint) } else { None };
    json!({
        "mesh": cluster.and_then(|it| it.mesh.as_ref()).map(ToString::to_string),
        "endpoint": endpoint,
        "leader": cluster.and_then(|it| it.leader.clone()),
        "term": cluster.map(|it| it.term),
        "quorum": cluster.map(|it| it.quorum),
        "revision": link.revision.0,
        "latest": link.latest,
        "leader_age_s": link.leader_age_ms.map(seconds),
        "picture_age_s": link.age_ms(now).map(seconds),
        "fresh": link.is_fresh(now),
        "nodes": {
            "all": counts.all, "ready": counts.ready, "starting": counts.starting, "draining": counts.draining,
            "out": counts.out, "lost": counts.lost, "stale": totals.stale, "behind": totals.behind,
        },
        "gpus": {
            "count": gpus.count, "hosts": gpus.hosts, "hosts_without_driver": gpus.blind,
            "why_no_driver": gpus.why,
            "utilisation_percent_mean": gpus.util, "idle": gpus.idle,
            "temperature_c_p50": gpus.temp_p50, "temperature_c_p99": gpus.temp_p99, "temperature_c_max": gpus.temp_most,
            "power_w": gpus.power_w, "failing": gpus.failing, "slowed": gpus.slowed,
            "ecc_volatile_uncorrected": gpus.ecc_uncorrected,
            "memory_used_mib": (gpus.total_mib > 0).then_some(gpus.used_mib),
            "memory_total_mib": (gpus.total_mib > 0).then_some(gpus.total_mib),
        },
        "engines": { "declared": totals.engines, "up": totals.engines_up },
        "running": totals.running,
        "waiting": totals.waiting,
        "in_flight": totals.in_flight,
        "collectives": { "timings": null, "why": "no job" },
    })
}

fn node(model: &Model, it: &Node, now: Timestamp) -> Value {
    let names = &model.names;
    let (level, _): (Level, _) = totals::state(it, now);
    let why = if let Gpus::Unavailable(why) = &it.gpus { Some(why) } else { None };
    json!({
        "name": names.get(it.name),
        "phase": it.phase,
        "level": level.as_str(),
        "since": it.since,
        "age_s": it.age_ms(now).map(seconds),
        "zone": it.zone.map(|it| names.get(it)),
        "rack": it.rack.map(|it| names.get(it)),
        "version": it.version.map(|it| names.get(it)),
        "revision": it.applied.map(|it| it.0),
        "gpus": matches!(it.gpus, Gpus::Read(_)).then(|| it.gpus.rows().len()),
        "why_no_gpus": why,
        "utilisation_percent": it.util,
        "temperature_c_max": it.temp_c,
        "power_w": it.power_w,
        "engines": it.engines.iter().map(|engine| json!({
            "name": names.get(engine.name),
            "kind": engine.kind,
            "up": engine.up,
            "error": engine.error,
            "models": engine.models.iter().map(|it| names.get(*it)).collect::<Vec<_>>(),
            "running": engine.running,
            "waiting": engine.waiting,
            "capacity": engine.capacity,
            "kv_percent": engine.kv_percent,
        })).collect::<Vec<_>>(),
        "running": it.running,
        "waiting": it.waiting,
        "in_flight": it.in_flight,
        "blockers": it.blockers,
    })
}

fn gpus<'a>(model: &'a Model, node: &'a Node) -> impl Iterator<Item = Value> + 'a {
    node.gpus.rows().iter().map(move |it| {
        json!({
            "node": model.names.get(node.name),
            "index": it.index,
            "name": it.name.map(|it| model.names.get(it)),
            "utilisation_percent": it.util,
            "memory_used_mib": it.used_mib,
            "memory_total_mib": it.total_mib,
            "temperature_c": it.temp_c,
            "power_w": it.power_w,
            "power_limit_w": it.power_limit_w,
            "sm_clock_mhz": it.clock_mhz,
            "throttle_reasons": it.throttle.map(|it| it.names().collect::<Vec<_>>()),
            "ecc_volatile_corrected": it.ecc_corrected,
            "ecc_volatile_uncorrected": it.ecc_uncorrected,
            "health": it.verdict,
            "reason": it.reason.map(|it| model.names.get(it)),
        })
    })
}

fn routing(model: &Model) -> Value {
    let (totals, names) = (&model.totals, &model.names);
    let routers = model.fleet.order.iter().filter_map(|id| model.fleet.nodes.get(*id as usize));
    let active = model.link.strategy.as_ref().and_then(Option::as_ref);
    json!({
        "models": totals.models.iter().map(|it| json!({
            "name": names.get(it.name),
            "targets": it.targets,
            "engines": it.engines,
            "running": it.running,
            "waiting": it.waiting,
            "capacity": it.capacity,
            "in_flight": it.in_flight,
            "oldest_s": it.oldest_ms.map(seconds),
            "kv_percent_max": it.kv_most,
            "requests_per_s": it.rate.map(|it| per_second(it.requests_milli_per_s)),
            "errors_per_s": it.rate.map(|it| per_second(it.errors_milli_per_s)),
            "ttft_s_p50": it.rate.and_then(|it| it.ttft_ms).map(|(p50, _)| seconds(p50)),
            "ttft_s_p99": it.rate.and_then(|it| it.ttft_ms).map(|(_, p99)| seconds(p99)),
        })).collect::<Vec<_>>(),
        "routers": routers.filter_map(|node| node.router.as_deref().map(|it| json!({
            "node": names.get(node.name),
            "listen": it.listen,
            "revision": it.acked.0,
            "queued": it.queued,
            "in_flight": it.inflight.iter().map(|it| it.count).sum::<u32>(),
            "strategy": it.strategy,
        }))).collect::<Vec<_>>(),
        "routers_declared": totals.routers,
        "queued": totals.queued,
        "strategy": {
            "told": model.link.strategy.is_some(),
            "active": active.map(|it| it.active.to_string()),
            "previous": active.map(|it| it.previous.to_string()),
            "activation": active.map(|it| it.seq),
            "win_rate": null,
            "why_no_win_rate": crate::screens::win_rate(model),
        },
        "decisions": totals.decisions.iter().map(|it| json!({
            "strategy": it.strategy, "version": it.version, "all": it.all, "outcomes": it.outcomes,
        })).collect::<Vec<_>>(),
    })
}
