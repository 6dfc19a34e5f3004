//! How the screen is connected and how old what it shows is.

use std::{collections::VecDeque, time::Duration};

use mesh_core::{id::Revision, kind::ActivationSpec, time::Timestamp};

use super::PICTURE_STALE_MS;
use crate::{ClusterView, NodesPicture, text::clean};

/// How long a replica may take to apply a revision before it counts as behind: nodes report once a second, and a
/// report travels over a coordinator.
const SETTLE_MS: u64 = 5_000;

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
    /// Revisions and when each was first seen, oldest first; at most one a second and none older than needed.
    seen: VecDeque<(Revision, Timestamp)>,
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
        self.reached(picture.revision, picture.at);
        self.latest = picture.latest;
        self.leader_age_ms = picture.leader_age_ms;
    }

    pub(crate) fn cluster(&mut self, mut cluster: ClusterView, now: Timestamp) {
        cluster.leader = cluster.leader.map(|it| clean(&it, 63));
        cluster.voters.truncate(64);
        for voter in &mut cluster.voters {
            voter.node = clean(&voter.node, 63);
        }
        self.reached(cluster.revision, now);
        self.cluster = Some(cluster);
    }

    fn reached(&mut self, revision: Revision, now: Timestamp) {
        self.revision = self.revision.max(revision);
        match self.seen.back() {
            // What is there when the screen opens is taken for old.
            None => self.seen.push_back((revision, Timestamp::default())),
            Some((last, at)) if *last < revision && at.age_ms(now) >= 1_000 => self.seen.push_back((revision, now)),
            Some(_) => {}
        }
        while self.seen.get(1).is_some_and(|(_, at)| at.age_ms(now) >= SETTLE_MS) {
            self.seen.pop_front();
        }
    }

    /// The newest revision that every replica had time to apply; absent until one is known.
    pub(crate) fn settled(&self, now: Timestamp) -> Option<Revision> {
        self.seen.iter().rev().find(|(_, at)| at.age_ms(now) >= SETTLE_MS).map(|(revision, _)| *revision)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_settles_after_a_while_also_under_a_steady_writer() {
        let at = |ms| Timestamp(1_000_000 + ms);
        let mut link = Link::default();
        assert_eq!(link.settled(at(0)), None);
        link.reached(Revision(7), at(0));
        assert_eq!(link.settled(at(0)), Some(Revision(7)), "what was there at the start");
        link.reached(Revision(8), at(100));
        assert_eq!(link.settled(at(100 + SETTLE_MS - 1)), Some(Revision(7)));
        assert_eq!(link.settled(at(100 + SETTLE_MS)), Some(Revision(8)));
        for step in 1..=600 {
            link.reached(Revision(8 + step), at(100 + step * 100));
        }
        let settled = link.settled(at(60_100)).unwrap();
        assert!((540..=558).contains(&settled.0), "{settled}: a writer at 10 Hz is 50 revisions ahead after 5 s");
        assert!(link.seen.len() <= 7, "{:?}", link.seen);
    }
}
