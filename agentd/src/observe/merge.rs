//! What is shown of a node out of all evidence for it. Pure: instants are arguments.

use std::{sync::Arc, time::Instant};

use mesh_core::{
    kind::EngineSpec,
    status::{NodeStatus, Seen, phase},
    time::Timestamp,
};

use super::{NodeObserved, roster::Listed};
use crate::gossip::{GossipMember, Pulse};

/// How this node's stream from another stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// None is kept, or none was tried yet.
    Never,
    /// Statements come.
    Up,
    /// It broke, or cannot be opened.
    Broken,
}

/// All that speaks for or against a node's being alive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    /// Whether it is the node that asks.
    pub(super) own: bool,
    /// The stream from it.
    pub(super) stream: Stream,
    /// Its newest statement and when it came.
    pub(super) statement: Option<(&'a Arc<NodeStatus>, Instant)>,
    /// What gossip has of it.
    pub(super) gossip: Option<&'a GossipMember>,
}

/// Joins the evidence for a node with what was shown of it before.
pub(super) fn merge(
    before: Option<&NodeObserved>,
    listed: &Listed,
    evidence: &Evidence<'_>,
    now: Timestamp,
) -> NodeObserved {
    let alive = alive(evidence);
    // Gossip remembers the dead for a while: one that it knows of has lived, though this node never saw it.
    let lived = evidence.gossip.is_some_and(|member| member.pulse.has_lived());
    let ever = alive || lived || before.is_some_and(|it| it.seen.ever);
    let seen = Seen { ever, alive, verified: verified(listed, evidence) };
    let phase = phase(listed.drain.as_ref(), seen);
    let same = before.filter(|it| it.phase == phase);
    NodeObserved {
        phase,
        since: same.map_or(Some(now), |it| it.since),
        seen,
        status: evidence.statement.map(|(status, _)| Arc::clone(status)),
        received: evidence.statement.map(|(_, received)| received),
    }
}

/// A node is dead as soon as its stream breaks or gossip gives it up, whichever is first; a statement that came after
/// gossip gave it up shows that only gossip fails.
fn alive(evidence: &Evidence<'_>) -> bool {
    if evidence.own {
        return true;
    }
    match evidence.stream {
        Stream::Broken => false,
        Stream::Never => evidence.gossip.is_some_and(|member| member.pulse.is_alive()),
        Stream::Up => {
            let heard = evidence.statement.map(|(_, received)| received);
            let given_up = evidence.gossip.filter(|member| member.pulse == Pulse::Dead).map(|member| member.since);
            given_up.is_none_or(|since| heard.is_some_and(|heard| heard > since))
        }
    }
}

