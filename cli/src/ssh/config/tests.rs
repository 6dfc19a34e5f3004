//! What recorded answers of `ssh -G` come to, and what the real `ssh` says.

use super::{dump::Dump, target::target, *};
use crate::{hosts::Ssh, ssh::openssh::OpenSsh};

const DB: &str = include_str!("recorded/db.txt");
const PLAIN: &str = include_str!("recorded/plain.txt");
const PROXY: &str = include_str!("recorded/proxy.txt");

fn here() -> Here {
    let vars = [("LOGNAME", "ann"), ("KEYS", "/keys"), ("SSH_AUTH_SOCK", "/run/agent")];
    Here {
        home: "/home/ann".into(),
        known_hosts: "/state/known_hosts".into(),
        hostname: "desk.example".to_owned(),
        uid: 1000,
        vars: vars.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    }
}

fn of(given: &str, ssh: &Ssh, dump: Option<&str>) -> Result<(Target, Vec<String>), ConfigError> {
    target(given, ssh, dump.map(Dump::parse).as_ref(), &here())
}

/// The fields that differ from those of a plain host.
fn shown(target: &Target, jump: &[String]) -> String {
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
    [
        format!(
            "{} for {} alias {:?} recorded as {}",
            target.address(),
            target.given,
            target.alias,
            target.name().recorded()
        ),
        format!("identity {} (only: {})", paths(&target.identity), target.identities_only),
        format!("certificates {} agent {:?}", paths(&target.certificates), target.agent),
        format!("jump {jump:?}"),
        format!(
            "known hosts {} (hash: {}) revoked {:?}",
            paths(&target.known_hosts),
            target.hash_known_hosts,
            target.revoked
        ),
        format!("policy {:?} pin {:?} algorithms {}", target.policy, target.pin, target.host_key_algorithms.len()),
        format!("timeout {:?} retries {}", target.connect_timeout, target.retries),
        format!("warnings {:?}", target.warnings),
    ]
    .join("\n")
}

