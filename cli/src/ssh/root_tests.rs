//! Becoming root on a real sshd with a real sudo, as a user who exists only there.

use std::sync::Arc;

use super::{
    connect,
    secret::Answers,
    testing::{PASSWORD, Person, Spec, Sshd, options, reach},
};
use crate::{
    host::{Host, HostError, Job, Part},
    hosts::{BecomeMethod, SecretRef},
};

fn rooted<'a>(script: &'a str) -> Job<'a> {
    let mut job = Job::new("root", script);
    job.root = true;
    job
}

fn sudoers(rights: &str) -> Sshd {
    Sshd::start(&Spec { shell: Some("/bin/bash"), sudoers: rights, ..Spec::default() })
}

async fn is_root(host: &impl Host) {
    let mut job = rooted("id -u; cat; echo done >&2");
    job.input = vec![Part::Bytes(b"input".as_slice().into())];
    let output = host.run(job).await.unwrap();
    assert_eq!((output.text().as_ref(), output.stderr.as_str()), ("0\ninput", "done\n"));
}

#[tokio::test]
async fn root_needs_no_sudo() {
    if !rustix::process::getuid().is_root() {
        println!("who runs this test is not root");
        return;
    }
    let sshd = Sshd::start(&Spec::default());
    is_root(&reach(&sshd.target()).await.unwrap()).await;
}

#[tokio::test]
async fn sudo_without_a_password() {
    let sshd = sudoers("tester ALL=(ALL) NOPASSWD: ALL");
    let host = reach(&sshd.target()).await.unwrap();
    is_root(&host).await;
    assert_eq!(host.run(Job::new("x", "id -u")).await.unwrap().text(), "4242\n");
    let held = host.hold(rooted("id -u; cat")).await.unwrap();
    assert_eq!(held.line, "0");
}

#[tokio::test]
async fn the_password_is_asked_for_once_for_all_hosts() {
    let sshd = sudoers("tester ALL=(ALL) ALL");
    let person = Arc::new(Person { answer: Some(PASSWORD), ..Person::default() });
    let options = options(&person);
    let target = sshd.target();
    let hosts: Vec<_> = futures_util::future::join_all((0..4).map(|_| connect("h1", &target, &options)))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    futures_util::future::join_all(hosts.iter().map(is_root)).await;
    is_root(&hosts[0]).await;
    assert_eq!(*person.asked.lock().unwrap(), ["the password to become root"]);
    let held = hosts[0].hold(rooted("id -u; cat")).await.unwrap();
    assert_eq!(held.line, "0");
}

#[tokio::test]
async fn a_password_comes_from_where_the_file_says() {
    let sshd = sudoers("tester ALL=(ALL) ALL");
    let file = sshd.path("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    for source in [SecretRef::File(file.clone()), SecretRef::Command(format!("cat {}", file.display()))] {
        let mut options = options(&Arc::default());
        options.r#become.password = source;
        is_root(&connect("h1", &sshd.target(), &options).await.unwrap()).await;
    }
    let mut options = options(&Arc::default());
    options.r#become.password = SecretRef::Env("MESH_TEST_NO_SUCH_VARIABLE".to_owned());
    let error = connect("h1", &sshd.target(), &options).await.unwrap().run(rooted("id")).await.unwrap_err();
    assert!(matches!(&error, HostError::Unanswered { why, .. } if why.contains("MESH_TEST_NO_SUCH")), "{error:?}");
    // Nobody can be asked.
    let error = reach(&sshd.target()).await.unwrap().run(rooted("id")).await.unwrap_err();
    assert!(matches!(&error, HostError::Unanswered { .. }), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_a_host_and_not_everywhere() {
    let sshd = sudoers("tester ALL=(ALL) ALL");
    let person = Arc::new(Person { answer: Some("wrong"), ..Person::default() });
    let options = options(&person);
    let mut errors = Vec::new();
    for name in ["h1", "h2", "h3"] {
        let host = connect(name, &sshd.target(), &options).await.unwrap();
        for _ in 0..2 {
            errors.push(host.run(rooted("id")).await.unwrap_err().to_string());
        }
    }
    assert!(errors[0].contains("does not take the password") && errors[0] == errors[1], "{errors:?}");
    assert!(errors[4].contains("not tried again"), "{errors:?}");
    assert_eq!(person.asked.lock().unwrap().len(), 1);
    assert!(person.interactive());
}

#[tokio::test]
async fn what_sudo_does_not_allow_is_said() {
    let check = async |rights: &str, answer: Option<&'static str>, words: &str| {
        let sshd = sudoers(rights);
        let options = options(&Arc::new(Person { answer, ..Person::default() }));
        let host = connect("h1", &sshd.target(), &options).await.unwrap();
        let error = host.run(rooted("id")).await.unwrap_err();
        assert!(matches!(error, HostError::Become { .. }), "{rights}: {error:?}");
        assert!(error.to_string().contains(words), "{rights}: {error}");
    };
    check("Defaults:tester requiretty\ntester ALL=(ALL) NOPASSWD: ALL", None, "requiretty").await;
    check("# nothing", Some(PASSWORD), "not in sudoers").await;
    check("tester ALL=(ALL) /bin/true", Some(PASSWORD), "does not let").await;
    let sshd = sudoers("tester ALL=(ALL) NOPASSWD: ALL");
    let mut options = options(&Arc::default());
    options.r#become.method = BecomeMethod::None;
    let error = connect("h1", &sshd.target(), &options).await.unwrap().run(rooted("id")).await.unwrap_err();
    assert!(error.to_string().contains("method: none"), "{error}");
}
