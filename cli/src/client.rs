//! The way to a mesh: endpoints tried in turn, reads that fall back to what any agent has, writes that happen once.

use std::{
    cell::Cell,
    net::SocketAddr,
    time::{Duration, Instant},
};

use mesh_core::id::{NodeName, Principal};
use mesh_proto::{
    ca,
    client::{channel, sentence},
    tls::Identity,
    v1::{self, join_client::JoinClient},
};
use rustls_pki_types::CertificateDer;
use tokio::time::timeout;
use tonic::{Response, Status, Streaming, transport::Channel};

use crate::{
    Code, Exit, Failure, Result,
    context::{Context, Endpoint},
    human,
    output::note,
    refusal,
};

/// How long one endpoint may take to answer a read before the next one is asked.
const READ_ATTEMPT: Duration = Duration::from_secs(3);
/// How long a renewal may delay a command.
const RENEW_ATTEMPT: Duration = Duration::from_secs(2);
/// An agent retries a write for five seconds; this leaves time for its answer.
const WRITE_ATTEMPT: Duration = Duration::from_secs(7);
/// How long a write is retried altogether, unless `--timeout` says otherwise.
const WRITE_LIMIT: Duration = Duration::from_secs(15);

/// An answer that says how fresh it is.
pub(crate) trait Answer {
    fn freshness(&self) -> Option<&v1::Freshness>;
}

impl Answer for v1::NodesResponse {
    fn freshness(&self) -> Option<&v1::Freshness> {
        self.freshness.as_ref()
    }
}

impl Answer for v1::ListResponse {
    fn freshness(&self) -> Option<&v1::Freshness> {
        self.freshness.as_ref()
    }
}

/// One operator's connection to one mesh.
pub(crate) struct Session {
    pub(crate) context: Context,
    identity: Identity,
    doors: Vec<Door>,
    limit: Option<Duration>,
    /// Whether the user knows that answers may be old: a command that looks again and again says it once.
    warned: Cell<bool>,
}

/// An endpoint with its channel, which connects when it is first used.
struct Door {
    endpoint: Endpoint,
    channel: Channel,
}

impl Door {
    fn place(&self) -> String {
        format!("{} ({})", self.endpoint.node, self.endpoint.api)
    }
}

impl Session {
    /// Loads the operator's identity and prepares the endpoints: coordinators first, or the one `only` names.
    pub(crate) fn open(context: Context, only: Option<&str>, limit: Option<Duration>) -> Result<Self> {
        let identity = Identity::load(&context.identity_dir).map_err(|error| {
            Failure::new(Exit::Authentication, "cannot use the operator's credentials")
                .coded(Code::Credentials)
                .at(context.identity_dir.display().to_string())
                .why(sentence(&error))
                .next("mesh up (issues the operator's certificate of a local mesh anew)")
        })?;
        let mut endpoints = match only {
            Some(wanted) => vec![endpoint(&context, wanted)?],
            None => context.endpoints.clone(),
        };
        endpoints.sort_by_key(|it| !it.coordinator);
        let open = |endpoint: Endpoint| {
            let channel = channel(&identity, endpoint.api, context.principal(&endpoint));
            Door { endpoint, channel }
        };
        let doors = endpoints.into_iter().map(open).collect();
        Ok(Self { context, identity, doors, limit, warned: Cell::new(false) })
    }

    /// Who the operator is.
    pub(crate) fn me(&self) -> Principal {
        self.identity.me()
    }

    /// Asks for a new certificate once a third of the old one's life has passed; failing does no harm until it ends.
    pub(crate) async fn renew_if_due(&mut self) {
        let (begin, end, now) = (self.identity.not_before(), self.identity.not_after(), human::now());
        if now >= end || begin.age_ms(now) < begin.age_ms(end) / 3 {
            return;
        }
        if let Err(why) = timeout(RENEW_ATTEMPT, self.renew()).await.unwrap_or_else(|_| Err("no answer".to_owned())) {
            tracing::debug!(%why, "the operator's certificate is not renewed");
        }
    }

    async fn renew(&self) -> std::result::Result<(), String> {
        let door = self.doors.first().ok_or("no endpoint")?;
        let (key, csr) = ca::new_key_and_csr(&self.me().to_string()).map_err(|error| sentence(&error))?;
        let answer = JoinClient::new(door.channel.clone()).renew(v1::RenewRequest { csr: csr.into() }).await;
        let answer = answer.map_err(|status| refusal::words(&status))?.into_inner();
        let certs =
            |list: Vec<bytes::Bytes>| list.into_iter().map(|it| CertificateDer::from(it.to_vec())).collect::<Vec<_>>();
        let (chain, roots) = (certs(answer.chain), certs(answer.roots));
        self.identity
            .save_and_replace(&self.context.identity_dir, &key, &chain, &roots)
            .map_err(|error| sentence(&error))
    }

