//! Coordinators become one mesh, exactly once; hosts are declared in it.

use std::{fs, path::PathBuf, time::Duration};

use futures_util::future::join_all;
use mesh_core::{
    id::{Digest, MeshName, NodeName, ObjectName, Principal},
    kind::{Kind, NodeSpec},
    store::COMMAND_OPS_MAX,
    time::Timestamp,
};
use mesh_proto::{
    client::channel,
    files::{create_private_dir, write_private},
    reason,
    tls::Identity,
    v1::{self, fleet_client::FleetClient},
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;

use super::{
    board::Board,
    member::{Coordinator, Fleet, Member},
    plan::ObjectPart,
    rules::{Finding, Gravity},
};
use crate::{
    Exit, Failure, Result,
    client::Session,
    cmd::nodes::{name_of, spec_of},
    context::Dirs,
    provision::objects,
    refusal,
    write::{self, How},
};

/// How long one coordinator may take to answer.
const CALL: Duration = Duration::from_secs(3);
/// Making a mesh waits for its other coordinators.
const CALL_INITIALIZE: Duration = Duration::from_secs(25);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(150);

/// What this machine keeps of a mesh that it made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// The mesh.
    pub(crate) mesh: MeshName,
    /// The fingerprint of its root: what tells it from another of the same name.
    pub(crate) root: Digest,
    /// When it was made.
    pub(crate) at: Timestamp,
    /// By which run.
    pub(crate) run: String,
}

impl Made {
    fn path(dirs: &Dirs, mesh: &MeshName) -> PathBuf {
        dirs.state.join("meshes").join(format!("{mesh}.json"))
    }

    /// What is kept of a mesh; none when this machine has not made it.
    pub(crate) fn read(dirs: &Dirs, mesh: &MeshName) -> Result<Option<Self>> {
        let path = Self::path(dirs, mesh);
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::new(Exit::Invalid, "cannot read what is kept of the mesh").at(path.display().to_string()).why(why)
        };
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| wrong(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(&error)),
        }
    }

    /// Keeps it.
    pub(crate) fn write(&self, dirs: &Dirs) -> Result<()> {
        let path = Self::path(dirs, &self.mesh);
        let failed = |error: std::io::Error| {
            Failure::new(Exit::Failed, "cannot keep what was made").at(path.display().to_string()).why(error)
        };
        create_private_dir(&dirs.state.join("meshes")).map_err(failed)?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(std::io::Error::other(error)))?;
        write_private(&path, &text).map_err(failed)
    }

    /// Forgets a mesh that is no more.
    pub(crate) fn forget(dirs: &Dirs, mesh: &MeshName) {
        // One that is not there is forgotten already.
        let _ = fs::remove_file(Self::path(dirs, mesh));
    }
}

/// What the coordinators say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Whether any of them answered.
    pub(crate) answers: bool,
    /// Whether any of them is part of a mesh that was made.
    pub(crate) is_made: bool,
    /// The nodes as declared and observed.
    pub(crate) nodes: Vec<v1::NodeItem>,
    /// Why nobody answered.
    pub(crate) why: String,
}

/// The coordinators of a mesh, by their certificates.
pub(crate) struct Doors {
    mesh: MeshName,
    doors: Vec<(Coordinator, Channel)>,
}

impl Doors {
    /// Prepares them; nothing is connected yet.
    pub(crate) fn new(identity: &Identity, fleet: &Fleet) -> Result<Self> {
        let door = |it: &Coordinator| {
            let name = NodeName::new(it.node.as_str())
                .map_err(|error| Failure::new(Exit::Invalid, "a coordinator's name is none").why(error))?;
            Ok((it.clone(), channel(identity, it.api, Principal::node(&fleet.mesh, &name))))
        };
        Ok(Self { mesh: fleet.mesh.clone(), doors: fleet.coordinators.iter().map(door).collect::<Result<_>>()? })
    }

