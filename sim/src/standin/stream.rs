//! The body of an answer: one piece, or server-sent events as the engine brings tokens.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use serde_json::Value;
use tokio::sync::mpsc;

use super::answer::{Answer, finish_reason, usage};
use super::driver::Progress;
use super::faults::Faults;
use super::request::Endpoint;
use super::text;

/// Cuts the connection: a fault was asked for, or the engine has stopped.
#[derive(Debug, thiserror::Error)]
#[error("the simulated engine cuts this answer")]
pub(super) struct Cut;

/// Carries either kind of answer.
pub(super) enum AnswerBody {
    Whole(Option<Bytes>),
    Events(Box<Events>),
}

/// Turns the progress of one request into events.
pub(super) struct Events {
    progress: mpsc::Receiver<Progress>,
    answer: Answer,
    /// What the JSON of every event begins with.
    prefix: String,
    include_usage: bool,
    ready: VecDeque<Bytes>,
    sent: u32,
    done: bool,
    die_after: Option<u32>,
    stall_after: Option<u32>,
    /// Set once what was sent before a cut had its turn to be flushed.
    dying: bool,
}

impl Events {
    pub(super) fn new(
        progress: mpsc::Receiver<Progress>,
        answer: Answer,
        include_usage: bool,
        faults: &Faults,
    ) -> Self {
        Self {
            progress,
            prefix: answer.event_prefix(),
            answer,
            include_usage,
            ready: VecDeque::new(),
            sent: 0,
            done: false,
            die_after: faults.die_after_events,
            stall_after: faults.stall_after_events,
            dying: false,
        }
    }

    /// Queues the events that one token brings.
    fn push(&mut self, progress: Progress) {
        let index = progress.token.unwrap_or(0);
        let chat = self.answer.endpoint == Endpoint::Chat;
        if chat && index == 0 {
            let delta = r#"{"role":"assistant","content":""}"#;
            self.event(&format!(r#"[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":null}}]"#), None);
        }
        let content = Value::from(text::token(self.answer.seed, index));
        let end = match progress.finish {
            Some(finish) => format!(r#""finish_reason":"{}","stop_reason":null"#, finish_reason(finish)),
            None => r#""finish_reason":null"#.to_owned(),
        };
        let payload = if chat { format!(r#""delta":{{"content":{content}}}"#) } else { format!(r#""text":{content}"#) };
        self.event(&format!(r#"[{{"index":0,{payload},"logprobs":null,{end}}}]"#), None);
        if progress.finish.is_some() {
            self.done = true;
            if self.include_usage {
                self.event("[]", Some(usage(self.answer.prompt_tokens, index + 1)));
            }
            self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
        }
    }

    fn event(&mut self, choices: &str, usage: Option<Value>) {
        let usage = usage.map_or_else(String::new, |u| format!(r#","usage":{u}"#));
        self.ready.push_back(format!("{}{choices}{usage}}}\n\n", self.prefix).into());
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        if self.die_after.is_some_and(|events| self.sent >= events) {
            if std::mem::replace(&mut self.dying, true) {
                return Poll::Ready(Some(Err(Cut)));
            }
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.stall_after.is_some_and(|events| self.sent >= events) {
            // Nothing wakes this again but the end of the connection, which is what was asked for.
            return Poll::Pending;
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.sent += 1;
                return Poll::Ready(Some(Ok(event)));
            }
            if self.done {
                return Poll::Ready(None);
            }
            match self.progress.poll_recv(context) {
                Poll::Ready(Some(progress)) => self.push(progress),
                Poll::Ready(None) => return Poll::Ready(Some(Err(Cut))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Events(events) => events.poll_event(context).map(|e| e.map(|e| e.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(bytes) => http_body::SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Events(_) => http_body::SizeHint::new(),
        }
    }
}
