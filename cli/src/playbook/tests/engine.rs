//! Steps on real files: once, twice, interrupted, corrupted, looked at only.

use super::*;

const STEPS: &str = r#"
inputs: {root: where, text: what}
vars: {opt: "{{ root }}/opt/mesh"}
steps:
  - name: dirs {{ item }}
    loop: ["{{ opt }}/bin", "{{ root }}/etc/mesh"]
    dir: {path: "{{ item }}", mode: "0750"}
  - name: tool
    binary: {name: tool, to: "{{ opt }}/bin/tool"}
  - name: text
    notify: reload
    file: {path: "{{ root }}/etc/mesh/a.toml", mode: "0640", content: "first\n{{ text }}\nlast\n"}
  - name: secret
    file: {path: "{{ root }}/etc/mesh/key", secret: key}
  - name: link
    link: {path: "{{ opt }}/current", to: "{{ opt }}/bin", previous: "{{ opt }}/previous"}
  - name: mark
    command: {run: "echo made; touch {{ root }}/mark", creates: "{{ root }}/mark"}
  - name: never
    when: text == 'never'
    command: {run: "exit 1"}
handlers:
  - name: reload
    command: {run: "echo reloaded >>{{ root }}/reloads"}
"#;

fn tool(dir: &Path) -> PathBuf {
    let path = dir.join("tool");
    fs::write(&path, (0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    path
}

fn desk(dir: &Path) -> Desk {
    Desk::default().with("tool", &tool(dir)).secret("key", b"hidden-words")
}

#[tokio::test]
async fn the_first_run_changes_and_the_second_one_asks_once() {
    let scratch = tempfile::tempdir().unwrap();
    for (i, host) in Place::all(scratch.path()).into_iter().enumerate() {
        let root = scratch.path().join(format!("root-{i}"));
        fs::create_dir(&root).unwrap();
        let (desk, playbook) = (desk(scratch.path()), playbook(STEPS));
        let vars = vars(&root, &json!({"text": "middle"}));
        let before = tree(&root);
        let plan = examine(&host, &playbook, &vars, &desk).await.unwrap();
        assert_eq!(tree(&root), before, "{}: looking changes nothing", host.name());
        assert_eq!(host.counted(), 1, "looking is one script");
        let report = apply(&host, &plan, &desk, None).await.unwrap();
        assert_eq!(host.counted(), 2, "{}: the steps, and the handler once it is known to be needed", host.name());
        assert_eq!((report.changed.len(), report.skipped.len()), (8, 1), "{report:?}");
        if i == 0 {
            insta::assert_snapshot!("first-plan", lines(&plan, &root));
            insta::assert_snapshot!("first-tree", tree(&root).join("\n").replace(&root.display().to_string(), "ROOT"));
        }
        let after = tree(&root);
        let again = examine(&host, &playbook, &vars, &desk).await.unwrap();
        assert!(again.is_done(), "{}: {}", host.name(), lines(&again, &root));
        let third = examine(&host, &playbook, &vars, &desk).await.unwrap();
        assert_eq!(again.digest(), third.digest());
        host.counted();
        apply(&host, &again, &desk, None).await.unwrap();
        assert_eq!((host.counted(), tree(&root)), (0, after), "nothing to do runs nothing");
    }
}

#[tokio::test]
async fn a_change_of_a_text_is_shown_and_that_of_a_secret_is_not() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    fs::create_dir(&root).unwrap();
    let (host, playbook, desk) = (Place::plain(), playbook(STEPS), desk(scratch.path()));
    let plan = examine(&host, &playbook, &vars(&root, &json!({"text": "old"})), &desk).await.unwrap();
    apply(&host, &plan, &desk, None).await.unwrap();
    let desk = desk.secret("key", b"other-hidden-words");
    fs::set_permissions(root.join("opt/mesh/bin"), fs::Permissions::from_mode(0o700)).unwrap();
    let plan = examine(&host, &playbook, &vars(&root, &json!({"text": "new"})), &desk).await.unwrap();
    insta::assert_snapshot!("second-plan", lines(&plan, &root));
    let diffs: Vec<&str> = plan.steps.iter().flat_map(|it| &it.changes).filter_map(|it| it.diff.as_deref()).collect();
    insta::assert_snapshot!("diff", diffs.join("\n").replace(&root.display().to_string(), "ROOT"));
    let json = serde_json::to_string(&plan).unwrap();
    assert!(!json.contains("hidden"), "a secret is in the plan: {json}");
    assert_eq!(serde_json::from_str::<HostPlan>(&json).unwrap(), plan, "a plan can be kept in a file");
    let events = format!("{:?}", desk.events.lock().unwrap());
    assert!(!events.contains("hidden"), "a secret is in the events");
    apply(&host, &plan, &desk, None).await.unwrap();
    assert_eq!(fs::read_to_string(root.join("reloads")).unwrap(), "reloaded\nreloaded\n", "once a run");
}

#[tokio::test]
async fn a_step_that_is_taken_out_is_neither_planned_nor_done() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    fs::create_dir(&root).unwrap();
    let (host, desk) = (Place::plain(), desk(scratch.path()));
    let without = STEPS.replace("  - name: secret\n    file: {path: \"{{ root }}/etc/mesh/key\", secret: key}\n", "");
    assert_ne!(without, STEPS);
    let vars = vars(&root, &json!({"text": "x"}));
    let whole = examine(&host, &playbook(STEPS), &vars, &desk).await.unwrap();
    let plan = examine(&host, &playbook(&without), &vars, &desk).await.unwrap();
    assert_ne!(whole.digest(), plan.digest());
    apply(&host, &plan, &desk, None).await.unwrap();
    assert!(!root.join("etc/mesh/key").exists() && root.join("etc/mesh/a.toml").exists());
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_cut_off() {
    let scratch = tempfile::tempdir().unwrap();
    for (i, host) in Place::all(scratch.path()).into_iter().enumerate() {
        let desk = Desk::default().with("tool", &tool(scratch.path()));
        let whole = fs::read(tool(scratch.path())).unwrap();
        let root = scratch.path().join(format!("root-{i}"));
        fs::create_dir(&root).unwrap();
        let playbook = playbook("steps: [{name: tool, binary: {name: tool, to: \"{{ root }}/tool\"}}]\n");
        let check = async |part: &[u8], resumed: u64| {
            let _ = fs::remove_file(root.join("tool"));
            fs::write(root.join("tool.part"), part).unwrap();
            let plan = examine(&host, &playbook, &vars(&root, &json!({})), &desk).await.unwrap();
            assert_eq!(plan.steps[0].resume_bytes, resumed);
            apply(&host, &plan, &desk, None).await.unwrap();
            assert_eq!(fs::read(root.join("tool")).unwrap(), whole, "{}", host.name());
            assert!(!root.join("tool.part").exists());
        };
        check(b"", 0).await;
        check(&whole[..70_001], 70_001).await;
        check(&whole, whole.len() as u64).await;
        check(b"something else", 0).await;
        check(&[whole.as_slice(), b"more"].concat(), 0).await;
    }
}

#[tokio::test]
async fn what_arrives_with_another_digest_is_refused_on_the_host() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    fs::create_dir(&root).unwrap();
    let host = Place::plain();
    let mut desk = desk(scratch.path());
    // The file changes between the look at it and the upload.
    fs::write(tool(scratch.path()), vec![7; 1_200_000]).unwrap();
    let vars = vars(&root, &json!({"text": "x"}));
    let plan = examine(&host, &playbook(STEPS), &vars, &desk).await.unwrap();
    let failure = apply(&host, &plan, &desk, None).await.unwrap_err();
    assert_eq!((failure.exit, failure.step.0.as_str()), (crate::Exit::Mismatch, "tool"), "{failure:?}");
    assert!(failure.why.contains("arrived with the digest") && failure.report.changed.len() == 2, "{failure:?}");
    assert!(!root.join("opt/mesh/bin/tool").exists() && !root.join("opt/mesh/bin/tool.part").exists());
    assert!(!root.join("etc/mesh/a.toml").exists(), "nothing after it was run");
    desk = desk.with("tool", &tool(scratch.path()));
    let plan = examine(&host, &playbook(STEPS), &vars, &desk).await.unwrap();
    apply(&host, &plan, &desk, Some(&failure.step)).await.unwrap();
    assert!(root.join("etc/mesh/a.toml").exists(), "it goes on from the step that failed");
}

