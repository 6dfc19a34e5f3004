//! Write a routing strategy for mesh: the contract 0.1 as types, and the macro that makes a WASM module of it.
//!
//! Implement [`Guest`], name it in [`strategy!`], and build the crate for `wasm32-unknown-unknown`. The same code is
//! unit-tested natively: a [`View`] can be made of any columns. The crate needs no std and nothing else.
#![no_std]

mod column;
mod guest;
mod kernel;
mod layout;
mod macros;
mod request;

pub use column::{COLUMNS, Column, View};
pub use guest::{Guest, Memory, Out, Shared, Verdict};
pub use kernel::{argmin, pick_eligible};
pub use layout::{ABI, MAGIC};
pub use request::{FEEDBACK_MAX, Feedback, Outcome, RECORDS_MAX, Record, Request, hash, splitmix64};
