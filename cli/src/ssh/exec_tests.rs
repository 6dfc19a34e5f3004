//! Scripts on a real sshd: what they print, how they end, and what a login shell may do to them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::testing::{Spec, Sshd, reach};
use crate::host::{Host, HostError, Job, Part, STDERR_KEPT};

#[tokio::test]
async fn a_script_is_heard_to_its_end() {
    let sshd = Sshd::start(&Spec::default());
    let host = reach(&sshd.target()).await.unwrap();
    assert_eq!(host.name(), "h1");
    let mut job = Job::new("echo", r#"cat; printf '%s|' "$@" >&2; exit 3"#);
    job.args = vec!["two words".into(), "it's".into(), "\\n!\n$HOME".into(), "".into()];
    job.input = vec![Part::Bytes(b"in".as_slice().into())];
    let output = host.run(job).await.unwrap();
    assert_eq!((output.status, output.text().as_ref()), (3, "in"));
    assert_eq!(output.stderr, "two words|it's|\\n!\n$HOME||");

    let check = async |script: &str, status: i32, stdout: &str| {
        let output = host.run(Job::new("x", script)).await.unwrap();
        assert_eq!((output.status, output.text().as_ref()), (status, stdout), "{script}");
    };
    check("kill -9 $$", 137, "").await;
    check("kill -TERM $$", 143, "").await;
    check("cat", 0, "").await;
    check("cat <<'END'\na'b\"c\\d\nEND", 0, "a'b\"c\\d\n").await;
    check("exec sh -c 'echo $0'", 0, "sh\n").await;
    check("syntax error (", 2, "").await;
    let output = host.run(Job::new("x", "head -c 300000 /dev/zero | tr '\\0' x >&2; echo end >&2")).await.unwrap();
    assert_eq!((output.stderr.len(), output.stderr.ends_with("xend\n")), (STDERR_KEPT, true));
}

#[tokio::test]
async fn a_script_that_runs_away_is_stopped() {
    let sshd = Sshd::start(&Spec::default());
    let host = reach(&sshd.target()).await.unwrap();
    let error = host.run(Job::new("yes", "yes")).await.unwrap_err();
    assert_eq!(error.to_string(), "`yes`: it prints more than 8 MiB");
    let pid = sshd.path("pid");
    let mut job = Job::new("sleep", format!("echo $$ > {}; sleep 1000", pid.display()));
    job.timeout = Duration::from_secs(1);
    assert!(matches!(host.run(job).await, Err(HostError::Timeout { .. })));
    let pid = std::fs::read_to_string(pid).unwrap();
    let gone = async || {
        while std::path::Path::new(&format!("/proc/{}", pid.trim())).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone()).await.unwrap();
    // What a script leaves running keeps its output open, and is not waited for.
    let before = Instant::now();
    let output = host.run(Job::new("daemon", "sleep 30 & echo started")).await.unwrap();
    assert_eq!((output.status, output.text().as_ref()), (0, "started\n"));
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
    let output = host.run(Job::new("after", "echo still here")).await.unwrap();
    assert_eq!(output.text(), "still here\n");
}

#[tokio::test]
async fn sixty_four_mebibytes_arrive_whole() {
    // The keys of the connection change a few times on the way.
    let sshd = Sshd::start(&Spec { config: "RekeyLimit 16M", ..Spec::default() });
    let host = reach(&sshd.target()).await.unwrap();
    let file = sshd.path("big");
    let mut state = 1_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()
    })
    .take(8 << 20)
    .flatten()
    .collect();
    std::fs::write(&file, &bytes).unwrap();
    let expected = ring::digest::digest(&ring::digest::SHA256, &bytes[10..]);
    let expected: String = expected.as_ref().iter().map(|it| format!("{it:02x}")).collect();
    let seen = AtomicU64::new(0);
    let told = |bytes: u64| assert!(seen.swap(bytes, Ordering::Relaxed) < bytes);
    let mut job = Job::new("upload", "sha256sum | cut -d' ' -f1");
    job.input = vec![Part::File(&file, 10)];
    job.sent = Some(&told);
    let output = host.run(job).await.unwrap();
    assert_eq!(output.text().trim(), expected);
    assert_eq!(seen.load(Ordering::Relaxed), (64 << 20) - 10);
    // Who reads nothing has what they wanted, and a file that is not there is nobody's fault over there.
    let mut job = Job::new("upload", "exit 4");
    job.input = vec![Part::File(&file, 0)];
    assert_eq!(host.run(job).await.unwrap().status, 4);
    let gone = sshd.path("gone");
    let mut job = Job::new("upload", "cat");
    job.input = vec![Part::File(&gone, 0)];
    let error = host.run(job).await.unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("gone"), "{error}");
}

