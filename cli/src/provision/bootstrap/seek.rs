//! The coordinators of a mesh that was made, as this operator knows them: by the context, else by what the file tells.

use mesh_proto::{client::sentence, tls::Identity};

use super::{
    facts::Facts,
    form::Doors,
    member::{Coordinator, Fleet, Member, data_address},
    root::RootDir,
};
use crate::{
    Failure,
    context::{Context, Dirs},
    hosts::{HostEntry, Inventory},
    human,
};

/// The doors of the mesh of a file, or why this operator cannot ask there. Nothing is connected yet.
pub(crate) fn doors(dirs: &Dirs, inventory: &Inventory) -> Result<Doors, String> {
    let contexts = dirs.contexts().map_err(one_line)?;
    let context = contexts.into_values().find(|it| it.mesh == inventory.mesh);
    let own = RootDir::new(dirs, &inventory.mesh).operator();
    let dir = context.as_ref().map_or(own, |it| it.identity_dir.clone());
    let identity = Identity::load(&dir).map_err(|error| sentence(&error))?;
    if human::now() >= identity.not_after() {
        return Err(format!("the certificate in {} has expired", dir.display()));
    }
    let known = context.map(known).unwrap_or_default();
    let coordinators = if known.is_empty() { declared(inventory) } else { known };
    if coordinators.is_empty() {
        return Err("the address of no coordinator is known".to_owned());
    }
    let fleet = Fleet { mesh: inventory.mesh.clone(), release: String::new(), coordinators };
    Doors::new(&identity, &fleet).map_err(one_line)
}

fn one_line(failure: Failure) -> String {
    let why = failure.why.map(|it| format!(": {it}")).unwrap_or_default();
    format!("{}{why}", failure.what)
}

fn known(context: Context) -> Vec<Coordinator> {
    let coordinators = context.endpoints.into_iter().filter(|it| it.coordinator);
    coordinators.map(|it| Coordinator { node: it.node.to_string(), api: it.api, gossip: it.api, voter: 0 }).collect()
}

/// Coordinators by the addresses that the file itself tells.
fn declared(inventory: &Inventory) -> Vec<Coordinator> {
    let of = |entry: &HostEntry| {
        let address = data_address(entry, &Facts::default(), None).ok()?;
        Member { entry: entry.clone(), facts: Facts::default(), address }.coordinator()
    };
    inventory.hosts.iter().filter_map(of).collect()
}
