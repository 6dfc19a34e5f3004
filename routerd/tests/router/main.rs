//! A router in this process in front of engines that misbehave on purpose. One binary, so that it links once.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and its tasks end with it"
)]

mod agent;
mod bad_input;
mod cancel;
mod client;
mod door;
mod engine;
mod faults;
mod faulty;
mod hostile;
mod load;
mod mesh;
mod notify;
mod replay;
mod standin;
mod start;
