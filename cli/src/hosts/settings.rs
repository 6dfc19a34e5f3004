//! Settings of one host to its entry, with every default filled in.

use std::path::{Path as FilePath, PathBuf};

use super::{
    Auth, Become, BecomeMethod, EngineTemplate, HostEntry, HostKeyPolicy, Ports, Rolling, RouterDoor, SecretRef,
    Service, Ssh,
    expand::Named,
    file::{
        AuthWord, BecomeItem, EngineItem, MethodWord, NetworkItem, PolicyWord, RollingItem, RouterItem, ServiceWord,
        Settings, SshItem,
    },
    read::Surroundings,
};
use mesh_core::kind::Role;

/// Fills in the entries of one item of `hosts`.
pub(crate) struct Context<'a> {
    /// The pool of the item.
    pub(crate) pool: Option<&'a str>,
    /// What paths start at.
    pub(crate) around: &'a Surroundings<'a>,
}

impl Context<'_> {
    /// The entry of one host; a coordinator's number is not in it yet.
    pub(crate) fn entry(&self, named: Named, settings: &Settings) -> HostEntry {
        let roles = settings.roles.clone().unwrap_or_default();
        let bind = settings.network.as_ref().and_then(|it| it.bind.as_ref()).map(|it| it.0);
        let router =
            roles.contains(&Role::Router).then(|| settings.router.as_ref().map_or_else(RouterDoor::default, door));
        HostEntry {
            data_address: named.data_address.or_else(|| told_by(&named.address, bind)),
            name: named.name,
            address: named.address,
            bind,
            voter: None,
            zone: settings.zone.as_ref().map(|it| it.0.clone()),
            pool: self.pool.map(str::to_owned),
            labels: settings.labels.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect(),
            ssh: settings.ssh.as_ref().map_or_else(Ssh::default, |it| self.ssh(it)),
            r#become: settings.r#become.as_ref().map_or_else(Become::default, |it| self.becoming(it)),
            ports: settings.network.as_ref().map_or_else(Ports::default, ports),
            router,
            engines: settings.engines.iter().flatten().filter_map(engine).collect(),
            service: settings.service.map_or(Service::Auto, service),
            root: settings.root.as_ref().map(|it| PathBuf::from(&it.0)),
            roles,
        }
    }

    fn ssh(&self, item: &SshItem) -> Ssh {
        let usual = Ssh::default();
        let paths = |it: &Option<Vec<super::format::Parsed<super::format::File>>>| {
            it.iter().flatten().map(|it| self.path(FilePath::new(&it.0))).collect()
        };
        Ssh {
            user: item.user.as_ref().map(|it| it.0.clone()),
            port: item.port,
            identity: paths(&item.identity),
            agent: item.agent.unwrap_or(usual.agent),
            jump: item.jump.iter().flatten().map(|it| it.0.clone()).collect(),
            host_key_policy: item.host_key_policy.map_or(usual.host_key_policy, policy),
            host_key: item.host_key.as_ref().map(|it| it.0.clone()),
            connect_timeout: item.connect_timeout.as_ref().map_or(usual.connect_timeout, |it| it.0),
            retries: item.retries.unwrap_or(usual.retries),
            use_ssh_config: item.use_ssh_config.unwrap_or(usual.use_ssh_config),
            config: item.config.as_ref().map(|it| self.path(FilePath::new(&it.0))),
            known_hosts: paths(&item.known_hosts),
        }
    }

    fn becoming(&self, item: &BecomeItem) -> Become {
        let usual = Become::default();
        let password = match item.password.as_ref().map(|it| &it.0) {
            Some(SecretRef::File(path)) => SecretRef::File(self.path(path)),
            Some(other) => other.clone(),
            None => usual.password,
        };
        Become {
            method: item.method.map_or(usual.method, |it| match it {
                MethodWord::None => BecomeMethod::None,
                MethodWord::Sudo => BecomeMethod::Sudo,
            }),
            user: item.user.as_ref().map_or(usual.user, |it| it.0.clone()),
            password,
        }
    }

    /// A path as it is on this machine.
    fn path(&self, path: &FilePath) -> PathBuf {
        match (path.strip_prefix("~"), self.around.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => self.around.folder.join(path),
        }
    }
}

/// An SSH address is the data address too, unless it lies outside the network that carries data.
fn told_by(address: &str, bind: Option<ipnet::IpNet>) -> Option<std::net::IpAddr> {
    let address: std::net::IpAddr = address.parse().ok()?;
    let is_usable = !address.is_loopback() && !address.is_unspecified();
    (is_usable && bind.is_none_or(|net| net.contains(&address))).then_some(address)
}

fn ports(item: &NetworkItem) -> Ports {
    let usual = Ports::default();
    Ports {
        api: item.api_port.unwrap_or(usual.api),
        gossip: item.gossip_port.unwrap_or(usual.gossip),
        admin: item.admin_port.unwrap_or(usual.admin),
        router_admin: item.router_admin_port.unwrap_or(usual.router_admin),
    }
}

fn door(item: &RouterItem) -> RouterDoor {
    let usual = RouterDoor::default();
    RouterDoor {
        listen: item.listen.as_ref().map_or(usual.listen, |it| it.0),
        auth: item.auth.map_or(usual.auth, |AuthWord::None| Auth::None),
        explicit: item.listen.is_some() && item.auth.is_some(),
    }
}

fn engine(item: &EngineItem) -> Option<EngineTemplate> {
    Some(EngineTemplate {
        kind: item.kind?,
        url: item.url.as_ref()?.0.clone(),
        capacity: item.capacity,
        models: item.models.iter().flatten().map(|it| it.0.clone()).collect(),
    })
}

fn policy(word: PolicyWord) -> HostKeyPolicy {
    match word {
        PolicyWord::Ask => HostKeyPolicy::Ask,
        PolicyWord::AcceptNew => HostKeyPolicy::AcceptNew,
        PolicyWord::Strict => HostKeyPolicy::Strict,
        PolicyWord::Pinned => HostKeyPolicy::Pinned,
    }
}

fn service(word: ServiceWord) -> Service {
    match word {
        ServiceWord::Auto => Service::Auto,
        ServiceWord::Systemd => Service::Systemd,
        ServiceWord::Supervised => Service::Supervised,
    }
}

/// How a change goes over many hosts.
pub(crate) fn rolling(item: &RollingItem) -> Rolling {
    let usual = Rolling::default();
    Rolling {
        batch: item.batch.as_ref().map_or(usual.batch, super::file::ShareItem::share),
        pause: item.pause.as_ref().map_or(usual.pause, |it| it.0),
        canary: item.canary.unwrap_or(usual.canary),
        max_failures: item.max_failures.as_ref().map_or(usual.max_failures, super::file::ShareItem::share),
    }
}
