//! The strategy contract, from the outside: one module a subject.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod abi;
mod builtin;
mod fleet;
mod host;
mod hybrid;
mod line;
mod machine;
mod runtime;
mod table;
mod thousand;
