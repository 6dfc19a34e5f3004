//! The rules of the house which the compiler does not check.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each crate's folder, and the crates of this workspace which it may use. An edge not listed here is an error.
const LAYERS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("strategy/sdk", &[]),
    ("strategy/sdk/examples/hybrid", &["mesh-sdk"]),
    ("daemon", &[]),
    ("proto", &["mesh-core"]),
    ("strategy", &["mesh-core"]),
    ("sim", &["mesh-core", "mesh-strategy"]),
    ("agentd", &["mesh-core", "mesh-proto", "mesh-daemon"]),
    ("agentd/histogram", &[]),
    ("routerd", &["mesh-core", "mesh-proto", "mesh-strategy", "mesh-daemon"]),
    ("tui", &["mesh-core", "mesh-proto"]),
    ("cli", &["mesh-core", "mesh-proto", "mesh-strategy", "mesh-sim", "mesh-tui"]),
    ("tests", &["mesh-core", "mesh-proto"]),
    ("xtask", &[]),
];

/// The most lines of code (tests not counted) which a file may have.
const CODE_LINES_MAX: usize = 500;

#[test]
fn dependencies_point_down() {
    for (folder, allowed) in LAYERS {
        let manifest: toml::Table =
            fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap().parse().unwrap();
        let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table).cloned().unwrap_or_default();
        for name in dependencies.keys().filter(|it| it.starts_with("mesh-")) {
            assert!(allowed.contains(&name.as_str()), "`{folder}` must not use `{name}`");
        }
        assert_eq!(manifest["lints"]["workspace"], toml::Value::Boolean(true), "`{folder}` skips the workspace lints");
    }
}

#[test]
fn every_member_has_a_layer() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let members: BTreeSet<String> =
        manifest["workspace"]["members"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
    let layers: BTreeSet<String> = LAYERS.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    assert_eq!(members, layers);
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = text.split("[workspace.dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    let mut comment = false;
    for line in section.lines() {
        if line.starts_with('#') {
            comment = true;
        } else if line.is_empty() {
            comment = false;
        } else {
            assert!(comment, "no comment above `{line}`");
            // One comment may stand above our own crates; every other dependency has its own.
            comment = line.starts_with("mesh-");
        }
    }
}

#[test]
fn every_dependency_is_used() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let mut used = BTreeSet::new();
    for (folder, _) in LAYERS {
        let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let sources: String =
            rust_files(&root().join(folder)).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        for table in ["dependencies", "dev-dependencies"] {
            for name in manifest.get(table).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys) {
                assert!(sources.contains(&name.replace('-', "_")), "`{folder}` names `{name}` and does not use it");
                used.insert(name.clone());
            }
        }
    }
    for name in manifest["workspace"]["dependencies"].as_table().unwrap().keys() {
        assert!(used.contains(name) || name.starts_with("mesh-"), "nothing uses `{name}`");
    }
}

#[test]
fn files_are_small_and_say_what_they_are_for() {
    for (folder, _) in LAYERS {
        for path in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            if path.ends_with("gen/mesh.v1.rs") {
                continue;
            }
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap().lines().count();
            assert!(code <= CODE_LINES_MAX, "{}: {code} lines of code", path.display());
            assert!(text.starts_with("//!"), "{}: no `//!` line", path.display());
        }
    }
}

#[test]
fn no_test_is_ignored() {
    for (folder, _) in LAYERS {
        for path in rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            let hit = text.lines().any(|line| {
                let line = line.trim_start();
                line.starts_with("#[ignore") || line.starts_with("#[should_panic")
            });
            assert!(!hit, "{}: ignored or expected to panic", path.display());
        }
    }
}

#[test]
fn links_in_documents_resolve() {
    for path in markdown_files(root()) {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || target.contains("://") || file.contains(' ') {
                continue;
            }
            assert!(path.parent().unwrap().join(file).exists(), "{}: no {file}", path.display());
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The Rust files of a crate, without those of crates that lie inside its folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    files(folder, "rs")
}

fn markdown_files(folder: &Path) -> Vec<PathBuf> {
    files(folder, "md")
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let is_crate = extension == "rs" && path.join("Cargo.toml").exists();
            if !is_crate && name != "target" && !name.starts_with('.') {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found
}
