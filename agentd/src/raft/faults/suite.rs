//! openraft's own suite for logs and machines, against ours on a real disk.

use std::sync::Arc;

use mesh_core::id::Lineage;
use openraft::{
    StorageError,
    testing::log::{StoreBuilder, Suite},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::super::{
    failure::FailureSender,
    files::Directory,
    journal::RedbJournal,
    log::Log,
    machine::{Machine, MachineConfig},
    types::Types,
};

struct Builder;

impl StoreBuilder<Types, Log, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError<Types>> {
        let dir = TempDir::new().unwrap();
        let file =
            std::fs::File::options().read(true).write(true).create_new(true).open(dir.path().join("log.redb")).unwrap();
        let (journal, image) = RedbJournal::open(redb::backends::FileBackend::new(file).unwrap()).unwrap();
        let (log, writer) = Log::new(journal, image, FailureSender::new());
        writer.spawn_thread().unwrap();
        let files = Arc::new(Directory::open(dir.path().join("snapshots")).unwrap());
        let config =
            MachineConfig { cluster: "suite".to_owned(), lineage: Lineage(0), files, stop: CancellationToken::new() };
        Ok((dir, log, Machine::new(config)))
    }
}

#[test]
fn openrafts_storage_suite_passes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(Builder)).unwrap();
}
