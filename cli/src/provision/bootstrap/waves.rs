//! In which order hosts are changed: new ones at once, those in service a few at a time. Pure.

use std::time::Duration;

use crate::hosts::Rolling;

/// A host that is to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Its name.
    pub(crate) name: String,
    /// Whether it votes.
    pub(crate) is_coordinator: bool,
    /// Whether it serves already: a change may interrupt it.
    pub(crate) is_in_service: bool,
}

/// Hosts that are changed at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wave {
    /// Their names.
    pub(crate) hosts: Vec<String>,
    /// How long the mesh is left alone before them.
    pub(crate) pause: Duration,
    /// Whether the mesh must be whole again before the next wave.
    pub(crate) settle: bool,
    /// Whether it shows what the change does: when it fails here, nothing else in service is changed.
    pub(crate) is_trial: bool,
}

/// Orders hosts into waves.
///
/// What serves nobody yet needs no care: it goes first, all at once, coordinators ahead. Then coordinators in service
/// go one at a time, since the others must keep a majority; then a canary; then batches. A coordinator or a canary that
/// fails is the last in service that is touched.
pub(crate) fn order(candidates: &[Candidate], rolling: &Rolling) -> Vec<Wave> {
    let names = |keep: &dyn Fn(&&Candidate) -> bool| -> Vec<String> {
        candidates.iter().filter(keep).map(|it| it.name.clone()).collect()
    };
    let mut fresh = names(&|it| !it.is_in_service && it.is_coordinator);
    fresh.extend(names(&|it| !it.is_in_service && !it.is_coordinator));
    let mut waves = Vec::new();
    if !fresh.is_empty() {
        waves.push(Wave { hosts: fresh, pause: Duration::ZERO, settle: false, is_trial: false });
    }
    let mut add = |hosts: Vec<String>, is_trial: bool| {
        let pause = if waves.iter().any(|it: &Wave| it.settle) { rolling.pause } else { Duration::ZERO };
        waves.push(Wave { hosts, pause, settle: true, is_trial });
    };
    for name in names(&|it| it.is_in_service && it.is_coordinator) {
        // The others keep a majority only while one is away.
        add(vec![name], true);
    }
    let rest = names(&|it| it.is_in_service && !it.is_coordinator);
    let count = |it: u32| usize::try_from(it).unwrap_or(usize::MAX);
    let (canary, rest) = rest.split_at(count(rolling.canary).min(rest.len()));
    if !canary.is_empty() {
        add(canary.to_vec(), true);
    }
    let all = u32::try_from(rest.len() + canary.len()).unwrap_or(u32::MAX);
    for batch in rest.chunks(count(rolling.batch.of(all)).max(1)) {
        add(batch.to_vec(), false);
    }
    waves
}

/// Whether so many failures are too many to begin anything else. A host that could not be reached at all counts as one
/// only for waves over hosts in service: a dead host must not keep a new fleet from coming up.
pub(crate) fn is_too_many(failures: usize, hosts: usize, rolling: &Rolling) -> bool {
    let all = u32::try_from(hosts).unwrap_or(u32::MAX);
    failures > usize::try_from(rolling.max_failures.of(all)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::Share;

    fn rolling() -> Rolling {
        Rolling { batch: Share::Percent(50), pause: Duration::from_secs(10), canary: 1, max_failures: Share::Count(1) }
    }

    #[test]
    fn coordinators_in_service_go_one_by_one() {
        let check = |hosts: &str, expected: &str| {
            let candidates: Vec<Candidate> = hosts
                .split_whitespace()
                .map(|it| Candidate {
                    name: it.trim_end_matches(['*', '!']).to_owned(),
                    is_coordinator: it.starts_with('c'),
                    is_in_service: it.ends_with('!'),
                })
                .collect();
            let waves: Vec<String> = order(&candidates, &rolling())
                .iter()
                .map(|it| {
                    let (pause, trial) =
                        (if it.pause.is_zero() { "" } else { "~" }, if it.is_trial { "?" } else { "" });
                    format!("{}{trial}{pause}", it.hosts.join("+"))
                })
                .collect();
            assert_eq!(waves.join(" "), expected, "{hosts}");
        };
        check("", "");
        check("g1 c1 c2 g2", "c1+c2+g1+g2");
        check("c1! c2! g1!", "c1? c2?~ g1?~");
        check("g1! g2! g3! g4! g5!", "g1? g2+g3~ g4+g5~");
        check("g9 c1! g1!", "g9 c1? g1?~");
    }

    #[test]
    fn failures_are_counted_against_the_limit() {
        assert!(!is_too_many(1, 10, &rolling()));
        assert!(is_too_many(2, 10, &rolling()));
        let none = Rolling { max_failures: Share::Percent(0), ..rolling() };
        assert!(is_too_many(1, 10, &none) && !is_too_many(0, 10, &none));
    }
}
