//! The way from started processes to a mesh that serves: coordinators answer, objects are there, nodes are Ready, a
//! request comes back.

use std::time::Duration;

use mesh_core::{
    id::Principal,
    kind::{Kind, MESH_POLICY, PolicySpec, Role, parse},
};
use mesh_proto::{
    client::channel,
    tls::Identity,
    v1::{self, fleet_client::FleetClient, objects_client::ObjectsClient},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::{
    mesh::LocalDir,
    objects,
    plan::{NodePlan, Paths, Plan},
    supervisor,
};
use crate::{Exit, Failure, Result, cmd::progress::Progress, human, refusal};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// A supervisor that does not run this long after its start has ended.
const SETTLE: Duration = Duration::from_secs(2);
/// How long one call may take.
const CALL: Duration = Duration::from_secs(3);

/// Waits for a mesh to become ready, step by step.
pub(crate) struct Ready<'a> {
    pub(crate) local: &'a LocalDir,
    pub(crate) plan: &'a Plan,
    pub(crate) progress: &'a Progress,
    /// The nodes that were started: their supervisors must stay.
    pub(crate) started: &'a [&'a NodePlan],
    pub(crate) begun: Instant,
    pub(crate) end: Instant,
}

impl Ready<'_> {
    fn identity(&self) -> Result<Identity> {
        identity(self.local)
    }

    fn fleet(&self, node: &NodePlan) -> Result<FleetClient<tonic::transport::Channel>> {
        let expect = Principal::node(&self.plan.mesh, &node.name);
        Ok(FleetClient::new(channel(&self.identity()?, node.api, expect)))
    }

    /// Looks again until the deadline; gives up early when a supervisor is gone.
    async fn pause(&self, step: &str, why: &str) -> Result<()> {
        // A supervisor needs a moment to take its pid file.
        let is_gone = |it: &&&NodePlan| !supervisor::is_running(&Paths::of(&self.local.dir, &it.name));
        let gone = self.started.iter().find(is_gone).filter(|_| self.begun.elapsed() > SETTLE);
        if let Some(node) = gone {
            return Err(self.failed(step, &format!("the supervisor of {} ended", node.name), Some(*node)));
        }
        if Instant::now() >= self.end {
            return Err(self.failed(step, why, None));
        }
        self.progress.doing(&format!("{step}: {why}"));
        sleep(LOOK).await;
        Ok(())
    }

    fn failed(&self, step: &str, why: &str, node: Option<&NodePlan>) -> Failure {
        let log = node.map(|it| tail(&Paths::of(&self.local.dir, &it.name))).unwrap_or_default();
        let why = if log.is_empty() { why.to_owned() } else { format!("{why}\n{log}") };
        let exit = if node.is_some() { Exit::Failed } else { Exit::Deadline };
        Failure::new(exit, format!("the mesh did not start: {step}")).at(self.local.dir.display().to_string()).why(why)
    }

    /// Waits until every coordinator answers.
    pub(crate) async fn coordinators(&mut self) -> Result<()> {
        for node in self.plan.coordinators() {
            let mut client = self.fleet(node)?;
            loop {
                let why = match timeout(CALL, client.cluster(v1::ClusterRequest {})).await {
                    Ok(Ok(_)) => break,
                    // An agent that refuses with a reason of ours does answer.
                    Ok(Err(status)) if refusal::reason(&status).is_some() => break,
                    Ok(Err(status)) => format!("{}: {}", node.name, refusal::words(&status)),
                    Err(_) => format!("{}: no answer", node.name),
                };
                self.pause("waiting for the coordinators", &why).await.map_err(|it| self.with_log(it, node))?;
            }
        }
        Ok(())
    }

    fn with_log(&self, failure: Failure, node: &NodePlan) -> Failure {
        let log = tail(&Paths::of(&self.local.dir, &node.name));
        match (&failure.why, log.is_empty()) {
            (Some(why), false) if !why.contains(&log) => {
                let why = format!("{why}\n{log}");
                failure.why(why)
            }
            _ => failure,
        }
    }

    /// Makes the coordinators into one mesh with its first objects.
    pub(crate) async fn initialize(&mut self, require_signed: bool) -> Result<()> {
        let step = "making the mesh";
        let request = v1::InitializeRequest {
            voters: self
                .plan
                .coordinators()
                .filter_map(|it| {
                    Some(v1::InitialVoter { id: it.voter?, node: it.name.to_string(), api: it.api.to_string() })
                })
                .collect(),
            objects: first_objects(self.plan, require_signed)?,
        };
        let first =
            self.plan.coordinators().next().ok_or_else(|| Failure::new(Exit::Failed, "a mesh needs a coordinator"))?;
        let mut client = self.fleet(first)?;
        loop {
            self.progress.doing(step);
            let why = match timeout(Duration::from_secs(10), client.initialize(request.clone())).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(status)) if refusal::reason(&status).as_deref() == Some(mesh_proto::reason::ALREADY) => {
                    return Ok(());
                }
                Ok(Err(status)) if !refusal::is_elsewhere(&status) => {
                    return Err(refusal::failure(
                        "the mesh did not start: making the mesh",
                        first.name.as_str(),
                        &status,
                    ));
                }
                Ok(Err(status)) => refusal::words(&status),
                Err(_) => "no answer".to_owned(),
            };
            self.pause(step, &format!("{}: {why}", first.name)).await.map_err(|it| self.with_log(it, first))?;
        }
    }

    /// Waits until these nodes are in service and their engines answer.
    pub(crate) async fn nodes(&mut self, names: &[&str]) -> Result<()> {
        loop {
            let why = match self.look(names).await {
                Ok(None) => return Ok(()),
                Ok(Some(why)) | Err(why) => why,
            };
            let slow = names.iter().find(|name| why.contains(*name)).and_then(|name| self.plan.node(name).ok());
            let paused = self.pause("waiting for the nodes", &why).await;
            paused.map_err(|failure| slow.map_or(failure.clone(), |node| self.with_log(failure, node)))?;
        }
    }

    /// What is not ready yet; none when all is.
    async fn look(&self, names: &[&str]) -> std::result::Result<Option<String>, String> {
        let mut last = "nobody answers".to_owned();
        let request = v1::NodesRequest { names: Vec::new(), mode: v1::ReadMode::Any.into() };
        for node in self.plan.coordinators() {
            let mut client = self.fleet(node).map_err(|failure| failure.what)?;
            match timeout(CALL, client.nodes(request.clone())).await {
                Ok(Ok(answer)) => return Ok(not_ready(&answer.into_inner(), names)),
                Ok(Err(status)) => last = format!("{}: {}", node.name, refusal::words(&status)),
                Err(_) => last = format!("{}: no answer", node.name),
            }
        }
        Err(last)
    }

    /// Sends one request through the router and waits for its answer.
    pub(crate) async fn served(&mut self) -> Result<()> {
        let step = "serving a first request";
        let router = self.plan.nodes.iter().find(|it| it.router.is_some());
        let Some(door) = self.plan.routers().into_iter().next() else { return Ok(()) };
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build();
        let client = client.map_err(|error| Failure::new(Exit::Failed, "cannot make an HTTP client").why(error))?;
        loop {
            let why = match first_answer(&client, &door).await {
                Ok(text) => {
                    self.progress.say(&format!("served through {door}: {text}"));
                    return Ok(());
                }
                Err(why) => why,
            };
            let paused = self.pause(step, &why).await;
            paused.map_err(|failure| router.map_or(failure.clone(), |node| self.with_log(failure, node)))?;
        }
    }
}

