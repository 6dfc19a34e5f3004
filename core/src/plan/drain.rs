//! When is a draining node empty? Every router has acknowledged, and none has a request there.

use crate::{
    id::{NodeName, Revision},
    kind::{DrainMode, DrainSpec},
    status::RouterSample,
};

/// A router's report older than this counts as none: it reports four times a second.
pub const REPORT_AGE_MAX_MS: u64 = 2_000;

/// What is known of one router node.
#[derive(Debug, Clone)]
pub struct RouterView<'a> {
    /// The router's node.
    pub node: &'a NodeName,
    /// Its last report; absent = never heard.
    pub report: Option<&'a RouterSample>,
    /// Age of that report in milliseconds, from the router to here.
    pub age_ms: u64,
}

/// What stands between a drain and its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blocker {
    /// The router has not said that it took the drain in.
    NotAcknowledged {
        /// Which router.
        router: NodeName,
        /// Age of its last report in milliseconds; absent = none was ever heard.
        silent_ms: Option<u64>,
    },
    /// Requests are in flight.
    Inflight {
        /// Through which router.
        router: NodeName,
        /// For which model.
        model: String,
        /// How many.
        count: u32,
        /// Age of the oldest in milliseconds.
        oldest_ms: u64,
    },
}

impl std::fmt::Display for Blocker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAcknowledged { router, silent_ms: None } => {
                write!(f, "router {router} has not acknowledged: never heard")
            }
            Self::NotAcknowledged { router, silent_ms: Some(ms) } if *ms > REPORT_AGE_MAX_MS => {
                write!(f, "router {router} has not acknowledged: silent for {} s", ms / 1000)
            }
            Self::NotAcknowledged { router, .. } => write!(f, "router {router} has not acknowledged yet"),
            Self::Inflight { router, model, count, oldest_ms } => {
                write!(f, "{count} in flight through {router} for {model}, the oldest {} s old", oldest_ms / 1000)
            }
        }
    }
}

/// What still blocks a drain of `node` that was written at `revision`; empty = it is drained.
#[must_use]
pub fn blockers(node: &NodeName, revision: Revision, routers: &[RouterView<'_>]) -> Vec<Blocker> {
    let mut found = Vec::new();
    for router in routers {
        let fresh = router.report.filter(|report| router.age_ms <= REPORT_AGE_MAX_MS && report.acked >= revision);
        if fresh.is_none() {
            let silent_ms = router.report.map(|_| router.age_ms);
            found.push(Blocker::NotAcknowledged { router: router.node.clone(), silent_ms });
        }
        let inflight = router.report.into_iter().flat_map(|report| &report.inflight);
        found.extend(inflight.filter(|it| it.node == *node && it.count > 0).map(|it| Blocker::Inflight {
            router: router.node.clone(),
            model: it.model.clone(),
            count: it.count,
            oldest_ms: it.oldest_ms,
        }));
    }
    found
}

/// Whether the leader should write down that the node is drained.
#[must_use]
pub fn is_done(node: &NodeName, spec: &DrainSpec, revision: Revision, routers: &[RouterView<'_>]) -> bool {
    spec.mode == DrainMode::Drain && spec.drained_at.is_none() && blockers(node, revision, routers).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::InflightSample;

    fn report(acked: u64, inflight: u32) -> RouterSample {
        let sample = InflightSample {
            node: NodeName::new("node-7").unwrap(),
            engine: NodeName::new("sim").unwrap().into(),
            model: "m".into(),
            count: inflight,
            oldest_ms: 2_500,
        };
        RouterSample {
            listen: String::new(),
            metrics: String::new(),
            acked: Revision(acked),
            inflight: vec![sample],
            queued: 0,
            strategy: None,
            decisions: Vec::new(),
            traffic: Vec::new(),
            age_ms: 0,
        }
    }

    #[test]
    fn a_drain_ends_when_every_router_acknowledged_and_is_empty() {
        let (node, router) = (NodeName::new("node-7").unwrap(), NodeName::new("node-4").unwrap());
        let check = |report: Option<&RouterSample>, age_ms: u64, expected: &[&str]| {
            let views = [RouterView { node: &router, report, age_ms }];
            let found: Vec<String> = blockers(&node, Revision(9), &views).iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        };
        check(Some(&report(9, 0)), 100, &[]);
        check(Some(&report(8, 0)), 100, &["router node-4 has not acknowledged yet"]);
        check(Some(&report(9, 3)), 100, &["3 in flight through node-4 for m, the oldest 2 s old"]);
        check(Some(&report(9, 0)), 60_000, &["router node-4 has not acknowledged: silent for 60 s"]);
        check(None, 0, &["router node-4 has not acknowledged: never heard"]);
        assert!(blockers(&node, Revision(9), &[]).is_empty(), "a mesh without routers has nothing to wait for");
    }
}
