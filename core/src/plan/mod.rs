//! Planners: desired and observed state in, actions as data out.

pub mod drain;
