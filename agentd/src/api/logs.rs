//! Logs: what the daemons of this node wrote, for who may read it.

use std::{collections::VecDeque, pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use mesh_core::time::Timestamp;
use mesh_proto::{
    reason,
    v1::{self, logs_server::Logs},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::refuse::{invalid, refuse};
use crate::logs::{Filter, GREP_BYTES_MAX, Home, LINES_MAX, Level, Line, LogsError, Reader, Unit, Wanted};

/// So many read logs of one node at the same time.
const READERS_MAX: usize = 16;
/// Messages have about this size, in bytes.
const MESSAGE_BYTES: usize = 128 * 1024;

/// The service `Logs`.
#[derive(Clone)]
pub struct LogsApi {
    home: Arc<Home>,
    readers: Arc<Semaphore>,
    stop: CancellationToken,
}

impl LogsApi {
    /// Serves the logs at their home; `stop` ends its streams.
    #[must_use]
    pub fn new(home: Home, stop: CancellationToken) -> Self {
        Self { home: Arc::new(home), readers: Arc::new(Semaphore::new(READERS_MAX)), stop }
    }
}

#[tonic::async_trait]
impl Logs for LogsApi {
    type ReadStream = Pin<Box<dyn Stream<Item = Result<v1::LogsChunk, Status>> + Send>>;

    async fn read(&self, request: Request<v1::LogsRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let wanted = wanted(request.get_ref())?;
        let permit = Arc::clone(&self.readers).try_acquire_owned().map_err(|_| {
            let text = format!("{READERS_MAX} others read the logs of this node; try again when one has ended");
            refuse(Code::ResourceExhausted, reason::NOT_READY, text, [])
        })?;
        let follow = wanted.follow;
        let (past, reader) = Reader::open(&self.home, wanted).await.map_err(status)?;
        let sending = Sending {
            messages: messages(past, follow),
            reader: follow.then_some(reader),
            stop: self.stop.clone(),
            _permit: permit,
        };
        Ok(Response::new(Box::pin(stream::unfold(sending, Sending::next))))
    }
}

/// Checks a request.
fn wanted(asked: &v1::LogsRequest) -> Result<Wanted, Status> {
    let mut units = asked.units.iter().map(|it| unit(*it)).collect::<Result<Vec<_>, _>>()?;
    units.sort_unstable();
    units.dedup();
    if asked.grep.len() > GREP_BYTES_MAX {
        return Err(invalid(format!("the text that is searched for may have {GREP_BYTES_MAX} bytes")));
    }
    let lines = usize::try_from(asked.lines).unwrap_or(usize::MAX);
    if lines > LINES_MAX {
        return Err(invalid(format!("at most {LINES_MAX} lines can be had at once; use a later time to begin at")));
    }
    let filter = Filter {
        since: asked.since_ms.map(Timestamp),
        level: level(asked.level)?,
        grep: Some(asked.grep.clone()).filter(|it| !it.is_empty()),
    };
    Ok(Wanted { units, follow: asked.follow, lines, filter })
}

fn unit(wire: i32) -> Result<Unit, Status> {
    match v1::LogUnit::try_from(wire) {
        Ok(v1::LogUnit::Agentd) => Ok(Unit::Agentd),
        Ok(v1::LogUnit::Routerd) => Ok(Unit::Routerd),
        Ok(v1::LogUnit::Engine) => Ok(Unit::Engine),
        Ok(v1::LogUnit::Supervisor) => Ok(Unit::Supervisor),
        Ok(v1::LogUnit::Unspecified) | Err(_) => Err(invalid(format!("there is no unit {wire}"))),
    }
}

fn level(wire: i32) -> Result<Option<Level>, Status> {
    Ok(match v1::LogLevel::try_from(wire).map_err(|_| invalid(format!("there is no level {wire}")))? {
        v1::LogLevel::Unspecified => None,
        v1::LogLevel::Trace => Some(Level::Trace),
        v1::LogLevel::Debug => Some(Level::Debug),
        v1::LogLevel::Info => Some(Level::Info),
        v1::LogLevel::Warn => Some(Level::Warn),
        v1::LogLevel::Error => Some(Level::Error),
    })
}

fn status(error: LogsError) -> Status {
    match error {
        LogsError::Absent { .. } => {
            let next = ("next", "the same command without --unit".to_owned());
            refuse(Code::NotFound, reason::NOT_FOUND, error.to_string(), [next])
        }
        LogsError::Read { .. } => refuse(Code::FailedPrecondition, reason::NOT_FOUND, error.to_string(), []),
    }
}

fn wire(line: Line) -> v1::LogLine {
    let unit = match line.unit {
        Unit::Agentd => v1::LogUnit::Agentd,
        Unit::Routerd => v1::LogUnit::Routerd,
        Unit::Engine => v1::LogUnit::Engine,
        Unit::Supervisor => v1::LogUnit::Supervisor,
    };
    let level = match line.level {
        Level::Trace => v1::LogLevel::Trace,
        Level::Debug => v1::LogLevel::Debug,
        Level::Info => v1::LogLevel::Info,
        Level::Warn => v1::LogLevel::Warn,
        Level::Error => v1::LogLevel::Error,
    };
    v1::LogLine {
        unit: unit.into(),
        at_ms: line.at.map(|it| it.0),
        level: level.into(),
        text: line.text,
        cut_bytes: line.cut_bytes,
    }
}

/// Lines in messages of a bounded size; the last one of the past says that it is.
fn messages(lines: Vec<Line>, follow: bool) -> VecDeque<v1::LogsChunk> {
    let mut messages = VecDeque::from([v1::LogsChunk::default()]);
    let mut bytes = 0;
    for line in lines {
        if bytes > MESSAGE_BYTES {
            messages.push_back(v1::LogsChunk::default());
            bytes = 0;
        }
        bytes += line.text.len() + 16;
        if let Some(message) = messages.back_mut() {
            message.lines.push(wire(line));
        }
    }
    if let Some(last) = messages.back_mut() {
        last.live = follow;
    }
    messages
}

/// One reader's stream: nothing is read before what was read has been taken.
struct Sending {
    messages: VecDeque<v1::LogsChunk>,
    reader: Option<Reader>,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Sending {
    async fn next(mut self) -> Option<(Result<v1::LogsChunk, Status>, Self)> {
        if let Some(message) = self.messages.pop_front() {
            return Some((Ok(message), self));
        }
        let reader = self.reader.as_mut()?;
        match self.stop.run_until_cancelled(reader.next()).await? {
            Ok(chunk) => {
                let chunk = chunk?;
                self.messages = messages(chunk.lines, true);
                let mut first = self.messages.pop_front()?;
                (first.live, first.gap) = (true, chunk.gap);
                Some((Ok(first), self))
            }
            Err(error) => {
                self.reader = None;
                Some((Err(status(error)), self))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_checked() {
        let check = |request: v1::LogsRequest, expected: Option<&str>| {
            let found = wanted(&request).err().map(|it| it.message().to_owned());
            match (&found, expected) {
                (None, None) => {}
                (Some(found), Some(part)) => assert!(found.contains(part), "{found}"),
                other => panic!("{request:?}: {other:?}"),
            }
        };
        let good = v1::LogsRequest { lines: 10, ..Default::default() };
        check(good.clone(), None);
        check(v1::LogsRequest { units: vec![1, 4, 1], ..good.clone() }, None);
        check(v1::LogsRequest { units: vec![0], ..good.clone() }, Some("no unit 0"));
        check(v1::LogsRequest { units: vec![9], ..good.clone() }, Some("no unit 9"));
        check(v1::LogsRequest { level: 6, ..good.clone() }, Some("no level 6"));
        check(v1::LogsRequest { lines: 10_001, ..good.clone() }, Some("at most 10000 lines"));
        check(v1::LogsRequest { grep: "x".repeat(257), ..good }, Some("256 bytes"));
    }

    #[test]
    fn messages_are_bounded_and_the_last_is_marked() {
        let line = |text: String| Line { unit: Unit::Agentd, at: None, level: Level::Info, text, cut_bytes: 0 };
        let found = messages((0..100).map(|_| line("x".repeat(8000))).collect(), true);
        assert!(found.len() > 4 && found.iter().all(|it| it.lines.len() <= 17), "{}", found.len());
        assert_eq!(found.iter().map(|it| it.lines.len()).sum::<usize>(), 100);
        assert_eq!(found.iter().filter(|it| it.live).count(), 1);
        assert!(found.back().unwrap().live);
        assert!(messages(Vec::new(), false).iter().all(|it| !it.live && it.lines.is_empty()));
    }

    #[tokio::test]
    async fn readers_are_counted_and_give_their_place_back() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("agentd.log"), "one\n").unwrap();
        let api = LogsApi::new(Home::Dir(dir.path().to_owned()), CancellationToken::new());
        let ask = || v1::LogsRequest { follow: true, lines: 1, ..Default::default() };
        let mut open = Vec::new();
        for _ in 0..READERS_MAX {
            open.push(api.read(Request::new(ask())).await.unwrap());
        }
        let refused = api.read(Request::new(ask())).await.err().unwrap();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        open.pop();
        assert!(api.read(Request::new(ask())).await.is_ok());
        let absent = LogsApi::new(Home::Dir(dir.path().join("no")), CancellationToken::new());
        assert_eq!(absent.read(Request::new(ask())).await.err().unwrap().code(), Code::NotFound);
    }
}
