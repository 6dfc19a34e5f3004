//! Tables of every kind but nodes: the columns people look for.

use mesh_core::{
    kind::{
        ActivationSpec, BindingSpec, DrainMode, DrainSpec, Kind, PolicySpec, RevocationSpec, Spec, StrategySpec,
        TokenSpec, parse,
    },
    time::Timestamp,
};
use mesh_proto::v1;

use crate::{
    human::{self, UNKNOWN, bytes, duration},
    output::Table,
};

/// Draws objects of one kind as they are at `now`.
pub(crate) fn table(kind: Kind, objects: &[v1::Object], now: Timestamp) -> Table {
    match kind {
        Kind::Drain => {
            rows(objects, &["MODE", "REASON", "BY", "AGE", "DEADLINE", "DRAINED"], |it: &DrainSpec| drain(it, now))
        }
        Kind::Strategy => rows(objects, &["VERSION", "DIGEST", "SIZE", "SIGNED", "BY", "AGE"], |it: &StrategySpec| {
            let signed = if it.signature.is_some() { "yes" } else { "no" };
            vec![
                it.version.clone(),
                it.digest.short(),
                bytes(it.size_bytes),
                signed.into(),
                it.by.name.to_string(),
                age(it.at, now),
            ]
        }),
        Kind::Activation => rows(objects, &["SEQ", "ACTIVE", "PREVIOUS", "BY", "AGE"], |it: &ActivationSpec| {
            vec![
                it.seq.to_string(),
                it.active.to_string(),
                it.previous.to_string(),
                it.by.name.to_string(),
                age(it.at, now),
            ]
        }),
        Kind::Token => {
            rows(objects, &["NODES", "ROLES", "USES", "EXPIRES", "BY", "AGE"], |it: &TokenSpec| token(it, now))
        }
        Kind::Policy => rows(objects, &["REQUIRE SIGNED", "REQUIRE REASON", "TRUSTED KEYS"], |it: &PolicySpec| {
            vec![it.require_signed.to_string(), it.require_reason.to_string(), it.trusted_keys.len().to_string()]
        }),
        Kind::Binding => rows(objects, &["ROLE"], |it: &BindingSpec| vec![it.role.as_str().to_owned()]),
        Kind::Revocation => {
            rows(objects, &["ID", "REASON"], |it: &RevocationSpec| vec![it.id.to_string(), it.reason.clone()])
        }
        // Nodes have a table of their own, with what is observed; this is what remains without it.
        Kind::Node => rows(objects, &[], |_: &mesh_core::kind::NodeSpec| Vec::new()),
    }
}

fn rows<S: Spec>(objects: &[v1::Object], titles: &[&'static str], cells: impl Fn(&S) -> Vec<String>) -> Table {
    let mut all = vec!["NAME", "REVISION"];
    all.extend(titles);
    let mut table = Table::new(&all);
    for object in objects {
        let mut row = vec![object.name.clone(), object.revision.to_string()];
        // A spec of a newer release may not parse here: its name is still true.
        row.extend(
            parse::<S>(&object.spec).map_or_else(|_| vec![UNKNOWN.to_owned(); titles.len()], |spec| cells(&spec)),
        );
        table.row(row);
    }
    table
}

fn age(at: Timestamp, now: Timestamp) -> String {
    duration(at.age_ms(now))
}

/// How far an instant lies ahead, or that it is past.
fn ahead(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", duration(now.age_ms(at))) } else { "past".to_owned() }
}

fn drain(it: &DrainSpec, now: Timestamp) -> Vec<String> {
    let mode = if it.mode == DrainMode::Drain { "drain" } else { "cordon" };
    vec![
        mode.into(),
        it.reason.clone().unwrap_or_else(|| "none given".into()),
        it.by.name.to_string(),
        age(it.at, now),
        human::or_dash(it.deadline.map(|at| ahead(at, now))),
        human::or_dash(it.drained_at.map(|at| format!("{} ago", age(at, now)))),
    ]
}

fn token(it: &TokenSpec, now: Timestamp) -> Vec<String> {
    let roles: Vec<String> = it.roles.iter().map(ToString::to_string).collect();
    vec![
        it.nodes.clone(),
        roles.join(","),
        format!("{}/{}", it.uses.len(), it.uses_max),
        ahead(it.expires, now),
        it.by.name.to_string(),
        age(it.at, now),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, name: &str, spec: &'static str) -> v1::Object {
        v1::Object {
            kind: kind.into(),
            name: name.into(),
            revision: 9,
            spec: bytes::Bytes::from_static(spec.as_bytes()),
        }
    }

    #[test]
    fn every_kind_has_its_columns() {
        let now = Timestamp(1_763_718_723_042);
        let check = |kind: Kind, spec: &'static str, expected: &str| {
            let text = table(kind, &[object(kind.as_str(), "x", spec)], now).render(false, false, false);
            assert_eq!(text.trim_end(), expected);
        };
        let by = r#""by":"spiffe://m/operator/ada","at":"2025-11-21T09:50:03.042Z""#;
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        check(
            Kind::Drain,
            leak(format!(r#"{{"mode":"drain","kind":"operator",{by},"deadline":"2025-11-21T10:20:03.042Z"}}"#)),
            "x   9   drain   none given   ada   2m   in 28m   -",
        );
        check(
            Kind::Activation,
            leak(format!(
                r#"{{"seq":2,"active":{{"builtin":"least_queue"}},"previous":{{"builtin":"baseline_rr"}},{by}}}"#
            )),
            "x   9   2   least_queue (built in)   baseline_rr (built in)   ada   2m",
        );
        check(Kind::Binding, r#"{"role":"viewer"}"#, "x   9   viewer");
        check(Kind::Policy, r#"{"require_signed":true,"require_reason":false}"#, "x   9   true   false   0");
        check(Kind::Binding, r#"{"role":"emperor"}"#, "x   9   -");
    }
}
