//! hosts.yaml as people write it, rightly and wrongly.

use std::path::Path;

use proptest::prelude::*;

use super::*;

/// The example of the manual.
const EXAMPLE: &str = r#"version: 1
mesh: prod-us
defaults:
  ssh: {user: ubuntu, port: 22, identity: [~/.ssh/id_ed25519], jump: [ops@bastion-1], host_key_policy: ask}
  become: {method: sudo, password: prompt}
  network: {bind: 10.20.0.0/16}
  router: {listen: "127.0.0.1:8080", auth: none}
pools:
  h100: {labels: {gpu: h100}, engines: [{kind: vllm, url: "http://{address}:8000"}]}
hosts:
  - {name: "ctl-[1-3]", address: "10.20.0.[1-3]", roles: [coordinator, router], zone: use1-a}
  - {name: "node-[1-32]", address: "10.20.1.[1-32]", roles: [gpu], pool: h100, zone: use1-a, labels: {rack: r14}}
rolling: {batch: 25%, pause: 10s, canary: 1, max_failures: 10%}
"#;

/// One host that can stand alone, for the cases about something else.
const ALONE: &str = "hosts: [{name: a, address: 10.0.0.1, roles: [coordinator, router]}]\n";

fn reading(text: &str) -> Result<Inventory, Vec<Problem>> {
    let variable = |name: &str| (name == "RACK").then(|| "r7".to_owned());
    let around =
        Surroundings { variable: &variable, home: Some(Path::new("/home/ada")), folder: Path::new("/srv/fleet") };
    read("hosts.yaml", text, &around)
}

/// What a person sees of a file, beside the file.
fn shown(text: &str) -> String {
    let said = match reading(text) {
        Ok(inventory) => format!("ok: {} hosts", inventory.hosts.len()),
        Err(problems) => refused("hosts.yaml", &problems).to_string(),
    };
    let numbered: Vec<String> = text.lines().enumerate().map(|(i, line)| format!("{:>3} | {line}", i + 1)).collect();
    format!("{}\n{said}", numbered.join("\n"))
}

/// A file that holds these lines beside its version, its name and one host.
fn beside(lines: &str) -> String {
    shown(&format!("version: 1\nmesh: lab\n{ALONE}{lines}"))
}

/// A file with these hosts.
fn hosting(hosts: &str) -> String {
    shown(&format!("version: 1\nmesh: lab\nhosts:\n{hosts}"))
}

fn snapshot(name: &str, cases: &[String]) {
    insta::assert_snapshot!(name, cases.join("\n\n"));
}

#[test]
fn the_example_of_the_manual_is_right() {
    let inventory = reading(EXAMPLE).unwrap();
    assert_eq!(inventory.mesh.as_str(), "prod-us");
    assert_eq!(inventory.hosts.len(), 35);
    let names: Vec<&str> = inventory.hosts.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names[..5], ["ctl-1", "ctl-2", "ctl-3", "node-1", "node-2"]);
    assert_eq!(inventory.hosts.iter().filter_map(|it| it.voter).collect::<Vec<_>>(), [1, 2, 3]);
    let node = &inventory.hosts[34];
    assert_eq!(
        node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>(),
        ["gpu=h100", "rack=r14"]
    );
    insta::assert_snapshot!("ctl-1", format!("{:#?}", inventory.hosts[0]));
    insta::assert_snapshot!("node-32", format!("{node:#?}"));
}