    /// The way to one agent alone, which connects when it is first used.
    pub(crate) fn channel_to(&self, endpoint: &Endpoint) -> Channel {
        channel(&self.identity, endpoint.api, self.context.principal(endpoint))
    }

    /// Says nothing about old answers on stderr: whoever shows them shows their age.
    pub(crate) fn hush(&self) {
        self.warned.set(true);
    }

    /// When to give up, if `--timeout` says so.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Asks the mesh: the newest state from whoever has quorum, else what any agent has, with a warning.
    pub(crate) async fn read<T: Answer>(
        &self,
        what: &str,
        call: impl AsyncFn(Channel, v1::ReadMode) -> std::result::Result<Response<T>, Status>,
    ) -> Result<T> {
        let mut last = None;
        // Others would only forward to the coordinators; without any listed, everybody is asked.
        let coordinators = self.doors.iter().filter(|door| door.endpoint.coordinator).count();
        let first = if coordinators == 0 { self.doors.len() } else { coordinators };
        for door in &self.doors[..first] {
            match attempt(READ_ATTEMPT, call(door.channel.clone(), v1::ReadMode::Latest)).await {
                Ok(answer) => return Ok(answer),
                Err(status) if refusal::is_elsewhere(&status) => last = Some((door, status)),
                Err(status) => return Err(refusal::failure(what, &door.place(), &status)),
            }
        }
        for door in &self.doors {
            match attempt(READ_ATTEMPT, call(door.channel.clone(), v1::ReadMode::Any)).await {
                Ok(answer) => {
                    if !self.warned.replace(true) {
                        note(&stale(&answer, door, last.as_ref().map(|(_, status)| status)));
                    }
                    return Ok(answer);
                }
                Err(status) if refusal::is_elsewhere(&status) => last = Some((door, status)),
                Err(status) => return Err(refusal::failure(what, &door.place(), &status)),
            }
        }
        Err(self.nobody(what, last))
    }

    /// Asks every endpoint in turn until one answers, without a claim to the newest state.
    pub(crate) async fn ask<T>(
        &self,
        what: &str,
        call: impl AsyncFn(Channel) -> std::result::Result<Response<T>, Status>,
    ) -> Result<T> {
        let mut last = None;
        for door in &self.doors {
            match attempt(READ_ATTEMPT, call(door.channel.clone())).await {
                Ok(answer) => return Ok(answer),
                Err(status) if refusal::is_elsewhere(&status) => last = Some((door, status)),
                Err(status) => return Err(refusal::failure(what, &door.place(), &status)),
            }
        }
        Err(self.nobody(what, last))
    }

    /// The same of the coordinators, until one gives a good answer: one that is cut off knows less than the others. The
    /// first answer when none is good.
    pub(crate) async fn ask_until<T>(
        &self,
        what: &str,
        call: impl AsyncFn(Channel) -> std::result::Result<Response<T>, Status>,
        is_good: impl Fn(&T) -> bool,
    ) -> Result<T> {
        let (mut first, mut last) = (None, None);
        for door in &self.doors {
            if first.is_some() && !door.endpoint.coordinator {
                break;
            }
            match attempt(READ_ATTEMPT, call(door.channel.clone())).await {
                Ok(answer) if is_good(&answer) => return Ok(answer),
                Ok(answer) => {
                    first.get_or_insert(answer);
                }
                Err(status) if refusal::is_elsewhere(&status) => last = Some((door, status)),
                Err(status) => return Err(refusal::failure(what, &door.place(), &status)),
            }
        }
        first.ok_or_else(|| self.nobody(what, last))
    }

    /// Asks every endpoint at once, and gives what each said.
    pub(crate) async fn everybody<T>(
        &self,
        call: impl AsyncFn(Channel) -> std::result::Result<Response<T>, Status>,
    ) -> Vec<(Endpoint, std::result::Result<T, Status>)> {
        let asked = self.doors.iter().map(async |door| {
            let answer = attempt(READ_ATTEMPT, call(door.channel.clone())).await;
            (door.endpoint.clone(), answer)
        });
        futures_util::future::join_all(asked).await
    }

    /// Opens a stream at the first endpoint that gives one.
    pub(crate) async fn stream<T>(
        &self,
        what: &str,
        call: impl AsyncFn(Channel) -> std::result::Result<Response<Streaming<T>>, Status>,
    ) -> Result<Streaming<T>> {
        self.ask(what, call).await
    }

