//! A write as data: what is asked, on which condition, and what became of it.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::change::Record;
use crate::{
    id::{Principal, RequestId, Revision},
    object::Key,
    time::Timestamp,
};

/// The highest feature level this build applies.
pub const LEVEL_SUPPORTED: u16 = 1;
/// The largest spec of one object, in bytes.
pub const OBJECT_BYTES_MAX: usize = 256 * 1024;
/// The largest command, in bytes as [`Command::size_bytes`] counts them.
pub const COMMAND_BYTES_MAX: usize = 1024 * 1024;
/// The most operations in one command.
pub const COMMAND_OPS_MAX: usize = 128;
/// The most bytes of all keys and specs; what deletes or shrinks passes above it.
pub const STORE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// From here on the store's size deserves a warning, in bytes.
pub const STORE_BYTES_WARN: u64 = STORE_BYTES_MAX / 2;
/// The longest reason an operator may give, in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// One atomic write: all of its operations take effect in one revision, or none does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Repeated unchanged by every retry, so that the write takes effect once.
    pub id: RequestId,
    /// Who asked.
    pub actor: Principal,
    /// The time the leader stamped on it; the only clock `apply` knows.
    pub at: Timestamp,
    /// The feature level its operations need.
    pub level: u16,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// What to do, in order; no key twice.
    pub ops: Vec<Op>,
}

impl Command {
    /// The level a replica must support to apply this: the command's own, or the one it raises the store to.
    #[must_use]
    pub fn level_needed(&self) -> u16 {
        let raised = self.ops.iter().filter_map(|op| if let Op::SetLevel(level) = op { Some(*level) } else { None });
        raised.fold(self.level, u16::max)
    }

    /// Checks what does not depend on the store: sizes, and that no object is named twice.
    ///
    /// # Errors
    /// The [`Reason`] for which every store refuses it.
    pub fn check(&self) -> Result<(), Reason> {
        let count = self.ops.len();
        if count > COMMAND_OPS_MAX {
            return Err(Reason::TooManyOps { count: count as u64 });
        }
        let mut named = BTreeSet::new();
        for op in &self.ops {
            if let Op::Put { key, .. } | Op::Delete { key, .. } = op
                && !named.insert(key)
            {
                return Err(Reason::Twice { key: key.clone() });
            }
            if let Op::Put { key, spec, .. } = op
                && spec.len() > OBJECT_BYTES_MAX
            {
                return Err(Reason::ObjectTooLarge { key: key.clone(), bytes: spec.len() as u64 });
            }
        }
        let bytes = self.size_bytes();
        if bytes > COMMAND_BYTES_MAX as u64 {
            return Err(Reason::CommandTooLarge { bytes });
        }
        match &self.reason {
            Some(reason) if reason.len() > REASON_BYTES_MAX => {
                Err(Reason::ReasonTooLong { bytes: reason.len() as u64 })
            }
            _ => Ok(()),
        }
    }

    /// The bytes of its names, specs and reason, plus 64 for each operation.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let op = |op: &Op| match op {
            Op::Put { key, spec, .. } => key.name.as_str().len() + spec.len(),
            Op::Delete { key, .. } => key.name.as_str().len(),
            Op::Compact { .. } | Op::SetLevel(_) | Op::Checkpoint { .. } => 0,
        };
        let ops: usize = self.ops.iter().map(|it| 64 + op(it)).sum();
        (ops + self.reason.as_ref().map_or(0, String::len)) as u64
    }
}

/// One operation of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Declares an object; the same spec again changes nothing.
    Put {
        /// Which object.
        key: Key,
        /// Canonical JSON, at most [`OBJECT_BYTES_MAX`].
        spec: Bytes,
        /// The condition on what is there.
        expect: Expect,
    },
    /// Removes an object; an absent one changes nothing under [`Expect::Any`].
    Delete {
        /// Which object.
        key: Key,
        /// The condition on what is there.
        expect: Expect,
    },
    /// Forgets the history up to and including this revision.
    Compact {
        /// The last revision that is forgotten.
        upto: Revision,
    },
    /// Raises the store's feature level; it never goes down.
    SetLevel(u16),
    /// States the leader's record of a revision; every replica compares its own.
    Checkpoint {
        /// The revision the record is of.
        revision: Revision,
        /// What the leader had there.
        record: Record,
    },
}

