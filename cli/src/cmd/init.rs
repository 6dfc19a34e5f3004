//! `mesh init [HOST...]`: a hosts.yaml to begin with, on stdout.

use clap::Args;
use mesh_core::id::MeshName;

use super::Cx;
use crate::{Exit, Failure, Result, hosts};

/// Arguments of `mesh init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh init ubuntu@10.20.0.[1-3] > hosts.yaml\n  mesh init ctl-1 gpu-[01-32] --mesh prod-us > hosts.yaml\n  mesh init --schema > hosts.schema.json"
)]
pub(crate) struct InitArgs {
    /// The hosts, as SSH reaches them; `gpu-[01-32]` is many
    #[arg(value_name = "[USER@]HOST")]
    hosts: Vec<String>,
    /// The name of the mesh
    #[arg(long, value_name = "NAME", default_value = "lab")]
    mesh: MeshName,
    /// Prints the JSON Schema of hosts.yaml instead, for editors
    #[arg(long, conflicts_with = "hosts")]
    schema: bool,
}

/// A host of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    user: Option<String>,
    address: String,
}

pub(crate) fn run(cx: &Cx, args: InitArgs) -> Result {
    if args.schema {
        cx.out.line(&serde_json::to_string_pretty(hosts::schema()).map_err(std::io::Error::from)?)?;
        return Ok(Exit::Done);
    }
    let words = if args.hosts.is_empty() { vec!["10.20.0.[1-3]".to_owned()] } else { args.hosts };
    let text = skeleton(&args.mesh, &asked(&words)?);
    let around = hosts::Surroundings { variable: &|_| None, home: None, folder: std::path::Path::new("") };
    // What cannot be a host is said now, not when the file is used.
    hosts::read("hosts.yaml", &text, &around).map_err(|problems| {
        let why: Vec<String> = problems.into_iter().map(|it| it.text).collect();
        Failure::new(Exit::Usage, "these hosts cannot be one mesh").why(why.join("\n")).next("mesh init --help")
    })?;
    cx.out.raw(text.as_bytes())?;
    Ok(Exit::Done)
}

fn asked(words: &[String]) -> Result<Vec<Asked>> {
    let mut all = Vec::new();
    for word in words {
        let (user, pattern) = match word.rsplit_once('@') {
            Some((user, pattern)) => (Some(user.to_owned()), pattern),
            None => (None, word.as_str()),
        };
        let addresses = hosts::expand(pattern).map_err(|wrong| {
            let failure = Failure::new(Exit::Usage, format!("`{word}` names no host")).why(wrong.text);
            match wrong.hint {
                Some(hint) => failure.next(hint),
                None => failure,
            }
        })?;
        all.extend(addresses.into_iter().map(|address| Asked { user: user.clone(), address }));
    }
    Ok(all)
}

/// The names of hosts: the first part of a DNS name, else `node-N`.
fn names(hosts: &[Asked]) -> Vec<String> {
    let of = |host: &Asked| {
        let label = host.address.split('.').next().unwrap_or_default().to_lowercase().replace('_', "-");
        let is_name = host.address.parse::<std::net::IpAddr>().is_err();
        is_name.then(|| mesh_core::id::NodeName::new(label).ok()).flatten().map(String::from)
    };
    let named: Option<Vec<String>> = hosts.iter().map(of).collect();
    let unique = |names: &[String]| names.iter().collect::<std::collections::BTreeSet<_>>().len() == names.len();
    match named.filter(|it| unique(it)) {
        Some(names) => names,
        None => (1..=hosts.len()).map(|i| format!("node-{i}")).collect(),
    }
}

/// Three of three or more keep the state of the mesh, or the only one of fewer.
fn coordinators(hosts: usize) -> usize {
    if hosts < 3 { 1 } else { 3 }
}

