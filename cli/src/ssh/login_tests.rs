//! Logging in to a real sshd: by file, agent and certificate; and the errors when nobody is let in.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use super::{
    connect,
    testing::{Person, Spec, Sshd, keygen, options, reach, run},
};
use crate::{
    Exit,
    host::{Host, HostError, Job},
    hosts::HostKeyPolicy,
};

/// A real ssh-agent, killed when dropped.
struct Agent(Child, std::path::PathBuf);

impl Agent {
    fn start(sshd: &Sshd) -> Self {
        let socket = sshd.path("agent");
        let child = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Self(child, socket)
    }

    fn add(&self, key: &std::path::Path) {
        run(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.1));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn works(host: &impl Host) {
    assert_eq!(host.run(Job::new("x", "echo in")).await.unwrap().text(), "in\n");
}

#[tokio::test]
async fn every_kind_of_key_file_logs_in() {
    let sshd = Sshd::start(&Spec::default());
    for (at, kind) in [
        ["-t", "ed25519"].as_slice(),
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "rsa", "-b", "2048", "-m", "PEM"],
    ]
    .iter()
    .enumerate()
    {
        let key = sshd.path(&format!("kind{at}"));
        keygen(&key, kind);
        std::fs::copy(key.with_extension("pub"), sshd.path("authorized")).unwrap();
        let mut target = sshd.target();
        target.identity = vec![key];
        works(&reach(&target).await.unwrap_or_else(|error| panic!("{kind:?}: {error}"))).await;
    }
}

#[tokio::test]
async fn a_refused_key_says_what_was_tried() {
    let sshd = Sshd::start(&Spec::default());
    let mut target = sshd.target();
    let wrong = sshd.path("wrong");
    keygen(&wrong, &[]);
    target.identity = vec![wrong.clone(), sshd.path("absent")];
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(error, HostError::Login { .. }), "{error:?}");
    assert_eq!(error.exit(), Exit::Authentication);
    for words in ["wrong (SHA256:", "the host accepts publickey"] {
        assert!(error.to_string().contains(words), "{error} lacks {words}");
    }
    target.identity = vec![sshd.path("absent")];
    target.agent = Some(sshd.path("no-agent"));
    let error = reach(&target).await.err().unwrap().to_string();
    for words in ["there was no key to try", "no key in", "absent", "agent at", "does not help"] {
        assert!(error.contains(words), "{error} lacks {words}");
    }
    // As ssh: a key that others can read is no key.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(sshd.path("id"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = reach(&sshd.target()).await.err().unwrap().to_string();
    assert!(error.contains("lets others read it: chmod 600"), "{error}");
}

#[tokio::test]
async fn an_agent_signs_for_a_key_that_is_not_here() {
    let sshd = Sshd::start(&Spec::default());
    let agent = Agent::start(&sshd);
    agent.add(&sshd.path("id"));
    let mut target = sshd.target();
    target.identity = Vec::new();
    target.agent = Some(agent.1.clone());
    let options = options(&Arc::default());
    // One agent connection serves all of them.
    let hosts = (0..8).map(|at| (format!("h{at}"), target.clone()));
    let connecting = hosts.map(|(name, target)| {
        let options = options.clone();
        tokio::spawn(async move { works(&connect(&name, &target, &options).await.unwrap()).await })
    });
    for connected in connecting.collect::<Vec<_>>() {
        connected.await.unwrap();
    }
}

#[tokio::test]
async fn the_configured_key_comes_before_the_agents_others() {
    let sshd = Sshd::start(&Spec { config: "MaxAuthTries 2", ..Spec::default() });
    let agent = Agent::start(&sshd);
    for at in 0..6 {
        let other = sshd.path(&format!("other{at}"));
        keygen(&other, &[]);
        agent.add(&other);
    }
    let mut target = sshd.target();
    target.agent = Some(agent.1.clone());
    works(&reach(&target).await.unwrap()).await;
    // The agent has it too, and only it: the public half beside the file is enough to know which it is.
    agent.add(&sshd.path("id"));
    std::fs::remove_file(sshd.path("id")).unwrap();
    works(&reach(&target).await.unwrap()).await;
    target.identity = Vec::new();
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(error, HostError::Login { .. }), "{error:?}");
    assert!(error.to_string().contains("hung up after"), "{error}");
    (target.identities_only, target.identity) = (true, vec![sshd.path("other0")]);
    let error = reach(&target).await.err().unwrap().to_string();
    assert_eq!(error.matches("SHA256:").count(), 1, "{error}");
}

#[tokio::test]
async fn a_passphrase_is_asked_for_once() {
    let sshd = Sshd::start(&Spec::default());
    for (format, kind) in [("RFC4716", "ed25519"), ("PEM", "rsa"), ("PKCS8", "ecdsa")] {
        let key = sshd.path(&format!("locked{format}"));
        keygen(&key, &["-m", format, "-N", "open sesame", "-t", kind]);
        std::fs::copy(key.with_extension("pub"), sshd.path("authorized")).unwrap();
        let mut target = sshd.target();
        target.identity = vec![key.clone()];
        let person = Arc::new(Person { answer: Some("open sesame"), ..Person::default() });
        let options = options(&person);
        let (one, two) = tokio::join!(connect("h1", &target, &options), connect("h2", &target, &options));
        works(&one.unwrap()).await;
        works(&two.unwrap()).await;
        assert_eq!(*person.asked.lock().unwrap(), [format!("the passphrase of {}", key.display())]);
    }
}

