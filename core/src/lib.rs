//! What things are: ids, units, samples, status, declared kinds, the store, access rules and planners. Pure: no I/O, no clock.

pub mod gpu;
pub mod id;
pub mod kind;
pub mod object;
pub mod plan;
pub mod rbac;
pub mod status;
pub mod store;
pub mod time;
pub mod traffic;
