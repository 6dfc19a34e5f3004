//! Files that people write in YAML: read with the place of everything, checked against a schema as a whole.

mod check;
mod interpolate;
mod problem;
mod schema;
mod tree;

pub(crate) use self::{
    check::{Wrong, check, nearest, noun, words},
    interpolate::interpolate,
    problem::{Path, Problem, Problems, Step, quoted, refused},
    schema::{fields, follow, schema_of, tidy},
    tree::{At, Entry, Tree, Value, parse},
};