    /// Asks all of them at once what they are part of.
    pub(crate) async fn look(&self) -> Seen {
        let asked = self.doors.iter().map(async |(it, channel)| {
            let mut client = FleetClient::new(channel.clone());
            match timeout(CALL, client.cluster(v1::ClusterRequest {})).await {
                Ok(Ok(answer)) => Ok(answer.into_inner()),
                Ok(Err(status)) => Err(format!("{}: {}", it.node, refusal::words(&status))),
                Err(_) => Err(format!("{} at {}: no answer within {} s", it.node, it.api, CALL.as_secs())),
            }
        });
        let mut seen = Seen::default();
        for answer in join_all(asked).await {
            match answer {
                Ok(it) => {
                    seen.answers = true;
                    seen.is_made |= it.initialized || it.revision > 0;
                }
                Err(why) => seen.why = why,
            }
        }
        if seen.is_made {
            seen.nodes = self.nodes().await.unwrap_or_default();
        }
        seen
    }

    /// The nodes, from whoever answers first.
    pub(crate) async fn nodes(&self) -> std::result::Result<Vec<v1::NodeItem>, String> {
        let mut last = "there is no coordinator".to_owned();
        for (it, channel) in &self.doors {
            let request = v1::NodesRequest { names: Vec::new(), mode: v1::ReadMode::Any.into() };
            match timeout(CALL, FleetClient::new(channel.clone()).nodes(request)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner().items),
                Ok(Err(status)) => last = format!("{}: {}", it.node, refusal::words(&status)),
                Err(_) => last = format!("{}: no answer", it.node),
            }
        }
        Err(last)
    }

    /// Makes the coordinators into one mesh with its first objects, until `end`.
    ///
    /// It can be asked again and again: the coordinators themselves refuse a second mesh, and all of them must answer
    /// before the first is made.
    pub(crate) async fn initialize(&self, first: Vec<v1::Object>, end: Instant, board: &Board) -> Result<()> {
        let failed = |why: String| {
            Failure::new(Exit::Unreachable, format!("mesh {} is not made yet", self.mesh)).why(why).next(
                "every coordinator must run, and its API be reachable from here and from the other coordinators; \
                 then the same command again",
            )
        };
        let voter = |(it, _): &(Coordinator, Channel)| v1::InitialVoter {
            id: it.voter,
            node: it.node.clone(),
            api: it.api.to_string(),
        };
        let request = v1::InitializeRequest { voters: self.doors.iter().map(voter).collect(), objects: first };
        let (first, channel) = self.doors.first().ok_or_else(|| failed("there is no coordinator".to_owned()))?;
        loop {
            let mut client = FleetClient::new(channel.clone());
            let why = match timeout(CALL_INITIALIZE, client.initialize(request.clone())).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(status)) if refusal::reason(&status).as_deref() == Some(reason::ALREADY) => return Ok(()),
                Ok(Err(status)) if !refusal::is_elsewhere(&status) => {
                    return Err(refusal::failure(&format!("mesh {} is not made", self.mesh), &first.node, &status));
                }
                Ok(Err(status)) => refusal::words(&status),
                Err(_) => "no answer".to_owned(),
            };
            if Instant::now() >= end {
                return Err(failed(format!("{} at {}: {why}", first.node, first.api)));
            }
            board.phase(&format!("making mesh {}: {}: {why}", self.mesh, first.node));
            sleep(LOOK).await;
        }
    }
}

/// A node object as it should be.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// The node.
    pub(crate) name: NodeName,
    /// What is declared of it.
    pub(crate) spec: NodeSpec,
    /// What that changes.
    pub(crate) part: ObjectPart,
}

