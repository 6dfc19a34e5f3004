//! Playbooks: YAML steps that become questions to a host, the difference to what is wanted, and few scripts.
//!
//! ```text
//!  YAML ──parse──▶ Playbook ──expand (vars of a host)──▶ tasks ──examine: ONE read-only exec──▶ HostPlan ──apply──▶ host
//! ```
//! Everything on a host is POSIX sh ([`sh::HOST`]); texts, secrets and binaries travel on stdin, never in a command.

mod apply;
mod controller;
mod embedded;
mod examine;
mod expand;
mod module;
mod parse;
mod plan;
mod problem;
mod render;
mod sh;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::plan::Change;
pub(crate) use self::{
    apply::{Report, apply},
    controller::{Blob, Controller, Event, KeyRequest, SignedKey},
    embedded::{EMBEDDED, find},
    examine::examine,
    module::Module,
    parse::Playbook,
    plan::{HostPlan, PlannedStep, Status, StepId},
    render::Vars,
};
