//! From steps to tasks: one host's variables are filled in, conditions decided, loops unrolled. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::{
    module::{Cx, Module},
    parse::{Playbook, Step, kind_of},
    problem::problem,
    render::{Kind, Renderer, Vars},
};
use crate::yaml::{At, Entry, Problem, Tree, Value};

/// The most items of a loop.
const LOOP_MAX: usize = 200;

/// What one step is on one host.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) at: At,
    /// Absent when its condition does not hold.
    pub(super) module: Option<Module>,
    pub(super) notify: Vec<String>,
    pub(super) check: bool,
    pub(super) changed_when: Option<String>,
    pub(super) is_handler: bool,
}

type Expanded<T> = Result<T, Problem>;

struct Expander<'a> {
    playbook: &'a Playbook,
    renderer: Renderer,
    ids: BTreeSet<String>,
}

/// Fills one host's variables in; `given` beats the playbook's own.
pub(super) fn expand(playbook: &Playbook, given: &Vars) -> Result<Vec<Task>, Vec<Problem>> {
    let missing: Vec<Problem> = playbook
        .inputs
        .iter()
        .filter(|(name, _)| given.get(name).is_none())
        .map(|(name, it)| problem(&playbook.file, it.at, format!("the run brings no `{name}` ({})", it.about), None))
        .collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let mut it = Expander { playbook, renderer: Renderer::new(), ids: BTreeSet::new() };
    let mut problems = Vec::new();
    let vars = it.vars(given).map_err(|problem| vec![problem])?;
    let mut tasks = Vec::new();
    let handlers = playbook.handlers.iter().map(|it| (it, true));
    for (step, is_handler) in playbook.steps.iter().map(|it| (it, false)).chain(handlers) {
        match it.step(step, &vars, is_handler) {
            Ok(more) => tasks.extend(more),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(tasks) } else { Err(problems) }
}

impl Expander<'_> {
    fn wrong(&self, at: At, text: impl Into<String>) -> Problem {
        problem(&self.playbook.file, at, text, None)
    }

    fn vars(&self, given: &Vars) -> Expanded<Vars> {
        let mut vars = given.clone();
        for Entry { key, value: node, .. } in &self.playbook.vars {
            if vars.get(key).is_none() {
                let value = self.value(node, Kind::Value, &vars)?;
                vars.set(key, value);
            }
        }
        Ok(vars)
    }

    fn step(&mut self, step: &Step, vars: &Vars, is_handler: bool) -> Expanded<Vec<Task>> {
        let Some(each) = &step.each else { return Ok(vec![self.task(step, vars, is_handler)?]) };
        let Json::Array(items) = self.value(each, Kind::Value, vars)? else {
            return Err(self.wrong(each.at, "`loop` needs a list"));
        };
        if items.len() > LOOP_MAX {
            return Err(self.wrong(each.at, format!("`loop` has {} items, at most {LOOP_MAX} are run", items.len())));
        }
        let mut tasks = Vec::new();
        for item in items {
            let mut vars = vars.clone();
            vars.set("item", item);
            tasks.push(self.task(step, &vars, is_handler)?);
        }
        Ok(tasks)
    }

    fn task(&mut self, step: &Step, vars: &Vars, is_handler: bool) -> Expanded<Task> {
        let name = self.filled(step.at, &step.name, Kind::Text, vars)?;
        let mut id = name.as_str().unwrap_or_default().to_owned();
        if step.each.is_some() && !step.name.contains("{{") {
            let item = vars.get("item").map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
            id = format!("{id} ({})", item.unwrap_or_default());
        }
        if !self.ids.insert(id.clone()) {
            return Err(self.wrong(step.at, format!("two steps are called `{id}` here")));
        }
        let holds = match &step.when {
            Some((at, when)) => self.renderer.holds(when, vars).map_err(|why| self.wrong(*at, why))?,
            None => true,
        };
        let module = if holds { Some(self.module(step, vars)?) } else { None };
        let changed_when = step.args.iter().find(|it| it.key == "changed_when");
        let changed_when =
            changed_when.and_then(|it| if let Value::Text(text) = &it.value.value { Some(text.clone()) } else { None });
        let notify = step.notify.iter().map(|(_, it)| it.clone()).collect();
        Ok(Task { id, at: step.at, module, notify, check: step.check, changed_when, is_handler })
    }

    fn module(&self, step: &Step, vars: &Vars) -> Expanded<Module> {
        let mut args = Map::new();
        for Entry { key, value: node, .. } in &step.args {
            match key.as_str() {
                "changed_when" => {}
                "template" => {
                    let name = if let Value::Text(name) = &node.value { name.as_str() } else { "" };
                    let text = self.playbook.templates.get(name).map(String::as_str).unwrap_or_default();
                    args.insert("content".to_owned(), self.filled(node.at, text, Kind::Text, vars)?);
                }
                name => {
                    let value = self.value(node, kind_of(step.module, name), vars)?;
                    // A variable that is null leaves the key out.
                    if !value.is_null() {
                        args.insert(name.to_owned(), value);
                    }
                }
            }
        }
        let tagged = Json::Object(std::iter::once((step.module.to_owned(), Json::Object(args))).collect());
        if has_zero(&tagged) {
            return Err(self.wrong(step.at, "a value holds a zero byte"));
        }
        serde_json::from_value(tagged).map_err(|error| self.wrong(step.at, format!("`{}`: {error}", step.module)))
    }

    fn value(&self, node: &Tree, kind: Kind, vars: &Vars) -> Expanded<Json> {
        Ok(match &node.value {
            Value::Null => Json::Null,
            Value::Bool(it) => Json::Bool(*it),
            Value::Number(it) => Json::Number(it.clone()),
            Value::Text(text) => self.filled(node.at, text, kind, vars)?,
            Value::List(list) => list.iter().map(|it| self.value(it, kind, vars)).collect::<Expanded<Vec<_>>>()?.into(),
            Value::Map(entries) => {
                let entry = |it: &Entry| Ok((it.key.clone(), self.value(&it.value, kind, vars)?));
                Json::Object(entries.iter().map(entry).collect::<Expanded<Map<_, _>>>()?)
            }
        })
    }

    fn filled(&self, at: At, text: &str, kind: Kind, vars: &Vars) -> Expanded<Json> {
        self.renderer.fill(text, kind, vars).map_err(|why| self.wrong(at, why))
    }
}

fn has_zero(value: &Json) -> bool {
    match value {
        Json::String(it) => it.contains('\0'),
        Json::Array(it) => it.iter().any(has_zero),
        Json::Object(it) => it.values().any(has_zero),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

/// What types cannot say of the tasks, with the run they are part of.
pub(super) fn check(playbook: &Playbook, tasks: &[Task], cx: &Cx<'_>) -> Result<(), Vec<Problem>> {
    let mut problems = Vec::new();
    for task in tasks {
        let checked = task.module.as_ref().map_or(Ok(()), |it| it.part().check(cx));
        if let Err(text) = checked {
            problems.push(problem(&playbook.file, task.at, format!("step `{}`: {text}", task.id), None));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}
