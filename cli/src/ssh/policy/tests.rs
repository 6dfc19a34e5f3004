//! Our verdicts beside those of the real `ssh`, and what holds for any file.

use std::{path::PathBuf, sync::atomic::AtomicUsize, time::SystemTime};

use proptest::prelude::*;

use super::*;
use crate::ssh::{
    known_hosts::learn,
    openssh::{Ask, OpenSsh, Said},
};

const HOST: &str = "h.example";
const PORT: u16 = 2222;

/// One row: files, a server, and how it is asked for.
struct Row {
    what: &'static str,
    files: Vec<&'static str>,
    server: &'static str,
    host: &'static str,
    port: u16,
    alias: Option<&'static str>,
    algorithms: &'static str,
    revoked: Option<&'static str>,
    /// Where we refuse and OpenSSH, under `accept-new`, does not.
    stricter: bool,
}

fn row(what: &'static str, known_hosts: &'static str) -> Row {
    let (files, host) = (vec![known_hosts], HOST);
    Row { what, files, server: "plain", host, port: PORT, alias: None, algorithms: "", revoked: None, stricter: false }
}

impl Row {
    fn and(mut self, file: &'static str) -> Self {
        self.files.push(file);
        self
    }
    fn of(self, server: &'static str) -> Self {
        Self { server, ..self }
    }
    fn at(self, host: &'static str, port: u16) -> Self {
        Self { host, port, ..self }
    }
    fn alias(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }
    fn algorithms(self, algorithms: &'static str) -> Self {
        Self { algorithms, ..self }
    }
    fn revoked(self, file: &'static str) -> Self {
        Self { revoked: Some(file), ..self }
    }
    fn stricter(self) -> Self {
        Self { stricter: true, ..self }
    }
}

/// `{ed}` and the like stand for keys, `{#name}` for a hashed name.
fn rows() -> Vec<Row> {
    let rows = [plain_rows(), marked_rows(), certificate_rows(), revocation_rows()];
    rows.into_iter().flatten().collect()
}