#[tokio::test]
async fn a_passphrase_nobody_gives_is_named() {
    let sshd = Sshd::start(&Spec::default());
    let key = sshd.path("locked");
    keygen(&key, &["-N", "open sesame"]);
    let mut target = sshd.target();
    target.identity = vec![key.clone()];
    // A host that does not take the key has no passphrase asked for it.
    let person = Arc::new(Person::default());
    let error = connect("h1", &target, &options(&person)).await.err().unwrap();
    assert!(matches!(error, HostError::Login { .. }), "{error:?}");
    assert!(person.asked.lock().unwrap().is_empty());
    std::fs::copy(key.with_extension("pub"), sshd.path("authorized")).unwrap();
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(&error, HostError::Unanswered { why, .. } if why.contains("the passphrase of")), "{error:?}");
    assert_eq!(error.exit(), Exit::Declined);
    let person = Arc::new(Person { answer: Some("wrong"), ..Person::default() });
    let error = connect("h1", &target, &options(&person)).await.err().unwrap();
    assert!(error.to_string().contains("the passphrase is wrong"), "{error:?}");
    assert_eq!(person.asked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_user_certificate_logs_in() {
    let sshd = Sshd::start(&Spec::default());
    keygen(&sshd.path("ca"), &[]);
    let user = sshd.target().user;
    let authority = std::fs::read_to_string(sshd.path("ca.pub")).unwrap();
    std::fs::write(sshd.path("authorized"), format!("cert-authority {authority}")).unwrap();
    let sign = |key: &str, principal: &str| {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-s"]).arg(sshd.path("ca")).args(["-I", "id", "-n", principal, "-V", "-1h:+1h"]);
        run(command.arg(sshd.path(&format!("{key}.pub"))));
    };
    let mut target = sshd.target();
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(error, HostError::Login { .. }), "{error:?}");
    for kind in ["ed25519", "rsa"] {
        keygen(&sshd.path(kind), &["-t", kind]);
        sign(kind, &user);
        target.identity = vec![sshd.path(kind)];
        works(&reach(&target).await.unwrap_or_else(|error| panic!("{kind}: {error}"))).await;
    }
    // The agent takes the certificate with the key; and a certificate lies somewhere else than its key.
    let agent = Agent::start(&sshd);
    agent.add(&sshd.path("ed25519"));
    (target.agent, target.identity) = (Some(agent.1.clone()), Vec::new());
    works(&reach(&target).await.unwrap()).await;
    std::fs::rename(sshd.path("rsa-cert.pub"), sshd.path("elsewhere.pub")).unwrap();
    (target.agent, target.identity, target.certificates) =
        (None, vec![sshd.path("rsa")], vec![sshd.path("elsewhere.pub")]);
    works(&reach(&target).await.unwrap()).await;
}

#[tokio::test]
async fn host_keys_are_judged() {
    let sshd = Sshd::start(&Spec::default());
    let mut target = sshd.target();
    target.policy = HostKeyPolicy::Ask;
    let options = options(&Arc::default());
    let error = connect("h1", &target, &options).await.err().unwrap();
    let HostError::UnknownKey(unknown) = error else { panic!("{error:?}") };
    let printed = run(Command::new("ssh-keygen").arg("-lf").arg(sshd.path("host.pub")));
    assert!(printed.contains(&unknown.key.fingerprint), "{printed} {unknown:?}");
    options.shared.learn([&*unknown]).unwrap();
    works(&connect("h1", &target, &options).await.unwrap()).await;
    std::fs::write(
        sshd.path("known_hosts"),
        format!("[127.0.0.1]:{} {}", sshd.port, std::fs::read_to_string(sshd.path("id.pub")).unwrap()),
    )
    .unwrap();
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(&error, HostError::HostKey { next, .. } if next.contains("ssh-keygen -R")), "{error:?}");
}

#[tokio::test]
async fn who_does_not_answer_is_tried_again() {
    let sshd = Sshd::start(&Spec::default());
    let mut target = sshd.target();
    // A port that is closed, and one on which nobody says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    target.port = silent.local_addr().unwrap().port();
    (target.retries, target.connect_timeout) = (1, Duration::from_millis(300));
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(&error, HostError::Connect { why, .. } if why.contains("no answer within")), "{error:?}");
    silent.set_nonblocking(true).unwrap();
    assert_eq!(silent.incoming().take_while(Result::is_ok).count(), 2);
    drop(silent);
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(&error, HostError::Connect { why, .. } if why.contains("refused")), "{error:?}");
}

#[tokio::test]
async fn the_hosts_own_questions_reach_a_person() {
    // Only `publickey,keyboard-interactive` in that order is let in, and without PAM the second has nobody to ask.
    let sshd = Sshd::start(&Spec {
        config: "AuthenticationMethods publickey,keyboard-interactive\nKbdInteractiveAuthentication yes",
        ..Spec::default()
    });
    let error = reach(&sshd.target()).await.err().unwrap().to_string();
    assert!(error.contains("the host accepts keyboard-interactive"), "{error}");
}
