//! Which strategy decides: loads it beside the old one, swaps every worker between two decisions, and says so.

pub(crate) mod maker;
pub(crate) mod version;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mesh_core::{id::Digest, kind::Brain};
use mesh_strategy::{DecisionOutcome, Host, HostConfig, StrategyBreaker, builtin, host::EPOCH_TICK_MS};

use crate::{
    brains::{
        maker::INSTANCES_MAX,
        version::{Code, Version},
    },
    shared::Shared,
    worker::control::Workers,
};

/// A swap that takes longer than this is reported as failed.
const SWAP_WAIT: Duration = Duration::from_secs(10);

/// A strategy as it is wanted.
pub(crate) struct Wanted {
    /// Built-in, or name and digest of a module.
    pub(crate) brain: Brain,
    /// The activation's number.
    pub(crate) seq: u64,
    /// The module, for one that is not built in.
    pub(crate) module: Option<Vec<u8>>,
}

/// Loads strategies; one owner.
pub(crate) struct Loader {
    shared: Arc<Shared>,
    workers: Workers,
    host: Option<Host>,
    number: u64,
    stop: Arc<AtomicBool>,
}

impl Loader {
    /// A loader that has loaded nothing.
    pub(crate) fn new(shared: Arc<Shared>, workers: Workers) -> Self {
        Self { shared, workers, host: None, number: 0, stop: Arc::default() }
    }

    /// Makes the wanted strategy the one that decides, in every worker; on an error the old one goes on.
    pub(crate) async fn activate(&mut self, wanted: Wanted) -> Result<(), String> {
        let code = match &wanted.brain {
            Brain::Builtin(which) => {
                builtin::by_name(which.as_str(), 0)
                    .ok_or_else(|| format!("no built-in strategy is named `{}`", which.as_str()))?;
                Code::Builtin
            }
            Brain::Wasm { digest, .. } => self.compile(wanted.module.unwrap_or_default(), *digest).await?,
        };
        self.number += 1;
        let (name, version) = (wanted.brain.name().to_owned(), wanted.brain.version().to_owned());
        self.shared.metrics.add_strategy(&name, &version);
        let decisions = DecisionOutcome::ALL.map(|it| self.shared.metrics.decisions(&name, &version, it.as_str()));
        let version = Arc::new(Version {
            number: self.number,
            seq: wanted.seq,
            digest: wanted.brain.digest(),
            breaker: Arc::new(StrategyBreaker::default()),
            name,
            version,
            decisions,
            code,
        });
        let (fleet, seed) = (self.shared.fleet.clone(), self.shared.mesh_seed);
        self.shared.maker.activate(version.clone(), fleet, seed).await?;
        self.shared.active.store(Some(version.clone()));
        let swapped = tokio::time::timeout(SWAP_WAIT, self.swapped(&version)).await;
        swapped.map_err(|_| "not every worker swapped in time".to_owned())?;
        self.shared.running.store(Some(version.clone()));
        self.shared.activated.notify_one();
        tracing::info!(strategy = version.name, version = version.version, seq = version.seq, "strategy active");
        Ok(())
    }

    /// Checks the digest, then checks and compiles on a thread of its own.
    async fn compile(&mut self, module: Vec<u8>, digest: Digest) -> Result<Code, String> {
        let found = sha256(&module);
        if found != digest {
            return Err(format!("the module has digest {found}, wanted is {digest}"));
        }
        let host = match &self.host {
            Some(host) => host.clone(),
            None => {
                // Twice as many as live at once: during a swap both versions do.
                let instances = u32::try_from(2 * INSTANCES_MAX + 64).unwrap_or(u32::MAX);
                let host = Host::new(HostConfig { instances }).map_err(|error| error.to_string())?;
                self.start_epochs(host.clone())?;
                self.host = Some(host.clone());
                host
            }
        };
        let loaded = tokio::task::spawn_blocking(move || host.load(&module)).await;
        let plugin = loaded.map_err(|error| format!("the check of the module ended early: {error}"))?;
        plugin.map(Code::Wasm).map_err(|error| error.to_string())
    }

    fn start_epochs(&self, host: Host) -> Result<(), String> {
        let stop = self.stop.clone();
        let tick = Duration::from_millis(EPOCH_TICK_MS);
        let run = move || {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(tick);
                host.increment_epoch();
            }
        };
        let started = std::thread::Builder::new().name("epochs".to_owned()).spawn(run);
        started.map(drop).map_err(|error| format!("cannot start the epoch thread: {error}"))
    }

    /// Waits until every worker that has an instance has this one.
    async fn swapped(&self, version: &Version) {
        loop {
            let seated = self.shared.seated.notified();
            self.workers.turn().await;
            let models = self.shared.fleet.models();
            let waits = models.values().flat_map(|table| table.mail.iter()).any(|it| {
                let number = it.seated();
                number != 0 && number < version.number
            });
            if !waits {
                return;
            }
            // A worker whose mailbox was being written to looks again at its next turn.
            let _ = tokio::time::timeout(Duration::from_millis(10), seated).await;
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    Digest(out)
}
