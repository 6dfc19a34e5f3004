//! What both daemons share: tasks with names and ends, shutdown, configuration, logs, the admin pages, supervision.

pub mod admin;
pub mod config;
pub mod exit;
pub mod log;
pub mod notify;
pub mod pid;
pub mod shutdown;
pub mod supervise;
pub mod tasks;

pub use self::{
    exit::Exit,
    shutdown::Shutdown,
    tasks::{TaskEnd, Tasks},
};