/// What must be declared, compared with what is; what cannot be changed is a finding. Pure.
pub(crate) fn wishes(members: &[Member], seen: &Seen) -> (Vec<Wish>, Vec<Finding>) {
    let (mut wishes, mut findings) = (Vec::new(), Vec::new());
    for member in members {
        let item = seen.nodes.iter().find(|it| name_of(it) == member.name());
        let before = item.map(spec_of);
        let mut refuse = |what: String, next: &str| {
            let (host, next) = (member.name().to_owned(), next.to_owned());
            findings.push(Finding { host, gravity: Gravity::Host, what, next });
        };
        // A host without a certificate comes anew; the name's history stays apart from it.
        let incarnation = match &before {
            Some(it) if member.facts.root.is_none() => it.incarnation + 1,
            Some(it) => it.incarnation,
            None => 1,
        };
        let spec = match member.spec(incarnation) {
            Ok(spec) => spec,
            Err(why) => {
                refuse(why, "correct it in hosts.yaml");
                continue;
            }
        };
        if seen.is_made && spec.voter.is_some() && before.as_ref().is_none_or(|it| it.voter != spec.voter) {
            refuse(
                "coordinators are named when the mesh is made: another one cannot be added in this version".to_owned(),
                "leave out the role coordinator, or make a new mesh under another name",
            );
            continue;
        }
        if let Some(before) = before.as_ref().filter(|it| it.voter.is_some() && it.api != spec.api) {
            refuse(
                format!("it is a coordinator, and the others know it at {}", before.api),
                "give it its address back: `network: {address: IP}` and its ports in hosts.yaml",
            );
            continue;
        }
        let detail = before.as_ref().map(|it| difference(it, &spec)).unwrap_or_default();
        let action = match &before {
            None => "create",
            Some(_) if detail.is_empty() => "unchanged",
            Some(_) => "change",
        };
        let detail = if before.is_none() { roles(&spec) } else { detail };
        let whole = serde_json::to_value(&spec).unwrap_or_default();
        let part = ObjectPart { node: member.name().to_owned(), action, detail, spec: whole };
        wishes.push(Wish { name: member.entry.name.clone(), spec, part });
    }
    (wishes, findings)
}

fn roles(spec: &NodeSpec) -> String {
    let roles: Vec<String> = spec.roles.iter().map(ToString::to_string).collect();
    roles.join(", ")
}

/// The fields that differ.
fn difference(before: &NodeSpec, after: &NodeSpec) -> String {
    let value = |it: &NodeSpec| serde_json::to_value(it).unwrap_or_default();
    let (before, after) = (value(before), value(after));
    let names: std::collections::BTreeSet<&String> =
        [&before, &after].iter().filter_map(|it| it.as_object()).flat_map(|it| it.keys()).collect();
    let differ: Vec<&str> =
        names.into_iter().filter(|it| before.get(*it) != after.get(*it)).map(String::as_str).collect();
    differ.join(", ")
}

/// The first objects: as many nodes as one write takes, coordinators among them, and the names of those left over.
pub(crate) fn first_objects(
    mesh: &MeshName,
    operator: &ObjectName,
    wishes: &[Wish],
    require_signed: bool,
) -> Vec<v1::Object> {
    let mut nodes: Vec<(NodeName, NodeSpec)> = wishes.iter().map(|it| (it.name.clone(), it.spec.clone())).collect();
    nodes.sort_by_key(|(_, spec)| spec.voter.is_none());
    nodes.truncate(COMMAND_OPS_MAX - objects::OTHERS);
    objects::first(mesh, operator, &nodes, require_signed)
}

/// Declares nodes in a mesh that was made.
pub(crate) async fn declare(session: &Session, wishes: &[&Wish], run: &str) -> Result<()> {
    let how = How { dry_run: false, reason: format!("bootstrap {run}") };
    for part in wishes.chunks(COMMAND_OPS_MAX / 2) {
        let items = part.iter().map(|it| write::item(&it.name.clone().into(), &it.spec, None)).collect();
        write::apply(session, &format!("cannot declare {} nodes", part.len()), items, &how).await?;
    }
    Ok(())
}

