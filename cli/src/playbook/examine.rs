//! One read-only script asks a host for all that the steps need to know; what differs is the plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Controller, HostPlan, PlannedStep, Playbook, Status, StepId, Vars,
    expand::{Task, check, expand},
    module::{Cx, Diff, Found, Module},
    problem,
    sh::{QUESTIONS, Words, answers},
};
use crate::{
    Exit, Failure,
    host::{Host, HostError, Job},
    yaml::Problem,
};

/// The longest script that a shell is given as an argument: the kernel takes 128 KiB.
pub(super) const SCRIPT_BYTES_MAX: usize = 120 * 1024;
/// How long the questions may take: most of it is hashing binaries on a slow disk.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum ExamineError {
    /// The host cannot be asked.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The playbook does not fit the host's variables.
    #[error("{}", .0.first().map_or_else(String::new, problem::line))]
    Playbook(Vec<Problem>),
    /// The host is in a state that a step must not change.
    #[error("step `{step}`: {why}")]
    Refused { step: StepId, place: String, why: String },
    /// The login is not root, and the playbook needs it.
    #[error("{host}: the playbook needs root, the login is uid {uid}")]
    Root { host: String, uid: String },
}

impl ExamineError {
    /// The failure of a command that met it.
    pub(crate) fn failure(self, host: &str) -> Failure {
        let text = self.to_string();
        match self {
            Self::Host(error) => error.into(),
            Self::Playbook(problems) => problem::failure(format!("the playbook cannot be run on {host}"), &problems),
            Self::Refused { place, .. } => {
                Failure::new(Exit::Refused, format!("cannot plan {host}")).at(place).why(text)
            }
            Self::Root { .. } => Failure::new(Exit::Authentication, text)
                .next("set `become: {method: sudo}` for this host in hosts.yaml, or log in as root"),
        }
    }
}

/// Asks a host what is there, in one script that changes nothing, and says what a run would change.
pub(crate) async fn examine<H: Host>(
    host: &H,
    playbook: &Playbook,
    vars: &Vars,
    controller: &dyn Controller,
) -> Result<HostPlan, ExamineError> {
    let tasks = expand(playbook, vars).map_err(ExamineError::Playbook)?;
    let made = made(tasks.iter().filter_map(|it| it.module.as_ref()));
    let cx = Cx { host: host.name(), controller, prefix: vars.text("root"), made: &made };
    check(playbook, &tasks, &cx).map_err(ExamineError::Playbook)?;
    let mut job = Job::new("examine", script(&tasks, &cx, host.name())?);
    // Below a directory of one's own nobody needs to be root.
    let needs_root = playbook.root && cx.prefix.is_empty();
    job.root = needs_root;
    job.keeps_shell = true;
    job.timeout = TIMEOUT;
    let output = host.run(job).await?;
    let text = output.text();
    let mut words: BTreeMap<&str, Words> = BTreeMap::new();
    for (step, word, value) in answers(&text) {
        words.entry(step).or_default().push((word.to_owned(), value.to_owned()));
    }
    let meta = words.get("meta").cloned().unwrap_or_default();
    let meta = |word: &str| meta.iter().find(|(it, _)| it == word).map(|(_, value)| value.clone());
    if output.status != 0 || meta("end").is_none() {
        let why = words.values().flatten().find(|(word, _)| word == "failed").map(|(_, why)| why.clone());
        let why = why.unwrap_or_else(|| format!("status {}: {}", output.status, output.stderr.trim()));
        return Err(HostError::Script { label: "examine".to_owned(), why }.into());
    }
    let uid = meta("uid").unwrap_or_default();
    if needs_root && uid != "0" {
        return Err(ExamineError::Root { host: host.name().to_owned(), uid });
    }
    // By the clock that certificates are signed by: what the host takes for the time is its own trouble.
    let now_s = crate::human::now().0 / 1000;
    let steps =
        Planner { playbook, cx: &cx, words: &words, now_s, changed: BTreeSet::new(), active: false }.plan(&tasks)?;
    Ok(HostPlan { host: host.name().to_owned(), playbook: playbook.name.clone(), root: needs_root, steps })
}

/// Every path that modules make, sorted.
pub(super) fn made<'a>(modules: impl Iterator<Item = &'a Module>) -> Vec<String> {
    let paths: BTreeSet<String> = modules.flat_map(|it| it.part().makes()).collect();
    paths.into_iter().collect()
}

