//! Who runs `mesh bootstrap`, and with what: an ordinary user's password, a plan that was kept, another operator.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use mesh_tests::{
    Ran,
    bed::{Bed, BedHost, Operator, files_with, wanted},
    screen::Screen,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// The password of `op` on the hosts of a bed.
const PASSWORD: &str = "op-secret";
/// What opens the root of a mesh, as the bed's operators have it in a file.
const PASSPHRASE: &str = "correct horse battery staple";
const SECRETS: [&str; 2] = [PASSWORD, PASSPHRASE];
/// How long a bootstrap of a few hosts may take, on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(240);

/// Everything that processes of the hosts say of themselves, their environments too, that holds a secret.
fn told(bed: &Bed) -> BTreeSet<String> {
    let all = bed.hosts().iter().flat_map(|it| it.processes()).flat_map(|it| {
        let environment = fs::read(format!("/proc/{}/environ", it.process.pid)).unwrap_or_default();
        [it.command, String::from_utf8_lossy(&environment).into_owned()]
    });
    all.filter(|it| SECRETS.iter().any(|secret| it.contains(secret))).collect()
}

/// No secret is in a file of the hosts, or in one of the operator's but the passphrase's own.
fn is_in_no_file(bed: &Bed, operator: &Operator) {
    for secret in SECRETS {
        for host in bed.hosts() {
            assert_eq!(host.files_with(secret.as_bytes()), Vec::<PathBuf>::new(), "{secret} on {}", host.name());
        }
    }
    // Journal, plan, configuration and all else that is kept here.
    assert_eq!(files_with(operator.home().to_owned(), PASSWORD.as_bytes()), Vec::<PathBuf>::new());
    let own = files_with(operator.home().to_owned(), PASSPHRASE.as_bytes());
    assert_eq!(own, [PathBuf::from(operator.passphrase())]);
}

/// No secret is in what a command says to programs, and that is what it should be: `kinds` of events and one document.
fn tells_programs(ran: &Ran, kinds: &[&str]) -> Value {
    for secret in SECRETS {
        assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "{secret} is told: {ran:?}");
    }
    let events: Vec<Value> = ran.stderr.lines().filter_map(|it| serde_json::from_str(it).ok()).collect();
    for kind in kinds {
        assert!(events.iter().any(|it| it["event"] == **kind), "no event `{kind}` in: {}", ran.stderr);
    }
    ran.json()
}