#[tokio::test]
async fn a_host_in_the_way_is_refused_before_anything_is_changed() {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("root");
    fs::create_dir_all(root.join("etc/mesh/a.toml")).unwrap();
    let host = Place::plain();
    let found = examine(&host, &playbook(STEPS), &vars(&root, &json!({"text": "x"})), &desk(scratch.path())).await;
    let failure = found.unwrap_err().failure("h1");
    assert_eq!(failure.exit, crate::Exit::Refused);
    assert!(failure.to_string().contains("is a directory") && failure.place.unwrap().starts_with("t.yaml:"));
}

#[tokio::test]
async fn a_command_that_says_it_changed_nothing_notifies_nobody() {
    let root = tempfile::tempdir().unwrap();
    let text = r#"
steps:
  - name: look
    notify: reload
    command: {run: "cat {{ root }}/said", changed_when: "'new' in stdout and status == 0"}
handlers:
  - name: reload
    command: {run: "echo reloaded >>{{ root }}/reloads"}
"#;
    let check = async |said: &str, changed: usize| {
        fs::write(root.path().join("said"), said).unwrap();
        let (host, desk) = (Place::plain(), Desk::default());
        let plan = examine(&host, &playbook(text), &vars(root.path(), &json!({})), &desk).await.unwrap();
        let report = apply(&host, &plan, &desk, None).await.unwrap();
        assert_eq!(report.changed.len(), changed, "{said}: {report:?}");
    };
    check("old", 0).await;
    assert!(!root.path().join("reloads").exists());
    check("new", 2).await;
}

