//! What this node says of itself: put together anew whenever it is asked, so that every age is right.

use std::{fs, io, io::Read, sync::Arc, time::Instant};

use mesh_core::{
    id::{Digest, NodeName},
    status::{NodeStatus, RouterSample},
    store::Store,
};
use tokio::sync::watch;

use super::ObserveConfig;
use crate::telemetry::LocalSample;

/// The digest (SHA-256) of the executable that runs, read once at the start.
///
/// # Errors
/// When the executable cannot be read any more.
pub fn own_digest() -> io::Result<Digest> {
    let mut file = fs::File::open("/proc/self/exe")?;
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        context.update(&buffer[..len]);
    }
    let mut digest = Digest::default();
    digest.0.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}

/// What the router of this node said last, and when.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RouterReport {
    pub(super) sample: RouterSample,
    pub(super) at: Instant,
}

/// The sources of a node's own status; clones see the same.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) config: Arc<ObserveConfig>,
    pub(super) store: watch::Receiver<Arc<Store>>,
    pub(super) local: watch::Receiver<Arc<LocalSample>>,
    pub(super) generation: watch::Receiver<u64>,
    pub(super) router: watch::Receiver<Option<RouterReport>>,
    pub(super) unreachable: watch::Receiver<Arc<Vec<NodeName>>>,
}

impl Own {
    /// The status of this instant.
    pub(super) fn status(&self) -> NodeStatus {
        let now = Instant::now();
        let local = Arc::clone(&self.local.borrow());
        let age_ms = |at: Instant| u32::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u32::MAX);
        let engines = local.engines.iter().map(|reading| {
            let mut sample = reading.sample.clone();
            sample.age_ms = age_ms(reading.read_at);
            sample
        });
        let router = self.router.borrow().as_ref().map(|report| {
            let mut sample = report.sample.clone();
            sample.age_ms = sample.age_ms.saturating_add(age_ms(report.at));
            sample
        });
        NodeStatus {
            node: self.config.node.clone(),
            generation: *self.generation.borrow(),
            version: self.config.version.clone(),
            digest: self.config.digest,
            applied: self.store.borrow().revision(),
            host: local.host.clone(),
            gpus: local.gpus.clone(),
            engines: engines.collect(),
            router,
            unreachable: self.unreachable.borrow().to_vec(),
        }
    }

    /// Waits until the status is another; numbers that only grew older do not count.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            () = moved(&mut self.store) => {}
            () = moved(&mut self.local) => {}
            () = moved(&mut self.generation) => {}
            () = moved(&mut self.router) => {}
            () = moved(&mut self.unreachable) => {}
        }
    }
}

/// Waits for the next value; for ever when its source has ended, for then the daemon stops.
pub(super) async fn moved<T>(source: &mut watch::Receiver<T>) {
    if source.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_running_executable() {
        let bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
        let expected = ring::digest::digest(&ring::digest::SHA256, &bytes);
        assert_eq!(own_digest().unwrap().0, expected.as_ref());
    }
}
