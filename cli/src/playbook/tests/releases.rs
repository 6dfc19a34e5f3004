//! Releases side by side on real files, under every shell: which stay, which go, and what is nobody's to take.

use super::*;

const STEPS: &str = r#"
vars: {opt: "{{ root }}/opt/mesh"}
steps:
  - name: old releases
    releases:
      dir: "{{ opt }}/releases"
      release: 0.4.0-44444444
      current: "{{ opt }}/current"
      previous: "{{ opt }}/previous"
  - name: no command
    link: {path: "{{ root }}/command", to: "{{ opt }}", state: absent}
  - name: somebody's own
    link: {path: "{{ root }}/own", to: "{{ opt }}", state: absent}
"#;

/// Three releases, a program of the first that runs, and what an operator keeps beside them.
fn ground(root: &Path) -> std::process::Child {
    let opt = root.join("opt/mesh");
    for name in ["0.1.0-11111111", "0.2.0-22222222", "0.3.0-33333333", "my own"] {
        let bin = opt.join("releases").join(name).join("bin");
        fs::create_dir_all(&bin).unwrap();
        for program in ["mesh-agentd", "tool"] {
            fs::copy("/bin/sleep", bin.join(program)).unwrap();
        }
    }
    std::os::unix::fs::symlink(opt.join("releases/my own"), opt.join("releases/0.0.1-00000000")).unwrap();
    std::os::unix::fs::symlink(opt.join("releases/0.3.0-33333333"), opt.join("current")).unwrap();
    std::os::unix::fs::symlink(opt.join("releases/0.2.0-22222222"), opt.join("previous")).unwrap();
    std::os::unix::fs::symlink(opt.join("current/bin/mesh"), root.join("command")).unwrap();
    // What only begins with the same letters is not below it.
    std::os::unix::fs::symlink(root.join("opt/mesh-old/mesh"), root.join("own")).unwrap();
    Command::new(opt.join("releases/0.1.0-11111111/bin/tool")).arg("1000").spawn().unwrap()
}

fn left(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("opt/mesh/releases")).unwrap();
    let mut names: Vec<String> = entries.map(|it| it.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn old_releases_and_a_link_of_ours_go_under_every_shell() {
    let scratch = tempfile::tempdir().unwrap();
    for (i, host) in Place::all(scratch.path()).into_iter().enumerate() {
        // A name that a shell would take apart.
        let root = scratch.path().join(format!("root {i}"));
        fs::create_dir(&root).unwrap();
        let mut runs = ground(&root);
        let (desk, playbook, vars) = (Desk::default(), playbook(STEPS), vars(&root, &json!({})));
        let plan = async || examine(&host, &playbook, &vars, &desk).await.unwrap();
        let before = tree(&root);
        let first = plan().await;
        assert_eq!(tree(&root), before, "{}: looking changes nothing", host.name());
        let expected = "Change old releases\n  ROOT/opt/mesh/releases/0.2.0-22222222: an old release -> absent\n\
                        Change no command\n  ROOT/command: link to ROOT/opt/mesh/current/bin/mesh -> absent\n\
                        Unchanged somebody's own\n";
        assert_eq!(lines(&first, &root), expected, "{}", host.name());
        // It is the one before until the link is moved: what is linked to stays, whatever the plan says.
        let report = apply(&host, &first, &desk, None).await.unwrap();
        assert_eq!(report.changed, [StepId("no command".into())], "{}", host.name());
        let opt = root.join("opt/mesh");
        fs::remove_file(opt.join("previous")).unwrap();
        std::os::unix::fs::symlink(opt.join("releases/0.3.0-33333333"), opt.join("previous")).unwrap();
        apply(&host, &plan().await, &desk, None).await.unwrap();
        let kept = ["0.0.1-00000000", "0.1.0-11111111", "0.3.0-33333333", "my own"];
        assert_eq!(left(&root), kept, "{}: what runs, what is linked to, what is somebody's own", host.name());
        assert!(plan().await.is_done(), "{}", host.name());
        // A program that has been started since the look is not taken away either.
        runs.kill().unwrap();
        runs.wait().unwrap();
        let plan_without = plan().await;
        let mut again = Command::new(opt.join("releases/0.1.0-11111111/bin/mesh-agentd")).arg("1000").spawn().unwrap();
        apply(&host, &plan_without, &desk, None).await.unwrap();
        assert_eq!(left(&root), kept, "{}", host.name());
        again.kill().unwrap();
        again.wait().unwrap();
        apply(&host, &plan().await, &desk, None).await.unwrap();
        assert_eq!(left(&root), ["0.0.1-00000000", "0.3.0-33333333", "my own"], "{}", host.name());
    }
}
