//! From YAML to steps: every key is known, every name exists, every variable is declared.

use std::collections::{BTreeMap, BTreeSet};

use mesh_core::id::Digest;
use serde::Serialize;

use super::{
    module::{FORMS, Form},
    problem::{did_you_mean, problem},
    render::{Kind, Renderer},
};
use crate::yaml::{self, At, Entry, Problem, Tree, Value};

/// A playbook that has passed `lint`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Playbook {
    pub(crate) name: String,
    pub(crate) about: String,
    /// The file it came from, for errors.
    pub(crate) file: String,
    /// Whether its steps need root on the host.
    pub(crate) root: bool,
    /// The variables that a run must bring, and what they are.
    pub(crate) inputs: BTreeMap<String, Input>,
    /// Its own variables, in order; a later one may use an earlier one.
    pub(super) vars: Vec<Entry>,
    pub(super) steps: Vec<Step>,
    pub(super) handlers: Vec<Step>,
    /// The texts of the templates it names.
    pub(super) templates: BTreeMap<String, String>,
}

/// A variable that a run must bring.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Input {
    /// What it is.
    pub(crate) about: String,
    #[serde(skip)]
    pub(super) at: At,
}

/// One step as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) at: At,
    pub(super) name: String,
    pub(super) module: &'static str,
    pub(super) args: Vec<Entry>,
    pub(super) when: Option<(At, String)>,
    pub(super) each: Option<Tree>,
    pub(super) tags: Vec<String>,
    pub(super) notify: Vec<(At, String)>,
    /// Whether the host is asked before; a step without a check runs when one before it changes something.
    pub(super) check: bool,
}

const TOP: [&str; 7] = ["name", "about", "root", "inputs", "vars", "steps", "handlers"];
const COMMON: [&str; 7] = ["name", "when", "loop", "tags", "notify", "check", "about"];

/// Reads the text of a template by the name a step gives it.
type Load<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Playbook {
    /// Reads a playbook without templates beside it.
    #[cfg(test)]
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        Self::parse_with(file, text, &|_| None)
    }

    /// Reads a playbook; `load` reads the templates that its steps name.
    pub(crate) fn parse_with(file: &str, text: &str, load: Load<'_>) -> Result<Self, Vec<Problem>> {
        let tree = yaml::parse(text).map_err(|(at, why)| vec![problem(file, at, why, None)])?;
        let mut reader = Reader { file, load, problems: Vec::new(), templates: BTreeMap::new() };
        reader.check_keys(&tree);
        let playbook = reader.playbook(&tree);
        if reader.problems.is_empty() { Ok(playbook) } else { Err(reader.problems) }
    }

    /// The form of a module.
    pub(super) fn form(module: &str) -> Option<&'static Form> {
        FORMS.iter().find(|it| it.name == module)
    }

    /// The steps with one of these tags, and those that are tagged `always`.
    pub(crate) fn tagged(&self, tags: &[String]) -> Result<Self, String> {
        let known: BTreeSet<&str> = self.steps.iter().flat_map(|it| it.tags.iter().map(String::as_str)).collect();
        if let Some(unknown) = tags.iter().find(|it| !known.contains(it.as_str())) {
            let hint = did_you_mean(unknown, known).map(|it| format!("; {it}")).unwrap_or_default();
            return Err(format!("no step has the tag `{unknown}`{hint}"));
        }
        let mut only = self.clone();
        only.steps.retain(|step| step.tags.iter().any(|it| it == "always" || tags.contains(it)));
        Ok(only)
    }

    /// Whether a run may give this variable a value.
    pub(crate) fn check_variable(&self, name: &str) -> Result<(), String> {
        let known: Vec<&str> =
            self.inputs.keys().map(String::as_str).chain(self.vars.iter().map(|it| it.key.as_str())).collect();
        if known.contains(&name) {
            return Ok(());
        }
        let hint = did_you_mean(name, known).map(|it| format!("; {it}")).unwrap_or_default();
        Err(format!("the playbook {} has no variable `{name}`{hint}", self.name))
    }

    /// The digest of all that it says: of its text and of its templates.
    pub(crate) fn digest(&self, text: &str) -> Digest {
        let all = serde_json::json!({ "text": text, "templates": self.templates });
        mesh_proto::cert::sha256(all.to_string().as_bytes())
    }

    /// Its steps for a table: name, module, tags, condition.
    pub(crate) fn rows(&self) -> Vec<[String; 4]> {
        let row = |it: &Step| {
            let when = it.when.as_ref().map(|(_, it)| it.clone()).unwrap_or_default();
            [it.name.clone(), it.module.to_owned(), it.tags.join(","), when]
        };
        self.steps.iter().chain(&self.handlers).map(row).collect()
    }
}

struct Reader<'a> {
    file: &'a str,
    load: Load<'a>,
    problems: Vec<Problem>,
    templates: BTreeMap<String, String>,
}

