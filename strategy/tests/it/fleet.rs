//! A table with targets, as the tests need it again and again.

use std::sync::Arc;

use mesh_strategy::{Ask, Brain, Column, Request, RequestId, TableWriter, Target, TargetSpec};

/// The seed of the mesh in all tests.
pub(crate) const MESH_SEED: u64 = 42;

/// Names a target's place.
pub(crate) fn spec(key: &str) -> TargetSpec {
    let (node, engine, address) = (format!("node-{key}"), "engine-0".to_owned(), format!("127.0.0.1:{key}"));
    TargetSpec { key: key.to_owned(), node, engine, address }
}

/// Makes a writer with targets `0..n` that serve, each of the same capacity.
pub(crate) fn writer(n: usize, capacity: f32) -> TableWriter {
    let mut writer = TableWriter::new(0);
    for number in 0..n {
        add(&mut writer, &number.to_string(), capacity);
    }
    writer
}

/// Adds a target that serves.
pub(crate) fn add(writer: &mut TableWriter, key: &str, capacity: f32) -> Arc<Target> {
    let target = writer.insert(spec(key));
    writer.set_f32(key, Column::Capacity, Some(capacity));
    writer.set_serving(key, true, 0);
    target
}

/// Makes a brain with the writer's table and the baseline alone.
pub(crate) fn brain(writer: &TableWriter) -> Brain {
    let mut brain = Brain::new("m", 0);
    brain.update(&writer.snapshot()).unwrap();
    brain
}

/// Makes the first attempt of a numbered request.
pub(crate) fn request(number: u64) -> Request {
    Request::new(RequestId::new(number), 0, MESH_SEED, 10_000, Ask::default())
}