#[tokio::test]
async fn a_lost_connection_is_told_apart() {
    let sshd = Sshd::start(&Spec::default());
    let host = reach(&sshd.target()).await.unwrap();
    let file = sshd.path("big");
    std::fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
    let hung_up = AtomicU64::new(0);
    let told = |bytes: u64| {
        if bytes > 8 << 20 && hung_up.fetch_add(1, Ordering::Relaxed) == 0 {
            sshd.hang_up();
        }
    };
    let mut job = Job::new("upload", "cat >/dev/null");
    job.input = vec![Part::File(&file, 0)];
    job.sent = Some(&told);
    let error = host.run(job).await.unwrap_err();
    assert!(matches!(&error, HostError::Lost { label, .. } if label == "upload"), "{error:?}");
    let error = host.run(Job::new("after", "echo")).await.unwrap_err();
    assert!(matches!(&error, HostError::Connect { .. }), "{error:?}");
}

#[tokio::test]
async fn a_held_script_ends_with_its_guard() {
    let sshd = Sshd::start(&Spec::default());
    let host = reach(&sshd.target()).await.unwrap();
    let ended = sshd.path("ended");
    let script = format!("echo held; cat >/dev/null; touch {}", ended.display());
    let held = host.hold(Job::new("lock", script)).await.unwrap();
    assert_eq!((held.line.as_str(), held.status), ("held", None));
    assert_eq!(host.run(Job::new("beside", "echo x")).await.unwrap().text(), "x\n");
    drop(held);
    let wait = async {
        while !ended.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    let refused = host.hold(Job::new("lock", "exit 75")).await.unwrap();
    assert_eq!((refused.line.as_str(), refused.status), ("", Some(75)));
}

#[tokio::test]
async fn a_shell_is_kept_for_the_next_script_only_when_all_went_well() {
    let sshd = Sshd::start(&Spec::default());
    let host = reach(&sshd.target()).await.unwrap();
    let file = sshd.path("big");
    std::fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
    let run_within = async |limit: Duration, script: &str, input: bool| {
        let mut job = Job::new("x", script);
        (job.keeps_shell, job.timeout) = (true, limit);
        if input {
            job.input = vec![Part::Bytes(b"head ".as_slice().into()), Part::File(&file, 0)];
        }
        host.run(job).await
    };
    let run = async |script: &str, input: bool| run_within(Duration::from_secs(60), script, input).await;
    let shell = async || {
        let output = run("echo $$", false).await.unwrap();
        assert_eq!(output.status, 0, "the script after another one is run as well as the first");
        output.text().trim().to_owned()
    };
    let first = shell().await;
    let check = async |script: &str, input: bool, expected: (i32, &str, &str), same: bool| {
        let before = shell().await;
        let output = run(script, input).await.unwrap();
        assert_eq!((output.status, output.text().as_ref(), output.stderr.as_str()), expected, "{script}");
        assert_eq!(shell().await == before, same, "{script}");
    };
    assert_eq!(shell().await, first);
    check("printf 'no line end'; echo err >&2", false, (0, "no line end", "err\n"), true).await;
    check("printf '\n\n'; set -e; umask 0; cd /; x=1", false, (0, "\n\n", ""), true).await;
    check("echo ${x-none}; cat", false, (0, "none\n", ""), true).await;
    check("head -c 5; head -c 3145728 | tr -d x; echo .", true, (0, "head .\n", ""), true).await;
    // What is left running may print as much as it likes, and keeps nobody from going on.
    let left = sshd.path("left");
    let chatter = format!("(sleep 0.2; exec yes left >&2) & echo $! >{}", left.display());
    check(&chatter, false, (0, "", ""), true).await;
    let job = Job::new("beside", "sleep 0.5; echo beside");
    assert_eq!(host.run(job).await.unwrap().text(), "beside\n");
    let output = run(&format!("kill $(cat {}); echo on", left.display()), false).await.unwrap();
    assert_eq!((output.status, output.text().as_ref()), (0, "on\n"));
    // What ends badly, leaves some of its input, or takes its shell with it, has had the last word there.
    check("echo out; exit 3", false, (3, "out\n", ""), false).await;
    check("head -c 5", true, (0, "head ", ""), false).await;
    assert_eq!(run("syntax error (", false).await.unwrap().status, 2);
    check("kill -9 $$; sleep 1", false, (137, "", ""), false).await;
    let error = run_within(Duration::from_secs(1), "sleep 100", false).await.unwrap_err();
    assert!(matches!(error, HostError::Timeout { .. }), "{error:?}");
    let big = run("yes", false).await.unwrap_err();
    assert_eq!(big.to_string(), "`x`: it prints more than 8 MiB");
    let output = run("head -c 300000 /dev/zero | tr '\\0' x >&2; echo end >&2", false).await.unwrap();
    assert_eq!((output.stderr.len(), output.stderr.ends_with("xend\n")), (STDERR_KEPT, true));
    assert_eq!(run("printf %s \"$1\"; cat", false).await.unwrap().text(), "");
    sshd.hang_up();
    let error = run("echo", false).await.unwrap_err();
    assert!(matches!(error, HostError::Connect { .. } | HostError::Lost { .. }), "{error:?}");
}

#[tokio::test]
async fn any_login_shell_will_do() {
    for shell in ["/bin/sh", "/bin/bash", "/bin/dash", "/bin/csh", "/bin/tcsh", "/usr/bin/fish", "/bin/zsh"] {
        if !std::path::Path::new(shell).exists() {
            println!("{shell} is not on this machine");
            continue;
        }
        let sshd = Sshd::start(&Spec { shell: Some(shell), ..Spec::default() });
        let host = reach(&sshd.target()).await.unwrap();
        let mut job = Job::new("x", "id -un; cat; printf '%s\\n' \"$1\"");
        job.args = vec!["it's `a` $test! \\".into()];
        job.input = vec![Part::Bytes(b"bytes\n".as_slice().into())];
        let output = host.run(job).await.unwrap_or_else(|error| panic!("{shell}: {error}"));
        assert_eq!(output.text(), "tester\nbytes\nit's `a` $test! \\\n", "{shell}");
        for _ in 0..2 {
            let mut job = Job::new("x", "id -un; head -c 6; printf '%s\\n' \"$1\"");
            job.args = vec!["it's `a` $test! \\".into()];
            job.input = vec![Part::Bytes(b"bytes\n".as_slice().into())];
            job.keeps_shell = true;
            let output = host.run(job).await.unwrap_or_else(|error| panic!("{shell}: {error}"));
            assert_eq!(output.text(), "tester\nbytes\nit's `a` $test! \\\n", "{shell}, kept");
        }
    }
}

#[tokio::test]
async fn a_noisy_login_shell_does_no_harm() {
    let noise = "echo welcome; echo warning >&2; printf 'no newline'; set -x\n";
    let sshd = Sshd::start(&Spec { shell: Some("/bin/bash"), home: &[(".bashrc", noise)], ..Spec::default() });
    let host = reach(&sshd.target()).await.unwrap();
    for _ in 0..2 {
        let output = host.run(Job::new("x", "echo out; echo err >&2")).await.unwrap();
        assert_eq!((output.text().as_ref(), output.stderr.as_str()), ("out\n", "err\n"));
    }
    for _ in 0..3 {
        let mut job = Job::new("x", "echo out; echo err >&2");
        job.keeps_shell = true;
        let output = host.run(job).await.unwrap();
        assert_eq!((output.text().as_ref(), output.stderr.as_str()), ("out\n", "err\n"));
    }
}

#[tokio::test]
async fn a_login_shell_that_does_not_come_to_it_is_named() {
    let check = async |shell: &str, rc: &str, words: &[&str]| {
        let sshd = Sshd::start(&Spec { shell: Some(shell), home: &[(".bashrc", rc)], ..Spec::default() });
        let host = reach(&sshd.target()).await.unwrap();
        let mut job = Job::new("probe", "echo ran");
        job.timeout = Duration::from_secs(3);
        let error = host.run(job).await.unwrap_err();
        for word in words {
            assert!(error.to_string().contains(word), "{shell} {rc}: {error:?} lacks {word}");
        }
    };
    check("/bin/bash", "yes", &["prints and prints", "start-up file"]).await;
    check("/bin/bash", "echo what is your name; read name", &["took longer than 3 s"]).await;
    check("/bin/bash", "echo bye; exit 5", &["ended with status 5", "bye"]).await;
    check("/usr/sbin/nologin", "", &["status 1", "not available"]).await;
}
