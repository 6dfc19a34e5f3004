//! One request on its way: the machine of `mesh_strategy::route`, driven with sockets.

pub(crate) mod back;
pub(crate) mod drive;
pub(crate) mod flight;
pub(crate) mod link;
pub(crate) mod pool;
pub(crate) mod sse;
