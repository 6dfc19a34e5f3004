//! `mesh explain KIND|FIELD|CODE`: what a thing means, from the schemas and tables the product itself uses.

use clap::Args;
use mesh_core::kind::{self, Kind};
use serde_json::{Value as Json, json};

use super::Cx;
use crate::{
    Exit, Failure, Result,
    codes::{Code, Explanation},
    hosts,
    items::SCHEMA,
    output::Table,
    yaml,
};

/// Arguments of `mesh explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh explain node\n  mesh explain node.engines.url\n  mesh explain hosts.ssh.jump\n  mesh explain E0202\n  mesh explain NO_QUORUM"
)]
pub(crate) struct ExplainArgs {
    /// A kind, a field of one, a key of hosts.yaml, or the code of an error; without it: what there is
    topic: Option<String>,
}

pub(crate) fn run(cx: &Cx, args: ExplainArgs) -> Result {
    let Some(topic) = args.topic else { return contents(cx) };
    if let Some(found) = code(&topic) {
        return show_code(cx, found);
    }
    let (head, keys) = topic.split_once('.').unwrap_or((&topic, ""));
    let Some((name, schema)) = schema_named(head) else { return Err(unknown(&topic, topics())) };
    show_schema(cx, &name, &schema, keys)
}

/// The explanation of a code, by its number or by the reason an agent gives.
fn code(topic: &str) -> Option<&'static Explanation> {
    let reason = topic.to_uppercase().replace('-', "_");
    Code::parse(topic).or_else(|| Code::of_reason(&reason))?.explanation()
}

/// The schema of a kind, or of hosts.yaml.
fn schema_named(head: &str) -> Option<(String, Json)> {
    if matches!(head, "hosts" | "hosts.yaml") {
        return Some(("hosts".to_owned(), hosts::schema().clone()));
    }
    let kind: Kind = head.parse().ok()?;
    let mut schema = kind::schema(kind).to_value();
    yaml::tidy(&mut schema);
    Some((kind.to_string(), schema))
}

/// Every word that can be explained.
fn topics() -> Vec<String> {
    let kinds = Kind::ALL.iter().flat_map(|it| [it.as_str().to_owned(), it.plural().to_owned()]);
    let codes = Code::TABLE.iter().map(|it| it.code.to_string());
    kinds.chain(["hosts".to_owned()]).chain(codes).collect()
}

fn unknown(topic: &str, words: Vec<String>) -> Failure {
    let mut near: Vec<(usize, &String)> = words.iter().map(|it| (strsim::damerau_levenshtein(topic, it), it)).collect();
    near.sort();
    let near: Vec<&str> = near.iter().take(4).map(|(_, it)| it.as_str()).collect();
    Failure::new(Exit::Failed, format!("nothing is known of {}", yaml::quoted(topic)))
        .why(format!("near words: {}", near.join(", ")))
        .next("mesh explain")
}

fn contents(cx: &Cx) -> Result {
    if !cx.out.is_for_people() {
        let topics: Vec<Json> = topics().into_iter().map(Json::from).collect();
        cx.out.value(&json!({"schema": SCHEMA, "topics": topics}))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["TOPIC", "WHAT IT IS"]);
    table.row(vec!["hosts".to_owned(), "hosts.yaml: the hosts of a mesh and how to get to them.".to_owned()]);
    Kind::ALL.iter().for_each(|kind| table.row(vec![kind.to_string(), kind.about().to_owned()]));
    for it in Code::TABLE {
        table.row(vec![it.code.to_string(), it.title.to_owned()]);
    }
    cx.out.table(&table)?;
    Ok(Exit::Done)
}

fn show_code(cx: &Cx, it: &Explanation) -> Result {
    if cx.out.is_for_people() {
        cx.out.line(&format!("{}: {}\n\n{}\n\n{}", it.code, it.title, it.meaning, it.todo))?;
    } else {
        let code = it.code.to_string();
        cx.out.value(
            &json!({"schema": SCHEMA, "code": code, "title": it.title, "meaning": it.meaning, "todo": it.todo}),
        )?;
    }
    Ok(Exit::Done)
}

fn show_schema(cx: &Cx, name: &str, root: &Json, keys: &str) -> Result {
    let found = walk(root, name, keys)?;
    if !cx.out.is_for_people() {
        let mut schema = found.schema.clone();
        if let (Some(defs), Some(object)) = (root.get("$defs"), schema.as_object_mut()) {
            object.insert("$defs".to_owned(), defs.clone());
        }
        cx.out.value(&json!({"schema": SCHEMA, "topic": found.path, "is": found.noun, "json_schema": schema}))?;
        return Ok(Exit::Done);
    }
    cx.out.raw(page(root, &found).as_bytes())?;
    Ok(Exit::Done)
}

/// A field that was found.
struct Found<'a> {
    path: String,
    noun: String,
    schema: &'a Json,
    required: bool,
}