fn skeleton(mesh: &MeshName, hosts: &[Asked]) -> String {
    let common =
        hosts.first().and_then(|it| it.user.clone()).filter(|_| hosts.windows(2).all(|it| it[0].user == it[1].user));
    let user = common.as_ref().map(|it| format!("user: {it:?}, ")).unwrap_or_default();
    let mut text = format!(
        "# yaml-language-server: $schema=hosts.schema.json\n\
         # The schema: mesh init --schema > hosts.schema.json     What a key means: mesh explain hosts.ssh.jump\n\
         # Check this file and the hosts: mesh check hosts.yaml   Then: mesh bootstrap hosts.yaml --dry-run\n\
         version: 1\n\
         mesh: {mesh:?}   # identities hold this name, so it never changes\n\
         defaults:\n\
         \x20 # What is not said here is for ~/.ssh/config to say. Through a bastion: jump: [ops@bastion-1]\n\
         \x20 ssh: {{{user}host_key_policy: ask}}\n\
         \x20 # Where the password of sudo is: none, prompt, env:NAME, file:PATH or cmd:COMMAND; never itself.\n\
         \x20 become: {{method: sudo, password: none}}\n\
         \x20 # The network that carries data, when a host has several: network: {{bind: 10.20.0.0/16}}\n\
         \x20 # Where clients come in. Open to the network: router: {{listen: \"0.0.0.0:8080\", auth: none}}\n\
         \x20 router: {{listen: \"127.0.0.1:8080\", auth: none}}\n\
         pools:\n\
         \x20 # {{address}} is the data address of each host. Delete the engines that do not run yet.\n\
         \x20 gpu: {{roles: [gpu], engines: [{{kind: vllm, url: \"http://{{address}}:8000\"}}]}}\n\
         hosts:\n\
         \x20 # One entry can stand for many: {{name: \"node-[1-32]\", address: \"10.20.1.[1-32]\", pool: gpu}}\n",
        mesh = mesh.as_str(),
    );
    for (i, (host, name)) in hosts.iter().zip(names(hosts)).enumerate() {
        let address = &host.address;
        let ssh = match (&host.user, &common) {
            (Some(user), None) => format!(", ssh: {{user: {user:?}}}"),
            _ => String::new(),
        };
        let roles = if i < coordinators(hosts.len()) { ", roles: [coordinator, router, gpu]" } else { "" };
        text.push_str(&format!("  - {{name: {name:?}, address: {address:?}, pool: gpu{roles}{ssh}}}\n"));
    }
    text.push_str("rolling: {batch: 25%, pause: 10s, canary: 1, max_failures: 10%}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(words: &[&str]) -> std::result::Result<hosts::Inventory, String> {
        let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
        let mesh = MeshName::new("lab").map_err(|it| it.to_string())?;
        let text = skeleton(&mesh, &asked(&words).map_err(|it| it.to_string())?);
        let around = hosts::Surroundings { variable: &|_| None, home: None, folder: std::path::Path::new("") };
        hosts::read("hosts.yaml", &text, &around).map_err(|it| hosts::refused("hosts.yaml", &it).to_string())
    }

    #[test]
    fn what_is_made_is_read() {
        let check = |words: &[&str], expected: &str| {
            let found = match made(words) {
                Ok(inventory) => inventory
                    .hosts
                    .iter()
                    .map(|it| {
                        format!(
                            "{}={}@{}{}",
                            it.name,
                            it.ssh.user.as_deref().unwrap_or(""),
                            it.address,
                            it.voter.map(|it| format!("#{it}")).unwrap_or_default()
                        )
                    })
                    .collect::<Vec<_>>()
                    .join(" "),
                Err(why) => why,
            };
            assert!(found.contains(expected), "{words:?}: {found} lacks {expected}");
        };
        check(&["10.0.0.1"], "node-1=@10.0.0.1#1");
        check(&["ada@10.0.0.[1-3]"], "node-1=ada@10.0.0.1#1 node-2=ada@10.0.0.2#2 node-3=ada@10.0.0.3#3");
        check(&["a.example.net", "ada@b.example.net"], "a=@a.example.net#1 b=ada@b.example.net");
        check(&["gpu-[01-04]"], "gpu-03=@gpu-03#3 gpu-04=@gpu-04");
        check(&["fd00::1"], "node-1=@fd00::1#1");
        check(&["10.0.0.1", "10.0.0.1"], "is there already");
        check(&["10.0.0.[3-1]"], "goes down");
        check(&["a b"], "cannot be dialled");
        check(&["\"; x: y"], "cannot be dialled");
    }

    #[test]
    fn the_skeleton_explains_itself() {
        let hosts = asked(&["ubuntu@10.20.0.[1-3]".to_owned()]).unwrap();
        insta::assert_snapshot!("skeleton", skeleton(&MeshName::new("lab").unwrap(), &hosts));
    }
}