fn plain_rows() -> Vec<Row> {
    vec![
        row("nothing", ""),
        row("plain", "[h.example]:2222 {ed}"),
        row("plain on port 22", "h.example {ed}").at(HOST, 22),
        row("the port 22 is not written", "[h.example]:22 {ed}").at(HOST, 22),
        row("upper case", "[H.Example]:2222 {ed}").at("h.EXAMPLE", PORT),
        row("an address", "[10.0.0.1]:2222 {ed}").at("10.0.0.1", PORT),
        row("an address of IPv6", "fd00::1 {ed}").at("fd00::1", 22),
        row("an address of IPv6 and a port", "[fd00::1]:2222 {ed}").at("fd00::1", PORT),
        row("hashed", "{#[h.example]:2222} {ed}"),
        row("hashed, another name", "{#[i.example]:2222} {ed}"),
        row("hashed, another key", "{#[h.example]:2222} {other}"),
        row("hashed without a port", "{#h.example} {ed}"),
        row("a list", "a,[h.example]:2222,b {ed}"),
        row("a list with an empty name", ",,[h.example]:2222 {ed}"),
        row("any", "* {ed}"),
        row("any with a port", "[*]:2222 {ed}"),
        row("any in a domain", "[*.example]:2222 {ed}"),
        row("one character", "[?.example]:2222 {ed}"),
        row("one character too many", "[?h.example]:2222 {ed}"),
        row("brackets are no class", "[gh].example {ed}").at(HOST, 22),
        row("negated", "*,![h.example]:2222 {ed}"),
        row("negated before", "![h.example]:2222,* {ed}"),
        row("negated pattern alone", "!*.org {ed}"),
        row("another one negated", "*,!i.example {ed}"),
        row("tabs", "[h.example]:2222\t{ed}\tcomment"),
        row("blanks before", "  \t[h.example]:2222   {ed}"),
        row("a comment", "[h.example]:2222 {ed} somebody@somewhere # x"),
        row("commented out", "#[h.example]:2222 {ed}"),
        row("line ends of Windows", "[h.example]:2222 {ed}\r\n"),
        row("no last line end", "a {other}\n[h.example]:2222 {ed}"),
        row("without the port", "h.example {ed}"),
        row("without the port, another key", "h.example {other}"),
        row("without the port, with it another key", "h.example {ed}\n[h.example]:2222 {other}"),
        row("the wrong port", "[h.example]:2223 {ed}"),
        row("another key", "[h.example]:2222 {other}"),
        row("another key and the right one", "[h.example]:2222 {other}\n[h.example]:2222 {ed}"),
        row("another type, which is there", "[h.example]:2222 {ec}"),
        row("RSA, which is there", "[h.example]:2222 {rsa}"),
        row("another type, which is another key", "[h.example]:2222 {otherec}"),
        row("only a type the server has not", "[h.example]:2222 {rsa}").of("ed"),
        row("the right one and another of a type the server has not", "[h.example]:2222 {ed}\n[h.example]:2222 {rsa}")
            .of("ed"),
        row("asked for RSA only", "[h.example]:2222 {ed}").algorithms("rsa-sha2-512,rsa-sha2-256"),
        row("asked for RSA only, recorded", "[h.example]:2222 {rsa}").algorithms("rsa-sha2-256"),
        row("a damaged line before", "[h.example]:2222 ssh-ed25519 AAAA\n[h.example]:2222 {ed}"),
        row("a damaged key alone", "[h.example]:2222 ssh-ed25519 AAAA"),
        row("no key", "[h.example]:2222\n[h.example]:2222 \n[h.example]:2222 # c\n[h.example]:2222 ssh-ed25519"),
        row("a key of another type than it says", "[h.example]:2222 ssh-rsa {ed:blob}"),
        row("a damaged hash before", "|1|x|y {other}\n[h.example]:2222 {ed}"),
        row("an unknown type before", "[h.example]:2222 ssh-new AAAAB3NzaC1\n[h.example]:2222 {ed}"),
        row("a key of version 1 before", "[h.example]:2222 1024 35 1234567\n[h.example]:2222 {ed}"),
        row("a second file", "a {other}").and("[h.example]:2222 {ed}"),
        row("two files that differ", "[h.example]:2222 {other}").and("[h.example]:2222 {ed}"),
        row("an alias", "box {ed}").alias("box"),
        row("an alias in upper case", "box {ed}").alias("BOX"),
        row("an alias beats name and port", "box {other}\n[h.example]:2222 {ed}").alias("box"),
        row("an alias that nobody knows", "[h.example]:2222 {ed}").alias("box"),
    ]
}

fn marked_rows() -> Vec<Row> {
    vec![
        row("revoked", "@revoked [h.example]:2222 {ed}"),
        row("revoked and plain", "[h.example]:2222 {ed}\n@revoked [h.example]:2222 {ed}"),
        row("revoked everywhere and plain", "@revoked * {ed}\n[h.example]:2222 {ed}"),
        row("revoked, hashed name", "@revoked {#[h.example]:2222} {ed}\n[h.example]:2222 {ed}"),
        row("revoked for another", "@revoked i.example {ed}\n[h.example]:2222 {ed}"),
        row("revoked, another key", "@revoked * {other}\n[h.example]:2222 {ed}"),
        row("revoked, another key alone", "@revoked * {other}"),
        row("revoked in the second file", "[h.example]:2222 {ed}").and("@revoked * {ed}"),
        row("revoked without the port", "@revoked h.example {ed}").stricter(),
        row("revoked without the port, plain with it", "@revoked h.example {ed}\n[h.example]:2222 {ed}").stricter(),
        row("revoked after a tab", "@revoked\t[h.example]:2222 {ed}").stricter(),
        row("revoked with tabs only", "@revoked\t[h.example]:2222\t{ed:tab}"),
        row("an unknown marker", "@trusted [h.example]:2222 {ed}"),
        row("two markers", "@revoked @cert-authority [h.example]:2222 {ed}"),
        row("an authority is no key", "@cert-authority [h.example]:2222 {ed}"),
        row("an authority and a plain key", "@cert-authority * {ca}\n[h.example]:2222 {ed}"),
    ]
}

