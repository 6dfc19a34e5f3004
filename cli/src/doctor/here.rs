//! What is wrong on this machine.

use super::{Finding, Picture, Severity};
use crate::human::{bytes, duration};

/// A certificate with less left than this may end before the next command renews it.
const CERTIFICATE_LEFT_MS: u64 = 60 * 60 * 1000;
/// A file system with a smaller part free is nearly full.
const DISK_FREE_PERCENT: u64 = 5;
/// Below this a journal or a credential may not be written any more.
const DISK_FREE_BYTES: u64 = 256 * 1024 * 1024;

pub(super) fn findings(picture: &Picture) -> Vec<Finding> {
    let mut findings: Vec<Finding> = picture.broken.iter().map(broken).collect();
    findings.extend(certificate(picture));
    findings.extend(disk(picture));
    findings
}

fn broken(failure: &crate::Failure) -> Finding {
    let next = failure.next.clone().unwrap_or_else(|| "mesh context ls".to_owned());
    let mut finding = Finding::new(Severity::Error, "this machine", failure.what.clone(), next);
    let parts: Vec<&str> = [&failure.place, &failure.why].into_iter().flatten().map(String::as_str).collect();
    if !parts.is_empty() {
        finding = finding.why(parts.join(": "));
    }
    finding
}

fn certificate(picture: &Picture) -> Option<Finding> {
    let it = picture.certificate.as_ref()?;
    let anew = match picture.is_local {
        true => "mesh up".to_owned(),
        false => {
            format!("mesh cert issue {}, by whoever holds the root; or mesh bootstrap HOSTS.yaml again", it.me.name)
        }
    };
    if picture.now < it.not_before {
        let ahead = duration(picture.now.age_ms(it.not_before));
        let what = "the clock of this machine is behind the one that made the certificate";
        return Some(
            Finding::new(Severity::Error, "clock", what, "timedatectl status")
                .why(format!("the certificate of {} begins in {ahead}", it.me.name)),
        );
    }
    if picture.now >= it.not_after {
        let what =
            format!("the certificate of {} ended {} ago", it.me.name, duration(it.not_after.age_ms(picture.now)));
        return Some(Finding::new(Severity::Error, "credentials", what, anew));
    }
    let left = picture.now.age_ms(it.not_after);
    (left < CERTIFICATE_LEFT_MS).then(|| {
        let what = format!("the certificate of {} ends in {}", it.me.name, duration(left));
        Finding::new(Severity::Warning, "credentials", what, anew)
            .why("every command tries to renew it, and that has not worked lately")
    })
}

fn disk(picture: &Picture) -> Option<Finding> {
    let disk = picture.disk.as_ref()?;
    let is_low = disk.free_bytes < DISK_FREE_BYTES || disk.free_bytes / DISK_FREE_PERCENT < disk.total_bytes / 100;
    is_low.then(|| {
        let what = format!("{} of {} are free at {}", bytes(disk.free_bytes), bytes(disk.total_bytes), disk.path);
        Finding::new(Severity::Warning, "disk", what, format!("df -h {}", disk.path))
    })
}
