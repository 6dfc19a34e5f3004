//! One run: from the file to what there is to do. Nothing is changed on any host here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use mesh_core::{
    id::{ObjectName, Principal},
    kind::Role,
};
use mesh_proto::{ca::Issuer, client::sentence, tls::Identity};
use tokio::sync::Mutex;

use super::{
    board::{Board, Style},
    connect::{How, Reached, connect_all},
    facts::{Facts, probe},
    form::{Doors, Made, Seen, Wish, wishes},
    member::{Coordinator, Fleet, Member, data_address, ports, root_prefix},
    office::Office,
    plan::{FleetPlan, HostPart},
    root::{PassphraseFrom, RootDir, Sealing, gossip_keys},
    rules::{self, Finding, Gravity},
};
use crate::{
    Exit, Failure, Result,
    cmd::Cx,
    hosts::{HostEntry, HostKeyPolicy, Inventory},
    human,
    playbook::{self, HostPlan, Module, Playbook, Vars},
    provision::{
        identity,
        release::{Release, Signed},
    },
    ssh::SshHost,
};

/// How many hosts are worked on at once, unless told otherwise.
pub(crate) const CONCURRENCY: usize = 64;

/// What a run is told.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    pub(crate) concurrency: usize,
    pub(crate) policy: Option<HostKeyPolicy>,
    pub(crate) playbook: Option<PathBuf>,
    pub(crate) bundle: Option<PathBuf>,
    pub(crate) passphrase: PassphraseFrom,
    pub(crate) progress: Style,
    /// How long nodes may take to come into service.
    pub(crate) limit: Duration,
    /// Nothing on this machine or on hosts is made.
    pub(crate) only_look: bool,
}

/// What a run works with.
pub(crate) struct Run<'a> {
    pub(crate) cx: &'a Cx,
    pub(crate) orders: &'a Orders,
    pub(crate) inventory: &'a Inventory,
    /// The hosts that are meant, in the order of the file.
    pub(crate) chosen: Vec<HostEntry>,
    pub(crate) release: Release,
    pub(crate) operator: ObjectName,
    pub(crate) board: Arc<Board>,
    pub(crate) office: Office,
    pub(crate) root: RootDir,
    pub(crate) made: Option<Made>,
    playbook: Playbook,
    /// The root of a new mesh, which takes its time.
    sealing: Mutex<Option<Sealing>>,
}

/// What is known of the hosts.
pub(crate) struct Known {
    pub(crate) fleet: Fleet,
    /// Every host that answers, coordinators that are not meant among them.
    pub(crate) hosts: BTreeMap<String, Arc<SshHost>>,
    /// Those that are meant and can be worked on.
    pub(crate) members: Vec<Member>,
    /// Why the others cannot.
    pub(crate) failures: BTreeMap<String, Failure>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) seen: Seen,
    pub(crate) wishes: Vec<Wish>,
}

impl<'a> Run<'a> {
    /// Checks everything that can be checked without a connection.
    pub(crate) fn prepare(
        cx: &'a Cx,
        orders: &'a Orders,
        inventory: &'a Inventory,
        chosen: Vec<HostEntry>,
    ) -> Result<Self> {
        let board = Arc::new(Board::new(orders.progress, cx.out.quiet));
        board.phase("checking the binaries");
        let release = release(cx, orders)?;
        if release.signed != Signed::Trusted {
            board.say(&format!("{}, checked by digest only", release.signed));
        }
        let name = orders.playbook.as_ref().map_or_else(|| "bootstrap".to_owned(), |it| path_text(it));
        let (playbook, _) = playbook::find(&name)?;
        let root = RootDir::new(&cx.dirs, &inventory.mesh);
        let made = Made::read(&cx.dirs, &inventory.mesh)?;
        if let (Some(made), Some(own)) = (&made, root.fingerprint())
            && made.root != own
        {
            return Err(Failure::new(Exit::Refused, format!("mesh {} was made with another root", inventory.mesh))
                .coded(crate::Code::OtherMesh)
                .at(root.file().display().to_string())
                .why(format!("the root of the mesh is {}, this one is {}", made.root.short(), own.short()))
                .next("put the mesh's own root back, or choose another name for a new mesh"));
        }
        let keys = if orders.only_look && !root.gossip_keys().exists() {
            identity::gossip_keys()?
        } else {
            gossip_keys(&root.gossip_keys())?
        };
        let office = Office::new(&inventory.mesh, &release, keys, Arc::clone(&board))?;
        let operator = crate::cmd::up::operator_name();
        // A person is asked when it is clear what for.
        let can_begin = !matches!(orders.passphrase, PassphraseFrom::Terminal | PassphraseFrom::Nowhere);
        let is_new = !root.exists() && made.is_none() && !orders.only_look;
        let sealing = (is_new && can_begin).then(|| root.begin(&orders.passphrase, human::now())).transpose()?;
        let sealing = Mutex::new(sealing);
        Ok(Self { cx, orders, inventory, chosen, release, operator, board, office, root, made, playbook, sealing })
    }