/// A condition on the object that an operation meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there.
    Any,
    /// Nothing is there.
    Absent,
    /// The object is there and was last changed at this revision.
    At(Revision),
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It took effect as this revision.
    Done {
        /// The revision it made.
        revision: Revision,
    },
    /// All of it was true already.
    Unchanged {
        /// The store's revision at that moment.
        revision: Revision,
    },
    /// A condition did not hold; nothing took effect.
    Conflict {
        /// The object it did not hold for.
        key: Key,
        /// The object's revision; `None` when there is no such object.
        found: Option<Revision>,
    },
    /// The store does not take it; nothing took effect.
    Refused(Reason),
    /// The same request was applied before; this is what became of it then.
    Repeated(Box<Outcome>),
}

impl Outcome {
    /// The outcome of the first application, whether this is it or a repetition.
    #[must_use]
    pub fn first(&self) -> &Self {
        match self {
            Self::Repeated(first) => first.first(),
            Self::Done { .. } | Self::Unchanged { .. } | Self::Conflict { .. } | Self::Refused(_) => self,
        }
    }

    /// The revision from which a reader sees the effect; `None` when there is none.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        match self.first() {
            Self::Done { revision } | Self::Unchanged { revision } => Some(*revision),
            Self::Conflict { .. } | Self::Refused(_) | Self::Repeated(_) => None,
        }
    }
}

/// Why the store refuses a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Reason {
    /// More operations than [`COMMAND_OPS_MAX`].
    #[error("{count} operations in one command, at most {COMMAND_OPS_MAX} are taken: split it")]
    TooManyOps {
        /// How many there were.
        count: u64,
    },
    /// A command above [`COMMAND_BYTES_MAX`].
    #[error("the command has {bytes} bytes, at most {COMMAND_BYTES_MAX} are taken: split it")]
    CommandTooLarge {
        /// Its size.
        bytes: u64,
    },
    /// A spec above [`OBJECT_BYTES_MAX`].
    #[error(
        "{key} has {bytes} bytes, at most {OBJECT_BYTES_MAX} are taken: large content belongs into the content store"
    )]
    ObjectTooLarge {
        /// Which object.
        key: Key,
        /// The size of its spec.
        bytes: u64,
    },
    /// A reason above [`REASON_BYTES_MAX`].
    #[error("the reason has {bytes} bytes, at most {REASON_BYTES_MAX} are taken: shorten it")]
    ReasonTooLong {
        /// Its size.
        bytes: u64,
    },
    /// The store would grow above [`STORE_BYTES_MAX`].
    #[error(
        "the store would have {bytes} bytes, at most {STORE_BYTES_MAX} are kept: delete objects that are no longer needed"
    )]
    StoreFull {
        /// The size it would have.
        bytes: u64,
    },
    /// The command names one object twice.
    #[error("{key} is named twice in one command: name it once")]
    Twice {
        /// Which object.
        key: Key,
    },
    /// The command needs a feature level the mesh has not switched on.
    #[error("the command needs feature level {needed}, the mesh is at {level}: upgrade the coordinators")]
    Level {
        /// What it needs.
        needed: u16,
        /// What the store has.
        level: u16,
    },
    /// The command would lower the feature level.
    #[error("feature level {asked} is below the mesh's {level}, which never goes down")]
    LevelDown {
        /// What was asked.
        asked: u16,
        /// What the store has.
        level: u16,
    },
    /// A compaction of revisions that do not exist yet.
    #[error("cannot compact up to revision {upto}, the store is at {revision}")]
    CompactAhead {
        /// What was asked.
        upto: Revision,
        /// What the store has.
        revision: Revision,
    },
}