fn script(tasks: &[Task], cx: &Cx<'_>, host: &str) -> Result<String, ExamineError> {
    let mut script = format!("{QUESTIONS}\nunchanging=yes; who; id=meta; say uid \"$uid\"\n");
    for (i, task) in tasks.iter().enumerate() {
        if let Some(module) = task.module.as_ref().filter(|_| task.check) {
            let question = module.part().query(&i.to_string(), cx);
            script.push_str(&question.map_err(|why| HostError::Script { label: task.id.clone(), why })?);
        }
    }
    script.push_str("q_paths\nid=meta; say end\n");
    if script.len() > SCRIPT_BYTES_MAX {
        let why = format!("{host}: the questions have {} bytes, at most {SCRIPT_BYTES_MAX} fit", script.len());
        return Err(HostError::Script { label: "examine".to_owned(), why }.into());
    }
    Ok(script)
}

struct Planner<'a> {
    playbook: &'a Playbook,
    cx: &'a Cx<'a>,
    words: &'a BTreeMap<&'a str, Words>,
    now_s: u64,
    changed: BTreeSet<String>,
    active: bool,
}

impl Planner<'_> {
    fn plan(mut self, tasks: &[Task]) -> Result<Vec<PlannedStep>, ExamineError> {
        let mut steps: Vec<PlannedStep> = Vec::new();
        for (i, task) in tasks.iter().enumerate() {
            let step = match &task.module {
                None => planned(task, Status::Skipped, Diff::default(), Vec::new()),
                Some(_) if task.is_handler => self.handler(i, task, tasks, &steps)?,
                Some(module) => self.step(i, task, module)?,
            };
            if matches!(step.status, Status::Change) {
                self.active = true;
                self.changed.extend(step.changes.iter().map(|it| it.what.clone()));
                self.changed.extend(task.module.iter().flat_map(|it| it.part().makes()));
            }
            steps.push(step);
        }
        Ok(steps)
    }

    fn diff(&self, i: usize, task: &Task, module: &Module) -> Result<Diff, ExamineError> {
        let nothing = Words::new();
        let words = self.words.get(i.to_string().as_str()).unwrap_or(&nothing);
        let found = Found { words, now_s: self.now_s, changed: &self.changed, active: self.active };
        module.part().diff(self.cx, &found).map_err(|why| ExamineError::Refused {
            step: StepId(task.id.clone()),
            place: format!("{}:{}:{}", self.playbook.file, task.at.line, task.at.column),
            why,
        })
    }

    fn step(&self, i: usize, task: &Task, module: &Module) -> Result<PlannedStep, ExamineError> {
        if !task.check {
            let status = if self.active { Status::Follow } else { Status::Unchanged };
            return Ok(planned(task, status, Diff::default(), Vec::new()));
        }
        let diff = self.diff(i, task, module)?;
        let status = match (diff.changes.is_empty(), diff.follow) {
            (false, _) => Status::Change,
            (true, true) => Status::Follow,
            (true, false) => Status::Unchanged,
        };
        Ok(planned(task, status, diff, Vec::new()))
    }

    /// A handler runs when a step that notifies it changes something, or when what runs is not what is installed.
    fn handler(
        &self,
        i: usize,
        task: &Task,
        tasks: &[Task],
        steps: &[PlannedStep],
    ) -> Result<PlannedStep, ExamineError> {
        let Some(module) = &task.module else { return Ok(planned(task, Status::Skipped, Diff::default(), Vec::new())) };
        let runs = |it: &PlannedStep| matches!(it.status, Status::Change | Status::Follow);
        let notified_by: Vec<StepId> = tasks
            .iter()
            .zip(steps)
            .filter(|(it, step)| it.notify.contains(&task.id) && runs(step))
            .map(|(_, step)| step.id.clone())
            .collect();
        if !notified_by.is_empty() {
            let diff = if task.check { self.diff(i, task, module)? } else { Diff::default() };
            let status = if diff.changes.is_empty() { Status::Follow } else { Status::Change };
            return Ok(planned(task, status, diff, notified_by));
        }
        let settled = module.settled();
        let mut diff = match &settled {
            Some(settled) if task.check => self.diff(i, task, settled)?,
            _ => Diff::default(),
        };
        diff.changes.retain(|it| it.after == "restarted");
        let status = if diff.changes.is_empty() { Status::Unchanged } else { Status::Change };
        Ok(planned(task, status, diff, Vec::new()))
    }
}

fn planned(task: &Task, status: Status, diff: Diff, notified_by: Vec<StepId>) -> PlannedStep {
    PlannedStep {
        id: StepId(task.id.clone()),
        status,
        changes: diff.changes,
        module: task.module.clone(),
        resume_bytes: diff.resume_bytes,
        notified_by,
        changed_when: task.changed_when.clone(),
    }
}
