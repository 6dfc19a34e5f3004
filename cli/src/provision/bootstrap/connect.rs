//! Connections to every host: bounded, one question for all unknown host keys, one host's failure its own.

use std::sync::Arc;

use futures_util::future::join_all;

use crate::{
    Exit, Failure, Result,
    cmd::Cx,
    host::HostError,
    hosts::{HostEntry, HostKeyPolicy},
    output::Table,
    provision::bootstrap::board::Board,
    ssh::{
        Options, Shared, SshHost, UnknownKey,
        config::{Here, Target, resolve},
        connect,
        secret::Terminal,
    },
};

/// A host of the file, and the connection to it or why there is none.
pub(crate) struct Reached {
    /// What the file says.
    pub(crate) entry: HostEntry,
    /// The connection.
    pub(crate) host: std::result::Result<Arc<SshHost>, Failure>,
}

/// How to connect, beyond what the file says.
pub(crate) struct How {
    /// How many hosts are being connected to at once.
    pub(crate) concurrency: usize,
    /// What happens to unknown host keys, in the place of the file's word.
    pub(crate) policy: Option<HostKeyPolicy>,
    /// What shows how far it is, and makes room for questions.
    pub(crate) board: Arc<Board>,
}

type Tried = std::result::Result<Arc<SshHost>, HostError>;

/// Connects to all of these hosts.
///
/// # Errors
/// Only when a person declines the new host keys; everything else is the failure of its host.
pub(crate) async fn connect_all(cx: &Cx, entries: &[HostEntry], how: &How) -> Result<Vec<Reached>> {
    let here = Here::from_env(&cx.dirs);
    let board = Arc::clone(&how.board);
    let terminal = Terminal { can_ask: cx.can_ask(), aside: Box::new(move |ask| board.aside(ask)) };
    let shared = Shared::new(Arc::new(terminal), how.concurrency);
    let targets = join_all(entries.iter().map(|it| target(it, how.policy, &here))).await;
    for warning in warnings(&targets) {
        cx.out.say(&format!("warning: {warning}"));
    }
    let first = join_all(entries.iter().zip(&targets).map(|(entry, target)| open(entry, target, &shared))).await;
    for damaged in shared.damaged() {
        cx.out.say(&format!("warning: {damaged}"));
    }
    let unknown: Vec<&UnknownKey> = first.iter().filter_map(unknown_key).collect();
    let tried = if !unknown.is_empty() && cx.can_ask() {
        let mut answer = Ok(());
        how.board.aside(&mut || answer = ask(cx, entries, &first));
        answer?;
        shared
            .learn(unknown)
            .map_err(|error| Failure::new(Exit::Failed, "cannot keep the new host keys").why(error))?;
        let again = entries.iter().zip(&targets).zip(first).map(async |((entry, target), tried)| match tried {
            Err(HostError::UnknownKey(_)) => open(entry, target, &shared).await,
            other => other,
        });
        join_all(again).await
    } else {
        first
    };
    Ok(entries
        .iter()
        .zip(tried)
        .map(|(entry, tried)| Reached { entry: entry.clone(), host: named(entry, tried) })
        .collect())
}

async fn target(
    entry: &HostEntry,
    policy: Option<HostKeyPolicy>,
    here: &Here,
) -> std::result::Result<Target, HostError> {
    let mut ssh = entry.ssh.clone();
    // A pin says more than any flag.
    if let (Some(policy), None) = (policy, &ssh.host_key) {
        ssh.host_key_policy = policy;
    }
    resolve(&entry.address, &ssh, here).await.map_err(|error| error.into_host_error(&entry.address))
}

fn warnings(targets: &[std::result::Result<Target, HostError>]) -> Vec<String> {
    let mut all: Vec<String> = targets.iter().flatten().flat_map(|it| it.warnings.clone()).collect();
    all.sort();
    all.dedup();
    all
}

async fn open(entry: &HostEntry, target: &std::result::Result<Target, HostError>, shared: &Shared) -> Tried {
    let target = target.as_ref().map_err(Clone::clone)?;
    let options = Options { r#become: entry.r#become.clone(), shared: shared.clone() };
    connect(entry.name.as_str(), target, &options).await.map(Arc::new)
}

fn unknown_key(tried: &Tried) -> Option<&UnknownKey> {
    match tried {
        Err(HostError::UnknownKey(key)) => Some(key),
        _ => None,
    }
}

/// One table of all new fingerprints, one question.
fn ask(cx: &Cx, entries: &[HostEntry], tried: &[Tried]) -> Result<()> {
    let mut table = Table::new(&["HOST", "ADDRESS", "KEY", "FINGERPRINT"]);
    let mut count = 0_usize;
    for (entry, key) in entries.iter().zip(tried).filter_map(|(entry, tried)| Some((entry, unknown_key(tried)?))) {
        count += 1;
        let kind = crate::ssh::known_hosts::type_name(&key.key.key.algorithm()).to_owned();
        let address = key.name.recorded().to_string();
        table.row(vec![entry.name.to_string(), address, kind, key.key.fingerprint.clone()]);
    }
    crate::output::note(table.render(true, true, false).trim_end());
    let answer = cx.ask(&format!("Nothing is known of these {count} host keys. Are they right? [y/N]"))?;
    if matches!(answer.as_str(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::new(Exit::Declined, "the host keys were not accepted: nothing was changed")
        .next("compare them with: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on each host"))
}

/// The failure of a host, which begins with its name.
fn named(entry: &HostEntry, tried: Tried) -> std::result::Result<Arc<SshHost>, Failure> {
    tried.map_err(|error| {
        let is_unknown = matches!(error, HostError::UnknownKey(_));
        let failure = Failure::from(error);
        let failure = if is_unknown {
            // A question that has no safe answer, and nobody to ask.
            let failure = Failure { exit: Exit::Declined, ..failure };
            failure.next("--host-key-policy accept-new once, or pin it in hosts.yaml: ssh: {host_key: SHA256:...}")
        } else {
            failure
        };
        Failure { place: Some(entry.name.to_string()), ..failure }
    })
}
