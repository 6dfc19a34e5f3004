//! Where a thing stands in hosts.yaml, or should stand.

use crate::yaml::{At, Path, Step, Tree, Value};

/// The place of what is at a path. A value has its own place, a map or a list that of its key; what is missing should
/// be at the nearest thing around it that is there.
pub(crate) fn locate(tree: &Tree, path: &Path) -> At {
    let (mut tree, mut at) = (tree, tree.at);
    for step in path.steps() {
        match (step, &tree.value) {
            (Step::Key(key), _) => {
                let Some(entry) = tree.entry(key) else { return at };
                tree = &entry.value;
                at = if matches!(tree.value, Value::Map(_) | Value::List(_)) { entry.at } else { tree.at };
            }
            (Step::Index(index), Value::List(items)) if *index < items.len() => {
                tree = &items[*index];
                at = tree.at;
            }
            (Step::Index(_), _) => return at,
        }
    }
    at
}

/// Whether there is anything at a path.
pub(crate) fn exists(tree: &Tree, path: &Path) -> bool {
    let mut tree = tree;
    for step in path.steps() {
        let next = match (step, &tree.value) {
            (Step::Key(key), _) => tree.entry(key).map(|it| &it.value),
            (Step::Index(index), Value::List(items)) => items.get(*index),
            (Step::Index(_), _) => None,
        };
        match next {
            Some(next) => tree = next,
            None => return false,
        }
    }
    true
}
