//! Which hosts of a file are meant. Pure.

use crate::{Exit, Failure, Result, hosts::HostEntry, selector::Selector};

/// Whether a host is meant by `name,name*,label=value`: any part will do.
fn is_meant(entry: &HostEntry, text: &str) -> Result<bool> {
    let wrong = |why: String| {
        Failure::new(Exit::Usage, format!("`{text}` names no hosts"))
            .why(why)
            .next("NAME, NAME*, or LABEL=VALUE, with commas between them")
    };
    for part in text.split(',').map(str::trim) {
        if part.is_empty() {
            return Err(wrong("a part of it is empty".to_owned()));
        }
        let is_meant = if part.contains('=') {
            let mut labels = entry.labels.clone();
            labels.extend(entry.pool.iter().map(|it| ("pool".to_owned(), it.clone())));
            labels.extend(entry.zone.iter().map(|it| ("zone".to_owned(), it.to_string())));
            let role = entry.roles.iter().any(|it| part == format!("role={it}"));
            role || part.parse::<Selector>().map_err(wrong)?.matches(&labels)
        } else {
            mesh_core::kind::name_matches(part, entry.name.as_str())
        };
        if is_meant {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The hosts that are meant, in the order of the file.
pub(crate) fn select(all: &[HostEntry], limit: Option<&str>, exclude: Option<&str>) -> Result<Vec<HostEntry>> {
    let mut chosen = Vec::new();
    for entry in all {
        let is_in = limit.map_or(Ok(true), |it| is_meant(entry, it))?;
        let is_out = exclude.map_or(Ok(false), |it| is_meant(entry, it))?;
        if is_in && !is_out {
            chosen.push(entry.clone());
        }
    }
    if chosen.is_empty() {
        let names: Vec<&str> = all.iter().map(|it| it.name.as_str()).take(20).collect();
        return Err(Failure::new(Exit::Usage, "no host is meant").why(format!("the file has: {}", names.join(", "))));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use mesh_core::kind::Role;

    use super::{super::member::tests::entry, *};

    #[test]
    fn hosts_are_meant_by_name_and_by_label() {
        let mut all = vec![
            entry("ctl-1", "a", &[Role::Coordinator], Some(1)),
            entry("gpu-1", "b", &[Role::Gpu], None),
            entry("gpu-2", "c", &[Role::Gpu], None),
        ];
        all[2].pool = Some("h100".into());
        let check = |limit: Option<&str>, exclude: Option<&str>, expected: &str| {
            let found = select(&all, limit, exclude);
            let names = found.map(|it| it.iter().map(|it| it.name.to_string()).collect::<Vec<_>>().join(" "));
            assert_eq!(names.unwrap_or_else(|failure| failure.what), expected, "{limit:?} {exclude:?}");
        };
        check(None, None, "ctl-1 gpu-1 gpu-2");
        check(Some("gpu-*"), None, "gpu-1 gpu-2");
        check(Some("gpu-1,ctl-1"), None, "ctl-1 gpu-1");
        check(Some("pool=h100"), None, "gpu-2");
        check(Some("role=gpu"), Some("pool=h100"), "gpu-1");
        check(None, Some("gpu-*"), "ctl-1");
        check(Some("gpu-9"), None, "no host is meant");
        check(Some("gpu-1,,"), None, "`gpu-1,,` names no hosts");
    }
}
