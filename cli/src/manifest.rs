//! Manifests: YAML or JSON documents of `{kind, name, spec}`, with errors that name file, line and column.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use mesh_core::{
    id::ObjectName,
    kind::{BindingSpec, Kind, NodeSpec, PolicySpec, RevocationSpec},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use crate::{Code, Exit, Failure, Result};

/// The largest manifest, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// One object as declared in a manifest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) kind: Kind,
    pub(crate) name: ObjectName,
    /// The revision the object must have, when the manifest says one.
    pub(crate) revision: Option<u64>,
    pub(crate) spec: Value,
    /// FILE:LINE of its document.
    pub(crate) place: String,
}

/// A document before its kind is known.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    kind: String,
    name: String,
    #[serde(default)]
    revision: Option<u64>,
    spec: Value,
    #[serde(default, rename = "status")]
    _status: Option<IgnoredAny>,
}

/// A document with the spec of its kind: only read for the position of what is wrong in it.
#[derive(Debug, Deserialize)]
struct Typed<S> {
    #[serde(rename = "spec")]
    _spec: S,
}

/// A list as `mesh get -o json` writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Items {
    #[serde(default, rename = "schema")]
    _schema: Option<String>,
    items: Vec<Head>,
}

/// Reads a file, or stdin for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<Manifest>> {
    let (name, text) = read_text(path)?;
    parse(&name, &text)
}

fn read_text(path: &Path) -> Result<(String, String)> {
    let is_stdin = path == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { path.display().to_string() };
    let wrong = |why: &dyn std::fmt::Display| Failure::new(Exit::Invalid, format!("cannot read {name}")).why(why);
    let mut text = String::new();
    let read = if is_stdin {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        let path: PathBuf = path.to_owned();
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| wrong(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(&format!("it has more than {FILE_BYTES_MAX} bytes")).next("split it into several files"));
    }
    Ok((name, text))
}

/// Reads every document of a text.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Manifest>> {
    let mut manifests = Vec::new();
    for document in documents(text) {
        if document.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            continue;
        }
        let first = document.lines().position(|line| !line.trim().is_empty() && !line.starts_with("---")).unwrap_or(0);
        let place = format!("{file}:{}", first + 1);
        let probe: Value = serde_yaml::from_str(&document).map_err(|error| positioned(file, &error))?;
        let is_list = probe.get("items").is_some();
        let heads = if is_list {
            serde_yaml::from_str::<Items>(&document).map_err(|error| positioned(file, &error))?.items
        } else {
            vec![serde_yaml::from_str::<Head>(&document).map_err(|error| positioned(file, &error))?]
        };
        for head in heads {
            let manifest = checked(head, place.clone())?;
            if is_list {
                check_form_of_item(&manifest)?;
            } else {
                check_form(manifest.kind, file, &document)?;
            }
            manifests.push(manifest);
        }
    }
    if manifests.is_empty() {
        return Err(Failure::new(Exit::Invalid, "nothing to apply").at(file).why("the file holds no document"));
    }
    Ok(manifests)
}

/// Splits at `---` lines; each document keeps its line numbers by blank lines in front of it.
fn documents(text: &str) -> Vec<String> {
    let mut documents = Vec::new();
    let mut current = String::new();
    for (i, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            documents.push(std::mem::replace(&mut current, "\n".repeat(i + 1)));
            continue;
        }
        current.push_str(line);
        current.push('\n');
    }
    documents.push(current);
    documents
}

fn checked(head: Head, place: String) -> Result<Manifest> {
    let wrong = |field: &str, why: String| {
        Failure::new(Exit::Invalid, format!("cannot apply {}/{}", head.kind, head.name))
            .at(place.clone())
            .why(format!("field `{field}`: {why}"))
    };
    let kind: Kind =
        head.kind.parse().map_err(|error: mesh_core::kind::UnknownKind| wrong("kind", error.to_string()))?;
    if !kind.is_applied() {
        return Err(wrong("kind", format!("a {kind} is not applied")).next(verb_of(kind)));
    }
    let name = ObjectName::new(head.name.clone()).map_err(|error| wrong("name", error.to_string()))?;
    if !head.spec.is_object() {
        return Err(wrong("spec", "must be a map of fields".to_owned()));
    }
    Ok(Manifest { kind, name, revision: head.revision, spec: head.spec.clone(), place })
}

/// The command that changes a kind that is not applied.
fn verb_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Drain => "mesh drain NODE",
        Kind::Strategy | Kind::Activation => "mesh strategy deploy FILE.wasm",
        Kind::Token => "mesh token create",
        Kind::Node | Kind::Policy | Kind::Binding | Kind::Revocation => "mesh apply -f FILE",
    }
}

/// Checks types and field names with the types of the store itself. What is left out is the store's to judge: a
/// manifest may be a part of a spec.
fn check_form(kind: Kind, file: &str, document: &str) -> Result<()> {
    fn check<S: serde::de::DeserializeOwned>(file: &str, document: &str) -> Result<()> {
        match serde_yaml::from_str::<Typed<S>>(document) {
            Ok(_) => Ok(()),
            Err(error) if error.to_string().contains("missing field") => Ok(()),
            Err(error) => Err(positioned(file, &error)),
        }
    }
    match kind {
        Kind::Node => check::<NodeSpec>(file, document),
        Kind::Policy => check::<PolicySpec>(file, document),
        Kind::Binding => check::<BindingSpec>(file, document),
        Kind::Revocation => check::<RevocationSpec>(file, document),
        Kind::Drain | Kind::Strategy | Kind::Activation | Kind::Token => Ok(()),
    }
}