fn certificate_rows() -> Vec<Row> {
    vec![
        row("a certificate", "@cert-authority [h.example]:2222 {ca}").of("good"),
        row("a certificate, any host", "@cert-authority * {ca}").of("good"),
        row("a certificate, the domain", "@cert-authority *.example {ca}").of("good"),
        row("a certificate, not this domain", "@cert-authority *.org {ca}").of("good"),
        row("a certificate, tabs", "@cert-authority\t* {ca}").of("good"),
        row("a certificate, RSA signs", "@cert-authority * {rsaca}").of("good-rsa"),
        row("a certificate, another authority", "@cert-authority * {other}").of("good"),
        row("a certificate, two authorities", "@cert-authority * {other}\n@cert-authority * {ca}").of("good"),
        row("a certificate, nobody knows its authority", "").of("good"),
        row("a certificate, its key is known", "[h.example]:2222 {ed}").of("good"),
        row("a certificate, another key is known", "[h.example]:2222 {other}").of("good"),
        row("an authority of another port", "@cert-authority [h.example]:2223 {ca}").of("good"),
        row("a certificate for a pattern", "@cert-authority * {ca}").of("pattern").stricter(),
        row("a certificate for everybody", "@cert-authority * {ca}").of("everybody"),
        row("a certificate under an alias", "@cert-authority box {ca}").of("good").alias("box").stricter(),
        row("a certificate for the alias", "@cert-authority box {ca}").of("box").alias("BOX"),
        row("a certificate for another", "@cert-authority * {ca}").of("other-name").stricter(),
        row("a certificate for another, its key is known", "@cert-authority * {ca}\n[h.example]:2222 {ed}")
            .of("other-name"),
        row("a certificate for another, another key is known", "@cert-authority * {ca}\n[h.example]:2222 {other}")
            .of("other-name"),
        row("a certificate that expired", "@cert-authority * {ca}").of("expired").stricter(),
        row("a certificate that is not valid yet", "@cert-authority * {ca}").of("early").stricter(),
        row("a certificate with a critical option", "@cert-authority * {ca}").of("critical").stricter(),
        row("a certificate with an extension", "@cert-authority * {ca}").of("extension"),
        row("a certificate whose key is revoked", "@cert-authority * {ca}\n@revoked * {ed}").of("good"),
        row("a certificate whose authority is revoked", "@cert-authority * {ca}\n@revoked * {ca}").of("good"),
        row("revoked authority, key known", "@cert-authority * {ca}\n@revoked * {ca}\n[h.example]:2222 {ed}")
            .of("good"),
        row("a certificate, but asked for keys", "@cert-authority * {ca}").of("good").algorithms("ssh-ed25519"),
    ]
}

fn revocation_rows() -> Vec<Row> {
    vec![
        row("listed as revoked", "[h.example]:2222 {ed}").revoked("{ed}"),
        row("another one is listed", "[h.example]:2222 {ed}").revoked("# list\n\n{other} comment\n"),
        row("its authority is listed", "@cert-authority * {ca}").of("good").revoked("{ca}"),
        row("the list is damaged", "[h.example]:2222 {ed}").revoked("nonsense\n"),
        row("there is no list", "[h.example]:2222 {ed}").revoked("{none}"),
    ]
}

/// Keys, certificates and servers of the rows.
struct Bench {
    openssh: OpenSsh,
    words: Vec<(String, String)>,
    servers: Vec<(&'static str, Vec<&'static str>)>,
}

