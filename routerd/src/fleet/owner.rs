//! The one writer of all tables: makes the rows of a node what they should be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mesh_strategy::{Column, TargetSpec};

use crate::fleet::{Fleet, Models, model::ModelTable};

/// One target as it should be: one engine serving one model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// The model.
    pub(crate) model: Arc<str>,
    /// The engine's name on its node.
    pub(crate) engine: String,
    /// Where it answers: `HOST:PORT`.
    pub(crate) address: String,
    /// Whether new requests may go there.
    pub(crate) serving: bool,
    /// Requests it runs at once.
    pub(crate) capacity: Option<f32>,
    /// Its last report.
    pub(crate) load: Load,
    /// Health, 0..=1.
    pub(crate) health: Option<f32>,
}

/// What an engine reported, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Load {
    /// Requests in its batch.
    pub(crate) running: Option<u32>,
    /// Requests waiting in it.
    pub(crate) waiting: Option<u32>,
    /// Share of its KV cache in use.
    pub(crate) kv_used: Option<f32>,
    /// When it was seen, in wrapping milliseconds of the process's clock.
    pub(crate) observed_ms: Option<u32>,
}

impl Row {
    fn key(&self, node: &str) -> String {
        format!("{node}/{}@{}", self.engine, self.address)
    }
}

/// The owner of all tables.
pub(crate) struct Owner {
    fleet: Arc<Fleet>,
    next_index: u32,
    /// The rows of each node: model and key.
    nodes: BTreeMap<String, BTreeSet<(Arc<str>, String)>>,
}

impl Owner {
    /// The owner of a fleet; there is one.
    pub(crate) fn new(fleet: Arc<Fleet>) -> Self {
        Self { fleet, next_index: 1, nodes: BTreeMap::new() }
    }

    /// The nodes that have rows.
    pub(crate) fn nodes(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }

    /// Makes the rows of a node what `rows` says; what is not listed goes.
    pub(crate) fn reconcile(&mut self, node: &str, rows: &[Row], now_ms: u64) {
        let wanted: BTreeSet<_> = rows.iter().map(|row| (row.model.clone(), row.key(node))).collect();
        let had = self.nodes.remove(node).unwrap_or_default();
        let mut models = (*self.fleet.models()).clone();
        let mut changed = self.add_models(&mut models, rows);
        for row in rows {
            if let Some(table) = models.get(&row.model) {
                put(table, node, row, now_ms);
            }
        }
        for (model, key) in had.difference(&wanted) {
            let Some(table) = models.get(model) else { continue };
            let empty = table.edit(|writer| {
                writer.remove(key);
                writer.table().is_empty()
            });
            if empty {
                models.remove(model);
                changed = true;
            }
        }
        if !wanted.is_empty() {
            self.nodes.insert(node.to_owned(), wanted);
        }
        if changed {
            self.fleet.set_models(models);
        }
    }

    fn add_models(&mut self, models: &mut Models, rows: &[Row]) -> bool {
        let before = models.len();
        for row in rows {
            models.entry(row.model.clone()).or_insert_with(|| {
                let table = ModelTable::new(row.model.clone(), self.next_index, self.fleet.workers);
                self.next_index += 1;
                Arc::new(table)
            });
        }
        models.len() != before
    }
}

fn put(table: &ModelTable, node: &str, row: &Row, now_ms: u64) {
    let key = row.key(node);
    table.edit(|writer| {
        writer.insert(TargetSpec {
            key: key.clone(),
            node: node.to_owned(),
            engine: row.engine.clone(),
            address: row.address.clone(),
        });
        writer.set_f32(&key, Column::Capacity, row.capacity);
        writer.set_u32(&key, Column::Running, row.load.running);
        writer.set_u32(&key, Column::Waiting, row.load.waiting);
        writer.set_f32(&key, Column::KvUsed, row.load.kv_used);
        writer.set_u32(&key, Column::ObservedMs, row.load.observed_ms);
        writer.set_f32(&key, Column::Health, row.health);
        writer.set_serving(&key, row.serving, now_ms);
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    fn row(model: &str, engine: &str, serving: bool) -> Row {
        Row {
            model: model.into(),
            engine: engine.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            serving,
            capacity: Some(4.0),
            load: Load::default(),
            health: None,
        }
    }

    fn shape(fleet: &Fleet) -> Vec<(String, Vec<String>)> {
        let models = fleet.models();
        models
            .iter()
            .map(|(name, table)| (name.to_string(), table.read(|it| it.keys().map(str::to_owned).collect())))
            .collect()
    }

    #[test]
    fn rows_come_and_go_with_their_node() {
        let fleet = Arc::new(Fleet::new(2));
        let mut owner = Owner::new(fleet.clone());
        owner.reconcile("n1", &[row("a", "e", true), row("b", "e", true)], 0);
        owner.reconcile("n2", &[row("a", "e", false)], 0);
        let key = |node: &str| format!("{node}/e@127.0.0.1:1");
        assert_eq!(shape(&fleet), [("a".to_owned(), vec![key("n1"), key("n2")]), ("b".to_owned(), vec![key("n1")])]);
        let version = fleet.version();
        owner.reconcile("n2", &[row("a", "e", true)], 0);
        assert_eq!(fleet.version(), version, "no model came or went");
        owner.reconcile("n1", &[], 0);
        assert_eq!(shape(&fleet), [("a".to_owned(), vec![key("n2")])]);
        assert!(fleet.version() > version);
        assert_eq!(owner.nodes(), ["n2"]);
    }

    #[test]
    fn every_worker_gets_what_changed_or_a_copy() {
        let fleet = Arc::new(Fleet::new(1));
        let mut owner = Owner::new(fleet.clone());
        for round in 0..200_u16 {
            let mut it = row("a", "e", true);
            it.capacity = Some(f32::from(round));
            owner.reconcile("n", &[it], 0);
        }
        let table = fleet.models()["a"].clone();
        let mut brain = mesh_strategy::Brain::new("a", 0);
        let mut updates = Vec::new();
        table.mail[0].take_updates(&mut updates, false);
        assert!(updates.len() <= 64);
        for update in &updates {
            brain.update(update).unwrap();
        }
        assert_eq!(brain.table().f32(Column::Capacity, 0), Some(199.0));
    }
}
