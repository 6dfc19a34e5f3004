//! Keeps one certificate fresh: renewed after a third of its life, in place, under open streams.
//!
//! Task: `rotate` ([`Rotation::run`]), one for the agent's identity and one for that of the router on this host.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use mesh_core::{id::Principal, store::Store};
use mesh_proto::{
    ca::{csr_of_key, new_key_and_csr},
    client::channel,
    files::read_private,
    tls::{Identity, KEY_FILE},
    v1::{RenewRequest, join_client::JoinClient},
};
use rustls_pki_types::CertificateDer;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    issue::{Holder, Issuing},
    life::Life,
};
use crate::{clock, config::Coordinator};

/// How long a coordinator may take to renew.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// The clock is looked at again after this: it may have been set, or the host may have slept.
const NAP_MAX: Duration = Duration::from_secs(60);
/// Between two tries: these, or less for short lives.
const RETRY: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));

/// Names the coordinators to ask, the nearest first.
pub type Coordinators = Arc<dyn Fn() -> Vec<Coordinator> + Send + Sync>;

/// What a coordinator renews its own certificates with.
#[derive(Clone)]
pub struct OwnIssuer {
    /// The authority.
    pub issuing: Arc<Issuing>,
    /// The replica that says who is listed.
    pub store: watch::Receiver<Arc<Store>>,
}

/// The rotation of one identity.
pub struct Rotation {
    /// What is renewed.
    pub identity: Identity,
    /// Where it lies on disk.
    pub dir: PathBuf,
    /// This node's own authority, on a coordinator.
    pub own: Option<OwnIssuer>,
    /// Whom else to ask.
    pub coordinators: Coordinators,
    /// The part of a life after which to renew: [`super::life::RENEW_AFTER`].
    pub after: f64,
}

type Issued = (Vec<CertificateDer<'static>>, Vec<CertificateDer<'static>>);

impl Rotation {
    /// Renews whenever it is time, for ever.
    pub async fn run(self) {
        loop {
            let due = Life::of(&self.identity).renewal(self.after, rand::random_range(-1.0..=1.0));
            loop {
                let left = Duration::from_millis(due.0.saturating_sub(clock::now().0));
                if left.is_zero() {
                    break;
                }
                sleep(left.min(NAP_MAX)).await;
            }
            self.renew_until_done().await;
        }
    }

    async fn renew_until_done(&self) {
        let mut pauses = self.pauses();
        while let Err(error) = self.renew().await {
            let (id, ends) = (self.identity.me(), self.identity.not_after());
            tracing::warn!(%id, %ends, error = format!("{error:#}"), "certificate not renewed");
            sleep(pauses.next().unwrap_or(RETRY.1)).await;
        }
        tracing::info!(id = %self.identity.me(), ends = %self.identity.not_after(), "certificate renewed");
    }

    /// A short life is tried again more often, so that several tries fit into what is left of it.
    fn pauses(&self) -> impl Iterator<Item = Duration> + use<> {
        let life = Duration::from_millis(Life::of(&self.identity).len_ms());
        let (first, last) = (RETRY.0.min(life / 30), RETRY.1.min(life / 10));
        ExponentialBuilder::new()
            .with_min_delay(first)
            .with_max_delay(last.max(first))
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// Renews once and puts the new certificate in place.
    ///
    /// # Errors
    /// Why nobody renewed it, or why the answer was not usable; the old one then stays.
    pub async fn renew(&self) -> Result<()> {
        let me = self.identity.me();
        let (key, csr) = if self.identity.not_after() > clock::now() {
            new_key_and_csr(&me.to_string())?
        } else {
            // What has ended is renewed for the same key only: it is the last proof there is.
            let key = read_private(&self.dir.join(KEY_FILE)).context("read the present key")?;
            let csr = csr_of_key(&key, &me.to_string())?;
            (key, csr)
        };
        let (chain, roots) = self.ask(&me, &csr).await?;
        self.identity.save_and_replace(&self.dir, &key, &chain, &roots).context("use the new certificate")
    }

    async fn ask(&self, me: &Principal, csr: &[u8]) -> Result<Issued> {
        let mut why = Vec::new();
        if let Some(own) = &self.own {
            let holder = Holder { id: me.clone(), key: self.identity.key(), late: false };
            let store = Arc::clone(&own.store.borrow());
            match own.issuing.renew(&store, &holder, csr, clock::now()) {
                Ok(chain) => return Ok((chain, own.issuing.roots().to_vec())),
                Err(error) => why.push(format!("own authority: {error}")),
            }
        }
        for coordinator in (self.coordinators)() {
            match timeout(ANSWER_MAX, self.ask_one(me, &coordinator, csr)).await {
                Ok(Ok(issued)) => return Ok(issued),
                Ok(Err(status)) => why.push(format!("{}: {}", coordinator.node, status.message())),
                Err(_) => why.push(format!("{}: no answer within {ANSWER_MAX:?}", coordinator.node)),
            }
        }
        if why.is_empty() {
            bail!("no coordinator is known");
        }
        bail!("{}", why.join("; "))
    }

    async fn ask_one(&self, me: &Principal, coordinator: &Coordinator, csr: &[u8]) -> Result<Issued, tonic::Status> {
        let channel = channel(&self.identity, coordinator.api, Principal::node(&me.mesh, &coordinator.node));
        let request = RenewRequest { csr: csr.to_vec().into() };
        let answer = JoinClient::new(channel).renew(request).await?.into_inner();
        Ok((ders(answer.chain), ders(answer.roots)))
    }
}

/// Certificates as they travel.
pub(crate) fn ders(list: Vec<bytes::Bytes>) -> Vec<CertificateDer<'static>> {
    list.into_iter().map(|it| CertificateDer::from(Vec::from(it))).collect()
}

#[cfg(test)]
#[path = "rotate_tests.rs"]
mod tests;