    /// Who the operator is in this mesh.
    pub(crate) fn who(&self) -> Principal {
        Principal::operator(&self.inventory.mesh, self.operator.clone())
    }

    /// Opens the root, or makes it, and sees to the operator's own certificate.
    pub(crate) async fn open_root(&self) -> Result<()> {
        let mut sealing = self.sealing.lock().await;
        if self.office.can_sign() {
            return Ok(());
        }
        self.board.clear();
        let sealed = match sealing.take() {
            Some(sealing) => sealing.await.ok().transpose()?,
            None => None,
        };
        let (root, is_new): (Issuer, bool) = match sealed {
            Some(sealed) => self.root.keep(sealed)?,
            None => self.root.open_or_make(&self.orders.passphrase, human::now())?,
        };
        if is_new {
            self.board.say(&format!(
                "the root of mesh {} is in {}: keep a copy of it, and its passphrase, in a safe place",
                self.inventory.mesh,
                self.root.file().display()
            ));
        }
        if identity::operator(&self.root.operator(), &root, &self.who(), human::now())? {
            let life = human::duration(human::ms(identity::OPERATOR_LIFE));
            self.board.say(&format!("new certificate for {}, good for {life}", self.who()));
        }
        self.office.sign_with(root);
        Ok(())
    }

    /// Whether a new root is being sealed.
    pub(crate) async fn is_sealing(&self) -> bool {
        self.sealing.lock().await.is_some()
    }

    /// Whether the root is needed before the mesh can be asked anything.
    pub(crate) fn needs_root(&self) -> bool {
        !self.root.exists() || !identity::is_fresh(&self.root.operator(), &self.who(), human::now())
    }

    /// Connects, asks every host what it is, holds it against the rules, and asks the mesh what it has.
    pub(crate) async fn learn(&self) -> Result<Known> {
        self.board.phase(&format!("connecting to {} hosts", self.chosen.len()));
        let meant: BTreeSet<&str> = self.chosen.iter().map(|it| it.name.as_str()).collect();
        // Every host is told where the coordinators are, also those that are not meant.
        let others = self.inventory.hosts.iter().filter(|it| it.voter.is_some() && !meant.contains(it.name.as_str()));
        let entries: Vec<HostEntry> = self.chosen.iter().chain(others).cloned().collect();
        let board = Arc::clone(&self.board);
        let how = How { concurrency: self.orders.concurrency, policy: self.orders.policy, board };
        let reached = connect_all(self.cx, &entries, &how).await?;
        self.board.phase(&format!("asking {} hosts what they are", reached.len()));
        let mut hosts = BTreeMap::new();
        let (mut members, mut failures) = (Vec::new(), BTreeMap::new());
        for (entry, host, facts) in self.ask_all(reached).await {
            let name = entry.name.to_string();
            if let Some(host) = host {
                hosts.insert(name.clone(), host);
            }
            match member(entry, facts).await {
                Ok(member) => members.push(member),
                Err((failure, Some(known))) => {
                    failures.insert(name, failure);
                    members.push(known);
                }
                Err((failure, None)) => {
                    failures.insert(name, failure);
                }
            }
        }
        let fleet = self.fleet(&members, &failures)?;
        // Coordinators that are not meant, or do not answer, have served their purpose.
        members.retain(|it| meant.contains(it.name()) && !failures.contains_key(it.name()));
        failures.retain(|name, _| meant.contains(name.as_str()));
        let seen = self.look(&fleet, &hosts).await?;
        let findings = self.judge(&mut members, &mut failures, &seen)?;
        let (wishes, more) = wishes(&members, &seen);
        let findings = refuse(&mut members, &mut failures, findings.into_iter().chain(more).collect());
        Ok(Known { fleet, hosts, members, failures, findings, seen, wishes })
    }

    /// Asks every host that answers; at most so many at once as connect at once.
    async fn ask_all(&self, reached: Vec<Reached>) -> Vec<(HostEntry, Option<Arc<SshHost>>, Result<Facts>)> {
        let asked = stream::iter(reached).map(|it| async move {
            let host = match it.host {
                Ok(host) => host,
                Err(failure) => return (it.entry, None, Err(failure)),
            };
            let facts = probe(host.as_ref(), &root_prefix(&it.entry), &ports(&it.entry)).await;
            let facts = facts.map_err(|error| Failure::from(error).at(it.entry.name.as_str()));
            (it.entry, Some(host), facts)
        });
        asked.buffered(self.orders.concurrency.max(1)).collect().await
    }

