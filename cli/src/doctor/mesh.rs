//! What is wrong with the mesh as a whole: who answers, who votes.

use mesh_core::status::Phase;
use mesh_tui::{ClusterView, VoterView};

use super::{DoorView, Finding, Picture, Refused, Severity, revive};
use crate::human::duration;

pub(super) fn findings(picture: &Picture) -> Vec<Finding> {
    let mut findings = doors(picture);
    if let Some(cluster) = &picture.cluster {
        findings.extend(quorum(picture, cluster));
    }
    findings
}

/// Agents that do not answer. Of a node that is known to be lost the node's own finding says enough.
fn doors(picture: &Picture) -> Vec<Finding> {
    let refused: Vec<(&DoorView, &Refused)> =
        picture.doors.iter().filter_map(|door| Some((door, door.refusal.as_ref()?))).collect();
    if refused.len() == picture.doors.len() && refused.len() > 1 {
        return vec![nobody(picture, &refused)];
    }
    let is_lost = |node: &str| {
        let rows = picture.nodes.as_deref().unwrap_or_default();
        rows.iter().any(|row| row.view.node.as_str() == node && row.view.phase == Phase::Lost)
    };
    let told = refused.into_iter().filter(|(door, _)| !is_lost(door.node.as_str()));
    told.map(|(door, refused)| {
        let next = match refused.is_identity {
            true => identity_next(picture),
            false => revive(picture, door.node.as_str()),
        };
        let what = format!("its agent does not answer at {}", door.api);
        Finding::new(Severity::Error, format!("node/{}", door.node), what, next).why(refused.why.clone())
    })
    .collect()
}

fn nobody(picture: &Picture, refused: &[(&DoorView, &Refused)]) -> Finding {
    let what = format!("none of the {} agents of the context answers", refused.len());
    let (first, is_identity) = (&refused[0], refused.iter().all(|(_, refused)| refused.is_identity));
    let next = match (is_identity, picture.is_local) {
        (true, _) => identity_next(picture),
        (false, true) => "mesh up".to_owned(),
        (false, false) => {
            format!("mesh context ls; then from here: nc -vz {} {}", first.0.api.ip(), first.0.api.port())
        }
    };
    Finding::new(Severity::Error, "mesh", what, next).why(format!("{}: {}", first.0.node, first.1.why))
}

fn identity_next(picture: &Picture) -> String {
    match picture.is_local {
        true => "mesh up".to_owned(),
        false => "mesh context ls; mesh get bindings".to_owned(),
    }
}

/// Voters that are missing, and how many more may be.
fn quorum(picture: &Picture, cluster: &ClusterView) -> Option<Finding> {
    let (missing, there): (Vec<&VoterView>, Vec<&VoterView>) = cluster.voters.iter().partition(|it| it.missing);
    let needed = cluster.voters.len() / 2 + 1;
    let names: Vec<String> = missing.iter().map(|it| missed(it)).collect();
    let next = missing.first().map_or_else(|| "mesh cluster status".to_owned(), |it| revive(picture, &it.node));
    let why = format!("{} of {} voters are there, {needed} are needed", there.len(), cluster.voters.len());
    let why = if names.is_empty() { why } else { format!("{why}; missing: {}", names.join(", ")) };
    if !cluster.quorum {
        let what = "no quorum: nothing can be changed, nodes serve on with what they know";
        return Some(Finding::new(Severity::Error, "mesh", what, next).why(why));
    }
    if missing.is_empty() {
        return None;
    }
    let spare = there.len().saturating_sub(needed);
    let what = match spare {
        0 => "one voter more that goes missing, and nothing can be changed any more".to_owned(),
        spare => format!("voters are missing; {spare} more may go"),
    };
    Some(Finding::new(Severity::Warning, "mesh", what, next).why(why))
}

fn missed(voter: &VoterView) -> String {
    match voter.heard_ms {
        Some(ms) => format!("{} (last heard {} ago)", voter.node, duration(ms)),
        None => format!("{} (not heard)", voter.node),
    }
}