#[test]
fn hosts_yaml_goes_before_ssh_config_goes_before_defaults() {
    let said = |given: &str, ssh: &Ssh, dump: Option<&str>| {
        let (target, jump) = of(given, ssh, dump).unwrap();
        shown(&target, &jump)
    };
    let nothing = Ssh::default();
    let everything = Ssh {
        user: Some("root".to_owned()),
        port: Some(2022),
        identity: vec!["/fleet".into()],
        agent: false,
        jump: vec!["j".to_owned()],
        host_key_policy: HostKeyPolicy::AcceptNew,
        host_key: Some("SHA256:pin".to_owned()),
        connect_timeout: Duration::from_secs(3),
        retries: 1,
        known_hosts: vec!["/fleet_hosts".into()],
        ..Ssh::default()
    };
    let all = [
        ("no ssh", said("10.0.0.1", &nothing, None)),
        ("ssh, nothing configured", said("10.0.0.1", &nothing, Some(PLAIN))),
        ("everything in ssh_config", said("db", &nothing, Some(DB))),
        ("everything in both", said("db", &everything, Some(DB))),
        ("a proxy command that hosts.yaml goes before", said("proxy", &everything, Some(PROXY))),
    ];
    let text: Vec<String> = all.iter().map(|(what, said)| format!("-- {what}\n{said}")).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn what_cannot_be_obeyed_is_said() {
    let error = of("proxy", &Ssh::default(), Some(PROXY)).unwrap_err();
    assert_eq!(error.to_string(), "ssh_config sets for proxy `ProxyCommand nc %h %p`, which is not supported");
    assert!(error.next().contains("ProxyJump"));
    let check = |option: &str, warning: &str| {
        let (target, _) = of("h", &Ssh::default(), Some(&format!("user u\n{option}\n"))).unwrap();
        assert_eq!(target.warnings, [warning], "{option}");
    };
    check("knownhostscommand /bin/x", "h: ssh_config sets `knownhostscommand /bin/x`, which is not obeyed");
    check("identityfile ~bob/key", "h: ~bob/key: the home of another user; it is left out");
    check("identityfile /%C", "h: /%C: token %C is not supported; it is left out");
    check("identityfile /${GONE}", "h: /${GONE}: $GONE is not set; it is left out");
    check("identityfile /${X", "h: /${X: `${` without `}`; it is left out");
    check("identityfile /%", "h: /%: `%` at the end; it is left out");
    check("certificatefile /%q", "h: /%q: token %q is not supported; it is left out");
    let no = "h: ssh_config says `StrictHostKeyChecking no`; a changed host key is refused all the same";
    check("stricthostkeychecking false", no);
}

#[test]
fn tokens_stand_for_what_ssh_config_says() {
    let check = |text: &str, expected: &str| {
        let options = "hostname h.example\nuser ops\nport 2200\nproxyjump a,b\nhostkeyalias k";
        let (target, _) = of("h", &Ssh::default(), Some(&format!("{options}\nidentityfile {text}\n"))).unwrap();
        assert_eq!(target.identity, [PathBuf::from(expected)], "{text} {:?}", target.warnings);
    };
    check("~/x", "/home/ann/x");
    check("~", "/home/ann");
    check("%d/%%%u", "/home/ann/%ann");
    check("/%h-%n-%p-%r", "/h.example-h-2200-ops");
    check("/%L-%l-%i", "/desk-desk.example-1000");
    check("/%k/%j", "/k/a,b");
    check("/$HOME/${KEYS}", "/$HOME//keys");
}

#[tokio::test]
async fn names_cannot_be_options_or_commands() {
    let here = here();
    for host in ["-oProxyCommand=touch x", "", "a b", "a;b", "$(x)", "a`b`", "a\nb", "[", "a/b"] {
        let error = resolve(host, &Ssh::default(), &here).await.unwrap_err();
        assert!(matches!(error, ConfigError::NoHost(_)), "{host:?}: {error}");
    }
    for user in ["-x", "a b", "a;b", "$x"] {
        let ssh = Ssh { user: Some(user.to_owned()), ..Ssh::default() };
        assert!(matches!(resolve("h", &ssh, &here).await, Err(ConfigError::NoUser(_))), "{user:?}");
    }
    for jump in ["-x@h", "a@-h", "h:0", "h:x", "[::1", "[::1]x", "ssh://", "u@h:70000"] {
        let ssh = Ssh { jump: vec![jump.to_owned()], use_ssh_config: false, ..Ssh::default() };
        assert!(resolve("h", &ssh, &here).await.is_err(), "{jump:?}");
    }
}

/// The way as `ssh` would go it, by a configuration with everything that only `ssh` understands.
#[tokio::test]
async fn the_real_ssh_is_asked() {
    let openssh = OpenSsh::new();
    let dir = openssh.dir().display();
    openssh.write("included", "Host gpu-*\n  HostName %h.cluster.example\n  ProxyJump edge,inner\n");
    let config = format!(
        "Include {dir}/included\n\
         Match host *.cluster.example user ops\n  IdentityFile {dir}/%n-%r\n  Port 2200\n\
         Match originalhost edge exec \"true\"\n  HostName 192.0.2.1\n  User gate\n  ProxyJump outer:2022\n\
         Host inner\n  HostName 10.9.9.9\n  ProxyCommand none-of-our-business\n\
         Host round\n  ProxyJump ring\nHost ring\n  ProxyJump round\n\
         Host self\n  ProxyJump self\n\
         Host *\n  User anybody\n  StrictHostKeyChecking accept-new\n"
    );
    let path = openssh.write("config", &config);
    let ssh = |user: &str| Ssh { user: Some(user.to_owned()), config: Some(path.clone()), ..Ssh::default() };
    let way = |target: &Target| target.jump.iter().map(Target::address).collect::<Vec<_>>().join(" ");

    let found = resolve("gpu-1", &ssh("ops"), &here()).await.unwrap();
    assert_eq!(found.address(), "ops@gpu-1.cluster.example:2200");
    assert_eq!(found.identity[0], openssh.path("gpu-1-ops"));
    assert_eq!(way(&found), "anybody@outer:2022 gate@192.0.2.1:22 anybody@10.9.9.9:22");
    assert_eq!(found.policy, HostKeyPolicy::Ask, "ssh_config does not weaken it");
    let other = resolve("gpu-1", &ssh("root"), &here()).await.unwrap();
    assert_eq!((other.port, other.identity.contains(&openssh.path("gpu-1-root"))), (22, false));

    let own = Ssh { jump: vec!["me@10.1.1.1:99".to_owned(), "[fd00::1]:98".to_owned()], ..ssh("ops") };
    let found = resolve("gpu-1", &own, &here()).await.unwrap();
    assert_eq!(way(&found), "me@10.1.1.1:99 anybody@[fd00::1]:98");
    assert_eq!((found.known_hosts.last(), &found.learn_into), (Some(&here().known_hosts), &here().known_hosts));

    let round = resolve("round", &ssh("u"), &here()).await.unwrap_err();
    assert!(matches!(round, ConfigError::Circle { .. } | ConfigError::Ssh { .. }), "{round}");
    assert!(resolve("self", &ssh("u"), &here()).await.is_err());
    let far = Ssh { jump: (0..9).map(|at| format!("j{at}")).collect(), ..ssh("u") };
    assert_eq!(resolve("h", &far, &here()).await, Err(ConfigError::TooFar("h".to_owned())));

    openssh.write("config", "Host *\n  NoSuchOption yes\n");
    let refused = resolve("h", &ssh("u"), &here()).await.unwrap_err();
    assert!(refused.to_string().contains("nosuchoption") && refused.to_string().contains("line 2"), "{refused}");
    let skipped = Ssh { use_ssh_config: false, ..ssh("u") };
    assert_eq!(resolve("[fd00::7]", &skipped, &here()).await.unwrap().address(), "u@[fd00::7]:22");
}
