//! A log in a file: its end, and what is appended, also when it is moved aside, copied and emptied, or made anew.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{
    LINE_BYTES_MAX, PAST_BYTES_MAX, Unit,
    filter::Filter,
    line::{Builder, Line},
};

/// How much of the end of a file is looked at first; where that is too little, four times as much.
const WINDOW_BYTES: u64 = 256 * 1024;
/// How much one look at a growing file takes, in bytes.
const STEP_BYTES: usize = 64 * 1024;
/// So many bytes before a position say whether a file is the one that was read.
const MARK_BYTES: usize = 64;

/// A file that is read on.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    file: Option<File>,
    pos: u64,
    /// The bytes before `pos`.
    mark: Vec<u8>,
    partial: Partial,
    builder: Builder,
}

/// The beginning of a line whose end is not written yet.
#[derive(Debug, Default)]
struct Partial {
    bytes: Vec<u8>,
    cut_bytes: u64,
}

impl Partial {
    fn add(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.cut_bytes += (bytes.len() - room) as u64;
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn end(&mut self, builder: &mut Builder) -> Line {
        let Self { bytes, cut_bytes } = std::mem::take(self);
        builder.line(&bytes, cut_bytes)
    }
}

/// The file beside a log that holds what was moved aside.
pub(super) fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    aside.into()
}

impl Tail {
    /// The newest lines that the filter takes, at most `most`, and the file to read on; a file that is not there has none.
    pub(super) fn open(path: PathBuf, unit: Unit, filter: &Filter, most: usize) -> io::Result<(Vec<Line>, Self)> {
        let mut tail = Self {
            path,
            file: None,
            pos: 0,
            mark: Vec::new(),
            partial: Partial::default(),
            builder: Builder::new(unit),
        };
        let Some(file) = open(&tail.path)? else { return Ok((Vec::new(), tail)) };
        let end = file.metadata()?.len();
        let mut past = Past::read(&file, end, tail.builder.clone(), filter, most)?;
        if past.lines.len() < most
            && past.is_whole
            && let Some(older) = open(&aside(&tail.path))?
        {
            let (end, left) = (older.metadata()?.len(), most - past.lines.len());
            let mut before = Past::read(&older, end, Builder::new(unit), filter, left)?.lines;
            before.append(&mut past.lines);
            past.lines = before;
        }
        tail.pos = end;
        tail.builder = past.builder;
        tail.partial = past.partial;
        tail.mark = mark(&file, end)?;
        tail.file = Some(file);
        Ok((past.lines.into(), tail))
    }

    /// Whether there is a file.
    pub(super) fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// The unfinished last line, for a reader that does not wait for its end.
    pub(super) fn unfinished(&mut self) -> Option<Line> {
        (!self.partial.is_empty()).then(|| self.partial.end(&mut self.builder))
    }

    /// What was appended, a piece at a time; and whether something before it is missing.
    pub(super) fn step(&mut self) -> io::Result<(Vec<Line>, bool)> {
        let mut gap = false;
        let mut lines = Vec::new();
        if let Some(file) = &self.file
            && file.metadata()?.len() < self.pos
        {
            gap = !self.take_aside()?;
        }
        // Twice at most: the rest of a file that was moved aside, and the one in its place.
        for _ in 0..2 {
            if let Some(file) = &self.file {
                let mut bytes = vec![0; STEP_BYTES];
                let read = file.read_at(&mut bytes, self.pos)?;
                if read > 0 {
                    self.pos += read as u64;
                    self.mark = mark(file, self.pos)?;
                    self.take(&bytes[..read], &mut lines);
                    break;
                }
            }
            if !self.turn(&mut lines)? {
                break;
            }
        }
        Ok((lines, gap))
    }