    fn fleet(&self, members: &[Member], failures: &BTreeMap<String, Failure>) -> Result<Fleet> {
        let mut coordinators: Vec<Coordinator> = members.iter().filter_map(Member::coordinator).collect();
        coordinators.sort_by_key(|it| it.voter);
        let missing = self
            .inventory
            .hosts
            .iter()
            .find(|it| it.voter.is_some() && !coordinators.iter().any(|known| known.node == it.name.as_str()));
        if let Some(entry) = missing {
            let failure = failures.get(entry.name.as_str());
            let why = failure.map_or_else(String::new, |it| it.why.clone().unwrap_or_else(|| it.what.clone()));
            return Err(Failure::new(
                failure.map_or(Exit::Unreachable, |it| it.exit),
                format!("the address of coordinator {} is not known, and every host needs it", entry.name),
            )
            .at(entry.name.as_str())
            .why(why)
            .next("say `network: {address: IP}` for it in hosts.yaml, or make it reachable"));
        }
        Ok(Fleet { mesh: self.inventory.mesh.clone(), release: self.release.name(), coordinators })
    }

    /// Asks the coordinators that run, as far as the operator has a certificate.
    async fn look(&self, fleet: &Fleet, hosts: &BTreeMap<String, Arc<SshHost>>) -> Result<Seen> {
        // A mesh that this machine has no root of, and has not made, cannot know it.
        if !self.root.exists() && self.made.is_none() {
            return Ok(Seen { why: "there is no root yet".to_owned(), ..Seen::default() });
        }
        if self.needs_root() {
            if self.orders.only_look {
                return Ok(Seen { why: "the operator has no certificate yet".to_owned(), ..Seen::default() });
            }
            self.open_root().await?;
        }
        // A mesh of hosts that nobody has installed anything on has nothing to say.
        if self.made.is_none() && hosts.is_empty() {
            return Ok(Seen::default());
        }
        Ok(Doors::new(&self.identity()?, fleet)?.look().await)
    }

    /// The operator's credentials.
    pub(crate) fn identity(&self) -> Result<Identity> {
        Identity::load(&self.root.operator()).map_err(|error| {
            Failure::new(Exit::Authentication, "cannot use the operator's credentials")
                .at(self.root.operator().display().to_string())
                .why(sentence(&error))
        })
    }

    fn judge(
        &self,
        members: &mut Vec<Member>,
        failures: &mut BTreeMap<String, Failure>,
        seen: &Seen,
    ) -> Result<Vec<Finding>> {
        let wanted = rules::Wanted {
            mesh: &self.inventory.mesh,
            arch: std::env::consts::ARCH,
            needs_glibc: cfg!(target_env = "gnu"),
            release_bytes: self.office.bytes(),
            is_made: self.made.is_some() || seen.is_made,
            root: self.root.fingerprint(),
        };
        let findings = rules::check(members, &wanted);
        if let Some(it) = findings.iter().find(|it| it.gravity == Gravity::All) {
            return Err(it.failure());
        }
        Ok(refuse(members, failures, findings))
    }