/// Goes down by keys; lists and maps of things are gone through to the things, `hosts.ssh` is `hosts.hosts.ssh`.
fn walk<'a>(root: &'a Json, name: &str, keys: &str) -> Result<Found<'a>> {
    let mut found = Found { path: name.to_owned(), noun: yaml::noun(root, root), schema: root, required: false };
    let keys: Vec<&str> = keys.split('.').filter(|it| !it.is_empty()).collect();
    for (i, key) in keys.iter().enumerate() {
        let key = key.split('[').next().unwrap_or(key);
        let inside = inner(root, found.schema);
        let fields = yaml::fields(root, inside);
        let mut next = fields.and_then(|it| it.get(key)).map(|schema| (inside, schema));
        // Of hosts.yaml people mostly ask for what they say of a host.
        let item = (i == 0 && name == "hosts").then(|| yaml::fields(root, root)?.get("hosts")).flatten();
        let item = item.map(|it| inner(root, it));
        let item_fields = item.and_then(|it| yaml::fields(root, it));
        if next.is_none() {
            next = item.and_then(|item| Some((item, item_fields?.get(key)?)));
        }
        let Some((owner, schema)) = next else {
            let all = fields.into_iter().chain(item_fields).flat_map(|it| it.keys());
            let words = all.map(|it| format!("{}.{it}", found.path)).collect();
            return Err(unknown(&format!("{}.{key}", found.path), words));
        };
        let required = owner.get("required").and_then(Json::as_array);
        found = Found {
            path: format!("{}.{key}", found.path),
            noun: yaml::noun(root, schema),
            schema,
            required: required.is_some_and(|it| it.iter().any(|it| it == key)),
        };
    }
    Ok(found)
}

/// What a list or a map of things holds; itself when it is neither.
fn inner<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let schema = yaml::follow(root, schema);
    let of = schema.get("items").or_else(|| schema.get("additionalProperties").filter(|it| it.is_object()));
    of.map_or(schema, |it| yaml::follow(root, it))
}

fn about<'a>(root: &'a Json, schema: &'a Json) -> &'a str {
    let own = schema.get("description").or_else(|| yaml::follow(root, schema).get("description"));
    own.and_then(Json::as_str).unwrap_or_default()
}

fn page(root: &Json, found: &Found<'_>) -> String {
    let required = if found.required { ", required" } else { "" };
    let mut text = format!("{}: {}{required}\n\n{}\n", found.path, found.noun, about(root, found.schema));
    let target = yaml::follow(root, found.schema);
    if let Some(example) = target.get("examples").and_then(|it| it.get(0)) {
        let example = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        text.push_str(&format!("\nExample: {example}\n"));
    }
    let inside = inner(root, found.schema);
    if let Some(variants) = inside.get("oneOf").and_then(Json::as_array) {
        text.push_str("\nWords:\n");
        for it in variants {
            let words = yaml::words(&json!({"oneOf": [it]})).map(|it| it.join(", ")).unwrap_or_default();
            text.push_str(&format!("  {words:<14} {}\n", first_sentence(about(root, it))));
        }
    }
    if let Some(fields) = yaml::fields(root, inside) {
        text.push_str("\nFields:\n");
        let width = fields.keys().map(String::len).max().unwrap_or(0);
        for (key, schema) in fields {
            let (noun, about) = (yaml::noun(root, schema), first_sentence(about(root, schema)));
            text.push_str(&format!("  {key:<width$}  {noun:<16} {about}\n"));
        }
        text.push_str(&format!("\nMore of one: mesh explain {}.FIELD\n", found.path));
    }
    text
}

/// One line of a description.
fn first_sentence(text: &str) -> String {
    let text = text.replace('\n', " ");
    text.split_once(". ").map_or(text.clone(), |(first, _)| format!("{first}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(topic: &str) -> String {
        if let Some(it) = code(topic) {
            return format!("{}: {}", it.code, it.title);
        }
        let (head, keys) = topic.split_once('.').unwrap_or((topic, ""));
        let Some((name, schema)) = schema_named(head) else { return unknown(topic, topics()).to_string() };
        match walk(&schema, &name, keys) {
            Ok(found) => page(&schema, &found),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn kinds_fields_keys_and_codes_are_explained() {
        let topics = [
            "node",
            "nodes.engines",
            "node.engines.kind",
            "drain",
            "policy",
            "strategy",
            "hosts",
            "hosts.ssh",
            "hosts.ssh.jump",
            "hosts.hosts[0].ssh.host_key_policy",
            "hosts.rolling.batch",
            "hosts.pools.labels",
            "E0101",
            "no-quorum",
        ];
        let pages: Vec<String> = topics.iter().map(|it| format!("$ mesh explain {it}\n{}", explained(it))).collect();
        insta::assert_snapshot!("pages", pages.join("\n"));
    }

    #[test]
    fn unknown_words_have_near_ones() {
        let check = |topic: &str, near: &str| {
            let said = explained(topic);
            assert!(said.starts_with("error: nothing is known of") && said.contains(near), "{topic}: {said}");
        };
        check("nod", "node");
        check("hosts.shs", "hosts.ssh");
        check("hosts.ssh.jmp", "hosts.ssh.jump");
        check("node.engine", "node.engines");
        check("E0102x", "E0102");
    }
}
