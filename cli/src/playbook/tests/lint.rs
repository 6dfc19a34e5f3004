//! What is wrong in a playbook is named with its place and what would be right.

use super::*;

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let check = |text: &str, expected: &[&str]| {
        let found = match Playbook::parse("p.yaml", text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(problem::line).collect(),
        };
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(|(found, it)| found.contains(it)),
            "{text}\n{found:#?}\n{expected:#?}"
        );
    };
    let step = |step: &str| format!("name: p\nsteps:\n  - name: s\n    {step}\n");
    check(&step("dir: {path: /a}"), &[]);
    check(
        &step("dri: {path: /a}"),
        &["p.yaml:4:5: no module and no key of a step is called `dri`; did you mean `dir`?"],
    );
    check(&step("dir: {path: /a, mod: x}"), &["p.yaml:4:21: `dir` has no key `mod`; did you mean `mode`?"]);
    check(&step("dir: {mode: x}"), &["p.yaml:4:5: `dir` needs `path`"]);
    check(&step("dir: [x]"), &["`dir` needs a map, not a list", "`dir` needs `path`"][..1]);
    check(&step("dir: {path: '{{ rot }}'}"), &["p.yaml:4:17: nothing defines the variable `rot`"]);
    check("name: p\ninputs: {root: x}\nsteps: [{name: s, dir: {path: '{{ rot }}'}}]\n", &["did you mean `root`?"]);
    check(&step("dir: {path: '{{ x'}"), &["p.yaml:4:17: syntax error"]);
    check(&step("when: 1 +\n    dir: {path: /a}"), &["p.yaml:4:11: syntax error"]);
    check(&step("notify: h\n    dir: {path: /a}"), &["p.yaml:4:13: there is no handler `h`"]);
    check(&step("tags: [a]"), &["p.yaml:3:5: a step needs a module; one of: user, dir, binary"]);
    check(&step("dir: {path: /a}\n    link: {path: /a, to: /b}"), &["a step has one module: `dir` is here already"]);
    check(&step("file: {path: /a, template: t.j2}"), &["there is no template `t.j2` beside the playbook"]);
    check(
        "name: p\nsteps: [{name: s, dir: {path: /a}}, {name: s, dir: {path: /b}}]\n",
        &["the name `s` is on line 2 too"],
    );
    check(
        "name: p\nsteps: [{name: s, dir: {path: /a}}]\nhandlers: [{name: h, dir: {path: /a}}]\n",
        &["no step notifies the handler `h`"],
    );
    check(
        "name: p\nstep: []\n",
        &["p.yaml:2:1: unknown key `step`; did you mean `steps`?", "a playbook needs `steps`"],
    );
    check("- a\n", &["p.yaml:1:1: a playbook is a map, this is a list"]);
    check("name: p\nname: q\n", &["p.yaml:2:1: duplicate key `name`: it is on line 1 too", "a playbook needs `steps`"]);
    check(&step("dir: {path: /a, path: /b}"), &["p.yaml:4:21: duplicate key `path`: it is on line 4 too"]);
    check("name: [", &["p.yaml:1:"]);
}

#[test]
fn the_playbooks_of_the_product_are_right() {
    for (name, text) in EMBEDDED {
        let playbook = Playbook::parse(name, text).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(playbook.name, *name);
        assert!(playbook.root && !playbook.about.is_empty());
    }
}

#[tokio::test]
async fn values_that_do_not_fit_are_refused_before_a_host_is_asked() {
    let root = tempfile::tempdir().unwrap();
    let check = async |step: &str, why: &str| {
        let playbook = playbook(&format!("steps: [{{name: s, {step}}}]\n"));
        let host = Place::plain();
        let found = examine(&host, &playbook, &vars(root.path(), &json!({})), &Desk::default()).await;
        let failure = found.unwrap_err().failure("h1");
        assert!(failure.exit == crate::Exit::Invalid && failure.to_string().contains(why), "{step}: {failure}");
        assert_eq!(host.counted(), 0, "{step}");
    };
    check("dir: {path: relative}", "`relative` is not an absolute path").await;
    check("dir: {path: /a/../b}", "must not hold").await;
    check("dir: {path: \"/a\\nb\"}", "control character").await;
    check("dir: {path: /a, mode: \"0999\"}", "not three or four octal digits").await;
    check("dir: {path: /a, mode: 755}", "expected a string").await;
    check("dir: {path: /a, owner: '-R'}", "is not USER or USER:GROUP").await;
    check("file: {path: /a}", "exactly one of `content`").await;
    check("file: {path: /a, secret: nothing}", "there is no secret `nothing`").await;
    check("binary: {name: x, to: /a}", "the release has no binary `x`").await;
    check("absent: {path: /}", "cannot be removed").await;
    check("absent: {path: /etc, force: true}", "is never removed").await;
    check("absent: {path: /home/x}", "`force: true` removes it all the same").await;
    check("absent: {path: \"{{ root }}/x\"}", "is not one of the product's own paths").await;
    check("unit: {name: 'x; reboot'}", "is not the name of a unit").await;
    check("command: {run: \"a\\0b\"}", "zero byte").await;
    check("wait: {tcp: 1, file: /a}", "exactly one of").await;
    check("link: {path: /a, to: /b, state: gone}", "unknown variant `gone`").await;
    let releases = |more: &str| format!("releases: {{dir: /opt/x, release: 1-aabbccdd, current: /opt/c{more}}}");
    check(&releases(", keep: 0"), "would remove the running release").await;
    check(&releases(", keep: -1"), "invalid value").await;
    check(&releases(", previous: there"), "`there` is not an absolute path").await;
    check("releases: {dir: /opt, release: 1-aabbccdd, current: /opt/c}", "`/opt` holds no releases").await;
    check("releases: {dir: /opt/x, release: a/b, current: /opt/c}", "is not the name of a directory").await;
    let nothing = Vars::new(&json!({}));
    let found =
        examine(&Place::plain(), &playbook("steps: [{name: s, dir: {path: /a}}]\n"), &nothing, &Desk::default()).await;
    assert!(found.unwrap_err().to_string().contains("the run brings no `root` (where)"));
}

#[test]
fn tags_choose_steps() {
    let playbook = playbook(
        "steps: [{name: a, tags: [x], dir: {path: /a}}, {name: b, tags: always, dir: {path: /b}}, {name: c, dir: {path: /c}}]\n",
    );
    let names = |it: &Playbook| it.rows().into_iter().map(|[name, ..]| name).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&playbook.tagged(&["x".into()]).unwrap()), "a b");
    assert!(playbook.tagged(&["y".into()]).unwrap_err().contains("no step has the tag `y`"));
}
