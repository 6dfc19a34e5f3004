//! Bastions in front of real sshds.

use std::sync::Arc;

use super::{
    connect,
    testing::{Spec, Sshd, keygen, options, reach},
};
use crate::host::{Host, HostError, Job, Part};

#[tokio::test]
async fn a_chain_of_bastions_is_gone_through() {
    let (first, second, last) =
        (Sshd::start(&Spec::default()), Sshd::start(&Spec::default()), Sshd::start(&Spec::default()));
    let mut target = last.target();
    target.jump = vec![first.target(), second.target()];
    let host = reach(&target).await.unwrap();
    let output = host.run(Job::new("x", "echo $SSH_CONNECTION")).await.unwrap();
    assert!(output.text().trim().ends_with(&last.port.to_string()), "{output:?}");
    let file = last.path("big");
    std::fs::File::create(&file).unwrap().set_len(16 << 20).unwrap();
    let mut job = Job::new("upload", "wc -c");
    job.input = vec![Part::File(&file, 0)];
    assert_eq!(host.run(job).await.unwrap().text().trim(), (16 << 20).to_string());
    // Somebody else's bastion dies: the host behind it is lost, and says so.
    second.hang_up();
    let error = host.run(Job::new("after", "echo")).await.unwrap_err();
    assert!(matches!(error, HostError::Lost { .. } | HostError::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn twenty_hosts_share_one_connection_to_their_bastion() {
    let (bastion, last) = (Sshd::start(&Spec::default()), Sshd::start(&Spec::default()));
    let mut target = last.target();
    target.jump = vec![bastion.target()];
    // The twenty are one sshd here, which drops connections at random when ten are not logged in yet.
    target.retries = 8;
    let options = options(&Arc::default());
    let connecting = (0..20).map(|at| {
        let (target, options) = (target.clone(), options.clone());
        tokio::spawn(async move {
            let host = connect(&format!("h{at}"), &target, &options).await.unwrap();
            host.run(Job::new("x", "echo in")).await.unwrap()
        })
    });
    for connected in connecting.collect::<Vec<_>>() {
        assert_eq!(connected.await.unwrap().text(), "in\n");
    }
    assert_eq!(bastion.log().matches("Accepted publickey").count(), 1, "{}", bastion.log());
    assert_eq!(last.log().matches("Accepted publickey").count(), 20);
}

#[tokio::test]
async fn a_bastion_that_fails_is_named_once() {
    let (bastion, last) = (Sshd::start(&Spec::default()), Sshd::start(&Spec::default()));
    let mut target = last.target();
    let mut hop = bastion.target();
    let wrong = bastion.path("wrong");
    keygen(&wrong, &[]);
    hop.identity = vec![wrong];
    target.jump = vec![hop.clone()];
    let options = options(&Arc::default());
    for name in ["h1", "h2", "h3"] {
        let error = connect(name, &target, &options).await.err().unwrap();
        assert!(matches!(&error, HostError::Login { address, .. } if *address == hop.address()), "{error:?}");
    }
    assert_eq!(bastion.log().matches("Failed publickey").count(), 1, "{}", bastion.log());
    // It forbids to go on, and there is nobody behind it.
    let shut = Sshd::start(&Spec { config: "AllowTcpForwarding no", ..Spec::default() });
    target.jump = vec![shut.target()];
    let error = reach(&target).await.err().unwrap().to_string();
    assert!(error.contains("does not allow a way to"), "{error}");
    target.jump = vec![bastion.target()];
    drop(last);
    let error = reach(&target).await.err().unwrap();
    assert!(matches!(&error, HostError::Connect { why, .. } if why.contains("ConnectFailed")), "{error:?}");
}
