//! Reads the logs of some units together, wherever they are.

use std::{io, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until},
};

use super::{Filter, Home, Line, LogsError, Unit, Wanted, file::Tail, journal::Journal, newest};

/// Files are looked at this often while nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After a piece the next one is taken at the earliest after this: it bounds the rate of one reader.
const PIECE_EVERY: Duration = Duration::from_millis(50);

/// Lines that came together.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The lines, in their order.
    pub lines: Vec<Line>,
    /// Whether something before them is missing.
    pub gap: bool,
}

/// Goes on reading where the past ends.
#[derive(Debug)]
pub struct Reader {
    filter: Filter,
    source: Source,
    next: Instant,
}

#[derive(Debug)]
enum Source {
    Files(Vec<Tail>),
    Journal(Box<Journal>),
}

impl Reader {
    /// Reads the past as far as it is wanted, and gives what reads on.
    ///
    /// # Errors
    /// [`LogsError`] when the node has none of the logs, or they cannot be read.
    pub async fn open(home: &Home, wanted: Wanted) -> Result<(Vec<Line>, Self), LogsError> {
        let Wanted { units, follow, lines: most, filter } = wanted;
        let (lines, source) = match home {
            Home::Dir(dir) => {
                let (dir, filter) = (dir.clone(), filter.clone());
                let open = move || files(&dir, &units, &filter, (most, follow));
                let (lines, tails) =
                    spawn_blocking(open).await.map_err(io::Error::other).map_err(LogsError::read("logs"))??;
                (lines, Source::Files(tails))
            }
            Home::Journal(program) => {
                let (lines, journal) = Journal::open(program, &units, &filter, most).await?;
                (lines, Source::Journal(Box::new(journal)))
            }
        };
        Ok((newest(lines, most), Self { filter, source, next: Instant::now() }))
    }

    /// Waits for what is written next; `None` when the journal has ended.
    ///
    /// # Errors
    /// What could not be read.
    pub async fn next(&mut self) -> Result<Option<Chunk>, LogsError> {
        sleep_until(self.next).await;
        let chunk = match &mut self.source {
            Source::Journal(journal) => journal.next(&self.filter).await?,
            Source::Files(tails) => Some(grown(tails, &self.filter).await?),
        };
        self.next = Instant::now() + PIECE_EVERY;
        Ok(chunk)
    }
}

async fn grown(tails: &mut Vec<Tail>, filter: &Filter) -> Result<Chunk, LogsError> {
    loop {
        let mut taken = std::mem::take(tails);
        let look = move || {
            let mut chunk = Chunk::default();
            for tail in &mut taken {
                let (lines, gap) = tail.step()?;
                chunk.lines.extend(lines);
                chunk.gap |= gap;
            }
            Ok((taken, chunk))
        };
        let looked = spawn_blocking(look).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let mut chunk;
        (*tails, chunk) = looked.map_err(LogsError::read("read a log on"))?;
        chunk.lines.retain(|it| filter.takes(it));
        chunk.lines.sort_by_key(|it| it.at);
        if !chunk.lines.is_empty() || chunk.gap {
            return Ok(chunk);
        }
        sleep(LOOK_EVERY).await;
    }
}

fn files(
    dir: &std::path::Path,
    units: &[Unit],
    filter: &Filter,
    (most, follow): (usize, bool),
) -> Result<(Vec<Line>, Vec<Tail>), LogsError> {
    let wanted = if units.is_empty() { &Unit::ALL[..] } else { units };
    let (mut lines, mut tails) = (Vec::new(), Vec::new());
    for unit in wanted {
        let path = dir.join(unit.file());
        let opened = Tail::open(path.clone(), *unit, filter, most);
        let (mut past, mut tail) = opened.map_err(LogsError::read(path.display().to_string()))?;
        if !follow {
            past.extend(tail.unfinished().filter(|it| filter.takes(it)));
        }
        if !units.is_empty() && !tail.is_there() {
            let there: Vec<Unit> = Unit::ALL.into_iter().filter(|it| dir.join(it.file()).is_file()).collect();
            return Err(LogsError::absent(&[*unit], &there));
        }
        lines.append(&mut past);
        tails.push(tail);
    }
    if tails.iter().all(|it| !it.is_there()) {
        return Err(LogsError::absent(wanted, &[]));
    }
    Ok((lines, tails))
}
