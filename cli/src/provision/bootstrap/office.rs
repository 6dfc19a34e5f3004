//! The operator's side of a run: binaries, secrets and signatures for hosts, and the ear for what they say.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use mesh_core::id::{MeshName, NodeName, PartyKind, Principal};
use mesh_proto::{
    ca::{self, Issuer},
    cert,
    client::sentence,
};
use serde_json::json;
use tokio::sync::watch;

use super::{board::Board, journal::Journal};
use crate::{
    Exit, Failure, Result, human,
    playbook::{Blob, Controller, Event, KeyRequest, SignedKey},
    provision::release::Release,
};

/// The name under which a playbook asks for the ring's first key.
const GOSSIP_KEYS: &str = "gossip_keys";

/// What a run asks of this machine.
pub(crate) struct Office {
    mesh: MeshName,
    blobs: BTreeMap<String, Blob>,
    gossip_keys: String,
    root: OnceLock<Issuer>,
    /// Whether the root was opened, or cannot be.
    opened: watch::Sender<bool>,
    board: Arc<Board>,
    journal: OnceLock<Arc<Journal>>,
}

impl Office {
    /// Opens it without a root and without a journal: enough to look, not to change.
    pub(crate) fn new(mesh: &MeshName, release: &Release, gossip_keys: String, board: Arc<Board>) -> Result<Self> {
        let blob = |it: &crate::provision::release::Binary| {
            let size = std::fs::metadata(&it.path).map_err(|error| {
                Failure::new(Exit::Invalid, format!("cannot read {}", it.name))
                    .at(it.path.display().to_string())
                    .why(error)
            })?;
            Ok((it.name.clone(), Blob { path: it.path.clone(), sha256: it.digest, size_bytes: size.len() }))
        };
        Ok(Self {
            mesh: mesh.clone(),
            blobs: release.binaries.iter().map(blob).collect::<Result<_>>()?,
            gossip_keys,
            root: OnceLock::new(),
            opened: watch::Sender::new(true),
            board,
            journal: OnceLock::new(),
        })
    }

    /// Gives it the root: from now on it signs.
    pub(crate) fn sign_with(&self, root: Issuer) {
        // Opened once a run; a second one would be the same.
        let _ = self.root.set(root);
    }

    /// Whether the root is still to come: whoever wants a signature waits for it.
    pub(crate) fn await_root(&self, is_awaited: bool) {
        self.opened.send_replace(!is_awaited);
    }

    /// Whether it can sign.
    pub(crate) fn can_sign(&self) -> bool {
        self.root.get().is_some()
    }

    /// Gives it a journal: from now on what happens is written down.
    pub(crate) fn write_into(&self, journal: Arc<Journal>) {
        let _ = self.journal.set(journal);
    }

    /// All binaries together.
    pub(crate) fn bytes(&self) -> u64 {
        self.blobs.values().map(|it| it.size_bytes).sum()
    }

    fn note(&self, what: &str, host: &str, more: serde_json::Value) {
        if let Some(journal) = self.journal.get() {
            journal.note(what, Some(host), more);
        }
    }
}

/// Whether a host asks for what is its own.
fn is_own(mesh: &MeshName, host: &str, request: &KeyRequest) -> bool {
    match request {
        KeyRequest::Authority(of) => of == mesh,
        KeyRequest::Id(id) => {
            let is_part = matches!(id.kind, PartyKind::Node | PartyKind::Router);
            let own = NodeName::new(host)
                .is_ok_and(|it| *id == Principal::node(mesh, &it) || *id == Principal::router(mesh, &it));
            is_part && own
        }
    }
}

impl Controller for Office {
    fn blob(&self, name: &str) -> Option<&Blob> {
        self.blobs.get(name)
    }

    fn secret(&self, _host: &str, name: &str) -> Option<Vec<u8>> {
        (name == GOSSIP_KEYS).then(|| self.gossip_keys.clone().into_bytes())
    }

    fn opened(&self) -> BoxFuture<'_, ()> {
        let mut opened = self.opened.subscribe();
        // It ends with this office at the latest, and then nobody waits.
        async move { drop(opened.wait_for(|it| *it).await) }.boxed()
    }

    fn sign(&self, host: &str, request: &KeyRequest, csr_pem: &str) -> Result<SignedKey> {
        let failed = |why: String| Failure::new(Exit::Failed, "cannot sign a certificate").at(host).why(why);
        if !is_own(&self.mesh, host, request) {
            return Err(Failure {
                exit: Exit::Refused,
                ..failed(format!("it is not for this host to ask for {request:?}"))
            });
        }
        let root = self.root.get().ok_or_else(|| failed("the root was not opened".to_owned()))?;
        let csr = cert::read_csr_pem(csr_pem).map_err(|why| failed(format!("the host's request: {why}")))?;
        let chain = match request {
            KeyRequest::Id(id) => root.sign_leaf(&csr, id, ca::LEAF_LIFE, human::now()),
            KeyRequest::Authority(_) => root.sign_intermediate(&csr, human::now()),
        };
        let chain = chain.map_err(|error| failed(sentence(&error)))?;
        self.note("signed", host, json!({ "request": request }));
        Ok(SignedKey { chain_pem: cert::write_pem(&chain), roots_pem: cert::write_pem(root.roots()) })
    }

    fn event(&self, host: &str, event: &Event) {
        match event {
            Event::StepStarted { step } => self.board.step(host, &step.0),
            Event::Sent { step, bytes, total } => return self.board.sent(host, &step.0, *bytes, *total),
            Event::Proven => return self.note("proven", host, json!({})),
            Event::StepChanged { .. }
            | Event::StepUnchanged { .. }
            | Event::StepSkipped { .. }
            | Event::StepFailed { .. } => {}
        }
        if !matches!(event, Event::StepSkipped { .. }) {
            self.note("step", host, json!({ "step": event }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::board::Style, *};
    use crate::provision::release::Signed;

    #[test]
    fn who_wants_a_signature_waits_for_a_root_that_is_still_to_come() {
        let mesh = MeshName::new("lab").unwrap();
        let release = Release { version: "1".to_owned(), binaries: Vec::new(), signed: Signed::LocalBuild };
        let board = Arc::new(Board::new(Style::default(), true));
        let office = Office::new(&mesh, &release, String::new(), board).unwrap();
        assert!(office.opened().now_or_never().is_some(), "nobody has said that there is anything to wait for");
        office.await_root(true);
        let mut waiting = office.opened();
        assert!((&mut waiting).now_or_never().is_none());
        office.await_root(false);
        assert!((&mut waiting).now_or_never().is_some());
        let id = KeyRequest::Id("spiffe://lab/node/h1".parse().unwrap());
        let refused = office.sign("h1", &id, "").unwrap_err();
        assert_eq!(refused.why.as_deref(), Some("the root was not opened"), "what cannot be opened signs nothing");
    }

    #[test]
    fn a_host_gets_its_own_certificates_only() {
        let mesh = MeshName::new("lab").unwrap();
        let id = |text: &str| KeyRequest::Id(text.parse().unwrap());
        let check =
            |request: KeyRequest, expected: bool| assert_eq!(is_own(&mesh, "h1", &request), expected, "{request:?}");
        check(id("spiffe://lab/node/h1"), true);
        check(id("spiffe://lab/router/h1"), true);
        check(id("spiffe://lab/node/h2"), false);
        check(id("spiffe://lab/operator/h1"), false);
        check(id("spiffe://other/node/h1"), false);
        check(KeyRequest::Authority(mesh.clone()), true);
        check(KeyRequest::Authority(MeshName::new("other").unwrap()), false);
    }
}
