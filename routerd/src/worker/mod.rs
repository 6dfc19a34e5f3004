//! One worker: a thread with its own runtime, connections, copies of the tables, strategy instances and time-outs.

pub(crate) mod conns;
pub(crate) mod control;
pub(crate) mod grid;
pub(crate) mod inflight;
pub(crate) mod model;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

use mesh_strategy::RequestId;

use crate::{
    proxy::pool::Pool,
    shared::Shared,
    worker::{conns::Conns, grid::Grid, inflight::Inflight, model::Model},
};

/// Bits of a request id that count; the rest tells workers, routers and starts apart.
const COUNTER_BITS: u32 = 36;

/// Everything a thread owns.
pub(crate) struct Worker {
    /// What all threads share.
    pub(crate) shared: Arc<Shared>,
    /// Which worker this is, from 0.
    pub(crate) index: usize,
    /// Time-outs.
    pub(crate) grid: Rc<Grid>,
    /// Idle connections to engines.
    pub(crate) pool: Pool,
    /// Connections of clients.
    pub(crate) conns: Conns,
    /// Requests at engines.
    pub(crate) inflight: Inflight,
    models: RefCell<BTreeMap<Box<str>, Rc<Model>>>,
    models_version: Cell<u64>,
    next_id: Cell<u64>,
    line_ticks: Cell<bool>,
}

impl Worker {
    /// A worker without connections; `id_prefix` is unique in the mesh.
    pub(crate) fn new(shared: Arc<Shared>, index: usize, id_prefix: u64) -> Rc<Self> {
        Rc::new(Self {
            index,
            grid: Grid::new(shared.clock),
            pool: Pool::default(),
            conns: Conns::default(),
            inflight: Inflight::default(),
            models: RefCell::default(),
            models_version: Cell::new(0),
            next_id: Cell::new(id_prefix << COUNTER_BITS),
            line_ticks: Cell::new(false),
            shared,
        })
    }

    /// The id of a new request.
    pub(crate) fn next_id(&self) -> RequestId {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        RequestId::new(id)
    }

    /// The model of this name, if any engine is known to serve it.
    pub(crate) fn model(&self, name: &str) -> Option<Rc<Model>> {
        self.refresh_models();
        self.models.borrow().get(name).cloned()
    }

    /// All models of this worker.
    pub(crate) fn models(&self) -> Vec<Rc<Model>> {
        self.refresh_models();
        self.models.borrow().values().cloned().collect()
    }

    fn refresh_models(&self) {
        let version = self.shared.fleet.version();
        if version == self.models_version.get() {
            return;
        }
        self.models_version.set(version);
        let wanted = self.shared.fleet.models();
        let mut models = self.models.borrow_mut();
        models.retain(|name, model| wanted.get(&**name).is_some_and(|table| Arc::ptr_eq(table, &model.table)));
        for (name, table) in wanted.iter() {
            models
                .entry(Box::from(&**name))
                .or_insert_with(|| Rc::new(Model::new(table.clone(), self.index, &self.shared)));
        }
    }

    /// Gives waiting requests a look once a millisecond while there are any.
    pub(crate) fn tick_lines(self: &Rc<Self>) {
        if self.line_ticks.replace(true) {
            return;
        }
        let worker = self.clone();
        self.conns.tasks.spawn_local(async move {
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(1));
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let models = worker.models();
                if models.iter().all(|model| model.line_is_empty()) {
                    break;
                }
                models.iter().for_each(|model| model.tick(&worker));
            }
            worker.line_ticks.set(false);
        });
    }

    /// Looks after what changes slowly; once a second.
    pub(crate) fn housekeep(&self) {
        let now_us = self.shared.clock.now_us();
        self.pool.sweep(now_us);
        self.conns.sweep(now_us, &self.grid);
        for model in self.models() {
            model.sync(self);
            model.housekeep();
        }
    }
}
