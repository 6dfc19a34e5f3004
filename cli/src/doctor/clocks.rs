//! Clocks that are off: of nodes against the others, of this machine against them.

use super::{Finding, Picture, Severity};
use crate::human::duration;

/// A clock that is kept right is never so far off, in milliseconds.
const OFF_MS: u64 = 2_000;
/// Certificates begin five minutes before they are made: from here on the rest of that is soon used up.
const FAR_OFF_MS: u64 = 60_000;
/// With fewer nodes nobody knows which of them is right: this machine decides.
const MEDIAN_OF: usize = 3;

/// A node's clock, as it was measured from this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clock {
    /// The node.
    pub(crate) node: String,
    /// How far it is ahead of this machine's, in milliseconds.
    pub(crate) ahead_ms: i64,
    /// How wrong that may be: half of the time the question took.
    pub(crate) error_ms: u64,
}

pub(super) fn findings(picture: &Picture) -> Vec<Finding> {
    let mut all: Vec<i64> = picture.clocks.iter().map(|it| it.ahead_ms).collect();
    all.sort_unstable();
    let is_median = all.len() >= MEDIAN_OF;
    let right = all.get(all.len() / 2).copied().filter(|_| is_median).unwrap_or(0);
    let whom = if is_median { "the other nodes" } else { "this machine" };
    let mut findings: Vec<Finding> = picture
        .clocks
        .iter()
        .filter_map(|it| {
            let next = match picture.is_local {
                true => "timedatectl status".to_owned(),
                false => format!("on the host of {}: timedatectl set-ntp true, or chronyc makestep", it.node),
            };
            off(it.ahead_ms.saturating_sub(right), it.error_ms, (&format!("node/{}", it.node), "its clock", whom), next)
        })
        .collect();
    if is_median {
        let error = picture.clocks.iter().map(|it| it.error_ms).min().unwrap_or(0);
        let next = "timedatectl set-ntp true, or chronyc makestep".to_owned();
        findings.extend(off(
            right.saturating_neg(),
            error,
            ("this machine", "the clock of this machine", "the nodes"),
            next,
        ));
    }
    findings
}

fn off(ahead_ms: i64, error_ms: u64, (subject, what, whom): (&str, &str, &str), next: String) -> Option<Finding> {
    let surely = ahead_ms.unsigned_abs().saturating_sub(error_ms);
    let severity = match surely {
        0..=OFF_MS => return None,
        ms if ms <= FAR_OFF_MS => Severity::Warning,
        _ => Severity::Error,
    };
    let side = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let text = format!("{what} is {} {side} {whom}", duration(ahead_ms.unsigned_abs()));
    let why =
        "certificates, tokens and deadlines hold by the clock of who looks at them, and logs are told apart by it";
    Some(Finding::new(severity, subject, text, next).why(why))
}