impl Reader<'_> {
    fn wrong(&mut self, at: At, text: impl Into<String>, hint: Option<String>) {
        self.problems.push(problem(self.file, at, text, hint));
    }

    /// Of a key that is there twice, only one would count.
    fn check_keys(&mut self, tree: &Tree) {
        match &tree.value {
            Value::List(items) => items.iter().for_each(|it| self.check_keys(it)),
            Value::Map(entries) => {
                for (i, it) in entries.iter().enumerate() {
                    if let Some(first) = entries[..i].iter().find(|first| first.key == it.key) {
                        let text = format!("duplicate key `{}`: it is on line {} too", it.key, first.at.line);
                        self.wrong(it.at, text, None);
                    }
                    self.check_keys(&it.value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn playbook(&mut self, tree: &Tree) -> Playbook {
        let mut it = Playbook {
            name: String::new(),
            about: String::new(),
            file: self.file.to_owned(),
            root: false,
            inputs: BTreeMap::new(),
            vars: Vec::new(),
            steps: Vec::new(),
            handlers: Vec::new(),
            templates: BTreeMap::new(),
        };
        if !matches!(tree.value, Value::Map(_)) {
            self.wrong(tree.at, format!("a playbook is a map, this is {}", tree.value.noun()), None);
            return it;
        }
        for Entry { key, at, value: node } in tree.entries() {
            match key.as_str() {
                "name" => it.name = self.text(node),
                "about" => it.about = self.text(node),
                "root" => it.root = self.flag(node),
                "inputs" => it.inputs = self.inputs(node),
                "vars" => it.vars = node.entries().to_vec(),
                "steps" => it.steps = self.steps(node),
                "handlers" => it.handlers = self.steps(node),
                other => self.wrong(*at, format!("unknown key `{other}`"), did_you_mean(other, TOP)),
            }
        }
        if it.name.is_empty() {
            self.wrong(tree.at, "a playbook needs a `name`", None);
        }
        let has_steps = tree.entries().iter().any(|it| it.key == "steps" && it.value.value != Value::List(Vec::new()));
        if !has_steps {
            self.wrong(tree.at, "a playbook needs `steps`", None);
        }
        self.check_names(&it);
        self.check_variables(&it);
        it.templates = std::mem::take(&mut self.templates);
        it
    }

    fn text(&mut self, node: &Tree) -> String {
        match &node.value {
            Value::Text(text) => text.clone(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                self.wrong(node.at, format!("this must be a text, not {}", node.value.noun()), None);
                String::new()
            }
        }
    }

    fn flag(&mut self, node: &Tree) -> bool {
        if let Value::Bool(it) = node.value {
            return it;
        }
        self.wrong(node.at, format!("this must be true or false, not {}", node.value.noun()), None);
        false
    }

    /// A list of texts, or one text.
    fn texts(&mut self, node: &Tree) -> Vec<(At, String)> {
        if let Value::List(list) = &node.value {
            return list.iter().map(|it| (it.at, self.text(it))).collect();
        }
        vec![(node.at, self.text(node))]
    }

    fn inputs(&mut self, node: &Tree) -> BTreeMap<String, Input> {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong(node.at, "`inputs` is a map of names to what they are", None);
        }
        let entries = node.entries().iter();
        entries.map(|it| (it.key.clone(), Input { about: self.text(&it.value), at: it.at })).collect()
    }

    fn steps(&mut self, node: &Tree) -> Vec<Step> {
        let Value::List(list) = &node.value else {
            self.wrong(node.at, format!("this must be a list of steps, not {}", node.value.noun()), None);
            return Vec::new();
        };
        list.iter().filter_map(|it| self.step(it)).collect()
    }

    fn step(&mut self, node: &Tree) -> Option<Step> {
        if !matches!(node.value, Value::Map(_)) {
            self.wrong(node.at, format!("a step is a map, this is {}", node.value.noun()), None);
            return None;
        }
        let mut step = Step {
            at: node.at,
            name: String::new(),
            module: "",
            args: Vec::new(),
            when: None,
            each: None,
            tags: Vec::new(),
            notify: Vec::new(),
            check: true,
        };
        for Entry { key, at, value } in node.entries() {
            match key.as_str() {
                "name" => step.name = self.text(value),
                "about" => drop(self.text(value)),
                "when" => step.when = Some((value.at, self.text(value))),
                "loop" => step.each = Some(value.clone()),
                "tags" => step.tags = self.texts(value).into_iter().map(|(_, it)| it).collect(),
                "notify" => step.notify = self.texts(value),
                "check" => step.check = self.flag(value),
                other => self.module(&mut step, *at, other, value),
            }
        }
        if step.module.is_empty() {
            let names: Vec<&str> = FORMS.iter().map(|it| it.name).collect();
            self.wrong(node.at, "a step needs a module", Some(format!("one of: {}", names.join(", "))));
            return None;
        }
        if step.name.is_empty() {
            self.wrong(node.at, "a step needs a `name`", None);
        }
        Some(step)
    }

    fn module(&mut self, step: &mut Step, at: At, name: &str, value: &Tree) {
        let Some(form) = Playbook::form(name) else {
            let names = FORMS.iter().map(|it| it.name).chain(COMMON);
            self.wrong(at, format!("no module and no key of a step is called `{name}`"), did_you_mean(name, names));
            // It stands for a module: one error is enough.
            step.module = "unknown";
            return;
        };
        if !step.module.is_empty() {
            self.wrong(at, format!("a step has one module: `{}` is here already", step.module), None);
            return;
        }
        step.module = form.name;
        step.args = value.entries().to_vec();
        if !matches!(value.value, Value::Map(_)) {
            self.wrong(value.at, format!("`{name}` needs a map, not {}", value.value.noun()), None);
            return;
        }
        for Entry { key, at, value } in &step.args {
            if !form.args.iter().any(|it| it.name == key) {
                let hint = did_you_mean(key, form.args.iter().map(|it| it.name));
                self.wrong(*at, format!("`{name}` has no key `{key}`"), hint);
            }
            if name == "file" && key == "template" {
                self.template(value);
            }
        }
        for arg in form.args.iter().filter(|it| it.required) {
            if !step.args.iter().any(|it| it.key == arg.name) {
                self.wrong(at, format!("`{name}` needs `{}`", arg.name), None);
            }
        }
    }

    fn template(&mut self, node: &Tree) {
        let name = self.text(node);
        match (self.load)(&name) {
            Some(text) => drop(self.templates.insert(name, text)),
            None => self.wrong(node.at, format!("there is no template `{name}` beside the playbook"), None),
        }
    }

    fn check_names(&mut self, it: &Playbook) {
        let mut seen: BTreeMap<&str, At> = BTreeMap::new();
        for step in it.steps.iter().chain(&it.handlers) {
            if let Some(first) = seen.get(step.name.as_str()).filter(|_| !step.name.is_empty()) {
                self.wrong(step.at, format!("the name `{}` is on line {} too", step.name, first.line), None);
            }
            seen.insert(&step.name, step.at);
        }
        let handlers: Vec<&str> = it.handlers.iter().map(|it| it.name.as_str()).collect();
        for (at, name) in it.steps.iter().chain(&it.handlers).flat_map(|it| &it.notify) {
            if !handlers.contains(&name.as_str()) {
                self.wrong(*at, format!("there is no handler `{name}`"), did_you_mean(name, handlers.iter().copied()));
            }
        }
        for handler in &it.handlers {
            if !it.steps.iter().chain(&it.handlers).any(|step| step.notify.iter().any(|(_, it)| *it == handler.name)) {
                self.wrong(handler.at, format!("no step notifies the handler `{}`", handler.name), None);
            }
        }
    }

    fn check_variables(&mut self, it: &Playbook) {
        let renderer = Renderer::new();
        let mut known: BTreeSet<String> = it.inputs.keys().cloned().collect();
        for it in &it.vars {
            self.strings(&it.value, &renderer, &known);
            known.insert(it.key.clone());
        }
        for step in it.steps.iter().chain(&it.handlers) {
            let mut known = known.clone();
            if let Some(each) = &step.each {
                self.strings(each, &renderer, &known);
                known.insert("item".to_owned());
            }
            if let Some((at, when)) = &step.when {
                self.names(*at, renderer.names_of_expression(when), &known);
            }
            self.names(step.at, renderer.names(&step.name), &known);
            for Entry { key, value: node, .. } in &step.args {
                if let ("changed_when", Value::Text(text)) = (key.as_str(), &node.value) {
                    let mut known = known.clone();
                    known.extend(["stdout".to_owned(), "status".to_owned()]);
                    self.names(node.at, renderer.names_of_expression(text), &known);
                } else {
                    self.strings(node, &renderer, &known);
                }
                if let ("template", Value::Text(name)) = (key.as_str(), &node.value)
                    && let Some(text) = self.templates.get(name)
                {
                    let names = renderer.names(text);
                    self.names(node.at, names, &known);
                }
            }
        }
    }

    fn strings(&mut self, node: &Tree, renderer: &Renderer, known: &BTreeSet<String>) {
        match &node.value {
            Value::Text(text) => self.names(node.at, renderer.names(text), known),
            Value::List(list) => list.iter().for_each(|it| self.strings(it, renderer, known)),
            Value::Map(entries) => entries.iter().for_each(|it| self.strings(&it.value, renderer, known)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn names(&mut self, at: At, found: Result<BTreeSet<String>, String>, known: &BTreeSet<String>) {
        match found {
            Err(why) => self.wrong(at, why, None),
            Ok(names) => {
                for name in names.difference(known) {
                    let hint = did_you_mean(name, known.iter().map(String::as_str));
                    self.wrong(at, format!("nothing defines the variable `{name}`"), hint);
                }
            }
        }
    }
}

/// How the strings of a key are filled in.
pub(super) fn kind_of(module: &str, key: &str) -> Kind {
    let form = Playbook::form(module);
    form.and_then(|it| it.args.iter().find(|it| it.name == key)).map_or(Kind::Value, |it| it.kind)
}
