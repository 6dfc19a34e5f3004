//! Writes what workers recorded to files, one a worker: `FILE.0`, `FILE.1`, …

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use mesh_strategy::Recorder;
use tokio_util::sync::CancellationToken;

use crate::shared::Shared;

/// What one worker may record between two writes.
const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;
const WRITE_EVERY: Duration = Duration::from_millis(200);

/// One recorder a worker when there is a file to write to.
pub(crate) fn recorders(path: Option<&Path>, workers: usize) -> Vec<Recorder> {
    let workers = if path.is_some() { workers } else { 0 };
    (0..workers).map(|_| Recorder::new(RECORD_BYTES_MAX)).collect()
}

/// Writes until `stop`, and what is left then.
pub(crate) async fn run(path: PathBuf, shared: Arc<Shared>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for index in 0..shared.recorders.len() {
        let name = PathBuf::from(format!("{}.{index}", path.display()));
        files.push(std::fs::File::create(&name).with_context(|| format!("cannot write {}", name.display()))?);
    }
    loop {
        let stopped = tokio::time::timeout(WRITE_EVERY, stop.cancelled()).await.is_ok();
        for (recorder, file) in shared.recorders.iter().zip(&mut files) {
            let (lines, dropped) = recorder.drain();
            if dropped > 0 {
                tracing::warn!(dropped, "the recording has a gap");
            }
            file.write_all(&lines).context("cannot write the recording")?;
        }
        if stopped {
            return Ok(());
        }
    }
}
