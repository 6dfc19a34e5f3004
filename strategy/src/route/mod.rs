//! One request from its arrival to its end, without I/O: a machine that turns events into actions.
//!
//! The router drives it with sockets, the simulator with virtual time. [`Machine`] is one request; [`Line`] is where
//! requests of one (worker, model) wait; [`Desk`] is what all workers of a router share: the retry budget, the bound
//! of all lines together, and the pace of completions.

mod desk;
mod event;
mod line;
mod machine;

pub use desk::Desk;
pub use event::{Action, Decision, Event, Facts, FailureKind, RefuseCode, Step, TimerId, Usage};
pub use line::Line;
pub use machine::{AttemptReport, HEAD_WAIT_US, LINE_WAIT_US, Machine, RETRIES_MAX};
