//! No value breaks out of its quotes: it arrives on the host byte by byte, in every shell.

use proptest::prelude::*;

use super::*;

const STEPS: &str = r#"
inputs: {root: where, value: what}
steps:
  - name: script
    command: {run: "printf %s {{ value }} >{{ root }}/script"}
  - name: argument
    command: {run: "printf %s \"$1\" >\"$2\"", args: ["{{ value }}", "{{ root }}/argument"]}
  - name: text
    file: {path: "{{ root }}/text", content: "{{ value }}"}
  - name: name
    command: {run: "true", creates: "{{ root }}/name"}
"#;

async fn arrives(host: &Place, root: &Path, value: &str) {
    let (desk, vars) = (Desk::default(), vars(root, &json!({ "value": value })));
    let plan = examine(host, &playbook(STEPS), &vars, &desk).await.unwrap();
    apply(host, &plan, &desk, None).await.unwrap();
    for file in ["script", "argument", "text"] {
        let found = fs::read(root.join(file)).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&found), value, "{} {file}", host.name());
    }
    let again = examine(host, &playbook(STEPS), &vars, &desk).await.unwrap();
    assert_eq!(again.steps[2].status, Status::Unchanged);
}

fn run(host: &Place, root: &Path, value: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(arrives(host, root, value));
}

#[test]
fn the_usual_suspects_arrive_as_they_are() {
    let scratch = tempfile::tempdir().unwrap();
    let values = [
        "'; touch /tmp/broken; '",
        "$(touch /tmp/broken)`id`",
        "\"\\\"'\\'",
        "a\nb\n\n",
        "-n",
        "* ~ ${IFS} $1 !! # && false",
        "{{ root }}{% raw %}",
        "%s%n\\0\\n",
        "\t \r\u{1b}[31mä😀",
        "'\"'\"'EOF\n",
    ];
    for host in Place::all(scratch.path()) {
        values.iter().for_each(|value| run(&host, scratch.path(), value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_arrives_as_it_is(value in "[\\x01-\\x7f\u{80}-\u{2fff}'\"\\\\$`\n]{1,40}") {
        let scratch = tempfile::tempdir().unwrap();
        run(&Place::plain(), scratch.path(), &value);
    }
}
