//! Carries a plan out: consecutive steps are one script, their data is its stdin.

use std::{borrow::Cow, collections::BTreeSet, time::Duration};

use serde::Serialize;

use super::{
    Controller, Event, HostPlan, KeyRequest, PlannedStep, Status, StepId, Vars,
    examine::{SCRIPT_BYTES_MAX, made},
    module::{Act, Cx, Found, Input, Module, Way},
    render::Renderer,
    sh::{HOST, Words, answers, call, unhex},
};
use crate::{
    Exit, Failure,
    host::{Host, HostError, Job, Output, Part},
};

/// What to do when bytes are not what they were, on the way or on a disk.
const MISMATCH_NEXT: &str =
    "see who else changes files or services there, and test its disk and its network; then the same command again";

/// The longest words for when a file has changed.
const CHANGE_MAX: usize = 100;

/// What a run did on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) changed: Vec<StepId>,
    pub(crate) unchanged: Vec<StepId>,
    pub(crate) skipped: Vec<StepId>,
}

/// The step at which a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepFailure {
    pub(crate) host: String,
    /// Where to start again.
    pub(crate) step: StepId,
    pub(crate) exit: Exit,
    pub(crate) why: String,
    /// The connection broke: whether the step took effect shows only the next examination.
    pub(crate) unknown: bool,
    /// What was done before.
    pub(crate) report: Box<Report>,
}

impl From<StepFailure> for Failure {
    fn from(it: StepFailure) -> Self {
        let unknown = if it.unknown { " (its outcome is not known)" } else { "" };
        let failure = Self::new(it.exit, format!("{}: step `{}` failed{unknown}", it.host, it.step)).why(it.why);
        if it.exit == Exit::Mismatch { failure.next(MISMATCH_NEXT) } else { failure }
    }
}

/// Makes a plan true, from its first step or from a later one.
pub(crate) async fn apply<H: Host>(
    host: &H,
    plan: &HostPlan,
    controller: &dyn Controller,
    from: Option<&StepId>,
) -> Result<Report, StepFailure> {
    let paths = made(plan.steps.iter().filter_map(|it| it.module.as_ref()));
    let cx = Cx { host: host.name(), controller, prefix: "", made: &paths };
    let start = match from {
        None => 0,
        Some(id) => plan.steps.iter().position(|it| it.id == *id).ok_or_else(|| StepFailure {
            host: plan.host.clone(),
            step: id.clone(),
            exit: Exit::Usage,
            why: "the plan has no such step".to_owned(),
            unknown: false,
            report: Box::default(),
        })?,
    };
    let mut run =
        Run { host, plan, cx: &cx, report: Report::default(), batch: Batch::default(), placed: String::new() };
    for (i, step) in plan.steps.iter().enumerate() {
        run.step(i, step, i < start).await?;
    }
    run.prove(plan.steps.len()).await?;
    Ok(run.report)
}

/// The module of a step that installs or starts something, as it is when nothing is left to do.
fn proven(step: &PlannedStep) -> Option<Module> {
    let module = step.module.as_ref().filter(|_| matches!(step.status, Status::Change | Status::Follow))?;
    module.runs_or_is_run().then(|| module.settled().unwrap_or_else(|| module.clone()).just_started())
}

/// What a step is called when it is asked about after the change.
fn proof(i: usize) -> String {
    format!("after-{i}")
}

/// Steps that are run by one script.
#[derive(Default)]
struct Batch {
    steps: Vec<usize>,
    script: String,
    input: Vec<(usize, Input)>,
    timeout: Duration,
    /// The keys whose requests this script prints.
    asks: Vec<(usize, KeyRequest)>,
    /// The steps about which it asks at its end.
    proofs: Vec<usize>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.proofs.is_empty()
    }

    fn add(&mut self, i: usize, act: Act, is_last: bool) {
        self.script.push_str(&format!("id={i}\n{}", act.script));
        if is_last {
            self.script.push_str("say done\n");
        }
        self.input.extend(act.input.into_iter().map(|it| (i, it)));
        self.timeout += act.timeout;
        if self.steps.last() != Some(&i) {
            self.steps.push(i);
        }
    }
}

/// What a script said of one step.
struct Said(Words);