#[test]
fn the_words_of_a_host_come_before_its_pool_before_the_defaults() {
    let text = r#"
version: 1
mesh: lab
defaults:
  ssh: {user: root, port: 22, identity: [keys/a]}
  labels: {site: s, gpu: none}
  network: {api_port: 9000}
  become: {password: "file:pw"}
pools:
  h100: {labels: {gpu: h100}, ssh: {port: 2222}, roles: [gpu], engines: [{kind: vllm, url: "http://{address}:8000"}]}
hosts:
  - {name: a, address: 10.0.0.1, roles: [coordinator, router], labels: {rack: "${RACK}"}}
  - {name: "b-[01-02]", address: "b[1-2].example.net", pool: h100, network: {address: "10.1.0.[1-2]"}, ssh: {jump: [j]}}
  - {name: c, address: 10.0.0.3, pool: h100, roles: [edge], engines: [], become: {method: none}, root: /srv/m}
"#;
    let inventory = reading(text).unwrap();
    let line = |host: &HostEntry| {
        format!(
            "{} {} data={:?} roles={:?} labels={:?} ssh={:?}@{:?} via {:?} key {:?} api={} become={:?} {:?} engines={} root={:?}",
            host.name,
            host.address,
            host.data_address,
            host.roles,
            host.labels,
            host.ssh.user,
            host.ssh.port,
            host.ssh.jump,
            host.ssh.identity,
            host.ports.api,
            host.r#become.method,
            host.r#become.password,
            host.engines.len(),
            host.root,
        )
    };
    let lines: Vec<String> = inventory.hosts.iter().map(line).collect();
    insta::assert_snapshot!("merged", lines.join("\n"));
}

#[test]
fn json_is_read_as_yaml_is() {
    let text = r#"{"version": 1, "mesh": "lab", "hosts": [
        {"name": "a", "address": "10.0.0.1", "roles": ["coordinator"]}]}"#;
    assert_eq!(reading(text).unwrap().hosts.len(), 1);
}

#[test]
fn wrong_keys_and_types_are_named_with_their_place() {
    snapshot(
        "forms",
        &[
            beside("rollin: {batch: 4}\n"),
            beside("defaults: {ssh: {pasword: hunter2, usr: x}}\n"),
            beside("pools: {h100: {wheels: 4}}\n"),
            beside("mesh: again\nrolling: {batch: 4, batch: 5}\n"),
            beside("defaults: {ssh: {port: \"22\", retries: -1, identity: ~/.ssh/k, agent: maybe}}\n"),
            beside("defaults: {ssh: {port: 65536}, labels: {rack: 14}}\n"),
            beside("rolling: {batch: 0, pause: soon, max_failures: 101%, canary: 1.5}\n"),
            beside("defaults: become\npools: []\nrolling:\n"),
            shown("version: 2\nmesh: Prod_US\nhosts: []\n"),
            shown("hosts: [{name: a}, 7, {address: 10.0.0.1}]\n"),
            shown("version: 1\nmesh: lab\nhosts:\n  - {name: a, address: 10.0.0.1\n"),
            shown("- a\n"),
            shown(""),
            beside("defaults: {labels: {rack: \"${SHELF}\", row: \"${RACK}\", x: \"${\"}}\n"),
        ],
    );
}

#[test]
fn what_no_host_can_be_is_refused() {
    snapshot(
        "hosts",
        &[
            hosting(
                "  - {name: a, address: 10.0.0.1, roles: [coordinator]}\n  - {name: a, address: 10.0.0.1, roles: [gpu]}\n",
            ),
            hosting(
                "  - {name: \"n[1-3]\", address: \"10.0.0.[1-3]\", roles: [coordinator]}\n  - {name: n2, address: 10.0.0.9, roles: [gpu]}\n",
            ),
            hosting("  - {name: \"n[3-1]\", address: \"10.0.0.[1-\", roles: [coordinator]}\n"),
            hosting("  - {name: \"n[1-3]\", address: \"10.0.0.[1-4]\", roles: [coordinator]}\n"),
            hosting("  - {name: \"n[1-3]\", address: \"10.0.0.[254-256]\", roles: [coordinator]}\n"),
            hosting("  - {name: \"N_[1-3]\", address: \"h[1-3]:22\", roles: [coordinator]}\n"),
            hosting("  - {name: a, address: ada@10.0.0.1, roles: [coordinator]}\n"),
            hosting("  - {name: \"n[1-20000]\", address: 10.0.0.1, roles: [coordinator]}\n"),
            hosting("  - {name: a, address: 10.0.0.1, roles: [gpu]}\n"),
            hosting("  - {name: \"n[1-4]\", address: \"10.0.0.[1-4]\", roles: [coordinator]}\n"),
            hosting("  - {name: a, address: 10.0.0.1, roles: [coordinator]}\n  - {name: b, address: 10.0.0.2}\n"),
            hosting("  - {name: a, address: 10.0.0.1, roles: [cordinator]}\n"),
            hosting("  - {name: a, address: 10.0.0.1, roles: [coordinator], pool: h10}\n"),
            hosting(
                "  - {name: a, address: 10.0.0.1, roles: [coordinator], network: {bind: 10.0.0.1/16, address: 127.0.0.1}}\n",
            ),
            shown(
                "version: 1\nmesh: lab\npools: {h100: {}}\nhosts:\n  - {name: a, address: 10.0.0.1, roles: [coordinator], pool: h10}\n",
            ),
        ],
    );
    let four = "version: 1\nmesh: lab\nallow_even_voters: true\nhosts:\n  - {name: \"n[1-4]\", address: \"10.0.0.[1-4]\", roles: [coordinator]}\n";
    assert_eq!(reading(four).unwrap().hosts.len(), 4);
}

