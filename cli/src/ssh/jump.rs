//! Bastions: one connection each, shared by every host behind it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use super::{config::Target, connection::Connection};
use crate::host::HostError;

/// How long the failure of a bastion speaks for the hosts that come after, so that they do not all wait for it anew.
const FAILED_FOR: Duration = Duration::from_secs(10);

/// The bastions in use, by the whole way to them.
#[derive(Default)]
pub(super) struct Bastions(std::sync::Mutex<BTreeMap<Vec<String>, Arc<Mutex<State>>>>);

/// What is known of a bastion.
#[derive(Default)]
enum State {
    #[default]
    New,
    Up(Arc<Connection>),
    Failed(HostError, Instant),
}

impl Bastions {
    /// The connection to the last of these hosts, made by `open` unless it is there.
    pub(super) async fn get<F>(&self, way: &[Target], open: impl FnOnce() -> F) -> Result<Arc<Connection>, HostError>
    where
        F: Future<Output = Result<Arc<Connection>, HostError>>,
    {
        let key = way.iter().map(Target::address).collect();
        let state = {
            let mut bastions = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(bastions.entry(key).or_default())
        };
        let mut state = state.lock().await;
        match &*state {
            State::Up(connection) if !connection.is_gone() => return Ok(Arc::clone(connection)),
            State::Failed(error, at) if at.elapsed() < FAILED_FOR && !passes(error) => return Err(error.clone()),
            State::New | State::Up(_) | State::Failed(..) => {}
        }
        let opened = open().await;
        *state = match &opened {
            Ok(connection) => State::Up(Arc::clone(connection)),
            Err(error) => State::Failed(error.clone(), Instant::now()),
        };
        opened
    }
}

/// Whether a person may have settled it meanwhile.
fn passes(error: &HostError) -> bool {
    matches!(error, HostError::UnknownKey(_))
}
