//! One item of `hosts` to the hosts it stands for: names, addresses and data addresses side by side.

use std::net::IpAddr;

use mesh_core::id::NodeName;

use super::{
    file::{HostItem, Settings},
    format::is_host,
    range,
    read::Source,
};
use crate::yaml::{Path, Problems, Wrong, quoted};

/// One host of an item, before its settings.
pub(crate) struct Named {
    /// Its name.
    pub(crate) name: NodeName,
    /// What SSH dials.
    pub(crate) address: String,
    /// The data address that the file tells.
    pub(crate) data_address: Option<IpAddr>,
}

/// The hosts an item stands for; none, and a problem, when it cannot be told which.
pub(crate) fn names_of(
    source: &Source<'_>,
    host: &HostItem,
    settings: &Settings,
    item: usize,
    problems: &mut Problems,
) -> Option<Vec<Named>> {
    let path = Path::default().key("hosts").index(item);
    // What is missing has been said by the check of the form.
    let (name, address) = (host.name.as_ref()?, host.address.as_ref()?);
    let (names, addresses) = (range::expand(&name.0).ok()?, range::expand(&address.0).ok()?);
    let same = |path: &Path, what: &str, count: usize, problems: &mut Problems| {
        if count == names.len() {
            return true;
        }
        let text = format!("the name stands for {}, the {what} for {count}", hosts(names.len()));
        source.add(problems, path, text, Some("give both ranges the same length".to_owned()));
        false
    };
    if !same(&path.key("address"), "address", addresses.len(), problems) {
        return None;
    }
    let mut named = Vec::new();
    for (name, address) in names.iter().zip(&addresses) {
        let name = NodeName::new(name.clone())
            .map_err(|error| source.add(problems, &path.key("name"), error.to_string(), None));
        let fits = dialled(address).map_err(|wrong| source.add(problems, &path.key("address"), wrong.text, wrong.hint));
        let (Ok(name), Ok(())) = (name, fits) else { return None };
        named.push(Named { name, address: address.clone(), data_address: None });
    }
    let declared = settings.network.as_ref().and_then(|it| it.address.as_ref());
    if let Some(declared) = declared.and_then(|it| range::expand(&it.0).ok()) {
        let path = source.origin(item, &["network", "address"]);
        if same(&path, "data address", declared.len(), problems) {
            for (named, text) in named.iter_mut().zip(&declared) {
                match data_address(text) {
                    Ok(address) => named.data_address = Some(address),
                    Err(wrong) => source.add(problems, &path, wrong.text, wrong.hint),
                }
            }
        }
    }
    Some(named)
}

fn hosts(count: usize) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{count} hosts") }
}

fn dialled(address: &str) -> Result<(), Wrong> {
    if is_host(address) {
        return Ok(());
    }
    let is_with_port =
        address.rsplit_once(':').is_some_and(|(host, port)| is_host(host) && port.parse::<u16>().is_ok());
    let hint = if is_with_port {
        "say the port at `ssh`: {port: NUMBER}"
    } else {
        "an IP address, a DNS name or an alias of ssh_config"
    };
    Err(Wrong::new(format!("{} cannot be dialled", quoted(address)), hint))
}

fn data_address(text: &str) -> Result<IpAddr, Wrong> {
    let hint = "like 10.20.0.7";
    let address: IpAddr =
        text.parse().map_err(|_| Wrong::new(format!("{} is not an IP address", quoted(text)), hint))?;
    if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
        return Err(Wrong::new(format!("{address} cannot be reached from other nodes"), hint));
    }
    Ok(address)
}
