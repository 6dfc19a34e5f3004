//! SSH to hosts: whom to trust, how to get there, and scripts run there.

mod agent;
mod auth;
mod become_;
pub(crate) mod config;
mod connect;
mod connection;
mod dial;
mod exec;
mod frame;
mod identity;
mod jump;
pub(crate) mod known_hosts;
#[cfg(test)]
mod openssh;
mod pace;
pub(crate) mod policy;
pub(crate) mod secret;
mod session;

#[cfg(test)]
mod exec_tests;
#[cfg(test)]
mod jump_tests;
#[cfg(test)]
mod login_tests;
#[cfg(test)]
mod root_tests;
#[cfg(test)]
mod testing;

pub(crate) use self::{
    connect::{Options, Shared, connect},
    connection::UnknownKey,
    session::SshHost,
};