    /// Writes: the call carries a request id, so it is repeated at the next endpoint until its outcome is known.
    pub(crate) async fn write<T>(
        &self,
        what: &str,
        request_id: &str,
        call: impl AsyncFn(Channel) -> std::result::Result<Response<T>, Status>,
    ) -> Result<T> {
        let end = Instant::now() + self.limit.unwrap_or(WRITE_LIMIT);
        // The answer after which the write may have happened.
        let mut unknown: Option<(&Door, Status)> = None;
        let mut last: Option<(&Door, Status)> = None;
        let mut no_quorum = None;
        'rounds: loop {
            for door in &self.doors {
                if no_quorum.is_some() && !door.endpoint.coordinator {
                    // It only forwards to coordinators, and those have been asked.
                    break 'rounds;
                }
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break 'rounds;
                }
                match attempt(WRITE_ATTEMPT.min(left), call(door.channel.clone())).await {
                    Ok(answer) => return Ok(answer),
                    Err(status) if !refusal::is_elsewhere(&status) => {
                        return Err(refusal::failure(what, &door.place(), &status));
                    }
                    Err(status) => {
                        let reason = refusal::reason(&status);
                        if !refusal::is_surely_refused(&status) && !refusal::never_connected(&status) {
                            unknown = Some((door, status.clone()));
                        }
                        if reason.as_deref() == Some(mesh_proto::reason::NO_QUORUM) {
                            // It may be cut off from the others, which decide without it.
                            no_quorum.get_or_insert((door, status));
                        } else {
                            last = Some((door, status));
                        }
                    }
                }
            }
            if no_quorum.is_some() {
                // Each coordinator has tried for its five seconds already.
                break;
            }
            if last.as_ref().is_some_and(|(_, status)| refusal::never_connected(status)) && unknown.is_none() {
                // Everybody refused the connection: waiting longer serves nobody.
                break;
            }
        }
        match unknown {
            Some((door, status)) => Err(outcome_unknown(what, request_id, &door.place(), &status)),
            None => Err(self.nobody(what, no_quorum.or(last))),
        }
    }

    fn nobody(&self, what: &str, last: Option<(&Door, Status)>) -> Failure {
        match last {
            Some((door, status)) => refusal::failure(what, &door.place(), &status),
            None => Failure::new(Exit::Unreachable, what).why("the context has no endpoints").next("mesh context ls"),
        }
    }
}

fn outcome_unknown(what: &str, request_id: &str, place: &str, status: &Status) -> Failure {
    Failure::new(Exit::Unreachable, format!("{what}: outcome unknown"))
        .coded(Code::OutcomeUnknown)
        .at(place)
        .why(format!("{} (request {request_id})", refusal::words(status)))
        .next("mesh cluster status, then look whether it happened: mesh events")
}

async fn attempt<T>(
    limit: Duration,
    call: impl Future<Output = std::result::Result<Response<T>, Status>>,
) -> std::result::Result<T, Status> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("no answer within {}", human::duration(human::ms(limit))))),
    }
}

/// The warning beside an answer that may be old.
fn stale<T: Answer>(answer: &T, door: &Door, why: Option<&Status>) -> String {
    let age = answer.freshness().and_then(|it| it.leader_age_ms);
    let age = age.map_or("of unknown age".to_owned(), |ms| format!("{} old", human::duration(ms)));
    let why = why.map(|status| format!(" ({})", refusal::words(status))).unwrap_or_default();
    format!("warning: no quorum answers{why}; this is what {} knows, {age}", door.endpoint.node)
}

/// The endpoint that `--endpoint` names: a node, an address of the context, or NODE=HOST:PORT.
fn endpoint(context: &Context, wanted: &str) -> Result<Endpoint> {
    let known = context.endpoints.iter().find(|it| it.node.as_str() == wanted || it.api.to_string() == wanted);
    let given = || {
        let (node, api) = wanted.split_once('=')?;
        let api: SocketAddr = api.parse().ok()?;
        Some(Endpoint { node: NodeName::new(node).ok()?, api, coordinator: false })
    };
    known.cloned().or_else(given).ok_or_else(|| {
        let names: Vec<String> = context.endpoints.iter().map(|it| format!("{} ({})", it.node, it.api)).collect();
        Failure::new(Exit::Usage, format!("no endpoint `{wanted}`"))
            .why(format!("the context has: {}", names.join(", ")))
            .next("use one of these, or NODE=IP:PORT")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_node_an_address_or_both() {
        let context: Context = toml::from_str(
            "mesh = 'm'\nidentity_dir = '/x'\nendpoints = [{node = 'node-1', api = '127.0.0.1:7001', coordinator = true}]",
        )
        .unwrap();
        let check = |wanted: &str, expected: Option<&str>| {
            let found = endpoint(&context, wanted).ok().map(|it| format!("{} {}", it.node, it.api));
            assert_eq!(found.as_deref(), expected, "{wanted}");
        };
        check("node-1", Some("node-1 127.0.0.1:7001"));
        check("127.0.0.1:7001", Some("node-1 127.0.0.1:7001"));
        check("node-9=127.0.0.1:7009", Some("node-9 127.0.0.1:7009"));
        check("127.0.0.1:7009", None);
        check("node-9", None);
    }
}