/// Removes a node's object.
pub(crate) async fn forget(session: &Session, name: &str, reason: &str) -> Result<()> {
    let how = How { dry_run: false, reason: reason.to_owned() };
    write::delete(session, Kind::Node, name, &how).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use mesh_core::kind::Role;

    use super::{
        super::{facts::Facts, member::tests::entry},
        *,
    };

    fn member(name: &str, last: u8, roles: &[Role], voter: Option<u64>, enrolled: bool) -> Member {
        let facts = Facts { root: enrolled.then_some(Digest([1; 32])), ..Facts::default() };
        Member { entry: entry(name, &format!("10.0.0.{last}"), roles, voter), facts, address: [10, 0, 0, last].into() }
    }

    fn item(member: &Member, incarnation: u32) -> v1::NodeItem {
        let object = v1::Object {
            kind: "node".into(),
            name: member.name().into(),
            revision: 1,
            spec: mesh_core::kind::write(&member.spec(incarnation).unwrap()),
        };
        v1::NodeItem { object: Some(object), ..v1::NodeItem::default() }
    }

    #[test]
    fn what_is_declared_is_compared_with_what_is() {
        let (c1, g1) =
            (member("c1", 1, &[Role::Coordinator], Some(1), true), member("g1", 4, &[Role::Gpu], None, true));
        let seen = Seen { answers: true, is_made: true, nodes: vec![item(&c1, 1), item(&g1, 2)], why: String::new() };
        let check = |members: &[Member], expected: &str| {
            let (wishes, findings) = wishes(members, &seen);
            let mut lines: Vec<String> = wishes
                .iter()
                .map(|it| format!("{} {} [{}] #{}", it.part.node, it.part.action, it.part.detail, it.spec.incarnation))
                .collect();
            lines.extend(findings.iter().map(|it| format!("{}: {}", it.host, it.what)));
            assert_eq!(lines.join("; "), expected);
        };
        check(&[c1, g1], "c1 unchanged [] #1; g1 unchanged [] #2");
        check(&[member("g1", 5, &[Role::Gpu], None, true)], "g1 change [address, api, gossip] #2");
        check(&[member("g1", 4, &[Role::Gpu], None, false)], "g1 change [incarnation] #3");
        check(&[member("g2", 6, &[Role::Gpu, Role::Router], None, false)], "g2 create [router, gpu] #1");
        check(
            &[member("c4", 7, &[Role::Coordinator], Some(2), false)],
            "c4: coordinators are named when the mesh is made: another one cannot be added in this version",
        );
        check(
            &[member("c1", 9, &[Role::Coordinator], Some(1), true)],
            "c1: it is a coordinator, and the others know it at 10.0.0.1:7443",
        );
    }

    #[test]
    fn one_write_takes_coordinators_first() {
        let mut members: Vec<Member> =
            (1..=200).map(|n| member(&format!("g{n}"), 1, &[Role::Gpu], None, false)).collect();
        members.push(member("c1", 1, &[Role::Coordinator], Some(1), false));
        let (wishes, _) = wishes(&members, &Seen::default());
        let objects = first_objects(&MeshName::new("lab").unwrap(), &ObjectName::new("ada").unwrap(), &wishes, false);
        assert_eq!((objects.len(), objects[0].name.as_str()), (COMMAND_OPS_MAX, "c1"));
    }

    #[test]
    fn what_was_made_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let dirs = Dirs { state: dir.path().join("s"), config: dir.path().join("c") };
        let mesh = MeshName::new("lab").unwrap();
        assert_eq!(Made::read(&dirs, &mesh).unwrap(), None);
        let made = Made { mesh: mesh.clone(), root: Digest([3; 32]), at: Timestamp(5), run: "r".into() };
        made.write(&dirs).unwrap();
        assert_eq!(Made::read(&dirs, &mesh).unwrap(), Some(made));
        Made::forget(&dirs, &mesh);
        assert_eq!(Made::read(&dirs, &mesh).unwrap(), None);
    }
}