fn identity(local: &LocalDir) -> Result<Identity> {
    Identity::load(&local.operator()).map_err(|error| {
        Failure::new(Exit::Authentication, "cannot use the operator's credentials")
            .why(mesh_proto::client::sentence(&error))
    })
}

/// Streams one chat completion, and gives what a person needs of it.
async fn first_answer(client: &reqwest::Client, door: &str) -> std::result::Result<String, String> {
    let words = |error: reqwest::Error| mesh_proto::client::sentence(&error);
    let models: Value =
        client.get(format!("{door}/v1/models")).send().await.map_err(words)?.json().await.map_err(words)?;
    let model = models["data"][0]["id"].as_str().ok_or("the router lists no models yet")?;
    let messages = json!([{ "role": "user", "content": "Say hello." }]);
    let body = json!({ "model": model, "max_tokens": 16, "stream": true, "messages": messages });
    let answer = client.post(format!("{door}/v1/chat/completions")).json(&body).send().await.map_err(words)?;
    let status = answer.status();
    let text = answer.text().await.map_err(words)?;
    if !status.is_success() {
        return Err(format!("the router answers {status}: {}", text.chars().take(200).collect::<String>()));
    }
    let (said, events) = streamed(&text).ok_or("the router's stream ended early")?;
    Ok(format!("{model} says {said:?} in {events} events"))
}

/// The text of a whole event stream and the number of its events; `None` when it lacks its end.
fn streamed(text: &str) -> Option<(String, usize)> {
    let (mut said, mut events) = (String::new(), 0);
    for event in text.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim) {
        if event == "[DONE]" {
            return Some((said, events));
        }
        events += 1;
        let event: Value = serde_json::from_str(event).ok()?;
        said.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    None
}