fn check_form_of_item(manifest: &Manifest) -> Result<()> {
    fn check<S: serde::de::DeserializeOwned>(manifest: &Manifest) -> Result<()> {
        match serde_json::from_value::<S>(manifest.spec.clone()) {
            Err(error) if !error.to_string().contains("missing field") => {
                Err(Failure::new(Exit::Invalid, format!("cannot apply {}/{}", manifest.kind, manifest.name))
                    .at(manifest.place.clone())
                    .why(with_suggestion(&error.to_string())))
            }
            _ => Ok(()),
        }
    }
    match manifest.kind {
        Kind::Node => check::<NodeSpec>(manifest),
        Kind::Policy => check::<PolicySpec>(manifest),
        Kind::Binding => check::<BindingSpec>(manifest),
        Kind::Revocation => check::<RevocationSpec>(manifest),
        Kind::Drain | Kind::Strategy | Kind::Activation | Kind::Token => Ok(()),
    }
}

fn positioned(file: &str, error: &serde_yaml::Error) -> Failure {
    let place = match error.location() {
        Some(at) if at.line() > 0 => format!("{file}:{}:{}", at.line(), at.column()),
        _ => file.to_owned(),
    };
    let text = error.without_snippet().to_string();
    // The position is said once, in `where`.
    let text = text.split(" at line ").next().unwrap_or(&text);
    Failure::new(Exit::Invalid, format!("{file} is not a manifest that can be applied"))
        .coded(Code::Manifest)
        .at(place)
        .why(with_suggestion(text))
}

/// Adds the nearest of the expected names to an error about an unknown one.
fn with_suggestion(text: &str) -> String {
    let Some((_, wrong)) = text.split_once("unknown ").and_then(|(_, it)| it.split_once('`')) else {
        return text.to_owned();
    };
    let Some((wrong, rest)) = wrong.split_once('`') else { return text.to_owned() };
    // The parsers write the list with and without quotes.
    let rest = rest.trim_start_matches(", expected").trim_start().trim_start_matches("one of");
    let expected: Vec<&str> = rest.split([',', ' ', '`']).filter(|it| !it.is_empty() && *it != "or").collect();
    let nearest = expected.iter().map(|name| (distance(wrong, name), *name)).min();
    match nearest {
        Some((edits, name)) if edits <= 1 + wrong.len() / 3 => format!("{text}; did you mean `{name}`?"),
        _ => text.to_owned(),
    }
}

/// How many letters must be changed, added or removed to get from one word to the other.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: std::result::Result<&[&str], (&str, &str)>) {
        match (parse("f.yaml", text), expected) {
            (Ok(found), Ok(names)) => {
                let found: Vec<String> =
                    found.iter().map(|it| format!("{}/{}@{}", it.kind, it.name, it.place)).collect();
                assert_eq!(found, names);
            }
            (Err(error), Err((place, why))) => {
                assert_eq!(error.exit, Exit::Invalid);
                assert_eq!(error.place.as_deref(), Some(place), "{error}");
                assert!(error.to_string().contains(why), "{error} lacks {why}");
            }
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn documents_keep_their_lines() {
        check(
            "kind: binding\nname: ada\nspec: {role: viewer}\n---\n# a comment\nkind: node\nname: node-7\nspec:\n  zone: b\n",
            Ok(&["binding/ada@f.yaml:1", "node/node-7@f.yaml:5"]),
        );
        check(
            r#"{"kind":"nodes","name":"node-7","revision":4,"spec":{"zone":"b"},"status":{"phase":"Ready"}}"#,
            Ok(&["node/node-7@f.yaml:1"]),
        );
        check(
            r#"{"schema":"mesh/v1","items":[{"kind":"node","name":"n","revision":1,"spec":{},"status":null}]}"#,
            Ok(&["node/n@f.yaml:1"]),
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        check("kind: node\nname: n\nspec:\n  lables: {a: b}\n", Err(("f.yaml:4:3", "did you mean `labels`?")));
        check("---\nkind: node\nname: n\nspec:\n  voter: x\n", Err(("f.yaml:5:10", "invalid")));
        check("kind: node\nname: n\nwheels: 4\nspec: {}\n", Err(("f.yaml:3:1", "unknown field `wheels`")));
        check("kind: pod\nname: n\nspec: {}\n", Err(("f.yaml:1", "no kind `pod`; there are: nodes")));
        check("kind: drain\nname: n\nspec: {}\n", Err(("f.yaml:1", "next: mesh drain NODE")));
        check("kind: node\nname: N_1\nspec: {}\n", Err(("f.yaml:1", "may hold only a-z")));
        check("kind: node\nname: n\nspec: 7\n", Err(("f.yaml:1", "must be a map")));
        check("kind: node\nkind: node\nname: n\nspec: {}\n", Err(("f.yaml:2:1", "duplicate")));
        check("{", Err(("f.yaml:1:1", "unclosed")));
        check("# nothing\n", Err(("f.yaml", "no document")));
        check(
            r#"{"items":[{"kind":"binding","name":"n","spec":{"rôle":"x"}}]}"#,
            Err(("f.yaml:1", "unknown field `rôle`")),
        );
    }

    #[test]
    fn a_manifest_has_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big.yaml");
        std::fs::write(&path, "#".repeat(4 * 1024 * 1024 + 1)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("more than 4194304 bytes"));
        assert_eq!(read(&dir.path().join("none.yaml")).unwrap_err().exit, Exit::Invalid);
    }

    #[test]
    fn distances_count_edits() {
        let check = |a: &str, b: &str, expected: usize| assert_eq!(distance(a, b), expected, "{a} {b}");
        check("", "", 0);
        check("lables", "labels", 2);
        check("node", "nodes", 1);
        check("", "abc", 3);
    }
}