#[tokio::test]
async fn commands_end_in_time_and_say_why() {
    let root = tempfile::tempdir().unwrap();
    let check = async |step: &str, exit: crate::Exit, why: &str| {
        let playbook = playbook(&format!("steps: [{{name: s, {step}}}]\n"));
        let (host, desk) = (Place::plain(), Desk::default());
        let plan = examine(&host, &playbook, &vars(root.path(), &json!({})), &desk).await.unwrap();
        let failure = apply(&host, &plan, &desk, None).await.unwrap_err();
        assert!(failure.exit == exit && failure.why.contains(why), "{step}: {failure:?}");
    };
    check("command: {run: 'echo no such luck >&2; exit 3'}", crate::Exit::Failed, "status 3\nno such luck").await;
    check("command: {run: 'sleep 60', timeout: 1s}", crate::Exit::Failed, "status 124").await;
    check("wait: {file: \"{{ root }}/none\", timeout: 1s}", crate::Exit::Deadline, "in vain for 1 s").await;
}

#[tokio::test]
async fn what_serves_is_proven_before_more_is_sent() {
    let scratch = tempfile::tempdir().unwrap();
    let steps = r#"
steps:
  - name: first
    binary: {name: tool, to: "{{ root }}/first"}
  - name: service
    command: {run: "touch {{ root }}/up", creates: "{{ root }}/up"}
  - name: it serves
    wait: {file: "{{ root }}/up"}
  - name: more
    binary: {name: tool, to: "{{ root }}/more"}
"#;
    for (i, host) in Place::all(scratch.path()).into_iter().enumerate() {
        let root = scratch.path().join(format!("root-{i}"));
        fs::create_dir(&root).unwrap();
        let (desk, playbook, vars) = (desk(scratch.path()), playbook(steps), vars(&root, &json!({})));
        let run = async || {
            let plan = examine(&host, &playbook, &vars, &desk).await.unwrap();
            apply(&host, &plan, &desk, None).await.unwrap();
            let told = |it: Event| {
                if let Event::StepChanged { step, .. } = it {
                    return Some(step.0);
                }
                (it == Event::Proven).then(|| "-".to_owned())
            };
            let events = std::mem::take(&mut *desk.events.lock().unwrap());
            events.into_iter().filter_map(told).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(run().await, "first service - more -", "{}", host.name());
        assert_eq!(host.counted(), 3, "{}: the look, what serves, and the rest", host.name());
        // Nothing is started, so nobody waits for what is sent.
        fs::write(root.join("more"), "harmed").unwrap();
        assert_eq!(run().await, "more -", "{}", host.name());
        // What serves is not what was sent: whoever waits for it does not hear of it, and nothing else is sent.
        let other = scratch.path().join(format!("harmed-{i}"));
        fs::create_dir(&other).unwrap();
        let vars = super::vars(&other, &json!({}));
        let harm = super::playbook(&steps.replace("touch", "echo >>{{ root }}/first; touch"));
        let plan = examine(&host, &harm, &vars, &desk).await.unwrap();
        let failure = apply(&host, &plan, &desk, None).await.unwrap_err();
        assert_eq!(
            (failure.exit, failure.step.0.as_str()),
            (crate::Exit::Mismatch, "first"),
            "{}: {failure:?}",
            host.name()
        );
        assert!(!desk.events.lock().unwrap().contains(&Event::Proven) && !other.join("more").exists());
    }
}