/// The first node that is not in service or whose engine does not answer; none when there is none.
fn not_ready(answer: &v1::NodesResponse, names: &[&str]) -> Option<String> {
    let open = |name: &&str| {
        let item = answer.items.iter().find(|it| it.object.as_ref().is_some_and(|object| object.name == **name));
        let Some(item) = item else { return Some(format!("{name} is not listed")) };
        // A node that was taken out of service comes back as such.
        if !matches!(item.phase.as_str(), "Ready" | "Cordoned" | "Draining" | "Drained") {
            return Some(format!("{name} is {}", item.phase));
        }
        let status = item.status.as_ref();
        let spec =
            item.object.as_ref().and_then(|it| parse::<mesh_core::kind::NodeSpec>(&it.spec).ok()).unwrap_or_default();
        let silent = spec.engines.iter().find(|engine| {
            !status.is_some_and(|it| it.engines.iter().any(|sample| sample.name == engine.name.as_str() && sample.up))
        });
        if let Some(engine) = silent {
            let error = status
                .and_then(|it| it.engines.iter().find(|sample| sample.name == engine.name.as_str())?.error.clone());
            return Some(format!(
                "{name}: engine {} at {} does not answer: {}",
                engine.name,
                engine.url,
                human::or_dash(error)
            ));
        }
        let has_router = status.is_some_and(|it| it.router.is_some());
        (spec.is(Role::Router) && !has_router).then(|| format!("{name}: its router has not reported"))
    };
    let problems: Vec<String> = names.iter().filter_map(open).collect();
    (!problems.is_empty()).then(|| problems.join(", "))
}

fn first_objects(plan: &Plan, require_signed: bool) -> Result<Vec<v1::Object>> {
    let nodes: Vec<_> = plan.nodes.iter().map(|it| Ok((it.name.clone(), it.spec()?))).collect::<Result<_>>()?;
    Ok(objects::first(&plan.mesh, &plan.operator, &nodes, require_signed))
}

/// Whether the rules of a mesh refuse unsigned builds; a mesh that cannot be asked does not say so.
pub(crate) async fn requires_signed(local: &LocalDir) -> bool {
    let (Ok(Some(plan)), Ok(identity)) = (local.plan(), identity(local)) else { return false };
    for node in &plan.nodes {
        if !supervisor::is_running(&Paths::of(&local.dir, &node.name)) {
            continue;
        }
        let mut client = ObjectsClient::new(channel(&identity, node.api, Principal::node(&plan.mesh, &node.name)));
        let request = v1::ListRequest {
            kind: Kind::Policy.to_string(),
            names: vec![MESH_POLICY.to_owned()],
            mode: v1::ReadMode::Any.into(),
        };
        if let Ok(Ok(answer)) = timeout(CALL, client.list(request)).await {
            let spec = answer.into_inner().items.first().and_then(|it| parse::<PolicySpec>(&it.spec).ok());
            return spec.is_some_and(|it| it.require_signed);
        }
    }
    false
}

/// The last lines of a node's logs: what a person would look at first.
fn tail(paths: &Paths) -> String {
    let mut lines = Vec::new();
    for name in ["supervise", "agentd", "routerd", "engine"] {
        let text = std::fs::read_to_string(paths.logs().join(format!("{name}.log"))).unwrap_or_default();
        let mut last: Vec<String> = text.lines().rev().take(2).map(|line| format!("{name}.log: {line}")).collect();
        last.reverse();
        lines.extend(last);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_stream_is_whole_only_with_its_end() {
        let event = r#"{"choices":[{"delta":{"content":"hi"}}]}"#;
        let check = |text: &str, expected: Option<(&str, usize)>| {
            assert_eq!(streamed(text), expected.map(|(said, events)| (said.to_owned(), events)), "{text}");
        };
        check(&format!("data: {event}\n\ndata: {event}\n\ndata: [DONE]\n\n"), Some(("hihi", 2)));
        check(&format!("data: {event}\n\n"), None);
        check("data: nonsense\n\ndata: [DONE]\n\n", None);
    }

    use super::*;

    #[test]
    fn what_is_not_ready_is_named() {
        let spec = br#"{"roles":["gpu"],"engines":[{"name":"standin","kind":"standin","url":"http://127.0.0.1:1"}]}"#;
        let item = |phase: &str, up: Option<bool>| {
            let object = v1::Object {
                kind: "node".into(),
                name: "node-5".into(),
                revision: 1,
                spec: bytes::Bytes::from_static(spec),
            };
            let sample = |up| v1::EngineSample {
                name: "standin".into(),
                up,
                error: Some("refused".into()),
                ..Default::default()
            };
            let status = up.map(|up| v1::NodeStatus { engines: vec![sample(up)], ..Default::default() });
            v1::NodeItem { object: Some(object), phase: phase.into(), status, ..Default::default() }
        };
        let check = |item: v1::NodeItem, expected: Option<&str>| {
            let answer = v1::NodesResponse { items: vec![item], freshness: None };
            assert_eq!(not_ready(&answer, &["node-5"]).as_deref(), expected);
        };
        check(item("Ready", Some(true)), None);
        check(item("Drained", Some(true)), None);
        check(item("Joining", None), Some("node-5 is Joining"));
        check(
            item("Ready", Some(false)),
            Some("node-5: engine standin at http://127.0.0.1:1 does not answer: refused"),
        );
        check(item("Ready", None), Some("node-5: engine standin at http://127.0.0.1:1 does not answer: -"));
        let none = v1::NodesResponse::default();
        assert_eq!(not_ready(&none, &["node-5"]).as_deref(), Some("node-5 is not listed"));
    }
}
