//! `mesh playbook run`: look at every host, tell, ask, do.

use std::path::{Path, PathBuf};

use clap::Args;
use mesh_core::id::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    desk::Desk,
    fleet,
    told::{self, Ended},
};
use crate::{
    Code, Exit, Failure, Result,
    cmd::{Cx, bootstrap::HowArgs, runs},
    host::{Host, Job, shell::Shell},
    playbook::{self, HostPlan, Playbook, Report, StepId, Vars, apply, examine},
    provision::bootstrap::journal::Head,
};

/// What is run, where and how.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Its name, or a file
    #[arg(value_name = "NAME|FILE", required_unless_present_any = ["resume", "list"])]
    playbook: Option<String>,
    /// Runs on this machine, with everything below a directory (/ for the machine itself)
    #[arg(long, value_name = "DIR", required_unless_present_any = ["file", "resume", "list"], conflicts_with = "file")]
    local: Option<PathBuf>,
    /// Runs on the hosts of this file, over SSH
    #[arg(long, short = 'f', value_name = "HOSTS.yaml")]
    pub(super) file: Option<PathBuf>,
    /// Only these hosts: NAME, NAME*, LABEL=VALUE, role=ROLE, with commas between them
    #[arg(long, value_name = "HOSTS", conflicts_with = "local")]
    pub(super) limit: Option<String>,
    /// Not these hosts
    #[arg(long, value_name = "HOSTS", conflicts_with = "local")]
    pub(super) exclude: Option<String>,
    /// Goes on with a run that was interrupted, or that some hosts did not come through, as it was asked for
    #[arg(long, value_name = "RUN", conflicts_with_all = [
        "playbook", "local", "file", "limit", "exclude", "only_failed", "list", "vars", "secrets", "tags", "start_at", "bundle",
    ])]
    pub(super) resume: Option<String>,
    /// Only the hosts that did not come to their end in the last run of this playbook
    #[arg(long, conflicts_with_all = ["local", "limit", "exclude", "list"])]
    pub(super) only_failed: bool,
    /// Lists the runs of this machine, of every command over hosts
    #[arg(long, conflicts_with_all = ["playbook", "local", "file", "check"])]
    list: bool,
    #[command(flatten)]
    pub(super) how: HowArgs,
    /// Only looks, and says what would change
    #[arg(long, visible_alias = "dry-run")]
    pub(super) check: bool,
    /// Shows the lines of texts that change
    #[arg(long)]
    pub(super) diff: bool,
    #[command(flatten)]
    what: WhatArgs,
    /// Ends with code 10 when --check finds something to change
    #[arg(long, requires = "check")]
    pub(super) detailed_exitcode: bool,
}

/// What is told to the playbook; kept with the run.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(super) struct WhatArgs {
    /// Gives a variable a value: JSON, or else a text
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) vars: Vec<(String, Value)>,
    /// Gives a secret the content of a file
    #[arg(long = "secret", value_name = "NAME=FILE", value_parser = secret)]
    secrets: Vec<(String, PathBuf)>,
    /// Runs only steps with one of these tags
    #[arg(long, value_delimiter = ',', value_name = "TAG,...")]
    tags: Vec<String>,
    /// Begins at this step
    #[arg(long, value_name = "STEP")]
    pub(super) start_at: Option<String>,
    /// Takes the binaries from this bundle instead of those beside mesh
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,
}

/// What a run was asked for, as its journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    /// A name, or a file by its whole path.
    playbook: String,
    /// Of the playbook's text and templates.
    digest: Digest,
    pub(super) what: WhatArgs,
}

impl Asked {
    /// What these arguments ask for, and the playbook as far as it is to be run.
    pub(super) fn of(args: &RunArgs) -> Result<(Self, Playbook)> {
        let name = args.playbook.as_deref().unwrap_or_default();
        let (playbook, text) = playbook::find(name)?;
        let is_embedded = playbook::EMBEDDED.iter().any(|(it, _)| *it == name);
        let whole = |it: &Path| std::path::absolute(it).unwrap_or_else(|_| it.to_owned());
        let name = if is_embedded { name.to_owned() } else { whole(Path::new(name)).display().to_string() };
        let mut what = args.what.clone();
        what.secrets.iter_mut().for_each(|(_, it)| *it = whole(it));
        what.bundle = what.bundle.as_deref().map(whole);
        let playbook_digest = playbook.digest(&text);
        let playbook = what.tell(playbook)?;
        Ok((Self { playbook: name, digest: playbook_digest, what }, playbook))
    }

    /// The playbook of a run that is gone on with.
    ///
    /// # Errors
    /// When it is not what it was: hosts that are done would then be unlike the others.
    pub(super) fn again(head: &Head) -> Result<(Self, Playbook)> {
        let asked: Self = serde_json::from_value(head.orders.clone()).map_err(|why| {
            Failure::new(Exit::Invalid, format!("cannot read what run {} was asked", head.id)).why(why)
        })?;
        let (playbook, text) = playbook::find(&asked.playbook)?;
        if playbook.digest(&text) != asked.digest {
            let file = head.file.display();
            return Err(Failure::new(Exit::Refused, format!("the playbook has changed since run {} began", head.id))
                .coded(Code::PlanStale)
                .at(asked.playbook.as_str())
                .why("hosts that are done would be unlike those that follow")
                .next(format!("mesh playbook run {} -f {file}: a new run, over all hosts", asked.playbook)));
        }
        let playbook = asked.what.tell(playbook)?;
        Ok((asked, playbook))
    }
}

