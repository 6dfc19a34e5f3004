//! `mesh playbook run`: look at every host, tell, ask, do.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{
    desk::Desk,
    fleet,
    told::{self, Ended},
};
use crate::{
    Exit, Failure, Result,
    cmd::{Cx, bootstrap::HowArgs},
    host::{Host, Job, shell::Shell},
    playbook::{self, HostPlan, Playbook, Report, StepId, Vars, apply, examine},
};

/// What is run, where and how.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Its name, or a file
    #[arg(value_name = "NAME|FILE")]
    playbook: String,
    /// Runs on this machine, with everything below a directory (/ for the machine itself)
    #[arg(long, value_name = "DIR", required_unless_present = "file", conflicts_with = "file")]
    local: Option<PathBuf>,
    /// Runs on the hosts of this file, over SSH
    #[arg(long, short = 'f', value_name = "HOSTS.yaml")]
    file: Option<PathBuf>,
    /// Only these hosts: NAME, NAME*, LABEL=VALUE, role=ROLE, with commas between them
    #[arg(long, value_name = "HOSTS", conflicts_with = "local")]
    pub(super) limit: Option<String>,
    /// Not these hosts
    #[arg(long, value_name = "HOSTS", conflicts_with = "local")]
    pub(super) exclude: Option<String>,
    #[command(flatten)]
    pub(super) how: HowArgs,
    /// Only looks, and says what would change
    #[arg(long, visible_alias = "dry-run")]
    pub(super) check: bool,
    /// Shows the lines of texts that change
    #[arg(long)]
    pub(super) diff: bool,
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
    /// Ends with code 10 when --check finds something to change
    #[arg(long, requires = "check")]
    pub(super) detailed_exitcode: bool,
}

impl RunArgs {
    /// The operator's side of the run.
    pub(super) fn desk(&self, cx: &Cx) -> Result<Desk> {
        Desk::new(self.bundle.as_deref(), &self.secrets, self.how.progress, cx.out.quiet)
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
    let (mut playbook, _) = playbook::find(&args.playbook)?;
    for (name, _) in &args.vars {
        playbook
            .check_variable(name)
            .map_err(|why| Failure::new(Exit::Usage, why).next("mesh playbook show -o json"))?;
    }
    if !args.tags.is_empty() {
        playbook = playbook.tagged(&args.tags).map_err(|why| Failure::new(Exit::Usage, why))?;
    }
    if let Some(file) = &args.file {
        return fleet::run(cx, args, playbook, file).await;
    }
    let desk = args.desk(cx)?;
    let host = Shell::new("localhost");
    let root = std::path::absolute(args.local.as_deref().unwrap_or(Path::new("/")))?.display().to_string();
    let root = root.trim_end_matches('/').to_owned();
    let mut vars = facts(&host, &root).await?.vars;
    vars.set("root", Value::String(root));
    args.vars.iter().for_each(|(name, value)| vars.set(name, value.clone()));

    let plan = examine(&host, &playbook, &vars, &desk).await.map_err(|error| error.failure(host.name()))?;
    let from = args.start_at.as_deref().map(|it| start(&playbook, &plan, it)).transpose()?;
    let plans = [plan];
    if args.check {
        told::plans(cx, &plans, args.diff)?;
        let is_pending = args.detailed_exitcode && plans.iter().any(|it| !it.is_done());
        return Ok(if is_pending { Exit::Pending } else { Exit::Done });
    }
    if args.diff {
        told::diffs(cx, &plans)?;
    }
    say_yes(cx, &plans)?;
    let [plan] = plans;
    let result: std::result::Result<Report, Failure> =
        apply(&host, &plan, &desk, from.as_ref()).await.map_err(Failure::from);
    told::results(cx, &[Ended { host: host.name().to_owned(), result }])
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
pub(super) fn say_yes(cx: &Cx, plans: &[HostPlan]) -> Result<()> {
    let open: Vec<&HostPlan> = plans.iter().filter(|it| !it.is_done()).collect();
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
