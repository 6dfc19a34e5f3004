//! Makes this node's blobs those that desired state refers to: fetches what is missing, forgets what nobody needs.

use std::{collections::BTreeSet, time::Duration};

use mesh_core::{
    id::Digest,
    kind::{ActivationSpec, Kind, StrategySpec, parse},
    store::Store,
};
use tokio::time::timeout;

use super::fetch::Fetcher;
use crate::desired::Desired;

/// A missing blob is asked for again after this time.
const RETRY: Duration = Duration::from_secs(2);
/// Without news the disk is looked at this often.
const EVERY: Duration = Duration::from_secs(60);
/// An unreferenced blob stays so long: it is uploaded before the object that refers to it.
const GRACE: Duration = Duration::from_secs(3600);

/// Every blob that desired state refers to.
#[must_use]
pub fn referenced(store: &Store) -> BTreeSet<Digest> {
    let strategies =
        store.list(Kind::Strategy).filter_map(|it| parse::<StrategySpec>(&it.spec).ok()).map(|it| it.digest);
    let activations = store.list(Kind::Activation).filter_map(|it| parse::<ActivationSpec>(&it.spec).ok());
    let active = activations.flat_map(|it| [it.active.digest(), it.previous.digest()]).flatten();
    strategies.chain(active).collect()
}

/// Keeps the blobs; runs until dropped.
///
/// # Errors
/// When desired state ends.
pub async fn run(fetcher: Fetcher, desired: Desired) -> Result<(), String> {
    let mut store = desired.watch();
    loop {
        let wanted = referenced(&store.borrow_and_update());
        let missing = fetch_missing(&fetcher, &wanted).await;
        forget(&fetcher, &wanted);
        let pause = if missing { RETRY } else { EVERY };
        if let Ok(Err(_)) = timeout(pause, store.changed()).await {
            return Err("desired state has ended".to_owned());
        }
    }
}

async fn fetch_missing(fetcher: &Fetcher, wanted: &BTreeSet<Digest>) -> bool {
    let mut missing = false;
    for digest in wanted {
        if let Err(error) = fetcher.ensure(*digest).await {
            missing = true;
            tracing::warn!(%digest, %error, "blob is missing");
        }
    }
    missing
}

fn forget(fetcher: &Fetcher, wanted: &BTreeSet<Digest>) {
    let stored = match fetcher.blobs().list() {
        Ok(stored) => stored,
        Err(error) => {
            tracing::warn!(%error, "blobs cannot be listed");
            return;
        }
    };
    for blob in stored.iter().filter(|it| it.age > GRACE && !wanted.contains(&it.digest)) {
        match fetcher.blobs().remove(blob.digest) {
            Ok(()) => {
                tracing::info!(digest = %blob.digest, bytes = blob.size_bytes, "blob forgotten, nothing refers to it");
            }
            Err(error) => tracing::warn!(digest = %blob.digest, %error, "blob cannot be removed"),
        }
    }
}
