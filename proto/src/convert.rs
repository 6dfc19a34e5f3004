//! Core types to wire messages and back; what comes from the wire is checked and bounded here.

use mesh_core::{
    gpu::{EccErrors, ThrottleReasons},
    id::{Digest, IdError, NodeName, ObjectName, Revision},
    kind::{EngineKind, Kind, UnknownKind},
    object::{Key, Object},
    status::{
        DecisionCount, EngineSample, GpuSample, HostSample, InflightSample, LoadedStrategy, NodeStatus, Phase, Probe,
        RouterSample,
    },
    traffic::{AnswerCount, LatencyHistogram, ModelTraffic},
};

use crate::v1;

/// The most entries any list of a status may have; more is refused as hostile.
pub const LIST_MAX: usize = 4096;
/// The longest text in a status, in bytes.
pub const TEXT_BYTES_MAX: usize = 8192;

/// The most status codes of one model; HTTP has fewer.
const CODES_MAX: usize = 512;
/// The most buckets of one histogram.
const BUCKETS_MAX: usize = 64;

/// Why a message is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A name or a digest is not one.
    #[error("field `{field}`")]
    Id {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        #[source]
        source: IdError,
    },
    /// A kind that does not exist here.
    #[error("field `kind`")]
    Kind(#[source] UnknownKind),
    /// A word outside its set.
    #[error("field `{field}`: `{word}` is not one of its words")]
    Word {
        /// The field.
        field: &'static str,
        /// The word.
        word: String,
    },
    /// A list or a text that is too long.
    #[error("field `{0}` is too long")]
    TooLong(&'static str),
}

fn id<T: std::str::FromStr<Err = IdError>>(field: &'static str, text: &str) -> Result<T, ConvertError> {
    text.parse().map_err(|source| ConvertError::Id { field, source })
}

fn bounded<T>(field: &'static str, list: &[T]) -> Result<(), ConvertError> {
    if list.len() > LIST_MAX { Err(ConvertError::TooLong(field)) } else { Ok(()) }
}

fn text(field: &'static str, text: String) -> Result<String, ConvertError> {
    if text.len() > TEXT_BYTES_MAX { Err(ConvertError::TooLong(field)) } else { Ok(text) }
}

fn finite(value: Option<f32>) -> Option<f32> {
    value.filter(|it| it.is_finite())
}

impl From<&Object> for v1::Object {
    fn from(object: &Object) -> Self {
        Self {
            kind: object.key.kind.to_string(),
            name: object.key.name.to_string(),
            revision: object.revision.0,
            spec: object.spec.clone(),
        }
    }
}

/// Reads the key of an object, an item or a request.
///
/// # Errors
/// [`ConvertError`] naming the field that is no kind or no name.
pub fn key(kind: &str, name: &str) -> Result<Key, ConvertError> {
    let kind: Kind = kind.parse().map_err(ConvertError::Kind)?;
    Ok(Key { kind, name: id("name", name)? })
}

impl TryFrom<v1::Object> for Object {
    type Error = ConvertError;
    fn try_from(object: v1::Object) -> Result<Self, ConvertError> {
        let key = key(&object.kind, &object.name)?;
        Ok(Self { key, revision: Revision(object.revision), spec: object.spec })
    }
}

impl From<&HostSample> for v1::HostSample {
    fn from(it: &HostSample) -> Self {
        Self {
            cpus: it.cpus,
            load_1m: it.load_1m,
            memory_bytes: it.memory_bytes,
            memory_available_bytes: it.memory_available_bytes,
            kernel: it.kernel.clone(),
        }
    }
}

impl From<v1::HostSample> for HostSample {
    fn from(it: v1::HostSample) -> Self {
        Self {
            cpus: it.cpus,
            load_1m: finite(it.load_1m),
            memory_bytes: it.memory_bytes,
            memory_available_bytes: it.memory_available_bytes,
            kernel: it.kernel.filter(|text| text.len() <= 256),
        }
    }
}

impl From<&GpuSample> for v1::GpuSample {
    fn from(it: &GpuSample) -> Self {
        Self {
            index: it.index,
            uuid: it.uuid.clone(),
            name: it.name.clone(),
            utilisation_percent: it.utilisation_percent,
            memory_used_bytes: it.memory_used_bytes,
            memory_total_bytes: it.memory_total_bytes,
            temperature_c: it.temperature_c,
            power_w: it.power_w,
            power_limit_w: it.power_limit_w,
            sm_clock_mhz: it.sm_clock_mhz,
            memory_clock_mhz: it.memory_clock_mhz,
            throttle_reasons: it.throttle_reasons.map(|it| it.0),
            ecc_volatile_corrected: it.ecc.volatile_corrected,
            ecc_volatile_uncorrected: it.ecc.volatile_uncorrected,
            ecc_aggregate_corrected: it.ecc.aggregate_corrected,
            ecc_aggregate_uncorrected: it.ecc.aggregate_uncorrected,
            pcie_replays: it.pcie_replays,
            error: it.error.clone(),
        }
    }
}

impl From<v1::GpuSample> for GpuSample {
    fn from(it: v1::GpuSample) -> Self {
        Self {
            index: it.index,
            uuid: it.uuid.filter(|text| text.len() <= 256),
            name: it.name.filter(|text| text.len() <= 256),
            utilisation_percent: finite(it.utilisation_percent),
            memory_used_bytes: it.memory_used_bytes,
            memory_total_bytes: it.memory_total_bytes,
            temperature_c: finite(it.temperature_c),
            power_w: finite(it.power_w),
            power_limit_w: finite(it.power_limit_w),
            sm_clock_mhz: it.sm_clock_mhz,
            memory_clock_mhz: it.memory_clock_mhz,
            throttle_reasons: it.throttle_reasons.map(ThrottleReasons),
            ecc: EccErrors {
                volatile_corrected: it.ecc_volatile_corrected,
                volatile_uncorrected: it.ecc_volatile_uncorrected,
                aggregate_corrected: it.ecc_aggregate_corrected,
                aggregate_uncorrected: it.ecc_aggregate_uncorrected,
            },
            pcie_replays: it.pcie_replays,
            // Cut and not dropped: that there is an error is what matters.
            error: it.error.map(|text| text.chars().take(256).collect()),
        }
    }
}

impl From<&EngineSample> for v1::EngineSample {
    fn from(it: &EngineSample) -> Self {
        Self {
            name: it.name.to_string(),
            kind: it.kind.to_string(),
            url: it.url.clone(),
            up: it.up,
            error: it.error.clone(),
            models: it.models.clone(),
            running: it.running,
            waiting: it.waiting,
            kv_used: it.kv_used,
            capacity: it.capacity,
            age_ms: it.age_ms,
        }
    }
}

fn engine_kind(word: &str) -> Result<EngineKind, ConvertError> {
    [EngineKind::Vllm, EngineKind::Llamacpp, EngineKind::Standin]
        .into_iter()
        .find(|kind| kind.to_string() == word)
        .ok_or_else(|| ConvertError::Word { field: "engine.kind", word: word.chars().take(80).collect() })
}

impl TryFrom<v1::EngineSample> for EngineSample {
    type Error = ConvertError;
    fn try_from(it: v1::EngineSample) -> Result<Self, ConvertError> {
        bounded("engine.models", &it.models)?;
        Ok(Self {
            name: id("engine.name", &it.name)?,
            kind: engine_kind(&it.kind)?,
            url: text("engine.url", it.url)?,
            up: it.up,
            error: it.error.map(|error| text("engine.error", error)).transpose()?,
            models: it.models.into_iter().map(|model| text("engine.models", model)).collect::<Result<_, _>>()?,
            running: it.running,
            waiting: it.waiting,
            kv_used: finite(it.kv_used),
            capacity: finite(it.capacity),
            age_ms: it.age_ms,
        })
    }
}

impl From<&RouterSample> for v1::RouterSample {
    fn from(it: &RouterSample) -> Self {
        let inflight = it.inflight.iter().map(|it| v1::InflightSample {
            node: it.node.to_string(),
            engine: it.engine.to_string(),
            model: it.model.clone(),
            count: it.count,
            oldest_ms: it.oldest_ms,
        });
        let decisions = it.decisions.iter().map(|it| v1::DecisionCount {
            strategy: it.strategy.clone(),
            version: it.version.clone(),
            outcome: it.outcome.clone(),
            count: it.count,
        });
        Self {
            listen: it.listen.clone(),
            metrics: it.metrics.clone(),
            acked: it.acked.0,
            inflight: inflight.collect(),
            queued: it.queued,
            strategy: it.strategy.as_ref().map(|it| v1::LoadedStrategy {
                name: it.name.clone(),
                version: it.version.clone(),
                digest: it.digest.map(|digest| digest.to_string()),
                seq: it.seq,
                error: it.error.clone(),
            }),
            decisions: decisions.collect(),
            age_ms: it.age_ms,
            traffic: it.traffic.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::RouterSample> for RouterSample {
    type Error = ConvertError;
    fn try_from(it: v1::RouterSample) -> Result<Self, ConvertError> {
        bounded("router.inflight", &it.inflight)?;
        bounded("router.decisions", &it.decisions)?;
        bounded("router.traffic", &it.traffic)?;
        Ok(Self {
            listen: text("router.listen", it.listen)?,
            metrics: text("router.metrics", it.metrics)?,
            acked: Revision(it.acked),
            inflight: it.inflight.into_iter().map(inflight).collect::<Result<_, _>>()?,
            queued: it.queued,
            strategy: it.strategy.map(loaded).transpose()?,
            decisions: it.decisions.into_iter().map(decision).collect::<Result<_, _>>()?,
            traffic: it.traffic.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            age_ms: it.age_ms,
        })
    }
}

impl From<&ModelTraffic> for v1::ModelTraffic {
    fn from(it: &ModelTraffic) -> Self {
        let answers = it.answers.iter().map(|it| v1::AnswerCount { code: it.code.into(), count: it.count });
        Self {
            model: it.model.clone(),
            answers: answers.collect(),
            retries: it.retries,
            ttft_bounds_s: it.ttft.bounds_s.clone(),
            ttft_counts: it.ttft.counts.clone(),
        }
    }
}

impl TryFrom<v1::ModelTraffic> for ModelTraffic {
    type Error = ConvertError;
    fn try_from(it: v1::ModelTraffic) -> Result<Self, ConvertError> {
        if it.answers.len() > CODES_MAX {
            return Err(ConvertError::TooLong("traffic.answers"));
        }
        if it.ttft_bounds_s.len() > BUCKETS_MAX {
            return Err(ConvertError::TooLong("traffic.ttft_bounds_s"));
        }
        let is_whole = it.ttft_counts.len() == it.ttft_bounds_s.len() + 1;
        let is_rising = it.ttft_bounds_s.is_sorted_by(|a, b| a < b) && it.ttft_bounds_s.iter().all(|it| it.is_finite());
        // A histogram that is none is unknown, like a number that is none.
        let ttft = if is_whole && is_rising {
            LatencyHistogram { bounds_s: it.ttft_bounds_s, counts: it.ttft_counts }
        } else {
            LatencyHistogram::default()
        };
        let answers = it
            .answers
            .into_iter()
            .filter_map(|it| Some(AnswerCount { code: it.code.try_into().ok()?, count: it.count }));
        Ok(Self { model: text("traffic.model", it.model)?, answers: answers.collect(), retries: it.retries, ttft })
    }
}

fn inflight(it: v1::InflightSample) -> Result<InflightSample, ConvertError> {
    Ok(InflightSample {
        node: id("inflight.node", &it.node)?,
        engine: id::<ObjectName>("inflight.engine", &it.engine)?,
        model: text("inflight.model", it.model)?,
        count: it.count,
        oldest_ms: it.oldest_ms,
    })
}

fn loaded(it: v1::LoadedStrategy) -> Result<LoadedStrategy, ConvertError> {
    Ok(LoadedStrategy {
        name: text("strategy.name", it.name)?,
        version: text("strategy.version", it.version)?,
        digest: it.digest.map(|digest| id::<Digest>("strategy.digest", &digest)).transpose()?,
        seq: it.seq,
        error: it.error.map(|error| text("strategy.error", error)).transpose()?,
    })
}

fn decision(it: v1::DecisionCount) -> Result<DecisionCount, ConvertError> {
    Ok(DecisionCount {
        strategy: text("decision.strategy", it.strategy)?,
        version: text("decision.version", it.version)?,
        outcome: text("decision.outcome", it.outcome)?,
        count: it.count,
    })
}

impl From<&NodeStatus> for v1::NodeStatus {
    fn from(it: &NodeStatus) -> Self {
        let (gpus, gpus_unavailable) = match &it.gpus {
            Probe::Read(gpus) => (gpus.iter().map(Into::into).collect(), None),
            Probe::Unavailable(reason) => (Vec::new(), Some(reason.clone())),
        };
        Self {
            node: it.node.to_string(),
            generation: it.generation,
            version: it.version.clone(),
            digest: it.digest.to_string(),
            applied: it.applied.0,
            host: Some((&it.host).into()),
            gpus,
            gpus_unavailable,
            engines: it.engines.iter().map(Into::into).collect(),
            router: it.router.as_ref().map(Into::into),
            unreachable: it.unreachable.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<v1::NodeStatus> for NodeStatus {
    type Error = ConvertError;
    fn try_from(it: v1::NodeStatus) -> Result<Self, ConvertError> {
        bounded("gpus", &it.gpus)?;
        bounded("engines", &it.engines)?;
        bounded("unreachable", &it.unreachable)?;
        let gpus = match it.gpus_unavailable {
            Some(reason) => Probe::Unavailable(text("gpus_unavailable", reason)?),
            None => Probe::Read(it.gpus.into_iter().map(Into::into).collect()),
        };
        Ok(Self {
            node: id("node", &it.node)?,
            generation: it.generation,
            version: text("version", it.version)?,
            digest: id("digest", &it.digest)?,
            applied: Revision(it.applied),
            host: it.host.unwrap_or_default().into(),
            gpus,
            engines: it.engines.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            router: it.router.map(TryInto::try_into).transpose()?,
            unreachable: it
                .unreachable
                .iter()
                .map(|name| id::<NodeName>("unreachable", name))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Reads a phase by its name.
///
/// # Errors
/// [`ConvertError::Word`] when there is no such phase.
pub fn phase(word: &str) -> Result<Phase, ConvertError> {
    use Phase::{Cordoned, Drained, Draining, Joining, Lost, Ready, Verifying};
    [Joining, Verifying, Ready, Cordoned, Draining, Drained, Lost]
        .into_iter()
        .find(|phase| phase.to_string() == word)
        .ok_or_else(|| ConvertError::Word { field: "phase", word: word.chars().take(80).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> NodeStatus {
        NodeStatus {
            node: NodeName::new("node-7").unwrap(),
            generation: (1 << 32) | 4,
            version: "0.1.0".into(),
            digest: Digest([7; 32]),
            applied: Revision(41),
            host: HostSample { cpus: Some(2), load_1m: Some(0.5), ..HostSample::default() },
            gpus: Probe::Unavailable("libnvidia-ml.so.1: cannot open shared object file".into()),
            engines: vec![EngineSample {
                name: ObjectName::new("sim").unwrap(),
                kind: EngineKind::Standin,
                url: "http://127.0.0.1:9000".into(),
                up: true,
                error: None,
                models: vec!["demo".into()],
                running: Some(3),
                waiting: Some(0),
                kv_used: Some(0.25),
                capacity: None,
                age_ms: 12,
            }],
            router: Some(RouterSample {
                listen: "http://127.0.0.1:8080".into(),
                metrics: "http://127.0.0.1:8080/metrics".into(),
                acked: Revision(40),
                inflight: vec![InflightSample {
                    node: NodeName::new("node-5").unwrap(),
                    engine: ObjectName::new("sim").unwrap(),
                    model: "demo".into(),
                    count: 2,
                    oldest_ms: 900,
                }],
                queued: 0,
                strategy: Some(LoadedStrategy {
                    name: "hybrid".into(),
                    version: "0.1.0".into(),
                    digest: Some(Digest([9; 32])),
                    seq: 2,
                    error: None,
                }),
                decisions: vec![DecisionCount {
                    strategy: "hybrid".into(),
                    version: "0.1.0".into(),
                    outcome: "ok".into(),
                    count: 5,
                }],
                traffic: vec![ModelTraffic {
                    model: "demo".into(),
                    answers: vec![AnswerCount { code: 200, count: 7 }, AnswerCount { code: 429, count: 1 }],
                    retries: 2,
                    ttft: LatencyHistogram { bounds_s: vec![0.1, 1.0], counts: vec![5, 2, 0] },
                }],
                age_ms: 3,
            }),
            unreachable: vec![NodeName::new("node-2").unwrap()],
        }
    }

    fn traffic(status: &mut v1::NodeStatus) -> &mut v1::ModelTraffic {
        &mut status.router.as_mut().unwrap().traffic[0]
    }

    #[test]
    fn a_status_survives_the_wire() {
        let status = status();
        let back = NodeStatus::try_from(v1::NodeStatus::from(&status)).unwrap();
        assert_eq!(back, status);
    }

    #[test]
    fn a_gpu_survives_the_wire() {
        let gpu = GpuSample {
            index: 3,
            power_limit_w: Some(700.0),
            sm_clock_mhz: Some(1980),
            memory_clock_mhz: Some(2619),
            throttle_reasons: Some(ThrottleReasons::HW_SLOWDOWN),
            ecc: EccErrors { volatile_corrected: Some(1), aggregate_uncorrected: Some(0), ..EccErrors::default() },
            pcie_replays: Some(4),
            error: Some("lost".into()),
            ..GpuSample::default()
        };
        assert_eq!(GpuSample::from(v1::GpuSample::from(&gpu)), gpu);
    }

    #[test]
    fn hostile_statuses_are_refused_with_the_field() {
        let check = |spoil: fn(&mut v1::NodeStatus), field: &str| {
            let mut wire = v1::NodeStatus::from(&status());
            spoil(&mut wire);
            let error = NodeStatus::try_from(wire).unwrap_err().to_string();
            assert!(error.contains(field), "{error} lacks {field}");
        };
        check(|it| it.node = "../etc".into(), "node");
        check(|it| it.digest = "00".into(), "digest");
        check(|it| it.unreachable = vec!["a".into(); LIST_MAX + 1], "unreachable");
        check(|it| it.version = "x".repeat(TEXT_BYTES_MAX + 1), "version");
        check(|it| it.engines[0].kind = "abacus".into(), "engine.kind");
        check(|it| traffic(it).ttft_bounds_s = vec![1.0; BUCKETS_MAX + 1], "traffic.ttft_bounds_s");
        check(|it| traffic(it).answers = vec![<_>::default(); CODES_MAX + 1], "traffic.answers");
    }

    #[test]
    fn numbers_that_are_none_stay_unknown() {
        let mut wire = v1::NodeStatus::from(&status());
        wire.engines[0].kv_used = Some(f32::NAN);
        traffic(&mut wire).ttft_bounds_s = vec![1.0, 0.5];
        let status = NodeStatus::try_from(wire).unwrap();
        assert_eq!(status.engines[0].kv_used, None);
        assert_eq!(status.router.unwrap().traffic[0].ttft, LatencyHistogram::default());
    }
}
