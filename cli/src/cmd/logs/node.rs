//! One node's stream of lines: opened, and while it is followed opened again where it broke off.

use std::time::Duration;

use futures_util::StreamExt;
use mesh_proto::v1::{self, logs_client::LogsClient};
use tokio::{
    sync::mpsc::Sender,
    time::{sleep, timeout},
};
use tonic::{Status, transport::Channel};

use crate::{Failure, human, refusal};

/// An agent may search a large journal before its first line.
const OPEN_LIMIT: Duration = Duration::from_secs(40);
/// A stream that broke off is asked for again this often.
const AGAIN_EVERY: Duration = Duration::from_secs(1);
/// So many lines of the same moment are remembered.
const SAME_MAX: usize = 1000;
/// Lines that may have been written while nobody listened.
const MISSED_MAX: u32 = 10_000;

/// What is told of one node.
#[derive(Debug)]
pub(super) enum Told {
    /// Lines in their order.
    Lines(Vec<v1::LogLine>),
    /// The past is told completely.
    Live,
    /// Something for who looks.
    Note(String),
    /// The end.
    Failed(Failure),
}

/// A node whose log is read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) node: String,
    /// The node with its address.
    pub(super) place: String,
    pub(super) channel: Channel,
    /// What to do when it does not answer.
    pub(super) next: String,
}

impl Source {
    /// Tells everything, until it is told or nobody listens.
    pub(super) async fn run(self, request: v1::LogsRequest, sender: Sender<Told>) {
        let mut seen = Seen { at_ms: None, same: Vec::new(), begun_ms: human::now().0 };
        let mut ended = self.once(request.clone(), &mut seen, &sender).await;
        let mut is_told = false;
        while let (true, Some(Ended { why, was_open: true })) = (request.follow, &ended) {
            if !std::mem::replace(&mut is_told, true) {
                let text = format!("its stream ended ({why}); it is asked again until it answers");
                if sender.send(Told::Note(text)).await.is_err() {
                    return;
                }
            }
            sleep(AGAIN_EVERY).await;
            let since_ms = Some(seen.at_ms.unwrap_or(seen.begun_ms));
            let again = v1::LogsRequest { since_ms, lines: MISSED_MAX, ..request.clone() };
            let before = seen.at_ms;
            ended = self.once(again, &mut seen, &sender).await.map(|mut it| {
                // What cannot be reached now may be later; a refusal stays one.
                it.was_open |= refusal::is_elsewhere(&it.why.0);
                it
            });
            // It has answered in between: the next loss is worth a word again.
            is_told = is_told && seen.at_ms == before;
            if sender.is_closed() {
                return;
            }
        }
        if let Some(Ended { why, .. }) = ended {
            let what = format!("cannot read the logs of {}", self.node);
            let mut failure = refusal::failure(&what, &self.place, &why.0);
            if refusal::is_elsewhere(&why.0) {
                failure.next = Some(self.next);
            }
            // Nobody listening is no failure.
            let _ = sender.send(Told::Failed(failure)).await;
        }
    }

    /// Reads one stream to its end; `None` when that was orderly.
    async fn once(&self, request: v1::LogsRequest, seen: &mut Seen, sender: &Sender<Told>) -> Option<Ended> {
        let follow = request.follow;
        let mut client = LogsClient::new(self.channel.clone());
        let late = |_| Err(Status::deadline_exceeded(format!("no answer within {} s", OPEN_LIMIT.as_secs())));
        let mut stream = match timeout(OPEN_LIMIT, client.read(request)).await.unwrap_or_else(late) {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Some(Ended { why: Why(status), was_open: false }),
        };
        // Empty the first time.
        let mut skip = std::mem::take(&mut seen.same);
        while let Some(chunk) = stream.next().await {
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(status) => return Some(Ended { why: Why(status), was_open: true }),
            };
            if !skip.is_empty() {
                chunk.lines.retain(|line| match skip.iter().position(|it| it == line) {
                    Some(known) => {
                        let known = skip.swap_remove(known);
                        seen.same.push(known);
                        false
                    }
                    None => true,
                });
            }
            chunk.lines.iter().for_each(|it| seen.take(it));
            let gap = chunk.gap.then(|| Told::Note("a log was emptied before its end was read".to_owned()));
            let lines = (!chunk.lines.is_empty()).then_some(Told::Lines(chunk.lines));
            for told in gap.into_iter().chain(lines).chain(chunk.live.then_some(Told::Live)) {
                if sender.send(told).await.is_err() {
                    return None;
                }
            }
        }
        follow.then(|| Ended { why: Why(Status::unavailable("the agent closed it")), was_open: true })
    }
}

/// How a stream ended.
struct Ended {
    why: Why,
    /// Whether it had begun: then it may go on.
    was_open: bool,
}

struct Why(Status);

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&refusal::words(&self.0))
    }
}

/// The last moment that was told, so that nothing is told twice after a break.
struct Seen {
    at_ms: Option<u64>,
    same: Vec<v1::LogLine>,
    begun_ms: u64,
}

impl Seen {
    fn take(&mut self, line: &v1::LogLine) {
        if line.at_ms > self.at_ms {
            self.at_ms = line.at_ms;
            self.same.clear();
        }
        if line.at_ms == self.at_ms && self.same.len() < SAME_MAX {
            self.same.push(line.clone());
        }
    }
}