/// Does something while another thread looks at the processes of the hosts, again and again.
fn watched(bed: &Bed, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    let (seen, looks) = std::thread::scope(|scope| {
        let look = scope.spawn(|| {
            let (mut seen, mut looks) = (BTreeSet::new(), 0);
            while !done.load(Ordering::SeqCst) {
                seen.extend(told(bed));
                looks += 1;
                // Each look is a walk over all of /proc: what is watched must come to its turn too.
                std::thread::sleep(Duration::from_millis(20));
            }
            (seen, looks)
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::SeqCst);
        ended.unwrap();
        look.join().unwrap()
    });
    assert!(seen.is_empty() && looks > 10, "{looks} looks: {seen:?}");
}

#[test]
fn an_ordinary_user_becomes_root_with_a_password_that_nobody_else_sees() {
    let Some(bed) = wanted(3) else { return };
    let operator = Operator::new(&bed);
    let hosts = |password: &str| {
        let path = bed.hosts_yaml(|it| {
            it["defaults"]["ssh"]["user"] = json!("op");
            it["defaults"]["become"] = json!({"method": "sudo", "password": password});
        });
        path.unwrap().to_str().unwrap().to_owned()
    };
    let file = hosts("prompt");
    operator.bootstrap(&[&file]).finish().exits(9).says(&["the password to become root", "next: "]);
    hosts("env:BED_PASSWORD");
    let mut wrong = operator.command(&["bootstrap", &file, "--yes", "--root-passphrase-file", operator.passphrase()]);
    let wrong = Ran::from(wrong.env("BED_PASSWORD", "wrong-secret").output().unwrap());
    wrong.exits(6).says(&["cannot become root"]);
    for host in bed.hosts() {
        assert_eq!(host.exec("ls -d /opt/mesh /etc/mesh").stdout, "", "{} was changed by who is not root", host.name());
    }

    // Asked once, for all hosts; what is typed is not shown.
    hosts("prompt");
    let command = operator.command(&["bootstrap", &file, "--yes", "--root-passphrase-file", operator.passphrase()]);
    watched(&bed, || {
        let mut screen = Screen::start(&command, (160, 50), &[]);
        let asks = |text: &str| text.matches("the password to become root").count();
        screen.until_within(LIMIT, "the password is asked for", |text| asks(text) > 0);
        screen.hides_keys(Duration::from_secs(10));
        // Lines that move would have moved four times: the question stands.
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(asks(&screen.text()), 1, "{}", screen.text());
        screen.keys(&format!("{PASSWORD}\n"));
        let code = screen.ends(LIMIT);
        let shown = screen.text();
        assert!(code == 0 && !shown.contains(PASSWORD), "{code}: {shown}");
    });
    operator.all_are_ready(&bed);
    for host in bed.hosts() {
        let whose = host.exec("stat -c %U /opt/mesh /etc/mesh/.installed /var/lib/mesh").ok().stdout;
        assert_eq!(whose, "root\nroot\nmesh\n", "{}", host.name());
    }
    is_in_no_file(&bed, &operator);

    hosts("env:BED_PASSWORD");
    let with = |args: &[&str]| Ran::from(operator.command(args).env("BED_PASSWORD", PASSWORD).output().unwrap());
    let same = with(&["bootstrap", &file, "--dry-run", "--detailed-exitcode"]).ok().says(&["nothing to do"]);
    assert!(!format!("{same:?}").contains(PASSWORD));
    programs_learn_no_secret(&bed, &operator, &file);
}

/// The whole way back and forth again, with everything told to a program: plan, events, reports.
fn programs_learn_no_secret(bed: &Bed, operator: &Operator, file: &str) {
    let json = ["--yes", "--progress", "json", "-o", "json"];
    let with = |args: &[&str]| {
        let mut command = operator.command(&[args, &json[..]].concat());
        Ran::from(command.env("BED_PASSWORD", PASSWORD).output().unwrap())
    };
    let reset = ["reset", "--all", "-f", file, "--purge"];
    let gone = || {
        let left = |it: &BedHost| it.exec("ls -d /opt/mesh /etc/mesh /var/lib/mesh /usr/local/bin/mesh").stdout;
        bed.hosts()
            .iter()
            .for_each(|it| assert_eq!((left(it).as_str(), it.kill("mesh-agentd")), ("", 0), "{}", it.name()));
    };
    watched(bed, || {
        tells_programs(&with(&[&reset[..], &["--dry-run"]].concat()).ok(), &["phase"]);
        let ended = tells_programs(&with(&reset).ok(), &["phase", "step", "host"]);
        assert_eq!(ended["hosts"].as_array().map(Vec::len), Some(3), "{ended}");
    });
    gone();
    // Its root is there, and asks for the passphrase: certificates are signed with it.
    let bootstrap = ["bootstrap", file, "--root-passphrase-file", operator.passphrase()];
    watched(bed, || {
        let plan = tells_programs(&with(&[&bootstrap[..], &["--dry-run"]].concat()).ok(), &["phase"]);
        assert_eq!(plan["changes"], true);
        let ended = tells_programs(&with(&bootstrap).ok(), &["phase", "step", "sent", "host"]);
        assert_eq!((&ended["exit"], ended["hosts"].as_array().map(Vec::len)), (&json!(0), Some(3)), "{ended}");
    });
    operator.all_are_ready(bed);
    // What fails is told as well: a password that is wrong.
    let mut wrong = operator.command(&[&bootstrap[..], &json[..]].concat());
    let wrong = Ran::from(wrong.env("BED_PASSWORD", format!("not-{PASSWORD}")).output().unwrap()).exits(6);
    assert!(!format!("{wrong:?}").contains(PASSWORD), "{wrong:?}");
    is_in_no_file(bed, operator);
    let list = with(&["bootstrap", "--list"]).ok().json();
    assert!(list["items"].as_array().is_some_and(|it| it.len() > 2), "{list}");
    watched(bed, || {
        let reset = with(&reset).ok();
        assert!(!format!("{reset:?}").contains(PASSWORD));
    });
    gone();
}

#[test]
fn a_kept_plan_is_carried_out_as_it_is_or_not_at_all() {
    let Some(bed) = wanted(3) else { return };
    let operator = Operator::new(&bed);
    let write = |labels: Value| bed.hosts_yaml(|it| it["hosts"][2]["labels"] = labels).unwrap();
    let file = write(json!({"rack": "r1"}));
    let (file, kept) = (file.to_str().unwrap(), operator.home().join("plan.json"));
    let kept = kept.to_str().unwrap();
    let before = bed.disks();
    let plan = || operator.bootstrap(&[file, "--dry-run", "--detailed-exitcode", "--plan-out", kept]).finish();
    let apply = || operator.bootstrap(&[file, "--plan", kept]).finish();
    plan().exits(10);
    assert!(bed.disks() == before, "a plan has changed a host");

    let refused = |parts: &[&str]| {
        let _ = apply().exits(7).says(&["the plan cannot be carried out", kept, "--dry-run --plan-out"]).says(parts);
    };
    // Somebody was on a host.
    let _ = bed.host("h2").exec("mkdir -m 700 /etc/mesh").ok();
    refused(&["has changed since: h2\n"]);
    let _ = bed.host("h2").exec("rmdir /etc/mesh").ok();
    // Somebody has edited the file.
    write(json!({"rack": "r2"}));
    refused(&["has changed since: what is declared of h3\n"]);
    write(json!({"rack": "r1"}));
    assert!(bed.disks() == before, "a refused plan has changed a host");

    apply().ok();
    operator.all_are_ready(&bed);
    let labels = &operator.nodes().into_iter().find(|it| it["name"] == "h3").unwrap()["spec"]["labels"];
    assert_eq!(labels["rack"], "r1", "{labels}");
    // What was carried out is not there to be done again.
    refused(&["has changed since: h1, h2, h3, what is declared of h1"]);

    fs::write(kept, "{}").unwrap();
    operator.bootstrap(&[file, "--plan", kept]).finish().exits(3).says(&["it is not a plan"]);
    // A plan in which nothing is left to do is as good as any.
    plan().ok();
    apply().ok();
}

#[test]
fn of_two_operators_at_once_one_goes_through_and_the_other_learns_who() {
    let Some(bed) = wanted(3) else { return };
    let operator = Operator::new(&bed);
    let hosts = bed.hosts_yaml(|_| {}).unwrap();
    let hosts = hosts.to_str().unwrap();

    // One is in the middle of it.
    let mut first = operator.bootstrap(&[hosts]);
    assert!(first.until("step", Some("h2"), "binary mesh-agentd"));
    first.signal(Signal::STOP);
    let run = operator.last_run();
    let second = operator.bootstrap(&[hosts]).finish().exits(7);
    let holder = format!(", run {run} pid ");
    let second = second.says(&["another operator is changing this host", "the lock is held by ", &holder, "next: "]);
    assert!(!second.stderr.contains("panicked"), "{}", second.stderr);
    operator.bootstrap(&["--resume", &run]).finish().exits(7).says(&["is being carried out by another command"]);
    first.signal(Signal::CONT);
    first.finish().ok();
    operator.all_are_ready(&bed);

    // Both begin at the same instant, over hosts on which there is something to do.
    for host in bed.hosts() {
        let _ = host.exec("echo '# by hand' >> /etc/mesh/agentd.toml").ok();
    }
    let (one, other) = (operator.bootstrap(&[hosts]), operator.bootstrap(&[hosts]));
    let mut codes = [one.finish(), other.finish()];
    codes.sort_by_key(|it| it.code);
    let [done, late] = codes;
    done.ok();
    // Whoever is much later finds that nothing is left to do, or that the hosts are not as they were.
    assert!(late.code == 0 || late.code == 7, "{late:?}");
    operator.all_are_ready(&bed);
    operator.has_nothing_to_do(hosts);
}
