//! The history of the store: what each revision changed, gap free, for watchers and followers.

use std::sync::Arc;

use super::Store;
use crate::{
    id::{Digest, Principal, RequestId, Revision},
    object::{Key, Object},
    time::Timestamp,
};

/// Everything one revision changed, and who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The revision that this made.
    pub revision: Revision,
    /// The request that asked for it.
    pub id: RequestId,
    /// Who asked.
    pub actor: Principal,
    /// When, by the leader's clock.
    pub at: Timestamp,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// What changed, in the order of the command.
    pub edits: Vec<Edit>,
}

/// One changed thing of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The object is now this.
    Put(Arc<Object>),
    /// The object is gone.
    Delete(Key),
    /// The feature level is now this.
    Level(u16),
}

/// The history asked for is forgotten: read everything anew, then follow from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("history before revision {oldest} is compacted: read the objects anew and follow from their revision")]
pub struct Compacted {
    /// The lowest revision `changes` can start after.
    pub oldest: Revision,
}

/// Why a follower cannot take a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdvanceError {
    /// The change does not continue the store's history.
    #[error("change {found} does not follow revision {have}")]
    Gap {
        /// The store's revision.
        have: Revision,
        /// The change's.
        found: Revision,
    },
    /// The change raises the feature level above what this build applies.
    #[error("change needs feature level {0}: upgrade this node")]
    Level(u16),
}

/// What a replica was at one revision, in two digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Of the objects, the feature level and the revision; followers have it too.
    pub digest: Digest,
    /// Of the remembered requests; only voters have them.
    pub requests: Digest,
}

/// This replica and the leader disagree about the content of one revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("replicas differ at revision {revision}: the leader states {}, this node has {}", stated.digest, own.digest)]
pub struct Divergence {
    /// Where they differ.
    pub revision: Revision,
    /// What the leader stated.
    pub stated: Record,
    /// What this replica has.
    pub own: Record,
}

impl Store {
    /// All changes after a revision in order, without a gap; none when the store is not beyond it.
    ///
    /// # Errors
    /// [`Compacted`] when the history no longer reaches back to `after`.
    pub fn changes(&self, after: Revision) -> Result<impl Iterator<Item = &Arc<Change>>, Compacted> {
        if after < self.floor {
            return Err(Compacted { oldest: self.floor });
        }
        Ok(self.history.iter_from(move |revision| *revision <= after).map(|(_, change)| change))
    }

    /// Takes the next change of a leader's history: the follower's way forward, by the same code as `apply`.
    ///
    /// # Errors
    /// [`AdvanceError`] when the change is not the next one or needs a newer build; the store is unchanged then.
    pub fn advance(&mut self, change: &Arc<Change>) -> Result<(), AdvanceError> {
        if self.revision.0.checked_add(1) != Some(change.revision.0) {
            return Err(AdvanceError::Gap { have: self.revision, found: change.revision });
        }
        let level = change
            .edits
            .iter()
            .filter_map(|edit| if let Edit::Level(level) = edit { Some(*level) } else { None })
            .max();
        if let Some(level) = level.filter(|level| *level > super::LEVEL_SUPPORTED) {
            return Err(AdvanceError::Level(level));
        }
        self.now = self.now.max(change.at);
        self.commit(Arc::clone(change));
        self.mark();
        Ok(())
    }

    /// Compares a leader's record of a revision with this replica's own; the first difference is remembered.
    ///
    /// A revision this replica keeps no record of is not compared.
    pub(crate) fn compare(&mut self, revision: Revision, stated: Record) {
        if let Some(own) = self.record(revision).filter(|own| *own != stated) {
            self.divergence.get_or_insert(Divergence { revision, stated, own });
        }
    }
}