    fn take(&mut self, mut bytes: &[u8], lines: &mut Vec<Line>) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.partial.add(&bytes[..end]);
            lines.push(self.partial.end(&mut self.builder));
            bytes = &bytes[end + 1..];
        }
        self.partial.add(bytes);
    }

    /// Goes over to the file that has the name now; false when it is the one that is read, or none.
    fn turn(&mut self, lines: &mut Vec<Line>) -> io::Result<bool> {
        let Some(now) = open(&self.path)? else { return Ok(false) };
        if let Some(file) = &self.file {
            let (own, other) = (file.metadata()?, now.metadata()?);
            if (own.dev(), own.ino()) == (other.dev(), other.ino()) {
                return Ok(false);
            }
        }
        lines.extend(self.unfinished());
        (self.file, self.pos, self.mark) = (Some(now), 0, Vec::new());
        Ok(true)
    }

    /// The file was emptied: goes on with the copy beside it when that holds what was read, else begins anew.
    fn take_aside(&mut self) -> io::Result<bool> {
        if let Some(copy) = open(&aside(&self.path))?
            && copy.metadata()?.len() >= self.pos
            && mark(&copy, self.pos)? == self.mark
        {
            // At its end the file with the name of the log is another one, and follows.
            self.file = Some(copy);
            return Ok(true);
        }
        (self.pos, self.mark, self.partial) = (0, Vec::new(), Partial::default());
        Ok(false)
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        // Nothing else has lines; a pipe would make whoever opens it wait.
        Ok(file) if file.metadata()?.is_file() => Ok(Some(file)),
        Ok(_) => Err(io::Error::other("not a file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn mark(file: &File, pos: u64) -> io::Result<Vec<u8>> {
    let length = MARK_BYTES.min(usize::try_from(pos).unwrap_or(MARK_BYTES));
    let mut mark = vec![0; length];
    file.read_exact_at(&mut mark, pos - length as u64)?;
    Ok(mark)
}

/// What a file held when it was opened.
struct Past {
    lines: VecDeque<Line>,
    /// Whether all of the file was looked at.
    is_whole: bool,
    builder: Builder,
    partial: Partial,
}

impl Past {
    /// Looks at a growing part of the end until there are enough lines, or an older one than is wanted.
    fn read(file: &File, end: u64, builder: Builder, filter: &Filter, most: usize) -> io::Result<Self> {
        let mut window = WINDOW_BYTES;
        loop {
            let start = end.saturating_sub(window);
            let (past, reaches_back) = Self::window(file, (start, end), builder.clone(), filter, most)?;
            if start == 0 || past.lines.len() >= most || reaches_back {
                return Ok(Self { is_whole: start == 0 && !reaches_back, ..past });
            }
            window = window.saturating_mul(4);
        }
    }

    /// Looks at a part once; and whether it begins with lines that are too old.
    fn window(
        mut file: &File,
        (start, end): (u64, u64),
        mut builder: Builder,
        filter: &Filter,
        most: usize,
    ) -> io::Result<(Self, bool)> {
        file.seek(SeekFrom::Start(start))?;
        let mut reader = BufReader::with_capacity(STEP_BYTES, file.take(end - start));
        let (mut lines, mut bytes, mut reaches_back) = (VecDeque::new(), 0, false);
        let mut partial = Partial::default();
        // The first line of a part has most likely lost its beginning.
        let mut is_whole = start == 0;
        loop {
            let there = reader.fill_buf()?;
            if there.is_empty() {
                break;
            }
            let (piece, used, ends) = match memchr::memchr(b'\n', there) {
                Some(at) => (&there[..at], at + 1, true),
                None => (there, there.len(), false),
            };
            partial.add(piece);
            reader.consume(used);
            if !ends {
                continue;
            }
            let line = partial.end(&mut builder);
            if !std::mem::replace(&mut is_whole, true) {
                builder = Builder::new(line.unit);
                continue;
            }
            reaches_back |= line.at.is_some() && filter.is_too_old(line.at);
            if filter.takes(&line) {
                bytes += line.text.len();
                lines.push_back(line);
                while lines.len() > most || bytes > PAST_BYTES_MAX {
                    let Some(old) = lines.pop_front() else { break };
                    bytes -= old.text.len();
                }
            }
        }
        Ok((Self { lines, is_whole: false, builder, partial }, reaches_back))
    }
}