impl WhatArgs {
    /// The operator's side of the run.
    pub(super) fn desk(&self, cx: &Cx, how: &HowArgs) -> Result<Desk> {
        Desk::new(self.bundle.as_deref(), &self.secrets, how.progress, cx.out.quiet)
    }

    /// The steps that are meant, of a playbook that knows these variables.
    fn tell(&self, playbook: Playbook) -> Result<Playbook> {
        for (name, _) in &self.vars {
            playbook
                .check_variable(name)
                .map_err(|why| Failure::new(Exit::Usage, why).next("mesh playbook show -o json"))?;
        }
        if self.tags.is_empty() {
            return Ok(playbook);
        }
        playbook.tagged(&self.tags).map_err(|why| Failure::new(Exit::Usage, why))
    }
}

fn variable(text: &str) -> std::result::Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=VALUE"))?;
    // `true`, `7` and `[\"a\"]` are what they look like.
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.to_owned(), value))
}

fn secret(text: &str) -> std::result::Result<(String, PathBuf), String> {
    let (name, file) = text.split_once('=').ok_or_else(|| format!("`{text}` is not NAME=FILE"))?;
    Ok((name.to_owned(), file.into()))
}

pub(super) async fn run(cx: &Cx, args: &RunArgs) -> Result {
    if args.list {
        return runs::list(cx);
    }
    if args.local.is_none() {
        return fleet::run(cx, args).await;
    }
    let (asked, playbook) = Asked::of(args)?;
    let desk = asked.what.desk(cx, &args.how)?;
    let host = Shell::new("localhost");
    let root = std::path::absolute(args.local.as_deref().unwrap_or(Path::new("/")))?.display().to_string();
    let root = root.trim_end_matches('/').to_owned();
    let mut vars = facts(&host, &root).await?.vars;
    vars.set("root", Value::String(root));
    asked.what.vars.iter().for_each(|(name, value)| vars.set(name, value.clone()));

    let plan = examine(&host, &playbook, &vars, &desk).await.map_err(|error| error.failure(host.name()))?;
    let from = asked.what.start_at.as_deref().map(|it| start(&playbook, &plan, it)).transpose()?;
    if args.check {
        told::plans(cx, &[&plan], args.diff)?;
        let is_pending = args.detailed_exitcode && !plan.is_done();
        return Ok(if is_pending { Exit::Pending } else { Exit::Done });
    }
    if args.diff {
        told::diffs(cx, &[&plan])?;
    }
    say_yes(cx, &[&plan])?;
    let result: std::result::Result<Report, Failure> =
        apply(&host, &plan, &desk, from.as_ref()).await.map_err(Failure::from);
    told::results(cx, &[Ended { host: host.name().to_owned(), result }], None)
}

/// What every host tells of itself before its steps are filled in.
pub(super) struct Found {
    pub(super) vars: Vars,
    pub(super) has_systemd: bool,
    /// Whether the agent of a mesh is installed below the root.
    pub(super) is_member: bool,
}

const FACTS: &str = r#"
has() { if [ -e "$1" ]; then echo true; else echo false; fi; }
uname -m
has /run/systemd/system
uname -n
has "$1/etc/mesh/agentd.toml"
"#;

pub(super) async fn facts<H: Host>(host: &H, root: &str) -> Result<Found> {
    let mut job = Job::new("facts", FACTS);
    job.args = vec![root.into()];
    let output = host.run(job).await?;
    let text = output.text();
    let mut lines = text.lines();
    let arch = lines.next().unwrap_or_default();
    let has_systemd = lines.next() == Some("true");
    let hostname = lines.next().unwrap_or_default();
    let is_member = lines.next() == Some("true");
    let vars = json!({ "host": host.name(), "arch": arch, "systemd": has_systemd, "hostname": hostname });
    Ok(Found { vars: Vars::new(&vars), has_systemd, is_member })
}

pub(super) fn start(playbook: &Playbook, plan: &HostPlan, name: &str) -> Result<StepId> {
    let found = plan.steps.iter().find(|it| it.id.0 == name).map(|it| it.id.clone());
    found.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("the playbook {} has no step `{name}`", playbook.name))
            .next(format!("mesh playbook show {}", playbook.name))
    })
}

/// Asks before a person's run changes anything; scripts have said what they want.
pub(super) fn say_yes(cx: &Cx, plans: &[&HostPlan]) -> Result<()> {
    let open: Vec<&HostPlan> = plans.iter().copied().filter(|it| !it.is_done()).collect();
    let Some(first) = open.first() else { return Ok(()) };
    let steps: usize = open.iter().map(|it| it.changes().count()).sum();
    let hosts = if open.len() == 1 { first.host.clone() } else { format!("{} hosts", open.len()) };
    let question = format!("{steps} steps of {} change {hosts}. Go on?", first.playbook);
    let changes = || open.iter().flat_map(|it| it.changes());
    let destroys = changes().any(|it| it.changes.iter().any(|it| it.after == "absent"));
    if destroys || cx.can_ask() { cx.confirm(&question) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_what_they_look_like() {
        let check = |text: &str, expected: Option<Value>| {
            assert_eq!(variable(text).ok().map(|(_, value)| value), expected, "{text}");
        };
        check("a=b", Some("b".into()));
        check("a=7", Some(7.into()));
        check("a=true", Some(true.into()));
        check("a=[\"x\"]", Some(json!(["x"])));
        check("a=x=y", Some("x=y".into()));
        check("a=", Some("".into()));
        check("a", None);
        assert!(secret("gossip").is_err());
    }
}
