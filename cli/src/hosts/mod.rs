//! hosts.yaml: read, checked as a whole, expanded to one entry a host.

mod inventory;
mod problem;

pub(crate) use self::{
    inventory::{
        Auth, Become, BecomeMethod, EngineTemplate, HostEntry, HostKeyPolicy, Inventory, Ports, Rolling, RouterDoor,
        SecretRef, Service, Share, Ssh,
    },
    problem::{PROBLEMS_MAX, Problem, refused},
};