impl Bench {
    fn new() -> Self {
        let openssh = OpenSsh::new();
        let kinds = [
            ("ed", "ed25519"),
            ("other", "ed25519"),
            ("ca", "ed25519"),
            ("rsaca", "rsa"),
            ("ec", "ecdsa"),
            ("otherec", "ecdsa"),
            ("rsa", "rsa"),
        ];
        let mut words: Vec<_> =
            kinds.iter().map(|(name, kind)| (format!("{{{name}}}"), openssh.key(name, kind))).collect();
        let ed = words[0].1.clone();
        words.push(("{ed:blob}".to_owned(), ed.split_once(' ').unwrap().1.to_owned()));
        words.push(("{ed:tab}".to_owned(), ed.replace(' ', "\t")));
        let mut servers = vec![("plain", vec!["ed", "ec", "rsa"]), ("ed", vec!["ed"])];
        let mut certify = |name: &'static str, by: &str, options: &[&str]| {
            openssh.certify(name, "ed", by, &[&["-h"], options].concat());
            servers.push((name, vec![name]));
        };
        certify("good", "ca", &["-n", "a.example,h.example"]);
        certify("good-rsa", "rsaca", &["-n", "h.example", "-t", "rsa-sha2-512"]);
        certify("pattern", "ca", &["-n", "*.example"]);
        certify("everybody", "ca", &[]);
        certify("box", "ca", &["-n", "box"]);
        certify("other-name", "ca", &["-n", "i.example"]);
        certify("expired", "ca", &["-n", "h.example", "-V", "20200101:20200102"]);
        certify("early", "ca", &["-n", "h.example", "-V", "20900101:20900102"]);
        certify("critical", "ca", &["-n", "h.example", "-O", "critical:what@example"]);
        certify("extension", "ca", &["-n", "h.example", "-O", "extension:what@example"]);
        for (name, keys) in &servers {
            openssh.serve(name, keys);
        }
        Self { openssh, words, servers }
    }

    fn text(&self, template: &str) -> String {
        let mut text = template.to_owned();
        while let Some(at) = text.find("{#") {
            let end = at + text[at..].find('}').unwrap();
            text.replace_range(at..=end, &self.hashed(&text[at + 2..end]));
        }
        self.words.iter().fold(text, |text, (word, key)| text.replace(word, key))
    }

    /// A name as `ssh-keygen` hashes it.
    fn hashed(&self, name: &str) -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let file = format!("hash-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let path = self.openssh.write(&file, &format!("{name} {}\n", self.words[0].1));
        assert!(self.openssh.keygen(&["-H", "-f", &file]).status.success());
        std::fs::read_to_string(path).unwrap().split_once(' ').unwrap().0.to_owned()
    }

    /// What `ssh` says, and what we say; the key that was shown must be the same.
    fn compare(&self, at: usize, row: &Row, policy: HostKeyPolicy) -> (Said, Said) {
        let write =
            |(file, text): (usize, &&str)| self.openssh.write(&format!("kh-{at}-{file}-{policy:?}"), &self.text(text));
        let files: Vec<PathBuf> = row.files.iter().enumerate().map(write).collect();
        let revoked = row.revoked.map(|text| match text {
            "{none}" => self.openssh.path("none"),
            text => self.openssh.write(&format!("revoked-{at}-{policy:?}"), &self.text(text)),
        });
        // Ours first: under accept-new `ssh` writes to the file.
        let known = KnownHosts::read(&files, revoked.as_deref());
        let name = HostName::new(row.host, row.port, row.alias);
        let wanted: Vec<String> = row.algorithms.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect();
        let keys = &self.servers.iter().find(|(server, _)| *server == row.server).unwrap().1;
        let shown = self.openssh.shown(keys, &algorithms(&known, &name, &wanted));
        let question = Question { name: &name, policy, pin: None, now_unix_s: now() };
        let ours = said(&judge(&known, &question, &shown));

        let paths = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ");
        let strict = if policy == HostKeyPolicy::Strict { "yes" } else { "accept-new" };
        let mut options = vec![
            format!("UserKnownHostsFile={paths}"),
            "GlobalKnownHostsFile=none".to_owned(),
            format!("StrictHostKeyChecking={strict}"),
        ];
        options.extend(row.alias.map(|alias| format!("HostKeyAlias={alias}")));
        options.extend(revoked.map(|file| format!("RevokedHostKeys={}", file.display())));
        options.extend((!row.algorithms.is_empty()).then(|| format!("HostKeyAlgorithms={}", row.algorithms)));
        let ask = Ask { server: row.server, host: row.host, port: row.port, options };
        let (theirs, fingerprint_shown) = self.openssh.ask(&ask);
        assert_eq!(fingerprint_shown, fingerprint(shown.public_key().key_data()), "{}: another key", row.what);
        (theirs, ours)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

fn said(verdict: &Verdict) -> Said {
    match verdict {
        Verdict::Accept(Proof::FirstUse(_)) => Said::Learnt,
        Verdict::Accept(_) => Said::Accepted,
        Verdict::Unknown(_) | Verdict::Refuse(Refusal::NotKnown { .. }) => Said::Unknown,
        Verdict::Refuse(Refusal::Changed { .. }) => Said::Changed,
        Verdict::Refuse(Refusal::Revoked { .. } | Refusal::NoList { .. }) => Said::Revoked,
        Verdict::Refuse(Refusal::BadCertificate { .. }) => Said::BadCertificate,
        Verdict::Refuse(Refusal::OtherPin { .. } | Refusal::NoPin { .. }) => unreachable!("no row has a pin"),
    }
}

#[test]
fn verdicts_are_those_of_openssh() {
    let bench = Bench::new();
    let rows = rows();
    let next = AtomicUsize::new(0);
    let check = |at: usize, row: &Row| {
        let mut wrong = Vec::new();
        let (theirs, ours) = bench.compare(at, row, HostKeyPolicy::Strict);
        let refused = |said: Said| !matches!(said, Said::Accepted | Said::Learnt);
        let is_right = if row.stricter { refused(ours) } else { ours == theirs };
        if !is_right {
            wrong.push(format!("{} (strict): ssh says {theirs:?}, we say {ours:?}", row.what));
        }
        // The other policy only matters for keys that nobody knows.
        if matches!(theirs, Said::Unknown | Said::BadCertificate) || row.stricter {
            let (theirs, ours) = bench.compare(at, row, HostKeyPolicy::AcceptNew);
            let is_right = if row.stricter { refused(ours) && ours != theirs } else { ours == theirs };
            if !is_right {
                wrong.push(format!("{} (accept-new): ssh says {theirs:?}, we say {ours:?}", row.what));
            }
        }
        wrong
    };
    let work = || {
        let mut wrong = Vec::new();
        loop {
            let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(row) = rows.get(at) else { return wrong };
            wrong.extend(check(at, row));
        }
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "of {} rows:\n{}", rows.len(), wrong.join("\n"));
}

#[test]
fn openssh_believes_what_is_learnt_and_forgets_what_we_say() {
    let bench = Bench::new();
    let key = bench.words[0].1.parse().unwrap();
    let other = bench.words[1].1.parse().unwrap();
    let name = HostName::new(HOST, PORT, None);
    for hashed in [false, true] {
        let file = bench.openssh.path(&format!("it's learnt {hashed}"));
        learn(&file, &name, &key, hashed).unwrap();
        let found = bench.openssh.keygen(&["-F", &name.recorded(), "-f", file.to_str().unwrap()]);
        assert!(found.status.success(), "{found:?}");
        // The path has a quote and blanks: `ssh` takes it in quotes, and the advice must have them right too.
        let option = |name: &str, value: &std::path::Path| format!("{name}=\"{}\"", value.display());
        let options = vec![
            option("UserKnownHostsFile", &file),
            "GlobalKnownHostsFile=none".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
        ];
        let ask = Ask { server: "plain", host: HOST, port: PORT, options };
        assert_eq!(bench.openssh.ask(&ask).0, Said::Accepted);

        let question = Question { name: &name, policy: HostKeyPolicy::Ask, pin: None, now_unix_s: now() };
        let shown = PublicKeyOrCertificate::from(PublicKey::clone(&other));
        let verdict = |file: &PathBuf| judge(&KnownHosts::read([file], None), &question, &shown);
        let Verdict::Refuse(refusal @ Refusal::Changed { .. }) = verdict(&file) else { panic!("not changed") };
        let next = refusal.next(&name);
        let command = next.split_once(": ").unwrap().1;
        let done = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        assert!(done.status.success(), "{command}: {done:?}");
        assert_eq!(said(&verdict(&file)), Said::Unknown, "after {command}");
    }
}

#[test]
fn a_refusal_says_what_came_what_is_recorded_and_what_to_type() {
    const CAME: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    const RECORDED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    let name = HostName::new(HOST, PORT, None);
    let came: PublicKey = CAME.parse().unwrap();
    let check = |text: &str, policy: HostKeyPolicy, pin: Option<&str>| {
        let mut known = KnownHosts::default();
        known.add("/h/known_hosts".as_ref(), text.as_bytes());
        let question = Question { name: &name, policy, pin, now_unix_s: 0 };
        match judge(&known, &question, &came.clone().into()) {
            Verdict::Refuse(refusal) => format!("{refusal}\n  next: {}", refusal.next(&name)),
            other @ (Verdict::Accept(_) | Verdict::Unknown(_)) => format!("{other:?}"),
        }
    };
    let rows = [
        check(&format!("\n[h.example]:2222 {RECORDED}"), HostKeyPolicy::AcceptNew, None),
        check(&format!("*.example,* {RECORDED}\n[h.example]:2222 {RECORDED}"), HostKeyPolicy::Ask, None),
        check(&format!("@revoked * {CAME}"), HostKeyPolicy::Ask, None),
        check("", HostKeyPolicy::Strict, None),
        check("", HostKeyPolicy::Pinned, None),
        check(&format!("* {CAME}"), HostKeyPolicy::AcceptNew, Some("SHA256:other")),
    ];
    insta::assert_snapshot!(rows.join("\n\n"));
    let pinned =
        check(&format!("[h.example]:2222 {RECORDED}"), HostKeyPolicy::Pinned, Some(&fingerprint(came.key_data())));
    assert_eq!(pinned, "Accept(Pin)");
    let revoked = check(&format!("@revoked * {CAME}"), HostKeyPolicy::Pinned, Some(&fingerprint(came.key_data())));
    assert!(revoked.contains("is revoked"), "{revoked}");
}

fn line() -> impl Strategy<Value = String> {
    let marker = prop_oneof![Just(""), Just("@cert-authority "), Just("@revoked "), Just("@revoked\t"), Just("@x ")];
    let names = prop_oneof![
        Just("h.example".to_owned()),
        Just("[h.example]:2222".to_owned()),
        Just("*".to_owned()),
        Just("|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned()),
        "[a-z*?!,.|]{0,12}",
    ];
    let key = prop_oneof![
        Just("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti".to_owned()),
        Just("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ".to_owned()),
        "[a-zA-Z0-9 =/+-]{0,60}",
    ];
    (marker, names, key).prop_map(|(marker, names, key)| format!("{marker}{names} {key}"))
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes: Vec<u8>, name in ".{0,40}") {
        let mut known = KnownHosts::default();
        known.add("f".as_ref(), &bytes);
        known.of(&name).count();
    }

    #[test]
    fn a_revoked_key_is_never_accepted(
        lines in prop::collection::vec(line(), 0..12),
        at in 0usize..12,
        revoked in prop_oneof![Just("h.example"), Just("[h.example]:2222"), Just("*"), Just("*.example")],
        policy in prop_oneof![
            Just(HostKeyPolicy::Ask), Just(HostKeyPolicy::AcceptNew), Just(HostKeyPolicy::Strict), Just(HostKeyPolicy::Pinned),
        ],
        is_pinned: bool,
    ) {
        const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let mut lines = lines;
        lines.insert(at.min(lines.len()), format!("@revoked {revoked} {KEY}"));
        let mut known = KnownHosts::default();
        known.add("f".as_ref(), lines.join("\n").as_bytes());
        let key: PublicKey = KEY.parse().unwrap();
        let pin = is_pinned.then(|| fingerprint(key.key_data()));
        let name = HostName::new("h.example", 2222, None);
        let question = Question { name: &name, policy, pin: pin.as_deref(), now_unix_s: 0 };
        let verdict = judge(&known, &question, &key.into());
        prop_assert!(matches!(verdict, Verdict::Refuse(Refusal::Revoked { .. })), "{verdict:?}");
    }
}