/// Whether a node has applied what was last declared of it and has looked at every engine it should have.
fn verified(listed: &Listed, evidence: &Evidence<'_>) -> bool {
    match (evidence.statement, evidence.gossip.and_then(|member| member.state.as_ref())) {
        (Some((status, _)), _) => {
            let looked_at = |spec: &EngineSpec| {
                status.engines.iter().any(|it| it.name == spec.name && it.kind == spec.kind && it.url == spec.url)
            };
            status.applied >= listed.revision && listed.spec.engines.iter().all(looked_at)
        }
        (None, Some(state)) => state.verified && state.applied >= listed.revision,
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_core::{
        id::{Digest, NodeName, ObjectName, Principal, Revision},
        kind::{DrainKind, DrainMode, DrainSpec, EngineKind, NodeSpec},
        status::{EngineSample, HostSample, Phase, Probe},
    };

    use super::*;
    use crate::gossip::GossipState;

    fn engine() -> EngineSpec {
        EngineSpec {
            name: ObjectName::new("e").unwrap(),
            kind: EngineKind::Vllm,
            url: "http://127.0.0.1:1".into(),
            models: Vec::new(),
            capacity: None,
        }
    }

    fn listed() -> Listed {
        let spec = NodeSpec { engines: vec![engine()], ..NodeSpec::default() };
        Listed { spec, revision: Revision(10), drain: None, revoked: false }
    }

    fn status(applied: u64, engines: &[&str]) -> Arc<NodeStatus> {
        let sample = |url: &&str| EngineSample {
            name: engine().name,
            kind: engine().kind,
            url: (*url).to_owned(),
            up: false,
            error: None,
            models: Vec::new(),
            running: None,
            waiting: None,
            kv_used: None,
            capacity: None,
            age_ms: 0,
        };
        Arc::new(NodeStatus {
            node: NodeName::new("node-7").unwrap(),
            generation: 1,
            version: "0.1.0".into(),
            digest: Digest([0; 32]),
            applied: Revision(applied),
            host: HostSample::default(),
            gpus: Probe::Unavailable("none".into()),
            engines: engines.iter().map(sample).collect(),
            router: None,
            unreachable: Vec::new(),
        })
    }

    fn member(pulse: Pulse, since: Instant, verified: bool) -> GossipMember {
        let state = GossipState {
            version: "0.1.0".into(),
            api: "127.0.0.1:1".parse().unwrap(),
            verified,
            applied: Revision(10),
        };
        GossipMember { generation: 1, pulse, since, state: Some(state) }
    }

    #[test]
    fn the_first_of_stream_and_gossip_says_dead() {
        let t0 = Instant::now();
        let at = |seconds: u64| t0 + Duration::from_secs(seconds);
        let said = status(10, &["http://127.0.0.1:1"]);
        let check = |own, stream, heard: Option<u64>, gossip: Option<(Pulse, u64)>, expected: bool| {
            let member = gossip.map(|(pulse, since)| member(pulse, at(since), true));
            let statement = heard.map(|seconds| (&said, at(seconds)));
            let evidence = Evidence { own, stream, statement, gossip: member.as_ref() };
            assert_eq!(alive(&evidence), expected, "{own} {stream:?} {heard:?} {gossip:?}");
        };
        let (fresh, live, dead) = (Pulse::Fresh, Pulse::Live, Pulse::Dead);
        check(true, Stream::Never, None, None, true);
        check(false, Stream::Never, None, None, false);
        check(false, Stream::Never, None, Some((live, 1)), true);
        check(false, Stream::Never, None, Some((Pulse::Reborn, 1)), true);
        check(false, Stream::Never, None, Some((fresh, 1)), false);
        check(false, Stream::Never, None, Some((dead, 1)), false);
        check(false, Stream::Up, Some(5), None, true);
        check(false, Stream::Up, Some(5), Some((live, 1)), true);
        // Gossip does not know yet, which is no word against it.
        check(false, Stream::Up, Some(5), Some((fresh, 6)), true);
        // Gossip gave it up, and nothing came since.
        check(false, Stream::Up, Some(5), Some((dead, 6)), false);
        // Its stream speaks on: only gossip fails.
        check(false, Stream::Up, Some(7), Some((dead, 6)), true);
        check(false, Stream::Broken, Some(5), Some((live, 1)), false);
        check(false, Stream::Broken, None, None, false);
    }

    #[test]
    fn a_phase_is_shown_with_its_beginning() {
        let t0 = Instant::now();
        let (up, right) = (Stream::Up, "http://127.0.0.1:1");
        let drain = |drained_at| DrainSpec {
            mode: DrainMode::Drain,
            reason: None,
            kind: DrainKind::Operator,
            by: "spiffe://lab/operator/ada".parse::<Principal>().unwrap(),
            at: Timestamp(1),
            deadline: None,
            force: false,
            drained_at,
        };
        let mut before: Option<NodeObserved> = None;
        let mut step = |at: u64, stream, said: Option<Arc<NodeStatus>>, drain, phase: Phase, since: u64| {
            let listed = Listed { drain, ..listed() };
            let statement = said.as_ref().map(|said| (said, t0));
            let evidence = Evidence { own: false, stream, statement, gossip: None };
            let now = merge(before.as_ref(), &listed, &evidence, Timestamp(at));
            assert_eq!((now.phase, now.since), (phase, Some(Timestamp(since))), "at {at}");
            before = Some(now);
        };
        step(1, Stream::Never, None, None, Phase::Joining, 1);
        step(2, Stream::Broken, None, None, Phase::Joining, 1);
        step(3, up, Some(status(9, &[right])), None, Phase::Verifying, 3);
        step(4, up, Some(status(10, &[])), None, Phase::Verifying, 3);
        step(5, up, Some(status(10, &["http://127.0.0.1:2"])), None, Phase::Verifying, 3);
        step(6, up, Some(status(10, &[right])), None, Phase::Ready, 6);
        step(7, up, Some(status(11, &[right])), None, Phase::Ready, 6);
        step(8, up, Some(status(11, &[right])), Some(drain(None)), Phase::Draining, 8);
        step(9, Stream::Broken, Some(status(11, &[right])), Some(drain(None)), Phase::Lost, 9);
        step(10, up, Some(status(11, &[right])), Some(drain(Some(Timestamp(9)))), Phase::Drained, 10);
        step(11, up, Some(status(11, &[right])), None, Phase::Ready, 11);
    }

    #[test]
    fn without_a_stream_gossip_says_whether_a_node_is_verified() {
        let check = |pulse, verified, revision: u64, expected: Phase| {
            let member = member(pulse, Instant::now(), verified);
            let evidence = Evidence { own: false, stream: Stream::Never, statement: None, gossip: Some(&member) };
            let listed = Listed { revision: Revision(revision), ..listed() };
            assert_eq!(merge(None, &listed, &evidence, Timestamp(1)).phase, expected);
        };
        check(Pulse::Live, true, 10, Phase::Ready);
        check(Pulse::Live, true, 11, Phase::Verifying);
        check(Pulse::Live, false, 10, Phase::Verifying);
        check(Pulse::Dead, true, 10, Phase::Lost);
        check(Pulse::Fresh, true, 10, Phase::Joining);
    }
}
