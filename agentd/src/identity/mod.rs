//! This node's identity over time: it renews its certificate, issues others' on a coordinator, and follows revocations.

pub mod issue;
pub mod join;
pub mod join_router;
pub mod keygen;
pub mod life;
pub mod rotate;
pub mod service;
pub mod show;
pub mod token;

use std::sync::Arc;

use mesh_core::{rbac, store::Store};
use mesh_proto::tls::Identity;
use tokio::sync::watch;

pub use self::{
    issue::Issuing,
    life::{Life, RENEW_AFTER},
    rotate::{Coordinators, OwnIssuer, Rotation},
    service::JoinService,
};

/// Denies whom desired state denies, for as long as there is desired state.
pub async fn follow_revocations(identity: Identity, mut store: watch::Receiver<Arc<Store>>) {
    loop {
        let denied = rbac::revoked(&store.borrow_and_update());
        identity.deny(denied);
        if store.changed().await.is_err() {
            return;
        }
    }
}
