//! Simulated parts of a mesh: a model of an inference engine, and the stand-in server that speaks for it over HTTP.
//!
//! `engine` decides (pure: no clock, no I/O, no randomness), `standin` does. Whatever a person can see of either says
//! "simulated".

pub mod engine;
pub mod standin;
