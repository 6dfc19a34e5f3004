//! Where the log becomes durable: an ordered list of records, written in batches with one sync each.

use std::{collections::BTreeMap, io, time::Duration};

use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::types::{Entry, LogId, Vote};

const ENTRIES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("entries");
const HEAD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("head");
const FORMAT: u16 = 1;
/// The log is small and also held in memory: a cache needs little.
const CACHE_BYTES: usize = 8 * 1024 * 1024;

/// One step of the log, in the order it was asked for.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// New entries at the end.
    Append(Vec<Entry>),
    /// Entries from this index on are gone.
    Truncate(u64),
    /// Entries up to this one are gone, as a snapshot covers them.
    Purge(LogId),
    /// The vote is now this.
    Vote(Vote),
    /// This much is known to be committed.
    Committed(Option<LogId>),
}

/// The log as a journal holds it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Image {
    pub(crate) entries: BTreeMap<u64, Entry>,
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// The bytes of the entries' commands.
    pub(crate) bytes: u64,
}

fn weight(entry: &Entry) -> u64 {
    if let openraft::EntryPayload::Normal(payload) = &entry.payload { payload.0.len() as u64 } else { 0 }
}

impl Image {
    /// Takes one step.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Append(entries) => {
                for entry in entries {
                    self.bytes += weight(entry);
                    self.entries.insert(entry.log_id.index, entry.clone());
                }
            }
            Record::Truncate(from) => {
                let gone = self.entries.split_off(from);
                self.bytes -= gone.values().map(weight).sum::<u64>();
            }
            Record::Purge(upto) => {
                let kept = self.entries.split_off(&(upto.index + 1));
                self.entries = kept;
                self.bytes = self.entries.values().map(weight).sum();
                self.purged = Some(*upto);
            }
            Record::Vote(vote) => self.vote = Some(*vote),
            Record::Committed(committed) => self.committed = *committed,
        }
    }

    /// The id of the last entry, or of the last purged one.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.entries.values().next_back().map(|entry| entry.log_id).or(self.purged)
    }
}

/// A durable home for the log: after `write` returned, a power cut loses none of the batch; before, any suffix of it.
pub(crate) trait Journal: Send + 'static {
    /// Writes and syncs a batch in order.
    fn write(&mut self, batch: &[Record]) -> io::Result<()>;

    /// How long a simulated disk takes for the next batch; a real one takes its time in `write`.
    fn delay(&mut self) -> Option<Duration> {
        None
    }
}

/// The journal in a redb database.
pub(crate) struct RedbJournal {
    db: Database,
}

impl RedbJournal {
    /// Opens or creates the journal and reads what it holds.
    pub(crate) fn open(backend: impl StorageBackend) -> io::Result<(Self, Image)> {
        let db =
            Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend).map_err(io::Error::other)?;
        let image = load(&db)?;
        let mut journal = Self { db };
        if image.is_none() {
            journal.write(&[])?;
        }
        Ok((journal, image.unwrap_or_default()))
    }
}

impl Journal for RedbJournal {
    fn write(&mut self, batch: &[Record]) -> io::Result<()> {
        let transaction = self.db.begin_write().map_err(io::Error::other)?;
        {
            let mut entries = transaction.open_table(ENTRIES).map_err(io::Error::other)?;
            let mut head = transaction.open_table(HEAD).map_err(io::Error::other)?;
            if head.get("format").map_err(io::Error::other)?.is_none() {
                head.insert("format", FORMAT.to_le_bytes().as_slice()).map_err(io::Error::other)?;
            }
            for record in batch {
                match record {
                    Record::Append(new) => {
                        for entry in new {
                            entries.insert(entry.log_id.index, seal(entry)?.as_slice()).map_err(io::Error::other)?;
                        }
                    }
                    Record::Truncate(from) => entries.retain_in(*from.., |_, _| false).map_err(io::Error::other)?,
                    Record::Purge(upto) => {
                        entries.retain_in(..=upto.index, |_, _| false).map_err(io::Error::other)?;
                        head.insert("purged", seal(upto)?.as_slice()).map_err(io::Error::other)?;
                    }
                    Record::Vote(vote) => drop(head.insert("vote", seal(vote)?.as_slice()).map_err(io::Error::other)?),
                    Record::Committed(committed) => {
                        head.insert("committed", seal(committed)?.as_slice()).map_err(io::Error::other)?;
                    }
                }
            }
        }
        transaction.commit().map_err(io::Error::other)
    }
}

fn load(db: &Database) -> io::Result<Option<Image>> {
    let transaction = db.begin_read().map_err(io::Error::other)?;
    let head = match transaction.open_table(HEAD) {
        Ok(head) => head,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(io::Error::other(error)),
    };
    let format = head.get("format").map_err(io::Error::other)?.map(|it| it.value().to_vec());
    if format.as_deref() != Some(FORMAT.to_le_bytes().as_slice()) {
        return Err(damaged(format!("log format {format:?} is not known to this build: upgrade this node")));
    }
    let mut image = Image::default();
    if let Some(value) = head.get("vote").map_err(io::Error::other)? {
        image.vote = Some(unseal("vote", value.value())?);
    }
    if let Some(value) = head.get("purged").map_err(io::Error::other)? {
        image.purged = Some(unseal("purged position", value.value())?);
    }
    if let Some(value) = head.get("committed").map_err(io::Error::other)? {
        image.committed = unseal("committed position", value.value())?;
    }
    let entries = transaction.open_table(ENTRIES).map_err(io::Error::other)?;
    let mut next = image.purged.map(|purged| purged.index + 1);
    for row in entries.iter().map_err(io::Error::other)? {
        let (index, value) = row.map_err(io::Error::other)?;
        let entry: Entry = unseal("entry", value.value())?;
        if entry.log_id.index != index.value() || next.is_some_and(|next| next != index.value()) {
            return Err(damaged(format!("log entry {} does not follow the one before it", index.value())));
        }
        next = Some(index.value() + 1);
        image.bytes += weight(&entry);
        image.entries.insert(index.value(), entry);
    }
    Ok(Some(image))
}

fn damaged(what: String) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what}: replace this coordinator (remove it, empty its data directory, add it anew)"),
    )
}

/// A value with the checksum in front of it.
fn seal(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let body = postcard::to_extend(value, vec![0; 4]).map_err(io::Error::other)?;
    let mut sealed = body;
    let crc = crc32fast::hash(&sealed[4..]);
    sealed[..4].copy_from_slice(&crc.to_le_bytes());
    Ok(sealed)
}

fn unseal<T: serde::de::DeserializeOwned>(what: &str, sealed: &[u8]) -> io::Result<T> {
    let (crc, body) =
        sealed.split_first_chunk::<4>().ok_or_else(|| damaged(format!("{what} in the log is cut short")))?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
        return Err(damaged(format!("{what} in the log has a wrong checksum")));
    }
    postcard::from_bytes(body).map_err(|error| damaged(format!("{what} in the log cannot be read: {error}")))
}