impl Said {
    fn get(&self, word: &str) -> Option<&str> {
        self.0.iter().find(|(it, _)| it == word).map(|(_, value)| value.as_str())
    }
}

struct Run<'a, H> {
    host: &'a H,
    plan: &'a HostPlan,
    cx: &'a Cx<'a>,
    report: Report,
    batch: Batch,
    /// Tells a later script which files this run has put in place, and when.
    placed: String,
}

impl<H: Host> Run<'_, H> {
    fn failure(&self, i: usize, exit: Exit, why: impl Into<String>) -> StepFailure {
        let (step, why) = (self.plan.steps[i].id.clone(), why.into());
        self.cx.controller.event(self.cx.host, &Event::StepFailed { step: step.clone(), why: why.clone() });
        let host = self.plan.host.clone();
        StepFailure { host, step, exit, why, unknown: false, report: Box::new(self.report.clone()) }
    }

    fn unchanged(&mut self, step: &StepId) {
        self.report.unchanged.push(step.clone());
        self.cx.controller.event(self.cx.host, &Event::StepUnchanged { step: step.clone() });
    }

    fn skipped(&mut self, step: &StepId) {
        self.report.skipped.push(step.clone());
        self.cx.controller.event(self.cx.host, &Event::StepSkipped { step: step.clone() });
    }

    async fn step(&mut self, i: usize, step: &PlannedStep, is_before: bool) -> Result<(), StepFailure> {
        let Some(module) = step.module.as_ref().filter(|_| step.status != Status::Skipped && !is_before) else {
            self.skipped(&step.id);
            return Ok(());
        };
        if step.status == Status::Unchanged {
            self.unchanged(&step.id);
            return Ok(());
        }
        if !step.notified_by.is_empty() {
            // Whether a command changed anything is known only after it ran.
            self.flush().await?;
            if !step.notified_by.iter().any(|it| self.report.changed.contains(it)) {
                self.skipped(&step.id);
                return Ok(());
            }
        }
        match module.part().way(self.cx, step).map_err(|why| self.failure(i, Exit::Failed, why))? {
            Way::Ask { act, request } => {
                self.batch.add(i, act, false);
                self.batch.asks.push((i, request));
            }
            Way::Act(act) => {
                // Certificates are put in place before anything that may use them: their steps come first in the next script.
                if !self.batch.asks.is_empty() {
                    self.next_script().await?;
                }
                let is_long = self.batch.script.len() + act.script.len() + HOST.len() > SCRIPT_BYTES_MAX;
                if act.input.iter().any(|it| matches!(it, Input::File { .. })) && self.has_waited() {
                    // What was waited for serves: whoever needs it does not wait for what is sent after it.
                    self.prove(i).await?;
                } else if is_long {
                    self.flush().await?;
                }
                self.batch.add(i, act, true);
            }
        }
        Ok(())
    }

    /// Whether something that is to serve is waited for in what has been gathered.
    fn has_waited(&self) -> bool {
        let module = |i: &usize| self.plan.steps[*i].module.as_ref();
        self.batch.steps.iter().filter_map(module).any(|it| matches!(it, Module::Wait(_)))
    }

    /// Runs what has been gathered, and holds what the host then has and runs against the steps before `end`.
    async fn prove(&mut self, end: usize) -> Result<(), StepFailure> {
        self.ask_what_is_there(end)?;
        self.flush().await?;
        self.cx.controller.event(self.cx.host, &Event::Proven);
        Ok(())
    }

    /// Runs what has been gathered, and the answers to what it asks.
    async fn flush(&mut self) -> Result<(), StepFailure> {
        while !self.batch.is_empty() {
            self.next_script().await?;
        }
        Ok(())
    }

    /// Runs what has been gathered; the answers to what it asks are gathered for the next script.
    async fn next_script(&mut self) -> Result<(), StepFailure> {
        let batch = std::mem::take(&mut self.batch);
        for i in &batch.steps {
            let step = self.plan.steps[*i].id.clone();
            if !matches!(self.report.changed.last(), Some(it) if *it == step) {
                self.cx.controller.event(self.cx.host, &Event::StepStarted { step });
            }
        }
        let output = self.exec(&batch).await?;
        if !batch.asks.is_empty() {
            self.cx.controller.opened().await;
        }
        self.hear(&batch, &output)
    }

    /// Asks, after everything else, for what the host now has and runs by the steps before `end`.
    ///
    /// What is installed is not believed to be there because it was sent, nor to run because it was started. A large
    /// file whose digest was taken on its arrival is read again only when it has changed since.
    fn ask_what_is_there(&mut self, end: usize) -> Result<(), StepFailure> {
        if self.report.changed.is_empty() && self.batch.steps.is_empty() {
            return Ok(());
        }
        self.batch.script.push_str(&self.placed);
        for (i, step) in self.plan.steps.iter().enumerate().take(end) {
            let Some(module) = proven(step).filter(|_| !self.report.skipped.contains(&step.id)) else { continue };
            let name = proof(i);
            let query = module.part().query(&name, self.cx).map_err(|why| self.failure(i, Exit::Failed, why))?;
            self.batch.proofs.push(i);
            self.batch.script.push_str(&query);
        }
        self.batch.script.push_str("q_paths\n");
        Ok(())
    }

    async fn exec(&self, batch: &Batch) -> Result<Output, StepFailure> {
        let script = format!("{HOST}\n{}", batch.script);
        let mut spans = Vec::new();
        let mut total = 0;
        for (i, input) in &batch.input {
            let bytes = match input {
                Input::Bytes(bytes) => bytes.len() as u64,
                Input::File { bytes, .. } => *bytes,
            };
            spans.push((*i, total, bytes));
            total += bytes;
        }
        let sent = |bytes: u64| {
            let span = spans.iter().find(|(_, start, len)| (*start..=start + len).contains(&bytes));
            if let Some((i, start, total)) = span {
                let step = self.plan.steps[*i].id.clone();
                let event = Event::Sent { step, bytes: bytes - start, total: *total };
                self.cx.controller.event(self.cx.host, &event);
            }
        };
        let label = batch.steps.first().map_or_else(String::new, |i| self.plan.steps[*i].id.0.clone());
        let mut job = Job::new(&label, script);
        job.root = self.plan.root;
        job.keeps_shell = true;
        job.timeout = batch.timeout + Duration::from_secs(30);
        job.sent = Some(&sent);
        job.input = batch
            .input
            .iter()
            .map(|(_, it)| match it {
                Input::Bytes(bytes) => Part::Bytes(Cow::Borrowed(bytes)),
                Input::File { path, offset, .. } => Part::File(path, *offset),
            })
            .collect();
        self.host.run(job).await.map_err(|error| {
            let first = batch.steps.first().copied().unwrap_or_default();
            let unknown = matches!(error, HostError::Lost { .. } | HostError::Timeout { .. });
            StepFailure { unknown, ..self.failure(first, error.exit(), error.to_string()) }
        })
    }

    /// Takes in what a script said, step by step; the first that is not done has failed.
    fn hear(&mut self, batch: &Batch, output: &Output) -> Result<(), StepFailure> {
        let text = output.text();
        let all: Vec<(&str, &str, &str)> = answers(&text).collect();
        let mut answered = Vec::new();
        for i in &batch.steps {
            let number = i.to_string();
            let words = all.iter().filter(|(id, ..)| *id == number);
            let said = Said(words.map(|(_, word, value)| ((*word).to_owned(), (*value).to_owned())).collect());
            let request = batch.asks.iter().find(|(asked, _)| asked == i);
            if let (Some((_, request)), Some(csr)) = (request, said.get("request")) {
                answered.push((*i, self.sign(*i, request, csr)?));
            } else if said.get("done").is_some() {
                self.remember(*i, &said);
                self.done(*i, &said).map_err(|why| self.failure(*i, Exit::Invalid, why))?;
            } else {
                let general = all.iter().find(|(_, word, _)| *word == "failed").map(|(.., why)| *why);
                return Err(self.failed(*i, said.get("failed").or(general), output));
            }
        }
        for (i, act) in answered {
            self.batch.add(i, act, true);
        }
        self.compare(&batch.proofs, &all, output)
    }

    /// Holds what a host says after the change against what its steps want.
    fn compare(&self, proofs: &[usize], all: &[(&str, &str, &str)], output: &Output) -> Result<(), StepFailure> {
        let nothing = BTreeSet::new();
        let (mut first, mut wrong) = (None, Vec::new());
        for i in proofs {
            let Some(module) = proven(&self.plan.steps[*i]) else { continue };
            let name = proof(*i);
            let words = all.iter().filter(|(id, ..)| *id == name);
            let said: Words = words.map(|(_, word, value)| ((*word).to_owned(), (*value).to_owned())).collect();
            if said.is_empty() {
                return Err(self.failed(*i, None, output));
            }
            let found = Found { words: &said, now_s: 0, changed: &nothing, active: false };
            let diff = module.part().diff(self.cx, &found).map_err(|why| self.failure(*i, Exit::Mismatch, why))?;
            if !diff.changes.is_empty() {
                first = first.or(Some(*i));
            }
            wrong.extend(diff.changes.iter().map(|it| format!("{}: {}, not {}", it.what, it.before, it.after)));
        }
        let Some(i) = first else { return Ok(()) };
        let why = format!("what is there or runs now is not what was installed\n{}", wrong.join("\n"));
        Err(self.failure(i, Exit::Mismatch, why))
    }

    /// Keeps what tells whether a binary has changed since it was put in place.
    fn remember(&mut self, i: usize, said: &Said) {
        let module = self.plan.steps[i].module.as_ref();
        if let (Some(Module::Binary(it)), Some(change)) =
            (module, said.get("change").filter(|it| it.len() <= CHANGE_MAX))
            && let Some(blob) = self.cx.controller.blob(&it.name)
        {
            self.placed.push_str(&call("know", [it.to.as_str(), change, &blob.sha256.to_string()]));
        }
    }

    /// Has a request signed, whose lines have commas between them.
    fn sign(&self, i: usize, request: &KeyRequest, csr: &str) -> Result<Act, StepFailure> {
        let signed = self.cx.controller.sign(self.cx.host, request, &csr.replace(',', "\n")).map_err(|failure| {
            let why = failure.why.as_ref().map_or_else(|| failure.what.clone(), |it| format!("{}: {it}", failure.what));
            self.failure(i, failure.exit, why)
        })?;
        let act = self.plan.steps[i].module.as_ref().and_then(|it| it.answer(&signed));
        act.ok_or_else(|| self.failure(i, Exit::Failed, "nothing was asked"))
    }

    fn done(&mut self, i: usize, said: &Said) -> Result<(), String> {
        let step = &self.plan.steps[i];
        let mut has_changed = step.status == Status::Change && said.get("met").is_none();
        if let (Some(when), true) = (&step.changed_when, has_changed) {
            let stdout = said.get("stdout").and_then(unhex).unwrap_or_default();
            let vars = Vars::new(&serde_json::json!({
                "stdout": String::from_utf8_lossy(&stdout),
                "status": said.get("status").and_then(|it| it.parse::<i32>().ok()),
            }));
            has_changed = Renderer::new().holds(when, &vars).map_err(|why| format!("changed_when: {why}"))?;
        }
        if has_changed {
            self.report.changed.push(step.id.clone());
            let event = Event::StepChanged { step: step.id.clone(), changes: step.changes.clone() };
            self.cx.controller.event(self.cx.host, &event);
        } else {
            self.unchanged(&step.id);
        }
        Ok(())
    }

    fn failed(&self, i: usize, said: Option<&str>, output: &Output) -> StepFailure {
        let (kind, why) = said.and_then(|it| it.split_once(' ')).unwrap_or(("failed", ""));
        let exit = match kind {
            "mismatch" => Exit::Mismatch,
            "deadline" => Exit::Deadline,
            _ => Exit::Failed,
        };
        let lines: Vec<&str> = output.stderr.trim().lines().collect();
        let tail = lines[lines.len().saturating_sub(5)..].join("\n");
        let why = match (why, tail.is_empty()) {
            ("", true) => format!("the script ended with status {} and said nothing", output.status),
            ("", false) => tail,
            (why, true) => why.to_owned(),
            (why, false) => format!("{why}\n{tail}"),
        };
        self.failure(i, exit, why)
    }
}