#[test]
fn doors_engines_keys_and_secrets_are_judged() {
    let engine = |url: &str, roles: &str| {
        hosting(&format!(
            "  - {{name: a, address: 10.0.0.1, roles: [coordinator, router]}}\n  - {{name: b, address: 10.0.0.2, roles: [{roles}], engines: [{{kind: vllm, url: \"{url}\"}}]}}\n"
        ))
    };
    snapshot(
        "rules",
        &[
            engine("http://127.0.0.1:8000", "gpu"),
            engine("http://localhost:8000", "gpu, router"),
            engine("http://[::1]:8000", "gpu"),
            engine("http://{host}:8000", "gpu"),
            engine("https://{address}:8000", "gpu"),
            beside("pools: {h100: {engines: [{kind: vlm, url: \"http://{address}:1\"}, {kind: tgi}]}}\n"),
            shown(
                "version: 1\nmesh: lab\npools: {p: {engines: [{kind: vllm, url: \"http://127.0.0.1:1\"}]}}\nhosts:\n  - {name: \"a[1-3]\", address: \"10.0.0.[1-3]\", roles: [coordinator, router], pool: p}\n",
            ),
            hosting(
                "  - {name: a, address: 10.0.0.1, roles: [coordinator, router], router: {listen: \"0.0.0.0:8080\"}}\n",
            ),
            beside("defaults: {router: {listen: \"10.0.0.1:8080\"}}\n"),
            hosting("  - {name: a, address: 10.0.0.1, roles: [coordinator], router: {auth: none}}\n"),
            beside("defaults: {network: {admin_port: 7443, router_admin_port: 8080}}\n"),
            beside("defaults: {become: {password: hunter2}, ssh: {jump: [\"ops:hunter2@b\"]}}\n"),
            beside("defaults: {become: hunter2}\n"),
            beside("defaults: {become: {password: \"env:\"}}\n"),
            beside("defaults: {ssh: {host_key: \"SHA256:abc\"}}\n"),
            beside("defaults: {ssh: {host_key_policy: pinned}}\n"),
            beside("defaults: {ssh: {host_key: \"SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\"}}\n"),
            beside("defaults: {labels: {\"a b\": c, d: \"e,f\"}}\n"),
        ],
    );
    let legal = |text: &str| assert!(reading(text).is_ok(), "{}", shown(text));
    legal(
        "version: 1\nmesh: lab\nhosts: [{name: a, address: 10.0.0.1, roles: [coordinator, router, gpu], engines: [{kind: vllm, url: \"http://127.0.0.1:1\"}]}]",
    );
    legal(
        "version: 1\nmesh: lab\nhosts: [{name: a, address: 10.0.0.1, roles: [coordinator, router], router: {listen: \"0.0.0.0:8080\", auth: none}}]",
    );
    legal(
        "version: 1\nmesh: lab\nhosts: [{name: \"a[1-3]\", address: gate, roles: [coordinator]}]"
            .replace("gate", "\"10.0.0.[1-3]\"")
            .as_str(),
    );
    legal(
        "version: 1\nmesh: lab\nhosts: [{name: a, address: gate, ssh: {port: 1}, roles: [coordinator]}, {name: b, address: gate, ssh: {port: 2}, roles: [gpu]}]",
    );
}

