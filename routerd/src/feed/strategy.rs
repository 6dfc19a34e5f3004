//! Brings the wanted strategy in: from the cache or the agent, checked again, and says when it cannot.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use mesh_core::{
    id::Digest,
    kind::{ActivationSpec, Brain},
};
use mesh_proto::v1::{self, blobs_client::BlobsClient};
use ring::signature::{ED25519, UnparsedPublicKey};
use tokio::sync::watch;
use tonic::transport::Channel;

use crate::{
    brains::{Loader, Wanted},
    feed::{cache::Cache, view::View},
};

/// The largest module, in bytes.
const MODULE_BYTES_MAX: usize = 1024 * 1024;
const FETCH_LIMIT: Duration = Duration::from_secs(10);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// What the strategy task needs.
pub(crate) struct Bringer {
    /// Loads and swaps.
    pub(crate) loader: Loader,
    /// Where modules are kept.
    pub(crate) cache: Cache,
    /// The agent of this host.
    pub(crate) agent: Channel,
    /// Why the wanted strategy is not the one that decides.
    pub(crate) error: watch::Sender<Option<String>>,
}

impl Bringer {
    /// Follows the activation for ever.
    pub(crate) async fn run(mut self, mut views: watch::Receiver<Arc<View>>) {
        let mut done = 0;
        let mut rest = BACKOFF.0;
        loop {
            let view = views.borrow_and_update().clone();
            let wanted = view.activation.as_ref().filter(|it| it.seq != done);
            let again = match wanted {
                None => None,
                Some(activation) => match self.bring(&view, activation).await {
                    Ok(()) => {
                        done = activation.seq;
                        rest = BACKOFF.0;
                        self.error.send_replace(None);
                        None
                    }
                    Err(error) => {
                        tracing::warn!(strategy = %activation.active, seq = activation.seq, error, "strategy is not loaded");
                        self.error.send_replace(Some(format!("activation {}: {error}", activation.seq)));
                        rest = (rest * 2).min(BACKOFF.1);
                        Some(rest)
                    }
                },
            };
            let changed = match again {
                Some(rest) => tokio::time::timeout(rest, views.changed()).await.unwrap_or(Ok(())),
                None => views.changed().await,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn bring(&mut self, view: &View, activation: &ActivationSpec) -> Result<(), String> {
        let module = match &activation.active {
            Brain::Builtin(_) => None,
            Brain::Wasm { name, digest, .. } => {
                if view.policy.require_signed {
                    let signature = view
                        .strategies
                        .get(name)
                        .filter(|it| it.digest == *digest)
                        .and_then(|it| it.signature.as_deref());
                    check_signature(*digest, signature, &view.policy.trusted_keys)?;
                }
                Some(self.module(*digest).await?)
            }
        };
        let wanted = Wanted { brain: activation.active.clone(), seq: activation.seq, module };
        self.loader.activate(wanted).await?;
        let mut named: BTreeSet<Digest> = view.strategies.values().map(|it| it.digest).collect();
        named.extend(activation.active.digest().into_iter().chain(activation.previous.digest()));
        if let Err(error) = self.cache.retain_strategies(&named) {
            tracing::warn!(%error, "old modules stay on disk");
        }
        Ok(())
    }

    async fn module(&self, digest: Digest) -> Result<Vec<u8>, String> {
        if let Some(bytes) = self.cache.strategy(digest) {
            return Ok(bytes);
        }
        let fetched = tokio::time::timeout(FETCH_LIMIT, fetch(self.agent.clone(), digest)).await;
        let bytes = fetched.map_err(|_| "the agent did not send the module in time".to_owned())??;
        if let Err(error) = self.cache.save_strategy(digest, &bytes) {
            tracing::warn!(%digest, %error, "module cannot be kept on disk");
        }
        Ok(bytes)
    }
}

async fn fetch(agent: Channel, digest: Digest) -> Result<Vec<u8>, String> {
    let said = |status: tonic::Status| format!("the agent has no module {}: {}", digest.short(), status.message());
    let request = v1::BlobRequest { digest: digest.to_string() };
    let mut stream = BlobsClient::new(agent).get(request).await.map_err(said)?.into_inner();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.message().await.map_err(said)? {
        bytes.extend_from_slice(&chunk.data);
        if bytes.len() > MODULE_BYTES_MAX {
            return Err(format!("the module is larger than {MODULE_BYTES_MAX} bytes"));
        }
    }
    let found = crate::brains::sha256(&bytes);
    if found == digest {
        Ok(bytes)
    } else {
        Err(format!("the agent sent a module with digest {found}, wanted is {digest}"))
    }
}

fn check_signature(digest: Digest, signature: Option<&str>, keys: &[String]) -> Result<(), String> {
    let signature = signature.ok_or("the policy asks for a signature and the strategy has none")?;
    let signature = unhex(signature).ok_or("the signature is not hex")?;
    let signed = |key: &String| {
        unhex(key).is_some_and(|key| UnparsedPublicKey::new(&ED25519, key).verify(&digest.0, &signature).is_ok())
    };
    if keys.iter().any(signed) {
        Ok(())
    } else {
        Err("the signature is by none of the policy's trusted keys".to_owned())
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|it| it.len() == 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|it| format!("{it:02x}")).collect()
    }

    #[test]
    fn a_signature_counts_when_a_trusted_key_made_it() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let digest = crate::brains::sha256(b"module");
        let good = hex(pair.sign(&digest.0).as_ref());
        let key = hex(pair.public_key().as_ref());
        assert_eq!(check_signature(digest, Some(&good), std::slice::from_ref(&key)), Ok(()));
        let other = hex(Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap().public_key().as_ref());
        assert!(check_signature(digest, Some(&good), &[other]).is_err());
        assert!(check_signature(digest, None, std::slice::from_ref(&key)).is_err());
        assert!(check_signature(digest, Some("zz"), std::slice::from_ref(&key)).is_err());
        assert!(check_signature(crate::brains::sha256(b"another"), Some(&good), &[key]).is_err());
    }
}