    /// What would be done on each of some hosts, or why that cannot be told.
    pub(crate) async fn examine<'k>(
        &self,
        known: &'k Known,
        is_meant: impl Fn(&str) -> bool,
    ) -> Vec<(&'k Member, Result<HostPlan>)> {
        let meant = known.members.iter().filter(|it| is_meant(it.name()));
        let examined = stream::iter(meant).map(async |member| {
            let host = known.hosts.get(member.name())?;
            let vars = Vars::new(&member.vars(&known.fleet));
            let plan = playbook::examine(host.as_ref(), &self.playbook, &vars, &self.office).await;
            Some((member, plan.map_err(|error| error.failure(member.name()))))
        });
        let examined: Vec<_> = examined.buffered(self.orders.concurrency.max(1)).collect().await;
        examined.into_iter().flatten().collect()
    }

    /// What would be done.
    pub(crate) async fn plan(&self, known: &mut Known) -> Result<FleetPlan> {
        self.board.phase(&format!("comparing {} hosts with what they should be", known.members.len()));
        let examined = self.examine(known, |_| true).await;
        let is_made = self.made.is_some() || known.seen.is_made;
        // One that an earlier run could not finish runs, and the mesh does not know it: nobody waits for it to be back.
        let serves = |name: &str| {
            is_made && (!known.seen.answers || known.seen.nodes.iter().any(|it| crate::cmd::nodes::name_of(it) == name))
        };
        let (mut parts, mut failures) = (Vec::new(), BTreeMap::new());
        for (member, plan) in examined {
            match plan {
                Ok(plan) => parts.push(self.part(member, plan, serves(member.name()))),
                // What is wrong with the playbook is wrong for every host.
                Err(failure) if failure.exit == Exit::Invalid => return Err(failure),
                Err(failure) => {
                    failures.insert(member.name().to_owned(), failure);
                }
            }
        }
        known.failures.extend(failures);
        let failed: BTreeSet<String> = known.failures.keys().cloned().collect();
        known.members.retain(|it| !failed.contains(it.name()));
        known.wishes.retain(|it| !failed.contains(it.name.as_str()));
        let can_tell = known.seen.answers || !is_made;
        Ok(FleetPlan {
            mesh: self.inventory.mesh.clone(),
            release: self.release.name(),
            signed: self.release.signed.to_string(),
            initialize: !is_made,
            hosts: parts,
            objects: if can_tell { known.wishes.iter().map(|it| it.part.clone()).collect() } else { Vec::new() },
            findings: known.findings.clone(),
        })
    }

    fn part(&self, member: &Member, plan: HostPlan, serves: bool) -> HostPart {
        use playbook::Controller;
        HostPart {
            name: member.name().to_owned(),
            address: member.entry.address.clone(),
            api: member.api().to_string(),
            roles: member.entry.roles.iter().map(ToString::to_string).collect(),
            // Agents of a mesh that is not made yet run, and serve nobody.
            in_service: serves && !member.facts.runs.is_empty(),
            upload_bytes: plan.upload_bytes(|name| self.office.blob(name).map_or(0, |it| it.size_bytes)),
            plan,
        }
    }
}

/// Whether any host is to get a certificate.
pub(crate) fn asks_for_certificates(plan: &FleetPlan) -> bool {
    plan.hosts.iter().flat_map(|it| it.plan.changes()).any(|it| matches!(it.module, Some(Module::Key(_))))
}

/// Takes the hosts out against which something grave speaks; warnings stay.
fn refuse(members: &mut Vec<Member>, failures: &mut BTreeMap<String, Failure>, findings: Vec<Finding>) -> Vec<Finding> {
    for it in findings.iter().filter(|it| it.gravity == Gravity::Host) {
        failures.entry(it.host.clone()).or_insert_with(|| it.failure());
    }
    members.retain(|it| !failures.contains_key(it.name()));
    findings
}

/// A host with its facts and its address; one that does not answer may still have an address that is known.
pub(crate) async fn member(
    entry: HostEntry,
    facts: Result<Facts>,
) -> std::result::Result<Member, (Failure, Option<Member>)> {
    let resolved = resolve(&entry).await;
    match facts {
        Ok(facts) => match data_address(&entry, &facts, resolved) {
            Ok(address) => Ok(Member { entry, facts, address }),
            Err(why) => {
                let failure = Failure::new(Exit::Invalid, "its data address is not known").at(entry.name.as_str());
                Err((failure.why(why), None))
            }
        },
        Err(failure) => {
            let address = data_address(&entry, &Facts::default(), resolved).ok();
            Err((failure, address.map(|address| Member { entry, facts: Facts::default(), address })))
        }
    }
}

async fn resolve(entry: &HostEntry) -> Option<IpAddr> {
    if entry.address.parse::<IpAddr>().is_ok() {
        return None;
    }
    let mut found = tokio::net::lookup_host((entry.address.as_str(), 0)).await.ok()?;
    found.next().as_ref().map(SocketAddr::ip)
}

fn release(cx: &Cx, orders: &Orders) -> Result<Release> {
    let config = cx.dirs.config()?;
    let release = match &orders.bundle {
        Some(dir) => Release::from_bundle(dir, &config)?,
        None => {
            let exe = std::env::current_exe()
                .map_err(|error| Failure::new(Exit::Failed, "cannot find the mesh executable").why(error))?;
            Release::beside(&exe)?
        }
    };
    if config.require_signed && release.signed != Signed::Trusted {
        return Err(Failure::new(Exit::Mismatch, format!("refused: {}", release.signed))
            .coded(crate::Code::Bundle)
            .at(cx.dirs.config_file().display().to_string())
            .why("require_signed is set")
            .next("mesh bootstrap with --bundle DIR, a bundle that one of trusted_keys signed"));
    }
    Ok(release)
}

/// A path as the name of a playbook: one that could be taken for a built-in name is made a path.
fn path_text(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains('/') { text } else { format!("./{text}") }
}

/// The names of routers among members.
pub(crate) fn routers(members: &[Member]) -> impl Iterator<Item = &Member> {
    members.iter().filter(|it| it.entry.is(Role::Router))
}