#[test]
fn problems_are_bounded() {
    let many: String = (0..200).map(|i| format!("wrong{i}: 1\n")).collect();
    let problems = reading(&many).unwrap_err();
    assert_eq!(problems.len(), 50);
    assert!(
        refused("hosts.yaml", &problems)
            .to_string()
            .starts_with("error[E0101]: hosts.yaml is refused: 50 problems or more\n")
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_with_a_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let check = |bytes: &[u8], part: &str| {
        let path = dir.path().join("hosts.yaml");
        std::fs::write(&path, bytes).unwrap();
        let problems = load(&path).unwrap_err();
        assert!(problems[0].to_string().contains(part), "{}", problems[0]);
    };
    check(b"version: \xff", "byte 9 is not UTF-8");
    check(&vec![b'#'; 4 * 1024 * 1024 + 1], "more than 4194304 bytes");
    let absent = load(&dir.path().join("none.yaml")).unwrap_err();
    assert!(absent[0].to_string().contains("No such file"), "{}", absent[0]);
}

#[test]
fn the_published_schema_is_closed_and_tells_what_everything_is() {
    fn each(schema: &serde_json::Value, path: &str) {
        if let Some(object) = schema.get("properties").and_then(|it| it.as_object()) {
            assert_eq!(schema["additionalProperties"].as_bool(), Some(false), "{path}");
            for (key, value) in object {
                assert!(value.get("description").is_some(), "{path}.{key} has no description");
                each(value, &format!("{path}.{key}"));
            }
        }
        for (key, value) in schema.get("$defs").and_then(|it| it.as_object()).into_iter().flatten() {
            each(value, key);
        }
    }
    each(schema(), "");
}

/// YAML of the words hosts.yaml is made of, put together without sense.
fn any_value() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "version",
        "mesh",
        "hosts",
        "name",
        "address",
        "roles",
        "coordinator",
        "router",
        "engines",
        "kind",
        "url",
        "vllm",
        "1",
        "-7",
        "1.5",
        "~",
        "true",
        "10.0.0.1",
        "n[1-3]",
        "n[3-1]",
        "10.0.0.[1-2]",
        "ssh",
        "pools",
        "p",
        "pool",
        "defaults",
        "become",
        "password",
        "${RACK}",
        "${X}",
        "25%",
        "10s",
        "labels",
        "network",
        "bind",
        "10.0.0.0/8",
        "http://{address}:80",
        "rolling",
        "batch",
        "listen",
        "0.0.0.0:80",
        "é",
    ]);
    let leaf = word.prop_map(|it| format!("{it:?}").replace("\\u{e9}", "é"));
    leaf.prop_recursive(5, 40, 6, |inner| {
        let key = prop::sample::select(vec![
            "version", "mesh", "hosts", "name", "address", "roles", "engines", "kind", "url", "ssh", "pools", "p",
            "pool", "defaults", "become", "password", "labels", "network", "bind", "rolling", "batch", "router",
            "listen", "jump",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|it| format!("[{}]", it.join(", "))),
            prop::collection::vec((key, inner), 0..6).prop_map(|it| {
                let entries: Vec<String> = it.into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_file_panics_and_every_problem_has_a_place(value in any_value(), cut in 0_usize..400) {
        let whole = format!("version: 1\nmesh: lab\nhosts: {value}\ndefaults: {value}\n");
        let cut: String = whole.chars().take(cut).collect();
        for text in [value.as_str(), whole.as_str(), cut.as_str()] {
            if let Err(problems) = reading(text) {
                prop_assert!(!problems.is_empty());
                let lines = u32::try_from(text.lines().count()).unwrap().max(1);
                for problem in problems {
                    prop_assert!(problem.line >= 1 && problem.line <= lines + 1, "{problem}");
                    prop_assert!(problem.column >= 1 && !problem.text.is_empty(), "{problem}");
                }
            }
        }
    }
}
