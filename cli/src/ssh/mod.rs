//! SSH to hosts: whom to trust, how to get there, and scripts run there.

pub(crate) mod config;
pub(crate) mod known_hosts;
pub(crate) mod policy;
