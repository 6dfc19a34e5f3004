//! How the screen is connected and how old what it shows is.

use std::time::Duration;

use mesh_core::{id::Revision, kind::ActivationSpec, time::Timestamp};

use super::PICTURE_STALE_MS;
use crate::{ClusterView, NodesPicture, text::clean};

/// Whether there is a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Session {
    /// Not yet.
    #[default]
    Connecting,
    /// An agent answers.
    Up(String),
    /// None does.
    Down { why: String, attempt: u32, retry_at: Timestamp },
}

/// The connection, and what only it tells.
#[derive(Debug, Default)]
pub(crate) struct Link {
    pub(crate) session: Session,
    pub(crate) picture_at: Option<Timestamp>,
    pub(crate) revision: Revision,
    pub(crate) latest: bool,
    pub(crate) leader_age_ms: Option<u64>,
    pub(crate) cluster: Option<ClusterView>,
    /// Absent = not told yet; told and absent = none was ever activated.
    pub(crate) strategy: Option<Option<ActivationSpec>>,
    pub(crate) dropped: u64,
}

impl Link {
    pub(crate) fn picture(&mut self, picture: &NodesPicture) {
        self.picture_at = Some(picture.at);
        self.revision = self.revision.max(picture.revision);
        self.latest = picture.latest;
        self.leader_age_ms = picture.leader_age_ms;
    }

    pub(crate) fn cluster(&mut self, mut cluster: ClusterView) {
        cluster.leader = cluster.leader.map(|it| clean(&it, 63));
        cluster.voters.truncate(64);
        for voter in &mut cluster.voters {
            voter.node = clean(&voter.node, 63);
        }
        self.revision = self.revision.max(cluster.revision);
        self.cluster = Some(cluster);
    }

    pub(crate) fn up(&mut self, endpoint: &str) {
        self.session = Session::Up(clean(endpoint, 80));
    }

    pub(crate) fn down(&mut self, why: &str, attempt: u32, retry_in: Duration, now: Timestamp) {
        let wait_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
        self.session = Session::Down { why: clean(why, 200), attempt, retry_at: now.plus_ms(wait_ms) };
    }

    /// Age of the newest picture in milliseconds.
    pub(crate) fn age_ms(&self, now: Timestamp) -> Option<u64> {
        self.picture_at.map(|it| it.age_ms(now))
    }

    /// Whether what is shown is what is.
    pub(crate) fn is_fresh(&self, now: Timestamp) -> bool {
        !matches!(self.session, Session::Down { .. }) && self.age_ms(now).is_some_and(|it| it <= PICTURE_STALE_MS)
    }
}
